//! Airflow's own Python client against our API: list, trigger, wait, logs, clear, patch, backfill, variables, pools.

use crate::{
    dag::{Arg, Mapping, Schedule},
    scheduling::tests::{World, after, bash, dag},
};

#[test]
fn airflows_own_client_manages_ours() {
    let Some(python) = testkit::venv_python("airflow") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (world, url) = runtime.block_on(async {
        let mut daily = dag("daily", vec![bash("a", "true")]);
        daily.schedule = Schedule::Cron("@daily".to_owned());
        daily.is_paused_upon_creation = Some(false);
        daily.end_date = daily.start_date;
        let mut each = bash("each", "");
        let values = ["true", "echo two"].map(|text| Arg::String(text.to_owned())).to_vec();
        each.mapping = Some(Mapping {
            expand: [("bash_command".to_owned(), Arg::List(values))].into(),
            is_op_kwargs: false,
        });
        let etl = dag("etl", vec![bash("extract", "echo hello"), after(bash("load", "true"), &["extract"])]);
        let world = World::new(vec![daily, etl, dag("mapped", vec![each])]).await;
        let url = world.url.clone();
        (world, url)
    });
    let printed = testkit::run_python(&python, include_str!("client.py"), &[&url]);
    runtime.block_on(world.stop());
    insta::assert_snapshot!(printed);
}

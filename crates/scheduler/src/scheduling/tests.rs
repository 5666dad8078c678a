//! Whole runs: DAGs that are made here, real processes, a database of their own, and the final states compared.

use std::{future::IntoFuture, path::PathBuf, sync::Arc, time::Duration};

use base::{Clock, ManualClock, SystemClock};
use chrono::TimeDelta;
use indexmap::{IndexMap, IndexSet};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Backfill, Clear, Event, NewBackfill, Order, PatchTask, Scan, Scheduling, Trigger, files::FileRead,
    orders::Instances,
};
use crate::{
    Error, Options,
    api::Api,
    dag::{Arg, Dag, Mapping, Operator, OperatorKind, Retry, Schedule, Task, TriggerRule, WeightRule},
    executor::{Executor, Shared},
    known::SharedDags,
    logs::Logs,
    state::{Reprocess, RunState, TaskState},
    store::{Database, rows::DagRun},
};

pub fn task(task_id: &str, kind: OperatorKind, args: &[(&str, Arg)]) -> Task {
    let args = args.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone())).collect();
    Task {
        task_id: task_id.to_owned(),
        label: task_id.to_owned(),
        display_name: task_id.to_owned(),
        group: None,
        operator: Operator { kind, class: kind.word().to_owned(), args, callable: None },
        mapping: None,
        upstream: IndexSet::new(),
        downstream: IndexSet::new(),
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry { retries: 0, delay: TimeDelta::zero(), exponential_backoff: 0.0, delay_max: None },
        execution_timeout: None,
        depends_on_past: false,
        wait_for_downstream: false,
        ignore_first_depends_on_past: true,
        wait_for_past_depends_before_skipping: false,
        pool: "default_pool".to_owned(),
        pool_slots: 1,
        priority_weight: 1,
        weight_rule: WeightRule::Downstream,
        queue: "default".to_owned(),
        owner: "airflow".to_owned(),
        start_date: None,
        end_date: None,
        max_active_tis_per_dag: None,
        max_active_tis_per_dagrun: None,
        do_xcom_push: true,
        multiple_outputs: false,
        render_template_as_native_obj: None,
        params: IndexMap::new(),
        map_index_template: None,
        doc_md: None,
        email: Vec::new(),
        email_on_failure: false,
        email_on_retry: false,
    }
}

pub fn bash(task_id: &str, command: &str) -> Task {
    task(task_id, OperatorKind::Bash, &[("bash_command", Arg::String(command.to_owned()))])
}

/// `upstream` names the tasks before it.
pub fn after(mut task: Task, upstream: &[&str]) -> Task {
    task.upstream = upstream.iter().map(|id| (*id).to_owned()).collect();
    task
}

pub fn dag(dag_id: &str, tasks: Vec<Task>) -> Dag {
    let mut tasks: IndexMap<String, Task> =
        tasks.into_iter().map(|task| (task.task_id.clone(), task)).collect();
    let edges: Vec<(String, String)> = tasks
        .values()
        .flat_map(|task| {
            task.upstream.iter().map(|up| (up.clone(), task.task_id.clone())).collect::<Vec<_>>()
        })
        .collect();
    for (from, to) in edges {
        tasks[&from].downstream.insert(to);
    }
    Dag {
        dag_id: dag_id.to_owned(),
        display_name: dag_id.to_owned(),
        description: None,
        doc_md: None,
        tags: Vec::new(),
        schedule: Schedule::None,
        timezone: chrono_tz::UTC,
        start_date: chrono::DateTime::from_timestamp(1_767_225_600, 0),
        end_date: None,
        catchup: false,
        max_active_runs: 16,
        max_active_tasks: 16,
        dagrun_timeout: None,
        is_paused_upon_creation: Some(false),
        render_template_as_native_obj: false,
        params: IndexMap::new(),
        user_defined_macros: IndexMap::new(),
        template_folders: Vec::new(),
        file: PathBuf::from(format!("/dags/{dag_id}.yml")),
        file_shown: format!("dags/{dag_id}.yml").into(),
        tasks,
        groups: IndexMap::new(),
    }
}

/// A scheduling with a folder of its own.
pub struct World {
    pub folder: TempDir,
    pub database: Database,
    pub url: String,
    events: mpsc::Sender<Event>,
    _stop: DropGuard,
    life: tokio::task::JoinHandle<()>,
}

impl World {
    pub async fn new(dags: Vec<Dag>) -> World {
        World::with(tempfile::tempdir().expect("a folder"), dags, Arc::new(SystemClock)).await
    }

    pub async fn with(folder: TempDir, dags: Vec<Dag>, clock: Arc<dyn Clock>) -> World {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let mut options = Options::at(listen, folder.path());
        options.kill_grace_ms = 500;
        options.clock = clock.clone();
        options.environment = std::env::vars().collect();
        let database = Database::open("", folder.path()).await.expect("a database");
        World::on(folder, options, database, dags).await
    }

    pub async fn on(folder: TempDir, options: Options, database: Database, dags: Vec<Dag>) -> World {
        let options = Arc::new(options);
        let listener = TcpListener::bind(options.listen).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let logs = Logs::new(&options.state_folder.join("logs"));
        let (events, inbox) = super::channel();
        let shared = SharedDags::default();
        let executor = Executor::new(Arc::new(Shared {
            path: std::env::var("PATH").unwrap_or_default(),
            options: options.clone(),
            database: database.clone(),
            dags: shared.clone(),
            logs: logs.clone(),
            api: url.clone(),
            mark: folder.path().display().to_string(),
            events: events.clone(),
            http: cloud::http::client(),
        }));
        let read = dags
            .into_iter()
            .map(|dag| (dag.file.clone(), FileRead { fingerprint: "1".to_owned(), dags: vec![Ok(dag)] }))
            .collect();
        let first = Scan { read, gone: Vec::new() };
        let scheduling =
            Scheduling::recover(options.clone(), database.clone(), shared.clone(), executor, inbox, first)
                .await;
        let scheduling = scheduling.expect("it begins");
        let api = Arc::new(Api {
            options: options.clone(),
            database: database.clone(),
            dags: shared.clone(),
            logs,
            events: events.clone(),
            heartbeat: scheduling.heartbeat(),
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let server = axum::serve(listener, crate::api::router(api))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let life = tokio::spawn(async move {
            let (ended, served) = tokio::join!(scheduling.run(stopped), server.into_future());
            ended.expect("it ends in order");
            served.expect("the server ends in order");
        });
        World { folder, database, url, events, _stop: stop.drop_guard(), life }
    }

    /// Ends this life in order, and gives what it leaves.
    pub async fn stop(self) -> TempDir {
        drop(self._stop);
        self.life.await.expect("it ends");
        self.folder
    }

    pub async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Order,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        assert!(self.events.send(Event::Order(order(answer))).await.is_ok(), "it lives");
        answered.await.expect("it answers")
    }

    pub async fn trigger(&self, dag_id: &str, run_id: &str) -> DagRun {
        let trigger = Trigger {
            run_id: Some(run_id.to_owned()),
            logical_date: None,
            conf: "{}".to_owned(),
            triggered_by: "rest_api",
            ..Trigger::default()
        };
        let dag_id = dag_id.to_owned();
        self.order(|answer| Order::Trigger { dag_id, trigger, answer }).await.expect("it is triggered")
    }

    pub async fn until(&self, dag_id: &str, run_id: &str, wanted: impl Fn(&DagRun) -> bool) -> DagRun {
        let began = std::time::Instant::now();
        loop {
            if let Some(run) = self.database.run(dag_id, run_id).await.expect("the database answers")
                && wanted(&run)
            {
                return run;
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "not in time: {}",
                self.states(dag_id, run_id).await
            );
            tokio::task::yield_now().await;
            tokio::task::spawn_blocking(|| testkit::poll::moment(5)).await.expect("it waits");
        }
    }

    pub async fn ended(&self, dag_id: &str, run_id: &str) -> RunState {
        self.until(dag_id, run_id, |run| run.state.is_finished()).await.state
    }

    /// `a success, b[0] failed (2)`: with the number of the try where it is not the first.
    pub async fn states(&self, dag_id: &str, run_id: &str) -> String {
        let Some(run) = self.database.run(dag_id, run_id).await.expect("it answers") else {
            return "none".to_owned();
        };
        let mut instances = self.database.instances(run.id).await.expect("it answers");
        instances.sort_by(|a, b| (&a.task_id, a.map_index).cmp(&(&b.task_id, b.map_index)));
        let shown = instances.iter().map(|it| {
            let index = if it.map_index < 0 { String::new() } else { format!("[{}]", it.map_index) };
            let tries = if it.try_number > 1 { format!(" ({})", it.try_number) } else { String::new() };
            format!("{}{index} {}{tries}", it.task_id, it.state.map_or("none", TaskState::word))
        });
        format!("{}: {}", run.state.word(), shown.collect::<Vec<_>>().join(", "))
    }
}

/// Runs the DAG once and compares what became of it.
#[track_caller]
fn check(tasks: Vec<Task>, expected: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let states = runtime.block_on(async {
        let world = World::new(vec![dag("d", tasks)]).await;
        world.trigger("d", "r").await;
        world.ended("d", "r").await;
        let states = world.states("d", "r").await;
        world.stop().await;
        states
    });
    assert_eq!(states, expected);
}

fn rule(mut task: Task, rule: TriggerRule) -> Task {
    task.trigger_rule = rule;
    task
}

fn retries(mut task: Task, retries: u32) -> Task {
    task.retry.retries = retries;
    task
}

#[test]
fn tasks_run_one_after_the_other() {
    check(
        vec![
            bash("a", "echo hello"),
            after(bash("b", "true"), &["a"]),
            after(task("c", OperatorKind::Empty, &[]), &["b"]),
        ],
        "success: a success, b success, c success",
    );
}

#[test]
fn a_failure_fails_what_is_below_and_the_run() {
    check(
        vec![
            bash("a", "exit 3"),
            after(bash("b", "true"), &["a"]),
            after(rule(bash("c", "true"), TriggerRule::AllDone), &["b"]),
        ],
        "success: a failed, b upstream_failed, c success",
    );
    check(vec![bash("a", "exit 3"), after(bash("b", "true"), &["a"])], "failed: a failed, b upstream_failed");
}

#[test]
fn exit_code_99_skips() {
    check(vec![bash("a", "exit 99"), after(bash("b", "true"), &["a"])], "success: a skipped, b skipped");
}

#[test]
fn retries_come_after_their_delay() {
    let flaky = "f=$TIDEMILL_PROJECT/tried; if [ -e $f ]; then exit 0; fi; touch $f; exit 1";
    check(vec![retries(bash("a", flaky), 2)], "success: a success (2)");
    check(vec![retries(bash("a", "exit 1"), 1)], "failed: a failed (2)");
}

#[test]
fn an_execution_timeout_ends_the_whole_process_group() {
    let mut slow = bash("a", "sleep 60 & sleep 60");
    slow.execution_timeout = Some(TimeDelta::milliseconds(200));
    check(vec![slow], "failed: a failed");
}

#[test]
fn a_mapped_task_has_an_instance_for_each_value() {
    let mut mapped = bash("m", "");
    mapped.operator.args.clear();
    let commands = ["true", "exit 1", "exit 99"].map(|text| Arg::String(text.to_owned())).to_vec();
    mapped.mapping = Some(Mapping {
        expand: [("bash_command".to_owned(), Arg::List(commands))].into(),
        is_op_kwargs: false,
    });
    check(
        vec![mapped, after(rule(bash("z", "true"), TriggerRule::AllDone), &["m"])],
        "success: m[0] success, m[1] failed, m[2] skipped, z success",
    );
}

#[test]
fn a_mapping_over_nothing_is_skipped() {
    let mut mapped = bash("m", "");
    mapped.mapping = Some(Mapping {
        expand: [("bash_command".to_owned(), Arg::List(Vec::new()))].into(),
        is_op_kwargs: false,
    });
    check(vec![mapped, after(bash("z", "true"), &["m"])], "success: m skipped, z skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn cleared_tasks_run_again_with_new_tries() {
    let world = World::new(vec![dag("d", vec![bash("a", "true"), after(bash("b", "exit 1"), &["a"])])]).await;
    world.trigger("d", "r").await;
    assert_eq!(world.ended("d", "r").await, RunState::Failed);
    let clear =
        Clear { run_id: Some("r".to_owned()), only_failed: true, reset_runs: true, ..Clear::default() };
    let cleared: Instances =
        world.order(|answer| Order::Clear { dag_id: "d".to_owned(), clear, answer }).await.expect("cleared");
    assert_eq!(cleared.len(), 1);
    world.until("d", "r", |run| run.clear_number == 1 && run.state.is_finished()).await;
    assert_eq!(world.states("d", "r").await, "failed: a success, b failed (2)");
    // Whoever mends it by hand lets the run succeed.
    let patch =
        PatchTask { task_id: "b".to_owned(), state: Some(TaskState::Success), ..PatchTask::default() };
    let order = |answer| Order::SetTasks { dag_id: "d".to_owned(), run_id: "r".to_owned(), patch, answer };
    world.order(order).await.expect("set");
    assert_eq!(world.states("d", "r").await, "failed: a success, b success (2)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_a_crash_and_the_next_life_tries_again() {
    let mut slow = bash("a", "sleep 60");
    slow.retry.retries = 1;
    let quick = dag("d", vec![retries(bash("a", "true"), 1)]);
    let world = World::new(vec![dag("d", vec![slow])]).await;
    world.trigger("d", "r").await;
    let began = std::time::Instant::now();
    while world.states("d", "r").await != "running: a running" {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::task::spawn_blocking(|| testkit::poll::moment(5)).await.expect("it waits");
    }
    let folder = world.stop().await;
    let world = World::with(folder, vec![quick], Arc::new(SystemClock)).await;
    assert_eq!(world.ended("d", "r").await, RunState::Success);
    assert_eq!(world.states("d", "r").await, "success: a success (2)");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_holds_the_same_runs() {
    let Some(server) = testkit::postgres() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::at("127.0.0.1:0".parse().expect("an address"), folder.path());
    options.environment = std::env::vars().collect();
    let database = Database::open(&server.database(), folder.path()).await.expect("a database");
    let tasks = vec![
        bash("a", "echo 1"),
        after(retries(bash("b", "exit 1"), 1), &["a"]),
        after(bash("c", "true"), &["b"]),
    ];
    let world = World::on(folder, options, database, vec![dag("d", tasks)]).await;
    world.trigger("d", "r").await;
    assert_eq!(world.ended("d", "r").await, RunState::Failed);
    assert_eq!(world.states("d", "r").await, "failed: a success, b failed (2), c upstream_failed");
    let clear =
        Clear { run_id: Some("r".to_owned()), only_failed: true, reset_runs: true, ..Clear::default() };
    let cleared: Instances =
        world.order(|answer| Order::Clear { dag_id: "d".to_owned(), clear, answer }).await.expect("cleared");
    assert_eq!(cleared.len(), 2);
    world.until("d", "r", |run| run.clear_number == 1 && run.state.is_finished()).await;
    assert_eq!(world.states("d", "r").await, "failed: a success, b failed (4), c upstream_failed");
    world.stop().await;
}

#[test]
fn pools_priorities_and_bounds_are_kept() {
    // Each takes more than half of the default pool: one at a time, the heavier first.
    let worker = |id: &str, weight: i32| {
        let mut it = bash(
            id,
            "cd $TIDEMILL_PROJECT; mkdir one || exit 1; echo $AIRFLOW_CTX_TASK_ID >>order; sleep 0.05; rmdir one",
        );
        it.pool_slots = 100;
        it.priority_weight = weight;
        it
    };
    let last = "[ \"$(tr -d '\\n' <$TIDEMILL_PROJECT/order)\" = cba ]";
    check(
        vec![worker("a", 1), worker("b", 2), worker("c", 3), after(bash("last", last), &["a", "b", "c"])],
        "success: a success, b success, c success, last success",
    );
}

#[test]
fn a_dagrun_timeout_fails_the_run_and_skips_what_is_left() {
    let mut slow = dag("d", vec![bash("a", "sleep 60"), after(bash("b", "true"), &["a"])]);
    slow.dagrun_timeout = Some(TimeDelta::milliseconds(300));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new(vec![slow]).await;
        world.trigger("d", "r").await;
        world.ended("d", "r").await;
        assert_eq!(world.states("d", "r").await, "failed: a skipped, b skipped");
        world.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn catchup_makes_a_run_for_each_interval() {
    let mut daily = dag("d", vec![bash("a", "true")]);
    daily.schedule = Schedule::Cron("@daily".to_owned());
    daily.catchup = true;
    daily.max_active_runs = 2;
    let start = daily.start_date.expect("it has one");
    let clock = ManualClock::at((start + TimeDelta::hours(50)).timestamp_millis());
    let world =
        World::with(tempfile::tempdir().expect("a folder"), vec![daily], Arc::new(clock.clone())).await;
    for day in ["2026-01-01", "2026-01-02", "2026-01-03"] {
        assert_eq!(world.ended("d", &format!("scheduled__{day}T00:00:00+00:00")).await, RunState::Success);
    }
    clock.advance_ms(24 * 3_600_000);
    assert_eq!(world.ended("d", "scheduled__2026-01-04T00:00:00+00:00").await, RunState::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_runs_backwards_begins_with_the_latest_date() {
    let mut daily = dag("d", vec![bash("a", "echo {{ ds }} >> $TIDEMILL_PROJECT/order")]);
    daily.schedule = Schedule::Cron("@daily".to_owned());
    let start = daily.start_date.expect("it has one");
    let clock = ManualClock::at((start + TimeDelta::hours(80)).timestamp_millis());
    let world = World::with(tempfile::tempdir().expect("a folder"), vec![daily], Arc::new(clock)).await;
    // What the schedule itself wants.
    world.ended("d", "scheduled__2026-01-04T00:00:00+00:00").await;
    let new = NewBackfill {
        dag_id: "d".to_owned(),
        from: start,
        to: start + TimeDelta::hours(48),
        conf: "{}".to_owned(),
        reprocess: Reprocess::None,
        max_active_runs: 1,
        run_backwards: true,
    };
    let made = world.order(|answer| Order::Backfill { new, answer }).await.expect("it is made");
    world.ended("d", "backfill__2026-01-01T00:00:00+00:00").await;
    let order = std::fs::read_to_string(world.folder.path().join("order")).expect("tasks wrote it");
    assert_eq!(order, "2026-01-04\n2026-01-03\n2026-01-02\n2026-01-01\n");
    let kept = Backfill::list(&world.database, "WHERE b.id = ?1", crate::cells![made.id]).await;
    assert!(kept.expect("it answers")[0].run_backwards, "a second life goes on in the same order");
}

//! `tidemill dag` against a real Airflow 3: every command's output, and runs followed to their ends.

use testkit::{AIRFLOW_PASSWORD, AIRFLOW_USER, Airflow, Ran, World, airflow_server, poll};

use crate::{dag_runs, shared::world, snapshot};

const DAGS: &str = r#"
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("lake", start_date=datetime(2026, 1, 1), schedule="@daily", catchup=False, tags=["nightly"],
         description="documents to files", params={"bucket": "lake"}, is_paused_upon_creation=True) as lake:
    load = BashOperator(task_id="load", bash_command="echo loaded {{ params.bucket }}; echo '{{ dag_run.conf }}'",
                        retries=3, retry_delay=timedelta(seconds=1))
    check = EmptyOperator(task_id="check")
    load >> check

with DAG("broken", start_date=datetime(2026, 1, 1), schedule=None) as broken:
    good = EmptyOperator(task_id="good")
    bad = BashOperator(task_id="bad", bash_command="echo about to fail; exit 3")
    after = EmptyOperator(task_id="after")
    good >> bad >> after
"#;
const UNREADABLE: &str = "from airflow.sdk import DAG\nnothing.here()\n";

/// A command of a world that knows the Airflow and may sign in there.
struct Cli {
    world: World,
}

impl Cli {
    fn at(airflow: &Airflow) -> Self {
        let mut world = world();
        world.set("TIDEMILL_DAG_URL", &airflow.url);
        world.set("TIDEMILL_DAG_USER", AIRFLOW_USER).set("TIDEMILL_DAG_PASSWORD", AIRFLOW_PASSWORD);
        Self { world }
    }

    /// An Airflow over SQLite answers 500 while its database is locked, and then has done nothing, or it answers nothing in time:
    /// whoever asked asks again.
    fn run(&self, args: &[&str]) -> Ran {
        poll::until("Airflow's database is free", 240_000, || {
            let mut command = self.world.command(&[&["dag"], args].concat());
            let ran = testkit::ran(&mut command, 240);
            let is_locked = ran.stderr.contains("TM1044") && !ran.stderr.contains("not supported on SQLite");
            (!is_locked && !ran.stderr.contains("operation timed out")).then_some(ran)
        })
    }

    fn ok(&self, args: &[&str]) -> String {
        self.run(args).expect_success()
    }
}

/// The Airflow of this run, with the DAG files of all tests that want one.
pub fn airflow() -> Option<&'static Airflow> {
    let more = dag_runs::files();
    let mut files = vec![("lake.py", DAGS), ("unreadable.py", UNREADABLE)];
    files.extend(more.iter().map(|(name, text)| (*name, text.as_str())));
    airflow_server(&files)
}

/// Waits until the DAG processor has read all of the files, which come in no order: one name of each.
fn ready() -> Option<Cli> {
    let cli = Cli::at(airflow()?);
    poll::until("the DAGs are read", 240_000, || {
        let listed = cli.ok(&["list"]);
        ["lake", "unreadable.py", "rules_reversed", "triggers"]
            .iter()
            .all(|name| listed.contains(name))
            .then_some(())
    });
    Some(cli)
}

/// Without what differs from run to run: the lines that Airflow itself writes, states that are seen only at times, and what a machine
/// at work makes of it: tries that did not begin, and answers that were waited for.
fn plain(text: &str) -> String {
    let is_ours = |line: &str| line.ends_with("INFO  loaded lake") || line.ends_with("INFO  about to fail");
    let is_passing = |line: &str| {
        [" | ", ": running", ": up_for_retry", " has not answered for "]
            .iter()
            .any(|part| line.contains(part))
    };
    let lines = text.lines().filter(|line| is_ours(line) || !is_passing(line));
    let said = |line: &'_ str| line.split_once(" INFO ").map_or(line, |(_, said)| said).to_owned();
    let before = |line: String, end: &str| line.split(end).next().unwrap_or_default().to_owned();
    lines.map(|line| before(before(said(line), " (try"), " in ") + "\n").collect()
}

#[test]
fn every_command_manages_a_real_airflow() {
    let Some(cli) = ready() else { return };
    let world = &cli.world;
    snapshot!(world, "list", cli.run(&["list"]).shown());
    snapshot!(world, "show", cli.run(&["show", "lake"]).shown());
    snapshot!(world, "pause", cli.run(&["unpause", "lake"]).shown() + &cli.run(&["pause", "lake"]).shown());

    cli.ok(&["unpause", "lake"]);
    let conf = ["trigger", "lake", "--run-id", "first", "--conf", "{\"k\": 1}", "--wait"];
    let waited = cli.run(&conf);
    let shown = waited.clone().expect_code(0).shown();
    assert!(shown.contains("loaded lake") && shown.contains("'k': 1"), "{shown}");
    snapshot!(world, "trigger wait", plain(&shown));
    let tasks = cli.ok(&["tasks", "lake", "--run", "first"]);
    assert!(tasks.contains("load   success") && tasks.contains("check  success"), "{tasks}");
    let log = cli.ok(&["logs", "lake", "load", "--run", "first"]);
    assert!(log.contains("loaded lake") && !log.contains("::group::"), "{log}");
    assert!(cli.ok(&["runs", "lake"]).contains("first"));

    let failed = cli.run(&["trigger", "broken", "--run-id", "bad", "--wait"]).expect_code(7);
    assert!(failed.stdout.contains("about to fail"), "{}", failed.stdout);
    snapshot!(world, "trigger fails", plain(&failed.shown()));
    snapshot!(world, "runs", cli.run(&["runs", "broken"]).shown());
    snapshot!(world, "clear dry", cli.run(&["clear", "broken", "--only-failed", "--dry-run"]).shown());
    snapshot!(
        world,
        "clear",
        cli.run(&["clear", "broken", "--run", "bad", "--task", "bad", "--downstream"]).shown()
    );
    let followed = cli.ok(&["logs", "broken", "bad", "--follow"]);
    assert!(followed.contains("about to fail"), "{followed}");

    let range = ["--from", "2026-01-01", "--to", "2026-01-03"];
    snapshot!(
        world,
        "backfill dry",
        cli.run(&[&["backfill", "lake", "--dry-run"], &range[..]].concat()).shown()
    );
    // Airflow itself cannot always do it over SQLite, and then says so.
    let filled = cli.run(&[&["backfill", "lake"], &range[..]].concat());
    let is_refused = filled.code == Some(7) && filled.stderr.contains("not supported on SQLite");
    assert!(
        is_refused || filled.stdout.starts_with("backfill 1 of lake from 2026-01-01"),
        "{}",
        filled.shown()
    );
    let json = cli.ok(&["runs", "lake", "--output", "json"]);
    let runs: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(!runs["dag_runs"].as_array().unwrap().is_empty(), "{json}");
    cli.ok(&["pause", "lake"]);
}

#[test]
fn what_an_airflow_refuses_is_said_in_its_words() {
    let Some(cli) = ready() else { return };
    let mut world = crate::shared::world();
    let mut text = cli.run(&["show", "lak"]).expect_code(2).shown();
    text += &cli.run(&["trigger", "lake", "--conf", "[1]"]).expect_code(2).shown();
    text += &cli.run(&["runs", "lake", "--state", "tired"]).expect_code(2).shown();
    text +=
        &cli.run(&["backfill", "lake", "--from", "2026-01-03", "--to", "2026-01-01"]).expect_code(2).shown();
    let airflow = airflow().unwrap();
    world.set("TIDEMILL_DAG_URL", &airflow.url);
    text += &world.run(&["dag", "list"]).expect_code(4).shown();
    text += &world.run(&["dag", "list", "--user", "admin", "--password", "wrong"]).expect_code(4).shown();
    text += &world.run(&["dag", "list", "--token", "x"]).expect_code(4).shown();
    text += &world.run(&["dag", "list", "--url", "http://127.0.0.1:1"]).expect_code(5).shown();
    snapshot!(&world, "refusals", text);
}

//! `tidemill dag` against our own scheduler: every command's output, runs followed to their ends, and one without a scheduler.

use std::{fs, process::Stdio};

use testkit::{World, poll};

use crate::{shared::world, snapshot};

const DAGS: &str = r#"
default: {start_date: 2026-01-01, catchup: false, default_args: {owner: data}}

lake:
  description: documents to files
  schedule: "@daily"
  tags: [nightly]
  is_paused_upon_creation: true
  params: {bucket: lake}
  tasks:
    - task_id: load
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: "echo loaded {{ params.bucket }} of {{ ds }}"
    - task_id: parts
      operator: airflow.providers.standard.operators.bash.BashOperator
      expand:
        bash_command: ["echo part one", "echo part two"]
      max_active_tis_per_dagrun: 1
      dependencies: [load]
    - task_id: check
      operator: airflow.providers.standard.operators.empty.EmptyOperator
      dependencies: [parts]

broken:
  schedule: none
  tasks:
    - {task_id: good, operator: airflow.operators.empty.EmptyOperator}
    - {task_id: bad, operator: airflow.operators.bash.BashOperator, bash_command: "echo about to fail; exit 3", dependencies: [good]}
    - {task_id: after, operator: airflow.operators.empty.EmptyOperator, dependencies: [bad]}

slow:
  schedule: none
  tasks:
    - {task_id: sleep, operator: airflow.operators.bash.BashOperator, bash_command: "echo $$ > $TIDEMILL_PROJECT/pid; sleep 600"}
"#;
const UNREADABLE: &str = "unreadable:\n  tasks: [{task_id: a, operator: nothing.of.This}]\n";

fn dags() -> World {
    let world = world();
    world.write("dags/all.yml", DAGS);
    world.write("dags/unreadable.yml", UNREADABLE);
    world
}

/// Without clocks, and without states that are seen only at times.
fn steady(text: &str) -> String {
    let clock =
        |rest: &str| rest.get(9..).filter(|_| rest.as_bytes().get(2) == Some(&b':')).map(str::to_owned);
    let line = |line: &str| match line.split_once(" | ") {
        Some((task, said)) => format!("{task} | {}\n", clock(said).unwrap_or_else(|| said.to_owned())),
        None => clock(line).unwrap_or_else(|| line.to_owned()) + "\n",
    };
    text.lines().filter(|line| !line.ends_with(": running")).map(line).collect()
}

#[test]
fn every_command_manages_our_scheduler() {
    let mut world = dags();
    world.up_with(&["--only", "scheduler"]);
    let dag = |args: &[&str]| world.run(&[&["dag"], args].concat());
    snapshot!(&world, "list", dag(&["list"]).shown());
    snapshot!(&world, "show", dag(&["show", "lake"]).shown());

    let run = [
        "trigger",
        "lake",
        "--run-id",
        "first",
        "--logical-date",
        "2026-01-05",
        "--conf",
        "{\"bucket\": \"b\"}",
    ];
    let paused = dag(&run);
    snapshot!(&world, "trigger paused", paused.shown());
    snapshot!(&world, "unpause", dag(&["unpause", "lake"]).shown());
    poll::until("the run goes on", 20_000, || {
        dag(&["runs", "lake", "--state", "success"]).stdout.contains("first").then_some(())
    });
    snapshot!(&world, "tasks", dag(&["tasks", "lake", "--run", "first"]).shown());
    snapshot!(&world, "logs", steady(&dag(&["logs", "lake", "load", "--run", "first"]).shown()));
    let part =
        dag(&["logs", "lake", "parts", "--run", "first", "--map-index", "1", "--follow"]).expect_code(0);
    assert!(part.stdout.contains("part two") && !part.stdout.contains("part one"), "{}", part.stdout);

    let waited = dag(&["trigger", "lake", "--run-id", "second", "--logical-date", "2026-01-06", "--wait"]);
    snapshot!(&world, "trigger wait", steady(&waited.shown()));
    let failed = dag(&["trigger", "broken", "--run-id", "bad", "--wait"]);
    snapshot!(&world, "trigger fails", steady(&failed.shown()));
    snapshot!(&world, "runs", dag(&["runs", "broken"]).shown());
    snapshot!(&world, "clear dry", dag(&["clear", "broken", "--only-failed", "--dry-run"]).shown());
    let clear = ["clear", "broken", "--run", "bad", "--task", "bad", "--downstream"];
    snapshot!(&world, "clear", dag(&clear).shown());
    poll::until("it has run again", 20_000, || {
        let again = dag(&["tasks", "broken", "--output", "json"]).expect_success();
        let again: serde_json::Value = serde_json::from_str(&again).unwrap();
        let tasks = again["task_instances"].as_array().unwrap();
        tasks.iter().any(|task| task["state"] == "failed" && task["try_number"] == 2).then_some(())
    });
    let first = dag(&["logs", "broken", "bad", "--try", "1"]).expect_success();
    assert!(first.contains("about to fail"), "{first}");

    let range = ["--from", "2026-01-01", "--to", "2026-01-03"];
    snapshot!(
        &world,
        "backfill dry",
        dag(&[&["backfill", "lake", "--dry-run"], &range[..]].concat()).shown()
    );
    snapshot!(&world, "backfill", dag(&[&["backfill", "lake"], &range[..]].concat()).shown());
    poll::until("the backfill is done", 20_000, || {
        let done = dag(&["runs", "lake", "--state", "success"]).stdout;
        (done.matches("backfill__2026-01-0").count() == 3).then_some(())
    });
    snapshot!(&world, "pause", dag(&["pause", "lake"]).shown());
    let refused =
        dag(&["show", "lak"]).shown() + &dag(&["logs", "lake", "nothing", "--run", "first"]).shown();
    snapshot!(&world, "refusals", refused);
    world.down();
}

#[test]
fn a_dag_is_tested_without_a_scheduler() {
    let world = dags();
    let test = |args: &[&str]| world.run(&[&["dag", "test"], args].concat());
    let passed = test(&["lake", "--date", "2026-01-05", "--conf", "{\"bucket\": \"given\"}"]);
    snapshot!(&world, "test", steady(&passed.shown()));
    snapshot!(&world, "test fails", steady(&test(&["broken"]).shown()));
    snapshot!(&world, "test missing", test(&["lak"]).shown());
    assert!(!world.path(".tidemill/scheduler").exists(), "it leaves nothing behind");
}

#[test]
fn a_test_that_is_interrupted_ends_its_tasks() {
    let world = dags();
    let mut command = world.command(&["dag", "test", "slow"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = testkit::tied_to_us(command).unwrap();
    let pid = poll::until("the task runs", 20_000, || {
        fs::read_to_string(world.path("pid")).ok()?.trim().parse::<u32>().ok()
    });
    child.interrupt();
    let status = poll::until("it ends", 20_000, || child.ended());
    assert!(!status.success());
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap(), "its task has ended with it");
}

//! Kill -9 is an input: a scheduler that is killed at each named point, and at random moments, ends its runs as one that
//! never was. The scheduler is this very test program, started again; its tasks stay behind, as real ones do.

use std::{env, fs, path::Path, process::Command, time::Duration};

use scheduler::{Options, Service};
use serde_json::Value;
use testkit::{Seeded, poll, tied_to_us};

const FOLDER: &str = "TIDEMILL_TEST_FOLDER";
/// Lives of one history: each makes progress, so that far fewer are enough.
const LIVES_MAX: usize = 60;

const DAG: &str = r#"
default:
  start_date: 2026-01-01
  default_args:
    retries: 1000
    retry_delay: {__type__: datetime.timedelta, milliseconds: 1}

chores:
  schedule: none
  tasks:
    - task_id: extract
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: exec 9>>$TIDEMILL_PROJECT/extract.lock; flock -n 9 || echo extract >>$TIDEMILL_PROJECT/twice; sleep 0.02
    - task_id: each
      operator: airflow.providers.standard.operators.bash.BashOperator
      expand:
        bash_command: ["sleep 0.01", "sleep 0.02; exit 99", "true"]
      dependencies: [extract]
    - task_id: skipped
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: exit 99
      dependencies: [extract]
    - task_id: below
      operator: airflow.providers.standard.operators.empty.EmptyOperator
      dependencies: [skipped]
    - task_id: load
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: exec 9>>$TIDEMILL_PROJECT/load.lock; flock -n 9 || echo load >>$TIDEMILL_PROJECT/twice; sleep 0.02
      trigger_rule: none_failed
      dependencies: [each, skipped]
"#;

/// Not a test of its own: what the others start, with a folder to work in.
#[test]
fn one_life() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder).to_path_buf();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async move {
        let mut options = Options::at("127.0.0.1:0".parse().expect("an address"), &folder);
        options.environment = env::vars().filter(|(name, _)| name != "TIDEMILL_DIE_AT").collect();
        options.kill_grace_ms = 500;
        let handle = Service::start(options).await.expect("it starts");
        fs::write(folder.join("address.new"), handle.addr.to_string()).expect("the folder is ours");
        fs::rename(folder.join("address.new"), folder.join("address")).expect("the folder is ours");
        std::future::pending::<()>().await;
    });
}

/// What a history came to.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    states: Vec<String>,
    twice: bool,
}

/// One life: until the run has ended, or the moment comes, or it dies by itself. `None`: it did not end in it.
fn live(folder: &Path, die_at: Option<&str>, kill_after_ms: Option<u64>) -> Option<Vec<String>> {
    let mut command = Command::new(env::current_exe().expect("we are a program"));
    command.args(["--exact", "one_life", "--nocapture"]).env(FOLDER, folder);
    command.stdout(fs::File::create(folder.join("life.log")).expect("the folder is ours"));
    command.stderr(fs::File::create(folder.join("life.err")).expect("the folder is ours"));
    if let Some(point) = die_at {
        command.env("TIDEMILL_DIE_AT", point);
    }
    fs::remove_file(folder.join("address")).ok();
    let mut life = tied_to_us(command).expect("it starts");
    let began = std::time::Instant::now();
    poll::until("the life ends, or its run", 60_000, || {
        if life.ended().is_some() {
            return Some(None);
        }
        if kill_after_ms.is_some_and(|ms| began.elapsed() >= Duration::from_millis(ms)) {
            life.kill();
            return Some(None);
        }
        let address = fs::read_to_string(folder.join("address")).ok()?;
        states(&address).map(Some)
    })
}

/// Triggers the run where it is not there yet; its states once it has ended.
fn states(address: &str) -> Option<Vec<String>> {
    let runs = format!("http://{address}/api/v2/dags/chores/dagRuns");
    let run = testkit::try_http("GET", &format!("{runs}/r"), "").ok()?;
    if run.status == 404 {
        testkit::try_http("POST", &runs, r#"{"dag_run_id": "r", "logical_date": null}"#).ok()?;
        return None;
    }
    let state = serde_json::from_str::<Value>(&run.body).ok()?["state"].as_str()?.to_owned();
    if !["success", "failed"].contains(&state.as_str()) {
        return None;
    }
    let instances = testkit::try_http("GET", &format!("{runs}/r/taskInstances"), "").ok()?;
    let instances: Value = serde_json::from_str(&instances.body).ok()?;
    let shown = |it: &Value| format!("{}[{}] {}", it["task_id"], it["map_index"], it["state"]);
    let mut states: Vec<String> = instances["task_instances"].as_array()?.iter().map(shown).collect();
    states.sort();
    states.insert(0, state);
    Some(states)
}

/// Lives one after the other, the first ones cut short as `cut` says, until the run has ended.
fn history(mut cut: impl FnMut(usize) -> (Option<String>, Option<u64>)) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("dags")).expect("the folder is ours");
    fs::write(folder.path().join("dags/chores.yml"), DAG).expect("the folder is ours");
    for life in 0..LIVES_MAX {
        let (die_at, kill_after_ms) = cut(life);
        if let Some(states) = live(folder.path(), die_at.as_deref(), kill_after_ms) {
            return Ended { states, twice: folder.path().join("twice").exists() };
        }
    }
    let said = fs::read_to_string(folder.path().join("life.err")).unwrap_or_default();
    panic!("no end after {LIVES_MAX} lives: {said}");
}

#[test]
fn a_killed_scheduler_ends_its_runs_as_one_that_was_not() {
    let undisturbed = history(|_life| (None, None));
    assert_eq!(undisturbed.states[0], "success", "{undisturbed:?}");
    assert!(undisturbed.states.len() == 8 && !undisturbed.twice, "{undisturbed:?}");
    let points =
        ["scheduler.run.made", "scheduler.commit.before", "scheduler.commit.after", "scheduler.task.spawned"];
    let passages = if testkit::deep() { 1..=25 } else { 1..=6 };
    for point in points {
        for passage in passages.clone() {
            // Only the first life dies there: a later one would never come past its first passage.
            let killed = history(|life| ((life == 0).then(|| format!("{point}:{passage}")), None));
            assert_eq!(killed, undisturbed, "killed at {point}:{passage}");
        }
    }
    for seed in testkit::seeds(if testkit::deep() { 100 } else { 8 }) {
        let mut chance = Seeded::new(seed);
        // Ever longer lives, so that every history ends.
        let killed = history(|life| (None, (life < 6).then(|| chance.within(20..120 + 60 * life as u64))));
        assert_eq!(killed, undisturbed, "seed {seed}");
    }
}

//! DAG files as people write them, run by the whole service: Python, branches, mappings over outputs, sensors, templates.

mod outside;

use std::{fs, path::Path};

use base::Handle;
use scheduler::{Options, Service};
use serde_json::{Value, json};
use testkit::{http, poll};

const CALLABLES: &str = r#"
def rows(n, ds=None, **context):
    print("rows of", n)
    context["ti"].xcom_push("count", n)
    return list(range(n))

def double(number):
    return number * 2

def total(ti):
    return sum(ti.xcom_pull(task_ids="double", map_indexes=[0, 1, 2]))

def choose():
    return "left"

def no():
    return False

def skip():
    from airflow.exceptions import AirflowSkipException
    raise AirflowSkipException("nothing to do")

def wrong():
    raise ValueError("no such luck")
"#;

const DAG: &str = r#"
default:
  start_date: 2026-01-01
  schedule: none
  default_args: {retries: 0}

python:
  tasks:
    - task_id: rows
      operator: airflow.providers.standard.operators.python.PythonOperator
      python_callable_file: FOLDER/dags/callables.py
      python_callable_name: rows
      op_kwargs: {n: 3}
    - task_id: double
      operator: airflow.providers.standard.operators.python.PythonOperator
      python_callable_file: FOLDER/dags/callables.py
      python_callable_name: double
      expand:
        op_args: [[1], [2], [3]]
      dependencies: [rows]
    - task_id: total
      operator: airflow.providers.standard.operators.python.PythonOperator
      python_callable_file: FOLDER/dags/callables.py
      python_callable_name: total
      dependencies: [double]
    - task_id: shown
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: "echo {{ ti.xcom_pull(task_ids='total') }} {{ run_id }} {{ ti.xcom_pull(task_ids='rows', key='count') }}"
      dependencies: [total]

branches:
  tasks:
    - task_id: choose
      operator: airflow.providers.standard.operators.python.BranchPythonOperator
      python_callable_file: FOLDER/dags/callables.py
      python_callable_name: choose
    - {task_id: left, operator: airflow.providers.standard.operators.empty.EmptyOperator, dependencies: [choose]}
    - {task_id: right, operator: airflow.providers.standard.operators.empty.EmptyOperator, dependencies: [choose]}
    - task_id: join
      operator: airflow.providers.standard.operators.empty.EmptyOperator
      trigger_rule: none_failed_min_one_success
      dependencies: [left, right]
    - task_id: stop
      operator: airflow.providers.standard.operators.python.ShortCircuitOperator
      python_callable_file: FOLDER/dags/callables.py
      python_callable_name: "no"
      dependencies: [join]
    - {task_id: never, operator: airflow.providers.standard.operators.empty.EmptyOperator, dependencies: [stop]}
    - task_id: skip
      operator: airflow.providers.standard.operators.python.PythonOperator
      python_callable_file: FOLDER/dags/callables.py
      python_callable_name: skip

raises:
  tasks:
    - task_id: wrong
      operator: airflow.providers.standard.operators.python.PythonOperator
      python_callable_file: FOLDER/dags/callables.py
      python_callable_name: wrong

sensors:
  tasks:
    - task_id: file
      operator: airflow.providers.standard.sensors.filesystem.FileSensor
      filepath: FOLDER/there*
      poke_interval: 0.05
      mode: reschedule
    - task_id: never
      operator: airflow.providers.standard.sensors.filesystem.FileSensor
      filepath: FOLDER/never
      poke_interval: 0.05
      timeout: 0.2
      soft_fail: true
    - task_id: trigger
      operator: airflow.providers.standard.operators.trigger_dagrun.TriggerDagRunOperator
      trigger_dag_id: branches
      trigger_run_id: from_sensors
      wait_for_completion: true
      dependencies: [file]
"#;

struct World {
    folder: tempfile::TempDir,
    handle: Handle,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> World {
        World::with(DAG, |_options| {})
    }

    fn with(dags: &str, change: impl FnOnce(&mut Options)) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        fs::create_dir(folder.path().join("dags")).expect("the folder is ours");
        fs::write(folder.path().join("dags/callables.py"), CALLABLES).expect("the folder is ours");
        let text = dags.replace("FOLDER", &folder.path().display().to_string());
        fs::write(folder.path().join("dags/all.yml"), text).expect("the folder is ours");
        let mut options = Options::at("127.0.0.1:0".parse().expect("an address"), folder.path());
        options.environment = std::env::vars().collect();
        options.scan_interval_ms = 50;
        change(&mut options);
        let handle = runtime.block_on(Service::start(options)).expect("it starts");
        let world = World { folder, handle, runtime };
        assert_eq!(world.get("/importErrors")["import_errors"], json!([]));
        world
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}/api/v2{rest}", self.handle.addr)
    }

    fn get(&self, rest: &str) -> Value {
        http("GET", &self.url(rest), "").expect(200).json()
    }

    fn post(&self, rest: &str, body: &Value) {
        let answer = http("POST", &self.url(rest), &body.to_string());
        assert!(answer.status < 300, "{rest}: {}", answer.body);
    }

    fn trigger(&self, dag_id: &str, logical_date: Option<&str>) {
        let body = json!({ "dag_run_id": "r", "logical_date": logical_date });
        self.post(&format!("/dags/{dag_id}/dagRuns"), &body);
    }

    fn ran(&self, dag_id: &str) -> String {
        self.trigger(dag_id, None);
        self.ended(dag_id)
    }

    /// `success: a success, b[0] failed`.
    fn ended(&self, dag_id: &str) -> String {
        let state = poll::until("the run ends", 30_000, || {
            let run = self.get(&format!("/dags/{dag_id}/dagRuns/r"));
            let state = run["state"].as_str().expect("a state").to_owned();
            ["success", "failed"].contains(&state.as_str()).then_some(state)
        });
        let instances = self.get(&format!("/dags/{dag_id}/dagRuns/r/taskInstances"));
        let shown = |it: &Value| {
            let index =
                it["map_index"].as_i64().filter(|index| *index >= 0).map(|index| format!("[{index}]"));
            let text = |name: &str| it[name].as_str().unwrap_or("none").to_owned();
            format!("{}{} {}", text("task_id"), index.unwrap_or_default(), text("state"))
        };
        let mut states: Vec<String> =
            instances["task_instances"].as_array().expect("a list").iter().map(shown).collect();
        states.sort();
        format!("{state}: {}", states.join(", "))
    }

    fn xcom(&self, dag_id: &str, task_id: &str) -> Value {
        self.get(&format!("/dags/{dag_id}/dagRuns/r/taskInstances/{task_id}/xcomEntries/return_value"))["value"]
            .clone()
    }

    fn log(&self, dag_id: &str, task_id: &str) -> String {
        let answer = self.get(&format!("/dags/{dag_id}/dagRuns/r/taskInstances/{task_id}/logs/1"));
        let lines = answer["content"].as_array().expect("a list").iter();
        lines.map(|line| line["event"].as_str().unwrap_or_default().to_owned() + "\n").collect()
    }

    fn stop(self) {
        self.runtime.block_on(self.handle.stop(5_000)).expect("it stops");
    }
}

#[test]
fn python_gives_values_to_others() {
    let world = World::new();
    assert_eq!(
        world.ran("python"),
        "success: double[0] success, double[1] success, double[2] success, rows success, shown success, total success"
    );
    assert_eq!(world.xcom("python", "shown"), "12 r 3");
    assert!(world.log("python", "rows").contains("rows of 3\n"), "{}", world.log("python", "rows"));
    world.stop();
}

#[test]
fn branches_short_circuits_and_exceptions_skip_and_fail() {
    let world = World::new();
    assert_eq!(
        world.ran("branches"),
        "success: choose success, join success, left success, never skipped, right skipped, skip skipped, stop success"
    );
    assert_eq!(world.ran("raises"), "failed: wrong failed");
    let log = world.log("raises", "wrong");
    assert!(log.contains("ValueError: no such luck") && log.contains("Task failed"), "{log}");
    world.stop();
}

#[test]
fn sensors_wait_and_runs_trigger_runs() {
    let world = World::new();
    let there = world.folder.path().join("there.txt");
    let write = std::thread::spawn(move || {
        poll::moment(300);
        fs::write(there, "").expect("the folder is ours");
    });
    assert_eq!(world.ran("sensors"), "success: file success, never skipped, trigger success");
    write.join().expect("it writes");
    assert_eq!(world.get("/dags/branches/dagRuns/from_sensors")["triggered_by"], "operator");
    world.stop();
}

#[test]
fn files_are_read_again_and_a_broken_one_does_not_stop_the_others() {
    let world = World::new();
    let file = |name: &str| world.folder.path().join("dags").join(name);
    let write = |path: &Path, text: &str| fs::write(path, text).expect("the folder is ours");
    write(&file("broken.yml"), "broken:\n  tasks: [{operator: nothing.of.This}]\n");
    let one = "more:\n  start_date: 2026-01-01\n  schedule: none\n  tasks:\n    - {task_id: a, operator: \
        airflow.operators.empty.EmptyOperator}\n";
    write(&file("more.yml"), one);
    poll::until("the new file is read", 5_000, || {
        (self::http("GET", &world.url("/dags/more"), "").status == 200).then_some(())
    });
    let errors = world.get("/importErrors");
    assert_eq!(
        (errors["total_entries"].as_i64(), errors["import_errors"][0]["filename"].as_str()),
        (Some(1), Some("broken.yml"))
    );
    fs::remove_file(file("more.yml")).expect("it is there");
    fs::remove_file(file("broken.yml")).expect("it is there");
    poll::until("what is gone is stale", 5_000, || {
        let stale = world.get("/dags/more")["is_stale"].as_bool() == Some(true);
        (stale && world.get("/importErrors")["total_entries"] == 0).then_some(())
    });
    assert_eq!(world.ran("branches").split(':').next(), Some("success"));
    world.stop();
}

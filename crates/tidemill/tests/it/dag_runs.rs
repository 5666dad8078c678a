//! The same DAG files run by a real Airflow 3 with dag-factory and by our scheduler: states, tries, values and order compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Value, json};
use testkit::{AIRFLOW_PASSWORD, AIRFLOW_USER};

use crate::{airflow_client, shared::world};

const RULES: [&str; 13] = [
    "all_success",
    "all_failed",
    "all_done",
    "all_done_min_one_success",
    "all_done_setup_success",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "all_skipped",
    "always",
];
/// Those that wait for every task upstream.
const RULES_THAT_WAIT: [&str; 8] = [
    "all_success",
    "all_done",
    "all_done_min_one_success",
    "all_done_setup_success",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "all_failed",
];
const UPSTREAMS: [&str; 8] =
    ["good", "bad", "skip", "below", "good, bad", "good, skip", "bad, skip", "good, bad, skip"];

/// Every trigger rule below every mixture of ends, which come in this order.
fn rules(dag_id: &str, order: [&str; 3]) -> String {
    let mut text = format!("{dag_id}:\n  start_date: 2026-01-01\n  tasks:\n");
    let mut before = "[]".to_owned();
    for task in order {
        let command = match task {
            "good" => "true",
            "bad" => "exit 1",
            _skip => "exit 99",
        };
        text += &format!(
            "    - {{task_id: {task}, operator: airflow.operators.bash.BashOperator, bash_command: \"{command}\", \
             trigger_rule: all_done, dependencies: {before}}}\n"
        );
        before = format!("[{task}]");
    }
    let mut empty = |task_id: &str, rule: &str, upstream: &str| {
        text += &format!(
            "    - {{task_id: {task_id}, operator: airflow.operators.empty.EmptyOperator, trigger_rule: {rule}, \
             dependencies: [{upstream}]}}\n"
        );
    };
    empty("below", "all_success", "bad");
    for rule in RULES {
        for upstream in UPSTREAMS {
            empty(&format!("{rule}_of_{}", upstream.replace(", ", "_")), rule, upstream);
        }
    }
    text
}

/// What lies in the DAG folder of both.
pub fn files() -> Vec<(&'static str, String)> {
    let rules = rules("rules", ["good", "bad", "skip"]) + &rules("rules_reversed", ["skip", "bad", "good"]);
    let given = [
        ("flows.yml", include_str!("dag_runs/flows.yml")),
        ("defaults.yml", include_str!("dag_runs/defaults.yml")),
        ("callables.py", include_str!("dag_runs/callables.py")),
        // One for each file: a task of Airflow reads the whole of it first.
        ("flows.py", include_str!("dag_runs/loader.py")),
        ("rules.py", include_str!("dag_runs/loader.py")),
    ];
    let given = given.into_iter().map(|(name, text)| (name, text.to_owned()));
    given.chain([("rules.yml", rules)]).collect()
}

fn wanted() -> Value {
    let dags = [
        "retries",
        "branches",
        "mapping",
        "mapping_fails",
        "triggers",
        "limits",
        "sensors",
        "groups",
        "dates",
        "deadlock",
        "rules",
        "rules_reversed",
    ];
    let date = "2026-01-02T03:04:05+00:00";
    let mut wanted: Vec<Value> = dags.iter().map(|dag| json!([dag, "compared", date, {}])).collect();
    wanted.push(json!(["templates", "compared", date, {"k": 1, "word": "given"}]));
    wanted.push(json!(["past", "first", "2026-01-01T00:00:00+00:00", {}]));
    wanted.push(json!(["past", "second", "2026-01-02T00:00:00+00:00", {}]));
    Value::from(wanted)
}

/// What came of the runs, with the folder's name replaced.
fn driven(python: &Path, url: &str, user: &str, password: &str, dags: &Path) -> Value {
    let args = [url, &wanted().to_string(), user, password];
    let mut command = std::process::Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/dag_runs/drive.py")).args(args);
    let ran = testkit::ran(&mut command, 700);
    let said = ran.stderr.clone();
    let text = ran.expect_success().replace(&dags.display().to_string(), "[DAGS]");
    let driven: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(driven["late"], json!([]), "{url}: {said}\n{driven:#}");
    driven
}

#[test]
fn runs_here_are_as_those_of_a_real_airflow() {
    let Some(airflow) = airflow_client::airflow() else { return };
    let python = testkit::venv_python("airflow").expect("Airflow runs in it");
    let theirs = driven(&python, &airflow.url, AIRFLOW_USER, AIRFLOW_PASSWORD, &airflow.dags);

    let mut world = world();
    for (name, text) in files() {
        world.write(&format!("dags/{name}"), text);
    }
    let url = world.up_with(&["--only", "scheduler"]).scheduler();
    let dags = fs::canonicalize(world.path("dags")).unwrap();
    let ours = driven(&python, &url, "", "", &dags);
    world.down();

    let mut differences = Vec::new();
    compare("", &steady(&theirs), &steady(&ours), &mut differences);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    for (who, runs) in [("Airflow", &theirs), ("here", &ours)] {
        let disordered = out_of_order(runs);
        assert!(disordered.is_empty(), "{who}:\n{}", disordered.join("\n"));
        assert_eq!(starts(&runs["runs"]["limits compared"]), ["high", "middle", "low"], "{who}");
        let of_past = |run: &str, which: &str| runs["runs"][run]["tasks"]["step"][which].as_f64();
        assert!(of_past("past second", "started") >= of_past("past first", "ended"), "{who}");
        waits_grow(who, &runs["runs"]["retries compared"]["tasks"]["third_time"]["tries"]);
    }
    // What was compared was worth it: every end that there is came about.
    let states: BTreeSet<&str> = tasks(&theirs).filter_map(|(_name, task)| task["state"].as_str()).collect();
    assert_eq!(states, BTreeSet::from(["failed", "skipped", "success", "upstream_failed"]));
}

fn tasks(driven: &Value) -> impl Iterator<Item = (String, &Value)> {
    let runs = driven["runs"].as_object().into_iter().flatten();
    runs.flat_map(|(run, of)| {
        let tasks = of["tasks"].as_object().into_iter().flatten();
        tasks.map(move |(name, task)| (format!("{run} {name}"), task))
    })
}

/// Without times, and with lists sorted whose order means nothing.
fn steady(driven: &Value) -> Value {
    let mut steady = driven.clone();
    let runs = steady["runs"].as_object_mut().unwrap();
    for task in runs.values_mut().flat_map(|run| run["tasks"].as_object_mut().unwrap().values_mut()) {
        task["started"] = json!(task["started"].is_number());
        task["ended"] = json!(task["ended"].is_number());
        for one in task["tries"].as_array_mut().into_iter().flatten() {
            *one = json!([one[0], one[1]]);
        }
        let skips = task["xcoms"]["skipmixin_key"].as_object_mut();
        for names in skips.into_iter().flat_map(|skips| skips.values_mut()).filter_map(Value::as_array_mut) {
            names.sort_by_key(Value::to_string);
        }
    }
    steady
}

/// Airflow also shows the arguments that were not given, with their defaults.
fn compare(path: &str, theirs: &Value, ours: &Value, differences: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(left), Value::Object(right)) => {
            let is_rendered = path.ends_with("/rendered");
            let keys: BTreeSet<&String> = left.keys().filter(|_| !is_rendered).chain(right.keys()).collect();
            for key in keys {
                let side = |side: &serde_json::Map<String, Value>| {
                    side.get(key).cloned().unwrap_or_else(|| json!("(absent)"))
                };
                compare(&format!("{path}/{key}"), &side(left), &side(right), differences);
            }
        }
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => {}
        (left, right) if left == right => {}
        (left, right) => differences.push(format!("{path}: Airflow {left}, here {right}")),
    }
}

/// Edges whose second task began before the first had ended, though its rule waits for all.
fn out_of_order(driven: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (run, of) in driven["runs"].as_object().unwrap() {
        let graph = &driven["graphs"][run.split(' ').next().unwrap()];
        let mut instances: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (name, task) in of["tasks"].as_object().unwrap() {
            instances.entry(name.split('[').next().unwrap()).or_default().push(task);
        }
        // A task whose dates leave it out has none.
        let of = |task: &str| instances.get(task).into_iter().flatten();
        for (task, node) in graph.as_object().unwrap() {
            for below in node["downstream"].as_array().unwrap().iter().filter_map(Value::as_str) {
                if !RULES_THAT_WAIT.contains(&graph[below]["rule"].as_str().unwrap()) {
                    continue;
                }
                let ended = of(task).filter_map(|it| it["ended"].as_f64());
                let ended = ended.fold(0.0, f64::max);
                let ran =
                    |it: &&&Value| ["success", "failed"].contains(&it["state"].as_str().unwrap_or_default());
                let began = of(below).filter(ran).filter_map(|it| it["started"].as_f64());
                if began.fold(f64::INFINITY, f64::min) < ended {
                    found.push(format!("{run}: {below} began before {task} had ended"));
                }
            }
        }
    }
    found
}

/// The tasks in the pool with one slot, as they began.
fn starts(run: &Value) -> Vec<&str> {
    let tasks = run["tasks"].as_object().unwrap();
    let mut pooled: Vec<_> = tasks.iter().filter(|(_name, task)| task["pool"] == "single").collect();
    pooled
        .sort_by(|left, right| left.1["started"].as_f64().partial_cmp(&right.1["started"].as_f64()).unwrap());
    pooled.into_iter().map(|(name, _task)| name.as_str()).collect()
}

/// A retry delay of a second that doubles: the first wait is at least one second, the second at least two.
#[track_caller]
fn waits_grow(who: &str, tries: &Value) {
    let at = |number: usize, place: usize| tries[number][place].as_f64().unwrap();
    assert!(at(1, 2) - at(0, 3) >= 0.99 && at(2, 2) - at(1, 3) >= 1.99, "{who}: {tries}");
}

//! What is right in a DAG file is what Airflow and dag-factory make of it; what is wrong is said with its place.

use std::{path::PathBuf, process::Command};

use base::{ManualClock, Problem, SystemClock, problem::plain};
use serde_json::{Map as Json, Value, json};

use super::*;
use crate::{
    dag::{Arg, Param, Schedule, Task, TaskGroup},
    timetable::iso,
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dags")
}

fn environment(name: &str) -> Option<String> {
    match name {
        "TIDEMILL_TEST_WORD" => Some("word".to_owned()),
        "TIDEMILL_TEST_COUNT" => Some("6".to_owned()),
        _ => None,
    }
}

/// Reads `text` as the one file of a folder.
fn read(text: &str) -> Vec<Result<Dag, Error>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.yml");
    fs::write(&file, text).expect("writable");
    let clock = ManualClock::at(1_767_225_600_000);
    let reader = Reader { folder: folder.path(), shown: "dags", environment: &environment, clock: &clock };
    reader.read_folder()
}

fn one(text: &str) -> Dag {
    read(text).pop().expect("one DAG").unwrap_or_else(|error| panic!("{}", plain(&error)))
}

/// A DAG `d` whose task `t` is a BashOperator, with some lines more.
fn with_lines(dag: &str, task: &str) -> String {
    format!(
        "d:\n{dag}  tasks:\n    t:\n      operator: airflow.operators.bash.BashOperator\n      bash_command: ls\n{task}"
    )
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let empty = "operator: airflow.operators.empty.EmptyOperator";
    let cases = [
        "d: [".to_owned(),
        "d: !!python/name:os.system x".to_owned(),
        "d: 1".to_owned(),
        with_lines("  schedle: none\n", ""),
        with_lines("  schedule_interval: none\n", ""),
        with_lines("  schedule: 61 * * * *\n", ""),
        with_lines("  schedule: {datasets: [s3://a]}\n", ""),
        with_lines("  schedule: [s3://a]\n", ""),
        with_lines("  schedule: \"@continuous\"\n", ""),
        with_lines("  catchup: true\n  schedule: \"@daily\"\n", ""),
        with_lines("  start_date: soon\n", ""),
        with_lines("  dagrun_timeout: 60\n", ""),
        with_lines("  dagrun_timeout_sec: 60\n", ""),
        with_lines("  on_failure_callback: a.b\n", ""),
        with_lines("  default_args: {retrys: 1}\n", ""),
        with_lines("  params: {a: {__type__: numpy.array}}\n", ""),
        with_lines("  schedule: \"@daily\"\n  params: {a: {__type__: airflow.sdk.Param, type: integer}}\n", ""),
        with_lines("", "      bash_comand: ls\n"),
        with_lines("", "      bash_command: ls\n"),
        with_lines("", "      retry_delay_sec: 5\n"),
        with_lines("", "      retries: two\n"),
        with_lines("", "      trigger_rule: all_sucess\n"),
        with_lines("", "      dependencies: [u]\n"),
        with_lines("", "      dependencies: t\n"),
        with_lines("", "      task_group_name: g\n"),
        with_lines("", "      expand: {bash_command: later.output}\n").replace("      bash_command: ls\n", ""),
        with_lines("", "      expand: {env: {A: x}, cwd: 1}\n"),
        "d:\n  tasks:\n    t: {operator: airflow.operators.bash.BashOperator}\n".to_owned(),
        "d:\n  tasks:\n    t: {operator: airflow.operators.bash.BashOperater, bash_command: ls}\n".to_owned(),
        "d:\n  tasks:\n    t: {operator: airflow.providers.cncf.kubernetes.operators.pod.KubernetesPodOperator}\n"
            .to_owned(),
        "d:\n  tasks:\n    t: {operator: airflow.operators.python.PythonOperator, python_callable_name: f, python_callable_file: f.py}\n"
            .to_owned(),
        "d:\n  tasks:\n    t: {decorator: airflow.decorators.task}\n".to_owned(),
        format!("d:\n  tasks:\n    a: {{{empty}, dependencies: [c]}}\n    b: {{{empty}, dependencies: [a]}}\n    c: {{{empty}, dependencies: [b]}}\n"),
        format!("d:\n  task_groups:\n    g: {{dependencies: [t]}}\n  tasks:\n    t: {{{empty}, task_group_name: g}}\n"),
        format!("d:\n  tasks:\n    - {{task_id: t, {empty}}}\n    - {{task_id: t, {empty}}}\n"),
        format!("d:\n  tasks:\n    t: {{{empty}}}\n    t: {{{empty}}}\n"),
        format!("d:\n  tasks:\n    a b: {{{empty}}}\n"),
        "d:\n  schedule: none\n".to_owned(),
    ];
    let mut shown = Vec::new();
    for text in &cases {
        let errors = read(text).into_iter().filter_map(Result::err);
        let texts: Vec<String> = errors.map(|error| plain(&error)).collect();
        assert_eq!(texts.len(), 1, "{text}");
        shown.extend(texts);
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("nowhere.yml", folder.path().join("a.yml")).expect("writable");
    fs::write(folder.path().join("b.yml"), with_lines("", "")).expect("writable");
    let clock = ManualClock::at(0);
    let reader = Reader { folder: folder.path(), shown: "dags", environment: &environment, clock: &clock };
    let read = reader.read_folder();
    let error = read[0].as_ref().expect_err("a link to nothing");
    let text = plain(error).replace(&folder.path().display().to_string(), "[folder]");
    insta::assert_snapshot!(text);
    assert!(read[1].is_ok());
}

#[test]
fn a_wrong_dag_leaves_the_others_of_its_file() {
    let text = format!("{}{}", with_lines("", ""), with_lines("  nonsense: 1\n", "").replacen('d', "e", 1));
    let read: Vec<Result<String, &str>> = read(&text)
        .into_iter()
        .map(|dag| dag.map(|dag| dag.dag_id).map_err(|error| error.code().id))
        .collect();
    assert_eq!(read, [Ok("d".to_owned()), Err("TM1303")]);
}

#[test]
fn a_place_behind_a_variable_is_that_of_the_file() {
    let error = read(&with_lines("  description: $TIDEMILL_TEST_WORD\n", "      foo: 1\n")).pop();
    let error = error.expect("one answer").expect_err("an unknown key");
    assert_eq!(error.spot().expect("a place").to_string(), "dags/a.yml:7:7");
}

#[test]
fn a_billion_laughs_end_early() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        text += &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(", "));
    }
    assert_eq!(read(&text)[0].as_ref().expect_err("too much").code().id, "TM1302");
}

#[test]
fn folders_are_walked_as_dag_factory_walks_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a parent")).expect("writable");
        fs::write(file, text).expect("writable");
    };
    write(".airflowignore", "skipped_*.yml  # drafts\n/old/\n**/tmp/*.yml\n!old\n");
    write("lib/.airflowignore", "*\n!kept.yml\n");
    for name in [
        "b.yml",
        "a.yaml",
        "skipped_1.yml",
        "notes.txt",
        "old/x.yml",
        "z/tmp/y.yml",
        "z/y.yml",
        "lib/x.yml",
        "lib/kept.yml",
    ] {
        write(name, &with_lines("", "").replacen('d', &name.replace(['/', '.'], "_"), 1));
    }
    let clock = ManualClock::at(0);
    let reader = Reader { folder: folder.path(), shown: "dags", environment: &environment, clock: &clock };
    let ids: Vec<String> = reader
        .read_folder()
        .into_iter()
        .map(|dag| dag.map_or_else(|error| plain(&error), |dag| dag.dag_id))
        .collect();
    assert_eq!(ids, ["a_yaml", "b_yml", "lib_kept_yml", "old_x_yml", "z_y_yml"]);
}

#[test]
fn relative_dates_count_from_the_day_of_reading() {
    let dag = one(&with_lines("  start_date: 2 days\n  timezone: Asia/Tokyo\n", ""));
    // The clock stands at 2026-01-01T00:00Z, which is 09:00 in Tokyo.
    assert_eq!(dag.start_date.map(iso).as_deref(), Some("2025-12-29T15:00:00+00:00"));
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_written_makes_the_reader_fail(text in "[-a-d:{}\\[\\]*&!<|>'\"%@$0-9.+_ \n]{0,80}|\\PC{0,60}") {
        read(&text);
        read(&with_lines(&format!("  start_date: {text}\n"), ""));
        read(&with_lines(&format!("  schedule: \"{text}\"\n"), ""));
        let _ = ignore::patterns(&text);
    }
}

/// Every feature of the fixtures, read by dag-factory and Airflow and by us.
#[test]
fn the_same_files_mean_the_same_to_airflow() {
    let Some(python) = testkit::venv_python("airflow") else { return };
    let home = tempfile::tempdir().expect("a folder");
    let folder = fs::canonicalize(fixtures()).expect("the fixtures");
    let output = Command::new(python)
        .args(["-c", include_str!("../../fixtures/dump_dags.py")])
        .arg(&folder)
        .env("AIRFLOW_HOME", home.path())
        .env("AIRFLOW__CORE__DAGS_FOLDER", &folder)
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TIDEMILL_TEST_WORD", "word")
        .env("TIDEMILL_TEST_COUNT", "6")
        .output()
        .expect("Python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or("").to_owned();
    let theirs: Value = serde_json::from_str(&last)
        .unwrap_or_else(|error| panic!("{error}: {last}\n{}", String::from_utf8_lossy(&output.stderr)));
    let reader = Reader { folder: &folder, shown: "dags", environment: &environment, clock: &SystemClock };
    let mut ours: Json<String, Value> = Json::new();
    for dag in reader.read_folder() {
        let dag = dag.unwrap_or_else(|error| panic!("{}", plain(&error)));
        let file = dag.file.strip_prefix(&folder).expect("inside").display().to_string();
        let dags = ours.entry(file).or_insert_with(|| json!({}));
        dags[&dag.dag_id] = dump(&dag);
    }
    let mut differences = Vec::new();
    compare("", &theirs, &Value::Object(ours), &mut differences);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Arguments that were not given are Airflow's defaults there and absent here.
fn compare(path: &str, theirs: &Value, ours: &Value, differences: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(left), Value::Object(right)) => {
            let is_args = path.ends_with(".args");
            let keys: BTreeSet<&String> = left.keys().filter(|_| !is_args).chain(right.keys()).collect();
            for key in keys {
                let child =
                    |side: &Json<String, Value>| side.get(key).cloned().unwrap_or(Value::from("(absent)"));
                compare(&format!("{path}.{key}"), &child(left), &child(right), differences);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}[{index}]"), left, right, differences);
            }
        }
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => {}
        (left, right) if left == right => {}
        (left, right) => differences.push(format!("{path}: Airflow {left}, here {right}")),
    }
}

fn dump(dag: &Dag) -> Value {
    let (schedule, timetable) = match &dag.schedule {
        Schedule::None => (Value::Null, "NullTimetable"),
        Schedule::Once => (Value::from("@once"), "OnceTimetable"),
        Schedule::Continuous => (Value::from("@continuous"), "ContinuousTimetable"),
        Schedule::Cron(text) => (Value::from(text.as_str()), "CronTriggerTimetable"),
        Schedule::Delta(delta) => (Value::from(delta.as_seconds_f64()), "DeltaTriggerTimetable"),
    };
    json!({
        "display_name": dag.display_name,
        "description": dag.description,
        "doc_md": dag.doc_md.as_deref().map(str::trim),
        "tags": dag.tags,
        "schedule": schedule,
        "timetable": timetable,
        "timezone": dag.timezone.name(),
        "start_date": dag.start_date.map(iso),
        "end_date": dag.end_date.map(iso),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "max_active_tasks": dag.max_active_tasks,
        "dagrun_timeout": dag.dagrun_timeout.map(|it| it.as_seconds_f64()),
        "is_paused_upon_creation": dag.is_paused_upon_creation,
        "render_template_as_native_obj": dag.render_template_as_native_obj,
        "params": dump_params(&dag.params),
        "order": dag.tasks.keys().collect::<Vec<_>>(),
        "tasks": dag.tasks.iter().map(|(id, task)| (id.clone(), dump_task(task))).collect::<Json<_, _>>(),
        "groups": dag.groups.iter().map(|(id, group)| (id.clone(), dump_group(group))).collect::<Json<_, _>>(),
    })
}

fn dump_params(params: &indexmap::IndexMap<String, Param>) -> Value {
    let dump = |param: &Param| json!({ "value": arg_json(&param.value), "description": param.description, "schema": param.schema });
    Value::Object(params.iter().map(|(name, param)| (name.clone(), dump(param))).collect())
}

fn arg_json(value: &Arg) -> Value {
    match value {
        Arg::XCom { task_id, key } => json!({ "output": task_id, "key": key }),
        Arg::List(items) => items.iter().map(arg_json).collect(),
        Arg::Map(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), arg_json(value))).collect())
        }
        other => other.to_json(),
    }
}

fn dump_task(task: &Task) -> Value {
    let sorted = |ids: &indexmap::IndexSet<String>| ids.iter().cloned().collect::<BTreeSet<_>>();
    let operator = &task.operator;
    let decorated = operator.class.ends_with(".task");
    let kind = if decorated { "_PythonDecoratedOperator" } else { operator.kind.word() };
    let expand = task.mapping.as_ref().map(|mapping| {
        mapping.expand.iter().map(|(key, value)| (key.clone(), arg_json(value))).collect::<Json<_, _>>()
    });
    json!({
        "type": kind,
        "group": task.group,
        "upstream": sorted(&task.upstream),
        "downstream": sorted(&task.downstream),
        "trigger_rule": task.trigger_rule.word(),
        "retries": task.retry.retries,
        "retry_delay": task.retry.delay.as_seconds_f64(),
        "retry_exponential_backoff": task.retry.exponential_backoff,
        "max_retry_delay": task.retry.delay_max.map(|it| it.as_seconds_f64()),
        "execution_timeout": task.execution_timeout.map(|it| it.as_seconds_f64()),
        "depends_on_past": task.depends_on_past,
        "wait_for_downstream": task.wait_for_downstream,
        "ignore_first_depends_on_past": task.ignore_first_depends_on_past,
        "pool": task.pool,
        "pool_slots": task.pool_slots,
        "priority_weight": task.priority_weight,
        "weight_rule": task.weight_rule.word(),
        "queue": task.queue,
        "owner": task.owner,
        "start_date": task.start_date.map(iso),
        "end_date": task.end_date.map(iso),
        "max_active_tis_per_dag": task.max_active_tis_per_dag,
        "max_active_tis_per_dagrun": task.max_active_tis_per_dagrun,
        "do_xcom_push": task.do_xcom_push,
        "multiple_outputs": task.multiple_outputs,
        "display_name": task.display_name,
        "params": dump_params(&task.params),
        "doc_md": task.doc_md,
        "expand": expand,
        "args": operator.args.iter().map(|(key, value)| (key.clone(), arg_json(value))).collect::<Json<_, _>>(),
    })
}

fn dump_group(group: &TaskGroup) -> Value {
    let sorted = |ids: &indexmap::IndexSet<String>| ids.iter().cloned().collect::<BTreeSet<_>>();
    json!({
        "parent": group.parent,
        "tooltip": group.tooltip,
        "prefix_group_id": group.prefix_group_id,
        "upstream_groups": sorted(&group.upstream_groups),
        "downstream_groups": sorted(&group.downstream_groups),
        "upstream_tasks": sorted(&group.upstream_tasks),
        "downstream_tasks": sorted(&group.downstream_tasks),
    })
}

//! The operators that call Python: a small runner in the user's own interpreter, arguments and result as JSON.

use std::{collections::HashSet, fs, path::PathBuf};

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::sensors::Look;
use crate::{
    dag::{Arg, Callable, Param, Task},
    executor::{Attempt, Done, Ended, Failure, Program},
    known::all_relatives,
    scheduling::Skips,
};

/// What runs in the user's interpreter.
const RUNNER: &str = include_str!("runner.py");

pub fn run(attempt: &mut Attempt, task: &Task) -> Result<Done, Failure> {
    Ok(match call(attempt, task)? {
        Called::Returned(value) => Done::Success(value),
        Called::Skipped(reason) => Done::Skipped(reason),
    })
}

pub fn branch(attempt: &mut Attempt, task: &Task) -> Result<Done, Failure> {
    let value = match call(attempt, task)? {
        Called::Returned(value) => value,
        Called::Skipped(reason) => return Ok(Done::Skipped(reason)),
    };
    let named: Vec<String> = match &value {
        Value::Null => Vec::new(),
        Value::String(id) => vec![id.clone()],
        Value::Array(ids) => ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        other => {
            return Err(Failure::new(format!(
                "'branch_task_ids' must be a task_id or a list of them, not {other}"
            )));
        }
    };
    let mut followed = Vec::new();
    for id in named {
        if attempt.dag.tasks.contains_key(&id) {
            followed.push(id);
        } else if attempt.dag.groups.contains_key(&id) {
            followed.extend(roots(attempt, &id));
        } else {
            let reason = format!(
                "'branch_task_ids' must contain only valid task_ids. Invalid tasks found: {{'{id}'}}."
            );
            return Err(Failure::new(reason));
        }
    }
    attempt.say("info", &format!("Following branch {followed:?}"));
    // What follows the branch goes on below a followed task too: a join that both name.
    let mut kept: HashSet<String> = followed.iter().cloned().collect();
    for id in &followed {
        kept.extend(all_relatives(&attempt.dag, id, |task| &task.downstream));
    }
    let followed: Vec<String> = task.downstream.iter().filter(|id| kept.contains(*id)).cloned().collect();
    let skips_none = followed.len() == task.downstream.len();
    Ok(Done::Branch(returned(attempt, value, skips_none), Skips::Followed(followed)))
}

/// Airflow leaves a task by an exception where it skips others at once: then what it returned is not kept.
fn returned(attempt: &Attempt, value: Value, skips_none: bool) -> Value {
    if skips_none || attempt.instance.map_index >= 0 { value } else { Value::Null }
}

/// The tasks of a group, and of groups in it, that nothing in it comes before.
fn roots(attempt: &Attempt, group: &str) -> Vec<String> {
    let within = |task: &Task| attempt.dag.is_in_group(task, group);
    let tasks = attempt.dag.tasks.values().filter(|task| within(task));
    let first = |task: &&Task| !task.upstream.iter().any(|id| attempt.dag.tasks.get(id).is_some_and(within));
    tasks.filter(first).map(|task| task.task_id.clone()).collect()
}

pub fn short_circuit(attempt: &mut Attempt, task: &Task) -> Result<Done, Failure> {
    let value = match call(attempt, task)? {
        Called::Returned(value) => value,
        Called::Skipped(reason) => return Ok(Done::Skipped(reason)),
    };
    if is_true(&value) || task.downstream.is_empty() {
        return Ok(Done::Success(value));
    }
    let skipped: Vec<String> = if attempt.flag("ignore_downstream_trigger_rules", true) {
        all_relatives(&attempt.dag, &task.task_id, |task| &task.downstream).into_iter().collect()
    } else {
        task.downstream.iter().cloned().collect()
    };
    attempt.say("info", "Skipping downstream tasks");
    Ok(Done::Branch(returned(attempt, value, false), Skips::Skipped(skipped)))
}

/// What it returned, where it says yes: `PokeReturnValue`'s own value, as a map with `is_done`, too.
pub fn poke(attempt: &mut Attempt, task: &Task) -> Result<Look, Failure> {
    Ok(match call(attempt, task)? {
        Called::Returned(Value::Object(entries)) if entries.contains_key("is_done") => {
            match entries.get("is_done").is_some_and(is_true) {
                true => Look::Seen(entries.get("xcom_value").cloned().unwrap_or(Value::Null)),
                false => Look::NotYet,
            }
        }
        Called::Returned(value) => Look::of(is_true(&value)),
        Called::Skipped(reason) => Look::Skip(reason),
    })
}

/// As Python sees it.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

enum Called {
    Returned(Value),
    Skipped(String),
}

fn call(attempt: &mut Attempt, task: &Task) -> Result<Called, Failure> {
    let folder = attempt.shared.options.state_folder.join("work");
    fs::create_dir_all(&folder)?;
    let result = folder.join(format!("{}.json", attempt.instance.id));
    fs::remove_file(&result).ok();
    let input = input(attempt, task, &result)?;
    let mut environment = attempt.inherited_environment();
    environment.extend(attempt.own_environment());
    environment.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
    let program = Program {
        program: attempt.shared.options.python.clone(),
        args: vec!["-c".to_owned(), RUNNER.to_owned()],
        environment,
        folder: attempt.shared.options.project.clone(),
        input: Some(input),
    };
    let ended = run_program(attempt, program, "python", |_line| {})?;
    let text = fs::read_to_string(&result);
    fs::remove_file(&result).ok();
    let answer: Value = text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
    let message = answer.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(pushed) = answer.get("pushed").and_then(Value::as_array) {
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.clone()));
        attempt.pushed.extend(pushed.iter().filter_map(pair));
    }
    match (answer.get("ended").and_then(Value::as_str), ended) {
        (Some("returned"), Ended::Code(0)) => {
            Ok(Called::Returned(answer.get("value").cloned().unwrap_or(Value::Null)))
        }
        (Some("skipped"), _) => Ok(Called::Skipped(message)),
        (Some("failed for good"), _) => Err(Failure::for_good(message)),
        (Some(_raised), _) => Err(Failure::new(message)),
        (None, Ended::Code(code)) => {
            Err(Failure::new(format!("Python ended with exit code {code} and no result")))
        }
        (None, Ended::Signal(signal)) => Err(Failure::new(format!("Python was ended by signal {signal}"))),
    }
}

fn input(attempt: &Attempt, task: &Task, result: &std::path::Path) -> Result<String, Failure> {
    let callable = match &task.operator.callable {
        Some(Callable::File { file, name }) => json!({ "file": file, "name": name }),
        Some(Callable::Dotted(path)) => json!({ "dotted": path }),
        None => return Err(Failure::for_good("the task names no Python function")),
    };
    let json_of = |name: &str, default: Value| attempt.arg(name).map_or(default, Arg::to_json);
    let conf: Value = serde_json::from_str(&attempt.run.conf).unwrap_or_else(|_| json!({}));
    let iso = |time: Option<chrono::DateTime<chrono::Utc>>| time.map(|time| time.to_rfc3339());
    Ok(json!({
        "callable": callable,
        "args": json_of("op_args", json!([])),
        "kwargs": json_of("op_kwargs", json!({})),
        "templates_dict": json_of("templates_dict", Value::Null),
        "show_return_value": attempt.flag("show_return_value_in_logs", true),
        "params": params(&task.params, &conf),
        "conf": conf,
        "dag_id": attempt.run.dag_id,
        "task_id": task.task_id,
        "run_id": attempt.run.run_id,
        "run_type": attempt.run.kind.word(),
        "logical_date": iso(attempt.run.logical_date),
        "data_interval_start": iso(attempt.run.interval.map(|interval| interval.start)),
        "data_interval_end": iso(attempt.run.interval.map(|interval| interval.end)),
        "run_after": iso(Some(attempt.run.run_after)),
        "start_date": iso(attempt.run.started_at),
        "try_number": attempt.instance.try_number,
        "max_tries": attempt.instance.max_tries,
        "map_index": attempt.instance.map_index,
        "owner": task.owner,
        "api": attempt.shared.api,
        "folder": attempt.shared.options.dags_folder,
        "result": result,
    })
    .to_string())
}

/// The task's params with the values that the run was triggered with.
fn params(params: &IndexMap<String, Param>, conf: &Value) -> Value {
    let mut values: serde_json::Map<String, Value> =
        params.iter().map(|(name, param)| (name.clone(), param.value.to_json())).collect();
    if let Value::Object(conf) = conf {
        values.extend(conf.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    Value::Object(values)
}

/// Runs a program of the task, with its output in the task's log.
pub fn run_program(
    attempt: &mut Attempt,
    program: Program,
    logger: &str,
    mut line: impl FnMut(&str),
) -> Result<Ended, Failure> {
    let cancel = attempt.cancel.clone();
    let events = attempt.shared.events.clone();
    let instance = attempt.instance.id;
    let shown: PathBuf = program.program.clone().into();
    let started = |pid| {
        // Only for the API: a full queue loses it, and nothing else.
        events.try_send(crate::scheduling::Event::Started { instance, pid }).ok();
    };
    let ended = program.run(&cancel, started, |text| {
        line(text);
        attempt.heard(logger, text);
    });
    ended.map_err(|error| Failure::new(format!("cannot run {}: {error}", shown.display())))
}

//! Listings as people read them.

use base::units::seconds_text;
use serde_json::{Value, json};

use crate::context::Context;

/// Columns as wide as they need to be; the last has no end.
fn table(head: &[&str], rows: &[Vec<String>]) {
    let all =
        || std::iter::once(head.iter().map(|text| (*text).to_owned()).collect()).chain(rows.iter().cloned());
    let width = |column: usize| all().map(|row: Vec<String>| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in all() {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Null | Value::String(_) => "-".to_owned(),
        other => other.to_string(),
    }
}

/// A moment to the second, in UTC as the API gives it.
pub(super) fn time(value: &Value) -> String {
    let Some(text) = value.as_str() else { return "-".to_owned() };
    let text: String = text.chars().take(19).collect();
    text.replace('T', " ")
}

fn duration(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), seconds_text)
}

fn words(value: &Value, key: &str) -> String {
    let names = value.as_array().into_iter().flatten();
    let names: Vec<&str> = names.filter_map(|one| one.as_str().or_else(|| one[key].as_str())).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

pub(super) fn dags(dags: &[Value]) {
    if dags.is_empty() {
        println!("no DAGs");
        return;
    }
    let row = |dag: &Value| {
        let state = if dag["is_paused"] == true { "paused" } else { "active" };
        let next =
            if dag["is_paused"] == true { "-".to_owned() } else { time(&dag["next_dagrun_run_after"]) };
        let schedule = text(&dag["timetable_summary"]);
        vec![text(&dag["dag_id"]), state.to_owned(), schedule, next, words(&dag["tags"], "name")]
    };
    table(&["DAG", "STATE", "SCHEDULE", "NEXT RUN", "TAGS"], &dags.iter().map(row).collect::<Vec<_>>());
}

/// Files that hold DAGs but cannot be read: why, the last line of a Python trace says, and the first of ours.
pub(super) fn broken_files(errors: &[Value]) {
    for error in errors {
        let said = error["stack_trace"].as_str().unwrap_or_default().trim_end();
        let is_trace = said.starts_with("Traceback");
        let why = if is_trace { said.lines().last() } else { said.lines().next() };
        let why = why.unwrap_or_default().trim();
        println!("{} cannot be read: {why}", text(&error["filename"]));
    }
}

pub(super) fn dag(dag: &Value, tasks: &[Value]) {
    let state = if dag["is_paused"] == true { "paused" } else { "active" };
    println!("{}: {state}", text(&dag["dag_id"]));
    let next = time(&dag["next_dagrun_run_after"]);
    let lines = [
        ("description", text(&dag["description"])),
        ("schedule", text(&dag["timetable_summary"])),
        ("next run", next),
        ("start", time(&dag["start_date"])),
        ("catchup", text(&dag["catchup"])),
        ("file", text(&dag["relative_fileloc"])),
        ("owners", words(&dag["owners"], "name")),
        ("tags", words(&dag["tags"], "name")),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| value != "-") {
        println!("  {name:12} {value}");
    }
    for (name, param) in dag["params"].as_object().into_iter().flatten() {
        println!("  {:12} {name} = {}", "param", param.get("value").unwrap_or(param));
    }
    println!();
    let row = |task: &Value| {
        let rule = text(&task["trigger_rule"]);
        vec![
            text(&task["task_id"]),
            text(&task["operator_name"]),
            rule,
            words(&task["downstream_task_ids"], ""),
        ]
    };
    table(&["TASK", "OPERATOR", "TRIGGER RULE", "BEFORE"], &tasks.iter().map(row).collect::<Vec<_>>());
}

pub(super) fn runs(dag: &str, runs: &[Value]) {
    if runs.is_empty() {
        println!("{dag} has no runs");
        return;
    }
    let row = |run: &Value| {
        vec![
            text(&run["dag_run_id"]),
            text(&run["state"]),
            text(&run["run_type"]),
            time(&run["logical_date"]),
            time(&run["start_date"]),
            duration(&run["duration"]),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    table(&["RUN", "STATE", "TYPE", "LOGICAL DATE", "START", "TOOK"], &rows);
}

/// `task`, `task[3]` for an instance of a mapped one.
pub(super) fn task_name(task: &Value) -> String {
    let name = text(&task["task_id"]);
    match task["map_index"].as_i64() {
        Some(index) if index >= 0 => format!("{name}[{index}]"),
        _ => name,
    }
}

pub(super) fn state(task: &Value) -> &str {
    task["state"].as_str().unwrap_or("none")
}

pub(super) fn tasks(context: &Context, run: &str, tasks: &[Value]) {
    if context.is_json() {
        println!("{}", json!({"dag_run_id": run, "task_instances": tasks}));
        return;
    }
    println!("{run}");
    let row = |task: &Value| {
        vec![
            task_name(task),
            state(task).to_owned(),
            text(&task["try_number"]),
            text(&task["operator_name"]),
            time(&task["start_date"]),
            duration(&task["duration"]),
        ]
    };
    let rows: Vec<Vec<String>> = in_order(tasks).into_iter().map(row).collect();
    table(&["TASK", "STATE", "TRY", "OPERATOR", "START", "TOOK"], &rows);
}

/// Tasks as they began, those of one moment as the server has them; what has not begun stands last.
pub(super) fn in_order(tasks: &[Value]) -> Vec<&Value> {
    let mut sorted: Vec<&Value> = tasks.iter().collect();
    sorted.sort_by_key(|task| {
        // As text a whole second would come after its own fractions, by the letter behind it.
        let start = text(&task["start_date"]).trim_end_matches('Z').to_owned();
        (task["start_date"].is_null(), start)
    });
    sorted
}

pub(super) fn cleared(run: &str, tasks: &[Value], is_dry: bool) {
    let word = if is_dry { "would run again" } else { "runs again" };
    if tasks.is_empty() {
        println!("no task of {run} {word}");
    }
    let mut lines: Vec<String> =
        tasks.iter().map(|task| format!("{} of {}", task_name(task), text(&task["dag_run_id"]))).collect();
    lines.sort();
    lines.iter().for_each(|line| println!("{word}: {line}"));
}

pub(super) fn dry_run(dag: &str, runs: &[Value]) {
    if runs.is_empty() {
        println!("{dag} has no dates there");
    }
    for run in runs {
        println!("would run {dag} for {}", time(&run["logical_date"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_stand_in_the_order_of_their_starts() {
        let task = |name: &str, start: Value| json!({"task_id": name, "map_index": -1, "start_date": start});
        let tasks = [
            task("waits", Value::Null),
            task("third", json!("2026-01-05T10:00:05.030Z")),
            task("second", json!("2026-01-05T10:00:05Z")),
            task("at the same time", json!("2026-01-05T10:00:05Z")),
            task("first", json!("2026-01-05T10:00:04.900Z")),
        ];
        let names: Vec<String> = in_order(&tasks).into_iter().map(task_name).collect();
        assert_eq!(names, ["first", "second", "at the same time", "third", "waits"]);
    }
}

//! A run as it happens: its tasks' states and their logs, a line each; on a terminal below them how far it has come.

use std::{collections::HashMap, io::IsTerminal, time::Duration};

use base::code;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{
    client::Client,
    errors::DagError,
    show::{in_order, state, task_name, time},
};
use crate::context::{Context, Failure};

/// Between two looks: short at first, so that a short run is shown at once.
const LOOK_MS_MIN: u64 = 100;
const LOOK_MS_MAX: u64 = 1_000;
/// Looks in a row without an answer, until there is nobody.
const UNANSWERED_COUNT_MAX: u32 = 5;

/// Which log.
pub(super) struct Log<'a> {
    pub(super) dag: &'a str,
    pub(super) run: &'a str,
    pub(super) task: &'a str,
    pub(super) map_index: i32,
    /// `None`: of the last try.
    pub(super) try_number: Option<u32>,
}

fn is_done(state: &str) -> bool {
    matches!(state, "success" | "failed" | "skipped" | "upstream_failed" | "removed")
}

/// Lines of a log, without the frame that Airflow puts around where it came from.
async fn lines(client: &Client, log: &Log<'_>, try_number: u32) -> Result<Vec<Value>, Failure> {
    let (number, index) = (try_number.to_string(), log.map_index.to_string());
    let path = ["dags", log.dag, "dagRuns", log.run, "taskInstances", log.task, "logs", &number];
    let query = [("full_content", "true"), ("map_index", index.as_str())];
    let mut answer = client.get(&path, &query).await?;
    let Value::Array(all) = answer["content"].take() else { return Ok(Vec::new()) };
    let mut kept = Vec::with_capacity(all.len());
    let mut is_framed = false;
    for line in all {
        let event = line["event"].as_str().or_else(|| line.as_str()).unwrap_or_default();
        match event {
            "::endgroup::" => is_framed = false,
            event if event.starts_with("::group::") => is_framed = true,
            _ if is_framed => {}
            _ => kept.push(line),
        }
    }
    Ok(kept)
}

/// `10:00:00 INFO  text`, and what was raised below it.
fn line_text(line: &Value) -> String {
    let event = line["event"].as_str().or_else(|| line.as_str()).unwrap_or_default();
    let clock: String = time(&line["timestamp"]).chars().skip(11).collect();
    let level = line["level"].as_str().unwrap_or_default().to_uppercase();
    let mut text = match (clock.is_empty(), level.is_empty()) {
        (true, _) => event.to_owned(),
        (false, true) => format!("{clock} {event}"),
        (false, false) => format!("{clock} {level:5} {event}"),
    };
    for error in line["error_detail"].as_array().into_iter().flatten() {
        let (kind, value) = (error["exc_type"].as_str(), error["exc_value"].as_str());
        text += &format!("\n  {}: {}", kind.unwrap_or("error"), value.unwrap_or_default());
    }
    text
}

/// One task's log, to its end where it is followed.
pub(super) async fn log(
    client: &Client,
    context: &Context,
    log: &Log<'_>,
    follow: bool,
) -> Result<(), Failure> {
    let index = log.map_index.to_string();
    let mut path = vec!["dags", log.dag, "dagRuns", log.run, "taskInstances", log.task];
    if log.map_index >= 0 {
        path.push(&index);
    }
    let (mut shown, mut wait_ms) = (HashMap::<u32, usize>::new(), LOOK_MS_MIN);
    loop {
        let task = client.get(&path, &[]).await?;
        let last = task["try_number"].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let number = log.try_number.unwrap_or(last);
        if number > 0 {
            let lines = lines(client, log, number).await?;
            if lines.is_empty() && !follow {
                eprintln!("try {number} of {} has written nothing", log.task);
            }
            let from = shown.entry(number).or_default();
            for line in lines.iter().skip(*from) {
                if context.is_json() {
                    println!("{line}");
                } else {
                    println!("{}", line_text(line));
                }
            }
            *from = lines.len().max(*from);
        }
        if !follow || is_done(state(&task)) || number < last {
            return Ok(());
        }
        wait(&mut wait_ms).await;
    }
}

/// Until the run has ended; an error where it failed.
pub(super) async fn run(client: &Client, context: &Context, dag: &str, run: &str) -> Result<(), Failure> {
    let mut shown = Shown::begin(context, run);
    let (mut wait_ms, mut unanswered_count) = (LOOK_MS_MIN, 0);
    let (ended, tasks) = loop {
        match look(client, dag, run).await {
            Ok((now, tasks)) => {
                unanswered_count = 0;
                shown.tasks(client, dag, &tasks).await;
                if matches!(state(&now), "success" | "failed") {
                    break (now, tasks);
                }
            }
            // A scheduler at work may be late with an answer; the run goes on meanwhile.
            Err(failure) if failure.code() != code::TM1040 || unanswered_count == UNANSWERED_COUNT_MAX => {
                return Err(failure);
            }
            Err(_) => unanswered_count += 1,
        }
        wait(&mut wait_ms).await;
    };
    shown.end();
    if context.is_json() {
        println!("{}", json!({"dag_run": ended, "task_instances": tasks}));
    }
    if state(&ended) == "failed" {
        let failed = tasks.iter().filter(|task| state(task) == "failed");
        let tasks = failed.map(|task| task["task_id"].as_str().unwrap_or_default().to_owned()).collect();
        return Err(Box::new(DagError::RunFailed { dag: dag.to_owned(), run: run.to_owned(), tasks }));
    }
    if !context.is_json() {
        let took = ended["duration"].as_f64().map(base::units::seconds_text);
        println!("{run}: success{}", took.map_or_else(String::new, |took| format!(" in {took}")));
    }
    Ok(())
}

/// The run and its tasks, as they are now.
async fn look(client: &Client, dag: &str, run: &str) -> Result<(Value, Vec<Value>), Failure> {
    let now = client.get(&["dags", dag, "dagRuns", run], &[]).await?;
    Ok((now, client.task_instances(dag, run).await?))
}

async fn wait(wait_ms: &mut u64) {
    tokio::time::sleep(Duration::from_millis(*wait_ms)).await;
    *wait_ms = (*wait_ms * 3 / 2).min(LOOK_MS_MAX);
}

/// What of a run has been printed.
struct Shown<'a> {
    run: &'a str,
    is_quiet: bool,
    bar: Option<ProgressBar>,
    /// State and try of each task, by its name.
    states: HashMap<String, (String, u64)>,
    /// Lines of each task's try.
    lines: HashMap<(String, u32), usize>,
}

impl<'a> Shown<'a> {
    fn begin(context: &Context, run: &'a str) -> Self {
        let is_quiet = context.is_json();
        let bar = (!is_quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:32.cyan/blue} {pos}/{len} tasks  {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let shown = Self { run, is_quiet, bar, states: HashMap::new(), lines: HashMap::new() };
        shown.say(run);
        shown
    }

    fn say(&self, line: &str) {
        match &self.bar {
            _ if self.is_quiet => {}
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }

    async fn tasks(&mut self, client: &Client, dag: &str, tasks: &[Value]) {
        if self.is_quiet {
            return;
        }
        for task in in_order(tasks) {
            let name = task_name(task);
            let now = (state(task).to_owned(), task["try_number"].as_u64().unwrap_or(0));
            let before = self.states.insert(name.clone(), now.clone());
            let has_changed = before.as_ref() != Some(&now);
            let is_told = has_changed && !matches!(now.0.as_str(), "none" | "scheduled" | "queued");
            let try_text = if now.1 > 1 { format!(" (try {})", now.1) } else { String::new() };
            let line = format!("{name}: {}{try_text}", now.0);
            // A log stands between the state that begins it and the one that ends it.
            let has_ended = is_done(state(task)) || state(task) == "up_for_retry";
            if is_told && !has_ended {
                self.say(&line);
            }
            if matches!(state(task), "running" | "deferred") || (has_changed && has_ended) {
                self.log(client, dag, task, &name).await;
            }
            if is_told && has_ended {
                self.say(&line);
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_length(tasks.len() as u64);
            bar.set_position(tasks.iter().filter(|task| is_done(state(task))).count() as u64);
            let running: Vec<String> =
                tasks.iter().filter(|task| state(task) == "running").map(task_name).collect();
            bar.set_message(running.join(", "));
        }
    }

    async fn log(&mut self, client: &Client, dag: &str, task: &Value, name: &str) {
        let id = task["task_id"].as_str().unwrap_or_default();
        let map_index = task["map_index"].as_i64().and_then(|index| i32::try_from(index).ok()).unwrap_or(-1);
        let last = task["try_number"].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        // What an earlier try said last may not have been seen yet.
        for number in last.saturating_sub(1).max(1)..=last {
            let log = Log { dag, run: self.run, task: id, map_index, try_number: Some(number) };
            // A log that is not there yet is no reason to stop watching.
            let Ok(lines) = lines(client, &log, number).await else { continue };
            let from = self.lines.insert((name.to_owned(), number), lines.len()).unwrap_or(0);
            for line in lines.iter().skip(from) {
                line_text(line).lines().for_each(|line| self.say(&format!("  {name} | {line}")));
            }
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

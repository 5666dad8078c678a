//! How much the scheduler adds: ten tasks one after the other, then 1,000 DAGs of ten tasks due at once.
//!
//! `cargo run --release -p tidemill-scheduler --example measure`. The bench of `xtask` sets Airflow beside it.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Write,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use base::{BoxError, Handle};
use chrono::{DateTime, Utc};
use scheduler::{Options, Service};
use serde_json::Value;

const SEQUENTIAL: &str = "sequential";
const DAGS_COUNT: usize = 1_000;
const TASKS_COUNT: usize = 10;
/// A file of more than 1 MiB is refused.
const FILE_DAGS_COUNT: usize = 100;
/// Instances of a page of the API.
const PAGE: usize = 100;

fn main() -> Result<(), BoxError> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        sequential().await?;
        at_once().await
    })
}

fn chain(command: &str) -> String {
    let mut tasks = String::new();
    for number in 0..TASKS_COUNT {
        let after = if number == 0 { String::new() } else { format!(", dependencies: [t{}]", number - 1) };
        let class = "airflow.providers.standard.operators.bash.BashOperator";
        writeln!(tasks, "    - {{task_id: t{number}, operator: {class}, bash_command: {command}{after}}}")
            .ok();
    }
    tasks
}

async fn started(project: &Path, files: &[String]) -> Result<Handle, BoxError> {
    fs::create_dir_all(project.join("dags"))?;
    for (number, text) in files.iter().enumerate() {
        fs::write(project.join(format!("dags/{number}.yml")), text)?;
    }
    let mut options = Options::at("127.0.0.1:0".parse()?, project);
    options.environment = std::env::vars().collect();
    Ok(Service::start(options).await?)
}

/// A run's length beside that of its tasks together.
async fn sequential() -> Result<(), BoxError> {
    let project = tempfile::tempdir()?;
    let header = "  start_date: 2026-01-01\n  schedule: none\n  tasks:\n";
    let handle =
        started(project.path(), &[format!("{SEQUENTIAL}:\n{header}{}", chain("sleep 0.05"))]).await?;
    let url = format!("http://{}/api/v2/dags/{SEQUENTIAL}/dagRuns", handle.addr);
    let client = cloud::http::client();
    client
        .post(&url)
        .body(r#"{"dag_run_id": "r", "logical_date": null}"#)
        .send()
        .await?
        .error_for_status()?;
    let run = loop {
        let run: Value = client.get(format!("{url}/r")).send().await?.json().await?;
        if run["state"] == "success" {
            break run;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let instances: Value = client.get(format!("{url}/r/taskInstances")).send().await?.json().await?;
    let durations = instances["task_instances"].as_array().into_iter().flatten();
    let tasks_s: f64 = durations.filter_map(|it| it["duration"].as_f64()).sum();
    let run_s = run["duration"].as_f64().unwrap_or(0.0);
    println!("10 tasks in a row: run {run_s:.3} s, tasks {tasks_s:.3} s, {:.3} times", run_s / tasks_s);
    handle.stop(5_000).await
}

/// How long any task waited while slots were free, and what it took.
async fn at_once() -> Result<(), BoxError> {
    let project = tempfile::tempdir()?;
    let mut files = vec![String::new(); DAGS_COUNT / FILE_DAGS_COUNT];
    for number in 0..DAGS_COUNT {
        write!(
            files[number / FILE_DAGS_COUNT],
            "d{number}:\n  start_date: 2026-01-01\n  schedule: '@once'\n  tasks:\n{}",
            chain("'true'")
        )?;
    }
    let began = Instant::now();
    let handle = started(project.path(), &files).await?;
    let url = format!("http://{}/api/v2/dags/~/dagRuns", handle.addr);
    let client = cloud::http::client();
    let count = async |rest: &str| -> Result<u64, Box<dyn Error + Send + Sync>> {
        let answer: Value = client.get(format!("{url}{rest}")).send().await?.json().await?;
        Ok(answer["total_entries"].as_u64().unwrap_or(0))
    };
    let mut memory = 0;
    while count("?state=success&limit=1").await? < DAGS_COUNT as u64 {
        memory = memory.max(memory_mib());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let took = began.elapsed();
    let mut spans: Vec<(DateTime<Utc>, DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for page in 0..DAGS_COUNT * TASKS_COUNT / PAGE {
        let rest = format!("/~/taskInstances?limit={PAGE}&offset={}&order_by=id", page * PAGE);
        let answer: Value = client.get(format!("{url}{rest}")).send().await?.json().await?;
        let time = |it: &Value, name: &str| it[name].as_str().and_then(|text| text.parse().ok());
        let found = answer["task_instances"].as_array().into_iter().flatten();
        spans.extend(found.filter_map(|it| {
            Some((time(it, "scheduled_when")?, time(it, "start_date")?, time(it, "end_date")?))
        }));
    }
    println!(
        "{DAGS_COUNT} DAGs of {TASKS_COUNT} tasks: {:.1} s, {} instances, waited while slots were free {} ms, {memory} MiB",
        took.as_secs_f64(),
        spans.len(),
        free_wait_ms(&spans)
    );
    handle.stop(5_000).await
}

/// The longest that any instance waited while fewer ran than may.
fn free_wait_ms(spans: &[(DateTime<Utc>, DateTime<Utc>, DateTime<Utc>)]) -> i64 {
    let mut changes: BTreeMap<DateTime<Utc>, i64> = BTreeMap::new();
    for (_scheduled, start, end) in spans {
        *changes.entry(*start).or_default() += 1;
        *changes.entry(*end).or_default() -= 1;
    }
    // How long slots have been free up to each moment.
    let mut free_ms: BTreeMap<DateTime<Utc>, i64> = BTreeMap::new();
    let (mut running, mut total, mut last) = (0, 0, None::<DateTime<Utc>>);
    for (at, change) in changes {
        if let Some(last) = last.filter(|_| running < 32) {
            total += (at - last).num_milliseconds();
        }
        free_ms.insert(at, total);
        running += change;
        last = Some(at);
    }
    let until = |at: &DateTime<Utc>| free_ms.range(..=*at).next_back().map_or(0, |(_, ms)| *ms);
    spans.iter().map(|(scheduled, start, _end)| until(start) - until(scheduled)).max().unwrap_or(0)
}

fn memory_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

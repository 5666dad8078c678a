//! `tidemill connect`: a client of Kafka Connect's REST API, for the project's worker and for real ones alike.
//!
//! Map: this file the subcommands; `connect/worker.rs` the REST client; `connect/files.rs` connector files;
//! `connect/lag.rs` waiting until a sink has caught up.

mod files;
mod lag;
mod worker;

use std::path::PathBuf;

use connect::{Error, is_secret_key};
use serde_json::{Value, json};

use crate::context::{Context, Failure};
use files::Connector;
use worker::Worker;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The worker's address [default: the project's worker]
    #[arg(long, global = true, value_name = "URL", env = "TIDEMILL_CONNECT_URL")]
    url: Option<String>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Create or change connectors as files say
    Apply {
        /// Connector files (Kafka Connect's JSON), or folders of them
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Wait until everything that is in the topics has been delivered
        #[arg(long)]
        wait: bool,
    },
    /// Show what `apply` would change
    Diff {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List connectors with their states
    List,
    /// Show a connector's state and its tasks'
    Status { name: Option<String> },
    /// Stop reading, keep the partitions
    Pause {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Go on after a pause or a stop
    Resume {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// End the tasks, keep the connector
    Stop {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Start a connector anew
    Restart {
        #[arg(required = true)]
        names: Vec<String>,
        /// Its tasks too
        #[arg(long)]
        tasks: bool,
        /// Only what has failed
        #[arg(long)]
        only_failed: bool,
    },
    /// Show or change how far a connector has come
    Offsets {
        name: String,
        /// Go on from here: TOPIC/PARTITION=OFFSET (the connector has to be stopped)
        #[arg(long, value_name = "TOPIC/PARTITION=OFFSET")]
        alter: Vec<String>,
        /// Forget all offsets (the connector has to be stopped)
        #[arg(long, conflicts_with = "alter")]
        reset: bool,
    },
    /// Delete connectors; their offsets stay
    Delete {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// List what the worker can run
    Plugins {
        /// Converters too
        #[arg(long)]
        all: bool,
    },
    /// Ask the worker what is wrong with connector files
    Validate {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let worker = Worker::at(&context.connect_url(args.url.as_deref())?);
    match args.command {
        Command::Apply { files, wait } => apply(&worker, context, &files, wait).await,
        Command::Diff { files } => diff(&worker, context, &files).await,
        Command::List => list(&worker, context).await,
        Command::Status { name: Some(name) } => status(&worker, context, &name).await,
        Command::Status { name: None } => list(&worker, context).await,
        Command::Pause { names } => order(&worker, &names, "pause", "paused").await,
        Command::Resume { names } => order(&worker, &names, "resume", "resumed").await,
        Command::Stop { names } => order(&worker, &names, "stop", "stopped").await,
        Command::Restart { names, tasks, only_failed } => {
            for name in &names {
                let flags = format!("?includeTasks={tasks}&onlyFailed={only_failed}");
                worker.post(&["connectors", name, "restart"], &flags, None).await?;
                println!("restarted {name}");
            }
            Ok(())
        }
        Command::Offsets { name, alter, reset } => offsets(&worker, context, &name, &alter, reset).await,
        Command::Delete { names } => {
            for name in &names {
                worker.delete(&["connectors", name]).await?;
                println!("deleted {name}");
            }
            Ok(())
        }
        Command::Plugins { all } => plugins(&worker, context, all).await,
        Command::Validate { files } => validate(&worker, context, &files).await,
    }
}

async fn apply(worker: &Worker, context: &Context, paths: &[PathBuf], wait: bool) -> Result<(), Failure> {
    let connectors = files::read(context, paths)?;
    let mut done = Vec::new();
    for connector in &connectors {
        let before = worker.config(&connector.name).await?;
        let changes = changes(before.as_ref(), &connector.config);
        let what = match (&before, changes.is_empty()) {
            (None, _) => "created",
            (Some(_), true) => "unchanged",
            (Some(_), false) => "changed",
        };
        if what != "unchanged" {
            worker.put(&["connectors", &connector.name, "config"], Some(json!(connector.config))).await?;
        }
        if context.is_json() {
            done.push(json!({"name": connector.name, "result": what}));
        } else {
            println!("{what} {}", connector.name);
            if before.is_some() {
                changes.iter().for_each(|change| println!("  {change}"));
            }
        }
    }
    for connector in &connectors {
        worker.settled(&connector.name).await?;
        if wait {
            lag::wait(worker, context, connector).await?;
        }
    }
    if context.is_json() {
        println!("{}", Value::Array(done));
    }
    Ok(())
}

async fn diff(worker: &Worker, context: &Context, paths: &[PathBuf]) -> Result<(), Failure> {
    let mut all = Vec::new();
    for connector in files::read(context, paths)? {
        let before = worker.config(&connector.name).await?;
        let changes = changes(before.as_ref(), &connector.config);
        if context.is_json() {
            all.push(json!({"name": connector.name, "exists": before.is_some(), "changes": changes}));
            continue;
        }
        match (before.is_some(), changes.is_empty()) {
            (true, true) => println!("{}: no changes", connector.name),
            (true, false) => println!("{}: would change", connector.name),
            (false, _) => println!("{}: would be created", connector.name),
        }
        changes.iter().for_each(|change| println!("  {change}"));
    }
    if context.is_json() {
        println!("{}", Value::Array(all));
    }
    Ok(())
}

/// A line for each key that differs: `+ key: new`, `- key: old`, `~ key: old -> new`.
fn changes(before: Option<&files::Config>, after: &files::Config) -> Vec<String> {
    let empty = files::Config::new();
    let before = before.unwrap_or(&empty);
    let show = |key: &str, value: &str| {
        let is_reference = value.starts_with("${");
        if is_secret_key(key) && !is_reference && !value.is_empty() {
            "***".to_owned()
        } else {
            value.to_owned()
        }
    };
    let mut lines = Vec::new();
    for (key, new) in after {
        match before.get(key) {
            None => lines.push(format!("+ {key}: {}", show(key, new))),
            Some(old) if old != new => {
                lines.push(format!("~ {key}: {} -> {}", show(key, old), show(key, new)))
            }
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    lines.extend(gone.map(|(key, old)| format!("- {key}: {}", show(key, old))));
    lines
}

async fn list(worker: &Worker, context: &Context) -> Result<(), Failure> {
    let all = worker.get(&["connectors"], "?expand=status&expand=info").await?;
    if context.is_json() {
        println!("{all}");
        return Ok(());
    }
    let Some(connectors) = all.as_object().filter(|connectors| !connectors.is_empty()) else {
        println!("no connectors");
        return Ok(());
    };
    let width = connectors.keys().map(String::len).max().unwrap_or(0).max(4);
    println!("{:width$}  {:8}  {:10}  {:16}  CLASS", "NAME", "TYPE", "STATE", "TASKS");
    for (name, connector) in connectors {
        let status = &connector["status"];
        let class = connector["info"]["config"]["connector.class"].as_str().unwrap_or_default();
        println!(
            "{name:width$}  {:8}  {:10}  {:16}  {}",
            status["type"].as_str().unwrap_or("-"),
            status["connector"]["state"].as_str().unwrap_or("-"),
            tasks_text(&status["tasks"]),
            class.rsplit('.').next().unwrap_or(class),
        );
    }
    Ok(())
}

/// `2 RUNNING, 1 FAILED`.
fn tasks_text(tasks: &Value) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for task in tasks.as_array().into_iter().flatten() {
        *counts.entry(task["state"].as_str().unwrap_or("-")).or_insert(0) += 1;
    }
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

async fn status(worker: &Worker, context: &Context, name: &str) -> Result<(), Failure> {
    let status = worker.get(&["connectors", name, "status"], "").await?;
    if context.is_json() {
        println!("{status}");
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |what: String, of: &Value| {
        println!("{what}: {} on {}", text(&of["state"]), text(&of["worker_id"]));
        for line in of["trace"].as_str().into_iter().flat_map(str::lines) {
            println!("  {line}");
        }
    };
    line(name.to_owned(), &status["connector"]);
    for task in status["tasks"].as_array().into_iter().flatten() {
        line(format!("{name} task {}", task["id"]), task);
    }
    Ok(())
}

async fn order(worker: &Worker, names: &[String], verb: &str, done: &str) -> Result<(), Failure> {
    for name in names {
        worker.put(&["connectors", name, verb], None).await?;
        println!("{done} {name}");
    }
    Ok(())
}

async fn offsets(
    worker: &Worker,
    context: &Context,
    name: &str,
    alter: &[String],
    reset: bool,
) -> Result<(), Failure> {
    let path = ["connectors", name, "offsets"];
    if reset || !alter.is_empty() {
        let answer = if reset {
            worker.delete(&path).await?
        } else {
            let entries: Result<Vec<Value>, Failure> = alter.iter().map(|text| offset(text)).collect();
            worker.patch(&path, json!({"offsets": entries?})).await?
        };
        println!("{}", answer["message"].as_str().unwrap_or("done"));
        return Ok(());
    }
    let answer = worker.get(&path, "").await?;
    if context.is_json() {
        println!("{answer}");
        return Ok(());
    }
    let entries = answer["offsets"].as_array().cloned().unwrap_or_default();
    if entries.is_empty() {
        println!("nothing has been committed yet");
    }
    for entry in entries {
        let (partition, offset) = (&entry["partition"], &entry["offset"]);
        match partition["kafka_topic"].as_str() {
            Some(topic) => println!("{topic}/{}={}", partition["kafka_partition"], offset["kafka_offset"]),
            None => println!("{partition}={offset}"),
        }
    }
    Ok(())
}

/// `flights/0=42` as an entry of the offsets API.
fn offset(text: &str) -> Result<Value, Failure> {
    let parts = text.split_once('=').and_then(|(place, offset)| {
        let (topic, partition) = place.rsplit_once('/')?;
        Some((topic, partition.parse::<i32>().ok()?, offset.parse::<i64>().ok()?))
    });
    let Some((topic, partition, offset)) = parts else {
        let reason = format!("`{text}` is no offset: write TOPIC/PARTITION=OFFSET, such as flights/0=42");
        return Err(Box::new(Error::Request { reason }));
    };
    Ok(json!({
        "partition": {"kafka_topic": topic, "kafka_partition": partition}, "offset": {"kafka_offset": offset},
    }))
}

async fn plugins(worker: &Worker, context: &Context, all: bool) -> Result<(), Failure> {
    let plugins = worker.get(&["connector-plugins"], &format!("?connectorsOnly={}", !all)).await?;
    if context.is_json() {
        println!("{plugins}");
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for plugin in plugins.as_array().into_iter().flatten() {
        println!("{:16}  {}  {}", text(&plugin["type"]), text(&plugin["class"]), text(&plugin["version"]));
    }
    Ok(())
}

async fn validate(worker: &Worker, context: &Context, paths: &[PathBuf]) -> Result<(), Failure> {
    let mut all = Vec::new();
    for connector in files::read(context, paths)? {
        let errors = errors_of(worker, &connector).await?;
        if context.is_json() {
            println!("{}", json!({"name": connector.name, "errors": errors}));
        } else if errors.is_empty() {
            println!("{}: valid", connector.name);
        } else {
            println!("{}: {} error(s)", connector.name, errors.len());
            errors.iter().for_each(|error| println!("  {error}"));
        }
        all.extend(errors);
    }
    if all.is_empty() { Ok(()) } else { Err(Box::new(Error::Invalid { errors: all })) }
}

async fn errors_of(worker: &Worker, connector: &Connector) -> Result<Vec<String>, Failure> {
    let class = connector.config.get("connector.class").map_or("", String::as_str);
    let path = ["connector-plugins", class, "config", "validate"];
    let infos = worker.put(&path, Some(json!(connector.config))).await?;
    let configs = infos["configs"].as_array().cloned().unwrap_or_default();
    let errors = configs.iter().flat_map(|config| config["value"]["errors"].as_array().into_iter().flatten());
    Ok(errors.filter_map(|error| error.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> files::Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn changes_are_told_and_secrets_are_not() {
        let before = config(&[("a", "1"), ("b", "2"), ("aws.secret.access.key", "old")]);
        let after = config(&[("a", "1"), ("c", "3"), ("aws.secret.access.key", "new")]);
        let told = changes(Some(&before), &after);
        assert_eq!(told, ["+ c: 3", "~ aws.secret.access.key: *** -> ***", "- b: 2"]);
        assert!(changes(Some(&after), &after).is_empty());
        let reference = config(&[("aws.secret.access.key", "${env:KEY}")]);
        assert_eq!(changes(None, &reference), ["+ aws.secret.access.key: ${env:KEY}"]);
    }

    #[test]
    fn offsets_are_written_as_topic_partition_and_offset() {
        let entry = offset("a/b/3=42").unwrap();
        assert_eq!(entry["partition"], json!({"kafka_topic": "a/b", "kafka_partition": 3}));
        assert!(offset("flights=1").is_err());
    }
}

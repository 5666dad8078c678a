//! `tidemill status`: which parts run, where, and whether they answer; `--json` for scripts.

use std::fs;

use base::units::bytes_text;
use project::{Running, RunningPart};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::{
    commands::up::shown,
    context::{Context, Failure},
    environment::{PARTS, probed},
};

#[derive(clap::Args)]
pub struct Args {
    /// Print `{"pid", "memory_bytes", "parts": {"broker": {"state", "address"}, …}}`
    #[arg(long)]
    json: bool,
}

/// One part and what it answered: `running`, `silent`, or `stopped`.
struct PartStatus {
    name: String,
    address: String,
    state: &'static str,
    reason: Option<String>,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let project = context.project()?;
    let running = Running::read(project)?;
    let parts = match &running {
        Some(running) => probe_all(running).await,
        None => Vec::new(),
    };
    let memory_bytes = running.as_ref().and_then(|running| memory_bytes(running.pid)).unwrap_or(0);
    if args.json || context.is_json() {
        println!("{}", as_json(running.as_ref(), memory_bytes, &parts));
        return Ok(());
    }
    let Some(running) = running else {
        println!("no environment runs in {}; start it: tidemill up", project.root.display());
        return Ok(());
    };
    println!("process {}, {} of memory ({})", running.pid, bytes_text(memory_bytes), project.root.display());
    for part in &parts {
        let reason = part.reason.as_ref().map_or_else(String::new, |reason| format!("  {reason}"));
        println!("  {:<9} {:<8} {}{reason}", part.name, part.state, shown(&part.name, &part.address));
    }
    Ok(())
}

async fn probe_all(running: &Running) -> Vec<PartStatus> {
    let mut asked = JoinSet::new();
    for (row, (name, part)) in running.parts.iter().enumerate() {
        let (name, part): (String, RunningPart) = (name.clone(), part.clone());
        asked.spawn(async move {
            // AWS is asked by `check`, which knows the identity.
            let answer =
                if part.address == "aws" { Ok(()) } else { console::probe(&probed(&name, &part)).await };
            let state = if answer.is_ok() { "running" } else { "silent" };
            (
                row,
                PartStatus {
                    name,
                    address: part.address,
                    state,
                    reason: answer.err().map(|error| error.to_string()),
                },
            )
        });
    }
    let mut parts = asked.join_all().await;
    parts.sort_by_key(|(row, _)| *row);
    parts.into_iter().map(|(_, part)| part).collect()
}

fn as_json(running: Option<&Running>, memory_bytes: u64, parts: &[PartStatus]) -> Value {
    let told =
        |part: &PartStatus| (part.name.clone(), json!({ "state": part.state, "address": part.address }));
    let mut told: Map<String, Value> = parts.iter().map(told).collect();
    let mut ordered = Map::new();
    for name in ["broker", "registry", "rest", "connect", "s3", "dynamodb", "scheduler", "console"] {
        let stopped = || json!({ "state": "stopped", "address": Value::Null });
        ordered.insert(name.to_owned(), told.remove(name).unwrap_or_else(stopped));
    }
    debug_assert_eq!(ordered.len(), PARTS.len());
    json!({ "pid": running.map(|running| running.pid), "memory_bytes": memory_bytes, "parts": ordered })
}

/// Resident memory of a process, where the system tells.
pub fn memory_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

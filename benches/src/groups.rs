//! Many consumers in groups: how long until all have their partitions, an idle time, and how long after one leaves.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::Target;

/// How many groups, and how many members in each.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    groups: usize,
    #[arg(long)]
    members: usize,
    /// What the members of one group share out, at least one for each
    #[arg(long)]
    partitions: usize,
    /// Idle after all have their partitions
    #[arg(long, default_value_t = 0)]
    idle_seconds: u64,
}

type Group = Vec<BaseConsumer>;

/// Seconds of each part.
pub fn run(args: &Args) -> Result<serde_json::Value> {
    let start = Instant::now();
    let mut groups = Vec::new();
    for group in 0..args.groups {
        let mut config = args.target.config()?;
        config.set("group.id", format!("{}-{group}", args.target.topic)).set("enable.auto.commit", "false");
        let mut members: Group = Vec::new();
        for _ in 0..args.members {
            let member: BaseConsumer = config.create()?;
            member.subscribe(&[&args.target.topic])?;
            members.push(member);
        }
        groups.push(members);
    }
    let joined_seconds = settle(&groups, args.partitions, start)?;
    let idle = Instant::now();
    while idle.elapsed() < Duration::from_secs(args.idle_seconds) {
        poll(&groups)?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let leave = Instant::now();
    let mut left_seconds = None;
    // A consumer takes a tenth of a second to close, so that many groups would not leave at once.
    if let [group] = &mut groups[..]
        && group.len() > 1
    {
        group.pop();
        left_seconds = Some(settle(&groups, args.partitions, leave)?);
    }
    std::mem::forget(groups);
    Ok(serde_json::json!({"joined_seconds": joined_seconds, "left_seconds": left_seconds}))
}

/// Polls until each group has all partitions among its members, and says how long after `since` that was.
fn settle(groups: &[Group], partitions: usize, since: Instant) -> Result<f64> {
    loop {
        poll(groups)?;
        let mut settled = true;
        for group in groups {
            let mut assigned = 0;
            for member in group {
                let count = member.assignment()?.count();
                // Who has none has not joined yet, and all partitions may be another's.
                settled &= count > 0;
                assigned += count;
            }
            settled &= assigned == partitions;
        }
        if settled {
            return Ok(since.elapsed().as_secs_f64());
        }
        ensure!(since.elapsed() < Duration::from_secs(300), "the groups do not settle");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn poll(groups: &[Group]) -> Result<()> {
    for member in groups.iter().flatten() {
        if let Some(message) = member.poll(Duration::ZERO) {
            message?;
        }
    }
    Ok(())
}

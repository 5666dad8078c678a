//! Loads for `cargo xtask bench` that are nobody's product: a Kafka client by librdkafka, a lean one for Produce and Fetch, and an HTTP client.
//!
//! Each command prints one line of JSON, so that it can be put beside what Kafka's own perf tools say.

mod append;
mod fetch;
mod groups;
mod http;
mod latency;
mod lean;
mod load;
mod ready;
mod topics;
mod walk;

use anyhow::{Context, Result};
use clap::Parser;
use rdkafka::ClientConfig;

/// Loads to measure servers by.
#[derive(Parser)]
enum Command {
    /// Produces as fast as it goes
    Produce(load::Args),
    /// Consumes as fast as it goes
    Consume(load::Args),
    /// Produces as fast as the broker takes: batches are made ready before
    Append(append::Args),
    /// Consumes as fast as the broker gives: batches are counted by their headers
    Fetch(fetch::Args),
    /// Produces at a steady rate and takes the time until each record is consumed
    Latency(latency::Args),
    /// Starts groups of consumers, waits until all have their partitions, and lets them idle
    Groups(groups::Args),
    /// Asks for one address over and over
    Http(http::Args),
    /// Looks at every record of batches, as a log does before it takes them
    Walk(walk::Args),
    /// Creates topics
    Create(topics::Args),
    /// Deletes them
    Delete(topics::Args),
}

/// A topic, and how to reach it.
#[derive(clap::Args)]
struct Target {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    /// Further client settings, name=value
    #[arg(long)]
    property: Vec<String>,
}

impl Target {
    fn config(&self) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for property in &self.property {
            let (name, value) = property.split_once('=').context("--property name=value")?;
            config.set(name, value);
        }
        Ok(config)
    }
}

fn main() -> Result<()> {
    let said = match Command::parse() {
        Command::Produce(args) => load::produce(&args)?,
        Command::Consume(args) => load::consume(&args)?,
        Command::Append(args) => append::run(&args)?,
        Command::Fetch(args) => fetch::run(&args)?,
        Command::Latency(args) => latency::run(&args)?,
        Command::Groups(args) => groups::run(&args)?,
        Command::Http(args) => http::run(&args)?,
        Command::Walk(args) => walk::run(&args)?,
        Command::Create(args) => topics::create(&args)?,
        Command::Delete(args) => topics::delete(&args)?,
    };
    println!("{said}");
    Ok(())
}

/// The value that so great a share of them does not exceed. `sorted` holds at least one.
fn percentile(sorted: &[u32], share: f64) -> u32 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted[at.min(sorted.len() - 1)]
}

//! Creates and deletes topics.

use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};

use crate::Target;

/// Which topics.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// So many, TOPIC-0 and on, instead of TOPIC alone
    #[arg(long)]
    count: Option<usize>,
    #[arg(long, default_value_t = 1)]
    partitions: i32,
}

impl Args {
    fn names(&self) -> Vec<String> {
        let topic = &self.target.topic;
        self.count.map_or_else(
            || vec![topic.clone()],
            |count| (0..count).map(|number| format!("{topic}-{number}")).collect(),
        )
    }
}

pub fn create(args: &Args) -> Result<serde_json::Value> {
    let admin: AdminClient<_> = args.target.config()?.create()?;
    let names = args.names();
    for names in names.chunks(50) {
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| NewTopic::new(name, args.partitions, TopicReplication::Fixed(1)))
            .collect();
        check(futures(admin.create_topics(&topics, &options()))?)?;
    }
    Ok(serde_json::json!({"topics": names.len()}))
}

pub fn delete(args: &Args) -> Result<serde_json::Value> {
    let admin: AdminClient<_> = args.target.config()?.create()?;
    let names = args.names();
    let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
    check(futures(admin.delete_topics(&borrowed, &options()))?)?;
    Ok(serde_json::json!({"topics": names.len()}))
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(Duration::from_secs(60)))
        .request_timeout(Some(Duration::from_secs(60)))
}

fn futures<T>(work: impl Future<Output = Result<T, rdkafka::error::KafkaError>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work)?)
}

fn check(results: Vec<TopicResult>) -> Result<()> {
    for result in results {
        if let Err((topic, code)) = result {
            bail!("{topic}: {code}");
        }
    }
    Ok(())
}

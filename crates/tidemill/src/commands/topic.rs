//! `tidemill topic create|list|describe|alter|delete`, through Kafka's protocol: the same against any cluster.

use rdkafka::{
    admin::{
        AlterConfig, ConfigEntry, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    },
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    metadata::MetadataTopic,
};
use serde_json::{Value, json};

use crate::context::{Context, Failure};

pub mod cluster;

use cluster::{Cluster, ClusterArgs, Error, WAIT, options, pair, table};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Create a topic
    Create(Create),
    /// All topics with their partitions
    #[command(visible_alias = "ls")]
    List(List),
    /// Partitions, offsets and settings of a topic
    Describe(Describe),
    /// Change settings, or add partitions
    Alter(Alter),
    /// Delete topics and all their records
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

#[derive(clap::Args)]
struct Create {
    name: String,
    /// How many partitions [default: the broker's]
    #[arg(short, long, value_name = "COUNT")]
    partitions: Option<i32>,
    /// Copies of each partition [default: the broker's]
    #[arg(short, long, value_name = "COUNT")]
    replication_factor: Option<i32>,
    /// A setting of the topic, such as cleanup.policy=compact
    #[arg(short, long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// A topic of this name that is there already is fine
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(clap::Args)]
struct List {
    /// Kafka's own topics too
    #[arg(short, long)]
    internal: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(clap::Args)]
struct Describe {
    name: String,
    /// All settings, and not only those that were set
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(clap::Args)]
struct Alter {
    name: String,
    /// The new number of partitions, which can only grow
    #[arg(short, long, value_name = "COUNT")]
    partitions: Option<usize>,
    /// Set a setting
    #[arg(short, long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// Put a setting back to its default
    #[arg(long, value_name = "KEY")]
    delete_config: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(clap::Args)]
struct Delete {
    #[arg(required = true)]
    names: Vec<String>,
    /// A topic that is not there is fine
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::Create(args) => create(args, context).await,
        Command::List(args) => list(&args, context),
        Command::Describe(args) => describe(&args, context).await,
        Command::Alter(args) => alter(args, context).await,
        Command::Delete(args) => delete(args, context).await,
    }
}

async fn create(args: Create, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let configs = args.config.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>()?;
    let replication = TopicReplication::Fixed(args.replication_factor.unwrap_or(-1));
    let mut topic = NewTopic::new(&args.name, args.partitions.unwrap_or(-1), replication);
    for (name, value) in &configs {
        topic = topic.set(name, value);
    }
    let made =
        cluster.admin()?.create_topics([&topic], &options()).await.map_err(|error| cluster.failed(error))?;
    let word = match made.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) if args.if_not_exists => "exists",
        Some(Err((name, code))) => return Err(cluster.refused(format!("create topic {name}"), code).into()),
        Some(Ok(_)) | None => "created",
    };
    let partitions = partitions_of(&cluster, &args.name)?;
    if context.is_json() {
        println!("{}", json!({"topic": args.name, "partitions": partitions, "created": word == "created"}));
    } else {
        let s = if partitions == 1 { "" } else { "s" };
        println!("{word} topic {} with {partitions} partition{s}", args.name);
    }
    Ok(())
}

fn partitions_of(cluster: &Cluster, name: &str) -> Result<usize, Error> {
    let consumer = cluster.reader()?;
    let metadata = cluster.metadata(&consumer, Some(name))?;
    Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len()))
}

fn is_internal(name: &str) -> bool {
    name.starts_with("__")
}

fn list(args: &List, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let consumer = cluster.reader()?;
    let metadata = cluster.metadata(&consumer, None)?;
    let mut topics: Vec<&MetadataTopic> =
        metadata.topics().iter().filter(|topic| args.internal || !is_internal(topic.name())).collect();
    topics.sort_by_key(|topic| topic.name());
    let replicas =
        |topic: &MetadataTopic| topic.partitions().first().map_or(0, |partition| partition.replicas().len());
    if context.is_json() {
        let rows: Vec<Value> = topics
            .iter()
            .map(|topic| json!({"topic": topic.name(), "partitions": topic.partitions().len(), "replicas": replicas(topic)}))
            .collect();
        println!("{}", Value::Array(rows));
        return Ok(());
    }
    if topics.is_empty() {
        eprintln!("no topics yet: tidemill topic create NAME");
        return Ok(());
    }
    let row = |topic: &&MetadataTopic| {
        vec![topic.name().to_owned(), topic.partitions().len().to_string(), replicas(topic).to_string()]
    };
    let rows: Vec<Vec<String>> = topics.iter().map(row).collect();
    print!("{}", table(&["TOPIC", "PARTITIONS", "REPLICAS"], &rows));
    Ok(())
}

/// A partition with the range of its offsets.
struct Range {
    partition: i32,
    leader: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    earliest: i64,
    latest: i64,
}

async fn describe(args: &Describe, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let consumer = cluster.reader()?;
    let ranges = ranges(&cluster, &consumer, &args.name)?;
    let configs = configs(&cluster, &args.name).await?;
    let shown: Vec<&ConfigEntry> = configs.iter().filter(|entry| args.all || is_set(entry)).collect();
    if context.is_json() {
        let partition = |range: &Range| {
            json!({"partition": range.partition, "leader": range.leader, "replicas": range.replicas,
                "in_sync": range.in_sync, "earliest": range.earliest, "latest": range.latest})
        };
        let configs: serde_json::Map<String, Value> =
            shown.iter().map(|entry| (entry.name.clone(), json!(entry.value))).collect();
        let partitions: Vec<Value> = ranges.iter().map(partition).collect();
        println!("{}", json!({"topic": args.name, "partitions": partitions, "configs": configs}));
        return Ok(());
    }
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let row = |range: &Range| {
        let (earliest, latest) = (range.earliest, range.latest);
        let offsets = [earliest, latest, latest - earliest].map(|number| number.to_string());
        let mut row = vec![
            range.partition.to_string(),
            range.leader.to_string(),
            ids(&range.replicas),
            ids(&range.in_sync),
        ];
        row.extend(offsets);
        row
    };
    let rows: Vec<Vec<String>> = ranges.iter().map(row).collect();
    println!("topic {}", args.name);
    print!(
        "{}",
        table(&["PARTITION", "LEADER", "REPLICAS", "IN SYNC", "EARLIEST", "LATEST", "RECORDS"], &rows)
    );
    if !shown.is_empty() {
        let rows: Vec<Vec<String>> = shown
            .iter()
            .map(|entry| vec![entry.name.clone(), entry.value.clone().unwrap_or_default()])
            .collect();
        print!("\n{}", table(&["SETTING", "VALUE"], &rows));
    }
    Ok(())
}

/// The partitions of a topic that exists.
fn ranges(cluster: &Cluster, consumer: &BaseConsumer, name: &str) -> Result<Vec<Range>, Error> {
    let metadata = cluster.metadata(consumer, Some(name))?;
    let missing = || Error::Missing { what: "topic", name: name.to_owned() };
    let topic = metadata.topics().first().filter(|topic| topic.error().is_none()).ok_or_else(missing)?;
    let mut ranges = Vec::new();
    for partition in topic.partitions() {
        let watermarks =
            tokio::task::block_in_place(|| consumer.fetch_watermarks(name, partition.id(), WAIT));
        let (earliest, latest) = watermarks.map_err(|error| cluster.failed(error))?;
        ranges.push(Range {
            partition: partition.id(),
            leader: partition.leader(),
            replicas: partition.replicas().to_vec(),
            in_sync: partition.isr().to_vec(),
            earliest,
            latest,
        });
    }
    ranges.sort_by_key(|range| range.partition);
    Ok(ranges)
}

async fn configs(cluster: &Cluster, name: &str) -> Result<Vec<ConfigEntry>, Error> {
    let described = cluster.admin()?.describe_configs([&ResourceSpecifier::Topic(name)], &options()).await;
    match described.map_err(|error| cluster.failed(error))?.into_iter().next() {
        Some(Ok(resource)) => {
            let mut entries = resource.entries;
            entries.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(entries)
        }
        Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
            Err(Error::Missing { what: "topic", name: name.to_owned() })
        }
        Some(Err(code)) => Err(cluster.refused(format!("describe topic {name}"), code)),
        None => Ok(vec![]),
    }
}

/// Whether it was set for this very topic.
fn is_set(entry: &ConfigEntry) -> bool {
    matches!(entry.source, ConfigSource::DynamicTopic)
}

async fn alter(args: Alter, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let changes = args.config.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>()?;
    if args.partitions.is_none() && changes.is_empty() && args.delete_config.is_empty() {
        return Err(Error::NothingToChange.into());
    }
    let entries = configs(&cluster, &args.name).await?; // also tells whether the topic is there
    let admin = cluster.admin()?;
    if let Some(partitions) = args.partitions {
        let grown = admin.create_partitions([&NewPartitions::new(&args.name, partitions)], &options()).await;
        if let Some(Err((name, code))) = grown.map_err(|error| cluster.failed(error))?.into_iter().next() {
            return Err(cluster.refused(format!("give topic {name} {partitions} partitions"), code).into());
        }
    }
    if !changes.is_empty() || !args.delete_config.is_empty() {
        set(&cluster, &args, &changes, &entries).await?;
    }
    if context.is_json() {
        println!("{}", json!({"topic": args.name, "changed": true}));
    } else {
        println!("changed topic {}", args.name);
    }
    Ok(())
}

/// The call puts all settings at once, so those that stay are sent again. The client library does not pass on a refusal:
/// what was asked for is read back.
async fn set(
    cluster: &Cluster,
    args: &Alter,
    changes: &[(String, String)],
    entries: &[ConfigEntry],
) -> Result<(), Error> {
    let named = |name: &str| {
        changes.iter().any(|(key, _)| key == name) || args.delete_config.iter().any(|key| key == name)
    };
    let mut change = AlterConfig::new(ResourceSpecifier::Topic(&args.name));
    for entry in entries.iter().filter(|entry| is_set(entry) && !named(&entry.name)) {
        change = change.set(&entry.name, entry.value.as_deref().unwrap_or_default());
    }
    for (name, value) in changes {
        change = change.set(name, value);
    }
    let altered =
        cluster.admin()?.alter_configs([&change], &options()).await.map_err(|error| cluster.failed(error))?;
    if let Some(Err((_, code))) = altered.into_iter().next() {
        return Err(cluster.refused(format!("change the settings of topic {}", args.name), code));
    }
    let now = configs(cluster, &args.name).await?;
    for (name, value) in changes {
        let entry = now.iter().find(|entry| entry.name == *name);
        if entry.and_then(|entry| entry.value.as_deref()) != Some(value.trim()) {
            let action = format!("set {name}={value} for topic {}", args.name);
            return Err(cluster.refused(action, RDKafkaErrorCode::InvalidConfig));
        }
    }
    Ok(())
}

async fn delete(args: Delete, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let names: Vec<&str> = args.names.iter().map(String::as_str).collect();
    let deleted =
        cluster.admin()?.delete_topics(&names, &options()).await.map_err(|error| cluster.failed(error))?;
    let mut results = Vec::new();
    for outcome in deleted {
        match outcome {
            Ok(name) => results.push((name, true)),
            Err((name, RDKafkaErrorCode::UnknownTopicOrPartition)) if args.if_exists => {
                results.push((name, false))
            }
            Err((name, RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                return Err(Error::Missing { what: "topic", name }.into());
            }
            Err((name, code)) => return Err(cluster.refused(format!("delete topic {name}"), code).into()),
        }
    }
    if context.is_json() {
        let rows: Vec<Value> =
            results.iter().map(|(name, was)| json!({"topic": name, "deleted": was})).collect();
        println!("{}", Value::Array(rows));
        return Ok(());
    }
    for (name, was) in results {
        println!("{} topic {name}", if was { "deleted" } else { "there is no" });
    }
    Ok(())
}

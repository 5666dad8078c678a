//! `tidemill group list|describe|reset-offsets|delete`, through Kafka's protocol: the same against any cluster.

use std::collections::BTreeMap;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::RDKafkaErrorCode,
    groups::{GroupInfo, GroupMemberInfo},
};
use serde_json::{Value, json};

use super::topic::cluster::{Cluster, ClusterArgs, Error, WAIT, options, table};
use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// All consumer groups and their states
    #[command(visible_alias = "ls")]
    List(List),
    /// Members, committed offsets and lag of a group
    Describe(Describe),
    /// Set the committed offsets of a group without members
    ResetOffsets(ResetOffsets),
    /// Delete groups without members, and what they committed
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(clap::Args)]
struct Describe {
    name: String,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(clap::Args)]
struct ResetOffsets {
    name: String,
    #[arg(short, long)]
    topic: String,
    /// Where to go on: earliest, latest, or an offset
    #[arg(long, value_name = "OFFSET", value_parser = target)]
    to: Target,
    /// One partition only
    #[arg(short, long)]
    partition: Option<i32>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Earliest,
    Latest,
    Offset(i64),
}

fn target(text: &str) -> Result<Target, String> {
    match text {
        "earliest" => Ok(Target::Earliest),
        "latest" => Ok(Target::Latest),
        number => match number.parse() {
            Ok(offset) if offset >= 0 => Ok(Target::Offset(offset)),
            _ => Err("write earliest, latest, or an offset such as 1200".to_owned()),
        },
    }
}

#[derive(clap::Args)]
struct Delete {
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list(&args, context),
        Command::Describe(args) => describe(&args, context),
        Command::ResetOffsets(args) => reset_offsets(&args, context),
        Command::Delete(args) => delete(args, context).await,
    }
}

fn groups(cluster: &Cluster, name: Option<&str>) -> Result<rdkafka::groups::GroupList, Error> {
    let consumer = cluster.reader()?;
    tokio::task::block_in_place(|| consumer.fetch_group_list(name, WAIT))
        .map_err(|error| cluster.failed(error))
}

/// The client asks of every group as of a classic one, and a cluster that has it as a consumer group (KIP-848) answers that no
/// such group is alive. That it lists it says what it is.
const CONSUMER_PROTOCOL: &str = "consumer protocol";

fn state(group: &GroupInfo) -> &str {
    if is_classic(group) { group.state() } else { CONSUMER_PROTOCOL }
}

fn is_classic(group: &GroupInfo) -> bool {
    group.state() != "Dead"
}

fn list(args: &List, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let list = groups(&cluster, None)?;
    let mut groups: Vec<&GroupInfo> = list.groups().iter().collect();
    groups.sort_by_key(|group| group.name());
    if context.is_json() {
        let row = |group: &&GroupInfo| {
            json!({"group": group.name(), "state": state(group), "protocol_type": group.protocol_type(),
                "members": is_classic(group).then(|| group.members().len())})
        };
        println!("{}", Value::Array(groups.iter().map(row).collect()));
        return Ok(());
    }
    if groups.is_empty() {
        eprintln!("no groups yet: one appears when a consumer joins or commits");
        return Ok(());
    }
    let row = |group: &&GroupInfo| {
        let members = if is_classic(group) { group.members().len().to_string() } else { "-".to_owned() };
        vec![group.name().to_owned(), state(group).to_owned(), members]
    };
    let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
    print!("{}", table(&["GROUP", "STATE", "MEMBERS"], &rows));
    Ok(())
}

/// A partition that a group has committed for, or that a member reads.
struct Lag {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    latest: i64,
    lag: Option<i64>,
    metadata: String,
    member: Option<String>,
}

fn describe(args: &Describe, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let named =
        |list: &rdkafka::groups::GroupList| list.groups().iter().any(|group| group.name() == args.name);
    let missing = || Error::Missing { what: "group", name: args.name.clone() };
    let list = groups(&cluster, Some(&args.name))?;
    let group = list.groups().iter().find(|group| group.name() == args.name).ok_or_else(missing)?;
    if !is_classic(group) && !named(&groups(&cluster, None)?) {
        return Err(missing().into());
    }
    let lags = lags(&cluster, group)?;
    if context.is_json() {
        println!("{}", described_json(group, &lags));
        return Ok(());
    }
    match is_classic(group) {
        true => println!("group {} is {}", group.name(), group.state()),
        false => println!(
            "group {} uses the {CONSUMER_PROTOCOL}: its members are told by kafka-consumer-groups.sh",
            group.name()
        ),
    }
    if !group.members().is_empty() {
        let row = |member: &GroupMemberInfo| {
            vec![
                member.id().to_owned(),
                member.client_id().to_owned(),
                member.client_host().trim_start_matches('/').to_owned(),
            ]
        };
        let rows: Vec<Vec<String>> = group.members().iter().map(row).collect();
        print!("\n{}", table(&["MEMBER", "CLIENT", "HOST"], &rows));
    }
    if !lags.is_empty() {
        let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
        let row = |lag: &Lag| {
            vec![
                lag.topic.clone(),
                lag.partition.to_string(),
                number(lag.committed),
                lag.latest.to_string(),
                number(lag.lag),
                lag.member.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        };
        let rows: Vec<Vec<String>> = lags.iter().map(row).collect();
        print!("\n{}", table(&["TOPIC", "PARTITION", "COMMITTED", "LATEST", "LAG", "MEMBER"], &rows));
        let total: i64 = lags.iter().filter_map(|lag| lag.lag).sum();
        println!("\nlag in all: {total}");
    }
    Ok(())
}

fn described_json(group: &GroupInfo, lags: &[Lag]) -> Value {
    let member = |member: &GroupMemberInfo| json!({"id": member.id(), "client_id": member.client_id(), "host": member.client_host().trim_start_matches('/')});
    let offset = |lag: &Lag| {
        json!({"topic": lag.topic, "partition": lag.partition, "committed": lag.committed, "latest": lag.latest,
            "lag": lag.lag, "metadata": lag.metadata, "member": lag.member})
    };
    json!({
        "group": group.name(), "state": state(group), "protocol": group.protocol(),
        "members": group.members().iter().map(member).collect::<Vec<_>>(),
        "offsets": lags.iter().map(offset).collect::<Vec<_>>(),
        "lag": lags.iter().filter_map(|lag| lag.lag).sum::<i64>(),
    })
}

fn lags(cluster: &Cluster, group: &GroupInfo) -> Result<Vec<Lag>, Error> {
    let consumer = cluster.consumer(group.name())?;
    let mut assigned: BTreeMap<(String, i32), String> = BTreeMap::new();
    for member in group.members() {
        for place in wire::group::assignment(member.assignment().unwrap_or_default()).unwrap_or_default() {
            assigned.insert(place, member.id().to_owned());
        }
    }
    let metadata = cluster.metadata(&consumer, None)?;
    let mut asked = TopicPartitionList::new();
    for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
        for partition in topic.partitions() {
            asked.add_partition(topic.name(), partition.id());
        }
    }
    if asked.count() == 0 {
        return Ok(vec![]);
    }
    let committed = tokio::task::block_in_place(|| consumer.committed_offsets(asked, WAIT));
    let mut lags = Vec::new();
    for element in committed.map_err(|error| cluster.failed(error))?.elements() {
        let (topic, partition) = (element.topic().to_owned(), element.partition());
        let offset = match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        let member = assigned.get(&(topic.clone(), partition)).cloned();
        if offset.is_none() && member.is_none() {
            continue;
        }
        let (_, latest) = watermarks(cluster, &consumer, &topic, partition)?;
        let lag = offset.map(|offset| (latest - offset).max(0));
        let metadata = element.metadata().to_owned();
        lags.push(Lag { topic, partition, committed: offset, latest, lag, metadata, member });
    }
    lags.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
    Ok(lags)
}

fn watermarks(
    cluster: &Cluster,
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), Error> {
    let watermarks = tokio::task::block_in_place(|| consumer.fetch_watermarks(topic, partition, WAIT));
    watermarks.map_err(|error| cluster.failed(error))
}

fn reset_offsets(args: &ResetOffsets, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let consumer = cluster.consumer(&args.name)?;
    let metadata = cluster.metadata(&consumer, Some(&args.topic))?;
    let missing = || Error::Missing { what: "topic", name: args.topic.clone() };
    let topic = metadata.topics().first().filter(|topic| topic.error().is_none()).ok_or_else(missing)?;
    let mut list = TopicPartitionList::new();
    let mut rows = Vec::new();
    for partition in topic.partitions().iter().map(|partition| partition.id()) {
        if args.partition.is_some_and(|wanted| wanted != partition) {
            continue;
        }
        let (earliest, latest) = watermarks(&cluster, &consumer, &args.topic, partition)?;
        let offset = match args.to {
            Target::Earliest => earliest,
            Target::Latest => latest,
            Target::Offset(offset) => offset.clamp(earliest, latest),
        };
        list.add_partition_offset(&args.topic, partition, Offset::Offset(offset))
            .map_err(|error| cluster.failed(error))?;
        rows.push((partition, offset));
    }
    if rows.is_empty() {
        let name = format!("{}/{}", args.topic, args.partition.unwrap_or_default());
        return Err(Error::Missing { what: "partition", name }.into());
    }
    let commit = tokio::task::block_in_place(|| consumer.commit(&list, CommitMode::Sync));
    commit.map_err(|error| match error.rdkafka_error_code() {
        // Kafka's way to say that members are there: nobody outside may commit for them.
        Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration) => {
            let action = format!("set the offsets of group {}", args.name);
            Error::Refused { action, code: RDKafkaErrorCode::NonEmptyGroup }
        }
        _ => cluster.failed(error),
    })?;
    rows.sort_unstable();
    if context.is_json() {
        let row = |(partition, offset): &(i32, i64)| json!({"topic": args.topic, "partition": partition, "offset": offset});
        println!("{}", Value::Array(rows.iter().map(row).collect()));
        return Ok(());
    }
    let row = |(partition, offset): &(i32, i64)| {
        vec![args.topic.clone(), partition.to_string(), offset.to_string()]
    };
    print!("{}", table(&["TOPIC", "PARTITION", "OFFSET"], &rows.iter().map(row).collect::<Vec<_>>()));
    Ok(())
}

async fn delete(args: Delete, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let names: Vec<&str> = args.names.iter().map(String::as_str).collect();
    let deleted =
        cluster.admin()?.delete_groups(&names, &options()).await.map_err(|error| cluster.failed(error))?;
    let mut gone = Vec::new();
    for outcome in deleted {
        match outcome {
            Ok(name) => gone.push(name),
            Err((name, RDKafkaErrorCode::GroupIdNotFound)) => {
                return Err(Error::Missing { what: "group", name }.into());
            }
            Err((name, code)) => return Err(cluster.refused(format!("delete group {name}"), code).into()),
        }
    }
    if context.is_json() {
        println!("{}", json!(gone));
        return Ok(());
    }
    for name in gone {
        println!("deleted group {name}");
    }
    Ok(())
}

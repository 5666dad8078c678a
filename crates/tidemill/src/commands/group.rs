//! `tidemill group list|describe|reset-offsets|delete`, through Kafka's protocol: the same against any cluster.

use std::collections::BTreeMap;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::RDKafkaErrorCode,
    groups::{GroupInfo, GroupMemberInfo},
};
use serde_json::{Value, json};

mod described;

use described::{Member, described};

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

/// A group, and who is in it; `None`: that is not told.
struct Group {
    name: String,
    state: Option<String>,
    /// By which the partitions are shared out.
    protocol: &'static str,
    protocol_type: Option<String>,
    assignor: Option<String>,
    members: Option<Vec<Member>>,
}

impl Group {
    fn classic(group: &GroupInfo) -> Group {
        let member = |member: &GroupMemberInfo| Member {
            id: member.id().to_owned(),
            client_id: member.client_id().to_owned(),
            host: member.client_host().to_owned(),
            partitions: wire::group::assignment(member.assignment().unwrap_or_default()).unwrap_or_default(),
        };
        Group {
            name: group.name().to_owned(),
            state: Some(group.state().to_owned()),
            protocol: "classic",
            protocol_type: Some(group.protocol_type().to_owned()),
            assignor: Some(group.protocol().to_owned()),
            members: Some(group.members().iter().map(member).collect()),
        }
    }

    fn of_another_kind(name: String) -> Group {
        let protocol = "share or streams";
        Group { name, state: None, protocol, protocol_type: None, assignor: None, members: None }
    }

    fn members_count(&self) -> Option<usize> {
        self.members.as_ref().map(Vec::len)
    }

    fn members(&self) -> &[Member] {
        self.members.as_deref().unwrap_or_default()
    }
}

/// All groups, or the one. The client asks of each as of a classic one, and a cluster that has it as a consumer group (KIP-848)
/// answers that no such group is alive; then its coordinator is asked for what it has. Of share groups and of streams groups the client
/// learns no more than that they are there.
fn groups(cluster: &Cluster, name: Option<&str>) -> Result<Vec<Group>, Error> {
    let reader = cluster.reader()?;
    let list = tokio::task::block_in_place(|| reader.fetch_group_list(name, WAIT))
        .map_err(|error| cluster.failed(error))?;
    let (dead, alive): (Vec<&GroupInfo>, Vec<_>) =
        list.groups().iter().partition(|group| group.state() == "Dead");
    let mut groups: Vec<Group> = alive.into_iter().map(Group::classic).collect();
    let names: Vec<&str> = dead.into_iter().map(GroupInfo::name).collect();
    let mut others = Vec::new();
    for (name, described) in described(cluster, &names)? {
        if described.state == "Dead" {
            others.push(name);
            continue;
        }
        groups.push(Group {
            name,
            state: Some(described.state),
            protocol: "consumer",
            protocol_type: Some("consumer".to_owned()),
            assignor: Some(described.assignor),
            members: Some(described.members),
        });
    }
    // Who is asked of by name may be nobody, and who was there may be deleted by now.
    if !others.is_empty() {
        let all = tokio::task::block_in_place(|| reader.fetch_group_list(None, WAIT))
            .map_err(|error| cluster.failed(error))?;
        others.retain(|name| all.groups().iter().any(|group| group.name() == name));
    }
    groups.extend(others.into_iter().map(Group::of_another_kind));
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(groups)
}

fn list(args: &List, context: &Context) -> Result<(), Failure> {
    let cluster = Cluster::of(&args.cluster, context)?;
    let groups = groups(&cluster, None)?;
    if context.is_json() {
        let row = |group: &Group| {
            json!({"group": group.name, "state": group.state, "protocol_type": group.protocol_type,
                "group_protocol": group.protocol, "members": group.members_count()})
        };
        println!("{}", Value::Array(groups.iter().map(row).collect()));
        return Ok(());
    }
    if groups.is_empty() {
        eprintln!("no groups yet: one appears when a consumer joins or commits");
        return Ok(());
    }
    let row = |group: &Group| {
        let or_dash = |told: Option<String>| told.unwrap_or_else(|| "-".to_owned());
        let count = group.members_count().map(|count| count.to_string());
        vec![group.name.clone(), or_dash(group.state.clone()), group.protocol.to_owned(), or_dash(count)]
    };
    let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
    print!("{}", table(&["GROUP", "STATE", "PROTOCOL", "MEMBERS"], &rows));
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
    let missing = || Error::Missing { what: "group", name: args.name.clone() };
    let groups = groups(&cluster, Some(&args.name))?;
    let group = groups.iter().find(|group| group.name == args.name).ok_or_else(missing)?;
    let lags = lags(&cluster, group)?;
    if context.is_json() {
        println!("{}", described_json(group, &lags));
        return Ok(());
    }
    match &group.state {
        None => println!("group {} is a share group or a streams group", group.name),
        Some(state) => println!("group {} is {state}, by the {} protocol", group.name, group.protocol),
    }
    if !group.members().is_empty() {
        let row = |member: &Member| {
            let host = member.host.trim_start_matches('/').to_owned();
            vec![member.id.clone(), member.client_id.clone(), host]
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

fn described_json(group: &Group, lags: &[Lag]) -> Value {
    let member = |member: &Member| json!({"id": member.id, "client_id": member.client_id, "host": member.host.trim_start_matches('/')});
    let offset = |lag: &Lag| {
        json!({"topic": lag.topic, "partition": lag.partition, "committed": lag.committed, "latest": lag.latest,
            "lag": lag.lag, "metadata": lag.metadata, "member": lag.member})
    };
    json!({
        "group": group.name, "state": group.state, "group_protocol": group.protocol, "protocol": group.assignor,
        "members": group.members.as_ref().map(|members| members.iter().map(member).collect::<Vec<_>>()),
        "offsets": lags.iter().map(offset).collect::<Vec<_>>(),
        "lag": lags.iter().filter_map(|lag| lag.lag).sum::<i64>(),
    })
}

fn lags(cluster: &Cluster, group: &Group) -> Result<Vec<Lag>, Error> {
    let consumer = cluster.consumer(&group.name)?;
    let mut assigned: BTreeMap<(String, i32), String> = BTreeMap::new();
    for member in group.members() {
        for place in &member.partitions {
            assigned.insert(place.clone(), member.id.clone());
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

//! Topics: their records up to the offsets of the plan, or themselves.

use base::{BoxError, units::counted};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{NewTopic, TopicReplication},
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode as Kafka},
};

use super::{Action, Args, Error, Step};
use crate::{
    commands::topic::cluster::{Cluster, ClusterArgs, WAIT, options},
    context::{Context, Failure},
};

/// Which topic of which cluster.
pub(super) struct Work {
    cluster: std::sync::Arc<Cluster>,
    topic: String,
    /// Where each partition ended when the plan was made.
    ends: Vec<(i32, i64)>,
    partitions_count: i32,
}

/// What the target means: one topic, or all that begin so.
pub(super) async fn plan(args: &Args, context: &Context, target: &str) -> Result<Vec<Step>, Failure> {
    let rest = target.strip_prefix("kafka://").unwrap_or(target).trim_end_matches('/');
    let (server, topic) = match (rest.split_once('/'), &args.prefix) {
        (Some((server, topic)), None) if !topic.is_empty() && !topic.contains('/') => (server, Some(topic)),
        (None, Some(_)) if !rest.is_empty() => (rest, None),
        (Some(_), Some(_)) => return Err(Box::new(Error::PrefixOfOne { target: target.to_owned() })),
        _ => return Err(Box::new(Error::Target { target: target.to_owned() })),
    };
    let brokers = match server {
        "local" => None,
        server if server.contains(':') => Some(server.to_owned()),
        server => Some(format!("{server}:9092")),
    };
    let cluster = std::sync::Arc::new(Cluster::of(&ClusterArgs { brokers }, context)?);
    let reader = cluster.reader()?;
    let metadata = cluster.metadata(&reader, None)?;
    let known: Vec<(String, Vec<i32>)> = metadata
        .topics()
        .iter()
        .map(|topic| (topic.name().to_owned(), topic.partitions().iter().map(|one| one.id()).collect()))
        .collect();
    let names: Vec<String> = match (topic, &args.prefix) {
        (Some(topic), _) => vec![topic.to_owned()],
        // Kafka's own are only meant by their whole names.
        (None, Some(prefix)) => {
            let is_meant = |name: &&String| name.starts_with(&**prefix) && !name.starts_with("__");
            let mut names: Vec<String> =
                known.iter().map(|(name, _)| name).filter(is_meant).cloned().collect();
            names.sort();
            names
        }
        (None, None) => Vec::new(),
    };
    let mut steps = Vec::new();
    for name in names {
        let partitions = known.iter().find(|(known, _)| *known == name).map(|(_, partitions)| partitions);
        let (mut ends, mut records_count) = (Vec::new(), 0);
        for partition in partitions.into_iter().flatten() {
            let bounds = tokio::task::block_in_place(|| reader.fetch_watermarks(&name, *partition, WAIT));
            let (low, high) = bounds.map_err(|error| cluster.failed(error))?;
            records_count += (high - low).max(0) as u64;
            ends.push((*partition, high));
        }
        for action in args.actions(partitions.is_some()) {
            let detail = match action {
                Action::Make => {
                    format!("a topic, {}", counted(args.partitions.unsigned_abs().into(), "partition"))
                }
                Action::Empty | Action::Drop => {
                    let partitions = counted(ends.len() as u64, "partition");
                    format!("{} in {partitions}", counted(records_count, "record"))
                }
            };
            let work = Work {
                cluster: cluster.clone(),
                topic: name.clone(),
                ends: ends.clone(),
                partitions_count: args.partitions,
            };
            let thing = format!("kafka://{server}/{name}");
            steps.push(Step { action, thing, detail, work: super::Work::Topic(work) });
        }
    }
    Ok(steps)
}

/// Does it, and says what there is to say.
pub(super) async fn act(action: Action, work: &Work) -> Result<String, BoxError> {
    let Work { cluster, topic, ends, partitions_count } = work;
    let admin = cluster.admin()?;
    match action {
        Action::Make => {
            let new = NewTopic::new(topic, *partitions_count, TopicReplication::Fixed(-1));
            // A topic of the name that has just been dropped may be known for a moment more.
            let mut waits = base::Backoff::new(50, 1_000, 8, 1);
            loop {
                let answers = admin.create_topics([&new], &options()).await?;
                match (answers.into_iter().find_map(Result::err), waits.next()) {
                    (None, _) => return Ok(String::new()),
                    (Some((_, Kafka::TopicAlreadyExists)), Some(wait)) => tokio::time::sleep(wait).await,
                    (Some((_, code)), _) => return Err(KafkaError::AdminOp(code).into()),
                }
            }
        }
        Action::Empty => {
            let mut list = TopicPartitionList::new();
            for (partition, end) in ends.iter().filter(|(_, end)| *end > 0) {
                list.add_partition_offset(topic, *partition, Offset::Offset(*end))?;
            }
            if list.count() > 0 {
                let answer = admin.delete_records(&list, &options()).await?;
                answer.elements().iter().try_for_each(|one| one.error())?;
            }
            Ok(String::new())
        }
        Action::Drop => {
            let answers = admin.delete_topics(&[topic.as_str()], &options()).await?;
            match answers.into_iter().find_map(Result::err) {
                None | Some((_, Kafka::UnknownTopicOrPartition)) => Ok(String::new()),
                Some((_, code)) => Err(KafkaError::AdminOp(code).into()),
            }
        }
    }
}

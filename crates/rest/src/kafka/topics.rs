//! The cluster, its brokers and topics, as metadata tells them; making, growing and deleting topics; where partitions begin and end.

use std::collections::BTreeMap;

use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest,
    create_partitions_request::CreatePartitionsTopic,
    create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig},
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    list_partition_reassignments_request::ListPartitionReassignmentsTopics,
    metadata_request::MetadataRequestTopic,
    metadata_response::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic},
};

use super::{CHANGE_TIMEOUT_MS, Kafka, Whom, text, topic_name};
use crate::Error;

/// From this version on, a topic's authorized operations may be asked for.
const OPERATIONS_VERSION: i16 = 8;
/// Kafka's numbers for the offsets of a partition's two ends.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

pub(crate) struct Cluster {
    pub id: String,
    pub controller: Option<i32>,
    pub brokers: Vec<Broker>,
    pub topics: Vec<Topic>,
}

pub(crate) struct Broker {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

pub(crate) struct Topic {
    pub name: String,
    pub is_internal: bool,
    /// By their ids.
    pub partitions: Vec<Partition>,
    /// A bit for each of Kafka's operations; none where it was not asked for.
    pub operations: Option<i32>,
}

pub(crate) struct Partition {
    pub id: i32,
    pub leader: Option<i32>,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
}

impl Topic {
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas.len())
    }

    pub fn partition(&self, id: i32) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.id == id)
    }
}

/// Which topics are asked for.
pub(crate) enum Asked<'a> {
    None,
    All,
    One(&'a str),
    /// Made where it is missing and the brokers make topics by themselves, as for any producer.
    Wanted(&'a str),
}

/// A topic to be made; what is not given is the broker's default.
#[derive(Default)]
pub(crate) struct NewTopic {
    pub name: String,
    pub partitions_count: Option<i32>,
    pub replication_factor: Option<i16>,
    pub assignments: Vec<(i32, Vec<i32>)>,
    pub configs: Vec<(String, Option<String>)>,
    pub validate_only: bool,
}

/// A partition whose replicas are being moved.
pub(crate) struct Reassignment {
    pub topic: String,
    pub partition: i32,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
}

/// The first and the next offset.
pub(crate) type Ends = (i64, i64);

impl Kafka {
    pub async fn metadata(&self, asked: Asked<'_>) -> Result<Cluster, Error> {
        self.metadata_with(asked, false).await
    }

    /// A topic's metadata, if there is one of that name.
    pub async fn topic(&self, name: &str) -> Result<Option<Topic>, Error> {
        Ok(self.metadata(Asked::One(name)).await?.topics.pop())
    }

    pub async fn metadata_with(&self, asked: Asked<'_>, with_operations: bool) -> Result<Cluster, Error> {
        let one = |name: &str| Some(vec![MetadataRequestTopic::default().with_name(Some(topic_name(name)))]);
        let makes = matches!(asked, Asked::Wanted(_));
        let topics = match asked {
            Asked::None => Some(Vec::new()),
            Asked::All => None,
            Asked::One(name) | Asked::Wanted(name) => one(name),
        };
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(makes)
            .with_include_topic_authorized_operations(with_operations);
        // Version 4 is the first that leaves missing topics alone; names are asked for up to 9, ids after that.
        let versions = if with_operations { OPERATIONS_VERSION..=9 } else { 4..=9 };
        let answer = self.ask_any(&versions, &request).await?;
        cluster(answer, with_operations).inspect(|cluster| {
            let addresses = cluster.brokers.iter();
            let addresses = addresses.map(|broker| (broker.id, format!("{}:{}", broker.host, broker.port)));
            *self.brokers.lock() = addresses.collect();
        })
    }

    pub async fn create_topic(&self, new: &NewTopic) -> Result<(), Error> {
        let assignments = new.assignments.iter().map(|(partition, brokers)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*partition)
                .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
        });
        let configs = new.configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(value.as_deref().map(text))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(&new.name))
            .with_num_partitions(new.partitions_count.unwrap_or(-1))
            .with_replication_factor(new.replication_factor.unwrap_or(-1))
            .with_assignments(assignments.collect())
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(CHANGE_TIMEOUT_MS)
            .with_validate_only(new.validate_only);
        let answer = self.ask(Whom::Any, 2..=7, &request).await?;
        outcome(answer.topics.first().map(|topic| (topic.error_code, topic.error_message.as_deref())))
    }

    pub async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![topic_name(name)])
            .with_timeout_ms(CHANGE_TIMEOUT_MS);
        // From version 6 on topics are named otherwise, and nothing is gained.
        let answer = self.ask(Whom::Any, 1..=5, &request).await?;
        outcome(answer.responses.first().map(|topic| (topic.error_code, topic.error_message.as_deref())))
    }

    pub async fn grow_topic(&self, name: &str, partitions_count: i32) -> Result<(), Error> {
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(partitions_count)
            .with_assignments(None);
        let request =
            CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(CHANGE_TIMEOUT_MS);
        let answer = self.ask(Whom::Any, 0..=3, &request).await?;
        outcome(answer.results.first().map(|topic| (topic.error_code, topic.error_message.as_deref())))
    }

    /// What is being moved: of all topics, or of one, or of one partition.
    pub async fn reassignments(&self, asked: Option<(&str, Vec<i32>)>) -> Result<Vec<Reassignment>, Error> {
        let topics = asked.map(|(topic, partitions)| {
            vec![
                ListPartitionReassignmentsTopics::default()
                    .with_name(topic_name(topic))
                    .with_partition_indexes(partitions),
            ]
        });
        let request = ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(CHANGE_TIMEOUT_MS)
            .with_topics(topics);
        let answer = self.ask(Whom::Any, 0..=0, &request).await?;
        outcome(Some((answer.error_code, answer.error_message.as_deref())))?;
        let ids = |ids: Vec<BrokerId>| ids.into_iter().map(|BrokerId(id)| id).collect();
        let moved = answer.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |partition| Reassignment {
                topic: name.clone(),
                partition: partition.partition_index,
                adding: ids(partition.adding_replicas),
                removing: ids(partition.removing_replicas),
            })
        });
        Ok(moved.collect())
    }

    /// Where a partition begins and ends for those who read everything.
    pub async fn ends(&self, topic: &Topic, partition: i32) -> Result<Ends, Error> {
        let place = || vec![(topic.name.clone(), partition)];
        let leader = topic.partition(partition).and_then(|partition| partition.leader);
        let leader = leader.ok_or(Error::PartitionNotFound)?;
        let first = self.offsets_at(leader, EARLIEST, place()).await?;
        let next = self.offsets_at(leader, LATEST, place()).await?;
        let of = |found: &BTreeMap<(String, i32), i64>| found.values().next().copied();
        of(&first).zip(of(&next)).ok_or(Error::PartitionNotFound)
    }

    /// The next offsets of these partitions; those that do not exist any more are left out.
    pub async fn latest(&self, places: &[(String, i32)]) -> Result<BTreeMap<(String, i32), i64>, Error> {
        let cluster = self.metadata(Asked::All).await?;
        let mut by_leader: BTreeMap<i32, Vec<(String, i32)>> = BTreeMap::new();
        for (name, id) in places {
            let topic = cluster.topics.iter().find(|topic| topic.name == *name);
            let leader = topic.and_then(|topic| topic.partition(*id)).and_then(|partition| partition.leader);
            if let Some(leader) = leader {
                by_leader.entry(leader).or_default().push((name.clone(), *id));
            }
        }
        let mut found = BTreeMap::new();
        for (leader, places) in by_leader {
            found.extend(self.offsets_at(leader, LATEST, places).await?);
        }
        Ok(found)
    }

    async fn offsets_at(
        &self,
        leader: i32,
        timestamp: i64,
        places: Vec<(String, i32)>,
    ) -> Result<BTreeMap<(String, i32), i64>, Error> {
        let mut topics: BTreeMap<String, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (topic, partition) in places {
            let asked = ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp);
            topics.entry(topic).or_default().push(asked);
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            ListOffsetsTopic::default().with_name(topic_name(&name)).with_partitions(partitions)
        });
        let request =
            ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect());
        let answer = self.ask(Whom::Broker(leader), 1..=7, &request).await?;
        let mut found = BTreeMap::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                outcome(Some((partition.error_code, None)))?;
                found.insert((topic.name.to_string(), partition.partition_index), partition.offset);
            }
        }
        Ok(found)
    }
}

/// An error where there is one; a request that is answered with nothing was not understood.
pub(super) fn outcome(told: Option<(i16, Option<&str>)>) -> Result<(), Error> {
    match told {
        Some((0, _)) => Ok(()),
        Some((code, said)) => Err(Error::refused(code, said)),
        None => Err(Error::refused(-1, None)),
    }
}

fn cluster(answer: MetadataResponse, with_operations: bool) -> Result<Cluster, Error> {
    let brokers = answer.brokers.into_iter().map(|broker| Broker {
        id: broker.node_id.0,
        host: broker.host.to_string(),
        port: broker.port,
        rack: broker.rack.map(|rack| rack.to_string()),
    });
    let mut brokers: Vec<Broker> = brokers.collect();
    brokers.sort_by_key(|broker| broker.id);
    let mut topics = Vec::with_capacity(answer.topics.len());
    for found in answer.topics {
        // 3 is UNKNOWN_TOPIC_OR_PARTITION, 17 INVALID_TOPIC_EXCEPTION: a topic of that name is not there.
        match found.error_code {
            3 | 17 => continue,
            // The leader is only just being chosen.
            0 | 5 => topics.push(topic(found, with_operations)),
            code => return Err(Error::refused(code, None)),
        }
    }
    topics.sort_by(|one: &Topic, other| one.name.cmp(&other.name));
    Ok(Cluster {
        id: answer.cluster_id.map(|id| id.to_string()).unwrap_or_default(),
        controller: Some(answer.controller_id.0).filter(|id| *id >= 0),
        brokers,
        topics,
    })
}

fn topic(found: MetadataResponseTopic, with_operations: bool) -> Topic {
    let ids = |ids: Vec<BrokerId>| ids.into_iter().map(|BrokerId(id)| id).collect::<Vec<_>>();
    let partition = |found: MetadataResponsePartition| Partition {
        id: found.partition_index,
        leader: Some(found.leader_id.0).filter(|id| *id >= 0),
        replicas: ids(found.replica_nodes),
        in_sync: ids(found.isr_nodes),
    };
    let mut partitions: Vec<Partition> = found.partitions.into_iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.id);
    Topic {
        name: found.name.map(|name| name.to_string()).unwrap_or_default(),
        is_internal: found.is_internal,
        partitions,
        operations: with_operations.then_some(found.topic_authorized_operations),
    }
}

//! Consumer groups of both protocols: what there is, who is in one, what it has committed and how far it is behind.

use std::collections::BTreeMap;

use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest, OffsetFetchRequest,
    consumer_group_describe_response, describe_groups_response,
    offset_fetch_request::OffsetFetchRequestGroup,
};

use super::{
    Kafka, Whom, group_id,
    topics::{Asked, outcome},
};
use crate::Error;

/// Groups that are asked about at once: their members may be many.
const DESCRIBED_COUNT_MAX: usize = 200;

pub(crate) struct Group {
    pub id: String,
    /// Kept by somebody who only commits.
    pub is_simple: bool,
    pub assignor: String,
    /// In Confluent's words: `STABLE`, `PREPARING_REBALANCE`, …
    pub state: String,
    pub coordinator: i32,
    pub members: Vec<Member>,
}

pub(crate) struct Member {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    /// Topic and partition, sorted.
    pub assigned: Vec<(String, i32)>,
}

/// How far a group is behind in one partition.
pub(crate) struct Lag {
    pub topic: String,
    pub partition: i32,
    pub committed: i64,
    pub end: i64,
    /// Who reads it, as a row of the group's members.
    pub member: Option<usize>,
}

impl Lag {
    pub fn lag(&self) -> i64 {
        (self.end - self.committed).max(0)
    }
}

impl Kafka {
    /// All consumer groups. The broker that lists a group coordinates it, so it is asked about all of its own at once.
    pub async fn groups(&self) -> Result<Vec<Group>, Error> {
        let cluster = self.metadata(Asked::None).await?;
        let mut groups = Vec::new();
        for broker in &cluster.brokers {
            let answer = self.ask(Whom::Broker(broker.id), 0..=5, &ListGroupsRequest::default()).await?;
            outcome(Some((answer.error_code, None)))?;
            let consumers = answer.groups.into_iter().filter(|group| {
                matches!(&*group.protocol_type, "consumer" | "")
                    && matches!(&*group.group_type, "" | "consumer" | "classic" | "Consumer" | "Classic")
            });
            let ids: Vec<GroupId> = consumers.map(|group| group.group_id).collect();
            for ids in ids.chunks(DESCRIBED_COUNT_MAX) {
                groups.extend(self.described(broker.id, ids).await?);
            }
        }
        groups.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(groups)
    }

    /// One group; an error where there is none.
    pub async fn group(&self, id: &str) -> Result<Group, Error> {
        let (coordinator, _) = self.coordinator(id).await?;
        let found = self.described(coordinator, &[group_id(id)]).await?.pop();
        found.ok_or_else(|| Error::NotFound { what: format!("Consumer Group {id}") })
    }

    /// What their coordinator tells of groups; those that it does not know, or not any more, are left out.
    async fn described(&self, coordinator: i32, ids: &[GroupId]) -> Result<Vec<Group>, Error> {
        let mut groups = self.consumer_groups(coordinator, ids).await?;
        let classic_ids: Vec<GroupId> =
            ids.iter().filter(|id| groups.iter().all(|group| group.id != id.as_str())).cloned().collect();
        if classic_ids.is_empty() {
            return Ok(groups);
        }
        let request = DescribeGroupsRequest::default().with_groups(classic_ids);
        for found in self.ask(Whom::Broker(coordinator), 0..=5, &request).await?.groups {
            outcome(Some((found.error_code, None)))?;
            if &*found.group_state != "Dead" {
                groups.push(classic(found, coordinator));
            }
        }
        Ok(groups)
    }

    /// Those of the newer protocol; none where the broker knows nothing of them.
    async fn consumer_groups(&self, coordinator: i32, ids: &[GroupId]) -> Result<Vec<Group>, Error> {
        /// UNSUPPORTED_VERSION
        const UNSUPPORTED: i16 = 35;
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(ids.to_vec());
        let answer = match self.ask(Whom::Broker(coordinator), 0..=1, &request).await {
            Err(Error::Refused { code: UNSUPPORTED, .. }) => return Ok(Vec::new()),
            answered => answered?,
        };
        let found = answer.groups.into_iter().filter(|found| found.error_code == 0);
        Ok(found.map(|found| modern(found, coordinator)).collect())
    }

    /// What a group has committed.
    pub async fn committed(&self, group: &str) -> Result<BTreeMap<(String, i32), i64>, Error> {
        let mut found = BTreeMap::new();
        let mut put = |topic: String, partition: i32, offset: i64| {
            if offset >= 0 {
                found.insert((topic, partition), offset);
            }
        };
        // Up to version 7 the group stands at the top, from 8 on in a list; brokers have both for years.
        let listed = OffsetFetchRequest::default().with_groups(vec![
            OffsetFetchRequestGroup::default()
                .with_group_id(group_id(group))
                .with_member_epoch(-1)
                .with_topics(None),
        ]);
        match self.ask(Whom::Coordinator(group), 8..=9, &listed).await {
            Err(Error::Refused { code: 35, .. }) => {}
            answered => {
                for group in answered?.groups {
                    outcome(Some((group.error_code, None)))?;
                    for topic in group.topics {
                        for partition in topic.partitions {
                            outcome(Some((partition.error_code, None)))?;
                            put(
                                topic.name.to_string(),
                                partition.partition_index,
                                partition.committed_offset,
                            );
                        }
                    }
                }
                return Ok(found);
            }
        }
        let request = OffsetFetchRequest::default().with_group_id(group_id(group)).with_topics(None);
        let answer = self.ask(Whom::Coordinator(group), 2..=7, &request).await?;
        outcome(Some((answer.error_code, None)))?;
        for topic in answer.topics {
            for partition in topic.partitions {
                outcome(Some((partition.error_code, None)))?;
                put(topic.name.to_string(), partition.partition_index, partition.committed_offset);
            }
        }
        Ok(found)
    }

    /// How far a group is behind, wherever it has committed.
    pub async fn lags(&self, group: &Group) -> Result<Vec<Lag>, Error> {
        let committed = self.committed(&group.id).await?;
        let places: Vec<(String, i32)> = committed.keys().cloned().collect();
        let ends = self.latest(&places).await?;
        let lags = committed.into_iter().filter_map(|(place, committed)| {
            let end = *ends.get(&place)?;
            let member = group.members.iter().position(|member| member.assigned.contains(&place));
            let (topic, partition) = place;
            Some(Lag { topic, partition, committed, end, member })
        });
        Ok(lags.collect())
    }
}

/// `PreparingRebalance` as `PREPARING_REBALANCE`.
fn state(name: &str) -> String {
    let mut words = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            words.push('_');
        }
        words.push(letter.to_ascii_uppercase());
    }
    if words.is_empty() { "UNKNOWN".to_owned() } else { words }
}

fn classic(found: describe_groups_response::DescribedGroup, coordinator: i32) -> Group {
    let members = found.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_ref().map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        assigned: wire::group::assignment(&member.member_assignment).unwrap_or_default(),
    });
    let mut members: Vec<Member> = members.collect();
    members.sort_by(|one, other| one.id.cmp(&other.id));
    Group {
        id: found.group_id.to_string(),
        is_simple: found.protocol_type.is_empty(),
        assignor: found.protocol_data.to_string(),
        state: state(&found.group_state),
        coordinator,
        members,
    }
}

fn modern(found: consumer_group_describe_response::DescribedGroup, coordinator: i32) -> Group {
    let members = found.members.into_iter().map(|member| {
        let places = member.assignment.topic_partitions.into_iter().flat_map(|topic| {
            let name = topic.topic_name.to_string();
            topic.partitions.into_iter().map(move |partition| (name.clone(), partition))
        });
        let mut assigned: Vec<(String, i32)> = places.collect();
        assigned.sort();
        Member {
            id: member.member_id.to_string(),
            instance_id: member.instance_id.map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
            assigned,
        }
    });
    let mut members: Vec<Member> = members.collect();
    members.sort_by(|one, other| one.id.cmp(&other.id));
    Group {
        id: found.group_id.to_string(),
        is_simple: false,
        assignor: found.assignor_name.to_string(),
        state: state(&found.group_state),
        coordinator,
        members,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_in_capitals() {
        for (name, expected) in
            [("PreparingRebalance", "PREPARING_REBALANCE"), ("Stable", "STABLE"), ("", "UNKNOWN")]
        {
            assert_eq!(state(name), expected);
        }
    }
}

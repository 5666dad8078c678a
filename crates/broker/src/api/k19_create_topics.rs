//! CreateTopics (key 19), versions 2-7.
//! v4 -1 means the broker's default (KIP-464); v5 flexible, and the answer tells partitions and settings (KIP-525); v6
//! throttling errors (KIP-599); v7 topic ids. There is one node: a replication factor over 1 is refused.

use std::{collections::HashSet, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        CreateTopicsRequest, CreateTopicsResponse, TopicName,
        create_topics_request::CreatableTopic,
        create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
    },
    protocol::{Request, StrBytes},
};
use uuid::Uuid;

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    cluster::NODE_ID,
    quotas::mutations::Mutations,
    security::{access::Resource, acl::Operation},
    topics::{
        Refusal,
        settings::{DEFINITIONS, Definition, Settings},
    },
};

pub const HANDLER: Handler = Handler {
    key: CreateTopicsRequest::KEY,
    name: "CreateTopics",
    versions: 2..=7,
    shape: &shapes::CREATE_TOPICS,
    pipelined: false,
    call: |broker, call| call.answer_throttled(move |request, caller| act(broker, request, caller)),
    notes: "one replica; an unknown setting is INVALID_CONFIG",
};

pub(super) struct Made {
    id: Uuid,
    partitions: i32,
    settings: Settings,
}

async fn act(
    broker: Arc<Broker>,
    request: CreateTopicsRequest,
    caller: Caller,
) -> (CreateTopicsResponse, u32) {
    let mut seen = HashSet::new();
    let twice: HashSet<TopicName> = request
        .topics
        .iter()
        .filter(|topic| !seen.insert(topic.name.clone()))
        .map(|topic| topic.name.clone())
        .collect();
    let mut response = CreateTopicsResponse::default();
    let mut mutations = Mutations::of(&broker.quotas, &caller, 6);
    for topic in request.topics {
        let made = if twice.contains(&topic.name) {
            Err(Refusal::new(ResponseError::InvalidRequest, "The request names this topic twice."))
        } else if !broker.allows_creating(&caller, &topic.name) {
            Err(Refusal::new(ResponseError::TopicAuthorizationFailed, "Authorization failed."))
        } else {
            create(&broker, &topic, request.validate_only, &mut mutations).await
        };
        let answered = answer(&broker, topic.name.clone(), made, caller.version);
        let shows = broker.check(&caller, Operation::DescribeConfigs, Resource::Topic(&topic.name));
        response.topics.push(match shows {
            Err(error) if caller.version >= 5 && answered.error_code == 0 => answered
                .with_topic_config_error_code(error.code())
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_configs(None),
            _ => answered,
        });
    }
    let throttle_ms = mutations.throttle_ms();
    (response.with_throttle_time_ms(throttle_ms as i32), throttle_ms)
}

/// Makes one topic, or says why not.
pub(super) async fn create(
    broker: &Arc<Broker>,
    topic: &CreatableTopic,
    validate_only: bool,
    mutations: &mut Mutations<'_>,
) -> Result<Made, Refusal> {
    broker.topics.check_new(&topic.name)?;
    let partitions = partitions(broker, topic)?;
    let settings =
        Settings::from_pairs(topic.configs.iter().map(|config| (&*config.name, config.value.as_deref())))?;
    broker.topics.check_room(&topic.name, partitions)?;
    if validate_only {
        return Ok(Made { id: Uuid::nil(), partitions, settings });
    }
    mutations.charge(partitions.unsigned_abs() as usize)?;
    let (name, own) = (topic.name.to_string(), settings.clone());
    let made = broker.blocking(move |broker| broker.topics.create(&name, partitions, own)).await?;
    Ok(Made { id: made.id, partitions, settings })
}

/// How many partitions are asked for, by number or by assignment.
fn partitions(broker: &Broker, topic: &CreatableTopic) -> Result<i32, Refusal> {
    if !topic.assignments.is_empty() {
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            let reason = "Both numPartitions (or replicationFactor) and assignments were given; one of the two must be -1.";
            return Err(Refusal::new(ResponseError::InvalidRequest, reason));
        }
        let mut indices: Vec<i32> =
            topic.assignments.iter().map(|assignment| assignment.partition_index).collect();
        indices.sort_unstable();
        let in_row = indices.iter().enumerate().all(|(place, index)| place as i32 == *index);
        let here = topic.assignments.iter().all(|assignment| {
            assignment.broker_ids.len() == 1 && assignment.broker_ids.iter().all(|id| id.0 == NODE_ID)
        });
        if !in_row || !here {
            let reason = format!("Each partition from 0 on must be assigned to the one broker, {NODE_ID}.");
            return Err(Refusal::new(ResponseError::InvalidReplicaAssignment, reason));
        }
        return Ok(indices.len() as i32);
    }
    if !matches!(topic.replication_factor, -1 | 1) {
        let reason = if topic.replication_factor > 1 {
            format!("Replication factor: {} larger than available brokers: 1.", topic.replication_factor)
        } else {
            "Replication factor must be larger than 0, or -1 to use the default value.".to_owned()
        };
        return Err(Refusal::new(ResponseError::InvalidReplicationFactor, reason));
    }
    let asked = topic.num_partitions;
    let partitions = if asked == -1 { broker.options.partitions_default } else { asked };
    if !(1..=crate::topics::PARTITIONS_COUNT_MAX).contains(&partitions) {
        let most = crate::topics::PARTITIONS_COUNT_MAX;
        let reason = format!(
            "Number of partitions was set to {asked}; it must be 1 to {most}, or -1 for the default."
        );
        return Err(Refusal::new(ResponseError::InvalidPartitions, reason));
    }
    Ok(partitions)
}

fn answer(
    broker: &Broker,
    name: TopicName,
    made: Result<Made, Refusal>,
    version: i16,
) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(name);
    let made = match made {
        Ok(made) => made,
        Err(refusal) => {
            return result
                .with_error_code(refusal.error.code())
                .with_error_message(Some(StrBytes::from_string(refusal.reason)))
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_configs(Some(vec![]));
        }
    };
    let config = |definition: &Definition| {
        let (value, source) = made.settings.in_use(definition, &broker.topics.defaults);
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(definition.name))
            .with_value(Some(StrBytes::from_string(value)))
            .with_config_source(source as i8)
    };
    let result = result.with_num_partitions(made.partitions).with_replication_factor(1);
    let result = if version >= 7 { result.with_topic_id(made.id) } else { result };
    let configs = if version >= 5 { DEFINITIONS.iter().map(config).collect() } else { vec![] };
    result.with_configs(Some(configs))
}

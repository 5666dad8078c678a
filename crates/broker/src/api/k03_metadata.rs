//! Metadata (key 3), versions 0-13.
//! v0 an empty list means all topics, from v1 null does; v4 auto-creation is the client's to allow (before, always);
//! v8 authorized operations (KIP-430); v10 topic ids (KIP-516), v12 topics
//! by id alone; v13 an error at the top (KIP-1102), never used here.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, MetadataRequest, MetadataResponse, TopicName,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::{Request, StrBytes},
};
use uuid::Uuid;

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    cluster::{LEADER_EPOCH, NODE_ID},
    security::{access::Resource, acl::Operation},
    topics::{Topic, is_internal},
};

pub const HANDLER: Handler = Handler {
    key: MetadataRequest::KEY,
    name: "Metadata",
    versions: 0..=13,
    shape: &shapes::METADATA,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "creates missing topics where broker and client allow it; one node, id 1, is leader and controller",
};

async fn act(broker: Arc<Broker>, request: MetadataRequest, caller: Caller) -> MetadataResponse {
    let node = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(caller.peer.listener.host.clone())
        .with_port(caller.peer.listener.port);
    let mut response = MetadataResponse::default()
        .with_brokers(vec![node])
        .with_cluster_id(Some(broker.cluster_id.clone()))
        .with_controller_id(BrokerId(NODE_ID));
    let may_create =
        broker.options.auto_create_topics && (caller.version < 4 || request.allow_auto_topic_creation);
    match request.topics {
        Some(ref wanted) if !(wanted.is_empty() && caller.version == 0) => {
            for topic in wanted.clone() {
                response.topics.push(one(&broker, topic, may_create, &caller).await);
            }
        }
        _ => {
            let all = broker.topics.all();
            let may_see = |topic: &&Arc<Topic>| {
                broker.allows(&caller, Operation::Describe, Resource::Topic(&topic.name))
            };
            response.topics = all.iter().filter(may_see).map(|topic| described(topic)).collect();
        }
    }
    if (8..=10).contains(&caller.version) {
        let wanted = request.include_cluster_authorized_operations;
        response.cluster_authorized_operations = broker.operations(&caller, wanted, Resource::Cluster);
    }
    for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
        let wanted = request.include_topic_authorized_operations;
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        topic.topic_authorized_operations = broker.operations(&caller, wanted, Resource::Topic(name));
    }
    response
}

async fn one(
    broker: &Arc<Broker>,
    wanted: MetadataRequestTopic,
    may_create: bool,
    caller: &Caller,
) -> MetadataResponseTopic {
    let check = |name: &str| broker.check(caller, Operation::Describe, Resource::Topic(name));
    if let Some(name) = wanted.name {
        let found = match (check(&name), broker.topics.get(&name)) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(topic)) => Ok(topic),
            (Ok(()), None) if may_create && !broker.allows_creating(caller, &name) => {
                Err(ResponseError::TopicAuthorizationFailed)
            }
            (Ok(()), None) if may_create => broker.topic_or_create(&name).await,
            (Ok(()), None) => {
                let bad_name = broker.topics.check_new(&name).err().map(|refusal| refusal.error);
                Err(bad_name.unwrap_or(ResponseError::UnknownTopicOrPartition))
            }
        };
        return found.map_or_else(|error| refused(Some(name), Uuid::nil(), error), |topic| described(&topic));
    }
    match broker.topics.by_id(wanted.topic_id) {
        Some(topic) if check(&topic.name).is_ok() => described(&topic),
        _ => refused(None, wanted.topic_id, ResponseError::UnknownTopicId),
    }
}

fn refused(name: Option<TopicName>, id: Uuid, error: ResponseError) -> MetadataResponseTopic {
    let internal = name.as_ref().is_some_and(|name| is_internal(name));
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_is_internal(internal)
        .with_name(name.or(Some(TopicName::default())))
        .with_topic_id(id)
        .with_topic_authorized_operations(i32::MIN)
}

fn described(topic: &Topic) -> MetadataResponseTopic {
    let here = vec![BrokerId(NODE_ID)];
    let partition = |index: usize| {
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(NODE_ID))
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(here.clone())
            .with_isr_nodes(here.clone())
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
        .with_topic_id(topic.id)
        .with_is_internal(topic.is_internal())
        .with_partitions((0..topic.partitions.len()).map(partition).collect())
        .with_topic_authorized_operations(i32::MIN)
}

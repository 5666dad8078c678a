//! StreamsGroupHeartbeat (key 88), version 0 (KIP-1071): joining, staying in and leaving a group of Kafka Streams. The codec does not know
//! it. The answer comes when what follows from the heartbeat is in the log.
//!
//! Internal topics that the application needs are made here, in the name of who asks, and found by its next heartbeat.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{
        TopicName,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
    },
};

use super::{
    Call, Caller, Handler, Reply, Step, describing::text, handmade, k19_create_topics::create, shapes,
};
use crate::{
    broker::Broker,
    groups::{
        configs::Setting,
        consumer::{
            Refused,
            records::{put_compact, put_no_tags, put_optional, put_varint},
        },
        pace::interval_ms,
        streams::{
            Answer, Endpoints, Heartbeat, Status,
            records::{put_address, put_items, put_tasks},
            topology::{TopicInfo, Topology},
        },
    },
    quotas::mutations::Mutations,
    security::{access::Resource, acl::Operation},
    topics::{check_name, is_internal},
};

pub const KEY: i16 = 88;
/// The only one. Who is over his quota of mutations is refused from the first on.
const KEY_VERSION: i16 = 0;
/// What is said in it is kept in records.
const BODY_BYTES_MAX: usize = 1 << 20;
const TOO_LARGE: &str = "The request is larger than 1 MiB.";

pub const HANDLER: Handler = Handler {
    key: KEY,
    name: "StreamsGroupHeartbeat",
    versions: KEY_VERSION..=KEY_VERSION,
    shape: &shapes::STREAMS_GROUP_HEARTBEAT,
    pipelined: false,
    call: |broker, Call { caller, body }| {
        Box::pin(async move {
            let is_large = body.len() > BODY_BYTES_MAX;
            let (group_id, beat) = handmade::streams_group_heartbeat(body)?;
            let reply = Reply { version: KEY_VERSION, correlation_id: caller.correlation_id };
            let beat = Heartbeat {
                client_id: caller.client_id.to_string(),
                client_host: format!("/{}", caller.host),
                ..beat
            };
            let interval_ms = broker.groups.setting(&group_id, Setting::StreamsHeartbeatInterval);
            let answer = match is_large {
                true => Err(Refused::new(ResponseError::InvalidRequest, TOO_LARGE)),
                false => act(&broker, &group_id, beat, &caller).await,
            };
            reply.flexible(&body_of(&answer, interval_ms)).map(Step::answer)
        })
    },
    notes: "assignor `sticky`",
};

async fn act(
    broker: &Arc<Broker>,
    group_id: &str,
    beat: Heartbeat,
    caller: &Caller,
) -> Result<Answer, Refused> {
    may(broker, caller, group_id, beat.topology.as_ref())?;
    let mut answer = broker.groups.streams_heartbeat(group_id, beat).await?;
    if !answer.missing.is_empty() {
        let trouble = make(broker, caller, &answer.missing).await;
        let told = answer.status.iter_mut().find(|status| status.is_missing_internal());
        if let (Some(told), Some(trouble)) = (told, trouble) {
            told.detail += &trouble;
        }
    }
    Ok(answer)
}

/// A topic that the caller may not see makes the whole heartbeat fail, as in Kafka.
fn may(broker: &Broker, caller: &Caller, group_id: &str, topology: Option<&Topology>) -> Result<(), Refused> {
    let refused = |error: ResponseError| Refused::new(error, error.to_string());
    broker.check(caller, Operation::Read, Resource::Group(group_id)).map_err(refused)?;
    let Some(topology) = topology else { return Ok(()) };
    let topics = topology.required_topics();
    let invalid = |reason: String| Err(Refused::new(ResponseError::StreamsInvalidTopology, reason));
    let names = |some: &dyn Fn(&str) -> bool| {
        let some: Vec<&str> = topics.iter().copied().filter(|topic| some(topic)).collect();
        Some(some.join(",")).filter(|names| !names.is_empty())
    };
    if let Some(names) = names(&is_internal) {
        return invalid(format!(
            "Use of Kafka internal topics {names} in a Kafka Streams topology is prohibited."
        ));
    }
    if let Some(names) = names(&|topic| check_name(topic).is_err()) {
        return invalid(format!("Topic names {names} are not valid topic names."));
    }
    let mut topics = topics.into_iter();
    topics
        .try_for_each(|topic| broker.check(caller, Operation::Describe, Resource::Topic(topic)))
        .map_err(refused)
}

/// Makes internal topics; why some are not made.
async fn make(broker: &Arc<Broker>, caller: &Caller, missing: &[TopicInfo]) -> Option<String> {
    let denied: Vec<&str> = missing
        .iter()
        .map(|topic| &*topic.name)
        .filter(|topic| !broker.allows_creating(caller, topic))
        .collect();
    if !denied.is_empty() {
        return Some(format!("; Unauthorized to CREATE on topics {}.", denied.join(", ")));
    }
    let mut mutations = Mutations::of(&broker.quotas, caller, KEY_VERSION);
    let mut failed = Vec::new();
    for topic in missing {
        match create(broker, &wanted(topic), false, &mut mutations).await {
            Ok(_) => {}
            // By another member, meanwhile.
            Err(refusal) if refusal.error == ResponseError::TopicAlreadyExists => {}
            Err(refusal) => failed.push(format!("{} ({})", topic.name, refusal.reason)),
        }
    }
    (!failed.is_empty()).then(|| format!("; Creation failed: {}.", failed.join(", ")))
}

fn wanted(topic: &TopicInfo) -> CreatableTopic {
    let config = |(name, value): &(String, String)| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    };
    CreatableTopic::default()
        .with_name(TopicName(text(&topic.name)))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(if topic.replication_factor == 0 { -1 } else { topic.replication_factor })
        .with_configs(topic.configs.iter().map(config).collect())
}

fn body_of(answer: &Result<Answer, Refused>, setting_ms: u32) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i32(0); // throttled
    match answer {
        Err(refused) => {
            out.put_i16(refused.error.code());
            put_optional(&mut out, Some(&refused.reason));
            put_compact(&mut out, b""); // member
            [0; 4].iter().for_each(|number| out.put_i32(*number));
            [0; 4].iter().for_each(|null| put_varint(&mut out, *null));
            out.put_i32(0); // of endpoints
            put_varint(&mut out, 0);
        }
        Ok(answer) => {
            out.put_i16(0);
            put_optional(&mut out, None);
            put_compact(&mut out, answer.member_id.as_bytes());
            out.put_i32(answer.member_epoch);
            out.put_i32(interval_ms(setting_ms, answer.within));
            out.put_i32(0); // warm-up tasks are not given
            out.put_i32(0);
            put_items(&mut out, &answer.status, put_status);
            match &answer.assignment {
                Some(tasks) => {
                    [&tasks.active, &tasks.standby, &tasks.warmup]
                        .into_iter()
                        .for_each(|tasks| put_tasks(&mut out, tasks));
                }
                None => [0; 3].iter().for_each(|null| put_varint(&mut out, *null)),
            }
            out.put_i32(answer.endpoints_epoch);
            match &answer.endpoints {
                Some(all) => put_items(&mut out, all, put_endpoints),
                None => put_varint(&mut out, 0),
            }
        }
    }
    put_no_tags(&mut out);
    out
}

fn put_status(out: &mut BytesMut, status: &Status) {
    out.put_i8(status.code);
    put_compact(out, status.detail.as_bytes());
    put_no_tags(out);
}

fn put_endpoints(out: &mut BytesMut, one: &Endpoints) {
    put_address(out, &one.endpoint);
    for topics in [&one.active, &one.standby] {
        put_items(out, topics, |out, (topic, numbers)| {
            put_compact(out, topic.as_bytes());
            put_items(out, numbers, |out, number| out.put_i32(*number));
            put_no_tags(out);
        });
    }
    put_no_tags(out);
}

//! StreamsGroupDescribe (key 89), version 0 (KIP-1071): groups of Kafka Streams with their topology, their members, and what these work on.
//! The codec does not know it.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{GroupId, TopicName},
    protocol::StrBytes,
};

use super::{
    Call, Caller, Handler, Reply, Step,
    describing::{each, text},
    handmade, shapes,
};
use crate::{
    broker::Broker,
    groups::{
        consumer::records::{put_compact, put_no_tags, put_optional, put_varint},
        group::Group,
        streams::{
            Member, Streams,
            records::{put_assignment, put_endpoint, put_items, put_pairs, put_texts, put_topic},
            topology::{Counts, TopicInfo, Topology},
        },
    },
};

pub const KEY: i16 = 89;

pub const HANDLER: Handler = Handler {
    key: KEY,
    name: "StreamsGroupDescribe",
    versions: 0..=0,
    shape: &shapes::STREAMS_GROUP_DESCRIBE,
    pipelined: false,
    call: |broker, Call { caller, body }| {
        Box::pin(async move {
            let (ids, wants_operations) = handmade::streams_group_describe(body)?;
            let reply = Reply { version: 0, correlation_id: caller.correlation_id };
            reply.flexible(&act(&broker, ids, wants_operations, &caller)).map(Step::answer)
        })
    },
    notes: "",
};

/// A group's part of the answer, written piece by piece: its id comes in the middle and is not known to who describes it.
struct Described {
    error: i16,
    reason: Option<StrBytes>,
    body: BytesMut,
}

fn act(broker: &Arc<Broker>, ids: Vec<GroupId>, wants_operations: bool, caller: &Caller) -> BytesMut {
    let show = |group: &Group| {
        let streams = group.streams.as_ref()?;
        let required = streams.topology.iter().flat_map(Topology::required_topics);
        let topics = required.map(|topic| TopicName(text(topic))).collect();
        Some((Described { error: 0, reason: None, body: body_of(streams) }, topics))
    };
    let refuse = |error: ResponseError, reason| {
        (Described { error: error.code(), reason, body: body_of_none() }, true)
    };
    let asked = (ids, "streams", wants_operations);
    let groups = each(broker, caller, asked, show, refuse, |told, id, operations| {
        let mut out = BytesMut::new();
        out.put_i16(told.error);
        put_optional(&mut out, told.reason.as_deref());
        put_compact(&mut out, id.as_bytes());
        out.put_slice(&told.body);
        out.put_i32(operations);
        put_no_tags(&mut out);
        Described { body: out, ..told }
    });
    let mut out = BytesMut::new();
    out.put_i32(0); // throttled
    put_items(&mut out, &groups, |out, group| out.put_slice(&group.body));
    put_no_tags(&mut out);
    out
}

fn body_of_none() -> BytesMut {
    let mut out = BytesMut::new();
    put_compact(&mut out, b"");
    out.put_i32(0);
    out.put_i32(0);
    out.put_i8(-1);
    put_varint(&mut out, 1);
    out
}

/// From the state to the members.
fn body_of(group: &Streams) -> BytesMut {
    let mut out = BytesMut::new();
    put_compact(&mut out, group.state().word().as_bytes());
    out.put_i32(group.heading.epoch);
    out.put_i32(group.assignment_epoch);
    match &group.topology {
        None => out.put_i8(-1),
        Some(topology) => {
            out.put_i8(1);
            let configured = group.configured.as_ref().filter(|configured| configured.trouble.is_none());
            put_topology(&mut out, topology, configured.map(|configured| &configured.partitions));
        }
    }
    put_items(&mut out, &group.members, |out, (id, member)| put_member(out, id, member, group));
    out
}

/// Internal topics with the partitions that they have, where that is known.
fn put_topology(out: &mut BytesMut, topology: &Topology, counts: Option<&Counts>) {
    let counted = |topics: &[TopicInfo]| -> Vec<TopicInfo> {
        let known = |topic: &TopicInfo| counts.and_then(|counts| counts.get(&topic.name)).copied();
        topics
            .iter()
            .map(|topic| TopicInfo { partitions: known(topic).unwrap_or(topic.partitions), ..topic.clone() })
            .collect()
    };
    out.put_i32(topology.epoch);
    put_items(out, &topology.subtopologies, |out, (id, one)| {
        put_compact(out, id.as_bytes());
        put_texts(out, &one.source_topics);
        put_texts(out, &one.repartition_sink_topics);
        put_items(out, &counted(&one.state_changelog_topics), put_topic);
        put_items(out, &counted(&one.repartition_source_topics), put_topic);
        put_no_tags(out);
    });
    put_no_tags(out);
}

fn put_member(out: &mut BytesMut, id: &str, member: &Member, group: &Streams) {
    let profile = &member.profile;
    put_compact(out, id.as_bytes());
    out.put_i32(member.standing.epoch);
    put_optional(out, None); // static members are not there yet
    put_optional(out, profile.rack_id.as_deref());
    put_compact(out, profile.client_id.as_bytes());
    put_compact(out, profile.client_host.as_bytes());
    out.put_i32(profile.topology_epoch);
    put_compact(out, profile.process_id.as_bytes());
    put_endpoint(out, profile.endpoint.as_ref());
    put_pairs(out, profile.tags.iter().map(|(key, value)| (&**key, &**value)));
    put_varint(out, 1); // offsets of tasks are not told
    put_varint(out, 1);
    put_assignment(out, &member.standing.assigned);
    put_no_tags(out);
    put_assignment(out, &group.targets.get(id).cloned().unwrap_or_default());
    put_no_tags(out);
    out.put_u8(0); // it speaks the streams protocol
    put_no_tags(out);
}

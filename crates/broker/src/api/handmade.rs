//! Requests that are read by hand, because the codec does not know their versions: ListOffsets 0 and OffsetCommit 1, which Kafka 4 has
//! dropped, OffsetCommit and OffsetFetch 10, which Kafka 4.1 has begun with, ShareFetch and ShareAcknowledge 2 and DescribeShareGroupOffsets 1 of
//! Kafka 4.2, and the two requests of streams groups. Answers that are not the codec's stand in their keys' files.
//!
//! Each body has passed its shape's check.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::{
    messages::{
        DescribeShareGroupOffsetsRequest, GroupId, ListOffsetsRequest, OffsetCommitRequest,
        OffsetFetchRequest, ShareAcknowledgeRequest, ShareFetchRequest, ShareGroupDescribeRequest, TopicName,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
    protocol::{Decodable, Request, StrBytes},
};
use uuid::Uuid;

use super::{k88_streams_group_heartbeat, k89_streams_group_describe, shapes::Malformed};
use crate::groups::{
    consumer::records::{get_items, get_optional, get_slice, get_string, get_tag},
    streams::{
        Heartbeat,
        records::{get_endpoint, get_pairs, get_tasks, get_topology},
    },
};

/// From this version on OffsetCommit and OffsetFetch name topics by their ids (KIP-848).
pub const IDS_SINCE: i16 = 10;

/// Whether a request is read here, and then whether it can be: for those who want to see that no bytes do harm.
pub fn read(key: i16, version: i16, body: Bytes) -> Option<Result<(), Malformed>> {
    match (key, version) {
        (ListOffsetsRequest::KEY, 0) => Some(list_offsets(body).map(drop)),
        (OffsetCommitRequest::KEY, 1) => Some(first_offset_commit(body).map(drop)),
        (OffsetCommitRequest::KEY, IDS_SINCE..) => Some(offset_commit(body).map(drop)),
        (OffsetFetchRequest::KEY, IDS_SINCE..) => Some(offset_fetch(body).map(drop)),
        (ShareFetchRequest::KEY, version) => Some(share_fetch(body, version).map(drop)),
        (ShareAcknowledgeRequest::KEY, version) => Some(share_acknowledge(body, version).map(drop)),
        (DescribeShareGroupOffsetsRequest::KEY, _) => Some(describe_share_group_offsets(body).map(drop)),
        (k88_streams_group_heartbeat::KEY, _) => Some(streams_group_heartbeat(body).map(drop)),
        (k89_streams_group_describe::KEY, _) => Some(streams_group_describe(body).map(drop)),
        _ => None,
    }
}

/// As v1, but that each partition also says how many offsets it wants; one is all it gets.
pub fn list_offsets(mut body: Bytes) -> Result<ListOffsetsRequest, Malformed> {
    let mut request = ListOffsetsRequest::default().with_replica_id(short(body.try_get_i32())?.into());
    for _ in 0..short(body.try_get_i32())? {
        let name = plain_text(&mut body)?.ok_or(Malformed::Length)?;
        let mut topic = ListOffsetsTopic::default().with_name(TopicName(name));
        for _ in 0..short(body.try_get_i32())? {
            let partition = ListOffsetsPartition::default()
                .with_partition_index(short(body.try_get_i32())?)
                .with_timestamp(short(body.try_get_i64())?);
            short(body.try_get_i32())?; // how many
            topic.partitions.push(partition);
        }
        request.topics.push(topic);
    }
    Ok(request)
}

/// As v2, but that each partition, and not the request, says a time: of the commit there, how long it is kept here. Neither is honoured.
pub fn first_offset_commit(mut body: Bytes) -> Result<OffsetCommitRequest, Malformed> {
    let body = &mut body;
    let mut request = OffsetCommitRequest::default()
        .with_group_id(GroupId(plain_text(body)?.unwrap_or_default()))
        .with_generation_id_or_member_epoch(short(body.try_get_i32())?)
        .with_member_id(plain_text(body)?.unwrap_or_default());
    for _ in 0..short(body.try_get_i32())? {
        let name = plain_text(body)?.ok_or(Malformed::Length)?;
        let mut topic = OffsetCommitRequestTopic::default().with_name(TopicName(name));
        for _ in 0..short(body.try_get_i32())? {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(short(body.try_get_i32())?)
                .with_committed_offset(short(body.try_get_i64())?);
            short(body.try_get_i64())?; // when
            topic.partitions.push(partition.with_committed_metadata(plain_text(body)?));
        }
        request.topics.push(topic);
    }
    Ok(request)
}

/// As v9, but that topics have ids in place of names.
pub fn offset_commit(mut body: Bytes) -> Result<OffsetCommitRequest, Malformed> {
    let body = &mut body;
    let mut request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(body)?.unwrap_or_default()))
        .with_generation_id_or_member_epoch(short(body.try_get_i32())?)
        .with_member_id(text(body)?.unwrap_or_default())
        .with_group_instance_id(text(body)?);
    for _ in 0..count(body)?.unwrap_or(0) {
        let mut topic = OffsetCommitRequestTopic::default().with_topic_id(id(body)?);
        for _ in 0..count(body)?.unwrap_or(0) {
            let partition = OffsetCommitRequestPartition::decode(body, IDS_SINCE - 1);
            topic.partitions.push(partition.map_err(|_| Malformed::Codec)?);
        }
        skip_tags(body)?;
        request.topics.push(topic);
    }
    Ok(request)
}

/// As v9, but that topics have ids in place of names.
pub fn offset_fetch(mut body: Bytes) -> Result<OffsetFetchRequest, Malformed> {
    let body = &mut body;
    let mut request = OffsetFetchRequest::default();
    for _ in 0..count(body)?.unwrap_or(0) {
        let mut group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(body)?.unwrap_or_default()))
            .with_member_id(text(body)?)
            .with_member_epoch(short(body.try_get_i32())?)
            .with_topics(None);
        if let Some(topics_count) = count(body)? {
            let mut topics = Vec::new();
            for _ in 0..topics_count {
                let mut topic = OffsetFetchRequestTopics::default().with_topic_id(id(body)?);
                for _ in 0..count(body)?.unwrap_or(0) {
                    topic.partition_indexes.push(short(body.try_get_i32())?);
                }
                skip_tags(body)?;
                topics.push(topic);
            }
            group.topics = Some(topics);
        }
        skip_tags(body)?;
        request.groups.push(group);
    }
    Ok(request.with_require_stable(short(body.try_get_u8())? != 0))
}

/// The version that the codec knows of ShareFetch and ShareAcknowledge.
pub const SHARE_KNOWN: i16 = 1;

/// v2 also says how records are to be given out (KIP-1206), and whether locks are renewed (KIP-1222).
pub fn share_fetch(body: Bytes, version: i16) -> Result<(ShareFetchRequest, bool, bool), Malformed> {
    let (known, more) = without(body, 24, if version > SHARE_KNOWN { 2 } else { 0 })?;
    let request = decoded(known)?;
    Ok((request, more.first() == Some(&1), more.get(1).is_some_and(|renews| *renews != 0)))
}

/// v2 also says whether locks are renewed (KIP-1222).
pub fn share_acknowledge(body: Bytes, version: i16) -> Result<(ShareAcknowledgeRequest, bool), Malformed> {
    let (known, more) = without(body, 4, if version > SHARE_KNOWN { 1 } else { 0 })?;
    Ok((decoded(known)?, more.first().is_some_and(|renews| *renews != 0)))
}

/// v1 is as v0.
pub fn describe_share_group_offsets(mut body: Bytes) -> Result<DescribeShareGroupOffsetsRequest, Malformed> {
    DescribeShareGroupOffsetsRequest::decode(&mut body, 0).map_err(|_| Malformed::Codec)
}

/// The group, and what its member says.
pub fn streams_group_heartbeat(body: Bytes) -> Result<(String, Heartbeat), Malformed> {
    read_heartbeat(&mut &body[..]).ok_or(Malformed::Codec)
}

fn read_heartbeat(bytes: &mut &[u8]) -> Option<(String, Heartbeat)> {
    let group_id = get_string(bytes)?;
    let beat = Heartbeat {
        member_id: get_string(bytes)?,
        member_epoch: bytes.try_get_i32().ok()?,
        endpoints_epoch: bytes.try_get_i32().ok()?,
        instance_id: get_optional(bytes)?,
        rack_id: get_optional(bytes)?,
        rebalance_timeout_ms: Some(bytes.try_get_i32().ok()?).filter(|timeout_ms| *timeout_ms != -1),
        topology: get_nullable(bytes, get_topology)?,
        active: get_nullable_items(bytes, get_tasks)?,
        standby: get_nullable_items(bytes, get_tasks)?,
        warmup: get_nullable_items(bytes, get_tasks)?,
        process_id: get_optional(bytes)?,
        endpoint: get_endpoint(bytes)?,
        tags: get_nullable_items(bytes, get_pairs)?,
        ..Heartbeat::default()
    };
    let offsets = |bytes: &mut &[u8]| {
        get_nullable_items(bytes, |bytes| {
            get_items::<(), Vec<()>>(bytes, |bytes| {
                get_string(bytes)?;
                get_slice(bytes, 12)?; // partition and offset
                get_tag(bytes).map(drop)
            })
        })
    };
    let (tells_offsets, tells_end_offsets) = (offsets(bytes)?.is_some(), offsets(bytes)?.is_some());
    let shuts_down = bytes.try_get_u8().ok()? != 0;
    Some((group_id, Heartbeat { tells_offsets, tells_end_offsets, shuts_down, ..beat }))
}

/// A structure or null: a byte says which.
fn get_nullable<T>(bytes: &mut &[u8], get: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<Option<T>> {
    if bytes.try_get_i8().ok()? < 0 { Some(None) } else { get(bytes).map(Some) }
}

/// An array, where it is not null.
fn get_nullable_items<T>(bytes: &mut &[u8], get: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<Option<T>> {
    if bytes.first() == Some(&0) {
        bytes.advance(1);
        return Some(None);
    }
    get(bytes).map(Some)
}

/// Group ids, and whether it is told what may be done with each. It has ShareGroupDescribe's shape.
pub fn streams_group_describe(mut body: Bytes) -> Result<(Vec<GroupId>, bool), Malformed> {
    let request = ShareGroupDescribeRequest::decode(&mut body, 1).map_err(|_| Malformed::Codec)?;
    Ok((request.group_ids, request.include_authorized_operations))
}

fn decoded<Q: Decodable>(mut body: Bytes) -> Result<Q, Malformed> {
    Q::decode(&mut body, SHARE_KNOWN).map_err(|_| Malformed::Codec)
}

/// The body without these bytes, which stand so far behind two strings; and they.
fn without(body: Bytes, behind: usize, count: usize) -> Result<(Bytes, Bytes), Malformed> {
    if count == 0 {
        return Ok((body, Bytes::new()));
    }
    let mut rest = body.clone();
    text(&mut rest)?;
    text(&mut rest)?;
    take(&mut rest, behind)?;
    let head = body.slice(..body.len() - rest.len());
    let more = take(&mut rest, count)?;
    Ok(([&head[..], &rest[..]].concat().into(), more))
}

fn short<T>(read: Result<T, TryGetError>) -> Result<T, Malformed> {
    read.map_err(|_| Malformed::Short)
}

fn take(body: &mut Bytes, length: usize) -> Result<Bytes, Malformed> {
    if length > body.len() { Err(Malformed::Short) } else { Ok(body.split_to(length)) }
}

fn id(body: &mut Bytes) -> Result<Uuid, Malformed> {
    short(body.try_get_u128()).map(Uuid::from_u128)
}

/// A string of a version that is not flexible, which may be null.
fn plain_text(body: &mut Bytes) -> Result<Option<StrBytes>, Malformed> {
    let length = match short(body.try_get_i16())? {
        -1 => return Ok(None),
        length => usize::try_from(length).map_err(|_| Malformed::Length)?,
    };
    StrBytes::try_from(take(body, length)?).map(Some).map_err(|_| Malformed::Codec)
}

/// A compact string, which may be null.
fn text(body: &mut Bytes) -> Result<Option<StrBytes>, Malformed> {
    let Some(length) = count(body)? else { return Ok(None) };
    StrBytes::try_from(take(body, length as usize)?).map(Some).map_err(|_| Malformed::Codec)
}

/// How many items an array has, or bytes a string; `None` where it is null.
fn count(body: &mut Bytes) -> Result<Option<u32>, Malformed> {
    Ok(varint(body)?.checked_sub(1))
}

fn varint(body: &mut Bytes) -> Result<u32, Malformed> {
    let mut number = 0;
    for place in 0..5 {
        let byte = short(body.try_get_u8())?;
        number |= u32::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed::Length)
}

fn skip_tags(body: &mut Bytes) -> Result<(), Malformed> {
    for _ in 0..varint(body)? {
        varint(body)?; // which
        let size = varint(body)?;
        take(body, size as usize)?;
    }
    Ok(())
}

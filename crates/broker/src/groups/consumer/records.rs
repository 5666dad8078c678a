//! What is stored of a consumer group in `__consumer_offsets`, byte for byte as Kafka writes it, so that either can take over.
//!
//! Source: `ConsumerGroup*Key/Value.json` of Apache Kafka's group coordinator. Keys 3 and 5 to 8, and 16 for regular
//! expressions; 4, the partitions of the topics, is what Kafka 4.0 wrote: since 4.1 a hash in 3 stands in its place, as here.
//! Values are of version 0, compact, with tagged fields.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::{
    ClassicProfile, Consumer, Partitions, Profile, Resolved,
    reconcile::{Phase, Since, Standing},
};
use crate::groups::{
    group::MemberId,
    journal::KeyValue,
    records::get_text,
    unwritten::{self, set},
};

const VALUE_VERSION: i16 = 0;
/// Kafka's tag of the hash in the group's record, and of what a classic member says in a member's.
const TAG: u32 = 0;

/// One record's subject. The order is the one in which values are written; deletions go the other way round, as Kafka
/// wants the members gone before their group, and what they hold before them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Epoch,
    Regex(String),
    Member(MemberId),
    TargetEpoch,
    Target(MemberId),
    Current(MemberId),
}

/// A group as it is stored, put together from its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredConsumer {
    pub epoch: i32,
    pub metadata_hash: i64,
    pub assignment_epoch: i32,
    pub regexes: BTreeMap<String, Resolved>,
    pub profiles: BTreeMap<MemberId, Profile>,
    pub targets: BTreeMap<MemberId, Partitions>,
    pub standings: BTreeMap<MemberId, Standing>,
}

impl Part {
    pub fn key(&self, group: &str) -> Bytes {
        let (number, more) = match self {
            Part::Epoch => (3, None),
            Part::Member(id) => (5, Some(&**id)),
            Part::TargetEpoch => (6, None),
            Part::Target(id) => (7, Some(&**id)),
            Part::Current(id) => (8, Some(&**id)),
            Part::Regex(regex) => (16, Some(&**regex)),
        };
        unwritten::key(number, group, more)
    }

    /// The group, and what of it; `None`: another's record.
    pub fn decode(mut key: &[u8]) -> Option<(String, Part)> {
        let version = key.try_get_i16().ok()?;
        let group = get_text(&mut key)?;
        let part = match version {
            3 => Part::Epoch,
            5 => Part::Member(get_text(&mut key)?.into()),
            6 => Part::TargetEpoch,
            7 => Part::Target(get_text(&mut key)?.into()),
            8 => Part::Current(get_text(&mut key)?.into()),
            16 => Part::Regex(get_text(&mut key)?),
            _ => return None,
        };
        Some((group, part))
    }
}

pub fn encode(group_id: &str, group: &Consumer, parts: &BTreeSet<Part>) -> Vec<KeyValue> {
    unwritten::encode(parts, |part| part.key(group_id), |part| group.value(part))
}

/// Deletes these, all that lies in the log of a group.
pub fn tombstones(group_id: &str, parts: &BTreeSet<Part>) -> Vec<KeyValue> {
    unwritten::encode(parts, |part| part.key(group_id), |_| None)
}

impl Consumer {
    /// `None`: it is gone.
    fn value(&self, part: &Part) -> Option<Bytes> {
        let mut out = BytesMut::new();
        out.put_i16(VALUE_VERSION);
        match part {
            Part::Epoch => {
                out.put_i32(self.epoch);
                if self.metadata_hash == 0 {
                    put_no_tags(&mut out);
                } else {
                    put_tag(&mut out, &self.metadata_hash.to_be_bytes());
                }
            }
            Part::TargetEpoch => {
                out.put_i32(self.assignment_epoch);
                put_no_tags(&mut out);
            }
            Part::Regex(regex) => put_resolved(&mut out, self.regexes.get(regex)?),
            Part::Member(id) => put_profile(&mut out, &self.members.get(id)?.profile),
            Part::Target(id) => {
                put_partitions(&mut out, self.targets.get(id)?);
                put_no_tags(&mut out);
            }
            Part::Current(id) => put_standing(&mut out, &self.members.get(id)?.standing),
        }
        Some(out.freeze())
    }
}

impl StoredConsumer {
    /// Takes one record in. A value that is not understood is as good as none.
    pub fn apply(&mut self, part: Part, value: Option<&[u8]>) {
        let mut value = value.unwrap_or_default();
        let value = &mut value;
        let known = value.try_get_i16().is_ok_and(|version| version == VALUE_VERSION);
        match part {
            Part::Epoch => {
                (self.epoch, self.metadata_hash) =
                    Some(()).filter(|()| known).and_then(|()| get_epoch(value)).unwrap_or_default();
            }
            Part::TargetEpoch => {
                self.assignment_epoch = value.try_get_i32().ok().filter(|_| known).unwrap_or(0)
            }
            Part::Regex(regex) => set(&mut self.regexes, regex, get_resolved(value).filter(|_| known)),
            Part::Member(id) => set(&mut self.profiles, id, get_profile(value).filter(|_| known)),
            Part::Target(id) => set(&mut self.targets, id, get_partitions(value).filter(|_| known)),
            Part::Current(id) => set(&mut self.standings, id, get_standing(value).filter(|_| known)),
        }
    }
}

pub(crate) fn put_no_tags(out: &mut BytesMut) {
    out.put_u8(0);
}

/// One tagged field, and nothing after it.
fn put_tag(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, 1);
    put_varint(out, TAG);
    put_varint(out, bytes.len() as u32);
    out.put_slice(bytes);
}

pub(crate) fn put_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub(crate) fn put_compact(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u32 + 1);
    out.put_slice(bytes);
}

pub(crate) fn put_optional(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_compact(out, text.as_bytes()),
        None => put_varint(out, 0),
    }
}

pub(crate) fn put_texts(out: &mut BytesMut, texts: &BTreeSet<String>) {
    put_varint(out, texts.len() as u32 + 1);
    for text in texts {
        put_compact(out, text.as_bytes());
    }
}

pub(crate) fn put_partitions(out: &mut BytesMut, partitions: &Partitions) {
    put_varint(out, partitions.len() as u32 + 1);
    for (topic, numbers) in partitions {
        out.put_slice(topic.as_bytes());
        put_varint(out, numbers.len() as u32 + 1);
        for number in numbers {
            out.put_i32(*number);
        }
        put_no_tags(out);
    }
}

fn put_resolved(out: &mut BytesMut, resolved: &Resolved) {
    put_texts(out, &resolved.topics);
    out.put_i64(resolved.version);
    out.put_i64(resolved.timestamp_ms);
    put_no_tags(out);
}

fn put_standing(out: &mut BytesMut, standing: &Standing) {
    out.put_i32(standing.epoch);
    out.put_i32(standing.previous_epoch);
    out.put_i8(standing.phase.id());
    put_held(out, &standing.assigned, &standing.since);
    put_held(out, &standing.revoking, &standing.since);
    put_no_tags(out);
}

/// As `put_partitions`, with the epochs since when they are held (KIP-1251).
fn put_held(out: &mut BytesMut, partitions: &Partitions, since: &Since) {
    put_varint(out, partitions.len() as u32 + 1);
    for (topic, numbers) in partitions {
        out.put_slice(topic.as_bytes());
        put_varint(out, numbers.len() as u32 + 1);
        let mut epochs = BytesMut::new();
        put_varint(&mut epochs, numbers.len() as u32 + 1);
        for number in numbers {
            out.put_i32(*number);
            epochs.put_i32(since.get(&(*topic, *number)).copied().unwrap_or(-1));
        }
        put_tag(out, &epochs);
    }
}

fn put_profile(out: &mut BytesMut, profile: &Profile) {
    put_optional(out, profile.instance_id.as_deref());
    put_optional(out, profile.rack_id.as_deref());
    put_compact(out, profile.client_id.as_bytes());
    put_compact(out, profile.client_host.as_bytes());
    put_texts(out, &profile.topics);
    put_compact(out, profile.regex.as_bytes());
    out.put_i32(profile.rebalance_timeout_ms);
    put_optional(out, profile.assignor.as_deref());
    let Some(classic) = &profile.classic else { return put_tag(out, &[0]) }; // as Kafka says that there is none
    let mut inner = BytesMut::new();
    inner.put_i8(1); // there is one
    inner.put_i32(classic.session_timeout_ms);
    put_varint(&mut inner, classic.protocols.len() as u32 + 1);
    for (name, metadata) in &classic.protocols {
        put_compact(&mut inner, name.as_bytes());
        put_compact(&mut inner, metadata);
        put_no_tags(&mut inner);
    }
    put_no_tags(&mut inner);
    put_tag(out, &inner);
}

pub(crate) fn get_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for place in 0..5 {
        let byte = bytes.try_get_u8().ok()?;
        value |= u32::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

pub(crate) fn get_slice<'a>(bytes: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(head)
}

/// The outer `None`: the bytes end early. The inner one: null.
fn get_compact<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match get_varint(bytes)? {
        0 => Some(None),
        length => get_slice(bytes, length - 1).map(Some),
    }
}

pub(crate) fn get_optional(bytes: &mut &[u8]) -> Option<Option<String>> {
    match get_compact(bytes)? {
        None => Some(None),
        Some(text) => std::str::from_utf8(text).ok().map(|text| Some(text.to_owned())),
    }
}

pub(crate) fn get_string(bytes: &mut &[u8]) -> Option<String> {
    get_optional(bytes)?
}

/// Reads as many as the count says, and stops where the bytes do.
pub(crate) fn get_items<T, C: FromIterator<T>>(
    bytes: &mut &[u8],
    mut item: impl FnMut(&mut &[u8]) -> Option<T>,
) -> Option<C> {
    (0..get_varint(bytes)?.saturating_sub(1)).map(|_| item(bytes)).collect()
}

/// The tagged fields; the one that we know, if it is there.
pub(crate) fn get_tag<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let mut found = None;
    for _ in 0..get_varint(bytes)? {
        let tag = get_varint(bytes)?;
        let length = get_varint(bytes)?;
        let value = get_slice(bytes, length)?;
        if tag == TAG {
            found = Some(value);
        }
    }
    Some(found)
}

fn get_epoch(bytes: &mut &[u8]) -> Option<(i32, i64)> {
    let epoch = bytes.try_get_i32().ok()?;
    let hash = match get_tag(bytes)? {
        Some(mut value) => value.try_get_i64().ok()?,
        None => 0,
    };
    Some((epoch, hash))
}

pub(crate) fn get_partitions(bytes: &mut &[u8]) -> Option<Partitions> {
    get_items(bytes, |bytes| {
        let topic = Uuid::from_slice(get_slice(bytes, 16)?).ok()?;
        let numbers = get_items(bytes, |bytes| bytes.try_get_i32().ok())?;
        get_tag(bytes)?;
        Some((topic, numbers))
    })
}

fn get_resolved(bytes: &mut &[u8]) -> Option<Resolved> {
    Some(Resolved {
        topics: get_items(bytes, get_string)?,
        version: bytes.try_get_i64().ok()?,
        timestamp_ms: bytes.try_get_i64().ok()?,
    })
}

fn get_standing(bytes: &mut &[u8]) -> Option<Standing> {
    let mut standing = Standing {
        epoch: bytes.try_get_i32().ok()?,
        previous_epoch: bytes.try_get_i32().ok()?,
        phase: Phase::of(bytes.try_get_i8().ok()?),
        ..Standing::default()
    };
    let mut since = Since::new();
    standing.assigned = get_held(bytes, &mut since)?;
    standing.revoking = get_held(bytes, &mut since)?;
    // A Kafka before 4.3 says nothing of epochs: then all is as old as the member's.
    let epoch = standing.epoch;
    standing.since =
        standing.places().map(|place| (place, since.get(&place).copied().unwrap_or(epoch))).collect();
    Some(standing)
}

fn get_held(bytes: &mut &[u8], since: &mut Since) -> Option<Partitions> {
    get_items(bytes, |bytes| {
        let topic = Uuid::from_slice(get_slice(bytes, 16)?).ok()?;
        let numbers: Vec<i32> = get_items(bytes, |bytes| bytes.try_get_i32().ok())?;
        if let Some(mut epochs) = get_tag(bytes)? {
            let epochs: Vec<i32> = get_items(&mut epochs, |bytes| bytes.try_get_i32().ok())?;
            let known = numbers.iter().zip(epochs).filter(|(_, epoch)| *epoch >= 0);
            since.extend(known.map(|(number, epoch)| ((topic, *number), epoch)));
        }
        Some((topic, numbers.into_iter().collect()))
    })
}

fn get_profile(bytes: &mut &[u8]) -> Option<Profile> {
    let profile = Profile {
        instance_id: get_optional(bytes)?,
        rack_id: get_optional(bytes)?,
        client_id: get_string(bytes)?,
        client_host: get_string(bytes)?,
        topics: get_items(bytes, get_string)?,
        regex: get_optional(bytes)?.unwrap_or_default(),
        rebalance_timeout_ms: bytes.try_get_i32().ok()?,
        assignor: get_optional(bytes)?,
        classic: None,
    };
    let classic = match get_tag(bytes)? {
        Some(mut inner) => get_classic(&mut inner)?,
        None => None,
    };
    Some(Profile { classic, ..profile })
}

fn get_classic(bytes: &mut &[u8]) -> Option<Option<ClassicProfile>> {
    if bytes.try_get_i8().ok()? < 1 {
        return Some(None);
    }
    let session_timeout_ms = bytes.try_get_i32().ok()?;
    let protocols = get_items(bytes, |bytes| {
        let name = get_string(bytes)?;
        let metadata = Bytes::copy_from_slice(get_compact(bytes)??);
        get_tag(bytes)?;
        Some((name, metadata))
    })?;
    Some(Some(ClassicProfile { session_timeout_ms, protocols }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::groups::consumer::{Limits, member_id};

    const LIMITS: Limits = Limits {
        session_timeout: Duration::from_secs(45),
        assignment_interval: Duration::ZERO,
        members_count_max: 10,
    };

    fn partitions(topic: u128, numbers: &[i32]) -> Partitions {
        Partitions::from([(Uuid::from_u128(topic), numbers.iter().copied().collect())])
    }

    fn stored() -> StoredConsumer {
        let id = member_id("m-1");
        let classic = ClassicProfile {
            session_timeout_ms: 10_000,
            protocols: vec![("range".to_owned(), Bytes::from_static(b"\x00\x01metadata"))],
        };
        let profile = Profile {
            instance_id: Some("i".to_owned()),
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            topics: ["a".to_owned(), "b".to_owned()].into(),
            regex: "fli.*".to_owned(),
            rebalance_timeout_ms: 300_000,
            assignor: Some("range".to_owned()),
            classic: Some(classic),
            rack_id: None,
        };
        let standing = Standing {
            epoch: 7,
            previous_epoch: 6,
            phase: Phase::Unreleased,
            assigned: partitions(1, &[0, 2]),
            revoking: partitions(2, &[1]),
            since: [((1, 0), 7), ((1, 2), 3), ((2, 1), 5)]
                .map(|((topic, number), epoch)| ((Uuid::from_u128(topic), number), epoch))
                .into(),
        };
        let topics = ["flights".to_owned()].into();
        StoredConsumer {
            epoch: 8,
            metadata_hash: -5,
            assignment_epoch: 7,
            regexes: [("fli.*".to_owned(), Resolved { topics, version: 3, timestamp_ms: 9 })].into(),
            profiles: [(id.clone(), profile)].into(),
            targets: [(id.clone(), partitions(1, &[0, 1, 2]))].into(),
            standings: [(id, standing)].into(),
        }
    }

    #[test]
    fn what_is_stored_comes_back() {
        let group = Consumer::restore(stored(), LIMITS, Instant::now());
        let mut again = StoredConsumer::default();
        for (key, value) in encode("g", &group, &group.parts()) {
            let (name, part) = Part::decode(&key).unwrap();
            assert_eq!(name, "g");
            again.apply(part, value.as_deref());
        }
        assert_eq!(again, stored());
        for (key, value) in tombstones("g", &group.parts()) {
            again.apply(Part::decode(&key).unwrap().1, value.as_deref());
        }
        assert_eq!(again, StoredConsumer::default());
    }

    /// Laid out by hand after Kafka's message definitions.
    #[test]
    fn the_bytes_are_kafkas() {
        assert_eq!(&Part::Current(member_id("m")).key("g")[..], b"\x00\x08\x00\x01g\x00\x01m");
        assert_eq!(&Part::Regex("a.*".to_owned()).key("g")[..], b"\x00\x10\x00\x01g\x00\x03a.*");
        let group = Consumer::restore(stored(), LIMITS, Instant::now());
        let epoch = group.value(&Part::Epoch).unwrap();
        assert_eq!(&epoch[..], b"\x00\x00\x00\x00\x00\x08\x01\x00\x08\xff\xff\xff\xff\xff\xff\xff\xfb");
        let target = group.value(&Part::Target(member_id("m-1"))).unwrap();
        let id = Uuid::from_u128(1);
        let expected = [
            b"\x00\x00\x02".as_slice(),
            id.as_bytes(),
            b"\x04\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00",
        ];
        assert_eq!(target, expected.concat());
    }

    #[test]
    fn deletions_go_from_what_is_held_to_the_group() {
        let mut group = Consumer::restore(stored(), LIMITS, Instant::now());
        let keys: Vec<i16> = {
            let parts = group.parts();
            tombstones("g", &parts).iter().map(|(key, _)| i16::from_be_bytes([key[0], key[1]])).collect()
        };
        assert_eq!(keys, [8, 7, 6, 5, 16, 3]);
        group.tick(Instant::now() + Duration::from_secs(60));
        let changes = group.changes.take();
        let keys = encode("g", &group, &changes);
        let keys: Vec<_> = keys.iter().map(|(key, value)| (key[1], value.is_some())).collect();
        assert_eq!(keys, [(8, false), (7, false), (5, false), (16, false), (3, true)]);
    }

    #[test]
    fn cut_bytes_are_refused_not_read_past() {
        let group = Consumer::restore(stored(), LIMITS, Instant::now());
        let whole = group.value(&Part::Member(member_id("m-1"))).unwrap();
        for end in 2..whole.len() {
            assert_eq!(get_profile(&mut &whole[2..end]), None, "{end}");
        }
        assert_eq!(get_partitions(&mut b"\xff\xff\xff\xff\x0f".as_slice()), None);
    }
}

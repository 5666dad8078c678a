//! What is stored of a share group in `__consumer_offsets`, byte for byte as Kafka writes it, so that either can take over.
//!
//! Source: `ShareGroup*Key/Value.json` of Apache Kafka's group coordinator, keys 10 to 15. Values are of version 0, compact, with
//! tagged fields.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::{Profile, Share, Shared, Standing};
use crate::groups::{
    consumer::{
        Partitions,
        records::{
            get_items, get_optional, get_partitions, get_slice, get_string, get_tag, put_compact,
            put_no_tags, put_optional, put_partitions, put_texts, put_varint,
        },
    },
    group::MemberId,
    journal::KeyValue,
    records::get_text,
    unwritten::{self, set},
};

const VALUE_VERSION: i16 = 0;
/// Kafka's number of the state in which a member has what it is to have.
const STABLE: i8 = 0;

/// One record's subject, in the order in which values are written; deletions go the other way round.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Epoch,
    Member(MemberId),
    TargetEpoch,
    Target(MemberId),
    Current(MemberId),
    /// The partitions whose state is kept.
    Shared,
}

/// A group as it is stored, put together from its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredShare {
    pub epoch: i32,
    pub metadata_hash: i64,
    pub assignment_epoch: i32,
    pub profiles: BTreeMap<MemberId, Profile>,
    pub targets: BTreeMap<MemberId, Partitions>,
    pub standings: BTreeMap<MemberId, Standing>,
    pub shared: Shared,
}

impl Part {
    pub fn key(&self, group: &str) -> Bytes {
        let (number, more) = match self {
            Part::Member(id) => (10, Some(&**id)),
            Part::Epoch => (11, None),
            Part::TargetEpoch => (12, None),
            Part::Target(id) => (13, Some(&**id)),
            Part::Current(id) => (14, Some(&**id)),
            Part::Shared => (15, None),
        };
        unwritten::key(number, group, more)
    }

    /// The group, and what of it; `None`: another's record.
    pub fn decode(mut key: &[u8]) -> Option<(String, Part)> {
        let version = key.try_get_i16().ok()?;
        let group = get_text(&mut key)?;
        let part = match version {
            10 => Part::Member(get_text(&mut key)?.into()),
            11 => Part::Epoch,
            12 => Part::TargetEpoch,
            13 => Part::Target(get_text(&mut key)?.into()),
            14 => Part::Current(get_text(&mut key)?.into()),
            15 => Part::Shared,
            _ => return None,
        };
        Some((group, part))
    }
}

pub fn encode(group_id: &str, group: &Share, parts: &BTreeSet<Part>) -> Vec<KeyValue> {
    unwritten::encode(parts, |part| part.key(group_id), |part| group.value(part))
}

/// Deletes these, all that lies in the log of a group.
pub fn tombstones(group_id: &str, parts: &BTreeSet<Part>) -> Vec<KeyValue> {
    unwritten::encode(parts, |part| part.key(group_id), |_| None)
}

impl Share {
    /// `None`: it is gone.
    pub(super) fn value(&self, part: &Part) -> Option<Bytes> {
        let mut out = BytesMut::new();
        out.put_i16(VALUE_VERSION);
        match part {
            Part::Epoch => {
                out.put_i32(self.epoch);
                out.put_i64(self.metadata_hash);
            }
            Part::TargetEpoch => out.put_i32(self.assignment_epoch),
            Part::Member(id) => put_profile(&mut out, &self.members.get(id)?.profile),
            Part::Target(id) => put_partitions(&mut out, self.targets.get(id)?),
            Part::Current(id) => {
                let standing = &self.members.get(id)?.standing;
                out.put_i32(standing.epoch);
                out.put_i32(standing.previous_epoch);
                out.put_i8(STABLE);
                put_partitions(&mut out, &standing.assigned);
            }
            Part::Shared => put_shared(&mut out, &self.shared),
        }
        put_no_tags(&mut out);
        Some(out.freeze())
    }
}

impl StoredShare {
    /// Takes one record in. A value that is not understood is as good as none.
    pub fn apply(&mut self, part: Part, value: Option<&[u8]>) {
        let mut value = value.unwrap_or_default();
        let value = &mut value;
        let known = value.try_get_i16().is_ok_and(|version| version == VALUE_VERSION);
        match part {
            Part::Epoch => (self.epoch, self.metadata_hash) = get_epoch(value).unwrap_or_default(),
            Part::TargetEpoch => self.assignment_epoch = value.try_get_i32().unwrap_or(0),
            Part::Member(id) => set(&mut self.profiles, id, get_profile(value).filter(|_| known)),
            Part::Target(id) => set(&mut self.targets, id, get_partitions(value).filter(|_| known)),
            Part::Current(id) => set(&mut self.standings, id, get_standing(value).filter(|_| known)),
            Part::Shared => self.shared = get_shared(value).unwrap_or_default(),
        }
    }
}

fn put_profile(out: &mut BytesMut, profile: &Profile) {
    put_optional(out, profile.rack_id.as_deref());
    put_compact(out, profile.client_id.as_bytes());
    put_compact(out, profile.client_host.as_bytes());
    put_texts(out, &profile.topics);
}

/// Nothing is being begun with or deleted in between: the state of a partition is there when it is first asked for.
fn put_shared(out: &mut BytesMut, shared: &Shared) {
    put_varint(out, 1);
    put_varint(out, shared.len() as u32 + 1);
    for (topic, (name, count)) in shared {
        out.put_slice(topic.as_bytes());
        put_compact(out, name.as_bytes());
        put_varint(out, count.unsigned_abs() + 1);
        (0..*count).for_each(|number| out.put_i32(number));
        put_no_tags(out);
    }
    put_varint(out, 1);
}

fn get_epoch(bytes: &mut &[u8]) -> Option<(i32, i64)> {
    Some((bytes.try_get_i32().ok()?, bytes.try_get_i64().ok()?))
}

fn get_profile(bytes: &mut &[u8]) -> Option<Profile> {
    Some(Profile {
        rack_id: get_optional(bytes)?,
        client_id: get_string(bytes)?,
        client_host: get_string(bytes)?,
        topics: get_items(bytes, get_string)?,
    })
}

fn get_standing(bytes: &mut &[u8]) -> Option<Standing> {
    let (epoch, previous_epoch) = (bytes.try_get_i32().ok()?, bytes.try_get_i32().ok()?);
    bytes.try_get_i8().ok()?;
    Some(Standing { epoch, previous_epoch, assigned: get_partitions(bytes)? })
}

fn get_shared(bytes: &mut &[u8]) -> Option<Shared> {
    let mut all = Shared::new();
    for _ in 0..2 {
        // What a Kafka was about to begin with is shared, too: nothing is missing here for that.
        let some: Vec<(Uuid, (String, i32))> = get_items(bytes, |bytes| {
            let topic = Uuid::from_slice(get_slice(bytes, 16)?).ok()?;
            let name = get_string(bytes)?;
            let numbers: Vec<i32> = get_items(bytes, |bytes| bytes.try_get_i32().ok())?;
            get_tag(bytes)?;
            let count = numbers.iter().max().map_or(0, |last| last.saturating_add(1));
            Some((topic, (name, count)))
        })?;
        all.extend(some);
    }
    Some(all)
}

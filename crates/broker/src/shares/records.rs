//! Keys and values of `__share_group_state`, byte for byte as Kafka writes them, so that either can take over.
//!
//! Source: `ShareSnapshotKey/Value.json` and `ShareUpdateKey/Value.json` of Apache Kafka's share coordinator. A snapshot is the whole
//! state of a share partition, an update what has changed since; without a value the key of a snapshot deletes it.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::window::{Kept, KeptState};
use crate::{
    cluster::LEADER_EPOCH,
    groups::{
        consumer::records::{get_tag, get_varint, put_no_tags, put_varint},
        records::{get_text, put_text},
    },
};

const SNAPSHOT: i16 = 0;
const UPDATE: i16 = 1;
const VALUE_VERSION: i16 = 0;
/// Kafka's word for a partition whose start nobody has chosen yet.
pub const UNINITIALIZED: i64 = -1;
/// More ranges in one value than any window has.
const KEPT_COUNT_MAX: u32 = 10_000_000;

/// A partition as one group shares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub group: Arc<str>,
    pub topic: Uuid,
    pub partition: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Snapshot,
    Update,
}

/// What either kind of value says. An update leaves out what holds on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub snapshot_epoch: i32,
    /// Rises when an administrator moves the start.
    pub state_epoch: i32,
    pub start: i64,
    pub kept: Vec<Kept>,
    /// Told by snapshots; -1: not told.
    pub written_ms: i64,
}

impl Key {
    pub fn encode(&self, kind: Kind) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(match kind {
            Kind::Snapshot => SNAPSHOT,
            Kind::Update => UPDATE,
        });
        put_text(&mut out, &self.group);
        out.put_slice(self.topic.as_bytes());
        out.put_i32(self.partition);
        out.freeze()
    }

    pub fn decode(mut bytes: &[u8]) -> Option<(Key, Kind)> {
        let kind = match bytes.try_get_i16().ok()? {
            SNAPSHOT => Kind::Snapshot,
            UPDATE => Kind::Update,
            _ => return None,
        };
        let group = get_text(&mut bytes)?.into();
        let (topic, rest) = bytes.split_first_chunk()?;
        bytes = rest;
        Some((Key { group, topic: Uuid::from_bytes(*topic), partition: bytes.try_get_i32().ok()? }, kind))
    }

    /// What Kafka hashes to find the partition of `__share_group_state`.
    pub fn coordinator(&self) -> String {
        format!("{}:{}:{}", self.group, URL_SAFE_NO_PAD.encode(self.topic.as_bytes()), self.partition)
    }
}

impl Value {
    pub fn encode(&self, kind: Kind) -> Bytes {
        let mut out = BytesMut::with_capacity(40 + 24 * self.kept.len());
        out.put_i16(VALUE_VERSION);
        out.put_i32(self.snapshot_epoch);
        if kind == Kind::Snapshot {
            out.put_i32(self.state_epoch);
        }
        out.put_i32(LEADER_EPOCH);
        out.put_i64(self.start);
        if kind == Kind::Snapshot {
            out.put_i64(self.written_ms); // when it was made: as good as when it was written
            out.put_i64(self.written_ms);
        }
        put_varint(&mut out, self.kept.len() as u32 + 1);
        for kept in &self.kept {
            out.put_i64(kept.first);
            out.put_i64(kept.last);
            out.put_i8(match kept.state {
                KeptState::Available => 0,
                KeptState::Acknowledged => 2,
                KeptState::Archived => 4,
            });
            out.put_i16(kept.deliveries);
            put_no_tags(&mut out);
        }
        put_no_tags(&mut out);
        out.freeze()
    }

    pub fn decode(mut bytes: &[u8], kind: Kind) -> Option<Value> {
        if bytes.try_get_i16().ok()? != VALUE_VERSION {
            return None;
        }
        let snapshot_epoch = bytes.try_get_i32().ok()?;
        let state_epoch = match kind {
            Kind::Snapshot => bytes.try_get_i32().ok()?,
            Kind::Update => 0,
        };
        bytes.try_get_i32().ok()?; // the leader's epoch
        let start = bytes.try_get_i64().ok()?;
        let written_ms = match kind {
            Kind::Snapshot => bytes.try_get_i64().and_then(|_| bytes.try_get_i64()).ok()?,
            Kind::Update => -1,
        };
        let mut kept = Vec::new();
        for _ in 0..get_varint(&mut bytes)?.saturating_sub(1).min(KEPT_COUNT_MAX) {
            let (first, last) = (bytes.try_get_i64().ok()?, bytes.try_get_i64().ok()?);
            let state = match bytes.try_get_i8().ok()? {
                0 => KeptState::Available,
                2 => KeptState::Acknowledged,
                4 => KeptState::Archived,
                _ => return None,
            };
            let deliveries = bytes.try_get_i16().ok()?;
            get_tag(&mut bytes)?;
            kept.push(Kept { first, last, state, deliveries });
        }
        Some(Value { snapshot_epoch, state_epoch, start, kept, written_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { group: "g".into(), topic: Uuid::from_u128(7), partition: 2 }
    }

    fn value() -> Value {
        let kept = |first, last, state, deliveries| Kept { first, last, state, deliveries };
        Value {
            snapshot_epoch: 3,
            state_epoch: 1,
            start: 40,
            kept: vec![
                kept(40, 44, KeptState::Available, 2),
                kept(46, 46, KeptState::Acknowledged, 1),
                kept(47, 49, KeptState::Archived, 5),
            ],
            written_ms: 9,
        }
    }

    #[test]
    fn what_is_stored_comes_back_and_cut_bytes_do_not() {
        for kind in [Kind::Snapshot, Kind::Update] {
            assert_eq!(Key::decode(&key().encode(kind)), Some((key(), kind)));
            let expected = match kind {
                Kind::Snapshot => value(),
                Kind::Update => Value { state_epoch: 0, written_ms: -1, ..value() },
            };
            let bytes = value().encode(kind);
            assert_eq!(Value::decode(&bytes, kind), Some(expected));
            for end in 0..bytes.len() - 1 {
                assert_eq!(Value::decode(&bytes[..end], kind), None, "{end}");
            }
        }
    }

    /// Laid out by hand after Kafka's message definitions.
    #[test]
    fn the_bytes_are_kafkas() {
        let topic = Uuid::from_u128(7);
        let expected = [b"\x00\x01\x00\x01g".as_slice(), topic.as_bytes(), b"\x00\x00\x00\x02"];
        assert_eq!(&key().encode(Kind::Update)[..], expected.concat());
        let value = Value { kept: value().kept[..1].to_vec(), ..value() };
        let expected = [
            b"\x00\x00\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00\x00".as_slice(),
            &40i64.to_be_bytes(),
            &9i64.to_be_bytes(),
            &9i64.to_be_bytes(),
            b"\x02",
            &40i64.to_be_bytes(),
            &44i64.to_be_bytes(),
            b"\x00\x00\x02\x00\x00",
        ];
        assert_eq!(&value.encode(Kind::Snapshot)[..], expected.concat());
        assert_eq!(key().coordinator(), "g:AAAAAAAAAAAAAAAAAAAABw:2");
    }
}

//! Keys and values of `__consumer_offsets`, byte for byte as Kafka writes them, so that either can take over.
//!
//! Source: `OffsetCommitKey/Value.json` and `GroupMetadataKey/Value.json` of Apache Kafka's group coordinator. We write
//! offset values in version 3 and group values in version 3, and read 0 to 3 of both (what Kafka 0.9 to 4 writes).

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::group::{Group, Member, State};

const OFFSET_KEY_VERSION: i16 = 1;
const GROUP_KEY_VERSION: i16 = 2;
const VALUE_VERSION: i16 = 3;

/// What a record of the topic is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Offset { group: String, topic: String, partition: i32 },
    Group { group: String },
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
    pub commit_timestamp_ms: i64,
    /// Where its record lies in its partition of the topic: of two, the later one counts.
    pub record_offset: i64,
}

/// A group as it is stored: what a coordinator needs to go on after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGroup {
    pub protocol_type: String,
    pub generation_id: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    pub state_timestamp_ms: i64,
    pub members: Vec<StoredMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl Key {
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Key::Offset { group, topic, partition } => {
                out.put_i16(OFFSET_KEY_VERSION);
                put_text(&mut out, group);
                put_text(&mut out, topic);
                out.put_i32(*partition);
            }
            Key::Group { group } => {
                out.put_i16(GROUP_KEY_VERSION);
                put_text(&mut out, group);
            }
        }
        out.freeze()
    }

    /// `None`: not a key that we know (a later Kafka's own records): left where it is.
    pub fn decode(mut bytes: &[u8]) -> Option<Key> {
        match bytes.try_get_i16().ok()? {
            0 | OFFSET_KEY_VERSION => {
                let group = get_text(&mut bytes)?;
                Some(Key::Offset {
                    group,
                    topic: get_text(&mut bytes)?,
                    partition: bytes.try_get_i32().ok()?,
                })
            }
            GROUP_KEY_VERSION => Some(Key::Group { group: get_text(&mut bytes)? }),
            _ => None,
        }
    }
}

impl Committed {
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(32 + self.metadata.len());
        out.put_i16(VALUE_VERSION);
        out.put_i64(self.offset);
        out.put_i32(self.leader_epoch);
        put_text(&mut out, &self.metadata);
        out.put_i64(self.commit_timestamp_ms);
        out.freeze()
    }

    pub fn decode(mut bytes: &[u8]) -> Option<Committed> {
        let version = bytes.try_get_i16().ok()?;
        if !(0..=VALUE_VERSION).contains(&version) {
            return None;
        }
        let offset = bytes.try_get_i64().ok()?;
        let leader_epoch = if version >= 3 { bytes.try_get_i32().ok()? } else { -1 };
        let metadata = get_text(&mut bytes)?.into();
        let commit_timestamp_ms = bytes.try_get_i64().ok()?;
        Some(Committed { offset, leader_epoch, metadata, commit_timestamp_ms, record_offset: -1 })
    }
}

impl StoredGroup {
    /// What is stored of a group: its members only where the generation has an assignment.
    pub fn of(group: &Group, now_ms: i64) -> StoredGroup {
        let protocol = group.protocol.clone();
        let stored = |member: &Member| StoredMember {
            member_id: member.id.to_string(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: protocol.as_deref().map(|name| member.metadata(name)).unwrap_or_default(),
            assignment: member.assignment.clone(),
        };
        StoredGroup {
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            generation_id: group.generation_id,
            protocol: protocol.clone(),
            leader: group.leader.as_deref().map(str::to_owned),
            state_timestamp_ms: now_ms,
            members: if group.state == State::Empty {
                vec![]
            } else {
                group.members.values().map(stored).collect()
            },
        }
    }

    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(256);
        out.put_i16(VALUE_VERSION);
        put_text(&mut out, &self.protocol_type);
        out.put_i32(self.generation_id);
        put_optional_text(&mut out, self.protocol.as_deref());
        put_optional_text(&mut out, self.leader.as_deref());
        out.put_i64(self.state_timestamp_ms);
        out.put_i32(self.members.len() as i32);
        for member in &self.members {
            put_text(&mut out, &member.member_id);
            put_optional_text(&mut out, member.instance_id.as_deref());
            put_text(&mut out, &member.client_id);
            put_text(&mut out, &member.client_host);
            out.put_i32(member.rebalance_timeout_ms);
            out.put_i32(member.session_timeout_ms);
            put_bytes(&mut out, &member.subscription);
            put_bytes(&mut out, &member.assignment);
        }
        out.freeze()
    }

    pub fn decode(mut bytes: &[u8]) -> Option<StoredGroup> {
        let version = bytes.try_get_i16().ok()?;
        if !(0..=VALUE_VERSION).contains(&version) {
            return None;
        }
        let protocol_type = get_text(&mut bytes)?;
        let generation_id = bytes.try_get_i32().ok()?;
        let protocol = get_optional_text(&mut bytes)?;
        let leader = get_optional_text(&mut bytes)?;
        let state_timestamp_ms = if version >= 2 { bytes.try_get_i64().ok()? } else { -1 };
        let count = bytes.try_get_i32().ok()?;
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(StoredMember::decode(&mut bytes, version)?);
        }
        Some(StoredGroup { protocol_type, generation_id, protocol, leader, state_timestamp_ms, members })
    }
}

impl StoredMember {
    fn decode(bytes: &mut &[u8], version: i16) -> Option<StoredMember> {
        let member_id = get_text(bytes)?;
        let instance_id = if version >= 3 { get_optional_text(bytes)? } else { None };
        let client_id = get_text(bytes)?;
        let client_host = get_text(bytes)?;
        let rebalance = if version >= 1 { Some(bytes.try_get_i32().ok()?) } else { None };
        let session_timeout_ms = bytes.try_get_i32().ok()?;
        let subscription = get_bytes(bytes)?;
        let assignment = get_bytes(bytes)?;
        let rebalance_timeout_ms = rebalance.unwrap_or(session_timeout_ms);
        Some(StoredMember {
            member_id,
            instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms,
            session_timeout_ms,
            subscription,
            assignment,
        })
    }
}

/// Strings longer than Kafka's two bytes of length can say were refused at the door; what is left is cut.
pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
    out.put_i16(bytes.len() as i16);
    out.put_slice(bytes);
}

fn put_optional_text(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_text(out, text),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

pub(crate) fn get_text(bytes: &mut &[u8]) -> Option<String> {
    get_optional_text(bytes)?
}

/// The outer `None`: the bytes end early. The inner one: null.
fn get_optional_text(bytes: &mut &[u8]) -> Option<Option<String>> {
    let length = bytes.try_get_i16().ok()?;
    if length < 0 {
        return Some(None);
    }
    let (text, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(Some(std::str::from_utf8(text).ok()?.to_owned()))
}

fn get_bytes(bytes: &mut &[u8]) -> Option<Bytes> {
    let length = bytes.try_get_i32().ok()?.max(0) as usize;
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Bytes::copy_from_slice(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_come_back() {
        for key in [
            Key::Offset { group: "g".into(), topic: "flights".into(), partition: 3 },
            Key::Group { group: "group with Ünicode".into() },
        ] {
            assert_eq!(Key::decode(&key.encode()), Some(key));
        }
        let committed = Committed {
            offset: 42,
            leader_epoch: 0,
            metadata: "receipt".into(),
            commit_timestamp_ms: 1_700_000_000_000,
            record_offset: -1,
        };
        assert_eq!(Committed::decode(&committed.encode()), Some(committed));
        let member = StoredMember {
            member_id: "m-1".into(),
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 300_000,
            session_timeout_ms: 45_000,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"a"),
        };
        let group = StoredGroup {
            protocol_type: "consumer".into(),
            generation_id: 7,
            protocol: Some("range".into()),
            leader: Some("m-1".into()),
            state_timestamp_ms: 5,
            members: vec![member],
        };
        assert_eq!(StoredGroup::decode(&group.encode()), Some(group));
    }

    /// The bytes of Kafka's own OffsetCommitKey v1 and OffsetCommitValue v3, written down once.
    #[test]
    fn the_bytes_are_kafkas() {
        let key = Key::Offset { group: "g".into(), topic: "t".into(), partition: 2 };
        assert_eq!(&key.encode()[..], b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x02");
        let value = Committed {
            offset: 5,
            leader_epoch: -1,
            metadata: "m".into(),
            commit_timestamp_ms: 9,
            record_offset: -1,
        };
        let expected = b"\x00\x03\x00\x00\x00\x00\x00\x00\x00\x05\xff\xff\xff\xff\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x09";
        assert_eq!(&value.encode()[..], expected);
    }

    #[test]
    fn cut_bytes_are_refused_not_read_past() {
        let whole = Key::Offset { group: "group".into(), topic: "topic".into(), partition: 2 }.encode();
        for end in 0..whole.len() {
            assert_eq!(Key::decode(&whole[..end]), None, "{end}");
        }
        assert_eq!(StoredGroup::decode(b"\x00\x03\x00\x01"), None);
    }
}

//! The bytes that consumers of the classic protocol put into it: subscriptions and assignments (`ConsumerProtocol*.json` of
//! Apache Kafka's clients). What comes from outside is read item by item, never by what a count claims.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Partitions, layout::Layout};

/// Partitions by the name of their topic.
pub type Named = BTreeMap<String, BTreeSet<i32>>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    pub topics: BTreeSet<String>,
    pub owned: Named,
    pub rack_id: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    pub partitions: Named,
    pub user_data: Bytes,
}

impl Subscription {
    /// v1 owned partitions, v2 generation, v3 rack.
    pub fn read(mut bytes: &[u8]) -> Option<Subscription> {
        let bytes = &mut bytes;
        let version = bytes.try_get_i16().ok().filter(|version| *version >= 0)?;
        let mut topics = BTreeSet::new();
        for _ in 0..bytes.try_get_i32().ok()? {
            topics.insert(text(bytes)??);
        }
        user_data(bytes)?;
        let owned = if version >= 1 { named(bytes)? } else { Named::new() };
        if version >= 2 {
            bytes.try_get_i32().ok()?;
        }
        let rack_id = if version >= 3 { text(bytes)? } else { None };
        Some(Subscription { topics, owned, rack_id })
    }
}

impl Assignment {
    /// No bytes at all are no partitions.
    pub fn read(mut bytes: &[u8]) -> Option<Assignment> {
        if bytes.is_empty() {
            return Some(Assignment::default());
        }
        let bytes = &mut bytes;
        bytes.try_get_i16().ok().filter(|version| *version >= 0)?;
        Some(Assignment { partitions: named(bytes)?, user_data: user_data(bytes)? })
    }

    /// Version 0: later ones have the same layout.
    pub fn write(partitions: &Named) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(0);
        out.put_i32(partitions.len() as i32);
        for (topic, numbers) in partitions {
            out.put_i16(topic.len() as i16);
            out.put_slice(topic.as_bytes());
            out.put_i32(numbers.len() as i32);
            for number in numbers {
                out.put_i32(*number);
            }
        }
        out.put_i32(-1); // no user data
        out.freeze()
    }
}

/// Topics that are gone are left out.
pub fn with_names(partitions: &Partitions, layout: &dyn Layout) -> Named {
    let each = |(topic, numbers): (&uuid::Uuid, &BTreeSet<i32>)| {
        layout.name_of(*topic).map(|name| (name.to_string(), numbers.clone()))
    };
    partitions.iter().filter_map(each).collect()
}

pub fn with_ids(named: &Named, layout: &dyn Layout) -> Partitions {
    let each =
        |(name, numbers): (&String, &BTreeSet<i32>)| layout.find(name).map(|(id, _)| (id, numbers.clone()));
    named.iter().filter_map(each).collect()
}

/// The outer `None`: the bytes end early. The inner one: null.
fn text(bytes: &mut &[u8]) -> Option<Option<String>> {
    let length = bytes.try_get_i16().ok()?;
    if length < 0 {
        return Some(None);
    }
    let (text, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(Some(std::str::from_utf8(text).ok()?.to_owned()))
}

fn user_data(bytes: &mut &[u8]) -> Option<Bytes> {
    let length = bytes.try_get_i32().ok()?.max(0) as usize;
    let (data, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Bytes::copy_from_slice(data))
}

fn named(bytes: &mut &[u8]) -> Option<Named> {
    let mut named = Named::new();
    for _ in 0..bytes.try_get_i32().ok()? {
        let topic = text(bytes)??;
        let mut numbers = BTreeSet::new();
        for _ in 0..bytes.try_get_i32().ok()? {
            numbers.insert(bytes.try_get_i32().ok()?);
        }
        named.insert(topic, numbers);
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 1, as a client of Kafka 2.4 writes it.
    const SUBSCRIPTION: &[u8] =
        b"\x00\x01\x00\x00\x00\x02\x00\x01a\x00\x01b\xff\xff\xff\xff\x00\x00\x00\x01\x00\x01a\x00\x00\x00\x01\x00\x00\x00\x05";

    #[test]
    fn subscriptions_are_read() {
        let read = Subscription::read(SUBSCRIPTION).unwrap();
        assert_eq!(read.topics, ["a".to_owned(), "b".to_owned()].into());
        assert_eq!(read.owned, Named::from([("a".to_owned(), [5].into())]));
        for end in 0..SUBSCRIPTION.len() {
            assert_eq!(Subscription::read(&SUBSCRIPTION[..end]), None, "{end}");
        }
        assert_eq!(Subscription::read(b"\x00\x00\x7f\xff\xff\xff"), None);
    }

    #[test]
    fn assignments_come_back() {
        let partitions = Named::from([("a".to_owned(), [0, 3].into()), ("b".to_owned(), [1].into())]);
        let read = Assignment::read(&Assignment::write(&partitions)).unwrap();
        assert_eq!(read, Assignment { partitions, user_data: Bytes::new() });
        assert_eq!(Assignment::read(b""), Some(Assignment::default()));
        assert_eq!(Assignment::read(b"\x00"), None);
    }
}

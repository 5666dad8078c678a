//! What groups that have epochs have in common in the log: they lie there part by part, a record each.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::{journal::KeyValue, records::put_text};

/// Parts of a group that have changed, and writes that are on their way to the log.
#[derive(Debug)]
pub struct Unwritten<P> {
    parts: BTreeSet<P>,
    writes_count: u32,
}

impl<P> Default for Unwritten<P> {
    fn default() -> Self {
        Self { parts: BTreeSet::new(), writes_count: 0 }
    }
}

impl<P: Ord + Clone> Unwritten<P> {
    pub fn insert(&mut self, part: P) {
        self.parts.insert(part);
    }

    pub fn extend(&mut self, parts: impl IntoIterator<Item = P>) {
        self.parts.extend(parts);
    }

    pub fn parts(&self) -> impl Iterator<Item = P> {
        self.parts.iter().cloned()
    }

    pub fn take(&mut self) -> BTreeSet<P> {
        std::mem::take(&mut self.parts)
    }

    /// What is to be written now. `None`: nothing is, or on its way, for which an answer would have to wait.
    pub fn send(&mut self, has_more: bool) -> Option<BTreeSet<P>> {
        if self.parts.is_empty() && self.writes_count == 0 && !has_more {
            return None;
        }
        self.writes_count += 1;
        Some(self.take())
    }

    /// A write has ended; what could not be written is due again.
    pub fn sent(&mut self, parts: BTreeSet<P>, is_written: bool) {
        self.writes_count = self.writes_count.saturating_sub(1);
        if !is_written {
            self.extend(parts);
        }
    }
}

/// The records of these parts: first what is gone, the last part first, then what there is.
pub fn encode<P>(
    parts: &BTreeSet<P>,
    key: impl Fn(&P) -> Bytes,
    value: impl Fn(&P) -> Option<Bytes>,
) -> Vec<KeyValue> {
    let (kept, mut gone): (Vec<KeyValue>, Vec<KeyValue>) =
        parts.iter().map(|part| (key(part), value(part))).partition(|(_, value)| value.is_some());
    gone.reverse();
    gone.into_iter().chain(kept).collect()
}

/// A key: its number, the group, and which one of several parts.
pub fn key(number: i16, group: &str, more: Option<&str>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(number);
    put_text(&mut out, group);
    if let Some(more) = more {
        put_text(&mut out, more);
    }
    out.freeze()
}

/// Keeps what was read; what is not there, or not understood, is gone.
pub fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

//! Keys and values of `__transaction_state`, byte for byte as Kafka writes them, so that either can take over.
//!
//! Source: `TransactionLogKey.json` and `TransactionLogValue.json` of Apache Kafka's transaction coordinator. Values are
//! written in version 1 (flexible, with the fields of KIP-890 as tags), as Kafka 4 does, and read in 0 and 1.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::transaction::{Partitions, State, Transaction};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;
const TAG_PREVIOUS_ID: u32 = 0;
const TAG_NEXT_ID: u32 = 1;
const TAG_VERSION: u32 = 2;

pub fn key(transactional_id: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + transactional_id.len());
    out.put_i16(KEY_VERSION);
    out.put_i16(transactional_id.len() as i16); // its length came in two bytes
    out.put_slice(transactional_id.as_bytes());
    out.freeze()
}

/// `None`: not a key that we know.
pub fn id_of(mut key: &[u8]) -> Option<&str> {
    let (version, length) = (key.try_get_i16().ok()?, key.try_get_i16().ok()?);
    let text = key.get(..usize::try_from(length).ok()?)?;
    if version == KEY_VERSION { std::str::from_utf8(text).ok() } else { None }
}

fn state_id(state: State) -> i8 {
    match state {
        State::Empty => 0,
        State::Ongoing => 1,
        State::PrepareCommit => 2,
        State::PrepareAbort => 3,
        State::CompleteCommit => 4,
        State::CompleteAbort => 5,
    }
}

impl Transaction {
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_i16(VALUE_VERSION);
        out.put_i64(self.producer.id);
        out.put_i16(self.producer.epoch);
        out.put_i32(self.timeout_ms);
        out.put_i8(state_id(self.state));
        if self.state == State::Empty {
            put_varint(&mut out, 0);
        } else {
            put_count(&mut out, self.partitions.len());
            for (topic, partitions) in &self.partitions {
                put_count(&mut out, topic.len());
                out.put_slice(topic.as_bytes());
                put_count(&mut out, partitions.len());
                partitions.iter().for_each(|partition| out.put_i32(*partition));
                out.put_u8(0); // no tags
            }
        }
        out.put_i64(self.updated_ms);
        out.put_i64(self.started_ms);
        self.put_tags(&mut out);
        out.freeze()
    }

    fn put_tags(&self, out: &mut BytesMut) {
        let tags: Vec<(u32, Vec<u8>)> = [
            (self.previous_id >= 0).then(|| (TAG_PREVIOUS_ID, self.previous_id.to_be_bytes().to_vec())),
            (self.next_id >= 0).then(|| (TAG_NEXT_ID, self.next_id.to_be_bytes().to_vec())),
            (self.version > 0).then(|| (TAG_VERSION, self.version.to_be_bytes().to_vec())),
        ]
        .into_iter()
        .flatten()
        .collect();
        put_varint(out, tags.len() as u32);
        for (tag, bytes) in tags {
            put_varint(out, tag);
            put_varint(out, bytes.len() as u32);
            out.put_slice(&bytes);
        }
    }

    pub fn decode(mut bytes: &[u8]) -> Option<Transaction> {
        let version = bytes.try_get_i16().ok()?;
        let flexible = match version {
            0 => false,
            1 => true,
            _ => return None,
        };
        let mut transaction = Transaction::new(bytes.try_get_i64().ok()?, 0);
        transaction.producer.epoch = bytes.try_get_i16().ok()?;
        transaction.timeout_ms = bytes.try_get_i32().ok()?;
        let state = bytes.try_get_i8().ok()?;
        transaction.state = State::ALL.into_iter().find(|known| state_id(*known) == state)?;
        transaction.partitions = get_partitions(&mut bytes, flexible)?;
        transaction.updated_ms = bytes.try_get_i64().ok()?;
        transaction.started_ms = bytes.try_get_i64().ok()?;
        if flexible {
            transaction.get_tags(&mut bytes)?;
        }
        Some(transaction)
    }

    fn get_tags(&mut self, bytes: &mut &[u8]) -> Option<()> {
        for _ in 0..get_varint(bytes)? {
            let (tag, size) = (get_varint(bytes)?, get_varint(bytes)?);
            let (mut value, rest) = bytes.split_at_checked(size as usize)?;
            *bytes = rest;
            match tag {
                TAG_PREVIOUS_ID => self.previous_id = value.try_get_i64().ok()?,
                TAG_NEXT_ID => self.next_id = value.try_get_i64().ok()?,
                TAG_VERSION => self.version = value.try_get_i16().ok()?,
                _ => {}
            }
        }
        Some(())
    }
}

fn get_partitions(bytes: &mut &[u8], flexible: bool) -> Option<Partitions> {
    let mut partitions = Partitions::new();
    for _ in 0..get_count(bytes, flexible, 4)? {
        let length = get_count(bytes, flexible, 2)?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        let known = partitions.entry(Arc::from(std::str::from_utf8(text).ok()?)).or_default();
        for _ in 0..get_count(bytes, flexible, 4)? {
            known.insert(bytes.try_get_i32().ok()?);
        }
        if flexible {
            for _ in 0..get_varint(bytes)? {
                get_varint(bytes)?;
                let size = get_varint(bytes)? as usize;
                *bytes = bytes.get(size..)?;
            }
        }
    }
    Some(partitions)
}

/// A length or count: compact, or in so many bytes; null counts as none.
fn get_count(bytes: &mut &[u8], flexible: bool, size: usize) -> Option<usize> {
    if flexible {
        return Some((get_varint(bytes)? as usize).saturating_sub(1));
    }
    let count = bytes.try_get_int(size).ok()?;
    Some(usize::try_from(count).unwrap_or(0))
}

fn put_count(out: &mut BytesMut, count: usize) {
    put_varint(out, count as u32 + 1);
}

fn put_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn get_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for place in 0..5 {
        let byte = bytes.try_get_u8().ok()?;
        value |= u32::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::transaction::Producer, *};

    fn ongoing() -> Transaction {
        let partitions = [("orders", vec![0, 3]), ("__consumer_offsets", vec![17])];
        let partitions = partitions.map(|(topic, numbers)| (Arc::from(topic), numbers.into_iter().collect()));
        Transaction {
            producer: Producer { id: 4_000, epoch: 7 },
            state: State::Ongoing,
            timeout_ms: 60_000,
            partitions: Partitions::from(partitions),
            started_ms: 1_700_000_000_000,
            updated_ms: 1_700_000_000_500,
            ..Transaction::new(4_000, 0)
        }
    }

    #[test]
    fn keys_and_values_come_back() {
        assert_eq!(id_of(&key("pay-ménts")), Some("pay-ménts"));
        for state in State::ALL {
            let partitions = if state == State::Empty { Partitions::new() } else { ongoing().partitions };
            let transaction = Transaction { state, partitions, ..ongoing() };
            assert_eq!(Transaction::decode(&transaction.encode()), Some(transaction));
        }
        let tagged = Transaction { previous_id: 9, next_id: 10, version: 2, ..ongoing() };
        assert_eq!(Transaction::decode(&tagged.encode()), Some(tagged));
    }

    /// Bytes laid out by hand from Kafka's TransactionLogKey v0 and TransactionLogValue v0 and v1.
    #[test]
    fn the_bytes_are_kafkas() {
        assert_eq!(&key("t")[..], b"\x00\x00\x00\x01t");
        let expected = Transaction {
            partitions: Partitions::from([(Arc::from("a"), [1].into())]),
            started_ms: 5,
            updated_ms: 6,
            timeout_ms: 100,
            producer: Producer { id: 3, epoch: 2 },
            ..ongoing()
        };
        let start = b"\0\0\0\0\0\0\0\x03\0\x02\0\0\0\x64\x01";
        let times = b"\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x05";
        let old = [&b"\0\0"[..], start, b"\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x01", times].concat();
        assert_eq!(Transaction::decode(&old), Some(expected.clone()));
        let new = [&b"\0\x01"[..], start, b"\x02\x02a\x02\0\0\0\x01\0", times, b"\0"].concat();
        assert_eq!(expected.encode(), new);
        let raised = Transaction { version: 2, previous_id: 8, ..expected };
        let tags = b"\x02\0\x08\0\0\0\0\0\0\0\x08\x02\x02\0\x02";
        assert_eq!(raised.encode(), [&new[..new.len() - 1], tags].concat());
    }

    #[test]
    fn cut_bytes_are_refused_not_read_past() {
        let whole = Transaction { version: 2, ..ongoing() }.encode();
        for end in 0..whole.len() {
            assert_eq!(Transaction::decode(&whole[..end]), None, "{end}");
            id_of(&whole[..end]);
        }
        assert_eq!(Transaction::decode(b"\0\x05"), None);
    }
}

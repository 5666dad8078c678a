//! The one writer of `__consumer_offsets`: takes what changed, in order, and appends all that waits as one batch a
//! partition. It also reads the topic back at start.

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use wire::batch::{BatchBuilder, batches};

use super::{
    Groups,
    records::{Committed, Key, StoredGroup},
};
use crate::{
    broker::Broker,
    errors::Error,
    log::{Log, ReadLimit, Writer},
    topics::Topic,
};

pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Changes written as one batch: bounds the batch's size (a commit's metadata has at most some KiB).
const ENTRIES_PER_BATCH_MAX: usize = 256;
const READ_BYTES_MAX: usize = 1 << 20;
/// A batch that a real Kafka compressed is unpacked to at most this.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Topic and partition of a committed offset, and the offset; `None` deletes it.
pub type OffsetChange = ((Arc<str>, i32), Option<Committed>);

#[derive(Debug)]
pub enum Change {
    Offsets(Vec<OffsetChange>),
    Group(StoredGroup),
    /// The leader's assignments; the members are answered once they are stored.
    Assigned {
        generation_id: i32,
        stored: StoredGroup,
    },
    /// The group and the offsets it had.
    Deleted(Vec<(Arc<str>, i32)>),
}

#[derive(Debug)]
pub struct Entry {
    pub group: Arc<str>,
    pub change: Change,
    pub done: Option<oneshot::Sender<Result<(), ResponseError>>>,
}

type Stored = BTreeMap<String, StoredGroup>;
type KeyValue = (Bytes, Option<Bytes>);

impl Entry {
    fn records(&self) -> Vec<KeyValue> {
        let group = || self.group.to_string();
        let offset_key = |(topic, partition): &(Arc<str>, i32)| {
            Key::Offset { group: group(), topic: topic.to_string(), partition: *partition }.encode()
        };
        match &self.change {
            Change::Offsets(offsets) => {
                let each = |(place, committed): &OffsetChange| {
                    (offset_key(place), committed.as_ref().map(Committed::encode))
                };
                offsets.iter().map(each).collect()
            }
            Change::Group(stored) | Change::Assigned { stored, .. } => {
                vec![(Key::Group { group: group() }.encode(), Some(stored.encode()))]
            }
            Change::Deleted(places) => {
                let mut records: Vec<KeyValue> =
                    places.iter().map(|place| (offset_key(place), None)).collect();
                records.push((Key::Group { group: group() }.encode(), None));
                records
            }
        }
    }
}

/// Writes until every sender is gone.
pub async fn run(broker: Arc<Broker>, mut inbox: mpsc::UnboundedReceiver<Entry>) {
    let mut waiting = Vec::new();
    while inbox.recv_many(&mut waiting, ENTRIES_PER_BATCH_MAX).await > 0 {
        let outcomes = write(&broker, &waiting).await;
        for (entry, outcome) in waiting.drain(..).zip(outcomes) {
            broker.groups.applied(entry, outcome);
        }
    }
}

async fn write(broker: &Arc<Broker>, entries: &[Entry]) -> Vec<Result<(), ResponseError>> {
    let topic = match broker.offsets_topic().await {
        Ok(topic) => topic,
        Err(error) => return vec![Err(error); entries.len()],
    };
    let partition_of = |entry: &Entry| partition_for(&entry.group, topic.partitions.len());
    let mut batches: IndexMap<usize, Vec<KeyValue>> = IndexMap::new();
    for entry in entries {
        batches.entry(partition_of(entry)).or_default().extend(entry.records());
    }
    let mut outcomes: BTreeMap<usize, Result<(), ResponseError>> = BTreeMap::new();
    for (partition, records) in batches {
        let outcome = append(&topic.partitions[partition], records, broker.now_ms()).await;
        outcomes.insert(partition, outcome);
    }
    entries.iter().map(|entry| outcomes.get(&partition_of(entry)).copied().unwrap_or(Ok(()))).collect()
}

async fn append(log: &Arc<Log>, records: Vec<KeyValue>, now_ms: i64) -> Result<(), ResponseError> {
    if records.is_empty() {
        return Ok(());
    }
    let batch = batch(&records, now_ms).map_err(|_| ResponseError::UnknownServerError)?;
    match log.append(batch, 0, Writer::Broker).await {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::error!(%error, "group state cannot be written");
            Err(ResponseError::CoordinatorNotAvailable)
        }
    }
}

fn batch(records: &[KeyValue], now_ms: i64) -> io::Result<Bytes> {
    let mut builder = BatchBuilder::new(0);
    for (place, (key, value)) in records.iter().enumerate() {
        builder.push(place as i64, now_ms, Some(key), value.as_deref(), []);
    }
    builder.finish()
}

/// Kafka's choice: `Utils.abs(groupId.hashCode) % partitions`, with Java's hash over UTF-16 units.
pub fn partition_for(group: &str, partitions_count: usize) -> usize {
    let hash =
        group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) as usize % partitions_count.max(1)
}

/// Reads every group and offset back. Blocks on the disk.
///
/// # Errors
/// The log cannot be read.
pub fn replay(topic: &Topic, groups: &Groups) -> Result<(), Error> {
    let mut stored = Stored::new();
    for log in &topic.partitions {
        let mut offset = log.start_offset();
        while offset < log.high_watermark() {
            let limit = ReadLimit { bytes_max: READ_BYTES_MAX, at_least_one: true };
            let next = replay_some(log, &log.read_blocking(offset, limit)?.records, groups, &mut stored)?;
            if next <= offset {
                break; // nothing whole is left
            }
            offset = next;
        }
    }
    for (id, group) in stored {
        if let Some(shared) = groups.restore(&id) {
            shared.lock().restore(group, Instant::now());
        }
    }
    Ok(())
}

/// Applies whole batches, and gives the offset after them; compaction may have left some without records.
fn replay_some(log: &Log, bytes: &[u8], groups: &Groups, stored: &mut Stored) -> Result<i64, Error> {
    let unreadable = |error: wire::batch::BatchError| Error::GroupsUnreadable {
        log: log.name().clone(),
        reason: error.to_string(),
    };
    let mut next = 0;
    for batch in batches(bytes) {
        let batch = batch.map_err(unreadable)?;
        next = batch.header.next_offset();
        if batch.header.is_control() {
            continue;
        }
        for record in &batch.records(BATCH_BYTES_MAX).map_err(unreadable)? {
            let record = record.map_err(unreadable)?;
            apply(groups, stored, record.key, record.value);
        }
    }
    Ok(next)
}

fn apply(groups: &Groups, stored: &mut Stored, key: Option<&[u8]>, value: Option<&[u8]>) {
    match key.and_then(Key::decode) {
        Some(Key::Offset { group, topic, partition }) => {
            let Some(shared) = groups.restore(&group) else { return };
            let place = (Arc::from(topic), partition);
            match value.and_then(Committed::decode) {
                Some(committed) => shared.lock().offsets.insert(place, committed),
                None => shared.lock().offsets.remove(&place),
            };
        }
        Some(Key::Group { group }) => match value.and_then(StoredGroup::decode) {
            Some(value) => {
                stored.insert(group, value);
            }
            None => {
                stored.remove(&group);
                groups.restored_away(&group);
            }
        },
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    /// `"my-group".hashCode()` and the like, by Java.
    #[test]
    fn groups_lie_where_kafka_puts_them() {
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 97 % 50);
        assert_eq!(partition_for("polygenelubricants", 50), 0); // hashCode is Integer.MIN_VALUE; Utils.abs makes it 0
    }
}

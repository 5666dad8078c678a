//! The one writer of `__consumer_offsets`: takes what changed, in order, and appends all that waits as one batch a
//! partition. It also reads the topic back at start.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::Arc,
};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use wire::batch::{BatchBuilder, Record, batches};

use super::{
    Groups,
    consumer::records::{Part, StoredConsumer},
    records::{Committed, Key, StoredGroup},
    share::records::{Part as SharePart, StoredShare},
    streams::records::{Part as StreamsPart, StoredStreams},
};
use crate::{
    broker::Broker,
    errors::Error,
    log::{Ending, Log, Writer},
    topics::Topic,
    transactions::transaction::Producer,
};

pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Changes taken at once.
const ENTRIES_PER_WRITE_MAX: usize = 256;
/// A batch with as much takes no further change.
const BATCH_BYTES_FULL: usize = 512 << 10;
/// A batch that a real Kafka compressed is unpacked to at most this.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Topic and partition of a committed offset, and the offset; `None` deletes it.
pub type OffsetChange = ((Arc<str>, i32), Option<Committed>);

#[derive(Debug)]
pub enum Change {
    Offsets(Vec<OffsetChange>),
    /// What an open transaction commits.
    Unsettled {
        producer: Producer,
        offsets: Vec<((Arc<str>, i32), Committed)>,
    },
    Group(StoredGroup),
    /// The leader's assignments; the members are answered once they are stored.
    Assigned {
        generation_id: i32,
        stored: StoredGroup,
    },
    /// What has changed of a consumer group, or of a group that becomes another kind.
    Consumer {
        parts: BTreeSet<Part>,
        records: Vec<KeyValue>,
    },
    /// The same of a share group.
    Share {
        parts: BTreeSet<SharePart>,
        records: Vec<KeyValue>,
    },
    /// The same of a streams group.
    Streams {
        parts: BTreeSet<StreamsPart>,
        records: Vec<KeyValue>,
    },
    /// The offsets of a group, and the records that delete the group itself.
    Deleted {
        places: Vec<(Arc<str>, i32)>,
        group: Vec<KeyValue>,
    },
}

#[derive(Debug)]
pub struct Entry {
    pub group: Arc<str>,
    pub change: Change,
    pub done: Option<oneshot::Sender<Result<(), ResponseError>>>,
}

/// Where in the topic the records of an entry lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub partition: usize,
    pub first_offset: i64,
}

/// A record of the topic.
pub type KeyValue = (Bytes, Option<Bytes>);

/// The groups as the log tells of them, by their ids.
#[derive(Default)]
struct Stored {
    classic: BTreeMap<String, StoredGroup>,
    consumer: BTreeMap<String, StoredConsumer>,
    share: BTreeMap<String, StoredShare>,
    streams: BTreeMap<String, StoredStreams>,
}

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
            Change::Unsettled { offsets, .. } => {
                let each = |(place, committed): &((Arc<str>, i32), Committed)| {
                    (offset_key(place), Some(committed.encode()))
                };
                offsets.iter().map(each).collect()
            }
            Change::Group(stored) | Change::Assigned { stored, .. } => {
                vec![(Key::Group { group: group() }.encode(), Some(stored.encode()))]
            }
            Change::Consumer { records, .. }
            | Change::Share { records, .. }
            | Change::Streams { records, .. } => records.clone(),
            Change::Deleted { places, group } => {
                places.iter().map(|place| (offset_key(place), None)).chain(group.iter().cloned()).collect()
            }
        }
    }
}

/// Writes until every sender is gone.
pub async fn run(broker: Arc<Broker>, mut inbox: mpsc::UnboundedReceiver<Entry>) {
    let mut waiting = Vec::new();
    while inbox.recv_many(&mut waiting, ENTRIES_PER_WRITE_MAX).await > 0 {
        let outcomes = write(&broker, &waiting).await;
        for (entry, outcome) in waiting.drain(..).zip(outcomes) {
            broker.groups.applied(entry, outcome);
        }
    }
}

impl Entry {
    /// Whose transaction its records belong to: those of one batch all belong to the same.
    fn producer(&self) -> Option<Producer> {
        match &self.change {
            Change::Unsettled { producer, .. } => Some(*producer),
            Change::Offsets(_)
            | Change::Group(_)
            | Change::Assigned { .. }
            | Change::Consumer { .. }
            | Change::Share { .. }
            | Change::Streams { .. }
            | Change::Deleted { .. } => None,
        }
    }
}

/// Records that become one batch: of one partition, and one producer.
struct Filling {
    of: (usize, Option<Producer>),
    records: Vec<KeyValue>,
    bytes: usize,
}

/// Appends a batch for each partition and producer, and more where there is much. An entry's records stay in one.
async fn write(broker: &Arc<Broker>, entries: &[Entry]) -> Vec<Result<Place, ResponseError>> {
    let topic = match broker.offsets_topic().await {
        Ok(topic) => topic,
        Err(error) => return vec![Err(error); entries.len()],
    };
    let (batches, places) = fill(entries, topic.partitions.len());
    let mut outcomes = Vec::with_capacity(batches.len());
    for Filling { of: (partition, producer), records, .. } in batches {
        let first = append(&topic.partitions[partition], records, producer, broker.now_ms()).await;
        outcomes.push(first.map(|first_offset| Place { partition, first_offset }));
    }
    let place = |(batch, index): (usize, i64)| {
        outcomes[batch].map(|place| Place { first_offset: place.first_offset + index, ..place })
    };
    places.into_iter().map(place).collect()
}

/// The batches, and for each entry in which one it is, and behind how many records.
fn fill(entries: &[Entry], partitions_count: usize) -> (Vec<Filling>, Vec<(usize, i64)>) {
    let mut batches: Vec<Filling> = Vec::new();
    let mut open: HashMap<(usize, Option<Producer>), usize> = HashMap::new();
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        let of = (partition_for(&entry.group, partitions_count), entry.producer());
        let place = match open.get(&of) {
            Some(place) if batches[*place].bytes < BATCH_BYTES_FULL => *place,
            _ => {
                batches.push(Filling { of, records: Vec::new(), bytes: 0 });
                open.insert(of, batches.len() - 1);
                batches.len() - 1
            }
        };
        let batch = &mut batches[place];
        places.push((place, batch.records.len() as i64));
        let records = entry.records();
        batch.bytes += records
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len))
            .sum::<usize>();
        batch.records.extend(records);
    }
    (batches, places)
}

/// Gives the offset of the first record.
async fn append(
    log: &Arc<Log>,
    records: Vec<KeyValue>,
    producer: Option<Producer>,
    now_ms: i64,
) -> Result<i64, ResponseError> {
    if records.is_empty() {
        return Ok(-1);
    }
    let batch = batch(&records, producer, now_ms).map_err(|_| ResponseError::UnknownServerError)?;
    match log.append(batch, 0, Writer::Broker).await {
        Ok(appended) => Ok(appended.base_offset),
        Err(error) => {
            tracing::error!(%error, "group state cannot be written");
            Err(ResponseError::CoordinatorNotAvailable)
        }
    }
}

fn batch(records: &[KeyValue], producer: Option<Producer>, now_ms: i64) -> io::Result<Bytes> {
    let mut builder = BatchBuilder::new(0);
    if let Some(Producer { id, epoch }) = producer {
        builder = builder.producer(id, epoch, 0).transactional(); // 0: nobody counts these, as in Kafka
    }
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
    let mut stored = Stored::default();
    for (partition, log) in topic.partitions.iter().enumerate() {
        log.replay(|bytes| replay_some(log, partition, bytes, groups, &mut stored))?;
    }
    for (id, group) in stored.classic {
        if let Some(shared) = groups.restore(&id) {
            shared.lock().restore(group, Instant::now());
        }
    }
    for (id, group) in stored.consumer {
        groups.restore_consumer(&id, group);
    }
    for (id, group) in stored.share {
        groups.restore_share(&id, group);
    }
    for (id, group) in stored.streams {
        groups.restore_streams(&id, group);
    }
    Ok(())
}

/// Applies whole batches; compaction may have left some without records.
fn replay_some(
    log: &Log,
    partition: usize,
    bytes: &[u8],
    groups: &Groups,
    stored: &mut Stored,
) -> Result<(), Error> {
    let unreadable = |error: wire::batch::BatchError| Error::GroupsUnreadable {
        log: log.name().clone(),
        reason: error.to_string(),
    };
    for batch in batches(bytes) {
        let batch = batch.map_err(unreadable)?;
        if batch.header.is_control() {
            if let Some(ending) = Ending::of(&batch) {
                groups.settle(partition, batch.header.producer_id, ending);
            }
            continue;
        }
        let producer_id = batch.header.is_transactional().then_some(batch.header.producer_id);
        for record in &batch.records(BATCH_BYTES_MAX).map_err(unreadable)? {
            let record = record.map_err(unreadable)?;
            apply(groups, stored, partition, producer_id, &record);
        }
    }
    Ok(())
}

fn apply(
    groups: &Groups,
    stored: &mut Stored,
    journal_partition: usize,
    producer_id: Option<i64>,
    record: &Record<'_>,
) {
    match record.key.and_then(Key::decode) {
        Some(Key::Offset { group, topic, partition }) => {
            let Some(shared) = groups.restore(&group) else { return };
            let mut shared = shared.lock();
            let place = (Arc::from(topic), partition);
            let committed = record.value.and_then(Committed::decode);
            let committed = committed.map(|known| Committed { record_offset: record.offset, ..known });
            match (producer_id, committed) {
                (Some(producer_id), Some(committed)) => {
                    groups.unsettle(journal_partition, &mut shared, producer_id, vec![(place, committed)]);
                }
                (_, committed) => shared.apply(place, committed),
            }
        }
        Some(Key::Group { group }) => match record.value.and_then(StoredGroup::decode) {
            Some(value) => {
                stored.classic.insert(group, value);
            }
            None => {
                stored.classic.remove(&group);
                groups.restored_away(&group);
            }
        },
        None => apply_kinds(groups, stored, record),
    }
}

/// A record of a group that has epochs.
fn apply_kinds(groups: &Groups, stored: &mut Stored, record: &Record<'_>) {
    let Some(key) = record.key else { return };
    if let Some((group, part)) = Part::decode(key) {
        let is_group = part == Part::Epoch;
        let apply = |known: &mut StoredConsumer, value: Option<&[u8]>| known.apply(part, value);
        apply_part(groups, &mut stored.consumer, group, is_group, record.value, apply);
    } else if let Some((group, part)) = SharePart::decode(key) {
        let is_group = part == SharePart::Epoch;
        let apply = |known: &mut StoredShare, value: Option<&[u8]>| known.apply(part, value);
        apply_part(groups, &mut stored.share, group, is_group, record.value, apply);
    } else if let Some((group, part)) = StreamsPart::decode(key) {
        let is_group = part == StreamsPart::Epoch;
        let apply = |known: &mut StoredStreams, value: Option<&[u8]>| known.apply(part, value);
        apply_part(groups, &mut stored.streams, group, is_group, record.value, apply);
    }
}

/// `is_group`: without this part there is no group.
fn apply_part<S: Default>(
    groups: &Groups,
    stored: &mut BTreeMap<String, S>,
    group: String,
    is_group: bool,
    value: Option<&[u8]>,
    apply: impl FnOnce(&mut S, Option<&[u8]>),
) {
    if value.is_some() {
        apply(stored.entry(group).or_default(), value);
    } else if is_group {
        stored.remove(&group);
        groups.restored_away(&group);
    } else if let Some(known) = stored.get_mut(&group) {
        apply(known, None); // what compaction has left of a group that is gone makes none
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_one_producers_changes_and_ends_once_it_is_large() {
        let entry = |producer: Option<i64>, count: usize, metadata_bytes: usize| {
            let metadata: Arc<str> = "m".repeat(metadata_bytes).into();
            let committed =
                Committed { offset: 1, leader_epoch: -1, metadata, commit_timestamp_ms: 0, record_offset: 0 };
            let each = (0..count).map(|partition| (("t".into(), partition as i32), committed.clone()));
            let change = match producer {
                None => Change::Offsets(each.map(|(place, committed)| (place, Some(committed))).collect()),
                Some(id) => {
                    Change::Unsettled { producer: Producer { id, epoch: 0 }, offsets: each.collect() }
                }
            };
            Entry { group: "g".into(), change, done: None }
        };
        let small = || entry(None, 1, 0);
        let sent =
            [small(), entry(Some(1), 2, 0), small(), entry(None, 150, 4_000), small(), entry(Some(1), 1, 0)];
        let (batches, places) = fill(&sent, 1);
        let counts: Vec<_> =
            batches.iter().map(|batch| (batch.of.1.map(|of| of.id), batch.records.len())).collect();
        assert_eq!(counts, [(None, 152), (Some(1), 3), (None, 1)]);
        assert_eq!(places, [(0, 0), (1, 0), (0, 1), (0, 2), (2, 0), (1, 2)]);
    }

    /// `"my-group".hashCode()` and the like, by Java.
    #[test]
    fn groups_lie_where_kafka_puts_them() {
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 97 % 50);
        assert_eq!(partition_for("polygenelubricants", 50), 0); // hashCode is Integer.MIN_VALUE; Utils.abs makes it 0
    }
}

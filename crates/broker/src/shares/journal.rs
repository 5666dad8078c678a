//! The one writer of `__share_group_state`: takes what changed, in order, and appends all that waits as one batch a partition. It lets
//! go of what later snapshots have made needless, and reads the topic back at start.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use tokio::sync::{mpsc, oneshot};
use wire::batch::{BatchBuilder, Record, batches};

use super::{
    Shares, is_begun,
    records::{Key, Kind, Value},
    window::Window,
};
use crate::{
    broker::Broker,
    errors::Error,
    groups::journal::partition_for,
    log::{Log, Writer},
    topics::Topic,
};

/// Entries written as one batch: bounds the batch's size.
const ENTRIES_PER_BATCH_MAX: usize = 256;
/// A batch that a real Kafka compressed is unpacked to at most this.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// So many records may lie in a partition before it is looked at what of them is still needed, and again after half as many. Tests
/// have less patience.
const RECORDS_COUNT_MAX: i64 = if cfg!(test) { 200 } else { 20_000 };

#[derive(Debug)]
pub struct Entry {
    pub key: Key,
    pub kind: Kind,
    /// `None` deletes it.
    pub value: Option<Bytes>,
    pub done: oneshot::Sender<Result<(), ResponseError>>,
}

/// Where the last snapshot of each share partition lies, by partition of the topic.
#[derive(Debug, Default)]
pub struct Snapshots(HashMap<usize, Tail>);

#[derive(Debug, Default)]
struct Tail {
    snapshots: HashMap<Key, i64>,
    look_at: i64,
}

/// Writes until every sender is gone.
pub async fn run(broker: Arc<Broker>, mut inbox: mpsc::UnboundedReceiver<Entry>, mut snapshots: Snapshots) {
    let mut waiting = Vec::new();
    while inbox.recv_many(&mut waiting, ENTRIES_PER_BATCH_MAX).await > 0 {
        let topic = match broker.share_state_topic().await {
            Ok(topic) => topic,
            Err(error) => {
                waiting.drain(..).for_each(|entry| _ = entry.done.send(Err(error)));
                continue;
            }
        };
        let mut batches: IndexMap<usize, Vec<Entry>> = IndexMap::new();
        for entry in waiting.drain(..) {
            let partition = partition_for(&entry.key.coordinator(), topic.partitions.len());
            batches.entry(partition).or_default().push(entry);
        }
        for (partition, entries) in batches {
            let tail = snapshots.0.entry(partition).or_default();
            write(&broker, &topic.partitions[partition], entries, tail).await;
        }
    }
}

async fn write(broker: &Arc<Broker>, log: &Arc<Log>, entries: Vec<Entry>, tail: &mut Tail) {
    let outcome = append(log, &entries, broker.now_ms()).await;
    for (place, entry) in entries.into_iter().enumerate() {
        if let (Ok(first), Kind::Snapshot) = (outcome, entry.kind) {
            match entry.value {
                Some(_) => _ = tail.snapshots.insert(entry.key, first + place as i64),
                None => _ = tail.snapshots.remove(&entry.key),
            }
        }
        entry.done.send(outcome.map(|_| ())).ok(); // nobody waits for it
    }
    let end = log.high_watermark();
    if end - log.start_offset() > RECORDS_COUNT_MAX && end > tail.look_at {
        tail.look_at = end + RECORDS_COUNT_MAX / 2;
        prune(broker, log, tail, end).await;
    }
}

/// Gives the offset of the first record.
async fn append(log: &Arc<Log>, entries: &[Entry], now_ms: i64) -> Result<i64, ResponseError> {
    let mut builder = BatchBuilder::new(0);
    for (place, entry) in entries.iter().enumerate() {
        let key = entry.key.encode(entry.kind);
        builder.push(place as i64, now_ms, Some(&key), entry.value.as_deref(), []);
    }
    let batch = builder.finish().map_err(|_| ResponseError::UnknownServerError)?;
    match log.append(batch, 0, Writer::Broker).await {
        Ok(appended) => Ok(appended.base_offset),
        Err(error) => {
            tracing::error!(%error, "what share groups have done cannot be written");
            Err(ResponseError::CoordinatorNotAvailable)
        }
    }
}

/// Lets go of what lies before the oldest snapshot that counts, and has old ones written anew for the next time.
async fn prune(broker: &Arc<Broker>, log: &Arc<Log>, tail: &Tail, end: i64) {
    let needed = tail.snapshots.values().copied().min().unwrap_or(end);
    let pruned = log.clone();
    if let Err(error) = broker.blocking(move |_| pruned.truncate_prefix(needed)).await {
        tracing::warn!(log = %log.name(), %error, "what is no longer needed of share groups stays");
    }
    let old = tail.snapshots.iter().filter(|(_, offset)| **offset < end - RECORDS_COUNT_MAX / 4);
    broker.shares.renew(old.map(|(key, _)| key.clone()).collect());
}

struct Stored {
    window: Window,
    state_epoch: i32,
    snapshot_epoch: i32,
}

/// Reads every share partition back. Blocks on the disk.
///
/// # Errors
/// The log cannot be read, or says something that is not understood: to go on without it would forget what was acknowledged.
pub fn replay(topic: &Topic, shares: &Shares) -> Result<Snapshots, Error> {
    let mut snapshots = Snapshots::default();
    for (number, log) in topic.partitions.iter().enumerate() {
        let mut stored = HashMap::new();
        let tail = snapshots.0.entry(number).or_default();
        log.replay(|bytes| replay_some(log, bytes, &mut stored, tail))?;
        for (key, Stored { window, state_epoch, snapshot_epoch }) in stored {
            shares.restore(key, window, (state_epoch, snapshot_epoch));
        }
    }
    Ok(snapshots)
}

fn replay_some(
    log: &Log,
    bytes: &[u8],
    stored: &mut HashMap<Key, Stored>,
    tail: &mut Tail,
) -> Result<(), Error> {
    let unreadable = |reason: String| Error::GroupsUnreadable { log: log.name().clone(), reason };
    for batch in batches(bytes) {
        let batch = batch.map_err(|error| unreadable(error.to_string()))?;
        if batch.header.is_control() {
            continue;
        }
        let records = batch.records(BATCH_BYTES_MAX).map_err(|error| unreadable(error.to_string()))?;
        for record in &records {
            let record = record.map_err(|error| unreadable(error.to_string()))?;
            let strange = || unreadable(format!("the record at offset {} is not understood", record.offset));
            apply(stored, tail, &record).ok_or_else(strange)?;
        }
    }
    Ok(())
}

/// `None`: it is not understood.
fn apply(stored: &mut HashMap<Key, Stored>, tail: &mut Tail, record: &Record<'_>) -> Option<()> {
    let (key, kind) = Key::decode(record.key?)?;
    let Some(value) = record.value else {
        stored.remove(&key);
        tail.snapshots.remove(&key);
        return Some(());
    };
    let value = Value::decode(value, kind)?;
    match kind {
        Kind::Snapshot if !is_begun(value.start) => {
            stored.remove(&key);
            tail.snapshots.remove(&key);
        }
        Kind::Snapshot => {
            let mut window = Window::at(value.start);
            window.restore(value.start, &value.kept);
            let Value { state_epoch, snapshot_epoch, .. } = value;
            tail.snapshots.insert(key.clone(), record.offset);
            stored.insert(key, Stored { window, state_epoch, snapshot_epoch });
        }
        // One whose snapshot is pruned away has another one further on.
        Kind::Update => {
            if let Some(known) = stored.get_mut(&key) {
                known.window.restore(value.start, &value.kept);
            }
        }
    }
    Some(())
}

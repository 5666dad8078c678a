//! What share groups (KIP-932) have in flight and have done with, partition by partition. Who is in a group is kept in `groups`.
//!
//! What must survive a restart goes through the journal into `__share_group_state`, in the order in which it happened under the
//! partition's lock: what was acknowledged, given back or let go of. What somebody holds is not written: after a restart it is
//! free again. Time-outs are acted on by whoever asks next, so nothing runs while nobody reads.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use base::Clock;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

pub mod journal;
pub mod reading;
pub mod records;
pub mod sessions;
pub mod window;

use journal::Entry;
use records::{Key, Kind, UNINITIALIZED, Value};
use sessions::Sessions;
use window::{Limits, Window};

use crate::security::peer::Peer;

pub const STATE_TOPIC: &str = "__share_group_state";
/// So many updates are followed by a snapshot (`share.coordinator.snapshot.update.records.per.snapshot`).
const UPDATES_PER_SNAPSHOT: u32 = 500;

/// Tells when what was decided is in the log; `None`: there was nothing to write.
pub type Written = Option<oneshot::Receiver<Result<(), ResponseError>>>;

/// # Errors
/// It could not be written.
pub async fn written(written: Written) -> Result<(), ResponseError> {
    match written {
        None => Ok(()),
        Some(outcome) => outcome.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable)),
    }
}

/// A partition that a group shares.
pub struct SharePartition {
    pub key: Key,
    state: Mutex<State>,
}

struct State {
    window: Window,
    state_epoch: i32,
    snapshot_epoch: i32,
    /// Since the last snapshot.
    updates_count: u32,
    waiting: Vec<Weak<Notify>>,
    /// Its group, its topic, or what was kept of it is deleted: another may have its place.
    is_gone: bool,
}

pub struct Shares {
    partitions: Mutex<HashMap<Key, Arc<SharePartition>>>,
    pub sessions: Sessions,
    /// `None` once the service has drained: the journal ends when it has written what was sent.
    journal: Mutex<Option<mpsc::UnboundedSender<Entry>>>,
    clock: Arc<dyn Clock>,
}

impl SharePartition {
    /// Notifies `reader` once when something may be had that could not be had before. Dropping it is enough to leave.
    pub fn wake_on_free(&self, reader: &Arc<Notify>) {
        let mut state = self.state.lock();
        if state.waiting.len() >= 8 && state.waiting.len().is_power_of_two() {
            state.waiting.retain(|reader| reader.strong_count() > 0);
        }
        if !state.waiting.iter().any(|known| known.as_ptr() == Arc::as_ptr(reader)) {
            state.waiting.push(Arc::downgrade(reader));
        }
    }

    pub fn start(&self) -> i64 {
        self.state.lock().window.start()
    }

    /// How many offsets before `end` are still to be done with.
    pub fn lag(&self, end: i64) -> i64 {
        let state = self.state.lock();
        (end - state.window.start() - state.window.done()).max(0)
    }

    pub fn next_expiry_ms(&self) -> Option<i64> {
        self.state.lock().window.next_expiry_ms()
    }
}

impl State {
    fn of(window: Window, state_epoch: i32, snapshot_epoch: i32) -> State {
        State { window, state_epoch, snapshot_epoch, updates_count: 0, waiting: vec![], is_gone: false }
    }

    fn wake(&mut self) {
        self.waiting.drain(..).filter_map(|reader| reader.upgrade()).for_each(|reader| reader.notify_one());
    }

    fn snapshot(&mut self, now_ms: i64) -> Value {
        self.window.take_changes();
        self.updates_count = 0;
        self.snapshot_epoch = self.snapshot_epoch.wrapping_add(1) & i32::MAX;
        Value {
            snapshot_epoch: self.snapshot_epoch,
            state_epoch: self.state_epoch,
            start: self.window.start(),
            kept: self.window.snapshot(),
            written_ms: now_ms,
        }
    }
}

impl Shares {
    /// The receiver goes to the journal, which `Service` runs.
    pub fn new(clock: Arc<dyn Clock>, sessions_count_max: u32) -> (Shares, mpsc::UnboundedReceiver<Entry>) {
        let (journal, inbox) = mpsc::unbounded_channel();
        let shares = Shares {
            partitions: Mutex::default(),
            sessions: Sessions::new(sessions_count_max as usize),
            journal: Mutex::new(Some(journal)),
            clock,
        };
        (shares, inbox)
    }

    pub fn find(&self, key: &Key) -> Option<Arc<SharePartition>> {
        self.partitions.lock().get(key).cloned()
    }

    /// The partition, which begins at `start` where it is new; that is in the log then.
    pub async fn begin(&self, key: Key, start: i64) -> Result<Arc<SharePartition>, ResponseError> {
        let (partition, wrote) = {
            let mut partitions = self.partitions.lock();
            if let Some(partition) = partitions.get(&key) {
                return Ok(partition.clone());
            }
            let state = Mutex::new(State::of(Window::at(start), 0, 0));
            let partition = Arc::new(SharePartition { key: key.clone(), state });
            partitions.insert(key, partition.clone());
            let mut state = partition.state.lock();
            let wrote = self.write_snapshot(&partition.key, &mut state);
            drop(state);
            (partition, wrote)
        };
        written(wrote).await.map(|()| partition)
    }

    /// Changes a partition's window; what is to be kept of that is on its way to the log. The time is the one of locks.
    ///
    /// # Errors
    /// It is deleted.
    pub fn change<T>(
        &self,
        partition: &SharePartition,
        act: impl FnOnce(&mut Window, i64) -> T,
    ) -> Result<(T, Written), ResponseError> {
        let mut state = partition.state.lock();
        if state.is_gone {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        let done = act(&mut state.window, self.clock.steady_ms());
        let Some((start, kept)) = state.window.take_changes() else { return Ok((done, None)) };
        state.wake();
        state.updates_count += 1;
        if state.updates_count >= UPDATES_PER_SNAPSHOT {
            let wrote = self.write_snapshot(&partition.key, &mut state);
            return Ok((done, wrote));
        }
        let value = Value {
            snapshot_epoch: state.snapshot_epoch,
            state_epoch: state.state_epoch,
            start,
            kept,
            written_ms: self.clock.now_ms(),
        };
        Ok((done, self.write(&partition.key, Kind::Update, Some(&value))))
    }

    /// Moves the start of what a group reads; nothing before it counts any more, and nothing behind it is done.
    pub async fn reset(&self, key: Key, start: i64) -> Result<(), ResponseError> {
        let wrote = {
            let mut partitions = self.partitions.lock();
            let partition = partitions.entry(key).or_insert_with_key(|key| {
                let state = Mutex::new(State::of(Window::at(start), 0, 0));
                Arc::new(SharePartition { key: key.clone(), state })
            });
            let mut state = partition.state.lock();
            state.window = Window::at(start);
            state.state_epoch += 1;
            state.wake();
            self.write_snapshot(&partition.key, &mut state)
        };
        written(wrote).await
    }

    /// A member has left its session or its group: others may have what it holds.
    pub fn release(&self, group: &str, member: &str, limits: &Limits) -> Vec<Written> {
        let of_group = |partition: &&Arc<SharePartition>| *partition.key.group == *group;
        let all: Vec<_> = self.partitions.lock().values().filter(of_group).cloned().collect();
        let release = |partition: Arc<SharePartition>| {
            self.change(&partition, |window, _| window.release(member, limits))
        };
        all.into_iter().filter_map(|partition| release(partition).ok()).map(|(_, wrote)| wrote).collect()
    }

    /// The connection has ended: so have its sessions, and what their members hold is free.
    pub fn disconnected(&self, peer: &Arc<Peer>, limits: impl Fn(&str) -> Limits) {
        for (group, member) in self.sessions.disconnected(peer) {
            self.release(&group, &member, &limits(&group));
        }
    }

    /// Deletes what is kept of these partitions.
    pub async fn delete(&self, is_meant: impl Fn(&Key) -> bool) -> Result<(), ResponseError> {
        for wrote in self.remove(is_meant) {
            written(wrote).await?;
        }
        Ok(())
    }

    /// The same without waiting.
    pub fn remove(&self, is_meant: impl Fn(&Key) -> bool) -> Vec<Written> {
        let mut partitions = self.partitions.lock();
        let gone: Vec<_> = partitions.extract_if(|key, _| is_meant(key)).collect();
        let remove = |(key, partition): (Key, Arc<SharePartition>)| {
            let mut state = partition.state.lock();
            state.is_gone = true;
            state.wake();
            self.write(&key, Kind::Snapshot, None)
        };
        gone.into_iter().map(remove).collect()
    }

    /// What is kept of a topic that is gone.
    pub fn forget_topic(&self, topic: Uuid) {
        self.remove(|key| key.topic == topic);
    }

    /// Writes these whole once more, so that what was written of them before need not be kept.
    fn renew(&self, keys: Vec<Key>) {
        for partition in keys.iter().filter_map(|key| self.find(key)) {
            let mut state = partition.state.lock();
            if !state.is_gone {
                self.write_snapshot(&partition.key, &mut state);
            }
        }
    }

    /// Puts back what the log holds, before anybody is served.
    fn restore(&self, key: Key, window: Window, epochs: (i32, i32)) {
        let state = Mutex::new(State::of(window, epochs.0, epochs.1));
        self.partitions.lock().insert(key.clone(), Arc::new(SharePartition { key, state }));
    }

    fn write_snapshot(&self, key: &Key, state: &mut State) -> Written {
        let value = state.snapshot(self.clock.now_ms());
        self.write(key, Kind::Snapshot, Some(&value))
    }

    /// The partition is locked by the caller, so that the journal gets changes in the order they happened.
    fn write(&self, key: &Key, kind: Kind, value: Option<&Value>) -> Written {
        let (done, outcome) = oneshot::channel();
        let value = value.map(|value| value.encode(kind));
        let entry = Entry { key: key.clone(), kind, value, done };
        if let Some(journal) = &*self.journal.lock() {
            journal.send(entry).ok(); // the writer has gone: the outcome says so
        }
        Some(outcome)
    }

    /// The last call: nothing more is written after what is queued.
    pub fn finish(&self) {
        self.journal.lock().take();
    }
}

/// Whether a stored start says that there is one.
fn is_begun(start: i64) -> bool {
    start != UNINITIALIZED
}

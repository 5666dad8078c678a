//! The groups of this broker: who is in them and what they have committed. Everything that must survive a restart
//! goes through the journal into `__consumer_offsets`, in the order in which it happened under the group's lock.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use base::Clock;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use uuid::Uuid;

pub mod configs;
pub mod consumer;
mod consuming;
pub mod group;
pub mod journal;
pub mod pace;
pub mod records;
pub mod share;
mod sharing;
mod streaming;
pub mod streams;
mod unwritten;

#[cfg(test)]
mod tests;

use configs::{GroupConfigs, Setting};
use consumer::layout::Layout;
pub use consuming::MigrationPolicy;
use group::{Claim, Group, Join, Joined, State, Synced};
use journal::{Change, Entry, Place};
use records::{Committed, StoredGroup};

use crate::{log::Ending, options::Options, shares::Shares, transactions::transaction::Producer};

/// Bounds of `session.timeout.ms` (`group.min.session.timeout.ms`, `group.max.session.timeout.ms`).
pub const SESSION_TIMEOUT_MS: std::ops::RangeInclusive<i32> = 6_000..=1_800_000;
/// Groups and members that one broker keeps; more are refused, so that a client in a loop cannot fill the memory.
const GROUPS_COUNT_MAX: usize = 100_000;
const MEMBERS_COUNT_MAX: usize = 10_000;
/// How often deadlines are looked at while any group has one.
const TICK: Duration = Duration::from_millis(50);
/// How often old offsets are looked for (`offsets.retention.check.interval.ms`).
const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);

/// Offsets that were sent to the log are in it by then; until then nobody says that a group has none.
const SENDING_MS_MAX: i64 = 60_000;

/// A group behind its lock; the lock is never held over an await.
pub type SharedGroup = Arc<Mutex<Group>>;

type GroupIds = HashSet<Arc<str>>;

pub struct Groups {
    groups: Mutex<HashMap<Arc<str>, SharedGroup>>,
    /// `None` once the service has drained: the journal ends when it has written what was sent.
    journal: Mutex<Option<mpsc::UnboundedSender<Entry>>>,
    /// Wakes the ticker when a group that was idle gets its first deadline.
    stir: Notify,
    clock: Arc<dyn Clock>,
    initial_delay: Duration,
    metadata_bytes_max: usize,
    offsets_retention_ms: i64,
    layout: Arc<dyn Layout>,
    shares: Arc<Shares>,
    consuming: consuming::Settings,
    /// What is set for single groups.
    pub configs: GroupConfigs,
    options: Arc<Options>,
    /// The groups that a transaction commits offsets for: by partition of `__consumer_offsets` and producer id.
    unsettled: Mutex<HashMap<(usize, i64), GroupIds>>,
}

/// One offset to commit.
#[derive(Debug, Clone)]
pub struct Commit {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
}

impl Groups {
    /// The receiver goes to the journal, which `Service` runs.
    pub fn new(
        clock: Arc<dyn Clock>,
        options: &Arc<Options>,
        configs: GroupConfigs,
        layout: Arc<dyn Layout>,
        shares: Arc<Shares>,
    ) -> (Groups, mpsc::UnboundedReceiver<Entry>) {
        let (journal, inbox) = mpsc::unbounded_channel();
        let groups = Groups {
            groups: Mutex::default(),
            journal: Mutex::new(Some(journal)),
            stir: Notify::new(),
            clock,
            initial_delay: Duration::from_millis(u64::from(options.initial_rebalance_delay_ms)),
            metadata_bytes_max: options.offset_metadata_bytes_max as usize,
            offsets_retention_ms: options.offsets_retention_ms,
            layout,
            shares,
            consuming: consuming::Settings::of(options),
            configs,
            options: options.clone(),
            unsettled: Mutex::default(),
        };
        (groups, inbox)
    }

    /// What holds for this group: its own setting, or the broker's.
    pub fn setting(&self, id: &str, setting: Setting) -> u32 {
        self.configs.number(id, setting, &self.options)
    }

    pub fn get(&self, id: &str) -> Option<SharedGroup> {
        self.groups.lock().get(id).cloned()
    }

    pub fn all(&self) -> Vec<SharedGroup> {
        let mut all: Vec<(Arc<str>, SharedGroup)> =
            self.groups.lock().iter().map(|(id, group)| (id.clone(), group.clone())).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all.into_iter().map(|(_, group)| group).collect()
    }

    fn get_or_make(&self, id: &str) -> Result<SharedGroup, ResponseError> {
        let mut groups = self.groups.lock();
        if let Some(group) = groups.get(id) {
            return Ok(group.clone());
        }
        if groups.len() >= GROUPS_COUNT_MAX {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let id: Arc<str> = id.into();
        let group = Arc::new(Mutex::new(Group::new(id.clone(), self.initial_delay)));
        groups.insert(id, group.clone());
        Ok(group)
    }

    pub async fn join(&self, group_id: &str, join: Join) -> Joined {
        let member_id = join.member_id.clone();
        if group_id.is_empty() {
            return Joined::error(&member_id, ResponseError::InvalidGroupId);
        }
        if !SESSION_TIMEOUT_MS.contains(&join.session_timeout_ms) {
            return Joined::error(&member_id, ResponseError::InvalidSessionTimeout);
        }
        let found = if member_id.is_empty() {
            self.get_or_make(group_id)
        } else {
            self.get(group_id).ok_or(ResponseError::UnknownMemberId)
        };
        let group = match found {
            Ok(group) => group,
            Err(error) => return Joined::error(&member_id, error),
        };
        let (answer, joined) = oneshot::channel();
        let consuming = {
            let mut group = group.lock();
            if group.share.is_some() || self.is_streams(&mut group) {
                return Joined::error(&member_id, ResponseError::InconsistentGroupProtocol);
            }
            if member_id.is_empty() && group.members.len() >= MEMBERS_COUNT_MAX {
                return Joined::error(&member_id, ResponseError::GroupMaxSizeReached);
            }
            let stem = join.instance_id.as_deref().unwrap_or(&join.client_id);
            let new_id = format!("{stem}-{}", Uuid::new_v4());
            if self.is_consumer(&mut group) {
                Some(self.join_consumer(&mut group, &join, &new_id))
            } else {
                group.join(join, new_id, answer, Instant::now());
                self.store_if_due(&mut group);
                None
            }
        };
        self.stir.notify_one();
        if let Some(joined) = consuming {
            return joined.await;
        }
        joined.await.unwrap_or_else(|_| Joined::error(&member_id, ResponseError::CoordinatorNotAvailable))
    }

    pub async fn sync(
        &self,
        group_id: &str,
        claim: Claim<'_>,
        protocol: (Option<&str>, Option<&str>),
        assignments: &[(String, bytes::Bytes)],
    ) -> Synced {
        let Some(group) = self.get(group_id) else { return Synced::error(ResponseError::UnknownMemberId) };
        let (answer, synced) = oneshot::channel();
        {
            let mut locked = group.lock();
            if let Some(consumer) = &mut locked.consumer {
                let synced =
                    consumer.sync_classic(claim, protocol.0, protocol.1, &*self.layout, Instant::now());
                return synced.unwrap_or_else(Synced::error);
            }
            if locked.sync(claim, protocol.0, protocol.1, assignments, answer, Instant::now()) {
                let stored = StoredGroup::of(&locked, self.clock.now_ms());
                let change = Change::Assigned { generation_id: locked.generation_id, stored };
                self.write(&locked, change, None);
            }
        }
        synced.await.unwrap_or_else(|_| Synced::error(ResponseError::CoordinatorNotAvailable))
    }

    pub fn heartbeat(&self, group_id: &str, claim: Claim<'_>) -> Result<(), ResponseError> {
        let group = self.get(group_id).ok_or(ResponseError::UnknownMemberId)?;
        let mut group = group.lock();
        match &mut group.consumer {
            Some(consumer) => consumer.beat_classic(claim, Instant::now()),
            None => group.heartbeat(claim, Instant::now()),
        }
    }

    pub fn leave(
        &self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        let group = self.get(group_id).ok_or(ResponseError::UnknownMemberId)?;
        let mut group = group.lock();
        if let Some(consumer) = &mut group.consumer {
            let left = consumer.leave_classic(member_id, instance_id);
            self.store_consumer(&mut group);
            return left;
        }
        let left = group.leave(member_id, instance_id, Instant::now());
        self.store_if_due(&mut group);
        left
    }

    /// Commits offsets; `Ok` when they are in the log. An error that concerns all of them comes at once. `knows_epochs`: the
    /// client sends a version of OffsetCommit that members of consumer groups use.
    pub async fn commit(
        &self,
        group_id: &str,
        claim: Claim<'_>,
        knows_epochs: bool,
        commits: Vec<Commit>,
    ) -> Result<(), ResponseError> {
        let (done, outcome) = oneshot::channel();
        {
            let group = self.committing(group_id, claim, knows_epochs)?;
            let mut locked = group.lock();
            locked.check_commit(claim, &commits, &*self.layout, Instant::now())?;
            locked.sent_ms = self.clock.now_ms();
            if !knows_epochs && locked.speaks_epochs(claim.member_id) {
                return Err(ResponseError::UnsupportedVersion);
            }
            let offsets = self.stamped(commits).map(|(place, committed)| (place, Some(committed))).collect();
            self.write(&locked, Change::Offsets(offsets), Some(done));
        }
        outcome.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable))
    }

    /// The same as a part of a transaction: they count when that is committed.
    pub async fn commit_in_transaction(
        &self,
        group_id: &str,
        claim: Claim<'_>,
        producer: Producer,
        commits: Vec<Commit>,
    ) -> Result<(), ResponseError> {
        let (done, outcome) = oneshot::channel();
        {
            let group = self.committing(group_id, claim, false)?;
            let mut locked = group.lock();
            locked.check_transactional_commit(claim, &commits, &*self.layout, Instant::now())?;
            locked.sent_ms = self.clock.now_ms();
            let offsets = self.stamped(commits).collect();
            self.write(&locked, Change::Unsettled { producer, offsets }, Some(done));
        }
        outcome.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable))
    }

    fn committing(
        &self,
        group_id: &str,
        claim: Claim<'_>,
        knows_epochs: bool,
    ) -> Result<SharedGroup, ResponseError> {
        match self.get(group_id) {
            Some(group) => Ok(group),
            None if claim.generation_id < 0 => self.get_or_make(group_id),
            None if knows_epochs => Err(ResponseError::GroupIdNotFound),
            None => Err(ResponseError::IllegalGeneration),
        }
    }

    fn stamped(&self, commits: Vec<Commit>) -> impl Iterator<Item = ((Arc<str>, i32), Committed)> {
        let commit_timestamp_ms = self.clock.now_ms();
        commits.into_iter().map(move |commit| {
            let Commit { topic, partition, offset, leader_epoch, metadata } = commit;
            let committed =
                Committed { offset, leader_epoch, metadata, commit_timestamp_ms, record_offset: -1 };
            ((topic, partition), committed)
        })
    }

    /// The transaction has ended, and its marker is in this partition of `__consumer_offsets`.
    pub fn settle(&self, partition: usize, producer_id: i64, ending: Ending) {
        let groups = self.unsettled.lock().remove(&(partition, producer_id)).unwrap_or_default();
        for group in groups.iter().filter_map(|id| self.get(id)) {
            group.lock().settle(producer_id, ending);
        }
    }

    /// What a transaction will commit for a group, once it is in the log.
    pub(crate) fn unsettle(
        &self,
        partition: usize,
        group: &mut Group,
        producer_id: i64,
        offsets: Vec<((Arc<str>, i32), Committed)>,
    ) {
        self.unsettled.lock().entry((partition, producer_id)).or_default().insert(group.id.clone());
        group.unsettled.entry(producer_id).or_default().extend(offsets);
    }

    /// Whether a commit's metadata is short enough.
    pub fn takes_metadata(&self, metadata: &str) -> bool {
        metadata.len() <= self.metadata_bytes_max
    }

    /// Deletes committed offsets; each verdict belongs to the topic-partition of the same place.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        wanted: &[(Arc<str>, i32)],
    ) -> Result<Vec<Result<(), ResponseError>>, ResponseError> {
        let group = self.get(group_id).ok_or(ResponseError::GroupIdNotFound)?;
        let (done, outcome) = oneshot::channel();
        let verdicts = {
            let locked = group.lock();
            let subscribed = match locked.state {
                State::Dead => return Err(ResponseError::GroupIdNotFound),
                State::Empty => vec![],
                State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                    locked.subscribed().ok_or(ResponseError::NonEmptyGroup)?
                }
            };
            let consumes = |topic: &str| {
                locked.consumer.as_ref().is_some_and(|consumer| consumer.subscribes_to(topic))
                    || locked.streams.as_ref().is_some_and(|streams| streams.subscribes_to(topic))
            };
            let verdict = |(topic, _): &(Arc<str>, i32)| {
                if consumes(topic) || subscribed.iter().any(|name| **name == **topic) {
                    Err(ResponseError::GroupSubscribedToTopic)
                } else {
                    Ok(())
                }
            };
            let verdicts: Vec<_> = wanted.iter().map(verdict).collect();
            let gone = wanted.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok());
            let gone = gone.filter(|(place, _)| locked.offsets.contains_key(*place));
            let offsets = gone.map(|(place, _)| (place.clone(), None)).collect();
            self.write(&locked, Change::Offsets(offsets), Some(done));
            verdicts
        };
        outcome.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable))?;
        Ok(verdicts)
    }

    /// Deletes an empty group and its offsets.
    pub async fn delete(&self, group_id: &str) -> Result<(), ResponseError> {
        let group = self.get(group_id).ok_or(ResponseError::GroupIdNotFound)?;
        let (done, outcome) = oneshot::channel();
        {
            let mut locked = group.lock();
            match locked.state {
                State::Dead => return Err(ResponseError::GroupIdNotFound),
                State::Empty if locked.has_members() => return Err(ResponseError::NonEmptyGroup),
                State::Empty => {}
                State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                    return Err(ResponseError::NonEmptyGroup);
                }
            }
            let places = locked.offsets.keys().cloned().collect();
            locked.state = State::Dead;
            let group = locked.deletion();
            self.write(&locked, Change::Deleted { places, group }, Some(done));
        }
        self.groups.lock().remove(group_id);
        outcome.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable))?;
        self.shares.delete(|key| *key.group == *group_id).await
    }

    /// A topic is gone: so is what was committed for it, as in Kafka.
    pub fn forget_topic(&self, topic: &str, id: Option<Uuid>) {
        if let Some(id) = id {
            self.shares.forget_topic(id);
        }
        for group in self.all() {
            let mut group = group.lock();
            if let (Some(share), Some(id)) = (&mut group.share, id) {
                share.forget(&[id]);
                self.store_share(&mut group);
            }
            let unsettled = group.unsettled.values().flat_map(HashMap::keys);
            let places = group.offsets.keys().chain(unsettled).filter(|(name, _)| **name == *topic);
            let offsets: Vec<_> = places.map(|place| (place.clone(), None)).collect();
            if !offsets.is_empty() {
                self.write(&group, Change::Offsets(offsets), None);
            }
        }
    }

    /// The group is locked by the caller, so that the journal gets changes in the order they happened.
    fn write(&self, group: &Group, change: Change, done: Option<oneshot::Sender<Result<(), ResponseError>>>) {
        if let Some(journal) = &*self.journal.lock() {
            journal.send(Entry { group: group.id.clone(), change, done }).ok(); // else whoever waits is told by the drop
        }
    }

    fn store_if_due(&self, group: &mut Group) {
        if std::mem::take(&mut group.store_due) {
            let now_ms = self.clock.now_ms();
            group.empty_since_ms = now_ms;
            self.write(group, Change::Group(StoredGroup::of(group, now_ms)), None);
        }
    }

    /// What the journal has written (or has failed to) becomes visible, in the journal's order.
    pub(crate) fn applied(&self, entry: Entry, outcome: Result<Place, ResponseError>) {
        if let Some(group) = self.get(&entry.group) {
            let mut group = group.lock();
            match (entry.change, outcome) {
                (Change::Offsets(offsets), Ok(at)) => {
                    for (record_offset, (place, committed)) in (at.first_offset..).zip(offsets) {
                        group.apply(place, committed.map(|known| Committed { record_offset, ..known }));
                    }
                }
                (Change::Unsettled { producer, offsets }, Ok(at)) => {
                    let offsets = (at.first_offset..).zip(offsets);
                    let placed = offsets.map(|(record_offset, (place, committed))| {
                        (place, Committed { record_offset, ..committed })
                    });
                    self.unsettle(at.partition, &mut group, producer.id, placed.collect());
                }
                (Change::Assigned { generation_id, .. }, outcome) => {
                    group.stored(generation_id, outcome.map(|_| ()), Instant::now());
                    self.store_if_due(&mut group);
                }
                (Change::Consumer { parts, .. }, outcome) => {
                    if let Some(consumer) = &mut group.consumer {
                        consumer.changes.sent(parts, outcome.is_ok());
                    }
                }
                (Change::Share { parts, .. }, outcome) => {
                    if let Some(share) = &mut group.share {
                        share.changes.sent(parts, outcome.is_ok());
                    }
                }
                (Change::Streams { parts, .. }, outcome) => {
                    if let Some(streams) = &mut group.streams {
                        streams.changes.sent(parts, outcome.is_ok());
                    }
                }
                (Change::Offsets(_) | Change::Unsettled { .. }, Err(_))
                | (Change::Group(_) | Change::Deleted { .. }, _) => {}
            }
        }
        if let Some(done) = entry.done {
            done.send(outcome.map(|_| ())).ok();
        }
    }

    /// Puts back what the log holds, before anybody is served.
    pub(crate) fn restore(&self, id: &str) -> Option<SharedGroup> {
        self.get_or_make(id).ok()
    }

    /// Its records are deleted; offsets that are still there, or are being committed, keep it.
    pub(crate) fn restored_away(&self, id: &str) {
        let is_nothing = |group: &SharedGroup| {
            let group = group.lock();
            group.offsets.is_empty() && group.unsettled.is_empty()
        };
        let mut groups = self.groups.lock();
        if groups.get(id).is_some_and(is_nothing) {
            groups.remove(id);
        }
    }

    /// Lets go of offsets that nobody has used for their time, and of groups without members that have none left.
    pub fn expire(&self) {
        let now_ms = self.clock.now_ms();
        for group in self.all() {
            let mut group = group.lock();
            if now_ms - group.sent_ms < SENDING_MS_MAX {
                continue;
            }
            let expired = group.expired(now_ms, self.offsets_retention_ms);
            if expired.len() == group.offsets.len() && group.is_over() {
                group.state = State::Dead;
                self.groups.lock().remove(&group.id);
                let records = group.deletion();
                self.write(&group, Change::Deleted { places: expired, group: records }, None);
            } else if !expired.is_empty() {
                let offsets = expired.into_iter().map(|place| (place, None)).collect();
                self.write(&group, Change::Offsets(offsets), None);
            }
        }
    }

    /// Acts on deadlines until `stop`; sleeps while no group has any.
    pub async fn tick_until(&self, stop: tokio_util::sync::CancellationToken) {
        let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
        loop {
            let now = Instant::now();
            let mut busy = false;
            for group in self.all() {
                let mut group = group.lock();
                if !group.is_idle() {
                    group.tick(now);
                    self.store_if_due(&mut group);
                    self.store_consumer(&mut group);
                    self.store_share(&mut group);
                    self.store_streams(&mut group);
                    busy |= !group.is_idle();
                }
            }
            let wait =
                async { if busy { tokio::time::sleep(TICK).await } else { self.stir.notified().await } };
            tokio::select! {
                () = stop.cancelled() => return,
                () = wait => {}
                _ = expiry.tick() => self.expire(),
            }
        }
    }

    /// The last call: nothing more is written after what is queued.
    pub fn finish(&self) {
        self.journal.lock().take();
    }

    /// Whoever waits in a join or sync is told to look for the coordinator again.
    pub fn close(&self) {
        for group in self.all() {
            group.lock().die();
        }
    }
}

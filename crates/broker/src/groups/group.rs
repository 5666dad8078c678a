//! One group: its offsets, and the state machine of the classic protocol, without I/O and without a lock of its own. In a
//! group of the consumer protocol `consumer` stands in that one's place, which then rests as an empty group.
//!
//! It follows Kafka's classic group coordinator: joining (with KIP-394's member ids), static members (KIP-345), the
//! sync of assignments, heartbeats, and the deadlines of each. Time comes in as an argument; `tick` acts on what is due.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Commit,
    consumer::{
        Consumer,
        embedded::Subscription,
        layout::{Layout, Sight},
    },
    records::{Committed, StoredGroup},
    share::Share,
    streams::Streams,
};
use crate::log::Ending;

mod joining;
mod migrating;
mod modern;
mod syncing;

/// A new member that waits in a rebalance is let go after this long (Kafka's `NewMemberJoinTimeoutMs`).
const NEW_MEMBER_WAIT: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

impl State {
    /// Kafka's word for it, as DescribeGroups and ListGroups answer.
    pub fn word(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }
}

pub type MemberId = Arc<str>;

#[derive(Debug)]
pub struct Member {
    pub id: MemberId,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// Protocol (assignor) and its metadata, in the member's order of liking.
    pub protocols: Vec<(String, Bytes)>,
    pub assignment: Bytes,
    /// Without a heartbeat until then, it is removed.
    pub alive_until: Instant,
    pub is_new: bool,
    pub joining: Option<oneshot::Sender<Joined>>,
    pub syncing: Option<oneshot::Sender<Synced>>,
}

impl Member {
    pub fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, bytes)| bytes.clone())
            .unwrap_or_default()
    }

    fn beat(&mut self, now: Instant) {
        self.alive_until = now + Duration::from_millis(self.session_timeout_ms.max(0) as u64);
    }
}

/// What a member asks when it joins.
#[derive(Debug, Clone)]
pub struct Join {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    pub protocols: Vec<(String, Bytes)>,
    /// v4 and later: a first join is answered with a member id to join with (KIP-394).
    pub member_id_required: bool,
    /// v9: a static leader that comes back may be told to keep the assignment (KIP-814).
    pub may_skip_assignment: bool,
    /// In a consumer group: which topics the caller may describe.
    pub sight: Sight,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    pub error: Option<ResponseError>,
    pub generation_id: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: String,
    pub member_id: String,
    pub skip_assignment: bool,
    /// Member, instance and metadata; only the leader is told.
    pub members: Vec<(MemberId, Option<String>, Bytes)>,
}

impl Joined {
    pub fn error(member_id: &str, error: ResponseError) -> Joined {
        Joined { error: Some(error), generation_id: -1, member_id: member_id.to_owned(), ..Joined::default() }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    pub error: Option<ResponseError>,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

impl Synced {
    pub fn error(error: ResponseError) -> Synced {
        Synced { error: Some(error), ..Synced::default() }
    }
}

/// Whom a request claims to come from.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub generation_id: i32,
}

impl Claim<'_> {
    /// It names no member and no generation.
    fn is_nobodys(&self) -> bool {
        self.generation_id < 0 && self.member_id.is_empty() && self.instance_id.is_none()
    }
}

#[derive(Debug)]
pub struct Group {
    pub id: Arc<str>,
    pub state: State,
    pub generation_id: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: Option<MemberId>,
    pub members: IndexMap<MemberId, Member>,
    statics: HashMap<String, MemberId>,
    /// Ids handed out by MEMBER_ID_REQUIRED, until when they are good.
    pending: HashMap<String, Instant>,
    /// When the running phase ends: of joining or of syncing.
    phase_until: Option<Instant>,
    /// The first generation of an empty group: when the phase may end at the latest.
    initial_until: Option<Instant>,
    /// A group of the consumer protocol, while it is one.
    pub consumer: Option<Box<Consumer>>,
    /// A share group, if it is one: it has no offsets, and never becomes anything else.
    pub share: Option<Box<Share>>,
    /// A group of Kafka Streams, if it is one.
    pub streams: Option<Box<Streams>>,
    pub offsets: HashMap<(Arc<str>, i32), Committed>,
    /// What open transactions will commit, by their producer ids.
    pub unsettled: HashMap<i64, HashMap<(Arc<str>, i32), Committed>>,
    /// Set when what is stored of the group has changed; the caller takes it and appends it.
    pub store_due: bool,
    /// The leader's assignments are being stored: until then nobody is answered.
    pub storing_generation: Option<i32>,
    pub initial_delay: Duration,
    /// When its last member left; its offsets are kept for a while from then on.
    pub empty_since_ms: i64,
    /// When offsets were last sent to the log: until they are applied, the group looks emptier than it is.
    pub sent_ms: i64,
}

impl Group {
    pub fn new(id: Arc<str>, initial_delay: Duration) -> Self {
        Self {
            id,
            state: State::Empty,
            generation_id: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: IndexMap::new(),
            statics: HashMap::new(),
            pending: HashMap::new(),
            phase_until: None,
            initial_until: None,
            consumer: None,
            share: None,
            streams: None,
            offsets: HashMap::new(),
            unsettled: HashMap::new(),
            store_due: false,
            storing_generation: None,
            initial_delay,
            empty_since_ms: 0,
            sent_ms: 0,
        }
    }

    /// Takes over what was stored before a restart. A group of static members goes on as it was: they have a session's
    /// time to come back. Of others it cannot be known whether they died with us, as those of our own process did, and
    /// waiting out a dead one's session holds up everybody: they join again, as after any rebalance.
    pub fn restore(&mut self, mut stored: StoredGroup, now: Instant) {
        if stored.members.iter().any(|member| member.instance_id.is_none()) {
            stored.members.clear();
            stored.leader = None;
        }
        self.members.clear();
        self.statics.clear();
        self.empty_since_ms = stored.state_timestamp_ms;
        self.generation_id = stored.generation_id;
        self.protocol_type = Some(stored.protocol_type).filter(|text| !text.is_empty());
        self.protocol = stored.protocol;
        self.leader = stored.leader.map(Arc::from);
        for member in stored.members {
            let id: MemberId = member.member_id.into();
            if let Some(instance_id) = &member.instance_id {
                self.statics.insert(instance_id.clone(), id.clone());
            }
            let protocols = vec![(self.protocol.clone().unwrap_or_default(), member.subscription)];
            let mut restored = Member {
                id: id.clone(),
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols,
                assignment: member.assignment,
                alive_until: now,
                is_new: false,
                joining: None,
                syncing: None,
            };
            restored.beat(now);
            self.members.insert(id, restored);
        }
        self.state = if self.members.is_empty() { State::Empty } else { State::Stable };
    }

    pub fn heartbeat(&mut self, claim: Claim<'_>, now: Instant) -> Result<(), ResponseError> {
        if self.state == State::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        self.check_claim(claim)?;
        if let Some(member) = self.members.get_mut(claim.member_id) {
            member.beat(now);
        }
        match self.state {
            State::Empty | State::Dead => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// `member_id` may be empty where a static member is named by its instance.
    pub fn leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.state == State::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if self.pending.remove(member_id).is_some() {
            self.complete_join_if_all(now);
            return Ok(());
        }
        let id: MemberId = match instance_id {
            Some(instance_id) if member_id.is_empty() => {
                self.statics.get(instance_id).cloned().ok_or(ResponseError::UnknownMemberId)?
            }
            _ => {
                self.check_member(member_id, instance_id)?;
                member_id.into()
            }
        };
        self.lose(&id, now);
        Ok(())
    }

    /// A member has gone: the others rebalance.
    fn lose(&mut self, id: &str, now: Instant) {
        self.remove(id);
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(now),
            State::PreparingRebalance => self.complete_join_if_all(now),
            State::Empty | State::Dead => {}
        }
    }

    fn remove(&mut self, id: &str) {
        let Some(mut member) = self.members.shift_remove(id) else { return };
        if let Some(answer) = member.joining.take() {
            refuse(answer, id, ResponseError::UnknownMemberId);
        }
        if let Some(answer) = member.syncing.take() {
            answer.send(Synced::error(ResponseError::UnknownMemberId)).ok();
        }
        if let Some(instance_id) = member.instance_id {
            self.statics.remove(&instance_id);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    fn become_empty(&mut self) {
        self.state = State::Empty;
        self.protocol = None;
        self.leader = None;
        self.phase_until = None;
        self.storing_generation = None;
        self.store_due = true;
    }

    /// Whether the member is in the group, and no other life of its instance is.
    pub fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance_id) = instance_id {
            match self.statics.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(id) if **id != *member_id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    fn check_claim(&self, claim: Claim<'_>) -> Result<(), ResponseError> {
        self.check_member(claim.member_id, claim.instance_id)?;
        if claim.generation_id == self.generation_id { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
    }

    /// Whether it is a group that has offsets.
    fn check_offsets(&self) -> Result<(), ResponseError> {
        if self.state == State::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if self.share.is_some() { Err(ResponseError::GroupIdNotFound) } else { Ok(()) }
    }

    /// Whether the claimant may commit these offsets now; a commit counts as a heartbeat.
    pub fn check_commit(
        &mut self,
        claim: Claim<'_>,
        commits: &[Commit],
        layout: &dyn Layout,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.check_offsets()?;
        if claim.generation_id < 0 && !self.has_members() && self.state == State::Empty {
            return Ok(()); // a consumer that manages its partitions itself, or an administrator
        }
        if let Some(consumer) = &self.consumer {
            return consumer.check_commit(claim.member_id, claim.generation_id, commits, layout);
        }
        if let Some(streams) = &self.streams {
            return streams.check_commit(claim.member_id, claim.generation_id, commits);
        }
        if claim.is_nobodys() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_claim(claim)?;
        if let Some(member) = self.members.get_mut(claim.member_id) {
            member.beat(now);
        }
        if self.state == State::CompletingRebalance {
            Err(ResponseError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    /// The same for offsets that a transaction commits: its producer may stand outside the group (KIP-447).
    pub fn check_transactional_commit(
        &mut self,
        claim: Claim<'_>,
        commits: &[Commit],
        layout: &dyn Layout,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.check_offsets()?;
        if claim.is_nobodys() {
            return Ok(());
        }
        let (member_id, epoch) = (claim.member_id, claim.generation_id);
        let consumer = self.consumer.as_ref();
        let known = consumer.map(|consumer| consumer.check_commit(member_id, epoch, commits, layout));
        let streams = self.streams.as_ref();
        let known = known.or(streams.map(|streams| streams.check_commit(member_id, epoch, commits)));
        if let Some(known) = known {
            // Such a client knows nothing of epochs.
            return known.map_err(|error| match error {
                ResponseError::StaleMemberEpoch => ResponseError::IllegalGeneration,
                error => error,
            });
        }
        self.check_claim(claim)?;
        if let Some(member) = self.members.get_mut(claim.member_id) {
            member.beat(now);
        }
        Ok(())
    }

    pub fn is_unsettled(&self, place: &(Arc<str>, i32)) -> bool {
        self.unsettled.values().any(|offsets| offsets.contains_key(place))
    }

    /// A commit or a deletion that is in the log.
    pub fn apply(&mut self, place: (Arc<str>, i32), committed: Option<Committed>) {
        match committed {
            Some(committed) => {
                self.offsets.insert(place, committed);
            }
            None => {
                for offsets in self.unsettled.values_mut() {
                    offsets.remove(&place);
                }
                self.offsets.remove(&place);
            }
        }
    }

    /// The producer's transaction has ended: what it committed counts, unless something newer does.
    pub fn settle(&mut self, producer_id: i64, ending: Ending) {
        let Some(offsets) = self.unsettled.remove(&producer_id) else { return };
        if ending == Ending::Abort {
            return;
        }
        for (place, committed) in offsets {
            let known = self.offsets.get(&place);
            if known.is_none_or(|known| known.record_offset < committed.record_offset) {
                self.offsets.insert(place, committed);
            }
        }
    }

    /// Acts on what is due. Members that wait in a join are alive as long as the broker holds their request.
    pub fn tick(&mut self, now: Instant) {
        if let Some(consumer) = &mut self.consumer {
            consumer.tick(now);
            return;
        }
        if let Some(share) = &mut self.share {
            share.tick(now);
            return;
        }
        if let Some(streams) = &mut self.streams {
            streams.tick(now);
            return;
        }
        self.pending.retain(|_, until| *until > now);
        let expired: Vec<MemberId> = self
            .members
            .values()
            .filter(|member| {
                let held = (member.joining.is_some() && !member.is_new) || member.syncing.is_some();
                !held && member.alive_until <= now
            })
            .map(|member| member.id.clone())
            .collect();
        for id in expired {
            self.lose(&id, now);
        }
        self.complete_join_if_all(now);
        if self.phase_until.is_none_or(|until| until > now) {
            return;
        }
        match self.state {
            State::PreparingRebalance => {
                self.pending.clear();
                self.complete_join(now);
            }
            State::CompletingRebalance => {
                let silent: Vec<MemberId> = self
                    .members
                    .values()
                    .filter(|member| member.syncing.is_none() && self.storing_generation.is_none())
                    .map(|member| member.id.clone())
                    .collect();
                self.phase_until = Some(now + self.rebalance_timeout());
                for id in silent {
                    self.lose(&id, now);
                }
            }
            State::Stable | State::Empty | State::Dead => self.phase_until = None,
        }
    }

    /// Nobody waits and no deadline runs: the ticker may pass it by.
    pub fn is_idle(&self) -> bool {
        let joins = !self.pending.is_empty() || self.phase_until.is_some();
        self.members.is_empty() && !joins && !self.modern().is_some_and(|modern| modern.has_members())
    }

    /// The offsets that nobody has needed for `retention_ms`: the group is empty, and so is its past (KIP-211).
    pub fn expired(&self, now_ms: i64, retention_ms: i64) -> Vec<(Arc<str>, i32)> {
        if self.state != State::Empty || self.has_members() || !self.unsettled.is_empty() {
            return vec![];
        }
        let old = |committed: &Committed| {
            now_ms - committed.commit_timestamp_ms.max(self.empty_since_ms) >= retention_ms
        };
        self.offsets.iter().filter(|(_, committed)| old(committed)).map(|(place, _)| place.clone()).collect()
    }

    /// Topics the members subscribe to, read from their metadata where it is the consumer protocol's.
    pub fn subscribed(&self) -> Option<Vec<String>> {
        if self.protocol_type.as_deref() != Some("consumer") {
            return None;
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = Vec::new();
        for member in self.members.values() {
            topics.extend(Subscription::read(&member.metadata(protocol))?.topics);
        }
        Some(topics)
    }

    /// Ends it: whoever waits is told that the coordinator has gone.
    pub fn die(&mut self) {
        self.state = State::Dead;
        for (id, member) in &mut self.members {
            if let Some(answer) = member.joining.take() {
                refuse(answer, id, ResponseError::CoordinatorNotAvailable);
            }
            if let Some(answer) = member.syncing.take() {
                answer.send(Synced::error(ResponseError::CoordinatorNotAvailable)).ok();
            }
        }
    }
}

fn refuse(answer: oneshot::Sender<Joined>, member_id: &str, error: ResponseError) {
    answer.send(Joined::error(member_id, error)).ok(); // a client that left is no error
}

//! One group of the classic protocol: its state machine, without I/O and without a lock of its own.
//!
//! It follows Kafka's classic group coordinator: joining (with KIP-394's member ids), static members (KIP-345), the
//! sync of assignments, heartbeats, and the deadlines of each. Time comes in as an argument; `tick` acts on what is due.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use tokio::{sync::oneshot, time::Instant};

use super::records::{Committed, StoredGroup};

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
    pub offsets: HashMap<(Arc<str>, i32), Committed>,
    /// Set when what is stored of the group has changed; the caller takes it and appends it.
    pub store_due: bool,
    /// The leader's assignments are being stored: until then nobody is answered.
    pub storing_generation: Option<i32>,
    pub initial_delay: Duration,
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
            offsets: HashMap::new(),
            store_due: false,
            storing_generation: None,
            initial_delay,
        }
    }

    /// Takes over what was stored before a restart: its members have a session's time to come back.
    pub fn restore(&mut self, stored: StoredGroup, now: Instant) {
        self.members.clear();
        self.statics.clear();
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

    // ---- joining ----

    /// `new_id` is used where the member has none yet.
    pub fn join(&mut self, join: Join, new_id: String, answer: oneshot::Sender<Joined>, now: Instant) {
        if self.state == State::Dead {
            return refuse(answer, &join.member_id, ResponseError::CoordinatorNotAvailable);
        }
        if !self.takes_protocols(&join) {
            return refuse(answer, &join.member_id, ResponseError::InconsistentGroupProtocol);
        }
        if join.member_id.is_empty() {
            return self.join_new(join, new_id, answer, now);
        }
        if self.pending.remove(&join.member_id).is_some() {
            let id = join.member_id.clone();
            return self.add_member(join, id.into(), answer, now);
        }
        if let Err(error) = self.check_member(&join.member_id, join.instance_id.as_deref()) {
            return refuse(answer, &join.member_id, error);
        }
        self.join_known(join, answer, now);
    }

    fn join_new(&mut self, join: Join, new_id: String, answer: oneshot::Sender<Joined>, now: Instant) {
        if let Some(instance_id) = join.instance_id.clone() {
            match self.statics.get(&instance_id).cloned() {
                Some(old_id) => self.replace_static(join, old_id, new_id.into(), answer, now),
                None => self.add_member(join, new_id.into(), answer, now),
            }
        } else if join.member_id_required {
            let until = now + Duration::from_millis(join.session_timeout_ms.max(0) as u64);
            self.pending.insert(new_id.clone(), until);
            refuse(answer, &new_id, ResponseError::MemberIdRequired);
        } else {
            self.add_member(join, new_id.into(), answer, now);
        }
    }

    fn join_known(&mut self, join: Join, answer: oneshot::Sender<Joined>, now: Instant) {
        let Some(member) = self.members.get_mut(join.member_id.as_str()) else {
            return refuse(answer, &join.member_id, ResponseError::UnknownMemberId);
        };
        let unchanged = member.protocols == join.protocols;
        let leads = self.leader.as_deref() == Some(&*join.member_id);
        let rebalance = match self.state {
            State::PreparingRebalance => true,
            State::CompletingRebalance => !unchanged,
            State::Stable => leads || !unchanged,
            State::Empty | State::Dead => {
                return refuse(answer, &join.member_id, ResponseError::UnknownMemberId);
            }
        };
        if rebalance {
            member.protocols = join.protocols;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.session_timeout_ms = join.session_timeout_ms;
            member.beat(now);
            if let Some(earlier) = member.joining.replace(answer) {
                refuse(earlier, &join.member_id, ResponseError::UnknownMemberId);
            }
            self.prepare_rebalance(now);
        } else {
            // It lost the answer to its join: the same one again, the generation goes on.
            member.beat(now);
            answer.send(self.joined(&join.member_id)).ok();
        }
    }

    fn add_member(&mut self, join: Join, id: MemberId, answer: oneshot::Sender<Joined>, now: Instant) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        if let Some(instance_id) = &join.instance_id {
            self.statics.insert(instance_id.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        let member = Member {
            id: id.clone(),
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            alive_until: now + NEW_MEMBER_WAIT,
            is_new: true,
            joining: Some(answer),
            syncing: None,
        };
        self.members.insert(id, member);
        if let (Some(latest), Some(_)) = (self.initial_until, self.phase_until) {
            self.phase_until = Some(latest.min(now + self.initial_delay)); // each newcomer extends the first wait
        }
        self.prepare_rebalance(now);
    }

    /// A static member came back under a new id: the old id is fenced, the place in the group is kept (KIP-345).
    fn replace_static(
        &mut self,
        join: Join,
        old_id: MemberId,
        new_id: MemberId,
        answer: oneshot::Sender<Joined>,
        now: Instant,
    ) {
        let Some(mut member) = self.members.shift_remove(&old_id) else {
            return self.add_member(join, new_id, answer, now);
        };
        if let Some(earlier) = member.joining.take() {
            refuse(earlier, &old_id, ResponseError::FencedInstanceId);
        }
        if let Some(earlier) = member.syncing.take() {
            earlier.send(Synced::error(ResponseError::FencedInstanceId)).ok();
        }
        let led_before = self.leader.clone();
        let leads = led_before.as_ref() == Some(&old_id);
        if leads {
            self.leader = Some(new_id.clone());
        }
        self.statics.insert(join.instance_id.clone().unwrap_or_default(), new_id.clone());
        member.id = new_id.clone();
        member.protocols = join.protocols;
        member.client_id = join.client_id;
        member.client_host = join.client_host;
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.beat(now);
        self.members.insert(new_id.clone(), member);
        if self.state == State::Stable && self.protocol == self.select_protocol() {
            self.store_due = true;
            let mut joined = self.joined(&new_id);
            if leads && join.may_skip_assignment {
                joined.skip_assignment = true;
            } else {
                // The old leader's name keeps a client that knows no skipping from assigning anew.
                joined.leader = led_before.map(|id| id.to_string()).unwrap_or_default();
                joined.members.clear();
            }
            answer.send(joined).ok();
            return;
        }
        if let Some(member) = self.members.get_mut(&new_id) {
            member.joining = Some(answer);
        }
        self.prepare_rebalance(now);
    }

    fn prepare_rebalance(&mut self, now: Instant) {
        match self.state {
            State::PreparingRebalance => {}
            State::Empty => {
                self.phase_until = Some(now + self.initial_delay);
                self.initial_until = Some(now + self.rebalance_timeout());
                self.state = State::PreparingRebalance;
            }
            State::Stable | State::CompletingRebalance => {
                self.answer_syncs(Some(ResponseError::RebalanceInProgress), now);
                self.storing_generation = None;
                self.phase_until = Some(now + self.rebalance_timeout());
                self.state = State::PreparingRebalance;
            }
            State::Dead => return,
        }
        self.complete_join_if_all(now);
    }

    fn complete_join_if_all(&mut self, now: Instant) {
        if self.state != State::PreparingRebalance {
            return;
        }
        let all = self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some());
        let waits_for_more =
            self.initial_until.is_some() && self.phase_until.is_some_and(|until| until > now);
        if all && !waits_for_more {
            self.complete_join(now);
        }
    }

    fn complete_join(&mut self, now: Instant) {
        self.initial_until = None;
        let gone: Vec<MemberId> = self
            .members
            .values()
            .filter(|member| member.joining.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in gone {
            self.remove(&id);
        }
        if self.members.is_empty() {
            self.generation_id += 1;
            self.become_empty();
            return;
        }
        let leader_joined = self
            .leader
            .as_ref()
            .and_then(|id| self.members.get(id))
            .is_some_and(|leader| leader.joining.is_some());
        if !leader_joined {
            let Some(elected) = self.members.values().find(|member| member.joining.is_some()) else {
                self.phase_until = Some(now + self.rebalance_timeout()); // only static members, none back yet
                return;
            };
            self.leader = Some(elected.id.clone());
        }
        self.generation_id += 1;
        self.protocol = self.select_protocol();
        self.state = State::CompletingRebalance;
        self.phase_until = Some(now + self.rebalance_timeout());
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id)
                && let Some(answer) = member.joining.take()
            {
                member.is_new = false;
                member.assignment = Bytes::new();
                member.beat(now);
                answer.send(joined).ok();
            }
        }
    }

    /// The answer to a member of the running generation.
    fn joined(&self, member_id: &str) -> Joined {
        let leader = self.leader.as_deref().unwrap_or_default().to_owned();
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if leader == member_id {
            let each =
                |member: &Member| (member.id.clone(), member.instance_id.clone(), member.metadata(&protocol));
            self.members.values().map(each).collect()
        } else {
            vec![]
        };
        Joined {
            error: None,
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol: Some(protocol),
            leader,
            member_id: member_id.to_owned(),
            skip_assignment: false,
            members,
        }
    }

    fn takes_protocols(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        let others: Vec<&Member> =
            self.members.values().filter(|member| *member.id != *join.member_id).collect();
        if others.is_empty() {
            return true;
        }
        self.protocol_type.as_deref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| {
                others.iter().all(|other| other.protocols.iter().any(|(theirs, _)| theirs == name))
            })
    }

    /// Each member votes for the first of its protocols that all members have.
    fn select_protocol(&self) -> Option<String> {
        let all_have = |name: &str| {
            self.members.values().all(|member| member.protocols.iter().any(|(theirs, _)| theirs == name))
        };
        let mut votes: IndexMap<&str, usize> = IndexMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| all_have(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    fn rebalance_timeout(&self) -> Duration {
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0);
        Duration::from_millis(longest.max(0) as u64)
    }

    // ---- syncing ----

    /// Takes a member's SyncGroup; when it is the leader's, `true`: the group is to be stored, then `stored` be called.
    pub fn sync(
        &mut self,
        claim: Claim<'_>,
        protocol_type: Option<&str>,
        protocol: Option<&str>,
        assignments: &[(String, Bytes)],
        answer: oneshot::Sender<Synced>,
        now: Instant,
    ) -> bool {
        let refused = self.check_claim(claim).err().or_else(|| {
            let other_type = protocol_type.is_some_and(|text| self.protocol_type.as_deref() != Some(text));
            let other_name = protocol.is_some_and(|text| self.protocol.as_deref() != Some(text));
            (other_type || other_name).then_some(ResponseError::InconsistentGroupProtocol)
        });
        let refused = refused.or(match self.state {
            State::Empty | State::Dead => Some(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Some(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => None,
        });
        if let Some(error) = refused {
            answer.send(Synced::error(error)).ok();
            return false;
        }
        let leads = self.leader.as_deref() == Some(claim.member_id);
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        let Some(member) = self.members.get_mut(claim.member_id) else { return false };
        member.beat(now);
        if self.state == State::Stable {
            let assignment = member.assignment.clone();
            answer.send(Synced { error: None, protocol_type, protocol, assignment }).ok();
            return false;
        }
        member.syncing = Some(answer);
        if !leads || self.storing_generation == Some(self.generation_id) {
            return false;
        }
        for member in self.members.values_mut() {
            let given = assignments.iter().find(|(id, _)| **id == *member.id);
            member.assignment = given.map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        }
        self.storing_generation = Some(self.generation_id);
        true
    }

    /// The assignments of `generation_id` are in the log, or could not be written.
    pub fn stored(&mut self, generation_id: i32, outcome: Result<(), ResponseError>, now: Instant) {
        if self.storing_generation != Some(generation_id) || self.state != State::CompletingRebalance {
            return; // a new rebalance has begun meanwhile, and has answered the members
        }
        self.storing_generation = None;
        match outcome {
            Ok(()) => {
                self.state = State::Stable;
                self.phase_until = None;
                self.answer_syncs(None, now);
            }
            Err(error) => {
                self.answer_syncs(Some(error), now);
                self.prepare_rebalance(now);
            }
        }
    }

    fn answer_syncs(&mut self, error: Option<ResponseError>, now: Instant) {
        for member in self.members.values_mut() {
            if error.is_some() {
                member.assignment = Bytes::new();
            }
            if let Some(answer) = member.syncing.take() {
                member.beat(now);
                let synced = match error {
                    Some(error) => Synced::error(error),
                    None => Synced {
                        error: None,
                        protocol_type: self.protocol_type.clone(),
                        protocol: self.protocol.clone(),
                        assignment: member.assignment.clone(),
                    },
                };
                answer.send(synced).ok();
            }
        }
    }

    // ---- heartbeats, leaving, checks ----

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

    /// Whether the claimant may commit offsets now; a commit counts as a heartbeat.
    pub fn check_commit(&mut self, claim: Claim<'_>, now: Instant) -> Result<(), ResponseError> {
        if self.state == State::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if claim.generation_id < 0 && self.state == State::Empty {
            return Ok(()); // a consumer that manages its partitions itself, or an administrator
        }
        if claim.generation_id < 0 && claim.member_id.is_empty() && claim.instance_id.is_none() {
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

    // ---- time ----

    /// Acts on what is due. Members that wait in a join are alive as long as the broker holds their request.
    pub fn tick(&mut self, now: Instant) {
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
        if !self.phase_until.is_some_and(|until| until <= now) {
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
        self.members.is_empty() && self.pending.is_empty() && self.phase_until.is_none()
    }

    /// Topics the members subscribe to, read from their metadata where it is the consumer protocol's.
    pub fn subscribed(&self) -> Option<Vec<String>> {
        if self.protocol_type.as_deref() != Some("consumer") {
            return None;
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = Vec::new();
        for member in self.members.values() {
            topics.extend(subscription_topics(&member.metadata(protocol))?);
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

/// The topics in a ConsumerProtocolSubscription: version, then an array of strings.
fn subscription_topics(metadata: &[u8]) -> Option<Vec<String>> {
    let (count, mut rest) = metadata.get(2..)?.split_first_chunk::<4>()?;
    let mut topics = Vec::new();
    for _ in 0..i32::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        topics.push(std::str::from_utf8(after.get(..length)?).ok()?.to_owned());
        rest = after.get(length..)?;
    }
    Some(topics)
}

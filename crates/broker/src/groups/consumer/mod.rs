//! One group of the consumer protocol (KIP-848): its state machine, without I/O and without a lock of its own.
//!
//! The group's epoch rises with every change of members, subscriptions or topics. The assignor then makes a target
//! assignment for that epoch, and each member is brought to it by its own heartbeats. Topics come in as a `Layout`, time as
//! an argument; what has changed is marked, and stored by the caller before anybody is told.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Commit, group::MemberId, unwritten::Unwritten};

pub mod assignor;
mod classic;
pub mod embedded;
mod heartbeat;
pub mod layout;
pub mod reconcile;
pub mod records;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(in crate::groups) use tests::Table;

pub use classic::PROTOCOL_TYPE;
pub use heartbeat::{Answer, Heartbeat, whole_pattern};
use layout::{Layout, hash};
use reconcile::{Aim, Phase, Standing};
use records::{Part, StoredConsumer};

/// Partitions by the id of their topic.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// The epoch of a member that has left.
pub const LEFT: i32 = -1;
/// The epoch of a static member that has left and will come back.
pub const LEFT_FOR_A_WHILE: i32 = -2;

/// Why a request is refused: Kafka's code, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub error: ResponseError,
    pub reason: String,
}

impl Refused {
    pub fn new(error: ResponseError, reason: impl Into<String>) -> Self {
        Self { error, reason: reason.into() }
    }

    /// A member of another epoch. `kind`: of a consumer group, or of a share group.
    pub fn fenced(kind: &str, said: i32, known: i32) -> Self {
        let is = if said > known { "greater" } else { "smaller" };
        let reason = format!(
            "The {kind} group member has a {is} member epoch ({said}) than the one known by the group coordinator \
             ({known}). The member must abandon all its partitions and rejoin."
        );
        Self::new(ResponseError::FencedMemberEpoch, reason)
    }

    pub fn unknown(member_id: &str) -> Self {
        let reason = format!("Member {member_id} is not a member of the group.");
        Self::new(ResponseError::UnknownMemberId, reason)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Empty,
    Assigning,
    Reconciling,
    Stable,
}

impl State {
    /// Kafka's word for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Assigning => "Assigning",
            State::Reconciling => "Reconciling",
            State::Stable => "Stable",
        }
    }
}

/// What the broker's settings say of such groups.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub session_timeout: Duration,
    pub assignment_interval: Duration,
    pub members_count_max: usize,
}

/// What a member says of itself; stored as its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
    /// Empty: none.
    pub regex: String,
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<String>,
    /// It speaks the classic protocol.
    pub classic: Option<ClassicProfile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicProfile {
    pub session_timeout_ms: i32,
    /// Protocol (assignor) and its metadata.
    pub protocols: Vec<(String, bytes::Bytes)>,
}

#[derive(Debug, Clone)]
pub struct Member {
    pub profile: Profile,
    pub standing: Standing,
    /// Without a heartbeat until then, it is removed.
    alive_until: Instant,
    /// It has to have given something up (or, in the classic protocol, joined or synced) by then.
    act_until: Option<Instant>,
}

impl Member {
    pub fn is_classic(&self) -> bool {
        self.profile.classic.is_some()
    }
}

/// The topics that a regular expression stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    pub topics: BTreeSet<String>,
    pub version: i64,
    pub timestamp_ms: i64,
}

#[derive(Debug)]
pub struct Consumer {
    pub epoch: i32,
    pub metadata_hash: i64,
    pub assignment_epoch: i32,
    /// When the targets were made; in another life: unknown.
    assigned_at: Option<Instant>,
    pub members: BTreeMap<MemberId, Member>,
    pub targets: BTreeMap<MemberId, Partitions>,
    regexes: BTreeMap<String, Resolved>,
    statics: HashMap<String, MemberId>,
    /// Who holds a partition, or has not said yet that it gave it up.
    owners: HashMap<(Uuid, i32), MemberId>,
    /// The topics as they were when the group last looked.
    layout_version: Option<u64>,
    /// For the log.
    pub(super) changes: Unwritten<Part>,
    limits: Limits,
}

impl Consumer {
    pub fn new(limits: Limits) -> Self {
        Self {
            epoch: 0,
            metadata_hash: 0,
            assignment_epoch: 0,
            assigned_at: None,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            regexes: BTreeMap::new(),
            statics: HashMap::new(),
            owners: HashMap::new(),
            layout_version: None,
            changes: Unwritten::default(),
            limits,
        }
    }

    /// Goes on where another life ended: the members have a session's time to show themselves.
    pub fn restore(stored: StoredConsumer, limits: Limits, now: Instant) -> Self {
        let mut group = Consumer {
            epoch: stored.epoch,
            metadata_hash: stored.metadata_hash,
            assignment_epoch: stored.assignment_epoch,
            regexes: stored.regexes,
            targets: stored.targets,
            ..Consumer::new(limits)
        };
        for (id, profile) in stored.profiles {
            let standing = stored.standings.get(&id).cloned().unwrap_or_default();
            group.put_member(id, profile, standing, now);
        }
        group.targets.retain(|id, _| group.members.contains_key(id));
        group.changes.take();
        group
    }

    pub fn state(&self) -> State {
        let reconciled = |member: &Member| member.standing.is_reconciled_to(self.assignment_epoch);
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch > self.assignment_epoch {
            State::Assigning
        } else if self.members.values().all(reconciled) {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    /// The assignor that most members ask for.
    pub fn assignor(&self) -> &str {
        let votes = |name: &str| {
            let asks = |member: &&Member| member.profile.assignor.as_deref() == Some(name);
            self.members.values().filter(asks).count()
        };
        // Of two with as many votes `max_by_key` takes the last.
        assignor::NAMES.iter().rev().copied().max_by_key(|name| votes(name)).unwrap_or(assignor::NAMES[0])
    }

    /// Names of topics that members subscribe to, by name or by a regular expression.
    pub fn subscribes_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.names_of(&member.profile).contains(topic))
    }

    /// Everything of the group that may lie in the log.
    pub fn parts(&self) -> BTreeSet<Part> {
        let mut parts = BTreeSet::from([Part::Epoch, Part::TargetEpoch]);
        parts.extend(self.regexes.keys().cloned().map(Part::Regex));
        for id in self.members.keys() {
            parts.extend([Part::Member(id.clone()), Part::Target(id.clone()), Part::Current(id.clone())]);
        }
        parts.extend(self.changes.parts());
        parts
    }

    /// Removes who has been silent for too long; whether there was any.
    pub fn tick(&mut self, now: Instant) -> bool {
        let late =
            |member: &Member| member.alive_until <= now || member.act_until.is_some_and(|until| until <= now);
        let gone: Vec<MemberId> =
            self.members.iter().filter(|(_, member)| late(member)).map(|(id, _)| id.clone()).collect();
        for id in &gone {
            tracing::debug!(member = %id, "a member of a consumer group is silent: it is removed");
            self.remove(id);
        }
        !gone.is_empty()
    }

    /// The member, where it is the one of that epoch (or generation).
    pub fn check_member(&self, member_id: &str, epoch: i32) -> Result<&Member, ResponseError> {
        let member = self.members.get(member_id).ok_or(ResponseError::UnknownMemberId)?;
        match member.standing.epoch == epoch {
            true => Ok(member),
            false if member.is_classic() => Err(ResponseError::IllegalGeneration),
            false => Err(ResponseError::StaleMemberEpoch),
        }
    }

    /// Whether the member may commit these: an epoch that is over is good for what was its own then, and still is.
    pub fn check_commit(
        &self,
        member_id: &str,
        epoch: i32,
        commits: &[Commit],
        layout: &dyn Layout,
    ) -> Result<(), ResponseError> {
        let Err(error) = self.check_member(member_id, epoch) else { return Ok(()) };
        let Some(member) = self.members.get(member_id).filter(|member| member.standing.epoch > epoch) else {
            return Err(error);
        };
        let was_its_own = |commit: &Commit| {
            let topic = layout.find(&commit.topic);
            topic.is_some_and(|(id, _)| member.standing.held_in((id, commit.partition), epoch))
        };
        if !member.is_classic() && commits.iter().all(was_its_own) { Ok(()) } else { Err(error) }
    }

    fn put_member(&mut self, id: MemberId, profile: Profile, standing: Standing, now: Instant) {
        if let Some(instance_id) = &profile.instance_id {
            self.statics.insert(instance_id.clone(), id.clone());
        }
        let session = match &profile.classic {
            Some(classic) => millis(classic.session_timeout_ms),
            None => self.limits.session_timeout,
        };
        let revokes = standing.phase == Phase::Unrevoked && profile.classic.is_none();
        let act_until = revokes.then(|| now + millis(profile.rebalance_timeout_ms));
        self.own(&id, &standing);
        self.changes.extend([Part::Member(id.clone()), Part::Current(id.clone())]);
        self.members.insert(id, Member { profile, standing, alive_until: now + session, act_until });
    }

    fn own(&mut self, id: &MemberId, standing: &Standing) {
        self.owners.extend(standing.places().map(|place| (place, id.clone())));
    }

    fn disown(&mut self, id: &str, standing: &Standing) {
        for place in standing.places() {
            if self.owners.get(&place).is_some_and(|owner| **owner == *id) {
                self.owners.remove(&place);
            }
        }
    }

    /// A member is gone: what it had is free, and the others need a new target.
    fn remove(&mut self, id: &str) -> Option<Member> {
        let (id, member) = self.members.remove_entry(id)?;
        self.disown(&id, &member.standing);
        if let Some(instance_id) = &member.profile.instance_id
            && self.statics.get(instance_id) == Some(&id)
        {
            self.statics.remove(instance_id);
        }
        self.targets.remove(&id);
        self.changes.extend([Part::Member(id.clone()), Part::Target(id.clone()), Part::Current(id)]);
        self.layout_version = None; // what is subscribed to may be less now
        if self.members.is_empty() {
            self.forget_regexes();
        }
        self.bump();
        Some(member)
    }

    fn bump(&mut self) {
        self.epoch += 1;
        self.changes.insert(Part::Epoch);
    }

    /// What follows from a change of a member, or from a look at the topics: first the group's epoch, then its target,
    /// then the member's own place.
    fn advance(
        &mut self,
        id: &MemberId,
        changed: bool,
        owned: Option<&Partitions>,
        layout: &dyn Layout,
        now: Instant,
    ) {
        self.refresh(changed, layout);
        self.retarget_if_due(layout, now);
        self.reconcile(id, changed, owned, layout, now);
    }

    fn refresh(&mut self, changed: bool, layout: &dyn Layout) {
        let version = layout.version();
        let looked = self.layout_version == Some(version);
        if looked && !changed && self.epoch > 0 {
            return;
        }
        self.resolve_regexes(!looked, layout);
        self.layout_version = Some(version);
        let hash = hash(self.topics(layout));
        // While a new target is due anyway, other topics are no reason for one more epoch.
        let stale = hash != self.metadata_hash && self.epoch == self.assignment_epoch;
        if changed || stale || self.epoch == 0 {
            self.bump();
        }
        if hash != self.metadata_hash {
            self.metadata_hash = hash;
            self.changes.insert(Part::Epoch);
        }
    }

    fn forget_regexes(&mut self) {
        let used: BTreeSet<&str> = self.members.values().map(|member| &*member.profile.regex).collect();
        let gone: Vec<String> =
            self.regexes.keys().filter(|regex| !used.contains(&***regex)).cloned().collect();
        for regex in gone {
            self.regexes.remove(&regex);
            self.changes.insert(Part::Regex(regex));
        }
    }

    fn resolve_regexes(&mut self, all: bool, layout: &dyn Layout) {
        self.forget_regexes();
        let used: BTreeSet<String> = self
            .members
            .values()
            .map(|member| member.profile.regex.clone())
            .filter(|regex| !regex.is_empty() && (all || !self.regexes.contains_key(regex)))
            .collect();
        if used.is_empty() {
            return;
        }
        let names = layout.names();
        for regex in used {
            // Checked when it came; what is stored by another and not understood stands for nothing.
            let Ok(pattern) = whole_pattern(&regex) else { continue };
            let matching = names.iter().filter(|name| pattern.is_match(name) && layout.shows(name));
            let matching = matching.map(|name| name.to_string());
            let topics: BTreeSet<String> = matching.collect();
            let known = self.regexes.get(&regex);
            if known.is_none_or(|known| known.topics != topics) {
                let version = layout.version() as i64;
                let resolved = Resolved { topics, version, timestamp_ms: 0 };
                self.regexes.insert(regex.clone(), resolved);
                self.changes.insert(Part::Regex(regex));
            }
        }
    }

    fn names_of<'a>(&'a self, profile: &'a Profile) -> BTreeSet<&'a str> {
        let matching = self.regexes.get(&profile.regex).into_iter().flat_map(|resolved| &resolved.topics);
        profile.topics.iter().chain(matching).map(String::as_str).collect()
    }

    fn subscribed(&self, profile: &Profile, layout: &dyn Layout) -> BTreeSet<Uuid> {
        self.names_of(profile).into_iter().filter_map(|name| layout.find(name)).map(|(id, _)| id).collect()
    }

    /// The topics that anybody subscribes to, by their names.
    fn topics(&self, layout: &dyn Layout) -> IndexMap<Uuid, i32> {
        let names: BTreeSet<&str> =
            self.members.values().flat_map(|member| self.names_of(&member.profile)).collect();
        names.into_iter().filter_map(|name| layout.find(name)).collect()
    }

    /// Whoever comes too early is told of the targets as they are, and of the next ones by a heartbeat after those.
    fn retarget_if_due(&mut self, layout: &dyn Layout, now: Instant) {
        let is_early = |at: Instant| now < at + self.limits.assignment_interval;
        if self.epoch <= self.assignment_epoch || self.assigned_at.is_some_and(is_early) {
            return;
        }
        self.assigned_at = Some(now);
        let member = |(id, member): (&MemberId, &Member)| {
            let subscribed = self.subscribed(&member.profile, layout);
            let held = self.targets.get(id).cloned().unwrap_or_default();
            (id.clone(), assignor::MemberSpec { subscribed, held })
        };
        let spec = assignor::Spec {
            topics: self.topics(layout),
            members: self.members.iter().map(member).collect(),
        };
        let targets = assignor::assign(self.assignor(), &spec);
        let differs = |(id, target): &(&MemberId, &Partitions)| self.targets.get(*id) != Some(*target);
        let changed = targets.iter().filter(differs).map(|(id, _)| Part::Target(id.clone()));
        self.changes.extend(changed);
        self.targets = targets;
        self.assignment_epoch = self.epoch;
        self.changes.insert(Part::TargetEpoch);
    }

    fn reconcile(
        &mut self,
        id: &MemberId,
        narrowed: bool,
        owned: Option<&Partitions>,
        layout: &dyn Layout,
        now: Instant,
    ) {
        let Some(member) = self.members.get(id) else { return };
        if member.standing.is_reconciled_to(self.assignment_epoch) && !narrowed {
            return;
        }
        let none = Partitions::new();
        let aim = Aim {
            epoch: self.assignment_epoch,
            target: self.targets.get(id).unwrap_or(&none),
            subscribed: &self.subscribed(&member.profile, layout),
            is_taken: &|topic, partition| {
                self.owners.get(&(topic, partition)).is_some_and(|owner| owner != id)
            },
            owned,
        };
        let next = member.standing.step(&aim, narrowed);
        if next == member.standing {
            return;
        }
        let (before, revokes) = (member.standing.clone(), next.phase == Phase::Unrevoked);
        self.disown(id, &before);
        self.own(id, &next);
        self.changes.insert(Part::Current(id.clone()));
        if let Some(member) = self.members.get_mut(id) {
            member.standing = next;
            if !member.is_classic() {
                let longest = millis(member.profile.rebalance_timeout_ms);
                member.act_until = revokes.then(|| now + longest);
            }
        }
    }
}

fn millis(milliseconds: i32) -> Duration {
    Duration::from_millis(milliseconds.max(0) as u64)
}

/// Names of members are shared; their text is what counts.
pub fn member_id(text: &str) -> MemberId {
    Arc::from(text)
}

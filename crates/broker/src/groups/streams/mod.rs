//! The members of one group of Kafka Streams (KIP-1071): the state machine, without I/O and without a lock of its own.
//!
//! Its epochs are those of a consumer group. What is shared out are tasks, made from the topology that the first member brings and from
//! the partitions of the topics that this reads; and none is, before every topic of it is there. The internal ones among them are made by
//! the caller, who is told which.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kafka_protocol::ResponseError;
use tokio::time::Instant;

use super::{
    Commit,
    consumer::{
        LEFT_FOR_A_WHILE, Refused,
        layout::{Layout, hash},
        reconcile::Phase,
    },
    group::MemberId,
    unwritten::Unwritten,
};

pub mod assignor;
mod heartbeat;
pub mod reconcile;
pub mod records;
pub mod topology;

#[cfg(test)]
mod tests;

pub use heartbeat::{Answer, Endpoints, Heartbeat};
use reconcile::{Aim, Holders, Standing};
use records::{Heading, Part, StoredStreams};
use topology::{Configured, Topology};

/// What ListGroups says that the members speak.
pub const PROTOCOL_TYPE: &str = "streams";

/// Partitions by subtopology: a task each.
pub type Tasks = BTreeMap<String, BTreeSet<i32>>;

/// What a member has, or is to have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    pub active: Tasks,
    pub standby: Tasks,
    pub warmup: Tasks,
}

impl Assignment {
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Empty,
    NotReady,
    Assigning,
    Reconciling,
    Stable,
}

impl State {
    /// Kafka's word for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::NotReady => "NotReady",
            State::Assigning => "Assigning",
            State::Reconciling => "Reconciling",
            State::Stable => "Stable",
        }
    }
}

/// What a member is told of the group beside its tasks: Kafka's number for it, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub code: i8,
    pub detail: String,
}

impl Status {
    pub fn stale_topology(detail: String) -> Self {
        Self { code: 0, detail }
    }

    pub fn missing_source(detail: String) -> Self {
        Self { code: 1, detail }
    }

    pub fn incorrectly_partitioned(detail: String) -> Self {
        Self { code: 2, detail }
    }

    pub fn missing_internal(detail: String) -> Self {
        Self { code: 3, detail }
    }

    pub fn is_missing_internal(&self) -> bool {
        self.code == 3
    }

    pub fn shutdown(detail: String) -> Self {
        Self { code: 4, detail }
    }

    pub fn delayed(why: &str) -> Self {
        Self { code: 5, detail: format!("Assignment delayed due to the configured {why}.") }
    }
}

/// What the broker's settings, or the group's own, say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub session_timeout: Duration,
    /// How long an assignment stays as it is, whoever comes or goes.
    pub assignment_interval: Duration,
    /// How long the first member of an empty group waits for others.
    pub initial_delay: Duration,
    pub standbys_count: u32,
    pub members_count_max: usize,
}

/// Where others find what a member's tasks keep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// What a member says of itself; stored as its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub topology_epoch: i32,
    pub process_id: String,
    pub endpoint: Option<Endpoint>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Member {
    pub profile: Profile,
    pub standing: Standing,
    /// Without a heartbeat until then, it is removed.
    alive_until: Instant,
    /// It has to have given something up by then.
    act_until: Option<Instant>,
}

#[derive(Debug)]
pub struct Streams {
    pub topology: Option<Topology>,
    /// What the group last made of it, and of the topics as they were then.
    pub configured: Option<Configured>,
    pub heading: Heading,
    pub assignment_epoch: i32,
    pub members: BTreeMap<MemberId, Member>,
    pub targets: BTreeMap<MemberId, Assignment>,
    layout_version: Option<u64>,
    /// When the targets were made, where it was in this life.
    assigned_at: Option<Instant>,
    /// Until then others may join before anybody is given a task.
    waits_until: Option<Instant>,
    /// Who wants the whole application to end. As in Kafka that is not kept.
    shut_down_by: Option<MemberId>,
    /// Rises with what those who ask others for their state have to know.
    endpoints_epoch: i32,
    /// For the log.
    pub(super) changes: Unwritten<Part>,
    limits: Limits,
}

impl Streams {
    /// In its first epoch nobody has anything: who joins while others are waited for is in that one. 0 would mean to join again.
    pub fn new(limits: Limits) -> Self {
        let mut group = Self {
            topology: None,
            configured: None,
            heading: Heading { epoch: 1, ..Heading::default() },
            assignment_epoch: 1,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            layout_version: None,
            assigned_at: None,
            waits_until: None,
            shut_down_by: None,
            endpoints_epoch: -1,
            changes: Unwritten::default(),
            limits,
        };
        group.changes.extend([Part::Epoch, Part::TargetEpoch]);
        group
    }

    /// Goes on where another life ended: the members have a session's time to show themselves.
    pub fn restore(stored: StoredStreams, limits: Limits, now: Instant) -> Self {
        let mut group = Streams {
            topology: stored.topology,
            heading: stored.heading,
            // Kafka's log has none where the first members left before anybody was given a task.
            assignment_epoch: stored.assignment_epoch.max(1),
            targets: stored.targets,
            changes: Unwritten::default(),
            ..Streams::new(limits)
        };
        for (id, profile) in stored.profiles {
            let standing = stored.standings.get(&id).cloned().unwrap_or_default();
            let revokes = standing.phase == Phase::Unrevoked;
            let act_until = revokes.then(|| now + millis(profile.rebalance_timeout_ms));
            let alive_until = now + limits.session_timeout;
            group.members.insert(id, Member { profile, standing, alive_until, act_until });
        }
        group.targets.retain(|id, _| group.members.contains_key(id));
        group
    }

    pub fn state(&self) -> State {
        let reconciled = |member: &Member| member.standing.is_reconciled_to(self.assignment_epoch);
        let topology_epoch = self.topology.as_ref().map(|topology| topology.epoch);
        if self.members.is_empty() {
            State::Empty
        } else if topology_epoch != Some(self.heading.validated_topology_epoch) {
            State::NotReady
        } else if self.heading.epoch > self.assignment_epoch {
            State::Assigning
        } else if self.members.values().all(reconciled) {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    /// They hold from each member's next heartbeat on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Everything of the group that may lie in the log.
    pub fn parts(&self) -> BTreeSet<Part> {
        let mut parts = BTreeSet::from([Part::Topology, Part::Epoch, Part::TargetEpoch]);
        for id in self.members.keys() {
            parts.extend([Part::Member(id.clone()), Part::Target(id.clone()), Part::Current(id.clone())]);
        }
        parts.extend(self.changes.parts());
        parts
    }

    /// Whether the tasks of its members read this topic.
    pub fn subscribes_to(&self, topic: &str) -> bool {
        let topology = self.topology.as_ref().filter(|_| !self.members.is_empty());
        topology.is_some_and(|topology| topology.reader_of(topic).is_some())
    }

    /// The member, where it is in that epoch.
    pub fn check_member(&self, member_id: &str, epoch: i32) -> Result<&Member, ResponseError> {
        let member = self.members.get(member_id).ok_or(ResponseError::UnknownMemberId)?;
        if member.standing.epoch == epoch { Ok(member) } else { Err(ResponseError::StaleMemberEpoch) }
    }

    /// Whether the member may commit these: an epoch that is over is good for what was its own then, and still is (KIP-1251).
    pub fn check_commit(&self, member_id: &str, epoch: i32, commits: &[Commit]) -> Result<(), ResponseError> {
        let Err(error) = self.check_member(member_id, epoch) else { return Ok(()) };
        let Some(member) = self.members.get(member_id).filter(|member| member.standing.epoch > epoch) else {
            return Err(error);
        };
        let was_its_own = |commit: &Commit| {
            let reader = self.topology.as_ref().and_then(|topology| topology.reader_of(&commit.topic));
            reader.is_some_and(|id| member.standing.held_in(id, commit.partition, epoch))
        };
        if commits.iter().all(was_its_own) { Ok(()) } else { Err(error) }
    }

    /// Removes who has been silent for too long, and who has not given up what it had to.
    pub fn tick(&mut self, now: Instant) {
        let late =
            |member: &Member| member.alive_until <= now || member.act_until.is_some_and(|until| until <= now);
        let gone: Vec<MemberId> =
            self.members.iter().filter(|(_, member)| late(member)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            tracing::debug!(member = %id, "a member of a streams group is silent: it is removed");
            self.remove(&id);
        }
    }

    fn remove(&mut self, id: &str) -> Option<()> {
        let (id, _) = self.members.remove_entry(id)?;
        self.targets.remove(&id);
        self.changes.extend([Part::Member(id.clone()), Part::Target(id.clone()), Part::Current(id)]);
        if self.members.is_empty() {
            self.shut_down_by = None;
        }
        self.bump();
        Some(())
    }

    fn bump(&mut self) {
        self.heading.epoch += 1;
        self.changes.insert(Part::Epoch);
    }

    /// Looks at the topics again where any has come, gone or grown since. Whether something follows from it for the tasks.
    ///
    /// # Errors
    /// The topology can never be worked on.
    fn configure(&mut self, layout: &dyn Layout) -> Result<bool, Refused> {
        let version = layout.version();
        let looked = self.layout_version == Some(version) && self.configured.is_some();
        let Some(topology) = self.topology.as_ref().filter(|_| !looked) else { return Ok(false) };
        let configured = topology.configure(layout)?;
        let hash = hash(topology.required_topics().into_iter().filter_map(|name| layout.find(name)));
        let validated = if configured.trouble.is_none() { topology.epoch } else { -1 };
        let mut changed = std::mem::replace(&mut self.heading.metadata_hash, hash) != hash;
        changed |= std::mem::replace(&mut self.heading.validated_topology_epoch, validated) != validated;
        self.configured = Some(configured);
        self.layout_version = Some(version);
        Ok(changed)
    }

    /// Whoever comes too early is told of the targets as they are, and of the next ones by a heartbeat after those. Why it is told so.
    fn retarget_if_due(&mut self, now: Instant) -> Option<Status> {
        if self.waits_until.is_some_and(|until| now < until) {
            return Some(Status::delayed("initial rebalance delay"));
        }
        self.waits_until = None;
        if self.heading.epoch <= self.assignment_epoch {
            return None;
        }
        if self.assigned_at.is_some_and(|at| now < at + self.limits.assignment_interval) {
            return Some(Status::delayed("assignment interval"));
        }
        self.assigned_at = Some(now);
        let targets = self.next_targets();
        let differs = |(id, target): &(&MemberId, &Assignment)| self.targets.get(*id) != Some(*target);
        let changed = targets.iter().filter(differs).map(|(id, _)| Part::Target(id.clone()));
        self.changes.extend(changed);
        self.targets = targets;
        self.assignment_epoch = self.heading.epoch;
        self.changes.insert(Part::TargetEpoch);
        None
    }

    fn next_targets(&self) -> BTreeMap<MemberId, Assignment> {
        let (Some(topology), Some(Configured { tasks, trouble: None, .. })) =
            (&self.topology, &self.configured)
        else {
            return self.members.keys().map(|id| (id.clone(), Assignment::default())).collect();
        };
        let work: Vec<assignor::Work<'_>> = topology
            .subtopologies
            .iter()
            .map(|(id, one)| assignor::Work {
                subtopology: id,
                tasks_count: tasks.get(id).copied().unwrap_or(0),
                is_stateful: one.is_stateful(),
            })
            .collect();
        let specs = self.members.iter().map(|(id, member)| {
            let (process, held) = (&*member.profile.process_id, self.targets.get(id));
            (id.clone(), assignor::MemberSpec { process, held })
        });
        assignor::assign(&work, &specs.collect(), self.limits.standbys_count as usize)
    }

    fn reconcile(&mut self, id: &MemberId, owned: Option<&Assignment>, now: Instant) {
        let Some(member) = self.members.get(id) else { return };
        if member.standing.is_reconciled_to(self.assignment_epoch) {
            return;
        }
        let mut holders = Holders::default();
        for other in self.members.values() {
            holders.note(&other.profile.process_id, &other.standing);
        }
        let none = Assignment::default();
        let target = self.targets.get(id).unwrap_or(&none);
        let (epoch, process) = (self.assignment_epoch, &*member.profile.process_id);
        let next = member.standing.step(&Aim { epoch, target, process, holders: &holders, owned });
        if next == member.standing {
            return;
        }
        self.changes.insert(Part::Current(id.clone()));
        if let Some(member) = self.members.get_mut(id) {
            let revokes = next.phase == Phase::Unrevoked;
            let longest = millis(member.profile.rebalance_timeout_ms);
            member.act_until = revokes.then(|| now + longest);
            member.standing = next;
        }
    }
}

fn millis(milliseconds: i32) -> Duration {
    Duration::from_millis(milliseconds.max(0) as u64)
}

//! The members of one share group (KIP-932): the state machine, without I/O and without a lock of its own.
//!
//! Its epochs are those of a consumer group. But a partition may be given to many members at once and nobody has to give anything up
//! first, so a member is brought to its target by its next heartbeat. What has been delivered is kept elsewhere (`shares`).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kafka_protocol::ResponseError;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    consumer::{
        Answer, LEFT, LEFT_FOR_A_WHILE, Partitions, Refused,
        layout::{Layout, hash},
        member_id,
    },
    group::MemberId,
    pace::next_within,
    unwritten::Unwritten,
};

pub mod assignor;
pub mod records;

#[cfg(test)]
mod tests;

use records::{Part, StoredShare};

/// What ListGroups says that the members speak.
pub const PROTOCOL_TYPE: &str = "share";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Empty,
    Stable,
}

impl State {
    /// Kafka's word for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Stable => "Stable",
        }
    }
}

/// What the broker's settings say of such groups.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub session_timeout: Duration,
    /// How long an assignment stays as it is, whoever comes or goes (KIP-1263).
    pub assignment_interval: Duration,
    pub members_count_max: usize,
}

/// What a member says; what has not changed since its last heartbeat it leaves out.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat {
    pub member_id: String,
    pub member_epoch: i32,
    pub rack_id: Option<String>,
    pub topics: Option<Vec<String>>,
    pub client_id: String,
    pub client_host: String,
}

impl Heartbeat {
    /// What can be said of it without knowing the group.
    pub fn check(&self) -> Result<(), Refused> {
        let invalid = |reason: &str| Err(Refused::new(ResponseError::InvalidRequest, reason));
        match self.member_epoch {
            _ if self.member_id.trim().is_empty() => invalid("MemberId can't be empty."),
            _ if self.rack_id.as_ref().is_some_and(|rack| rack.trim().is_empty()) => {
                invalid("RackId can't be empty.")
            }
            0 if self.topics.as_ref().is_none_or(Vec::is_empty) => {
                invalid("SubscribedTopicNames must be set in first request.")
            }
            i32::MIN..=LEFT_FOR_A_WHILE => invalid("MemberEpoch is invalid."),
            _ => Ok(()),
        }
    }
}

/// What a member says of itself; stored as its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
}

/// Where a member stands; stored as its current assignment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub assigned: Partitions,
}

#[derive(Debug, Clone)]
pub struct Member {
    pub profile: Profile,
    pub standing: Standing,
    /// Without a heartbeat until then, it is removed.
    alive_until: Instant,
}

/// Topics by id, with their names and how many of their partitions are shared.
pub type Shared = BTreeMap<Uuid, (String, i32)>;

#[derive(Debug)]
pub struct Share {
    pub epoch: i32,
    pub metadata_hash: i64,
    pub assignment_epoch: i32,
    pub members: BTreeMap<MemberId, Member>,
    pub targets: BTreeMap<MemberId, Partitions>,
    /// What the group has ever subscribed to.
    pub shared: Shared,
    layout_version: Option<u64>,
    /// When the targets were made, where it was in this life.
    assigned_at: Option<Instant>,
    /// For the log.
    pub(super) changes: Unwritten<Part>,
    /// Who was removed since it was last asked.
    gone: Vec<MemberId>,
    limits: Limits,
}

impl Share {
    pub fn new(limits: Limits) -> Self {
        Self {
            epoch: 0,
            metadata_hash: 0,
            assignment_epoch: 0,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            shared: Shared::new(),
            layout_version: None,
            assigned_at: None,
            changes: Unwritten::default(),
            gone: Vec::new(),
            limits,
        }
    }

    /// Goes on where another life ended: the members have a session's time to show themselves.
    pub fn restore(stored: StoredShare, limits: Limits, now: Instant) -> Self {
        let mut group = Share {
            epoch: stored.epoch,
            metadata_hash: stored.metadata_hash,
            assignment_epoch: stored.assignment_epoch,
            targets: stored.targets,
            shared: stored.shared,
            ..Share::new(limits)
        };
        for (id, profile) in stored.profiles {
            let standing = stored.standings.get(&id).cloned().unwrap_or_default();
            let alive_until = now + limits.session_timeout;
            group.members.insert(id, Member { profile, standing, alive_until });
        }
        group.targets.retain(|id, _| group.members.contains_key(id));
        group
    }

    pub fn state(&self) -> State {
        if self.members.is_empty() { State::Empty } else { State::Stable }
    }

    /// They hold from each member's next heartbeat on.
    pub fn set_times(&mut self, session_timeout: Duration, assignment_interval: Duration) {
        self.limits = Limits { session_timeout, assignment_interval, ..self.limits };
    }

    /// Everything of the group that may lie in the log.
    pub fn parts(&self) -> BTreeSet<Part> {
        let mut parts = BTreeSet::from([Part::Epoch, Part::TargetEpoch, Part::Shared]);
        for id in self.members.keys() {
            parts.extend([Part::Member(id.clone()), Part::Target(id.clone()), Part::Current(id.clone())]);
        }
        parts.extend(self.changes.parts());
        parts
    }

    /// Who has left or was removed since the last call.
    pub fn take_gone(&mut self) -> Vec<MemberId> {
        std::mem::take(&mut self.gone)
    }

    pub fn subscribes_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.profile.topics.contains(topic))
    }

    /// Removes who has been silent for too long.
    pub fn tick(&mut self, now: Instant) {
        let late = self.members.iter().filter(|(_, member)| member.alive_until <= now);
        let late: Vec<MemberId> = late.map(|(id, _)| id.clone()).collect();
        for id in late {
            tracing::debug!(member = %id, "a member of a share group is silent: it is removed");
            self.remove(&id);
        }
    }

    /// Takes the heartbeat of a member that joins, stays or leaves; it has passed `check`.
    pub fn heartbeat(
        &mut self,
        beat: &Heartbeat,
        layout: &dyn Layout,
        now: Instant,
    ) -> Result<Answer, Refused> {
        if beat.member_epoch == LEFT {
            let left = self.remove(&beat.member_id);
            let left = left.ok_or_else(|| Refused::unknown(&beat.member_id));
            return left.map(|()| Answer {
                member_id: beat.member_id.clone(),
                member_epoch: LEFT,
                assignment: None,
                within: None,
            });
        }
        let id = self.seat(beat, now)?;
        let changed = self.update(&id, beat);
        self.refresh(changed, layout);
        self.retarget_if_due(layout, now);
        let alive_until = now + self.limits.session_timeout;
        let (target, epoch) = (self.targets.get(&id).cloned().unwrap_or_default(), self.assignment_epoch);
        let Some(member) = self.members.get_mut(&id) else { return Err(Refused::unknown(&beat.member_id)) };
        member.alive_until = alive_until;
        let standing = &mut member.standing;
        // Whose answer was lost has to be told once more.
        let is_behind = beat.member_epoch != standing.epoch;
        let moved = standing.assigned != target;
        if standing.epoch != epoch || moved {
            *standing = Standing { epoch, previous_epoch: standing.epoch, assigned: target };
            self.changes.insert(Part::Current(id.clone()));
        }
        let tells = is_behind || moved || beat.member_epoch == 0;
        Ok(Answer {
            member_id: id.to_string(),
            member_epoch: epoch,
            assignment: tells.then(|| member.standing.assigned.clone()),
            within: next_within(self.assigned_at, false, now),
        })
    }

    /// The member that the heartbeat comes from; a new one where it joins.
    fn seat(&mut self, beat: &Heartbeat, now: Instant) -> Result<MemberId, Refused> {
        let id = member_id(&beat.member_id);
        match self.members.get(&id) {
            Some(member) => check_epoch(&member.standing, beat)?,
            None if beat.member_epoch != 0 => return Err(Refused::unknown(&id)),
            None if self.members.len() >= self.limits.members_count_max => {
                let most = self.limits.members_count_max;
                let reason = format!("The share group has reached its maximum capacity of {most} members.");
                return Err(Refused::new(ResponseError::GroupMaxSizeReached, reason));
            }
            None => {
                let member =
                    Member { profile: Profile::default(), standing: Standing::default(), alive_until: now };
                self.members.insert(id.clone(), member);
                self.changes.insert(Part::Member(id.clone()));
            }
        }
        Ok(id)
    }

    /// Takes in what is said; whether the member now subscribes to something else.
    fn update(&mut self, id: &MemberId, beat: &Heartbeat) -> bool {
        let Some(member) = self.members.get_mut(id) else { return false };
        let known = &member.profile;
        let profile = Profile {
            rack_id: beat.rack_id.clone().or_else(|| known.rack_id.clone()),
            client_id: beat.client_id.clone(),
            client_host: beat.client_host.clone(),
            topics: match &beat.topics {
                Some(topics) => topics.iter().cloned().collect(),
                None => known.topics.clone(),
            },
        };
        if profile == member.profile {
            return false;
        }
        let changed = profile.topics != member.profile.topics;
        member.profile = profile;
        self.changes.insert(Part::Member(id.clone()));
        changed
    }

    fn remove(&mut self, id: &str) -> Option<()> {
        let (id, _) = self.members.remove_entry(id)?;
        self.targets.remove(&id);
        self.changes.extend([Part::Member(id.clone()), Part::Target(id.clone()), Part::Current(id.clone())]);
        self.gone.push(id);
        self.layout_version = None; // what is subscribed to may be less now
        self.bump();
        Some(())
    }

    fn bump(&mut self) {
        self.epoch += 1;
        self.changes.insert(Part::Epoch);
    }

    fn refresh(&mut self, changed: bool, layout: &dyn Layout) {
        let version = layout.version();
        let looked = self.layout_version == Some(version);
        if looked && !changed && self.epoch > 0 {
            return;
        }
        self.layout_version = Some(version);
        let topics = self.topics(layout);
        let hash = hash(topics.iter().map(|(id, (_, count))| (*id, *count)));
        let stale = hash != self.metadata_hash && self.epoch == self.assignment_epoch;
        if changed || stale || self.epoch == 0 {
            self.bump();
        }
        if hash != self.metadata_hash {
            self.metadata_hash = hash;
            self.changes.insert(Part::Epoch);
        }
        for (id, (name, count)) in topics {
            if self.shared.get(&id).is_none_or(|(_, known)| *known < count) {
                self.shared.insert(id, (name, count));
                self.changes.insert(Part::Shared);
            }
        }
    }

    /// The topics that anybody subscribes to.
    fn topics(&self, layout: &dyn Layout) -> Shared {
        let names: BTreeSet<&String> =
            self.members.values().flat_map(|member| &member.profile.topics).collect();
        let known = |name: &String| layout.find(name).map(|(id, count)| (id, (name.clone(), count)));
        names.into_iter().filter_map(known).collect()
    }

    /// Whoever comes too early is told of the targets as they are, and of the next ones by a heartbeat after those.
    fn retarget_if_due(&mut self, layout: &dyn Layout, now: Instant) {
        let is_early = |at: Instant| now < at + self.limits.assignment_interval;
        if self.epoch <= self.assignment_epoch || self.assigned_at.is_some_and(is_early) {
            return;
        }
        self.assigned_at = Some(now);
        let subscribed = |member: &Member| -> BTreeSet<Uuid> {
            let found = member.profile.topics.iter().filter_map(|name| layout.find(name));
            found.map(|(id, _)| id).collect()
        };
        let members = self.members.iter().map(|(id, member)| (id.clone(), subscribed(member))).collect();
        let topics = self.topics(layout).into_iter().map(|(id, (_, count))| (id, count)).collect();
        let targets = assignor::assign(&topics, &members);
        let differs = |(id, target): &(&MemberId, &Partitions)| self.targets.get(*id) != Some(*target);
        let changed = targets.iter().filter(differs).map(|(id, _)| Part::Target(id.clone()));
        self.changes.extend(changed);
        self.targets = targets;
        self.assignment_epoch = self.epoch;
        self.changes.insert(Part::TargetEpoch);
    }

    /// These topics are gone, or what is kept of them is.
    pub fn forget(&mut self, topics: &[Uuid]) {
        for topic in topics {
            if self.shared.remove(topic).is_some() {
                self.changes.insert(Part::Shared);
            }
        }
    }

    /// The group shares this topic, whoever is in it.
    pub fn remember(&mut self, topic: Uuid, name: &str, partitions: i32) {
        if self.shared.get(&topic).is_none_or(|(_, known)| *known < partitions) {
            self.shared.insert(topic, (name.to_owned(), partitions));
            self.changes.insert(Part::Shared);
        }
    }
}

fn check_epoch(standing: &Standing, beat: &Heartbeat) -> Result<(), Refused> {
    let (said, known) = (beat.member_epoch, standing.epoch);
    // It joins again, or the answer that told it of its new epoch was lost.
    if said == 0 || said == known || said == standing.previous_epoch {
        return Ok(());
    }
    Err(Refused::fenced("share", said, known))
}

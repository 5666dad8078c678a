//! StreamsGroupHeartbeat: joining, staying, leaving, and what a member is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kafka_protocol::ResponseError;
use tokio::time::Instant;

use super::{
    Assignment, Endpoint, LEFT_FOR_A_WHILE, Member, Profile, Refused, Status, Streams, Tasks,
    reconcile::Standing,
    records::Part,
    topology::{TopicInfo, Topology},
};
use crate::groups::{
    consumer::{layout::Layout, member_id, reconcile::Phase},
    group::MemberId,
    pace::next_within,
};

/// What a member says; what has not changed since its last heartbeat it leaves out.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat {
    pub member_id: String,
    pub member_epoch: i32,
    /// What it last learnt of where others are.
    pub endpoints_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: Option<i32>,
    pub topology: Option<Topology>,
    pub active: Option<Tasks>,
    pub standby: Option<Tasks>,
    pub warmup: Option<Tasks>,
    pub process_id: Option<String>,
    pub endpoint: Option<Endpoint>,
    pub tags: Option<BTreeMap<String, String>>,
    pub tells_offsets: bool,
    pub tells_end_offsets: bool,
    /// The whole application is to end.
    pub shuts_down: bool,
    pub client_id: String,
    pub client_host: String,
}

/// Where the state of a member's tasks is found, and which partitions they read, by topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    pub endpoint: Endpoint,
    pub active: Vec<(String, Vec<i32>)>,
    pub standby: Vec<(String, Vec<i32>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub member_id: String,
    pub member_epoch: i32,
    pub status: Vec<Status>,
    /// What the member has from now on; `None`: as before.
    pub assignment: Option<Assignment>,
    pub endpoints_epoch: i32,
    /// `None`: as the member knows it.
    pub endpoints: Option<Vec<Endpoints>>,
    /// Internal topics that are to be made.
    pub missing: Vec<TopicInfo>,
    /// When it should come again, where that is sooner than by the setting.
    pub within: Option<Duration>,
}

impl Heartbeat {
    fn is_joining(&self) -> bool {
        self.member_epoch == 0
    }

    /// What it says it has; `None`: it says nothing of that.
    fn owned(&self) -> Option<Assignment> {
        let (active, standby, warmup) = (self.active.clone()?, self.standby.clone()?, self.warmup.clone()?);
        Some(Assignment { active, standby, warmup })
    }

    /// What can be said of it without knowing the group.
    pub fn check(&self) -> Result<(), Refused> {
        self.check_supported()?;
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
        let kinds = [&self.active, &self.standby, &self.warmup];
        let is_none = |tasks: &Option<Tasks>| tasks.as_ref().is_none_or(Tasks::is_empty);
        match self.member_epoch {
            _ if self.member_id.trim().is_empty() => invalid("MemberId can't be empty."),
            _ if is_empty(&self.rack_id) => invalid("RackId can't be empty."),
            0 if self.rebalance_timeout_ms.is_none() => {
                invalid("RebalanceTimeoutMs must be provided in first request.")
            }
            0 if !is_none(&self.active) => invalid("ActiveTasks must be empty when (re-)joining."),
            0 if !is_none(&self.standby) => invalid("StandbyTasks must be empty when (re-)joining."),
            0 if self.topology.is_none() => invalid("Topology must be non-null when (re-)joining."),
            0 => self.topology.as_ref().map_or(Ok(()), check_topology),
            LEFT_FOR_A_WHILE => invalid("InstanceId can't be null."),
            epoch @ i32::MIN..LEFT_FOR_A_WHILE => {
                invalid(format!("MemberEpoch is {epoch}, but must be greater than or equal to -2."))
            }
            _ if kinds.iter().any(|tasks| tasks.is_some()) && kinds.iter().any(|tasks| tasks.is_none()) => {
                invalid("If one task-type is non-null, all must be non-null.")
            }
            _ if self.topology.is_some() => invalid("Topology can only be provided when (re-)joining."),
            _ => Ok(()),
        }
    }

    /// What Kafka's protocol has room for, and Kafka does not take either.
    fn check_supported(&self) -> Result<(), Refused> {
        let topology = self.topology.as_ref();
        let has_regex = |topology: &Topology| {
            topology.subtopologies.values().any(|one| !one.source_topic_regex.is_empty())
        };
        let has_warmup = self.warmup.as_ref().is_some_and(|tasks| !tasks.is_empty());
        let unsupported = [
            (self.instance_id.is_some(), "Static membership is not yet supported."),
            (self.tells_offsets, "TaskOffsets are not supported yet."),
            (self.tells_end_offsets, "TaskEndOffsets are not supported yet."),
            (has_warmup, "WarmupTasks are not supported yet."),
            (topology.is_some_and(has_regex), "Regular expressions for source topics are not supported yet."),
        ];
        match unsupported.into_iter().find(|(is_asked, _)| *is_asked) {
            Some((_, reason)) => invalid(reason),
            None => Ok(()),
        }
    }

    fn fill(&self, profile: &mut Profile) {
        if self.rack_id.is_some() {
            profile.rack_id.clone_from(&self.rack_id);
        }
        if let Some(timeout_ms) = self.rebalance_timeout_ms {
            profile.rebalance_timeout_ms = timeout_ms;
        }
        if let Some(topology) = &self.topology {
            profile.topology_epoch = topology.epoch;
        }
        if let Some(process_id) = &self.process_id {
            profile.process_id.clone_from(process_id);
        }
        if self.endpoint.is_some() {
            profile.endpoint.clone_from(&self.endpoint);
        }
        if let Some(tags) = &self.tags {
            profile.tags.clone_from(tags);
        }
        profile.client_id.clone_from(&self.client_id);
        profile.client_host.clone_from(&self.client_host);
    }
}

impl Streams {
    /// Takes the heartbeat of a member that joins, stays or leaves; it has passed `check`.
    pub fn heartbeat(
        &mut self,
        beat: &Heartbeat,
        layout: &dyn Layout,
        now: Instant,
    ) -> Result<Answer, Refused> {
        if beat.member_epoch < 0 {
            return self.leave(beat);
        }
        self.check_seat(beat)?;
        self.take_topology(beat)?;
        let mut changed = self.configure(layout)?;
        let checked = self.check_tasks(beat);
        let id = member_id(&beat.member_id);
        // Whose epoch is over has not heard what it was told last. Kafka does not tell it again.
        let known = self.members.get(&id).map(|member| &member.standing);
        let held = known
            .filter(|standing| standing.epoch == beat.member_epoch)
            .map(|standing| standing.assigned.clone());
        if checked.is_ok() {
            changed |= self.seat(&id, beat, now);
        }
        changed |= self.heading.standbys != Some(self.limits.standbys_count);
        if changed {
            self.heading.standbys = Some(self.limits.standbys_count);
            self.bump();
        }
        checked?;
        let delayed = self.retarget_if_due(now);
        self.reconcile(&id, beat.owned().as_ref(), now);
        if beat.shuts_down {
            self.shut_down_by.get_or_insert_with(|| id.clone());
        }
        self.answer(&id, beat, held, delayed, layout, now)
    }

    fn answer(
        &mut self,
        id: &MemberId,
        beat: &Heartbeat,
        held: Option<Assignment>,
        delayed: Option<Status>,
        layout: &dyn Layout,
        now: Instant,
    ) -> Result<Answer, Refused> {
        let Some(member) = self.members.get(id) else { return Err(Refused::unknown(id)) };
        let (epoch, assigned) = (member.standing.epoch, member.standing.assigned.clone());
        let tells = beat.is_joining() || held.as_ref() != Some(&assigned);
        if tells && member.profile.endpoint.is_some() {
            self.endpoints_epoch += 1;
        }
        let trouble = self.configured.as_ref().and_then(|configured| configured.trouble.clone());
        let waits = member.standing.phase == Phase::Unreleased
            || trouble.as_ref().is_some_and(Status::is_missing_internal);
        let status =
            self.stale(&member.profile).into_iter().chain(delayed).chain(trouble).chain(self.shut_down());
        let until = self.waits_until.map(|until| until.saturating_duration_since(now));
        Ok(Answer {
            member_id: id.to_string(),
            member_epoch: epoch,
            status: status.collect(),
            assignment: tells.then_some(assigned),
            endpoints_epoch: self.endpoints_epoch,
            endpoints: (self.endpoints_epoch != beat.endpoints_epoch).then(|| self.endpoints(layout)),
            missing: self.configured.as_ref().map_or(vec![], |configured| configured.missing.clone()),
            within: until.or_else(|| next_within(self.assigned_at, waits, now)),
        })
    }

    fn leave(&mut self, beat: &Heartbeat) -> Result<Answer, Refused> {
        self.remove(&beat.member_id).ok_or_else(|| Refused::unknown(&beat.member_id))?;
        if beat.shuts_down && !self.members.is_empty() {
            self.shut_down_by.get_or_insert_with(|| member_id(&beat.member_id));
        }
        Ok(Answer {
            member_id: beat.member_id.clone(),
            member_epoch: beat.member_epoch,
            status: vec![],
            assignment: None,
            endpoints_epoch: self.endpoints_epoch,
            endpoints: None,
            missing: vec![],
            within: None,
        })
    }

    /// Whether the heartbeat comes from a member, or from who may become one.
    fn check_seat(&self, beat: &Heartbeat) -> Result<(), Refused> {
        let most = self.limits.members_count_max;
        match self.members.get(&*beat.member_id) {
            Some(_) if beat.is_joining() => Ok(()),
            Some(member) => check_epoch(&member.standing, beat),
            None if !beat.is_joining() => Err(Refused::unknown(&beat.member_id)),
            None if self.members.len() >= most => {
                let reason = format!("The streams group has reached its maximum capacity of {most} members.");
                Err(Refused::new(ResponseError::GroupMaxSizeReached, reason))
            }
            None => Ok(()),
        }
    }

    /// The first topology that comes is that of the group.
    fn take_topology(&mut self, beat: &Heartbeat) -> Result<(), Refused> {
        match (&self.topology, &beat.topology) {
            (None, None) => invalid("Topology must be non-null when (re-)joining."),
            (None, Some(topology)) => {
                self.topology = Some(topology.clone());
                self.changes.insert(Part::Topology);
                Ok(())
            }
            (Some(known), Some(topology)) if topology.epoch >= known.epoch && topology != known => {
                invalid("Topology updates are not supported yet.")
            }
            (Some(_), _) => Ok(()),
        }
    }

    /// Whether there are the tasks that the member says it has.
    fn check_tasks(&self, beat: &Heartbeat) -> Result<(), Refused> {
        let Some(configured) = self.configured.as_ref().filter(|configured| configured.trouble.is_none())
        else {
            return Ok(());
        };
        for (id, numbers) in [&beat.active, &beat.standby, &beat.warmup].into_iter().flatten().flatten() {
            let Some(count) = configured.tasks.get(id) else {
                return invalid(format!("Subtopology {id} does not exist in the topology."));
            };
            if let Some(number) = numbers.iter().find(|number| !(0..*count).contains(*number)) {
                return invalid(format!(
                    "Task {number} for subtopology {id} is invalid. Number of tasks for this subtopology: {count}"
                ));
            }
        }
        Ok(())
    }

    /// Takes in what is said; whether that is new.
    fn seat(&mut self, id: &MemberId, beat: &Heartbeat, now: Instant) -> bool {
        let alive_until = now + self.limits.session_timeout;
        if self.members.is_empty() && !self.limits.initial_delay.is_zero() {
            self.waits_until = Some(now + self.limits.initial_delay);
        }
        let member = self.members.entry(id.clone()).or_insert_with(|| Member {
            profile: Profile::default(),
            standing: Standing::default(),
            alive_until,
            act_until: None,
        });
        member.alive_until = alive_until;
        let mut profile = member.profile.clone();
        beat.fill(&mut profile);
        if profile == member.profile {
            return false;
        }
        member.profile = profile;
        self.changes.insert(Part::Member(id.clone()));
        true
    }

    fn stale(&self, profile: &Profile) -> Option<Status> {
        let known = self.topology.as_ref()?.epoch;
        let said = profile.topology_epoch;
        let detail =
            format!("The member's topology epoch {said} is behind the group's topology epoch {known}.");
        (said < known).then(|| Status::stale_topology(detail))
    }

    fn shut_down(&self) -> Option<Status> {
        let by = self.shut_down_by.as_ref()?;
        Some(Status::shutdown(format!(
            "Streams group member {by} encountered a fatal error and requested a shutdown for the entire application."
        )))
    }

    /// Where everybody is who wants to be found.
    fn endpoints(&self, layout: &dyn Layout) -> Vec<Endpoints> {
        let of = |member: &Member| {
            Some(Endpoints {
                endpoint: member.profile.endpoint.clone()?,
                active: self.read_by(&member.standing.assigned.active, layout),
                standby: self.read_by(&member.standing.assigned.standby, layout),
            })
        };
        self.members.values().filter_map(of).collect()
    }

    /// The partitions that these tasks read.
    fn read_by(&self, tasks: &Tasks, layout: &dyn Layout) -> Vec<(String, Vec<i32>)> {
        let Some(topology) = &self.topology else { return vec![] };
        let inputs = |(id, numbers): (&String, &BTreeSet<i32>)| {
            let topics = topology.subtopologies.get(id).into_iter().flat_map(|one| one.inputs());
            let each = topics.filter_map(|topic| {
                let (_, count) = layout.find(topic)?;
                Some((topic.to_owned(), numbers.iter().copied().filter(|number| *number < count).collect()))
            });
            each.collect::<Vec<(String, Vec<i32>)>>()
        };
        tasks.iter().flat_map(inputs).collect()
    }
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::new(ResponseError::InvalidRequest, reason))
}

fn check_topology(topology: &Topology) -> Result<(), Refused> {
    topology.check_size()?;
    let mut changelogs = topology.subtopologies.values().flat_map(|one| &one.state_changelog_topics);
    let Some(topic) = changelogs.find(|topic| topic.partitions != 0) else { return Ok(()) };
    let reason = format!(
        "Changelog topic {} must have an undefined partition count, but it is set to {}.",
        topic.name, topic.partitions
    );
    Err(Refused::new(ResponseError::StreamsInvalidTopology, reason))
}

fn check_epoch(standing: &Standing, beat: &Heartbeat) -> Result<(), Refused> {
    let (said, known) = (beat.member_epoch, standing.epoch);
    // The answer that told it of its new epoch may have been lost.
    let lost_an_answer = said == standing.previous_epoch
        && [
            (&beat.active, &standing.assigned.active),
            (&beat.standby, &standing.assigned.standby),
            (&beat.warmup, &standing.assigned.warmup),
        ]
        .into_iter()
        .all(|(said, known)| said.as_ref().is_some_and(|said| is_subset(said, known)));
    if said == known || (said < known && lost_an_answer) {
        return Ok(());
    }
    Err(Refused::fenced("streams", said, known))
}

fn is_subset(some: &Tasks, of: &Tasks) -> bool {
    some.iter().all(|(id, numbers)| of.get(id).is_some_and(|all| numbers.is_subset(all)))
}

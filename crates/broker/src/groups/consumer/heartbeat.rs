//! ConsumerGroupHeartbeat: joining, staying, leaving, and being fenced.

use std::time::Duration;

use kafka_protocol::ResponseError;
use regex::{Regex, RegexBuilder};
use tokio::time::Instant;

use super::{
    Consumer, LEFT, LEFT_FOR_A_WHILE, Limits, Member, Partitions, Profile, Refused, assignor,
    layout::{Layout, Seen, Sight},
    member_id,
    reconcile::{Phase, Standing},
    records::Part,
};
use crate::groups::{group::MemberId, pace::next_within};

/// A compiled expression may take this much memory.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What a member says; what has not changed since its last heartbeat it leaves out.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat {
    pub member_id: String,
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: Option<i32>,
    pub topics: Option<Vec<String>>,
    pub regex: Option<String>,
    pub assignor: Option<String>,
    pub owned: Option<Partitions>,
    pub client_id: String,
    pub client_host: String,
    pub sight: Sight,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub member_id: String,
    pub member_epoch: i32,
    /// What the member holds from now on; `None`: as before.
    pub assignment: Option<Partitions>,
    /// When it should come again, where that is sooner than by the setting.
    pub within: Option<Duration>,
}

/// The whole of a name must match, as with RE2/J's `matches`.
pub fn whole_pattern(regex: &str) -> Result<Regex, regex::Error> {
    Regex::new(regex)?; // on its own: `a)(b` must not become right by what is put around it
    RegexBuilder::new(&format!("^(?:{regex})$")).size_limit(REGEX_BYTES_MAX).build()
}

impl Heartbeat {
    fn is_joining(&self) -> bool {
        self.member_epoch == 0
    }

    /// Says all there is to say: it wants to be told all there is, too.
    fn is_full(&self) -> bool {
        self.rebalance_timeout_ms.is_some()
            && (self.topics.is_some() || self.regex.is_some())
            && self.owned.is_some()
    }

    /// What can be said of it without knowing the group.
    pub fn check(&self) -> Result<(), Refused> {
        let invalid = |reason: &str| Err(Refused::new(ResponseError::InvalidRequest, reason));
        let empty = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
        match self.member_epoch {
            _ if self.member_id.trim().is_empty() => return invalid("MemberId can't be empty."),
            _ if empty(&self.instance_id) => return invalid("InstanceId can't be empty."),
            _ if empty(&self.rack_id) => return invalid("RackId can't be empty."),
            0 if self.rebalance_timeout_ms.is_none() => {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            0 if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) => {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            0 if self.topics.is_none() && self.regex.is_none() => {
                return invalid(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                );
            }
            LEFT_FOR_A_WHILE if self.instance_id.is_none() => return invalid("InstanceId can't be null."),
            i32::MIN..LEFT_FOR_A_WHILE => return invalid("MemberEpoch is invalid."),
            _ => {}
        }
        if let Some(name) = &self.assignor
            && !assignor::NAMES.contains(&&**name)
        {
            let reason = format!(
                "ServerAssignor {name} is not supported. Supported assignors: {}.",
                assignor::NAMES.join(", ")
            );
            return Err(Refused::new(ResponseError::UnsupportedAssignor, reason));
        }
        let wrong = |regex: &String| whole_pattern(regex).err().map(|error| (regex.clone(), error));
        match self.regex.as_ref().filter(|regex| !regex.is_empty()).and_then(wrong) {
            None => Ok(()),
            Some((regex, error)) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default();
                let reason =
                    format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {why}.");
                Err(Refused::new(ResponseError::InvalidRegularExpression, reason))
            }
        }
    }

    fn fill(&self, profile: &mut Profile) {
        let keep = |into: &mut Option<String>, said: &Option<String>| {
            if said.is_some() {
                into.clone_from(said);
            }
        };
        keep(&mut profile.instance_id, &self.instance_id);
        keep(&mut profile.rack_id, &self.rack_id);
        keep(&mut profile.assignor, &self.assignor);
        if let Some(timeout_ms) = self.rebalance_timeout_ms {
            profile.rebalance_timeout_ms = timeout_ms;
        }
        if let Some(topics) = &self.topics {
            profile.topics = topics.iter().cloned().collect();
        }
        if let Some(regex) = &self.regex {
            profile.regex.clone_from(regex);
        }
        profile.client_id.clone_from(&self.client_id);
        profile.client_host.clone_from(&self.client_host);
        profile.classic = None;
    }
}

impl Consumer {
    /// Takes the heartbeat of a member that stays or joins; it has passed `check`.
    pub fn heartbeat(
        &mut self,
        beat: &Heartbeat,
        layout: &dyn Layout,
        now: Instant,
    ) -> Result<Answer, Refused> {
        let layout = &Seen { all: layout, sight: &beat.sight };
        self.check_room(&beat.member_id)?;
        let id = self.seat(beat, now)?;
        let held = self.members.get(&id).map(|member| member.standing.assigned.clone());
        let changed = self.update(&id, |profile| beat.fill(profile));
        self.advance(&id, changed, beat.owned.as_ref(), layout, now);
        let alive_until = now + self.session_timeout();
        let Some(member) = self.members.get_mut(&id) else { return Err(Refused::unknown(&beat.member_id)) };
        member.alive_until = alive_until;
        let (assigned, waits) = (&member.standing.assigned, member.standing.phase == Phase::Unreleased);
        let tells = beat.is_joining() || beat.is_full() || held.as_ref() != Some(assigned);
        Ok(Answer {
            member_id: id.to_string(),
            member_epoch: member.standing.epoch,
            assignment: tells.then(|| assigned.clone()),
            within: next_within(self.assigned_at, waits, now),
        })
    }

    /// Takes a member's leave; a static one may say that it will be back.
    pub fn leave(&mut self, beat: &Heartbeat) -> Result<Answer, Refused> {
        let id = match &beat.instance_id {
            None => member_id(&beat.member_id),
            Some(instance_id) => {
                let holder = self.statics.get(instance_id).ok_or_else(|| unknown_instance(instance_id))?;
                check_holder(holder, beat, instance_id)?;
                holder.clone()
            }
        };
        let Some(member) = self.members.get_mut(&id) else { return Err(Refused::unknown(&beat.member_id)) };
        if beat.member_epoch == LEFT_FOR_A_WHILE {
            let revoking = std::mem::take(&mut member.standing.revoking);
            member.standing.epoch = LEFT_FOR_A_WHILE;
            member.act_until = None;
            self.disown(&id, &Standing { revoking, ..Standing::default() });
            self.changes.insert(Part::Current(id));
        } else {
            self.remove(&id);
        }
        let member_epoch = if beat.member_epoch == LEFT_FOR_A_WHILE { LEFT_FOR_A_WHILE } else { LEFT };
        Ok(Answer { member_id: beat.member_id.clone(), member_epoch, assignment: None, within: None })
    }

    fn session_timeout(&self) -> Duration {
        self.limits.session_timeout
    }

    /// They hold from each member's next heartbeat on.
    pub fn set_times(&mut self, session_timeout: Duration, assignment_interval: Duration) {
        self.limits = Limits { session_timeout, assignment_interval, ..self.limits };
    }

    pub(super) fn check_room(&self, member_id: &str) -> Result<(), Refused> {
        let most = self.limits.members_count_max;
        if self.members.len() < most || self.members.contains_key(member_id) {
            return Ok(());
        }
        let reason = format!("The consumer group has reached its maximum capacity of {most} members.");
        Err(Refused::new(ResponseError::GroupMaxSizeReached, reason))
    }

    /// The member that the heartbeat comes from; a new one where it joins.
    fn seat(&mut self, beat: &Heartbeat, now: Instant) -> Result<MemberId, Refused> {
        let id = member_id(&beat.member_id);
        let Some(instance_id) = &beat.instance_id else {
            match self.members.get(&id) {
                Some(member) => check_epoch(member, beat)?,
                None if beat.is_joining() => {
                    self.put_member(id.clone(), Profile::default(), Standing::default(), now)
                }
                None => return Err(Refused::unknown(&id)),
            }
            return Ok(id);
        };
        let holder = self.statics.get(instance_id).cloned();
        match holder {
            None if beat.is_joining() => {
                let profile = Profile { instance_id: Some(instance_id.clone()), ..Profile::default() };
                self.put_member(id.clone(), profile, Standing::default(), now);
            }
            None => return Err(unknown_instance(instance_id)),
            Some(holder) if beat.is_joining() => {
                let is_free = self
                    .members
                    .get(&holder)
                    .is_none_or(|member| member.is_classic() || member.standing.epoch == LEFT_FOR_A_WHILE);
                if !is_free {
                    let reason = format!(
                        "Static member {id} with instance id {instance_id} cannot join the group because the \
                         instance id is owned by {holder} member."
                    );
                    return Err(Refused::new(ResponseError::UnreleasedInstanceId, reason));
                }
                self.replace(&holder, &id, now);
            }
            Some(holder) => {
                check_holder(&holder, beat, instance_id)?;
                let member = self.members.get(&id).ok_or_else(|| Refused::unknown(&id))?;
                check_epoch(member, beat)?;
            }
        }
        Ok(id)
    }

    /// A static member comes back, maybe under another id: what it held, and was meant to hold, is still its own.
    pub(super) fn replace(&mut self, old: &MemberId, new: &MemberId, now: Instant) {
        let Some(member) = self.members.remove(old) else { return };
        let target = self.targets.remove(old);
        self.disown(old, &member.standing);
        self.changes.extend([
            Part::Member(old.clone()),
            Part::Target(old.clone()),
            Part::Current(old.clone()),
        ]);
        let previous_epoch = member.standing.epoch;
        let standing = Standing { epoch: 0, previous_epoch, ..member.standing };
        self.put_member(new.clone(), member.profile, standing, now);
        if let Some(target) = target {
            self.targets.insert(new.clone(), target);
            self.changes.insert(Part::Target(new.clone()));
        }
    }

    /// Changes what is known of a member; whether it now subscribes to something else.
    pub(super) fn update(&mut self, id: &MemberId, change: impl FnOnce(&mut Profile)) -> bool {
        let Some(member) = self.members.get_mut(id) else { return false };
        let mut profile = member.profile.clone();
        change(&mut profile);
        if profile == member.profile {
            return false;
        }
        let changed = profile.topics != member.profile.topics || profile.regex != member.profile.regex;
        member.profile = profile;
        self.changes.insert(Part::Member(id.clone()));
        changed
    }
}

fn check_epoch(member: &Member, beat: &Heartbeat) -> Result<(), Refused> {
    let (said, known) = (beat.member_epoch, member.standing.epoch);
    // The answer that told it of its new epoch may have been lost.
    let lost_an_answer = said == member.standing.previous_epoch
        && beat.owned.as_ref().is_some_and(|owned| is_subset(owned, &member.standing.assigned));
    if said == known || (said < known && lost_an_answer) {
        return Ok(());
    }
    Err(Refused::fenced("consumer", said, known))
}

fn check_holder(holder: &str, beat: &Heartbeat, instance_id: &str) -> Result<(), Refused> {
    if holder == beat.member_id {
        return Ok(());
    }
    let reason = format!(
        "Static member {} with instance id {instance_id} was fenced by member {holder}.",
        beat.member_id
    );
    Err(Refused::new(ResponseError::FencedInstanceId, reason))
}

fn is_subset(some: &Partitions, of: &Partitions) -> bool {
    some.iter().all(|(topic, partitions)| of.get(topic).is_some_and(|all| partitions.is_subset(all)))
}

fn unknown_instance(instance_id: &str) -> Refused {
    Refused::new(ResponseError::UnknownMemberId, format!("Instance id {instance_id} is unknown."))
}

//! Members of the classic protocol in a consumer group: while a group moves from one protocol to the other, both are in it.
//!
//! Such a member joins and syncs as ever, but alone: the broker assigns, and nobody leads. Its generation is its epoch.

use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::time::Instant;

use super::{
    ClassicProfile, Consumer, Member, Partitions, Profile,
    embedded::{Assignment, Subscription, with_ids, with_names},
    layout::{Layout, Seen},
    member_id, millis,
    reconcile::{Phase, Standing},
};
use crate::groups::group::{Claim, Join, Joined, MemberId, Synced};

/// The one type of protocol that both speak.
pub const PROTOCOL_TYPE: &str = "consumer";

impl Consumer {
    /// Takes a classic member over from its own kind of group: it holds what it was given there.
    pub fn adopt(&mut self, id: MemberId, profile: Profile, assigned: Partitions, now: Instant) {
        let mut standing = Standing {
            epoch: self.epoch,
            previous_epoch: self.epoch,
            assigned: assigned.clone(),
            ..Standing::default()
        };
        standing.since = standing.places().map(|place| (place, self.epoch)).collect();
        self.targets.insert(id.clone(), assigned);
        self.put_member(id, profile, standing, now);
    }

    /// Nobody in it speaks the consumer protocol any more.
    pub fn is_left_to_classic(&self) -> bool {
        !self.members.is_empty() && self.members.values().all(Member::is_classic)
    }

    /// Takes a JoinGroup; `new_id` is used where the member has none yet.
    pub fn join_classic(&mut self, join: &Join, new_id: &str, layout: &dyn Layout, now: Instant) -> Joined {
        match self.try_join(join, new_id, layout, now) {
            Ok(joined) => joined,
            Err(error @ ResponseError::MemberIdRequired) => Joined::error(new_id, error),
            Err(error) => Joined::error(&join.member_id, error),
        }
    }

    fn try_join(
        &mut self,
        join: &Join,
        new_id: &str,
        layout: &dyn Layout,
        now: Instant,
    ) -> Result<Joined, ResponseError> {
        let layout = &Seen { all: layout, sight: &join.sight };
        let is_new = join.member_id.is_empty();
        let id = member_id(if is_new { new_id } else { &join.member_id });
        self.check_room(&id).map_err(|refused| refused.error)?;
        if !self.takes_protocols(join, &id) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let (name, metadata) = join.protocols.first().ok_or(ResponseError::InconsistentGroupProtocol)?;
        let subscription = Subscription::read(metadata).ok_or(ResponseError::InconsistentGroupProtocol)?;
        if is_new && join.instance_id.is_none() && join.member_id_required {
            return Err(ResponseError::MemberIdRequired);
        }
        self.seat_classic(join, &id, now)?;
        let owned = with_ids(&subscription.owned, layout);
        let changed = self.update(&id, |profile| {
            *profile = Profile {
                instance_id: join.instance_id.clone(),
                rack_id: subscription.rack_id,
                client_id: join.client_id.clone(),
                client_host: join.client_host.clone(),
                topics: subscription.topics,
                regex: String::new(),
                rebalance_timeout_ms: join.rebalance_timeout_ms,
                assignor: None,
                classic: Some(ClassicProfile {
                    session_timeout_ms: join.session_timeout_ms,
                    protocols: join.protocols.clone(),
                }),
            };
        });
        self.advance(&id, changed, Some(&owned), layout, now);
        let member = self.members.get_mut(&id).ok_or(ResponseError::UnknownMemberId)?;
        member.beat(now);
        member.act_until = Some(now + millis(join.rebalance_timeout_ms)); // to sync
        Ok(Joined {
            generation_id: member.standing.epoch,
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol: Some(name.clone()),
            member_id: id.to_string(),
            ..Joined::default()
        })
    }

    fn seat_classic(&mut self, join: &Join, id: &MemberId, now: Instant) -> Result<(), ResponseError> {
        let holder = join.instance_id.as_ref().and_then(|instance| self.statics.get(instance)).cloned();
        match (&join.instance_id, holder) {
            (None, _) if self.members.contains_key(id) => Ok(()),
            (Some(_), None) if !join.member_id.is_empty() => Err(ResponseError::UnknownMemberId),
            (None, _) | (Some(_), None) => {
                let profile = Profile { instance_id: join.instance_id.clone(), ..Profile::default() };
                self.put_member(id.clone(), profile, Standing::default(), now);
                Ok(())
            }
            (Some(_), Some(holder)) if join.member_id.is_empty() => {
                self.replace(&holder, id, now);
                Ok(())
            }
            (Some(_), Some(holder)) if holder != *id => Err(ResponseError::FencedInstanceId),
            (Some(_), Some(_)) => Ok(()),
        }
    }

    /// The other classic members must share one of its protocols.
    fn takes_protocols(&self, join: &Join, id: &str) -> bool {
        let others: Vec<&ClassicProfile> = self
            .members
            .iter()
            .filter(|(other, _)| ***other != *id)
            .filter_map(|(_, member)| member.profile.classic.as_ref())
            .collect();
        let all_have =
            |name: &str| others.iter().all(|other| other.protocols.iter().any(|(theirs, _)| theirs == name));
        join.protocol_type == PROTOCOL_TYPE && join.protocols.iter().any(|(name, _)| all_have(name))
    }

    /// Takes a SyncGroup: what the member holds.
    pub fn sync_classic(
        &mut self,
        claim: Claim<'_>,
        protocol_type: Option<&str>,
        protocol: Option<&str>,
        layout: &dyn Layout,
        now: Instant,
    ) -> Result<Synced, ResponseError> {
        let group_epoch = self.epoch;
        let member = self.classic_member(claim)?;
        let classic = member.profile.classic.as_ref().ok_or(ResponseError::UnknownMemberId)?;
        let name = classic.protocols.first().map(|(name, _)| name.clone()).unwrap_or_default();
        if protocol_type.is_some_and(|text| text != PROTOCOL_TYPE)
            || protocol.is_some_and(|text| text != name)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if group_epoch > member.standing.epoch && member.standing.phase != Phase::Unrevoked {
            member.must_join(now);
            return Err(ResponseError::RebalanceInProgress);
        }
        member.act_until = None;
        member.beat(now);
        Ok(Synced {
            error: None,
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol: Some(name),
            assignment: Assignment::write(&with_names(&member.standing.assigned, layout)),
        })
    }

    /// Takes a Heartbeat: who has something to give up or to be given has to join again.
    pub fn beat_classic(&mut self, claim: Claim<'_>, now: Instant) -> Result<(), ResponseError> {
        let group_epoch = self.epoch;
        let waits = self.waits_for_others(claim.member_id);
        let member = self.classic_member(claim)?;
        member.beat(now);
        let due = match member.standing.phase {
            Phase::Unrevoked => true,
            Phase::Unreleased => !waits,
            Phase::Stable | Phase::Unknown => false,
        };
        if due || member.standing.epoch < group_epoch {
            member.must_join(now);
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Takes a LeaveGroup; `member_id` may be empty where a static member is named by its instance.
    pub fn leave_classic(&mut self, member_id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        let id = match instance_id {
            Some(instance_id) => {
                let holder = self.statics.get(instance_id).ok_or(ResponseError::UnknownMemberId)?;
                if !member_id.is_empty() && **holder != *member_id {
                    return Err(ResponseError::FencedInstanceId);
                }
                holder.to_string()
            }
            None => member_id.to_owned(),
        };
        self.remove(&id).map(|_| ()).ok_or(ResponseError::UnknownMemberId)
    }

    fn classic_member(&mut self, claim: Claim<'_>) -> Result<&mut Member, ResponseError> {
        if let Some(instance_id) = claim.instance_id {
            match self.statics.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(id) if **id != *claim.member_id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        let member = self.members.get_mut(claim.member_id).filter(|member| member.is_classic());
        let member = member.ok_or(ResponseError::UnknownMemberId)?;
        match member.standing.epoch == claim.generation_id {
            true => Ok(member),
            false => Err(ResponseError::IllegalGeneration),
        }
    }

    /// Whether something of the member's target is still held by another.
    fn waits_for_others(&self, member_id: &str) -> bool {
        let (Some(target), Some(member)) = (self.targets.get(member_id), self.members.get(member_id)) else {
            return false;
        };
        let held = |topic, partition: &i32| {
            member.standing.assigned.get(topic).is_some_and(|numbers| numbers.contains(partition))
        };
        target.iter().any(|(topic, numbers)| {
            let missing = numbers.iter().filter(|partition| !held(topic, partition));
            missing.into_iter().any(|partition| self.owners.contains_key(&(*topic, *partition)))
        })
    }
}

impl Member {
    fn beat(&mut self, now: Instant) {
        let session = self
            .profile
            .classic
            .as_ref()
            .map_or(Duration::ZERO, |classic| millis(classic.session_timeout_ms));
        self.alive_until = now + session;
    }

    fn must_join(&mut self, now: Instant) {
        let longest = millis(self.profile.rebalance_timeout_ms);
        self.act_until.get_or_insert(now + longest);
    }
}

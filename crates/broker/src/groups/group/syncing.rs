//! Syncing: the leader's assignments come in, are stored, and go out to the members.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::{sync::oneshot, time::Instant};

use super::{Claim, Group, State, Synced};

impl Group {
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

    pub(super) fn answer_syncs(&mut self, error: Option<ResponseError>, now: Instant) {
        // What was on its way to the members never reaches them; what they had before, they have.
        let never_came = error.is_some() && self.state == State::CompletingRebalance;
        for member in self.members.values_mut() {
            if never_came {
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
}

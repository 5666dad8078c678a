//! From one kind of group to the other while members are in it (`group.consumer.migration.policy`).

use kafka_protocol::ResponseError;
use tokio::time::Instant;

use super::{Group, Member, State, Synced, refuse};
use crate::groups::consumer::{
    ClassicProfile, Consumer, Limits, PROTOCOL_TYPE, Profile, Refused,
    embedded::{Assignment, Subscription, with_ids, with_names},
    layout::Layout,
};

/// The assignor that every client has under this name.
const COOPERATIVE_STICKY: &str = "cooperative-sticky";

impl Group {
    /// Who is in the group goes on in a consumer group: each with what it had, and called to join again.
    ///
    /// # Errors
    /// Its members speak something else than consumers do. Nothing is changed then.
    pub fn upgrade(&mut self, limits: Limits, layout: &dyn Layout, now: Instant) -> Result<(), Refused> {
        let cannot = |why: &str| {
            let reason = format!("Cannot upgrade classic group {} to consumer group: {why}.", self.id);
            Refused::new(ResponseError::GroupIdNotFound, reason)
        };
        if self.protocol_type.as_deref() != Some(PROTOCOL_TYPE) {
            return Err(cannot("it does not use the consumer embedded protocol"));
        }
        let mut consumer = Consumer::new(limits);
        (consumer.epoch, consumer.assignment_epoch) = (self.generation_id, self.generation_id);
        for (id, member) in &self.members {
            let metadata = match &self.protocol {
                Some(name) => member.metadata(name),
                None => member.protocols.first().map(|(_, bytes)| bytes.clone()).unwrap_or_default(),
            };
            let (Some(subscription), Some(assignment)) =
                (Subscription::read(&metadata), Assignment::read(&member.assignment))
            else {
                return Err(cannot("what its members say is not understood"));
            };
            // The sticky assignor keeps there what the member had before, which the consumer protocol tells by itself.
            let is_sticky = self.protocol.as_deref() == Some(COOPERATIVE_STICKY);
            if !assignment.user_data.is_empty() && !is_sticky {
                return Err(cannot("userData from a custom assignor would be lost"));
            }
            let assigned = with_ids(&assignment.partitions, layout);
            consumer.adopt(id.clone(), profile_of(member, subscription), assigned, now);
        }
        consumer.changes.extend(consumer.parts());
        self.step_aside();
        self.consumer = Some(Box::new(consumer));
        Ok(())
    }

    /// Whoever waits is told to join again; what is left is a group without members.
    fn step_aside(&mut self) {
        for (id, mut member) in self.members.drain(..) {
            if let Some(answer) = member.joining.take() {
                refuse(answer, &id, ResponseError::RebalanceInProgress);
            }
            if let Some(answer) = member.syncing.take() {
                answer.send(Synced::error(ResponseError::RebalanceInProgress)).ok();
            }
        }
        self.statics.clear();
        self.pending.clear();
        (self.phase_until, self.initial_until, self.storing_generation) = (None, None, None);
        (self.protocol, self.leader, self.state) = (None, None, State::Empty);
        self.store_due = false;
    }

    /// The last member that spoke the consumer protocol has gone: the others rebalance among themselves.
    pub fn downgrade(&mut self, layout: &dyn Layout, now: Instant) {
        let Some(consumer) = self.consumer.take() else { return };
        self.generation_id = consumer.epoch;
        self.protocol_type = Some(PROTOCOL_TYPE.to_owned());
        for (id, member) in consumer.members {
            let target = consumer.targets.get(&id).cloned().unwrap_or_default();
            let assignment = Assignment::write(&with_names(&target, layout));
            let Some(classic) = member.profile.classic else { continue };
            if let Some(instance_id) = &member.profile.instance_id {
                self.statics.insert(instance_id.clone(), id.clone());
            }
            let mut here = Member {
                id: id.clone(),
                instance_id: member.profile.instance_id,
                client_id: member.profile.client_id,
                client_host: member.profile.client_host,
                session_timeout_ms: classic.session_timeout_ms,
                rebalance_timeout_ms: member.profile.rebalance_timeout_ms,
                protocols: classic.protocols,
                assignment,
                alive_until: now,
                is_new: false,
                joining: None,
                syncing: None,
            };
            here.beat(now);
            self.members.insert(id, here);
        }
        self.leader = self.members.keys().next().cloned();
        self.protocol = self.select_protocol();
        self.state = State::Stable;
        self.prepare_rebalance(now);
    }
}

fn profile_of(member: &Member, subscription: Subscription) -> Profile {
    Profile {
        instance_id: member.instance_id.clone(),
        rack_id: subscription.rack_id,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: subscription.topics,
        regex: String::new(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicProfile {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    }
}

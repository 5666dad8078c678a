//! What requests of the consumer protocol want of the groups, and how a group comes to be of the one kind or the other.

use std::future::Future;

use kafka_protocol::ResponseError;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Groups, SharedGroup,
    configs::Setting,
    consumer::{
        Answer, Consumer, Heartbeat, Limits, Refused,
        records::{StoredConsumer, encode, tombstones},
    },
    group::{Group, Join, Joined, State},
    journal::{Change, KeyValue},
    records::{Key, StoredGroup},
    sharing::millis,
};
use crate::{
    options::Options,
    shares::{Written, written},
};

/// Whether members of the other protocol may join a group that has members (`group.consumer.migration.policy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MigrationPolicy {
    Disabled,
    /// A consumer that joins a classic group makes it a consumer group.
    Upgrade,
    /// A consumer group whose last consumer leaves goes on as a classic one.
    Downgrade,
    #[default]
    Bidirectional,
}

impl MigrationPolicy {
    /// Kafka's word for it.
    pub fn word(self) -> &'static str {
        match self {
            MigrationPolicy::Disabled => "disabled",
            MigrationPolicy::Upgrade => "upgrade",
            MigrationPolicy::Downgrade => "downgrade",
            MigrationPolicy::Bidirectional => "bidirectional",
        }
    }

    fn may_upgrade(self) -> bool {
        matches!(self, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional)
    }

    fn may_downgrade(self) -> bool {
        matches!(self, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional)
    }
}

pub(super) struct Settings {
    pub limits: Limits,
    pub share: super::share::Limits,
    pub migration: MigrationPolicy,
}

impl Settings {
    pub fn of(options: &Options) -> Settings {
        let limits = Limits {
            session_timeout: millis(options.group_consumer_session_timeout_ms),
            assignment_interval: millis(options.group_consumer_assignment_interval_ms),
            members_count_max: options.group_consumer_max_size as usize,
        };
        Settings {
            limits,
            share: super::sharing::limits(options),
            migration: options.group_consumer_migration_policy,
        }
    }
}

impl Groups {
    /// Takes a ConsumerGroupHeartbeat; answered when what follows from it is in the log.
    ///
    /// # Errors
    /// The member is not who it says, or its epoch is over; Kafka's code and a sentence.
    pub async fn consumer_heartbeat(&self, group_id: &str, beat: Heartbeat) -> Result<Answer, Refused> {
        if group_id.trim().is_empty() {
            return Err(Refused::new(ResponseError::InvalidRequest, "GroupId can't be empty."));
        }
        beat.check()?;
        let (answer, stored) = {
            let group = self.consumer_group(group_id, beat.member_epoch)?;
            let mut group = group.lock();
            let now = Instant::now();
            let converted = self.make_consumer(&mut group, beat.member_epoch, now)?;
            let Some(consumer) = &mut group.consumer else { return Err(not_a_consumer_group(group_id)) };
            let time = |setting| millis(self.setting(group_id, setting));
            consumer.set_times(time(Setting::SessionTimeout), time(Setting::AssignmentInterval));
            let answer = match beat.member_epoch {
                0.. => consumer.heartbeat(&beat, &*self.layout, now),
                _ => consumer.leave(&beat),
            };
            (answer, self.store_consumer_after(&mut group, converted))
        };
        self.stir.notify_one();
        let stored = written(stored).await;
        let answer = answer?;
        stored.map_err(|error| Refused::new(error, "The group's state cannot be written."))?;
        Ok(answer)
    }

    fn consumer_group(&self, group_id: &str, member_epoch: i32) -> Result<SharedGroup, Refused> {
        match self.get(group_id) {
            Some(group) => Ok(group),
            None if member_epoch == 0 => {
                self.get_or_make(group_id).map_err(|error| Refused::new(error, "There are too many groups."))
            }
            None => {
                let reason = format!("Consumer group {group_id} not found.");
                Err(Refused::new(ResponseError::GroupIdNotFound, reason))
            }
        }
    }

    /// A group that a consumer joins becomes a consumer group, where it is none yet; the records that this takes.
    fn make_consumer(
        &self,
        group: &mut Group,
        member_epoch: i32,
        now: Instant,
    ) -> Result<Vec<KeyValue>, Refused> {
        if group.state == State::Dead {
            return Err(Refused::new(ResponseError::CoordinatorNotAvailable, "The group is being deleted."));
        }
        if group.consumer.is_some() {
            return Ok(vec![]);
        }
        if group.modern().is_some() {
            return Err(not_a_consumer_group(&group.id));
        }
        let gone = vec![(Key::Group { group: group.id.to_string() }.encode(), None)];
        if member_epoch != 0 {
            return Err(not_a_consumer_group(&group.id));
        }
        if group.is_bare() {
            let was_stored = group.protocol_type.is_some();
            group.consumer = Some(Box::new(Consumer::new(self.consuming.limits)));
            return Ok(if was_stored { gone } else { vec![] });
        }
        if !self.consuming.migration.may_upgrade() {
            return Err(not_a_consumer_group(&group.id));
        }
        group.upgrade(self.consuming.limits, &*self.layout, now)?;
        Ok(gone)
    }

    /// Whether the group is a consumer group with members; an empty one gives way to the classic protocol.
    pub(super) fn is_consumer(&self, group: &mut Group) -> bool {
        if group.state == State::Dead {
            return false;
        }
        let Some(consumer) = group.consumer.take_if(|consumer| consumer.members.is_empty()) else {
            return group.consumer.is_some();
        };
        let parts = consumer.parts();
        let records = tombstones(&group.id, &parts);
        self.write(group, Change::Consumer { parts, records }, None);
        false
    }

    /// A classic member joins a consumer group; the answer comes when that is in the log.
    pub(super) fn join_consumer(
        &self,
        group: &mut Group,
        join: &Join,
        new_id: &str,
    ) -> impl Future<Output = Joined> + use<> {
        let joined = match &mut group.consumer {
            Some(consumer) => consumer.join_classic(join, new_id, &*self.layout, Instant::now()),
            None => Joined::error(&join.member_id, ResponseError::UnknownMemberId),
        };
        let stored = self.store_consumer(group);
        async move {
            match written(stored).await {
                Ok(()) => joined,
                Err(error) => Joined::error(&joined.member_id, error),
            }
        }
    }

    /// What has changed of a consumer group goes to the log; one that has only classic members left becomes theirs.
    pub(super) fn store_consumer(&self, group: &mut Group) -> Written {
        self.store_consumer_after(group, vec![])
    }

    fn store_consumer_after(&self, group: &mut Group, mut records: Vec<KeyValue>) -> Written {
        let consumer = group.consumer.as_mut()?;
        if consumer.is_left_to_classic() && self.consuming.migration.may_downgrade() {
            return self.hand_back(group);
        }
        let parts = consumer.changes.send(!records.is_empty())?;
        records.extend(encode(&group.id, consumer, &parts));
        if consumer.members.is_empty() {
            group.empty_since_ms = self.clock.now_ms();
        }
        let (done, outcome) = oneshot::channel();
        self.write(group, Change::Consumer { parts, records }, Some(done));
        Some(outcome)
    }

    fn hand_back(&self, group: &mut Group) -> Written {
        let parts = group.consumer.as_ref()?.parts();
        group.downgrade(&*self.layout, Instant::now());
        let mut records = tombstones(&group.id, &parts);
        let stored = StoredGroup::of(group, self.clock.now_ms());
        records.push((Key::Group { group: group.id.to_string() }.encode(), Some(stored.encode())));
        let (done, outcome) = oneshot::channel();
        self.write(group, Change::Consumer { parts, records }, Some(done));
        Some(outcome)
    }

    /// Puts back what the log holds, before anybody is served.
    pub(crate) fn restore_consumer(&self, id: &str, stored: StoredConsumer) {
        let Some(group) = self.restore(id) else { return };
        let consumer = Consumer::restore(stored, self.consuming.limits, Instant::now());
        group.lock().consumer = Some(Box::new(consumer));
    }
}

impl Group {
    /// Whether the member speaks a protocol of epochs.
    pub fn speaks_epochs(&self, member_id: &str) -> bool {
        let member = self.consumer.as_ref().and_then(|consumer| consumer.members.get(member_id));
        let streams = self.streams.as_ref();
        member.is_some_and(|member| !member.is_classic())
            || streams.is_some_and(|streams| streams.members.contains_key(member_id))
    }

    /// Whether the member is in that epoch, where members have one.
    ///
    /// # Errors
    /// It is not, or is no member.
    pub fn check_epoch(&self, member_id: &str, epoch: i32) -> Result<(), ResponseError> {
        match (&self.consumer, &self.streams) {
            (Some(consumer), _) => consumer.check_member(member_id, epoch).map(drop),
            (None, Some(streams)) => streams.check_member(member_id, epoch).map(drop),
            (None, None) => Ok(()),
        }
    }
}

fn not_a_consumer_group(group_id: &str) -> Refused {
    Refused::new(ResponseError::GroupIdNotFound, format!("Group {group_id} is not a consumer group."))
}

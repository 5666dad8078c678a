//! What requests want of share groups: who is in them, and which partitions of which topics they share.

use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{
    Groups, SharedGroup,
    configs::Setting,
    consumer::{Answer, LEFT, Refused},
    group::{Group, State},
    journal::Change,
    share::{
        Heartbeat, Limits, Share, Shared,
        records::{StoredShare, encode},
    },
};
use crate::{
    options::Options,
    shares::{Written, reading::Manner, window, written},
};

pub(super) fn limits(options: &Options) -> Limits {
    Limits {
        session_timeout: millis(options.group_share_session_timeout_ms),
        assignment_interval: millis(options.group_share_assignment_interval_ms),
        members_count_max: options.group_share_max_size as usize,
    }
}

pub(super) fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

impl Groups {
    /// Takes a ShareGroupHeartbeat; answered when what follows from it is in the log.
    ///
    /// # Errors
    /// The member is not who it says, or its epoch is over; Kafka's code and a sentence.
    pub async fn share_heartbeat(&self, group_id: &str, beat: Heartbeat) -> Result<Answer, Refused> {
        if group_id.trim().is_empty() {
            return Err(Refused::new(ResponseError::InvalidRequest, "GroupId can't be empty."));
        }
        beat.check()?;
        let (answer, stored) = {
            let group = self.share_group(group_id, beat.member_epoch)?;
            let mut group = group.lock();
            self.make_share(&mut group, beat.member_epoch)?;
            let time = |setting| millis(self.setting(group_id, setting));
            let Some(share) = &mut group.share else { return Err(not_a_share_group(group_id)) };
            share.set_times(time(Setting::ShareSessionTimeout), time(Setting::ShareAssignmentInterval));
            let answer = share.heartbeat(&beat, &*self.layout, Instant::now());
            (answer, self.store_share(&mut group))
        };
        self.stir.notify_one();
        let stored = written(stored).await;
        let answer = answer?;
        stored.map_err(|error| Refused::new(error, "The group's state cannot be written."))?;
        Ok(answer)
    }

    fn share_group(&self, group_id: &str, member_epoch: i32) -> Result<SharedGroup, Refused> {
        match self.get(group_id) {
            Some(group) => Ok(group),
            None if member_epoch == 0 => {
                self.get_or_make(group_id).map_err(|error| Refused::new(error, "There are too many groups."))
            }
            None => {
                let reason = format!("Share group {group_id} not found.");
                Err(Refused::new(ResponseError::GroupIdNotFound, reason))
            }
        }
    }

    /// A group that is nothing yet becomes a share group.
    fn make_share(&self, group: &mut Group, member_epoch: i32) -> Result<(), Refused> {
        if group.state == State::Dead {
            return Err(Refused::new(ResponseError::CoordinatorNotAvailable, "The group is being deleted."));
        }
        if group.share.is_some() {
            return Ok(());
        }
        let is_nothing = group.is_over()
            && group.modern().is_none()
            && group.protocol_type.is_none()
            && group.offsets.is_empty();
        if member_epoch == LEFT || !is_nothing {
            return Err(not_a_share_group(&group.id));
        }
        group.share = Some(Box::new(Share::new(self.consuming.share)));
        Ok(())
    }

    /// What has changed of a share group goes to the log; what members that are gone still hold is free.
    pub(super) fn store_share(&self, group: &mut Group) -> Written {
        let share = group.share.as_mut()?;
        for member in share.take_gone() {
            self.shares.sessions.end(&group.id, &member).ok();
            self.shares.release(&group.id, &member, &self.manner(&group.id).limits);
        }
        let parts = share.changes.send(false)?;
        let records = encode(&group.id, share, &parts);
        if share.members.is_empty() {
            group.empty_since_ms = self.clock.now_ms();
        }
        let (done, outcome) = oneshot::channel();
        self.write(group, Change::Share { parts, records }, Some(done));
        Some(outcome)
    }

    /// Puts back what the log holds, before anybody is served.
    pub(crate) fn restore_share(&self, id: &str, stored: StoredShare) {
        let Some(group) = self.restore(id) else { return };
        let share = Share::restore(stored, self.consuming.share, Instant::now());
        group.lock().share = Some(Box::new(share));
    }

    /// Whether there is such a share group.
    pub fn is_share(&self, id: &str) -> bool {
        self.get(id).is_some_and(|group| group.lock().share.is_some())
    }

    /// What the group has ever subscribed to, and whether somebody is in it. `None`: it is no share group.
    pub fn shared(&self, id: &str) -> Option<(Shared, bool)> {
        let group = self.get(id)?;
        let group = group.lock();
        group.share.as_ref().map(|share| (share.shared.clone(), !share.members.is_empty()))
    }

    /// How the group reads.
    pub fn manner(&self, id: &str) -> Manner {
        let limits = window::Limits {
            deliveries: i16::try_from(self.setting(id, Setting::ShareDeliveries)).unwrap_or(i16::MAX),
            in_flight: i64::from(self.setting(id, Setting::ShareLocks)),
            lock_ms: i64::from(self.setting(id, Setting::ShareLockDuration)),
        };
        let (configs, options) = (&self.configs, &self.options);
        Manner {
            limits,
            committed: configs.reads_committed(id, options),
            renews: configs.renews(id, options),
        }
    }

    /// An administrator has begun with these topics, or has ended them, in the name of the group.
    pub async fn set_shared(
        &self,
        id: &str,
        begun: &[(Uuid, String, i32)],
        ended: &[Uuid],
    ) -> Result<(), ResponseError> {
        let group = self.get(id).ok_or(ResponseError::GroupIdNotFound)?;
        let stored = {
            let mut group = group.lock();
            let share = group.share.as_mut().ok_or(ResponseError::GroupIdNotFound)?;
            share.forget(ended);
            begun.iter().for_each(|(topic, name, count)| share.remember(*topic, name, *count));
            self.store_share(&mut group)
        };
        written(stored).await
    }
}

fn not_a_share_group(group_id: &str) -> Refused {
    Refused::new(ResponseError::GroupIdNotFound, format!("Group {group_id} is not a share group."))
}

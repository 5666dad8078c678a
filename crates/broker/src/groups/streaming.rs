//! What requests want of streams groups: who is in them, and what their members are to work on.

use kafka_protocol::ResponseError;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Groups, SharedGroup,
    configs::Setting,
    consumer::Refused,
    group::{Group, State},
    journal::{Change, KeyValue},
    records::Key,
    sharing::millis,
    streams::{
        Answer, Heartbeat, Limits, Streams,
        records::{StoredStreams, encode, tombstones},
    },
};
use crate::shares::{Written, written};

impl Groups {
    /// Takes a StreamsGroupHeartbeat; answered when what follows from it is in the log.
    ///
    /// # Errors
    /// The member is not who it says, its epoch is over, or its topology is none to work on; Kafka's code and a sentence.
    pub async fn streams_heartbeat(&self, group_id: &str, beat: Heartbeat) -> Result<Answer, Refused> {
        if group_id.trim().is_empty() {
            return Err(Refused::new(ResponseError::InvalidRequest, "GroupId can't be empty."));
        }
        beat.check()?;
        if let Some(topology) = &beat.topology {
            topology.configure(&*self.layout)?; // who brings what nobody can work on begins no group
        }
        let (answer, stored) = {
            let group = self.streams_group(group_id, beat.member_epoch)?;
            let mut group = group.lock();
            let limits = self.streams_limits(group_id);
            let converted = self.make_streams(&mut group, beat.member_epoch, limits)?;
            let Some(streams) = &mut group.streams else { return Err(not_a_streams_group(group_id)) };
            streams.set_limits(limits);
            let answer = streams.heartbeat(&beat, &*self.layout, Instant::now());
            (answer, self.store_streams_after(&mut group, converted))
        };
        self.stir.notify_one();
        let stored = written(stored).await;
        let answer = answer.map_err(|refused| match refused.error {
            ResponseError::UnknownMemberId => stranger(&beat.member_id, group_id),
            _ => refused,
        })?;
        stored.map_err(|error| Refused::new(error, "The group's state cannot be written."))?;
        Ok(answer)
    }

    fn streams_limits(&self, group_id: &str) -> Limits {
        let time = |setting| millis(self.setting(group_id, setting));
        Limits {
            session_timeout: time(Setting::StreamsSessionTimeout),
            assignment_interval: time(Setting::StreamsAssignmentInterval),
            initial_delay: time(Setting::StreamsInitialDelay),
            standbys_count: self.setting(group_id, Setting::StreamsStandbys),
            members_count_max: self.options.group_streams_max_size as usize,
        }
    }

    fn streams_group(&self, group_id: &str, member_epoch: i32) -> Result<SharedGroup, Refused> {
        match self.get(group_id) {
            Some(group) => Ok(group),
            None if member_epoch == 0 => {
                self.get_or_make(group_id).map_err(|error| Refused::new(error, "There are too many groups."))
            }
            None => {
                let what = if member_epoch < 0 { "Group" } else { "Streams group" };
                let reason = format!("{what} {group_id} not found.");
                Err(Refused::new(ResponseError::GroupIdNotFound, reason))
            }
        }
    }

    /// A classic group that has no members becomes a streams group, with its offsets; the records that this takes.
    fn make_streams(
        &self,
        group: &mut Group,
        member_epoch: i32,
        limits: Limits,
    ) -> Result<Vec<KeyValue>, Refused> {
        if group.state == State::Dead {
            return Err(Refused::new(ResponseError::CoordinatorNotAvailable, "The group is being deleted."));
        }
        if group.streams.is_some() {
            return Ok(vec![]);
        }
        if member_epoch != 0 || group.modern().is_some() || !group.is_bare() {
            return Err(not_a_streams_group(&group.id));
        }
        group.streams = Some(Box::new(Streams::new(limits)));
        match group.protocol_type {
            Some(_) => Ok(vec![(Key::Group { group: group.id.to_string() }.encode(), None)]),
            None => Ok(vec![]),
        }
    }

    /// Whether it is a streams group with members; an empty one gives way to the classic protocol.
    pub(super) fn is_streams(&self, group: &mut Group) -> bool {
        let Some(streams) = group.streams.take_if(|streams| streams.members.is_empty()) else {
            return group.streams.is_some();
        };
        let parts = streams.parts();
        let records = tombstones(&group.id, &parts);
        self.write(group, Change::Streams { parts, records }, None);
        false
    }

    /// What has changed of a streams group goes to the log.
    pub(super) fn store_streams(&self, group: &mut Group) -> Written {
        self.store_streams_after(group, vec![])
    }

    fn store_streams_after(&self, group: &mut Group, mut records: Vec<KeyValue>) -> Written {
        let streams = group.streams.as_mut()?;
        let parts = streams.changes.send(!records.is_empty())?;
        records.extend(encode(&group.id, streams, &parts));
        if streams.members.is_empty() {
            group.empty_since_ms = self.clock.now_ms();
        }
        let (done, outcome) = oneshot::channel();
        self.write(group, Change::Streams { parts, records }, Some(done));
        Some(outcome)
    }

    /// Puts back what the log holds, before anybody is served.
    pub(crate) fn restore_streams(&self, id: &str, stored: StoredStreams) {
        let Some(group) = self.restore(id) else { return };
        let streams = Streams::restore(stored, self.streams_limits(id), Instant::now());
        group.lock().streams = Some(Box::new(streams));
    }
}

fn stranger(member_id: &str, group_id: &str) -> Refused {
    let reason = format!("Member {member_id} is not a member of group {group_id}.");
    Refused::new(ResponseError::UnknownMemberId, reason)
}

fn not_a_streams_group(group_id: &str) -> Refused {
    Refused::new(ResponseError::GroupIdNotFound, format!("Group {group_id} is not a streams group."))
}

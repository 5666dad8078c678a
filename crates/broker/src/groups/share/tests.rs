//! The members of a share group: joining, leaving, silence, and what is shared out; what is stored comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kafka_protocol::ResponseError as E;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Heartbeat, Limits, Share, State, assignor,
    records::{Part, StoredShare, encode, tombstones},
};
use crate::groups::consumer::{Answer, Refused, Table, member_id};

const LIMITS: Limits = Limits {
    session_timeout: Duration::from_secs(45),
    assignment_interval: Duration::ZERO,
    members_count_max: 3,
};

fn beat(id: &str, epoch: i32, topics: Option<&[&str]>) -> Heartbeat {
    Heartbeat {
        member_id: id.to_owned(),
        member_epoch: epoch,
        topics: topics.map(|topics| topics.iter().map(|name| (*name).to_owned()).collect()),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        ..Heartbeat::default()
    }
}

struct Play {
    group: Share,
    layout: Table,
    now: Instant,
}

impl Play {
    fn of(topics: &str) -> Play {
        Play { group: Share::new(LIMITS), layout: Table::of(topics), now: Instant::now() }
    }

    fn say(&mut self, beat: Heartbeat) -> Result<Answer, Refused> {
        beat.check()?;
        self.group.heartbeat(&beat, &self.layout, self.now)
    }

    /// The epoch, and how many partitions the member is told of.
    fn said(&mut self, id: &str, epoch: i32, topics: Option<&[&str]>) -> Result<(i32, Option<usize>), E> {
        let answer = self.say(beat(id, epoch, topics)).map_err(|refused| refused.error)?;
        let count = answer.assignment.map(|all| all.values().map(BTreeSet::len).sum());
        Ok((answer.member_epoch, count))
    }
}

#[test]
fn members_share_what_they_subscribe_to() {
    let mut play = Play::of("t:3");
    assert_eq!(play.said("a", 0, Some(&["t"])), Ok((1, Some(3))));
    assert_eq!(play.said("a", 1, None), Ok((1, None)));
    assert_eq!(play.said("b", 0, Some(&["t"])), Ok((2, Some(1))));
    assert_eq!(play.said("a", 1, None), Ok((2, Some(2))));
    assert_eq!(play.said("a", 1, None), Ok((2, Some(2))), "the answer was lost");
    assert_eq!(play.said("a", 2, None), Ok((2, None)));
    play.layout.set("t:4");
    assert_eq!(play.said("a", 2, None), Ok((3, None)), "0 and 2 as before");
    assert_eq!(play.said("b", 2, None), Ok((3, Some(2))));
    assert_eq!(play.said("b", -1, None), Ok((-1, None)));
    assert_eq!(play.group.take_gone(), [member_id("b")]);
    assert_eq!(play.said("a", 3, None), Ok((4, Some(4))));
    assert_eq!(play.group.state(), State::Stable);
    play.now += Duration::from_secs(46);
    play.group.tick(play.now);
    assert_eq!((play.group.state(), play.group.take_gone()), (State::Empty, vec![member_id("a")]));
}

#[test]
fn an_assignment_stays_as_it_is_for_a_while() {
    let mut play = Play::of("t:3");
    play.group.set_times(Duration::from_secs(45), Duration::from_secs(1));
    assert_eq!(play.said("a", 0, Some(&["t"])), Ok((1, Some(3))), "the first one is not waited for");
    assert_eq!(play.said("b", 0, Some(&["t"])), Ok((1, Some(0))));
    assert_eq!(play.said("c", 0, Some(&["t"])), Ok((1, Some(0))));
    assert_eq!((play.group.epoch, play.group.assignment_epoch), (3, 1));
    play.now += Duration::from_millis(999);
    assert_eq!(play.said("b", 1, None), Ok((1, None)));
    play.now += Duration::from_millis(1);
    assert_eq!(play.said("b", 1, None), Ok((3, Some(1))), "one assignment for all that has happened");
    assert_eq!(play.said("a", 1, None), Ok((3, Some(1))));
    assert_eq!(play.said("a", -1, None), Ok((-1, None)));
    assert_eq!(play.said("b", 3, None), Ok((3, None)), "what the other had waits, too");
    play.group.set_times(Duration::from_secs(45), Duration::ZERO);
    assert_eq!(play.said("b", 3, None), Ok((4, Some(2))));
}

#[test]
fn what_is_not_right_is_refused() {
    let mut play = Play::of("t:1");
    assert_eq!(play.said("", 0, Some(&["t"])), Err(E::InvalidRequest));
    assert_eq!(play.said("a", 0, None), Err(E::InvalidRequest));
    assert_eq!(play.said("a", -2, None), Err(E::InvalidRequest));
    assert_eq!(play.said("a", 1, None), Err(E::UnknownMemberId));
    assert_eq!(play.said("a", -1, None), Err(E::UnknownMemberId));
    for id in ["a", "b", "c"] {
        play.said(id, 0, Some(&["t"])).unwrap();
    }
    assert_eq!(play.said("d", 0, Some(&["t"])), Err(E::GroupMaxSizeReached));
    assert_eq!(play.said("c", 9, None), Err(E::FencedMemberEpoch));
}

#[test]
fn everybody_reads_something_and_everything_is_read() {
    for (members_count, partitions) in (1..9).flat_map(|members| (1..9).map(move |count| (members, count))) {
        let topics = BTreeMap::from([(Uuid::from_u128(1), partitions)]);
        let ids = (0..members_count).map(|number| member_id(&number.to_string()));
        let members = ids.map(|id| (id, BTreeSet::from([Uuid::from_u128(1)]))).collect();
        let targets = assignor::assign(&topics, &members);
        let mut readers = vec![0; partitions as usize];
        for target in targets.values() {
            assert!(!target.is_empty());
            target.values().flatten().for_each(|number| readers[*number as usize] += 1);
        }
        let (least, most) = (readers.iter().min().unwrap(), readers.iter().max().unwrap());
        assert!(*least >= 1 && most - least <= 1, "{members_count} {partitions} {readers:?}");
    }
}

#[test]
fn what_is_stored_comes_back() {
    let mut play = Play::of("t:3 u:1");
    play.said("a", 0, Some(&["t"])).unwrap();
    play.said("b", 0, Some(&["t", "u"])).unwrap();
    let mut stored = StoredShare::default();
    let parts = play.group.changes.take();
    for (key, value) in encode("g", &play.group, &parts) {
        let (group, part) = Part::decode(&key).unwrap();
        assert_eq!(group, "g");
        stored.apply(part, value.as_deref());
    }
    let again = Share::restore(stored.clone(), LIMITS, play.now);
    assert_eq!(encode("g", &again, &again.parts()), encode("g", &play.group, &play.group.parts()));
    assert_eq!((again.epoch, again.members.len(), again.shared.len()), (2, 2, 2));
    for (key, value) in tombstones("g", &again.parts()) {
        stored.apply(Part::decode(&key).unwrap().1, value.as_deref());
    }
    assert_eq!(stored, StoredShare::default());
}

/// Laid out by hand after Kafka's message definitions.
#[test]
fn the_bytes_are_kafkas() {
    assert_eq!(&Part::Current(member_id("m")).key("g")[..], b"\x00\x0e\x00\x01g\x00\x01m");
    let mut play = Play::of("t:1");
    play.said("m", 0, Some(&["t"])).unwrap();
    let group = &play.group;
    let member = group.value(&Part::Member(member_id("m"))).unwrap();
    assert_eq!(&member[..], b"\x00\x00\x00\x07client\x0b/127.0.0.1\x02\x02t\x00");
    let target = group.value(&Part::TargetEpoch).unwrap();
    assert_eq!(&target[..], b"\x00\x00\x00\x00\x00\x01\x00");
}

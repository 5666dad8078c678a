//! Groups on their way from one protocol to the other: who is in them keeps what it has.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError as E;
use tokio::sync::oneshot::error::TryRecvError;

use super::{Play, Table, claim, join};
use crate::groups::{
    consumer::{
        Answer, Consumer, Heartbeat, LEFT, Limits,
        embedded::{Assignment, Named, with_names},
    },
    group::{Claim, Join, State},
};

const LIMITS: Limits = Limits {
    session_timeout: std::time::Duration::from_secs(45),
    assignment_interval: std::time::Duration::ZERO,
    members_count_max: 9,
};

/// `t0 t1`
fn named(text: &str) -> Named {
    let mut named = Named::new();
    for word in text.split_whitespace() {
        let (topic, number) = word.split_at(1);
        named.entry(topic.to_owned()).or_default().insert(number.parse().unwrap());
    }
    named
}

fn shown(named: &Named) -> String {
    let each = named.iter().flat_map(|(topic, numbers)| numbers.iter().map(move |n| format!("{topic}{n}")));
    each.collect::<Vec<_>>().join(" ")
}

/// A subscription to `t` that says what is owned (version 1).
fn subscription(owned: &str) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(b"\x00\x01\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff");
    out.put_slice(&Assignment::write(&named(owned))[2..]); // topics and their partitions look the same
    out.truncate(out.len() - 4);
    out.freeze()
}

fn subscribing(member_id: &str, owned: &str) -> Join {
    let protocols =
        vec![("range".to_owned(), subscription(owned)), ("sticky".to_owned(), subscription(owned))];
    Join { protocols, ..join(member_id, &[]) }
}

fn consumer(member_id: &str, epoch: i32) -> Heartbeat {
    Heartbeat {
        member_id: member_id.to_owned(),
        member_epoch: epoch,
        rebalance_timeout_ms: (epoch == 0).then_some(60_000),
        topics: (epoch == 0).then(|| vec!["t".to_owned()]),
        owned: (epoch == 0).then(Default::default),
        ..Heartbeat::default()
    }
}

/// Two classic members in generation 2: `a` has t0 and t1, `b` t2 and t3.
fn stable() -> Play {
    let mut play = Play::new();
    play.join("a", subscribing("", ""));
    play.join("b", subscribing("", ""));
    play.join("", subscribing("a", ""));
    play.sync("b", 2, &[]);
    let bytes = |text| Box::leak(Assignment::write(&named(text)).to_vec().into_boxed_slice());
    let given: Vec<(String, Bytes)> = [("a", "t0 t1"), ("b", "t2 t3")]
        .map(|(id, text)| (id.to_owned(), Bytes::from_static(bytes(text))))
        .into();
    let (answer, _synced) = tokio::sync::oneshot::channel();
    assert!(play.group.sync(claim("a", 2), None, None, &given, answer, play.now));
    play.group.stored(2, Ok(()), play.now);
    assert_eq!((play.group.state, play.group.generation_id), (State::Stable, 2));
    play
}

fn upgraded(table: &Table) -> Play {
    let mut play = stable();
    play.group.upgrade(LIMITS, table, play.now).unwrap();
    play
}

impl Play {
    fn consumer(&mut self) -> &mut Consumer {
        self.group.consumer.as_mut().unwrap()
    }

    fn say(&mut self, table: &Table, beat: &Heartbeat) -> Answer {
        let now = self.now;
        self.consumer().heartbeat(beat, table, now).unwrap()
    }

    fn beat_classic(&mut self, id: &str, generation_id: i32) -> Result<(), E> {
        let now = self.now;
        self.consumer().beat_classic(claim(id, generation_id), now)
    }

    /// A classic member joins and syncs: its generation and what it has.
    fn rejoin(&mut self, table: &Table, id: &str, owned: &str) -> String {
        let now = self.now;
        let joined = self.consumer().join_classic(&subscribing(id, owned), "new", table, now);
        assert_eq!((joined.error, joined.protocol.as_deref()), (None, Some("range")));
        assert!(joined.leader.is_empty() && joined.members.is_empty(), "nobody leads");
        let claim = claim(&joined.member_id, joined.generation_id);
        let synced =
            self.consumer().sync_classic(claim, Some("consumer"), Some("range"), table, now).unwrap();
        let assigned = Assignment::read(&synced.assignment).unwrap().partitions;
        format!("{}: {}", joined.generation_id, shown(&assigned))
    }
}

#[test]
fn a_stable_group_goes_on_as_a_consumer_group() {
    let table = Table::of("t:4");
    let mut play = upgraded(&table);
    assert_eq!(
        (play.group.kind(), play.group.word(), play.group.has_members()),
        ("consumer", "Stable", true)
    );
    assert_eq!(play.beat_classic("a", 2), Ok(()));
    let answer = play.say(&table, &consumer("c", 0));
    assert_eq!((answer.member_epoch, answer.assignment), (3, Some(Default::default())), "all is still held");
    for id in ["a", "b"] {
        assert_eq!(play.beat_classic(id, 2), Err(E::RebalanceInProgress));
    }
    // Who has given up everything before it joins, as eager members do, is through at once.
    assert_eq!(play.rejoin(&table, "a", ""), "3: t0 t1");
    // Who claims what it had gives up first, in its old generation; then it joins once more.
    assert_eq!(play.rejoin(&table, "b", "t2 t3"), "2: t2");
    assert_eq!(play.beat_classic("b", 2), Err(E::RebalanceInProgress));
    assert_eq!(play.rejoin(&table, "b", "t2"), "3: t2");
    let answer = play.say(&table, &consumer("c", 3));
    assert_eq!(shown(&with_names(&answer.assignment.unwrap(), &table)), "t3");
    assert_eq!(play.group.word(), "Stable");
    assert_eq!(play.beat_classic("a", 3), Ok(()));
}

#[test]
fn a_classic_member_is_called_when_what_it_waits_for_is_free() {
    let table = Table::of("t:4");
    let mut play = upgraded(&table);
    assert_eq!(play.rejoin(&table, "", ""), "3: ");
    assert_eq!(play.beat_classic("new", 3), Ok(()), "the others hold it");
    play.rejoin(&table, "b", "");
    assert_eq!(play.beat_classic("new", 3), Err(E::RebalanceInProgress));
    assert_eq!(play.rejoin(&table, "new", ""), "3: t3");
}

#[test]
fn the_last_consumer_leaves_a_classic_group_behind() {
    let table = Table::of("t:4");
    let mut play = upgraded(&table);
    play.say(&table, &consumer("c", 0));
    play.rejoin(&table, "a", "");
    play.rejoin(&table, "b", "");
    assert!(!play.consumer().is_left_to_classic());
    play.consumer().leave(&consumer("c", LEFT)).unwrap();
    assert!(play.consumer().is_left_to_classic());
    let now = play.now;
    play.group.downgrade(&table, now);
    assert_eq!((play.group.kind(), play.group.state), ("classic", State::PreparingRebalance));
    assert_eq!(play.group.generation_id, 4);
    assert_eq!(play.group.heartbeat(claim("a", 4), now), Err(E::RebalanceInProgress));
    let mut first = play.join("", subscribing("a", ""));
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    let mut second = play.join("", subscribing("b", ""));
    assert_eq!((first.try_recv().unwrap().generation_id, second.try_recv().unwrap().generation_id), (5, 5));
}

#[test]
fn whoever_waits_in_a_rebalance_joins_again() {
    let table = Table::of("t:4");
    let mut play = stable();
    let mut waits = play.join("c", subscribing("", ""));
    assert_eq!(waits.try_recv(), Err(TryRecvError::Empty));
    play.group.upgrade(LIMITS, &table, play.now).unwrap();
    assert_eq!(waits.try_recv().unwrap().error, Some(E::RebalanceInProgress));
    let held = |play: &mut Play, id: &str| {
        let assigned = play.consumer().members[id].standing.assigned.clone();
        shown(&with_names(&assigned, &table))
    };
    assert_eq!([held(&mut play, "a"), held(&mut play, "b"), held(&mut play, "c")], ["t0 t1", "t2 t3", ""]);
}

#[test]
fn groups_that_are_no_consumers_stay_what_they_are() {
    let table = Table::of("t:4");
    let mut play = Play::new();
    play.join("a", Join { protocol_type: "connect".to_owned(), ..subscribing("", "") });
    let refused = play.group.upgrade(LIMITS, &table, play.now).unwrap_err();
    assert_eq!(refused.error, E::GroupIdNotFound);
    let mut play = Play::new();
    play.join("a", join("", &["range"])); // its metadata is no subscription
    let refused = play.group.upgrade(LIMITS, &table, play.now).unwrap_err();
    assert_eq!((refused.error, play.group.members.len()), (E::GroupIdNotFound, 1));
    let mut play = stable();
    let mut custom = Assignment::write(&named("t0")).to_vec();
    custom.truncate(custom.len() - 4);
    custom.extend(b"\x00\x00\x00\x01x");
    play.group.members["a"].assignment = custom.into();
    let refused = play.group.upgrade(LIMITS, &table, play.now).unwrap_err();
    assert_eq!((refused.error, play.group.kind()), (E::GroupIdNotFound, "classic"));
}

#[test]
fn classic_members_are_who_they_say() {
    let table = Table::of("t:4");
    let mut play = upgraded(&table);
    let now = play.now;
    let mut joining = |join: Join| play.consumer().join_classic(&join, "new", &table, now).error;
    let other = Join { protocols: vec![("other".to_owned(), subscription(""))], ..subscribing("", "") };
    assert_eq!(joining(other), Some(E::InconsistentGroupProtocol));
    assert_eq!(
        joining(Join { protocols: vec![], ..subscribing("", "") }),
        Some(E::InconsistentGroupProtocol)
    );
    let connect = Join { protocol_type: "connect".to_owned(), ..subscribing("", "") };
    assert_eq!(joining(connect), Some(E::InconsistentGroupProtocol));
    assert_eq!(joining(Join { member_id_required: true, ..subscribing("", "") }), Some(E::MemberIdRequired));
    let fixed = |id: &str| Join { instance_id: Some("i".to_owned()), ..subscribing(id, "") };
    assert_eq!(joining(fixed("stranger")), Some(E::UnknownMemberId));
    assert_eq!(joining(fixed("")), None);
    assert_eq!(joining(fixed("stranger")), Some(E::FencedInstanceId));
    assert_eq!(play.beat_classic("a", 1), Err(E::IllegalGeneration));
    assert_eq!(play.beat_classic("stranger", 2), Err(E::UnknownMemberId));
    let fenced = Claim { instance_id: Some("i"), ..claim("a", 2) };
    assert_eq!(play.consumer().beat_classic(fenced, now), Err(E::FencedInstanceId));
    let wrong = play.consumer().sync_classic(claim("a", 2), None, Some("sticky"), &table, now);
    assert_eq!(wrong, Err(E::InconsistentGroupProtocol));
    let late = play.consumer().sync_classic(claim("a", 2), None, None, &table, now);
    assert_eq!(late, Err(E::RebalanceInProgress));
    let check =
        |play: &Play, epoch| play.group.consumer.as_ref().unwrap().check_commit("a", epoch, &[], &table);
    assert_eq!((check(&play, 2), check(&play, 1)), (Ok(()), Err(E::IllegalGeneration)));
    assert_eq!(play.consumer().leave_classic("", Some("i")), Ok(()));
    assert_eq!(play.consumer().leave_classic("a", Some("i")), Err(E::UnknownMemberId));
    assert_eq!(play.consumer().leave_classic("a", None), Ok(()));
    assert_eq!(play.consumer().members.len(), 1);
}

#[test]
fn who_does_not_join_or_sync_in_time_is_removed() {
    let table = Table::of("t:4");
    let mut play = upgraded(&table);
    play.say(&table, &consumer("c", 0));
    for _ in 0..8 {
        play.after(9);
        // `b` only beats, and never joins; its session of 10 s does not save it.
        play.beat_classic("b", 2).ok();
    }
    assert!(!play.consumer().members.contains_key("b"));
}

//! Who may be in a group: joining, leaving, being fenced, static members, silence, and what is refused.

use kafka_protocol::ResponseError as E;

use super::{
    super::{Commit, LEFT, LEFT_FOR_A_WHILE, State},
    Heartbeat, Play, joining,
};

fn fixed(id: &str, instance: &str) -> Heartbeat {
    Heartbeat { instance_id: Some(instance.to_owned()), ..joining(id, &["t"]) }
}

#[test]
fn the_first_member_gets_everything() {
    let mut play = Play::of("t:3");
    assert_eq!(play.join("a", &["t"]), "1: t0 t1 t2");
    assert_eq!(play.state(), (State::Stable, 1, 1));
    assert_eq!(play.beat("a", 1, None), "1");
    // The answer was lost, and the join comes again.
    assert_eq!(play.join("a", &["t"]), "1: t0 t1 t2");
}

#[test]
fn a_group_may_be_made_without_a_subscription() {
    let mut play = Play::of("t:3");
    assert_eq!(play.join("a", &[]), "1: ");
    assert_eq!(play.join("b", &["missing"]), "2: ");
    assert_eq!(play.state(), (State::Reconciling, 2, 2));
    assert_eq!(play.beat("a", 1, None), "2");
    assert_eq!(play.state(), (State::Stable, 2, 2));
}

#[test]
fn other_epochs_are_fenced() {
    let mut play = Play::of("t:2");
    play.join("a", &["t"]);
    play.join("b", &["t"]);
    assert_eq!(play.beat("a", 1, Some("t0 t1")), "1: t0");
    assert_eq!(play.beat("a", 1, Some("t0")), "2");
    let later = play.staying("a", 3, Some("t0"));
    assert_eq!(play.refused(later), E::FencedMemberEpoch);
    // The epoch before is good as long as the member claims nothing that it has not got.
    assert_eq!(play.beat("a", 1, Some("t0")), "2");
    let greedy = play.staying("a", 1, Some("t0 t1"));
    assert_eq!(play.refused(greedy), E::FencedMemberEpoch);
    let silent = play.staying("a", 1, None);
    assert_eq!(play.refused(silent), E::FencedMemberEpoch);
    let stranger = play.staying("c", 2, None);
    assert_eq!(play.refused(stranger), E::UnknownMemberId);
}

#[test]
fn who_leaves_makes_room() {
    let mut play = Play::of("t:2");
    play.join("a", &["t"]);
    play.join("b", &["t"]);
    play.beat("a", 1, Some("t0 t1"));
    play.beat("a", 1, Some("t0"));
    assert_eq!(play.beat("b", 2, None), "2: t1");
    let leave = Heartbeat { member_epoch: LEFT, ..play.staying("b", 2, None) };
    assert_eq!(play.group.leave(&leave).unwrap().member_epoch, LEFT);
    assert_eq!(play.state(), (State::Assigning, 3, 2));
    assert_eq!(play.beat("a", 2, None), "3: t0 t1");
    assert_eq!(play.group.leave(&leave).unwrap_err().error, E::UnknownMemberId);
    let leave = Heartbeat { member_epoch: LEFT, ..play.staying("a", 3, None) };
    play.group.leave(&leave).unwrap();
    assert_eq!(play.state(), (State::Empty, 4, 3));
    assert_eq!(play.join("c", &["t"]), "5: t0 t1");
}

#[test]
fn silence_ends_a_session() {
    let mut play = Play::of("t:2");
    play.join("a", &["t"]);
    play.join("b", &["t"]);
    play.after(44);
    play.beat("b", 2, None);
    play.after(2);
    assert_eq!(play.group.members.len(), 1);
    assert_eq!(play.beat("b", 2, None), "3: t0 t1");
}

#[test]
fn who_does_not_give_up_in_time_is_removed() {
    let mut play = Play::of("t:2");
    play.join("a", &["t"]);
    play.join("b", &["t"]);
    assert_eq!(play.beat("a", 1, Some("t0 t1")), "1: t0");
    for _ in 0..2 {
        play.after(25);
        assert_eq!((play.beat("a", 1, None).as_str(), play.beat("b", 2, None).as_str()), ("1", "2"));
    }
    play.after(11);
    assert!(!play.group.members.contains_key("a"));
    assert_eq!(play.beat("b", 2, None), "3: t0 t1");
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut play = Play::of("t:2");
    play.say(fixed("a", "i")).unwrap();
    play.join("b", &["t"]);
    play.beat("a", 1, Some("t0 t1"));
    play.beat("a", 1, Some("t0"));
    play.beat("b", 2, None);
    let other = fixed("c", "i");
    assert_eq!(play.refused(other.clone()), E::UnreleasedInstanceId);
    let leave = Heartbeat { member_epoch: LEFT_FOR_A_WHILE, ..fixed("a", "i") };
    assert_eq!(play.group.leave(&leave).unwrap().member_epoch, LEFT_FOR_A_WHILE);
    assert_eq!(play.beat("b", 2, None), "2", "nobody takes its place");
    let answer = play.say(other).unwrap();
    assert_eq!(play.shown(&answer), "2: t0");
    assert_eq!(play.state(), (State::Stable, 2, 2));
    let former = Heartbeat { member_epoch: 2, topics: None, ..fixed("a", "i") };
    assert_eq!(play.refused(former.clone()), E::FencedInstanceId);
    let unknown = Heartbeat { instance_id: Some("j".to_owned()), ..former };
    assert_eq!(play.refused(unknown), E::UnknownMemberId);
}

#[test]
fn a_static_member_that_stays_away_is_removed() {
    let mut play = Play::of("t:2");
    play.say(fixed("a", "i")).unwrap();
    let leave = Heartbeat { member_epoch: LEFT_FOR_A_WHILE, ..fixed("a", "i") };
    play.group.leave(&leave).unwrap();
    play.after(46);
    assert_eq!(play.state(), (State::Empty, 2, 1));
    let answer = play.say(fixed("b", "i")).unwrap();
    assert_eq!(play.shown(&answer), "3: t0 t1");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut play = Play::of("t:2");
    let refusals = [
        (joining("", &["t"]), E::InvalidRequest),
        (Heartbeat { rebalance_timeout_ms: None, ..joining("a", &["t"]) }, E::InvalidRequest),
        (Heartbeat { owned: None, ..joining("a", &["t"]) }, E::InvalidRequest),
        (Heartbeat { owned: Some(play.partitions("t0")), ..joining("a", &["t"]) }, E::InvalidRequest),
        (Heartbeat { topics: None, ..joining("a", &["t"]) }, E::InvalidRequest),
        (Heartbeat { member_epoch: -3, ..joining("a", &["t"]) }, E::InvalidRequest),
        (Heartbeat { member_epoch: -2, ..joining("a", &["t"]) }, E::InvalidRequest),
        (Heartbeat { instance_id: Some(String::new()), ..joining("a", &["t"]) }, E::InvalidRequest),
        (Heartbeat { assignor: Some("sticky".to_owned()), ..joining("a", &["t"]) }, E::UnsupportedAssignor),
        (Heartbeat { regex: Some("a)(b".to_owned()), ..joining("a", &["t"]) }, E::InvalidRegularExpression),
        (Heartbeat { regex: Some("(".to_owned()), ..joining("a", &["t"]) }, E::InvalidRegularExpression),
    ];
    for (beat, error) in refusals {
        let told = play.say(beat.clone()).expect_err(&format!("{beat:?}"));
        assert_eq!(told.error, error, "{beat:?}");
        assert!(!told.reason.is_empty());
    }
    assert!(play.group.members.is_empty());
}

#[test]
fn a_full_group_takes_nobody() {
    let mut play = Play::of("t:9");
    for id in ["a", "b", "c", "d"] {
        play.join(id, &["t"]);
    }
    assert_eq!(play.refused(joining("e", &["t"])), E::GroupMaxSizeReached);
    assert_eq!(play.beat("d", 4, None), "4");
}

#[test]
fn commits_need_the_members_epoch() {
    let mut play = Play::of("t:2");
    play.join("a", &["t"]);
    let commit =
        |partition| Commit { topic: "t".into(), partition, offset: 1, leader_epoch: 0, metadata: "".into() };
    let check = |play: &Play, id, epoch, partition| {
        play.group.check_commit(id, epoch, &[commit(partition)], &play.layout)
    };
    assert_eq!(check(&play, "a", 1, 0), Ok(()));
    assert_eq!(check(&play, "a", 0, 0), Err(E::StaleMemberEpoch));
    assert_eq!(check(&play, "a", 2, 0), Err(E::StaleMemberEpoch));
    assert_eq!(check(&play, "b", 1, 0), Err(E::UnknownMemberId));
    play.join("b", &["t"]);
    play.beat("a", 1, Some("t0 t1"));
    assert_eq!(check(&play, "a", 1, 1), Ok(()), "what it is giving up, too");
    play.beat("a", 1, Some("t0"));
    // It is in epoch 2 now. With the one before it commits what has been its own since then (KIP-1251).
    assert_eq!(check(&play, "a", 1, 0), Ok(()));
    assert_eq!(check(&play, "a", 1, 1), Err(E::StaleMemberEpoch));
    assert_eq!(play.beat("b", 2, None), "2: t1");
    assert_eq!(check(&play, "b", 2, 1), Ok(()));
    assert_eq!(check(&play, "b", 1, 1), Err(E::StaleMemberEpoch));
}

#[test]
fn most_votes_choose_the_assignor() {
    let mut play = Play::of("t:6 u:6");
    assert_eq!(play.group.assignor(), "uniform");
    for (id, assignor) in [("a", "uniform"), ("b", "range"), ("c", "range")] {
        play.say(Heartbeat { assignor: Some(assignor.to_owned()), ..joining(id, &["t", "u"]) }).unwrap();
    }
    assert_eq!(play.group.assignor(), "range");
    let change = Heartbeat { assignor: Some("uniform".to_owned()), ..play.staying("c", 3, None) };
    play.say(change).unwrap();
    assert_eq!(play.group.assignor(), "uniform");
}

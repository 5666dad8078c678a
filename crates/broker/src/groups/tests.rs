//! The state machine of a group, without sockets: time is an argument, answers are channels.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError as E;
use tokio::{
    sync::oneshot::{self, Receiver, error::TryRecvError},
    time::Instant,
};

use super::{
    consumer::{Table, layout::Sight},
    group::{Claim, Group, Join, Joined, State, Synced},
    records::StoredGroup,
};

mod migrating;

struct Play {
    group: Group,
    now: Instant,
}

fn join(member_id: &str, protocols: &[&str]) -> Join {
    Join {
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: protocols.iter().map(|name| ((*name).to_owned(), Bytes::from_static(b"topics"))).collect(),
        member_id_required: false,
        may_skip_assignment: false,
        sight: Sight::default(),
    }
}

fn claim(member_id: &str, generation_id: i32) -> Claim<'_> {
    Claim { member_id, instance_id: None, generation_id }
}

impl Play {
    fn new() -> Self {
        Self { group: Group::new("g".into(), Duration::ZERO), now: Instant::now() }
    }

    fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.group.tick(self.now);
    }

    fn join(&mut self, new_id: &str, join: Join) -> Receiver<Joined> {
        let (answer, joined) = oneshot::channel();
        self.group.join(join, new_id.to_owned(), answer, self.now);
        joined
    }

    fn sync(
        &mut self,
        member_id: &str,
        generation_id: i32,
        given: &[(&str, &'static str)],
    ) -> Receiver<Synced> {
        let (answer, synced) = oneshot::channel();
        let given: Vec<_> =
            given.iter().map(|(id, text)| ((*id).to_owned(), Bytes::from_static(text.as_bytes()))).collect();
        if self.group.sync(claim(member_id, generation_id), None, None, &given, answer, self.now) {
            self.group.stored(generation_id, Ok(()), self.now);
        }
        synced
    }

    /// Two members in a stable generation 2, `a` the leader.
    fn pair() -> Self {
        let mut play = Self::new();
        let mut first = play.join("a", join("", &["range"]));
        first.try_recv().unwrap();
        let mut second = play.join("b", join("", &["range"]));
        let mut again = play.join("", join("a", &["range"]));
        assert_eq!(
            (again.try_recv().unwrap().members.len(), second.try_recv().unwrap().members.len()),
            (2, 0)
        );
        let mut theirs = play.sync("b", 2, &[]);
        let mut ours = play.sync("a", 2, &[("a", "one"), ("b", "two")]);
        assert_eq!(
            (&ours.try_recv().unwrap().assignment[..], &theirs.try_recv().unwrap().assignment[..]),
            (&b"one"[..], &b"two"[..])
        );
        assert_eq!((play.group.state, play.group.generation_id), (State::Stable, 2));
        play
    }
}

fn error(joined: &mut Receiver<Joined>) -> Option<E> {
    joined.try_recv().expect("an answer").error
}

#[test]
fn a_new_member_is_given_an_id_to_join_with() {
    let mut play = Play::new();
    let refused =
        play.join("a-1", Join { member_id_required: true, ..join("", &["range"]) }).try_recv().unwrap();
    assert_eq!((refused.error, refused.member_id.as_str()), (Some(E::MemberIdRequired), "a-1"));
    let joined = play.join("", join("a-1", &["range"])).try_recv().unwrap();
    assert_eq!((joined.error, joined.generation_id, joined.leader.as_str()), (None, 1, "a-1"));
    assert_eq!(error(&mut play.join("", join("stranger", &["range"]))), Some(E::UnknownMemberId));
}

#[test]
fn an_id_that_nobody_joins_with_holds_nobody_up() {
    let mut play = Play::new();
    play.join("late", Join { member_id_required: true, ..join("", &["range"]) });
    let mut waits = play.join("a", join("", &["range"]));
    assert_eq!(waits.try_recv(), Err(TryRecvError::Empty));
    play.after(11);
    assert_eq!(waits.try_recv().unwrap().generation_id, 1);
}

#[test]
fn a_join_makes_the_others_join_again() {
    let mut play = Play::pair();
    let mut third = play.join("c", join("", &["range"]));
    assert_eq!(play.group.heartbeat(claim("a", 2), play.now), Err(E::RebalanceInProgress));
    let mut first = play.join("", join("a", &["range"]));
    assert_eq!((first.try_recv(), third.try_recv()), (Err(TryRecvError::Empty), Err(TryRecvError::Empty)));
    let mut second = play.join("", join("b", &["range"]));
    let generations =
        [&mut first, &mut second, &mut third].map(|joined| joined.try_recv().unwrap().generation_id);
    assert_eq!(generations, [3, 3, 3]);
    assert_eq!(play.group.heartbeat(claim("a", 2), play.now), Err(E::IllegalGeneration));
    assert_eq!(play.group.heartbeat(claim("a", 3), play.now), Ok(()));
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut play = Play::pair();
    let mut third = play.join("c", join("", &["range"]));
    for _ in 0..9 {
        play.after(7);
        play.group.heartbeat(claim("b", 2), play.now).ok();
    }
    let joined = third.try_recv().unwrap();
    assert_eq!((joined.generation_id, joined.leader.as_str(), joined.members.len()), (3, "c", 1));
    assert_eq!(play.group.heartbeat(claim("b", 2), play.now), Err(E::UnknownMemberId));
}

#[test]
fn silence_ends_a_session() {
    let mut play = Play::pair();
    play.after(6);
    play.group.heartbeat(claim("a", 2), play.now).unwrap();
    play.after(6);
    assert_eq!(play.group.state, State::PreparingRebalance);
    assert_eq!(play.join("", join("a", &["range"])).try_recv().unwrap().generation_id, 3);
    play.after(11);
    assert!(play.group.members.is_empty());
    assert_eq!((play.group.state, play.group.generation_id, play.group.store_due), (State::Empty, 4, true));
}

#[test]
fn the_last_to_leave_leaves_an_empty_group() {
    let mut play = Play::pair();
    play.group.leave("a", None, play.now).unwrap();
    assert_eq!(play.group.leave("a", None, play.now), Err(E::UnknownMemberId));
    assert_eq!(play.group.leader.as_deref(), Some("b"));
    play.group.leave("b", None, play.now).unwrap();
    assert_eq!((play.group.state, play.group.is_idle()), (State::Empty, true));
}

#[test]
fn who_never_syncs_is_out_after_the_rebalance_timeout() {
    let mut play = Play::new();
    play.join("a", join("", &["range"])).try_recv().unwrap();
    assert_eq!(play.group.state, State::CompletingRebalance);
    for _ in 0..9 {
        play.after(7);
        play.group.heartbeat(claim("a", 1), play.now).ok();
    }
    assert_eq!(play.group.state, State::Empty);
}

#[test]
fn protocols_must_have_one_in_common() {
    let mut play = Play::pair();
    assert_eq!(error(&mut play.join("c", join("", &["sticky"]))), Some(E::InconsistentGroupProtocol));
    assert_eq!(error(&mut play.join("c", join("", &[]))), Some(E::InconsistentGroupProtocol));
    let other_type = Join { protocol_type: "connect".to_owned(), ..join("", &["range"]) };
    assert_eq!(error(&mut play.join("c", other_type)), Some(E::InconsistentGroupProtocol));
}

#[test]
fn the_protocol_most_members_like_is_chosen() {
    let mut play = Play::new();
    play.join("a", join("", &["range", "sticky"])).try_recv().unwrap();
    let mut others: Vec<_> =
        ["b", "c"].iter().map(|id| play.join(id, join("", &["sticky", "range"]))).collect();
    let mut first = play.join("", join("a", &["range", "sticky"]));
    assert_eq!(first.try_recv().unwrap().protocol.as_deref(), Some("sticky"));
    assert!(others.iter_mut().all(|joined| joined.try_recv().unwrap().protocol.as_deref() == Some("sticky")));
}

#[test]
fn a_static_member_keeps_its_place_and_fences_its_earlier_life() {
    let mut play = Play::new();
    let fixed = |id: &str| Join { instance_id: Some("i".to_owned()), ..join(id, &["range"]) };
    play.join("i-1", fixed("")).try_recv().unwrap();
    play.sync("i-1", 1, &[("i-1", "all")]).try_recv().unwrap();
    let again = play.join("i-2", fixed("")).try_recv().unwrap();
    assert_eq!((again.error, again.generation_id, again.leader.as_str()), (None, 1, "i-1"));
    assert_eq!((play.group.state, play.group.store_due), (State::Stable, true));
    let held = Claim { member_id: "i-1", instance_id: Some("i"), generation_id: 1 };
    assert_eq!(play.group.heartbeat(held, play.now), Err(E::FencedInstanceId));
    assert_eq!(error(&mut play.join("", fixed("i-1"))), Some(E::FencedInstanceId));
    assert_eq!(&play.sync("i-2", 1, &[]).try_recv().unwrap().assignment[..], b"all");
    assert_eq!(play.group.leave("", Some("i"), play.now), Ok(()));
    assert_eq!(play.group.state, State::Empty);
}

#[test]
fn a_client_that_skips_assigning_is_told_so() {
    let mut play = Play::new();
    let fixed = Join { instance_id: Some("i".to_owned()), may_skip_assignment: true, ..join("", &["range"]) };
    play.join("i-1", fixed.clone()).try_recv().unwrap();
    play.sync("i-1", 1, &[("i-1", "all")]).try_recv().unwrap();
    let again = play.join("i-2", fixed).try_recv().unwrap();
    assert_eq!((again.skip_assignment, again.leader.as_str(), again.members.len()), (true, "i-2", 1));
}

#[test]
fn only_members_of_this_generation_commit() {
    let mut play = Play::pair();
    let (now, none) = (play.now, Table::default());
    let mut check = |claim| play.group.check_commit(claim, &[], &none, now);
    assert_eq!(check(claim("a", 2)), Ok(()));
    assert_eq!(check(claim("a", 1)), Err(E::IllegalGeneration));
    assert_eq!(check(claim("stranger", 2)), Err(E::UnknownMemberId));
    assert_eq!(check(claim("", -1)), Err(E::UnknownMemberId));
    let mut empty = Play::new();
    assert_eq!(empty.group.check_commit(claim("", -1), &[], &none, now), Ok(()));
}

#[test]
fn assignments_that_cannot_be_stored_are_not_given_out() {
    let mut play = Play::new();
    play.join("a", join("", &["range"])).try_recv().unwrap();
    let (answer, mut synced) = oneshot::channel();
    assert!(play.group.sync(claim("a", 1), None, None, &[], answer, play.now));
    assert_eq!(synced.try_recv(), Err(TryRecvError::Empty));
    play.group.stored(1, Err(E::CoordinatorNotAvailable), play.now);
    assert_eq!(synced.try_recv().unwrap().error, Some(E::CoordinatorNotAvailable));
    assert_eq!(play.group.state, State::PreparingRebalance);
}

#[test]
fn a_restored_group_of_static_members_goes_on() {
    let fixed = Join { instance_id: Some("i".to_owned()), ..join("", &["range"]) };
    let mut play = Play::new();
    play.join("i-1", fixed).try_recv().unwrap();
    play.sync("i-1", 1, &[("i-1", "one")]).try_recv().unwrap();
    let stored = StoredGroup::decode(&StoredGroup::of(&play.group, 5).encode()).unwrap();
    let mut again = Play::new();
    again.group.restore(stored, again.now);
    assert_eq!((again.group.state, again.group.generation_id), (State::Stable, 1));
    assert_eq!(again.group.heartbeat(claim("i-1", 1), again.now), Ok(()));
    assert_eq!(&again.sync("i-1", 1, &[]).try_recv().unwrap().assignment[..], b"one");
    again.after(11);
    assert_eq!(again.group.state, State::Empty);
}

#[test]
fn members_without_a_fixed_name_join_again_after_a_restart() {
    let play = Play::pair();
    let stored = StoredGroup::decode(&StoredGroup::of(&play.group, 5).encode()).unwrap();
    let mut again = Play::new();
    again.group.restore(stored, again.now);
    assert_eq!((again.group.state, again.group.generation_id), (State::Empty, 2));
    assert_eq!(again.group.heartbeat(claim("b", 2), again.now), Err(E::UnknownMemberId));
    let joined = again.join("c", join("", &["range"])).try_recv().unwrap();
    assert_eq!((joined.error, joined.generation_id, joined.leader.as_str()), (None, 3, "c"));
}

#[test]
fn whoever_waits_is_told_when_the_broker_stops() {
    let mut play = Play::pair();
    let mut third = play.join("c", join("", &["range"]));
    play.group.die();
    assert_eq!(error(&mut third), Some(E::CoordinatorNotAvailable));
    assert_eq!(error(&mut play.join("d", join("", &["range"]))), Some(E::CoordinatorNotAvailable));
}

#[test]
fn a_group_is_over_when_nobody_is_in_it_or_on_the_way() {
    let mut play = Play::pair();
    assert!(!play.group.is_over());
    play.group.leave("a", None, play.now).unwrap();
    play.group.leave("b", None, play.now).unwrap();
    assert!(play.group.is_over());
    play.group.unsettled.insert(7, [].into());
    assert!(!play.group.is_over(), "a transaction commits for it");
    play.group.unsettled.clear();
    play.join("c", Join { member_id_required: true, ..join("", &["range"]) });
    assert!(!play.group.is_over(), "a member was told its id, and will be back with it");
}

#[test]
fn offsets_are_kept_for_their_time_after_the_last_member() {
    let mut play = Play::pair();
    let committed = |commit_timestamp_ms| super::records::Committed {
        offset: 1,
        leader_epoch: 0,
        metadata: "".into(),
        commit_timestamp_ms,
        record_offset: -1,
    };
    play.group.offsets.insert(("t".into(), 0), committed(1_000));
    play.group.offsets.insert(("t".into(), 1), committed(9_000));
    assert_eq!(play.group.expired(100_000, 50), []);
    play.group.leave("a", None, play.now).unwrap();
    play.group.leave("b", None, play.now).unwrap();
    play.group.empty_since_ms = 5_000;
    assert_eq!(play.group.expired(5_049, 50), []);
    assert_eq!(play.group.expired(5_050, 50), [("t".into(), 0)]);
    assert_eq!(play.group.expired(9_050, 50).len(), 2);
}

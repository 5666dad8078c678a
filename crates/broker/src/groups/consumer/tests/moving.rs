//! How partitions move: given up before they are given, as topics, subscriptions and members change, and across restarts.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    super::{LEFT, State, layout::Sight, records::Part},
    Heartbeat, Play, joining,
};

#[test]
fn nothing_is_given_before_it_is_given_up() {
    let mut play = Play::of("t:4");
    assert_eq!(play.join("a", &["t"]), "1: t0 t1 t2 t3");
    // Its epoch is the target's already; what it is to have is still held.
    assert_eq!(play.join("b", &["t"]), "2: ");
    assert_eq!(play.state(), (State::Reconciling, 2, 2));
    assert_eq!(play.beat("a", 1, None), "1: t0 t1");
    assert_eq!(play.beat("b", 2, None), "2");
    assert_eq!(play.beat("a", 1, Some("t0 t1 t3")), "1", "one of them is not given up yet");
    assert_eq!(play.beat("b", 2, None), "2");
    assert_eq!(play.beat("a", 1, Some("t0 t1")), "2");
    assert_eq!(play.beat("b", 2, None), "2: t2 t3");
    assert_eq!(play.state(), (State::Stable, 2, 2));
}

#[test]
fn a_target_may_change_while_a_member_gives_up() {
    let mut play = Play::of("t:6");
    play.join("a", &["t"]);
    play.join("b", &["t"]);
    assert_eq!(play.beat("a", 1, None), "1: t0 t1 t2");
    play.join("c", &["t"]);
    assert_eq!(
        play.beat("a", 1, Some("t0 t1 t2")),
        "1: t0 t1",
        "on to the newest target, with more to give up"
    );
    assert_eq!(play.beat("b", 2, None), "3: t3 t4");
    assert_eq!(play.beat("a", 1, Some("t0 t1")), "3");
    assert_eq!(play.beat("c", 3, None), "3: t2 t5");
    assert_eq!(play.state(), (State::Stable, 3, 3));
}

/// Kafka 4.3 (KIP-1263): who comes too early is told of the target as it is.
#[test]
fn targets_stay_for_a_while() {
    let mut play = Play::of("t:2");
    play.group.set_times(Duration::from_secs(45), Duration::from_secs(1));
    assert_eq!(play.join("a", &["t"]), "1: t0 t1", "the first target waits for nothing");
    play.now += Duration::from_millis(999);
    assert_eq!(play.join("b", &["t"]), "1: ");
    assert_eq!(play.beat("a", 1, None), "1");
    assert_eq!(play.join("c", &["t"]), "1: ");
    assert_eq!(play.state(), (State::Assigning, 3, 1));
    play.now += Duration::from_millis(1);
    assert_eq!(play.beat("b", 1, None), "3", "one target for all that has happened");
    assert_eq!(play.beat("a", 1, None), "1: t0");
    play.group.set_times(Duration::from_secs(45), Duration::ZERO);
    assert_eq!(play.beat("a", 1, Some("t0")), "3");
    assert_eq!(play.beat("b", 3, None), "3: t1");
    play.now += Duration::from_millis(1);
    play.join("d", &["t"]);
    assert_eq!(play.state(), (State::Reconciling, 4, 4), "without an interval at once");
}

#[test]
fn who_waits_comes_soon_and_who_has_been_at_rest_does_not() {
    let mut play = Play::of("t:2");
    let within = |play: &mut Play, beat| play.say(beat).unwrap().within.unwrap().as_millis();
    assert_eq!(within(&mut play, joining("a", &["t"])), 100);
    play.after(10);
    let quiet = play.staying("a", 1, None);
    assert_eq!(within(&mut play, quiet.clone()), 10_000, "the setting is sooner");
    assert_eq!(within(&mut play, joining("b", &["t"])), 100);
    play.after(3);
    let waiting = play.staying("b", 2, None);
    assert_eq!(within(&mut play, waiting.clone()), 500, "a still holds its partition");
    assert_eq!(within(&mut play, quiet), 3_000);
    let given_up = play.staying("a", 1, Some("t0"));
    assert_eq!(within(&mut play, given_up), 3_000);
    assert_eq!(within(&mut play, waiting), 3_000, "it has all it is to have");
    let left = Heartbeat { member_epoch: LEFT, ..play.staying("b", 2, None) };
    assert_eq!(play.group.leave(&left).unwrap().within, None);
}

#[test]
fn topics_that_come_and_grow_are_shared() {
    let mut play = Play::of("");
    assert_eq!(play.join("a", &["t", "u"]), "1: ");
    play.layout.set("t:1");
    assert_eq!(play.beat("a", 1, None), "2: t0");
    play.layout.set("other:1 t:1");
    assert_eq!(play.beat("a", 2, None), "2", "a topic of others");
    play.layout.set("other:1 t:2 u:1");
    assert_eq!(play.beat("a", 2, None), "3: t0 t1 u0");
    play.layout.set("u:1");
    assert_eq!(play.beat("a", 3, Some("u0")), "4: u0");
    assert_eq!(play.state(), (State::Stable, 4, 4));
}

#[test]
fn a_changed_subscription_is_given_up_at_once() {
    let mut play = Play::of("t:2 u:2");
    play.join("a", &["t"]);
    let change = Heartbeat { topics: Some(vec!["u".to_owned()]), ..play.staying("a", 1, Some("t0 t1")) };
    let answer = play.say(change).unwrap();
    assert_eq!(play.shown(&answer), "1: ");
    assert_eq!(play.beat("a", 1, Some("")), "2: u0 u1");
}

#[test]
fn regular_expressions_follow_the_topics() {
    let mut play = Play::of("flights-a:1 flights-b:1 x-flights-c:1");
    let beat = Heartbeat { topics: None, regex: Some("flights-[a-z]|late".to_owned()), ..joining("a", &[]) };
    let answer = play.say(beat).unwrap();
    assert_eq!(play.shown(&answer), "1: flights-a0 flights-b0");
    play.layout.set("flights-a:1 flights-b:1 late:1 later:1");
    assert_eq!(play.beat("a", 1, None), "2: flights-a0 flights-b0 late0");
    assert!(play.group.subscribes_to("late") && !play.group.subscribes_to("later"));
    let none =
        Heartbeat { regex: Some(String::new()), ..play.staying("a", 2, Some("flights-a0 flights-b0 late0")) };
    let answer = play.say(none).unwrap();
    assert_eq!(play.shown(&answer), "2: ");
    assert!(play.group.changes.take().contains(&Part::Regex("flights-[a-z]|late".to_owned())));
}

#[test]
fn a_regular_expression_matches_what_its_member_may_describe() {
    let mut play = Play::of("flights-a:1 flights-b:1 flights-c:1");
    let beat = Heartbeat {
        topics: None,
        regex: Some("flights-.*".to_owned()),
        sight: Sight::of(|topic| topic != "flights-b"),
        ..joining("a", &[])
    };
    let answer = play.say(beat.clone()).unwrap();
    assert_eq!(play.shown(&answer), "1: flights-a0 flights-c0");
    play.layout.set("flights-a:1 flights-b:1 flights-c:1 flights-d:1");
    let stays = Heartbeat { sight: beat.sight, ..play.staying("a", 1, None) };
    let answer = play.say(stays).unwrap();
    assert_eq!(play.shown(&answer), "2: flights-a0 flights-c0 flights-d0");
}

#[test]
fn another_life_goes_on_where_this_one_ended() {
    let mut play = Play::of("t:4");
    play.join("a", &["t"]);
    play.join("b", &["t"]);
    assert_eq!(play.beat("a", 1, None), "1: t0 t1");
    play.restarted();
    assert_eq!(play.state(), (State::Reconciling, 2, 2));
    assert_eq!(play.beat("b", 2, None), "2", "what a has not given up is remembered");
    assert_eq!(play.beat("a", 1, Some("t0 t1")), "2");
    play.restarted();
    assert_eq!(play.beat("b", 2, None), "2: t2 t3");
    assert!(play.group.changes.take().iter().all(|part| matches!(part, Part::Current(_))), "no new epoch");
    play.restarted();
    play.after(46);
    assert_eq!(play.state(), (State::Empty, 4, 2));
}

#[test]
fn what_could_not_be_written_is_due_again() {
    let mut play = Play::of("t:2");
    play.join("a", &["t"]);
    let changes = play.group.changes.take();
    assert!(play.group.changes.take().is_empty());
    play.group.changes.extend(changes.clone());
    assert_eq!(play.group.changes.take(), changes);
}

/// What happens to a group.
#[derive(Debug, Clone)]
enum Event {
    Join(u8),
    Beat(u8),
    /// A heartbeat whose answer is lost.
    Lost(u8),
    Leave(u8),
    Grow,
    Wait(u8),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..4u8).prop_map(Event::Join),
        8 => (0..4u8).prop_map(Event::Beat),
        2 => (0..4u8).prop_map(Event::Lost),
        1 => (0..4u8).prop_map(Event::Leave),
        1 => Just(Event::Grow),
        1 => (0..30u8).prop_map(Event::Wait),
        1 => Just(Event::Restart),
    ]
}

/// A client that does as it is told: what it thinks it holds, and in which epoch.
#[derive(Default)]
struct Client {
    epoch: i32,
    owned: String,
    /// It got no answer the last time: it says all there is to say, and wants to be told all.
    lost: bool,
    heard: std::collections::BTreeSet<(Uuid, i32)>,
}

#[derive(Default)]
struct World {
    clients: BTreeMap<u8, Client>,
}

impl World {
    /// One heartbeat, as clients send them: with all they have.
    fn beat(&mut self, play: &mut Play, number: u8, hears: bool) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let id = format!("m{number}");
        let beat = match client.epoch {
            0 => joining(&id, &["t", "u"]),
            epoch => {
                let all = client.lost.then(|| joining(&id, &["t", "u"]));
                let staying = play.staying(&id, epoch, Some(&client.owned));
                let (rebalance_timeout_ms, topics) =
                    all.map_or((None, None), |all| (all.rebalance_timeout_ms, all.topics));
                Heartbeat { rebalance_timeout_ms, topics, ..staying }
            }
        };
        client.lost = !hears;
        match play.say(beat) {
            Ok(answer) if hears => {
                client.epoch = answer.member_epoch;
                if let Some(partitions) = answer.assignment {
                    client.owned = play.named(&partitions);
                    let each = partitions.iter().flat_map(|(id, numbers)| numbers.iter().map(|n| (*id, *n)));
                    client.heard = each.collect();
                }
            }
            Ok(_) => {}
            Err(_) => *client = Client::default(), // fenced: it gives up everything, and joins again
        }
    }

    fn assert_no_two_own(&self) {
        let mut owned = BTreeMap::new();
        for (number, client) in &self.clients {
            for place in &client.heard {
                if let Some(other) = owned.insert(*place, number) {
                    panic!("{place:?} is owned by {other} and {number}");
                }
            }
        }
    }

    fn act(&mut self, play: &mut Play, event: &Event) {
        match event {
            Event::Join(number) => {
                self.clients.entry(*number).or_default();
                self.beat(play, *number, true);
            }
            Event::Beat(number) => self.beat(play, *number, true),
            Event::Lost(number) => self.beat(play, *number, false),
            Event::Leave(number) => {
                if let Some(client) = self.clients.remove(number)
                    && client.epoch > 0
                {
                    let id = format!("m{number}");
                    play.group.leave(&Heartbeat { member_epoch: LEFT, ..joining(&id, &[]) }).ok();
                }
            }
            Event::Grow => {
                let count = play.layout.topics["t"].1 + 1;
                play.layout.set(&format!("t:{} u:3", count.min(9)));
            }
            Event::Wait(seconds) => {
                play.after(u64::from(*seconds));
                // Who was removed stops by itself when its session is over, before the broker gives what it had to others.
                let gone = |number: &u8| !play.group.members.contains_key(format!("m{number}").as_str());
                for (_, client) in self.clients.iter_mut().filter(|(number, _)| gone(number)) {
                    *client = Client::default();
                }
            }
            Event::Restart => play.restarted(),
        }
    }
}

proptest! {
    /// However heartbeats, losses, restarts and changes fall: no two clients believe they own the same partition, and once
    /// they all beat a few times, everything is owned.
    #[test]
    fn each_partition_is_owned_by_one_at_a_time(events in proptest::collection::vec(event(), 1..60)) {
        let mut play = Play::of("t:4 u:3");
        let mut world = World::default();
        for event in &events {
            world.act(&mut play, event);
            world.assert_no_two_own();
        }
        // Who was fenced for good, as two answers were lost, comes in when its session is over: so it is with Kafka.
        world.act(&mut play, &Event::Wait(46));
        for _ in 0..6 {
            for number in 0..4 {
                world.beat(&mut play, number, true);
                world.assert_no_two_own();
            }
        }
        if !world.clients.is_empty() {
            let count = play.layout.topics["t"].1 + 3;
            let owned: usize = world.clients.values().map(|client| client.heard.len()).sum();
            prop_assert_eq!(owned, count as usize);
            prop_assert_eq!(play.group.state(), State::Stable);
        }
    }
}

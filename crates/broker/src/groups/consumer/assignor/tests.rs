//! Tables of cases, computed by hand from the rules of Kafka's assignors, and what holds for all input.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::{MemberSpec, Spec, Targets, assign};
use crate::groups::consumer::{Partitions, member_id};

fn topic(letter: char) -> Uuid {
    Uuid::from_u128(letter as u128)
}

/// `a:3 b:2`
fn topics(text: &str) -> Vec<(Uuid, i32)> {
    let one = |word: &str| {
        let (letter, count) = word.split_once(':').unwrap();
        (topic(letter.chars().next().unwrap()), count.parse().unwrap())
    };
    text.split_whitespace().map(one).collect()
}

/// `a0 a1 b0`
fn partitions(text: &str) -> Partitions {
    let mut partitions = Partitions::new();
    for word in text.split_whitespace() {
        let (letter, number) = word.split_at(1);
        let topic = topic(letter.chars().next().unwrap());
        partitions.entry(topic).or_default().insert(number.parse().unwrap());
    }
    partitions
}

fn shown(targets: &Targets) -> String {
    let letter = |topic: &Uuid| char::from_u32(topic.as_u128() as u32).unwrap();
    let one = |partitions: &Partitions| {
        let names = partitions.iter().flat_map(|(topic, numbers)| {
            numbers.iter().map(move |number| format!("{}{number}", letter(topic)))
        });
        names.collect::<Vec<_>>().join(" ")
    };
    targets.iter().map(|(id, partitions)| format!("{id}[{}]", one(partitions))).collect::<Vec<_>>().join(" ")
}

/// Members: name, subscribed topics, what they held.
fn spec(all: &str, members: &[(&str, &str, &str)]) -> Spec {
    let member = |(name, subscribed, held): &(&str, &str, &str)| {
        let subscribed = subscribed.chars().map(topic).collect();
        (member_id(name), MemberSpec { subscribed, held: partitions(held) })
    };
    Spec { topics: topics(all).into_iter().collect(), members: members.iter().map(member).collect() }
}

#[track_caller]
fn check(assignor: &str, all: &str, members: &[(&str, &str, &str)], expected: &str) {
    assert_eq!(
        shown(&assign(assignor, &spec(all, members))),
        expected,
        "{assignor} of {all} for {members:?}"
    );
}

#[test]
fn range_gives_neighbours_of_each_topic() {
    check("range", "a:3 b:2", &[("A", "ab", ""), ("B", "ab", "")], "A[a0 a1 b0] B[a2 b1]");
    check("range", "a:2", &[("A", "a", ""), ("B", "a", ""), ("C", "a", "")], "A[a0] B[a1] C[]");
    check("range", "a:7", &[("A", "a", ""), ("B", "a", ""), ("C", "a", "")], "A[a0 a1 a2] B[a3 a4] C[a5 a6]");
    check(
        "range",
        "a:3 b:3",
        &[("A", "a", ""), ("B", "ab", ""), ("C", "b", "")],
        "A[a0 a1] B[a2 b0 b1] C[b2]",
    );
    check("range", "", &[("A", "a", "")], "A[]");
}

#[test]
fn range_keeps_what_shares_allow() {
    // A third member: A keeps its extra partition, as it had more than the least; B gives one up.
    let held = [("A", "a", "a0 a1"), ("B", "a", "a2 a3"), ("C", "a", "")];
    check("range", "a:4", &held, "A[a0 a1] B[a2] C[a3]");
    // One leaves: its partitions go to who is below its share.
    check("range", "a:4", &[("A", "a", "a0 a1"), ("C", "a", "a3")], "A[a0 a1] C[a2 a3]");
    // The topic grows.
    check("range", "a:6", &[("A", "a", "a0 a1"), ("B", "a", "a2")], "A[a0 a1 a3] B[a2 a4 a5]");
    // No longer subscribed.
    check("range", "a:2 b:2", &[("A", "a", "a0 b0"), ("B", "ab", "a1 b1")], "A[a0] B[a1 b0 b1]");
}

#[test]
fn uniform_counts_out_equal_shares() {
    check("uniform", "a:3 b:3", &[("A", "ab", ""), ("B", "ab", "")], "A[a0 a1 a2] B[b0 b1 b2]");
    check("uniform", "a:3 b:2", &[("A", "ab", ""), ("B", "ab", "")], "A[a0 a1 a2] B[b0 b1]");
    check("uniform", "a:2", &[("A", "a", ""), ("B", "a", ""), ("C", "a", "")], "A[a0] B[a1] C[]");
    check("uniform", "", &[("A", "a", ""), ("B", "a", "")], "A[] B[]");
}

#[test]
fn uniform_moves_as_little_as_it_can() {
    let held = [("A", "ab", "a0 a1 a2"), ("B", "ab", "b0 b1 b2"), ("C", "ab", "")];
    check("uniform", "a:3 b:3", &held, "A[a0 a1] B[b0 b1] C[a2 b2]");
    check("uniform", "a:3 b:3", &[("A", "ab", "a0 a1"), ("C", "ab", "a2 b2")], "A[a0 a1 b0] C[a2 b1 b2]");
    check("uniform", "a:4", &[("A", "a", "a0"), ("B", "a", "a1")], "A[a0 a2] B[a1 a3]");
    // A topic that is no longer subscribed is no share.
    check("uniform", "a:2", &[("A", "a", "a0 b0"), ("B", "a", "b1")], "A[a0] B[a1]");
}

#[test]
fn uniform_balances_different_subscriptions() {
    check(
        "uniform",
        "a:3 b:3",
        &[("A", "a", ""), ("B", "ab", ""), ("C", "b", "")],
        "A[a0 a2] B[a1 b1] C[b0 b2]",
    );
    // B is the only one for b, so a goes to A.
    check("uniform", "a:2 b:4", &[("A", "a", ""), ("B", "ab", "")], "A[a0 a1] B[b0 b1 b2 b3]");
    // What B holds of a moves, one by one, until shares are as even as they can be.
    let held = [("A", "a", ""), ("B", "ab", "a0 a1 a2 a3 b0")];
    check("uniform", "a:4 b:1", &held, "A[a0 a1] B[a2 a3 b0]");
}

type Members = Vec<(BTreeSet<u8>, BTreeMap<u8, BTreeSet<i32>>)>;

fn any_spec(alike: bool) -> impl Strategy<Value = Spec> {
    let counts = proptest::collection::vec(0..9i32, 1..5);
    let member = (
        proptest::collection::btree_set(0..5u8, 0..5),
        proptest::collection::btree_map(0..5u8, proptest::collection::btree_set(0..9i32, 0..9), 0..4),
    );
    (counts, proptest::collection::vec(member, 1..7))
        .prop_map(move |(counts, members)| built(&counts, members, alike))
}

fn built(counts: &[i32], members: Members, alike: bool) -> Spec {
    let id = |number: u8| Uuid::from_u128(u128::from(number));
    let topics = counts.iter().enumerate().map(|(number, count)| (id(number as u8), *count)).collect();
    let first = members.first().map(|(subscribed, _)| subscribed.clone()).unwrap_or_default();
    let mut taken = BTreeSet::new();
    let mut spec = Spec { topics, members: BTreeMap::new() };
    for (number, (subscribed, held)) in members.into_iter().enumerate() {
        let subscribed = if alike { first.clone() } else { subscribed };
        let known = |number: &u8| usize::from(*number) < counts.len();
        let mut theirs = Partitions::new();
        for (topic, numbers) in held {
            let free: BTreeSet<i32> =
                numbers.into_iter().filter(|partition| taken.insert((topic, *partition))).collect();
            theirs.insert(id(topic), free);
        }
        let subscribed = subscribed.into_iter().filter(known).map(id).collect();
        spec.members.insert(member_id(&format!("m{number}")), MemberSpec { subscribed, held: theirs });
    }
    spec
}

/// Every partition that anybody subscribes to has one owner, who subscribes to its topic.
fn check_whole(spec: &Spec, targets: &Targets) {
    let mut owned = BTreeSet::new();
    for (id, partitions) in targets {
        for (topic, numbers) in partitions {
            assert!(spec.members[id].subscribed.contains(topic), "{id} does not subscribe to {topic}");
            for number in numbers {
                assert!(owned.insert((*topic, *number)), "two own {topic}-{number}");
            }
        }
    }
    let subscribed: BTreeSet<Uuid> =
        spec.members.values().flat_map(|member| member.subscribed.iter().copied()).collect();
    let wanted = spec.topics.iter().filter(|(topic, _)| subscribed.contains(*topic));
    let all: BTreeSet<_> =
        wanted.flat_map(|(topic, count)| (0..*count).map(move |number| (*topic, number))).collect();
    assert_eq!(owned, all);
    assert!(targets.keys().eq(spec.members.keys()));
}

fn sizes(targets: &Targets) -> Vec<usize> {
    targets.values().map(|partitions| partitions.values().map(BTreeSet::len).sum()).collect()
}

/// The same again, with what was just given as what is held.
fn again(name: &str, spec: &Spec, targets: &Targets) -> Targets {
    let mut next = Spec { topics: spec.topics.clone(), members: spec.members.clone() };
    for (id, member) in &mut next.members {
        member.held = targets[id].clone();
    }
    assign(name, &next)
}

proptest! {
    #[test]
    fn each_partition_has_one_owner(alike in any_spec(true), mixed in any_spec(false)) {
        for name in super::NAMES {
            for spec in [&alike, &mixed] {
                let targets = assign(name, spec);
                check_whole(spec, &targets);
                prop_assert_eq!(again(name, spec, &targets), targets, "{} is not at rest", name);
            }
        }
    }

    #[test]
    fn uniform_shares_differ_by_one_at_most(spec in any_spec(true)) {
        let sizes = sizes(&assign("uniform", &spec));
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
    }

    /// No single partition could go to a subscriber that has two less.
    #[test]
    fn uniform_leaves_nothing_to_even_out(spec in any_spec(false)) {
        let targets = assign("uniform", &spec);
        let size = |id: &str| targets[id].values().map(BTreeSet::len).sum::<usize>();
        for (id, partitions) in &targets {
            for topic in partitions.keys() {
                for other in spec.subscribers(*topic) {
                    prop_assert!(size(id) <= size(other) + 1, "{} could give to {}", id, other);
                }
            }
        }
    }
}

//! Cases worked out by hand from the rules of Kafka's assignor, and what holds for all input.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{MemberSpec, Work, assign};
use crate::groups::{
    consumer::member_id,
    streams::{Assignment, Tasks},
};

/// `a0 a1 b0`
fn tasks(text: &str) -> Tasks {
    let mut tasks = Tasks::new();
    for word in text.split_whitespace() {
        let (subtopology, number) = word.split_at(1);
        tasks.entry(subtopology.to_owned()).or_default().insert(number.parse().unwrap());
    }
    tasks
}

fn listed(tasks: &Tasks) -> Vec<String> {
    tasks.iter().flat_map(|(id, numbers)| numbers.iter().map(move |number| format!("{id}{number}"))).collect()
}

fn shown(all: &[Assignment]) -> String {
    let one = |given: &Assignment| match given.standby.is_empty() {
        true => listed(&given.active).join(" "),
        false => format!("{} + {}", listed(&given.active).join(" "), listed(&given.standby).join(" ")),
    };
    all.iter().map(one).collect::<Vec<_>>().join(" | ")
}

/// `a:3 b:2!`: subtopologies and how many tasks they have; those with a mark keep something.
fn work(text: &str) -> Vec<Work<'_>> {
    let one = |word: &'_ str| -> (usize, i32, bool) {
        let count = word[2..].trim_end_matches('!').parse().unwrap();
        (word.as_ptr() as usize - text.as_ptr() as usize, count, word.ends_with('!'))
    };
    let all = text.split_whitespace().map(one);
    all.map(|(at, tasks_count, is_stateful)| Work { subtopology: &text[at..=at], tasks_count, is_stateful })
        .collect()
}

/// Members by process, with what they had: (process, active, standby).
fn given(text: &str, members: &[(&str, &str, &str)], standbys: usize) -> Vec<Assignment> {
    let held: Vec<Assignment> = members
        .iter()
        .map(|(_, active, standby)| Assignment {
            active: tasks(active),
            standby: tasks(standby),
            ..Assignment::default()
        })
        .collect();
    let specs = members.iter().zip(&held).enumerate().map(|(place, ((process, ..), held))| {
        (member_id(&format!("m{place:02}")), MemberSpec { process, held: Some(held) })
    });
    assign(&work(text), &specs.collect(), standbys).into_values().collect()
}

#[test]
fn tasks_are_shared_out_evenly_and_stay_where_they_are() {
    let new = |process| (process, "", "");
    assert_eq!(shown(&given("a:4", &[new("p")], 0)), "a0 a1 a2 a3");
    assert_eq!(shown(&given("a:4 b:2", &[new("p"), new("q")], 0)), "a0 a2 b0 | a1 a3 b1");
    // A third comes: each gives up one.
    let before = [("p", "a0 a2 b0", ""), ("q", "a1 a3 b1", ""), new("r")];
    assert_eq!(shown(&given("a:4 b:2", &before, 0)), "a0 b0 | a1 b1 | a2 a3");
    // It goes again: what it had goes to the others, who keep what they have.
    let before = [("p", "a0 b0", ""), ("q", "a1 b1", "")];
    assert_eq!(shown(&given("a:4 b:2", &before, 0)), "a0 a2 b0 | a1 a3 b1");
    assert_eq!(shown(&given("a:1", &[new("p"), new("q")], 0)), "a0 | ");
    assert_eq!(shown(&given("", &[("p", "a0", "")], 0)), "");
}

#[test]
fn a_process_counts_by_its_members() {
    let members = [("p", "", ""), ("p", "", ""), ("q", "", "")];
    assert_eq!(shown(&given("a:6", &members, 0)), "a0 a3 | a2 a5 | a1 a4");
}

#[test]
fn standbys_are_on_other_processes_and_take_over() {
    let new = |process| (process, "", "");
    assert_eq!(shown(&given("a:2!", &[new("p"), new("q")], 1)), "a0 + a1 | a1 + a0");
    assert_eq!(shown(&given("a:2! b:2", &[new("p"), new("q")], 1)), "a0 b0 + a1 | a1 b1 + a0");
    assert_eq!(shown(&given("a:2!", &[new("p"), new("p")], 1)), "a0 | a1", "there is no other process");
    assert_eq!(shown(&given("a:2!", &[new("p"), new("q")], 2)), "a0 + a1 | a1 + a0", "nor a third");
    let left = [("p", "a0", "a1")];
    assert_eq!(shown(&given("a:2!", &left, 1)), "a0 a1");
    let comes = [("p", "a0 a1", ""), new("q")];
    assert_eq!(shown(&given("a:2!", &comes, 1)), "a0 + a1 | a1 + a0");
}

fn members() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0u8..4, 1..8)
}

proptest! {
    #[test]
    fn every_task_is_given_once_and_evenly_and_the_same_again(
        counts in prop::collection::vec((0i32..7, any::<bool>()), 0..4),
        processes in members(),
        standbys in 0usize..3,
    ) {
        let names = ["a", "b", "c", "d"];
        let work: Vec<Work<'_>> = counts
            .iter()
            .zip(names)
            .map(|((tasks_count, is_stateful), subtopology)| Work {
                subtopology,
                tasks_count: *tasks_count,
                is_stateful: *is_stateful,
            })
            .collect();
        let names: Vec<String> = processes.iter().map(|process| format!("p{process}")).collect();
        let specs = |before: &'_ BTreeMap<_, Assignment>| -> Vec<Option<Assignment>> {
            (0..names.len()).map(|place| before.get(&member_id(&format!("m{place:02}"))).cloned()).collect()
        };
        let assigned = |held: &[Option<Assignment>]| {
            let all = names.iter().zip(held).enumerate().map(|(place, (process, held))| {
                (member_id(&format!("m{place:02}")), MemberSpec { process, held: held.as_ref() })
            });
            assign(&work, &all.collect(), standbys)
        };
        let first = assigned(&vec![None; names.len()]);
        let active: Vec<String> = first.values().flat_map(|given| listed(&given.active)).collect();
        let distinct: BTreeSet<&String> = active.iter().collect();
        let total: i32 = work.iter().map(|one| one.tasks_count).sum();
        prop_assert_eq!((active.len() as i32, distinct.len() as i32), (total, total));
        // No process has a task twice, and no more standbys are given than are wanted.
        for process in names.iter().collect::<BTreeSet<_>>() {
            let of = first.values().zip(&names).filter(|(_, name)| *name == process);
            let all: Vec<String> =
                of.flat_map(|(given, _)| [listed(&given.active), listed(&given.standby)].concat()).collect();
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        }
        let distinct_processes = names.iter().collect::<BTreeSet<_>>().len();
        let stateful: i32 = work.iter().filter(|one| one.is_stateful).map(|one| one.tasks_count).sum();
        let copies: usize = first.values().map(|given| listed(&given.standby).len()).sum();
        prop_assert_eq!(copies, stateful as usize * standbys.min(distinct_processes - 1));
        // Where every process has one member, nobody has two more active tasks than another.
        if distinct_processes == names.len() {
            let each = first.values().map(|given| listed(&given.active).len());
            prop_assert!(each.clone().max().unwrap() - each.min().unwrap() <= 1);
        }
        // Nothing has changed: nothing moves.
        let second = assigned(&specs(&first));
        let actives = |all: &BTreeMap<_, Assignment>| all.values().map(|one| one.active.clone()).collect::<Vec<_>>();
        prop_assert_eq!(actives(&first), actives(&second));
    }
}

//! One member's way from what it holds to what it should hold: first it gives up, then it is given.
//!
//! A member stays in its epoch while it has something to give up. Once that is done it enters the target's epoch with all
//! that nobody else holds; what is still held waits for a later heartbeat.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Partitions;

/// Kafka's member states, with the numbers that it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    Stable,
    /// It has not said yet that it gave up what it has to.
    Unrevoked,
    /// Something of its target is still held by another.
    Unreleased,
    /// Stored by a later Kafka: such a member goes on from what it is stored to have.
    Unknown,
}

impl Phase {
    pub fn id(self) -> i8 {
        match self {
            Phase::Stable => 0,
            Phase::Unrevoked => 1,
            Phase::Unreleased => 2,
            Phase::Unknown => i8::MAX,
        }
    }

    pub fn of(id: i8) -> Phase {
        match id {
            0 => Phase::Stable,
            1 => Phase::Unrevoked,
            2 => Phase::Unreleased,
            _ => Phase::Unknown,
        }
    }
}

/// Where a member stands; stored as its current assignment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    pub epoch: i32,
    /// The epoch before: a member that lost the answer comes with it once more.
    pub previous_epoch: i32,
    pub phase: Phase,
    pub assigned: Partitions,
    pub revoking: Partitions,
    /// The epoch in which each of both was given to it: whoever lags behind may still commit what is older (KIP-1251).
    pub since: Since,
}

/// Epochs by partition.
pub type Since = BTreeMap<(Uuid, i32), i32>;

/// Where a member should be brought.
pub struct Aim<'a> {
    pub epoch: i32,
    pub target: &'a Partitions,
    pub subscribed: &'a BTreeSet<Uuid>,
    /// Whether another member holds the partition.
    pub is_taken: &'a dyn Fn(Uuid, i32) -> bool,
    /// What the member says it holds; `None`: it says nothing.
    pub owned: Option<&'a Partitions>,
}

impl Standing {
    pub fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.phase == Phase::Stable && self.epoch == epoch
    }

    /// The next step. `narrowed`: the subscription has changed, and what is no longer subscribed goes at once.
    pub fn step(&self, aim: &Aim<'_>, narrowed: bool) -> Standing {
        match self.phase {
            Phase::Stable if self.epoch == aim.epoch => self.narrow(aim, narrowed),
            Phase::Unrevoked if aim.still_owns(&self.revoking) => self.narrow(aim, narrowed),
            Phase::Stable | Phase::Unrevoked | Phase::Unreleased | Phase::Unknown => self.toward(aim),
        }
    }

    fn toward(&self, aim: &Aim<'_>) -> Standing {
        let none = BTreeSet::new();
        let (mut assigned, mut revoking) = (Partitions::new(), Partitions::new());
        let (mut coming, mut waits) = (Partitions::new(), false);
        let topics: BTreeSet<Uuid> = self.assigned.keys().chain(aim.target.keys()).copied().collect();
        for topic in topics {
            let held = self.assigned.get(&topic).unwrap_or(&none);
            let target = aim.target.get(&topic).filter(|_| aim.subscribed.contains(&topic)).unwrap_or(&none);
            put(&mut assigned, topic, held.intersection(target));
            put(&mut revoking, topic, held.difference(target));
            let free: Vec<&i32> =
                target.difference(held).filter(|partition| !(aim.is_taken)(topic, **partition)).collect();
            waits |= free.len() < target.difference(held).count();
            put(&mut coming, topic, free.into_iter());
        }
        if !revoking.is_empty() && aim.still_owns(&revoking) {
            let next = Standing { phase: Phase::Unrevoked, assigned, revoking, ..Standing::default() };
            return next.within(self, self.epoch);
        }
        for (topic, partitions) in coming {
            assigned.entry(topic).or_default().extend(partitions);
        }
        let phase = if waits { Phase::Unreleased } else { Phase::Stable };
        Standing { phase, assigned, ..Standing::default() }.within(self, aim.epoch)
    }

    /// Itself in that epoch, after `before`: what is new to it is its own since now.
    fn within(mut self, before: &Standing, epoch: i32) -> Standing {
        let held = |place: &(Uuid, i32)| {
            before.assigned.get(&place.0).is_some_and(|numbers| numbers.contains(&place.1))
        };
        let places: Vec<(Uuid, i32)> = self.places().collect();
        for place in places {
            let first = if held(&place) { before.epoch } else { epoch };
            self.since.insert(place, before.since.get(&place).copied().unwrap_or(first));
        }
        Standing { epoch, previous_epoch: before.epoch, ..self }
    }

    /// All it holds, also what it is giving up.
    pub fn places(&self) -> impl Iterator<Item = (Uuid, i32)> {
        let all = self.assigned.iter().chain(&self.revoking);
        all.flat_map(|(topic, numbers)| numbers.iter().map(|number| (*topic, *number)))
    }

    /// Whether the partition has been its own in that epoch already.
    pub fn held_in(&self, place: (Uuid, i32), epoch: i32) -> bool {
        self.since.get(&place).is_some_and(|since| *since <= epoch)
    }

    /// Without waiting for a new target: what is no longer subscribed is to be given up.
    fn narrow(&self, aim: &Aim<'_>, narrowed: bool) -> Standing {
        let strays = |topic: &Uuid| !aim.subscribed.contains(topic);
        if !narrowed || !self.assigned.keys().any(strays) {
            return self.clone();
        }
        let mut next = Standing { previous_epoch: self.epoch, ..self.clone() };
        next.assigned.retain(|topic, _| !strays(topic));
        for (topic, partitions) in self.assigned.iter().filter(|(topic, _)| strays(topic)) {
            next.revoking.entry(*topic).or_default().extend(partitions);
        }
        if aim.still_owns(&next.revoking) {
            next.phase = Phase::Unrevoked;
        } else {
            next.revoking = self.revoking.clone();
        }
        next
    }
}

impl Aim<'_> {
    /// Whether the member still has some of these; who says nothing is taken to.
    fn still_owns(&self, revoking: &Partitions) -> bool {
        let Some(owned) = self.owned else { return true };
        revoking
            .iter()
            .any(|(topic, partitions)| owned.get(topic).is_some_and(|theirs| !theirs.is_disjoint(partitions)))
    }
}

fn put<'a>(into: &mut Partitions, topic: Uuid, partitions: impl Iterator<Item = &'a i32>) {
    let partitions: BTreeSet<i32> = partitions.copied().collect();
    if !partitions.is_empty() {
        into.insert(topic, partitions);
    }
}

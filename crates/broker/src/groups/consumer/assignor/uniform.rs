//! `uniform`: all members get as many partitions as the others, give or take one, and keep what they had where that allows.
//!
//! Where all subscribe to the same, shares are counted out. Where they do not, what nobody has goes to whoever has least
//! of those who may have it, then single partitions move from who has more to who has less until that helps nobody.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use uuid::Uuid;

use super::{super::super::group::MemberId, Spec, Targets, give};

/// Rounds of moving single partitions: each about halves what is out of balance (Kafka's bound, too).
const ROUNDS_COUNT_MAX: usize = 16;

pub fn assign(spec: &Spec) -> Targets {
    let mut subscriptions = spec.members.values().map(|member| &member.subscribed);
    let first = subscriptions.next();
    if subscriptions.all(|other| Some(other) == first) {
        count_out(spec)
    } else {
        Balance::of(spec).targets()
    }
}

/// All subscribe to the same topics.
fn count_out(spec: &Spec) -> Targets {
    let mut targets = spec.nothing();
    let Some(first) = spec.members.values().next() else { return targets };
    let topics: Vec<(Uuid, i32)> = spec
        .topics
        .iter()
        .filter(|(topic, _)| first.subscribed.contains(*topic))
        .map(|(id, n)| (*id, *n))
        .collect();
    let total: usize = topics.iter().map(|(_, count)| (*count).max(0) as usize).sum();
    let (least, extras) = (total / spec.members.len(), total % spec.members.len());
    let mut kept: BTreeSet<(Uuid, i32)> = BTreeSet::new();
    let (mut given_up, mut unfilled) = (Vec::new(), Vec::new());
    for (place, member) in spec.members.keys().enumerate() {
        let mut room = least + usize::from(place < extras);
        for (topic, _) in &topics {
            let held = spec.held(member, *topic);
            let keeps = held.len().min(room);
            room -= keeps;
            kept.extend(held[..keeps].iter().map(|partition| (*topic, *partition)));
            given_up.extend(held[keeps..].iter().map(|partition| (*topic, *partition)));
            give(&mut targets, member, *topic, held[..keeps].iter().copied());
        }
        if room > 0 {
            unfilled.push((member, room));
        }
    }
    // What nobody had first, then what was given up.
    let all = topics.iter().flat_map(|(topic, count)| (0..*count).map(move |partition| (*topic, partition)));
    let given: BTreeSet<_> = given_up.iter().copied().collect();
    let free: Vec<_> = all.filter(|place| !kept.contains(place) && !given.contains(place)).collect();
    let mut left = free.into_iter().chain(given_up);
    for (member, room) in unfilled {
        for (topic, partition) in left.by_ref().take(room) {
            give(&mut targets, member, topic, [partition]);
        }
    }
    targets
}

/// Members subscribe to different topics.
struct Balance<'a> {
    spec: &'a Spec,
    /// Most partitions for each subscriber first: these leave the least choice.
    topics: Vec<(Uuid, i32, Vec<&'a MemberId>)>,
    owners: BTreeMap<(Uuid, i32), &'a MemberId>,
    sizes: BTreeMap<&'a MemberId, usize>,
}

impl<'a> Balance<'a> {
    fn of(spec: &'a Spec) -> Self {
        let mut topics: Vec<_> =
            spec.topics.iter().map(|(topic, count)| (*topic, *count, spec.subscribers(*topic))).collect();
        topics.retain(|(_, _, subscribers)| !subscribers.is_empty());
        topics.sort_by(|(_, one, some), (_, other, others)| {
            let each = |count: &i32, members: &Vec<_>| f64::from(*count) / members.len() as f64;
            each(other, others).total_cmp(&each(one, some)).then(some.len().cmp(&others.len()))
        });
        let sizes = spec.members.keys().map(|id| (id, 0)).collect();
        let mut balance = Balance { spec, topics, owners: BTreeMap::new(), sizes };
        balance.keep();
        balance.hand_out();
        for _ in 0..ROUNDS_COUNT_MAX {
            if !balance.move_some() {
                break;
            }
        }
        balance
    }

    fn own(&mut self, place: (Uuid, i32), member: &'a MemberId) {
        if let Some(before) = self.owners.insert(place, member)
            && let Some(size) = self.sizes.get_mut(before)
        {
            *size -= 1;
        }
        *self.sizes.entry(member).or_default() += 1;
    }

    fn keep(&mut self) {
        let spec = self.spec;
        for (id, member) in &spec.members {
            for topic in &member.subscribed {
                for partition in spec.held(id, *topic) {
                    self.own((*topic, partition), id);
                }
            }
        }
    }

    fn least(&self, members: &[&'a MemberId]) -> Option<&'a MemberId> {
        members.iter().copied().min_by_key(|id| (self.sizes[id], *id))
    }

    fn hand_out(&mut self) {
        for (topic, count, subscribers) in self.topics.clone() {
            for partition in 0..count {
                if !self.owners.contains_key(&(topic, partition))
                    && let Some(member) = self.least(&subscribers)
                {
                    self.own((topic, partition), member);
                }
            }
        }
    }

    /// Moves what makes the shares more alike; whether there was any.
    fn move_some(&mut self) -> bool {
        let mut moved = false;
        for (topic, count, subscribers) in self.topics.clone() {
            let mut places: Vec<_> = (0..count).map(|partition| (topic, partition)).collect();
            places.sort_by_key(|place| self.owners.get(place).map(|owner| Reverse(self.sizes[owner])));
            for place in places {
                let (Some(owner), Some(least)) = (self.owners.get(&place).copied(), self.least(&subscribers))
                else {
                    continue;
                };
                if self.sizes[owner] > self.sizes[least] + 1 {
                    self.own(place, least);
                    moved = true;
                }
            }
        }
        moved
    }

    fn targets(self) -> Targets {
        let mut targets = self.spec.nothing();
        for ((topic, partition), member) in self.owners {
            give(&mut targets, member, topic, [partition]);
        }
        targets
    }
}

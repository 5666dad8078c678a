//! `range`: of each topic every subscriber gets a run of neighbouring partitions, so that topics with as many partitions are
//! shared alike. What the members had is kept as far as their shares allow.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Spec, Targets, give};

pub fn assign(spec: &Spec) -> Targets {
    let mut targets = spec.nothing();
    for (topic, count) in &spec.topics {
        share(spec, *topic, *count, &mut targets);
    }
    targets
}

fn share(spec: &Spec, topic: Uuid, count: i32, targets: &mut Targets) {
    let subscribers = spec.subscribers(topic);
    if subscribers.is_empty() {
        return;
    }
    let (count, members_count) = (count.max(0) as usize, subscribers.len());
    let (least, mut extras) = (count / members_count, count % members_count);
    let mut kept: BTreeSet<i32> = BTreeSet::new();
    let mut unfilled = Vec::new();
    for member in subscribers {
        let held = spec.held(member, topic);
        // Who had more than the least share keeps one of the extra partitions, while there are any.
        let keeps_extra = held.len() > least && extras > 0;
        extras -= usize::from(keeps_extra);
        let keeps = held.len().min(least + usize::from(keeps_extra));
        kept.extend(&held[..keeps]);
        give(targets, member, topic, held[..keeps].iter().copied());
        if !keeps_extra {
            unfilled.push((member, least - keeps));
        }
    }
    let mut left = (0..count as i32).filter(|partition| !kept.contains(partition));
    for (member, missing) in unfilled {
        let extra = usize::from(extras > 0);
        extras -= extra;
        give(targets, member, topic, left.by_ref().take(missing + extra));
    }
}

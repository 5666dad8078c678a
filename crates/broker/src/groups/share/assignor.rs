//! The assignor `simple`: each partition of a subscribed topic is read by somebody, each member reads something, and no partition is
//! read by two while another is read by more.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::groups::{consumer::Partitions, group::MemberId};

/// What ShareGroupDescribe calls it.
pub const NAME: &str = "simple";

/// Shares these topics (with so many partitions) out to members, each with what it subscribes to.
pub fn assign(
    topics: &BTreeMap<Uuid, i32>,
    members: &BTreeMap<MemberId, BTreeSet<Uuid>>,
) -> BTreeMap<MemberId, Partitions> {
    let mut targets: BTreeMap<MemberId, Partitions> =
        members.keys().map(|id| (id.clone(), Partitions::new())).collect();
    // Members that subscribe to the same share the same partitions.
    let mut alike: BTreeMap<&BTreeSet<Uuid>, Vec<&MemberId>> = BTreeMap::new();
    for (id, subscribed) in members {
        alike.entry(subscribed).or_default().push(id);
    }
    for (subscribed, ids) in alike {
        let known = subscribed.iter().filter_map(|id| topics.get(id).map(|count| (*id, *count)));
        let all: Vec<(Uuid, i32)> =
            known.flat_map(|(id, count)| (0..count).map(move |number| (id, number))).collect();
        if all.is_empty() {
            continue;
        }
        for place in 0..all.len().max(ids.len()) {
            let (topic, number) = all[place % all.len()];
            let target = targets.entry(ids[place % ids.len()].clone()).or_default();
            target.entry(topic).or_default().insert(number);
        }
    }
    targets
}

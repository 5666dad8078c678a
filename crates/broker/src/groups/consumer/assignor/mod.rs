//! Who gets what: Kafka's two assignors on the broker's side, `uniform` and `range`.
//!
//! Both keep as much as they can of what the members had. Kafka leaves it to its hash maps which of two equal members or
//! topics comes first; here members come by their ids and topics by their names.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use uuid::Uuid;

use super::{super::group::MemberId, Partitions};

mod range;
mod uniform;

#[cfg(test)]
mod tests;

/// `group.consumer.assignors`; the first is taken where no member asks for one.
pub const NAMES: [&str; 2] = ["uniform", "range"];

/// What an assignor goes by.
#[derive(Debug, Default)]
pub struct Spec {
    /// Topics and how many partitions they have, in the order of their names.
    pub topics: IndexMap<Uuid, i32>,
    pub members: BTreeMap<MemberId, MemberSpec>,
}

#[derive(Debug, Default, Clone)]
pub struct MemberSpec {
    pub subscribed: BTreeSet<Uuid>,
    /// What it has been meant to hold so far.
    pub held: Partitions,
}

pub type Targets = BTreeMap<MemberId, Partitions>;

/// Every member is in the answer, also with nothing.
pub fn assign(name: &str, spec: &Spec) -> Targets {
    match name {
        "range" => range::assign(spec),
        _ => uniform::assign(spec),
    }
}

impl Spec {
    fn subscribers(&self, topic: Uuid) -> Vec<&MemberId> {
        let subscribes = |(_, member): &(&MemberId, &MemberSpec)| member.subscribed.contains(&topic);
        self.members.iter().filter(subscribes).map(|(id, _)| id).collect()
    }

    /// What a member keeps of a topic, were there no others: partitions that there still are.
    fn held(&self, member: &MemberId, topic: Uuid) -> Vec<i32> {
        let count = self.topics.get(&topic).copied().unwrap_or(0);
        let held = self.members.get(member).and_then(|spec| spec.held.get(&topic));
        held.into_iter().flatten().copied().filter(|partition| *partition < count).collect()
    }

    fn nothing(&self) -> Targets {
        self.members.keys().map(|id| (id.clone(), Partitions::new())).collect()
    }
}

fn give(targets: &mut Targets, member: &MemberId, topic: Uuid, partitions: impl IntoIterator<Item = i32>) {
    let mut partitions = partitions.into_iter().peekable();
    if partitions.peek().is_some()
        && let Some(theirs) = targets.get_mut(member)
    {
        theirs.entry(topic).or_default().extend(partitions);
    }
}

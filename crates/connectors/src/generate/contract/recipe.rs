//! What records are made by: a graph of nodes, whatever kind of contract it comes from. Here is what a node can be, and how far it is
//! from each to an end; `maker` walks it with dice.

use std::sync::Arc;

use super::{number::Number, text::Text};

/// An index into a recipe's nodes: a type that refers to itself is a loop of indexes.
pub(super) type NodeId = usize;

pub(super) struct Node {
    pub(super) shape: Shape,
    /// The pointer to what it comes from in the contract.
    pub(super) at: Arc<str>,
}

pub(super) enum Shape {
    /// Being read: stands only until its own reading ends.
    Open,
    /// One of these, as JSON.
    Known(Vec<Box<[u8]>>),
    Boolean,
    Number(Number),
    Text(Box<Text>),
    List(List),
    Object(Object),
    /// One of these, each as often as its weight says.
    Choice(Vec<(u32, NodeId)>),
    /// Nothing keeps the contract here.
    Impossible(String),
    /// Something may, but it is not known how to make it.
    Unsupported(String),
}

pub(super) struct List {
    /// What stands at the first places.
    pub(super) prefix: Vec<NodeId>,
    /// What stands at all others; `None`: nothing.
    pub(super) rest: Option<NodeId>,
    pub(super) count_min: usize,
    pub(super) count_max: usize,
    /// Of these there are so many, behind the prefix.
    pub(super) contains: Option<(NodeId, usize)>,
    pub(super) is_set: bool,
}

impl List {
    /// Of any length.
    pub(super) fn of(rest: Option<NodeId>) -> Self {
        let (count_min, count_max) = (0, usize::MAX);
        Self { prefix: Vec::new(), rest, count_min, count_max, contains: None, is_set: false }
    }
}

pub(super) struct Object {
    /// Those that the contract names.
    pub(super) fields: Vec<Field>,
    /// Names that fit where the contract leaves them open.
    pub(super) extras: Vec<Field>,
    /// Entries of an object that is a map: some of the extras are always there.
    pub(super) is_map: bool,
    pub(super) count_min: usize,
    pub(super) count_max: usize,
    /// Where the first is there, the others have to be: indexes into `fields`.
    pub(super) needs: Vec<(usize, Vec<usize>)>,
}

impl Object {
    /// Every member is there in every record.
    pub(super) fn is_always_whole(&self) -> bool {
        let count = self.fields.len();
        self.extras.is_empty()
            && (self.count_min..=self.count_max).contains(&count)
            && self.fields.iter().all(|field| field.is_required)
    }
}

pub(super) struct Field {
    pub(super) name: Arc<str>,
    /// `"name":`
    pub(super) head: Box<[u8]>,
    pub(super) node: NodeId,
    pub(super) is_required: bool,
}

impl Field {
    pub(super) fn new(name: &str, node: NodeId, is_required: bool) -> Self {
        let mut head = serde_json::to_vec(name).unwrap_or_default();
        head.push(b':');
        Self { name: name.into(), head: head.into(), node, is_required }
    }
}

/// How far it is to an end, without one.
pub(super) const ENDLESS: u32 = u32::MAX;
/// The least that a record has to be may not be more.
const BYTES_MIN_MAX: u64 = 16 << 20;

/// A node that no record can be made of, and why.
pub(super) struct Dead {
    pub(super) at: Arc<str>,
    pub(super) reason: String,
}

/// For each node, how many levels the shallowest value has.
pub(super) fn heights(nodes: &[Node]) -> Vec<u32> {
    let mut heights = vec![ENDLESS; nodes.len()];
    loop {
        let mut is_changed = false;
        for (id, node) in nodes.iter().enumerate().rev() {
            let height = height(&node.shape, &heights);
            if height < heights[id] {
                heights[id] = height;
                is_changed = true;
            }
        }
        if !is_changed {
            return heights;
        }
    }
}

fn height(shape: &Shape, heights: &[u32]) -> u32 {
    let above = |below: u32| below.saturating_add(1);
    let highest = |mut ids: Box<dyn Iterator<Item = NodeId> + '_>| {
        ids.try_fold(0, |most: u32, id| match heights[id] {
            ENDLESS => None,
            height => Some(most.max(height)),
        })
    };
    match shape {
        Shape::Known(_) | Shape::Boolean | Shape::Number(_) | Shape::Text(_) => 1,
        Shape::Choice(of) => above(of.iter().map(|(_, id)| heights[*id]).min().unwrap_or(ENDLESS)),
        Shape::List(list) => {
            let places = (0..list.count_min).map(|place| list.prefix.get(place).copied().or(list.rest));
            // Behind the prefix all places are alike.
            let mut places: Vec<Option<NodeId>> = places.take(list.prefix.len() + 1).collect();
            places.extend(list.contains.map(|(id, _)| Some(id)));
            match places.into_iter().collect::<Option<Vec<_>>>() {
                Some(ids) => highest(Box::new(ids.into_iter())).map_or(ENDLESS, above),
                None => ENDLESS,
            }
        }
        Shape::Object(object) => {
            let required = object.fields.iter().filter(|field| field.is_required);
            let made = |field: &&Field| heights[field.node] != ENDLESS;
            let possible = object.fields.iter().chain(&object.extras).filter(made).count();
            if possible < object.count_min {
                return ENDLESS;
            }
            let mut optional: Vec<u32> = object
                .fields
                .iter()
                .chain(&object.extras)
                .filter(|field| !field.is_required)
                .map(|field| heights[field.node])
                .collect();
            optional.sort_unstable();
            let missing = object.count_min.saturating_sub(required.clone().count());
            let forced = missing.checked_sub(1).and_then(|last| optional.get(last)).copied().unwrap_or(0);
            highest(Box::new(required.map(|field| field.node)))
                .map_or(ENDLESS, |height| above(height.max(forced)))
        }
        Shape::Open | Shape::Impossible(_) | Shape::Unsupported(_) => ENDLESS,
    }
}

/// Why there is no end from here: the first node on the way that is to blame.
pub(super) fn dead_end(nodes: &[Node], heights: &[u32], from: NodeId) -> Dead {
    let (mut id, mut seen) = (from, Vec::new());
    loop {
        let node = &nodes[id];
        let dead = |reason: &str| Dead { at: node.at.clone(), reason: reason.to_owned() };
        if seen.contains(&id) {
            return dead("it contains itself without an end");
        }
        seen.push(id);
        let endless = |id: &NodeId| heights[*id] == ENDLESS;
        let next = match &node.shape {
            Shape::Impossible(reason) | Shape::Unsupported(reason) => return dead(reason),
            Shape::Choice(of) => of.iter().map(|(_, id)| *id).find(endless),
            Shape::List(list) => {
                let places = list.prefix.iter().take(list.count_min).copied().chain(list.rest);
                let found = places.chain(list.contains.map(|(id, _)| id)).find(endless);
                if found.is_none() {
                    return dead("it has to have more items than it may have");
                }
                found
            }
            Shape::Object(object) => {
                let required = object.fields.iter().filter(|field| field.is_required);
                let found = required.map(|field| field.node).find(endless);
                if found.is_none() {
                    return dead("it has to have more members than it may have");
                }
                found
            }
            Shape::Open | Shape::Known(_) | Shape::Boolean | Shape::Number(_) | Shape::Text(_) => None,
        };
        match next {
            Some(next) => id = next,
            None => return dead("nothing keeps it"),
        }
    }
}

/// An optional member that there may be, but that nobody knows how to make: it is not left out silently.
pub(super) fn unsupported_member(nodes: &[Node]) -> Option<Dead> {
    let members = nodes.iter().filter_map(|node| match &node.shape {
        Shape::Object(object) => Some(object.fields.iter().map(|field| field.node)),
        _ => None,
    });
    members.flatten().find_map(|id| match &nodes[id].shape {
        Shape::Unsupported(reason) => Some(Dead { at: nodes[id].at.clone(), reason: reason.clone() }),
        _ => None,
    })
}

/// Whether the smallest record would be larger than anybody wants: lists of lists with many items each.
pub(super) fn is_too_large(nodes: &[Node], heights: &[u32], root: NodeId) -> bool {
    let mut order: Vec<NodeId> = (0..nodes.len()).filter(|id| heights[*id] != ENDLESS).collect();
    order.sort_by_key(|id| heights[*id]);
    let mut bytes = vec![0u64; nodes.len()];
    for id in order {
        bytes[id] = match &nodes[id].shape {
            Shape::Text(text) => 2 + text.chars_min as u64,
            Shape::Choice(of) => of.iter().min_by_key(|(_, id)| heights[*id]).map_or(0, |(_, id)| bytes[*id]),
            Shape::List(list) => {
                let prefix = list.prefix.iter().take(list.count_min).map(|id| bytes[*id]).sum::<u64>();
                let rest = list.count_min.saturating_sub(list.prefix.len()) as u64;
                prefix.saturating_add(rest.saturating_mul(list.rest.map_or(0, |id| 1 + bytes[id])))
            }
            Shape::Object(object) => {
                let required = object.fields.iter().filter(|field| field.is_required);
                required.fold(2, |sum: u64, field| {
                    sum.saturating_add(field.head.len() as u64 + bytes[field.node])
                })
            }
            _ => 8,
        };
    }
    bytes[root] > BYTES_MIN_MAX
}

//! JSON Schema as a recipe. A value has to keep several subschemas at once (`allOf`, `$ref`, what several name of one member): their
//! sum is one node, by the set of their places. What leaves a choice (`oneOf`, `anyOf`, `if`) is a node with a way for each.
//!
//! `sources` has the subschemas and what references lead to, `wish` the sum of what they ask, `fits` judges values that the contract
//! gives itself, `choices` what leaves a choice, `shapes` makes the nodes.

mod choices;
mod fits;
mod shapes;
mod sources;
mod wish;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use serde_json::Value as Json;

use super::recipe::{Node, NodeId, Shape};
use sources::{SourceId, Sources};

/// Alternatives times alternatives: beyond so many nodes a contract is refused.
const NODES_COUNT_MAX: usize = 20_000;
/// Subschemas that one value has to keep.
const PIECES_COUNT_MAX: usize = 500;

/// A subschema, and which of its choices are made already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Piece {
    source: SourceId,
    made: u32,
}

impl Piece {
    fn whole(source: SourceId) -> Self {
        Self { source, made: 0 }
    }
}

/// What has to be read for a node.
struct Task {
    node: NodeId,
    pieces: Vec<Piece>,
    name: Arc<str>,
}

/// What a node is known by: what it has to keep, and the name of its field.
type Key = (Vec<Piece>, Arc<str>);

pub(super) struct Compiler {
    sources: Sources,
    nodes: Vec<Node>,
    by_key: HashMap<Key, NodeId>,
    tasks: VecDeque<Task>,
    /// What is made may break the contract: each record is held against it.
    is_checked: bool,
}

/// The nodes, the first of which is the whole; and whether records have to be checked.
pub(super) fn compile(document: Json) -> (Vec<Node>, bool) {
    let mut compiler = Compiler {
        sources: Sources::new(document),
        nodes: Vec::new(),
        by_key: HashMap::new(),
        tasks: VecDeque::new(),
        is_checked: false,
    };
    let root = compiler.sources.at("").map(Piece::whole);
    compiler.node(root.into_iter().collect(), "");
    while let Some(task) = compiler.tasks.pop_front() {
        let shape = compiler.shape(task.pieces, &task.name);
        compiler.nodes[task.node].shape = shape;
    }
    (compiler.nodes, compiler.is_checked)
}

impl Compiler {
    /// The node of a value that keeps all of these; read later.
    fn node(&mut self, pieces: Vec<Piece>, name: &str) -> NodeId {
        let pieces = match self.closed(pieces) {
            Ok(pieces) => pieces,
            Err((at, reason)) => return self.add(Shape::Unsupported(reason), at),
        };
        let key = (pieces, name.into());
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let place =
            key.0.iter().map(|piece| &self.sources.get(piece.source).at).find(|at| !at.starts_with('!'));
        let at = place.cloned().unwrap_or_default();
        if self.nodes.len() >= NODES_COUNT_MAX {
            return self
                .add(Shape::Unsupported(format!("it has more than {NODES_COUNT_MAX} alternatives")), at);
        }
        let node = self.add(Shape::Open, at);
        self.by_key.insert(key.clone(), node);
        self.tasks.push_back(Task { node, pieces: key.0, name: key.1 });
        node
    }

    fn add(&mut self, shape: Shape, at: Arc<str>) -> NodeId {
        self.nodes.push(Node { shape, at });
        self.nodes.len() - 1
    }

    /// With all that they refer to and contain, each once, in the order of their places; what keeps everything is left out.
    fn closed(&mut self, pieces: Vec<Piece>) -> Result<Vec<Piece>, (Arc<str>, String)> {
        let (mut all, mut waiting): (Vec<Piece>, Vec<Piece>) = (Vec::new(), pieces);
        waiting.reverse();
        while let Some(piece) = waiting.pop() {
            // What is referred to again has its choices made already.
            if let Some(known) = all.iter_mut().find(|known| known.source == piece.source) {
                known.made |= piece.made;
                continue;
            }
            let source = self.sources.get(piece.source);
            let (json, at) = (source.json.clone(), source.at.clone());
            if all.len() >= PIECES_COUNT_MAX {
                return Err((at, format!("more than {PIECES_COUNT_MAX} subschemas at once")));
            }
            let Json::Object(members) = &*json else {
                if *json != Json::Bool(true) {
                    all.push(piece);
                }
                continue;
            };
            let reference =
                ["$ref", "$dynamicRef", "$recursiveRef"].iter().find_map(|word| members.get(*word)?.as_str());
            if let Some(reference) = reference {
                let target = self.sources.resolve(piece.source, reference).map_err(|reason| (at, reason))?;
                waiting.push(Piece::whole(target));
                if !self.sources.refs_have_siblings && members.contains_key("$ref") {
                    continue;
                }
            }
            all.push(piece);
            // The first of them is read next.
            for place in (0..members.get("allOf").and_then(Json::as_array).map_or(0, Vec::len)).rev() {
                waiting.extend(
                    self.sources.below(piece.source, &["allOf", &place.to_string()]).map(Piece::whole),
                );
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;

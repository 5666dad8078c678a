//! Records made by a contract: JSON Schema, Avro or Protobuf become one kind of recipe, and a record is a walk over it with the dice of
//! its number.
//!
//! `recipe` is what records are made by, `maker` makes one, `json_schema`, `avro` and `protobuf` read contracts; `text`, `pattern`,
//! `number` and `names` are what values are made of. What is not right by construction (`not`, what looks ahead in a pattern) is
//! made anew until it keeps the contract; a contract that no record keeps, or that is not understood, is refused with its place.

mod avro;
mod json_schema;
mod maker;
mod names;
mod number;
mod pattern;
mod protobuf;
mod recipe;
mod text;

use std::{fmt, sync::Arc};

use base::{ContractKind, Spot};
use contracts::{Document, Referenced, Transcoder};

use super::{Error, dice::Dice};
use maker::Maker;
use recipe::{Dead, ENDLESS, Node, NodeId, Shape};

/// Apart from other tables' dice.
const SALT: u64 = 40;
/// Records that are made until one keeps the contract.
const TRIES_MAX: u32 = 300;
/// So many are made before the first is asked for: a contract that cannot be kept is refused at once.
const PROBES_COUNT: u64 = 16;

/// How to make records that keep a contract.
pub struct Recipe {
    name: Arc<str>,
    path: Arc<str>,
    text: Arc<str>,
    kind: ContractKind,
    nodes: Vec<Node>,
    heights: Vec<u32>,
    root: NodeId,
    /// Holds each record against the contract, where it could break it.
    checker: Option<Transcoder>,
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Recipe {
    /// `name` is what records' places call it, `path` what errors call the text; the references as `Document::parse_with` wants them.
    ///
    /// # Errors
    /// A contract that is none, or that no record can be made by.
    pub fn of(
        name: &str,
        kind: ContractKind,
        path: &str,
        text: &str,
        references: &[Referenced],
    ) -> Result<Self, Error> {
        let document = Document::parse_with(kind, path, text, references)?;
        let transcoder = Transcoder::of(&document)?;
        let (nodes, root, is_checked) = match (&document, &transcoder) {
            (Document::JsonSchema(schema), _) => {
                let (nodes, is_checked) = json_schema::compile(schema.whole().clone());
                (nodes, 0, is_checked)
            }
            (Document::Protobuf(_), Transcoder::Protobuf(messages)) => {
                let (nodes, root) = protobuf::compile(messages.first());
                (nodes, root, false)
            }
            _ => {
                let (nodes, root) = avro::compile(text, references);
                (nodes, root, false)
            }
        };
        let heights = recipe::heights(&nodes);
        let made = Self {
            name: name.into(),
            path: path.into(),
            text: text.into(),
            kind,
            nodes,
            heights,
            root,
            checker: is_checked.then_some(transcoder),
        };
        made.examined()?;
        Ok(made)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Refuses what cannot be made.
    fn examined(&self) -> Result<(), Error> {
        if self.heights[self.root] == ENDLESS {
            return Err(self.refused(recipe::dead_end(&self.nodes, &self.heights, self.root)));
        }
        if let Some(dead) = recipe::unsupported_member(&self.nodes) {
            return Err(self.refused(dead));
        }
        if recipe::is_too_large(&self.nodes, &self.heights, self.root) {
            let reason = "the smallest record is larger than 16 MiB".to_owned();
            return Err(self.refused(Dead { at: "".into(), reason }));
        }
        let mut record = Vec::new();
        for number in 0..PROBES_COUNT {
            record.clear();
            self.write(0, number, &mut record)?;
        }
        Ok(())
    }

    /// Appends the record of this number as JSON.
    ///
    /// # Errors
    /// None that was made keeps the contract.
    pub(super) fn write(&self, seed: u64, number: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        let begun = out.len();
        let dice = Dice::new(seed, SALT, number);
        let text = String::new();
        let mut maker = Maker { nodes: &self.nodes, heights: &self.heights, dice, number, begun, text };
        let mut last = Dead { at: "".into(), reason: String::new() };
        for _ in 0..TRIES_MAX {
            out.truncate(begun);
            match maker.write(self.root, 0, out) {
                Ok(()) => {}
                Err(node) => {
                    let at = self.nodes[node].at.clone();
                    last =
                        Dead { at, reason: "none of the values that were made keeps all of it".to_owned() };
                    continue;
                }
            }
            match self.broken(&out[begun..]) {
                None => return Ok(()),
                Some((field, reason)) => last = Dead { at: self.place_of(&field), reason },
            }
        }
        out.truncate(begun);
        Err(self.refused(last))
    }

    /// Where the record breaks the contract, and how.
    fn broken(&self, record: &[u8]) -> Option<(String, String)> {
        let checker = self.checker.as_ref()?;
        let json = match serde_json::from_slice(record) {
            Ok(json) => json,
            Err(error) => return Some((String::new(), error.to_string())),
        };
        let violation = checker.write(&json, &mut Vec::new()).err()?;
        let reason = format!("records that are made by it break it: {violation}");
        Some((violation.field, reason))
    }

    /// The place in the contract of a field of a record, as far down as it can be followed.
    fn place_of(&self, field: &str) -> Arc<str> {
        let mut node = self.root;
        for step in field.split('/').filter(|step| !step.is_empty()) {
            let below = |node: &Node| match &node.shape {
                Shape::Object(object) => {
                    let mut all = object.fields.iter().chain(&object.extras);
                    all.find(|field| *field.name == *step).map(|field| field.node)
                }
                Shape::List(list) => {
                    let place = step.parse::<usize>().ok();
                    place.and_then(|place| list.prefix.get(place).copied()).or(list.rest)
                }
                _ => None,
            };
            let through = |node: &Node| match &node.shape {
                Shape::Choice(of) => of.iter().find_map(|(_, id)| below(&self.nodes[*id])),
                _ => below(node),
            };
            match through(&self.nodes[node]) {
                Some(next) => node = next,
                None => break,
            }
        }
        self.nodes[node].at.clone()
    }

    fn refused(&self, dead: Dead) -> Error {
        let spot = match self.kind {
            ContractKind::Protobuf => {
                let start = self.text.find(&*dead.at).unwrap_or(0);
                let length = dead.at.len().min(self.text.len());
                let (path, text, label) = (self.path.clone(), self.text.clone(), "here".to_owned());
                Spot::Text { path, text, start, length, label }
            }
            ContractKind::Avro | ContractKind::JsonSchema => {
                let steps = dead.at.trim_start_matches('!').split('/').skip(1);
                let steps: Vec<String> =
                    steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
                contracts::spot(&self.path, &self.text, &steps, "here")
            }
        };
        Error::Unmade { path: self.path.clone(), spot: Box::new(spot), reason: dead.reason }
    }
}

#[cfg(test)]
mod tests;

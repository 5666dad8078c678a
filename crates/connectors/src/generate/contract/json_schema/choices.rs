//! What leaves a choice: each way is a node that keeps all else and one branch.

use serde_json::{Map, Value as Json, json};

use super::{
    Compiler, Piece,
    wish::{kinds, kinds_of},
};
use crate::generate::contract::recipe::{NodeId, Shape};

const ONE_OF: u32 = 1;
const ANY_OF: u32 = 2;
const IF: u32 = 4;
const NOT: u32 = 8;
/// The first of the bits for members on which schemas depend; there are more of them than bits only in contracts that nobody wrote.
const DEPENDENT: u32 = 16;
const DEPENDENT_COUNT_MAX: u32 = 24;

/// A way that allows null is taken less often.
const NULL_WEIGHT: u32 = 1;
const WEIGHT: u32 = 8;

/// A way: what it keeps beside all else.
type Way = Vec<Piece>;

impl Compiler {
    /// The first choice that is still open among these, as the shape with its ways.
    pub(super) fn choice(&mut self, pieces: &[Piece], name: &str) -> Option<Shape> {
        for (place, piece) in pieces.iter().enumerate() {
            let json = self.sources.get(piece.source).json.clone();
            let Json::Object(members) = &*json else { continue };
            let Some((bit, ways)) = self.ways(*piece, members) else { continue };
            let mut rest = pieces.to_vec();
            rest[place].made |= bit;
            let of = ways.into_iter().map(|way| {
                let weight = if self.is_null(&way) { NULL_WEIGHT } else { WEIGHT };
                (weight, self.node([&rest[..], &way].concat(), name))
            });
            let of: Vec<(u32, NodeId)> = of.collect();
            return Some(match of.is_empty() {
                true => Shape::Impossible("it excludes everything".to_owned()),
                false => Shape::Choice(of),
            });
        }
        None
    }

    fn ways(&mut self, piece: Piece, members: &Map<String, Json>) -> Option<(u32, Vec<Way>)> {
        let is_open = |bit: u32, word: &str| piece.made & bit == 0 && members.contains_key(word);
        for (bit, word) in [(ONE_OF, "oneOf"), (ANY_OF, "anyOf")] {
            if is_open(bit, word) {
                let branches = members[word].as_array().map_or(0, Vec::len);
                let ways: Vec<Way> =
                    (0..branches).filter_map(|at| self.way(piece, &[word, &at.to_string()])).collect();
                self.is_checked |= word == "oneOf" && !self.are_apart(&ways);
                return Some((bit, ways));
            }
        }
        if is_open(IF, "if") && (members.contains_key("then") || members.contains_key("else")) {
            return Some((IF, self.ways_of_if(piece, members)));
        }
        if is_open(NOT, "not") {
            return Some((NOT, self.ways_of_not(&members["not"])));
        }
        self.dependent(piece, members)
    }

    fn way(&mut self, piece: Piece, steps: &[&str]) -> Option<Way> {
        self.sources.below(piece.source, steps).map(|source| vec![Piece::whole(source)])
    }

    fn ways_of_if(&mut self, piece: Piece, members: &Map<String, Json>) -> Vec<Way> {
        let mut holds = self.way(piece, &["if"]).unwrap_or_default();
        holds.extend(self.way(piece, &["then"]).into_iter().flatten());
        let not = self.sources.made_up(json!({ "not": members["if"] }));
        let mut fails = vec![Piece::whole(not)];
        fails.extend(self.way(piece, &["else"]).into_iter().flatten());
        vec![holds, fails]
    }

    /// What is plain is turned round; all else is made without it and then looked at.
    fn ways_of_not(&mut self, not: &Json) -> Vec<Way> {
        let mut made_up = |json: Json| vec![Piece::whole(self.sources.made_up(json))];
        let everything = vec![Vec::new()];
        let members = match not {
            Json::Bool(true) => return Vec::new(),
            Json::Object(members) if members.is_empty() => return Vec::new(),
            Json::Object(members) => members,
            _ => return everything,
        };
        let mut words =
            members.iter().filter(|(word, _)| !["$comment", "description", "title"].contains(&word.as_str()));
        match (words.next(), words.next()) {
            (Some((word, named)), None) if word == "type" => {
                let left = kinds::ALL & !kinds_of(named);
                let names = [
                    ("null", 1),
                    ("boolean", 2),
                    ("integer", 4),
                    ("string", 16),
                    ("array", 32),
                    ("object", 64),
                ];
                // Without integers there are no numbers: what is left of them cannot be named.
                let left: Vec<&str> =
                    names.iter().filter(|(_, bit)| left & bit != 0).map(|(name, _)| *name).collect();
                vec![made_up(json!({ "type": left }))]
            }
            (Some((word, Json::Array(names))), None) if word == "required" => {
                let absent =
                    |name: &Json| made_up(json!({ "properties": { name.as_str().unwrap_or(""): false } }));
                names.iter().map(absent).collect()
            }
            (Some((word, Json::Array(of))), None) if word == "anyOf" => {
                let nots: Vec<Json> = of.iter().map(|one| json!({ "not": one })).collect();
                vec![made_up(json!({ "allOf": nots }))]
            }
            _ => {
                self.is_checked = true;
                everything
            }
        }
    }

    /// A schema that counts where a member is there: either it is not, or both are.
    fn dependent(&mut self, piece: Piece, members: &Map<String, Json>) -> Option<(u32, Vec<Way>)> {
        let mut place = 0;
        for word in ["dependentSchemas", "dependencies"] {
            for (name, schema) in members.get(word).and_then(Json::as_object).into_iter().flatten() {
                if schema.is_array() {
                    continue;
                }
                if place >= DEPENDENT_COUNT_MAX {
                    self.is_checked = true;
                    return None;
                }
                let bit = DEPENDENT << place;
                place += 1;
                if piece.made & bit == 0 {
                    let absent = self.sources.made_up(json!({ "properties": { name.as_str(): false } }));
                    let mut ways = vec![vec![Piece::whole(absent)]];
                    ways.extend(self.way(piece, &[word, name]));
                    return Some((bit, ways));
                }
            }
        }
        None
    }

    /// What a way keeps, with what its references lead to.
    fn kinds_of_way(&mut self, way: &Way) -> u8 {
        let pieces = self.closed(way.clone()).unwrap_or_default();
        pieces.iter().fold(kinds::ALL, |all, piece| {
            let json = &self.sources.get(piece.source).json;
            all & json.get("type").map_or(kinds::ALL, kinds_of)
        })
    }

    fn is_null(&mut self, way: &Way) -> bool {
        self.kinds_of_way(way) == kinds::NULL
    }

    /// Whether no value keeps two of them, told by their types alone.
    fn are_apart(&mut self, ways: &[Way]) -> bool {
        let mut seen = 0;
        ways.iter().all(|way| {
            let kinds = self.kinds_of_way(way);
            let is_apart = seen & kinds == 0;
            seen |= kinds;
            is_apart
        })
    }
}

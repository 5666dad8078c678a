//! What several subschemas ask of one value together, as far as each can be put into one word; what cannot is left to `choices`.

use serde_json::{Map, Value as Json};

use super::{
    Piece,
    sources::{SourceId, Sources},
};
use crate::generate::contract::{
    number::{Decimal, NumberWish, bound},
    pattern::Pattern,
    text::Format,
};

/// Kinds of values, as bits.
pub(super) mod kinds {
    pub(in super::super) const NULL: u8 = 1;
    pub(in super::super) const BOOLEAN: u8 = 2;
    pub(in super::super) const INTEGER: u8 = 4;
    /// With a fraction; `number` is both.
    pub(in super::super) const FRACTION: u8 = 8;
    pub(in super::super) const STRING: u8 = 16;
    pub(in super::super) const ARRAY: u8 = 32;
    pub(in super::super) const OBJECT: u8 = 64;
    pub(in super::super) const ALL: u8 = 127;
}

/// The kinds that a schema's `type` names.
pub(super) fn kinds_of(named: &Json) -> u8 {
    let one = |name: &Json| match name.as_str() {
        Some("null") => kinds::NULL,
        Some("boolean") => kinds::BOOLEAN,
        Some("integer") => kinds::INTEGER,
        Some("number") => kinds::INTEGER | kinds::FRACTION,
        Some("string") => kinds::STRING,
        Some("array") => kinds::ARRAY,
        Some("object") => kinds::OBJECT,
        _ => 0,
    };
    named.as_array().map_or_else(|| one(named), |names| names.iter().map(one).fold(0, |all, one| all | one))
}

pub(super) struct Wish {
    pub(super) kinds: u8,
    /// Kinds that keywords speak of, where no `type` does.
    pub(super) hinted: u8,
    pub(super) has_type: bool,
    pub(super) known: Option<Vec<Json>>,
    /// What it may not be.
    pub(super) excluded: Vec<Json>,
    pub(super) number: NumberWish,
    pub(super) chars_min: usize,
    pub(super) chars_max: Option<usize>,
    pub(super) patterns: Vec<String>,
    pub(super) format: Option<Format>,
    pub(super) is_base64: bool,
    pub(super) is_json: bool,
    pub(super) items_min: usize,
    pub(super) items_max: usize,
    pub(super) is_set: bool,
    pub(super) contains: Vec<SourceId>,
    pub(super) contains_min: usize,
    pub(super) lists: Vec<ListPart>,
    pub(super) more_items: Option<SourceId>,
    pub(super) members_min: usize,
    pub(super) members_max: usize,
    pub(super) required: Vec<String>,
    pub(super) needs: Vec<(String, Vec<String>)>,
    pub(super) names: Vec<SourceId>,
    pub(super) objects: Vec<ObjectPart>,
    pub(super) more_members: Option<SourceId>,
    /// What is made by this may still break it.
    pub(super) is_checked: bool,
}

/// What one subschema says of an array's items.
#[derive(Default)]
pub(super) struct ListPart {
    pub(super) prefix: Vec<SourceId>,
    pub(super) rest: Option<SourceId>,
}

/// What one subschema says of an object's members.
#[derive(Default)]
pub(super) struct ObjectPart {
    pub(super) properties: Vec<(String, SourceId)>,
    pub(super) patterns: Vec<(String, Option<regex::Regex>, SourceId)>,
    pub(super) additional: Option<SourceId>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            kinds: kinds::ALL,
            hinted: 0,
            has_type: false,
            known: None,
            excluded: Vec::new(),
            number: NumberWish::default(),
            chars_min: 0,
            chars_max: None,
            patterns: Vec::new(),
            format: None,
            is_base64: false,
            is_json: false,
            items_min: 0,
            items_max: usize::MAX,
            is_set: false,
            contains: Vec::new(),
            contains_min: 0,
            lists: Vec::new(),
            more_items: None,
            members_min: 0,
            members_max: usize::MAX,
            required: Vec::new(),
            needs: Vec::new(),
            names: Vec::new(),
            objects: Vec::new(),
            more_members: None,
            is_checked: false,
        }
    }
}

impl Wish {
    /// # Errors
    /// A number that cannot be worked with.
    pub(super) fn of(pieces: &[Piece], sources: &mut Sources) -> Result<Self, String> {
        let mut wish = Wish::default();
        for piece in pieces {
            let json = sources.get(piece.source).json.clone();
            if let Json::Object(members) = &*json {
                wish.general(members);
                wish.of_numbers(members)?;
                wish.of_texts(members);
                wish.of_lists(members, piece.source, sources);
                wish.of_objects(members, piece.source, sources);
            }
        }
        wish.number.is_whole = wish.kinds & kinds::FRACTION == 0;
        Ok(wish)
    }

    fn general(&mut self, members: &Map<String, Json>) {
        if let Some(named) = members.get("type") {
            self.kinds &= kinds_of(named);
            self.has_type = true;
        }
        let values = members.get("enum").and_then(Json::as_array).cloned();
        for values in values.into_iter().chain(members.get("const").map(|value| vec![value.clone()])) {
            self.known = Some(match self.known.take() {
                Some(before) => {
                    before.into_iter().filter(|one| values.iter().any(|other| same(one, other))).collect()
                }
                None => values,
            });
        }
        for (word, kind) in HINTS {
            if members.contains_key(*word) {
                self.hinted |= kind;
            }
        }
        let is_late = ["unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"];
        self.is_checked |= is_late.iter().any(|word| members.contains_key(*word));
    }

    fn of_numbers(&mut self, members: &Map<String, Json>) -> Result<(), String> {
        let number = |word: &str| match members.get(word) {
            Some(Json::Number(number)) => bound(number),
            _ => Ok(None),
        };
        let is_open = |word: &str| members.get(word).and_then(Json::as_bool).unwrap_or(false);
        if let Some(least) = number("minimum")? {
            self.number.at_least(least, is_open("exclusiveMinimum"));
        }
        if let Some(most) = number("maximum")? {
            self.number.at_most(most, is_open("exclusiveMaximum"));
        }
        if let Some(least) = number("exclusiveMinimum")? {
            self.number.at_least(least, true);
        }
        if let Some(most) = number("exclusiveMaximum")? {
            self.number.at_most(most, true);
        }
        if let Some(step) = number("multipleOf")? {
            // Whether a fraction is a multiple is a matter of how it is reckoned.
            self.is_checked |= step.scale > 0;
            if step != Decimal::whole(1) || self.number.steps.is_empty() {
                self.number.steps.push(step);
            }
        }
        Ok(())
    }

    fn of_texts(&mut self, members: &Map<String, Json>) {
        self.chars_min = self.chars_min.max(count(members, "minLength").unwrap_or(0));
        self.chars_max = least(self.chars_max, count(members, "maxLength"));
        if let Some(pattern) = members.get("pattern").and_then(Json::as_str)
            && !self.patterns.iter().any(|known| known == pattern)
        {
            self.patterns.push(pattern.to_owned());
        }
        let format = members.get("format").and_then(Json::as_str).and_then(Format::named);
        if let (Some(format), Some(before)) = (format, self.format)
            && format != before
        {
            self.is_checked = true;
        }
        self.format = self.format.or(format);
        let says = |word: &str, what: &str| members.get(word).and_then(Json::as_str) == Some(what);
        self.is_base64 |= says("contentEncoding", "base64");
        self.is_json |= says("contentMediaType", "application/json");
    }

    fn of_lists(&mut self, members: &Map<String, Json>, own: SourceId, sources: &mut Sources) {
        self.items_min = self.items_min.max(count(members, "minItems").unwrap_or(0));
        self.items_max = self.items_max.min(count(members, "maxItems").unwrap_or(usize::MAX));
        self.is_set |= members.get("uniqueItems").and_then(Json::as_bool).unwrap_or(false);
        if members.contains_key("contains") {
            let min = count(members, "minContains").unwrap_or(1);
            self.is_checked |= members.contains_key("maxContains");
            if min > 0 {
                self.contains.extend(sources.below(own, &["contains"]));
                self.contains_min = self.contains_min.max(min);
            }
        }
        let mut part = ListPart::default();
        let listed =
            ["prefixItems", "items"].into_iter().find(|word| members.get(*word).is_some_and(Json::is_array));
        if let Some(listed) = listed {
            let count = members[listed].as_array().map_or(0, Vec::len);
            let places = (0..count).filter_map(|place| sources.below(own, &[listed, &place.to_string()]));
            part.prefix = places.collect();
        }
        let rest = if listed == Some("items") { "additionalItems" } else { "items" };
        if members.contains_key(rest) {
            part.rest = sources.below(own, &[rest]);
        }
        if !part.prefix.is_empty() || part.rest.is_some() {
            self.lists.push(part);
        }
        if members.contains_key("unevaluatedItems") {
            self.more_items = sources.below(own, &["unevaluatedItems"]);
        }
    }

    fn of_objects(&mut self, members: &Map<String, Json>, own: SourceId, sources: &mut Sources) {
        self.members_min = self.members_min.max(count(members, "minProperties").unwrap_or(0));
        self.members_max = self.members_max.min(count(members, "maxProperties").unwrap_or(usize::MAX));
        for name in
            members.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
        {
            if !self.required.iter().any(|known| known == name) {
                self.required.push(name.to_owned());
            }
        }
        for word in ["dependentRequired", "dependencies"] {
            for (name, needed) in members.get(word).and_then(Json::as_object).into_iter().flatten() {
                if let Some(needed) = needed.as_array() {
                    let needed = needed.iter().filter_map(Json::as_str).map(str::to_owned).collect();
                    self.needs.push((name.clone(), needed));
                }
            }
        }
        if members.contains_key("propertyNames") {
            self.names.extend(sources.below(own, &["propertyNames"]));
        }
        let mut part = ObjectPart::default();
        for name in members.get("properties").and_then(Json::as_object).into_iter().flat_map(Map::keys) {
            part.properties.extend(sources.below(own, &["properties", name]).map(|id| (name.clone(), id)));
        }
        for name in members.get("patternProperties").and_then(Json::as_object).into_iter().flat_map(Map::keys)
        {
            let matcher = Pattern::matcher(name);
            self.is_checked |= matcher.is_none();
            let id = sources.below(own, &["patternProperties", name]);
            part.patterns.extend(id.map(|id| (name.clone(), matcher, id)));
        }
        if members.contains_key("additionalProperties") {
            part.additional = sources.below(own, &["additionalProperties"]);
        }
        if !part.properties.is_empty() || !part.patterns.is_empty() || part.additional.is_some() {
            self.objects.push(part);
        }
        if members.contains_key("unevaluatedProperties") {
            self.more_members = sources.below(own, &["unevaluatedProperties"]);
        }
    }
}

/// What a schema without a `type` is about.
const HINTS: &[(&str, u8)] = &[
    ("properties", kinds::OBJECT),
    ("required", kinds::OBJECT),
    ("additionalProperties", kinds::OBJECT),
    ("patternProperties", kinds::OBJECT),
    ("minProperties", kinds::OBJECT),
    ("maxProperties", kinds::OBJECT),
    ("propertyNames", kinds::OBJECT),
    ("dependentRequired", kinds::OBJECT),
    ("dependencies", kinds::OBJECT),
    ("items", kinds::ARRAY),
    ("prefixItems", kinds::ARRAY),
    ("contains", kinds::ARRAY),
    ("minItems", kinds::ARRAY),
    ("maxItems", kinds::ARRAY),
    ("uniqueItems", kinds::ARRAY),
    ("pattern", kinds::STRING),
    ("format", kinds::STRING),
    ("minLength", kinds::STRING),
    ("maxLength", kinds::STRING),
    ("contentEncoding", kinds::STRING),
    ("contentMediaType", kinds::STRING),
    ("minimum", kinds::INTEGER),
    ("maximum", kinds::INTEGER),
    ("exclusiveMinimum", kinds::INTEGER),
    ("exclusiveMaximum", kinds::INTEGER),
    ("multipleOf", kinds::INTEGER),
];

fn count(members: &Map<String, Json>, word: &str) -> Option<usize> {
    let number = members.get(word)?.as_number()?;
    let count = number.as_u64().or_else(|| number.as_f64().map(|count| count as u64))?;
    Some(usize::try_from(count).unwrap_or(usize::MAX))
}

fn least(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// As JSON Schema has it: `1` is `1.0`.
pub(super) fn same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|found| same(value, found)))
        }
        _ => one == other,
    }
}

//! The words of a comparison: which changes there are, which are compatible, how each is told, and the small models of
//! objects and arrays that the rules speak of.

use serde_json::{Map, Value as Json};

use super::{DEPTH_MAX, resolve};
use crate::compatibility::{Incompatibility, Policy};

/// A step from the old schema to the new one, breaking or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: &'static str,
    pub(super) path: String,
}

const COMPATIBLE: [&str; 57] = [
    "ID_CHANGED",
    "DESCRIPTION_CHANGED",
    "TITLE_CHANGED",
    "DEFAULT_CHANGED",
    "SCHEMA_REMOVED",
    "TYPE_EXTENDED",
    "MAX_LENGTH_INCREASED",
    "MAX_LENGTH_REMOVED",
    "MIN_LENGTH_DECREASED",
    "MIN_LENGTH_REMOVED",
    "PATTERN_REMOVED",
    "MAXIMUM_INCREASED",
    "MAXIMUM_REMOVED",
    "MINIMUM_DECREASED",
    "MINIMUM_REMOVED",
    "EXCLUSIVE_MAXIMUM_INCREASED",
    "EXCLUSIVE_MAXIMUM_REMOVED",
    "EXCLUSIVE_MINIMUM_DECREASED",
    "EXCLUSIVE_MINIMUM_REMOVED",
    "MULTIPLE_OF_REDUCED",
    "MULTIPLE_OF_REMOVED",
    "REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED",
    "REQUIRED_ATTRIBUTE_REMOVED",
    "DEPENDENCY_ARRAY_NARROWED",
    "DEPENDENCY_ARRAY_REMOVED",
    "DEPENDENCY_SCHEMA_REMOVED",
    "MAX_PROPERTIES_INCREASED",
    "MAX_PROPERTIES_REMOVED",
    "MIN_PROPERTIES_DECREASED",
    "MIN_PROPERTIES_REMOVED",
    "ADDITIONAL_PROPERTIES_ADDED",
    "ADDITIONAL_PROPERTIES_EXTENDED",
    "PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL",
    "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL",
    "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL",
    "PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL",
    "PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL",
    "PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    "PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    "MAX_ITEMS_INCREASED",
    "MAX_ITEMS_REMOVED",
    "MIN_ITEMS_DECREASED",
    "MIN_ITEMS_REMOVED",
    "UNIQUE_ITEMS_REMOVED",
    "ADDITIONAL_ITEMS_ADDED",
    "ADDITIONAL_ITEMS_EXTENDED",
    "ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL",
    "ITEM_ADDED_TO_CLOSED_CONTENT_MODEL",
    "ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL",
    "ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL",
    "ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    "ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    "ENUM_ARRAY_EXTENDED",
    "COMBINED_TYPE_EXTENDED",
    "PRODUCT_TYPE_NARROWED",
    "SUM_TYPE_EXTENDED",
    "NOT_TYPE_NARROWED",
];

/// What is compatible besides where the policy is lenient.
const COMPATIBLE_IF_LENIENT: [&str; 5] = [
    "ADDITIONAL_PROPERTIES_NARROWED",
    "ADDITIONAL_PROPERTIES_REMOVED",
    "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
    "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
];

pub(super) fn is_compatible(policy: Policy, kind: &str) -> bool {
    COMPATIBLE.contains(&kind) || (policy == Policy::Lenient && COMPATIBLE_IF_LENIENT.contains(&kind))
}

impl Change {
    pub(super) fn told(self) -> Incompatibility {
        let Change { kind, path } = self;
        let text = sentence(kind).replace("{path}", &path);
        Incompatibility { kind, path, text, detail: String::new() }
    }
}

/// What a breaking change means, in a sentence about the reader's schema and the writer's.
fn sentence(kind: &str) -> &'static str {
    match kind {
        "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" | "ITEM_ADDED_TO_OPEN_CONTENT_MODEL" => {
            "At path '{path}' the {reader} schema has a property or item that the {writer} schema, which is open, lets be \
             anything"
        }
        "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL" => {
            "At path '{path}' the {reader} schema requires a property without a default that the {writer} schema does not have"
        }
        "REQUIRED_ATTRIBUTE_ADDED" => {
            "The property at path '{path}' is required in the {reader} schema and not in the {writer} schema"
        }
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" | "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL" => {
            "The {reader} schema is closed and lacks the property or item at path '{path}' of the {writer} schema"
        }
        "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"
        | "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "The {reader} schema lacks the property or item at path '{path}' of the {writer} schema, and what it allows \
             besides does not cover it"
        }
        "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"
        | "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "What the {writer} schema allows besides does not fit the property or item at path '{path}' of the {reader} schema"
        }
        "TYPE_CHANGED"
        | "COMBINED_TYPE_CHANGED"
        | "COMBINED_TYPE_SUBSCHEMAS_CHANGED"
        | "ENUM_ARRAY_CHANGED" => {
            "The type at path '{path}' differs between the {reader} schema and the {writer} schema"
        }
        "TYPE_NARROWED" => {
            "The type at path '{path}' is narrower in the {reader} schema than in the {writer} schema"
        }
        kind if kind.ends_with("_NARROWED") => {
            "The list or combined type at path '{path}' allows less in the {reader} schema than in the {writer} schema"
        }
        kind if kind.ends_with("_EXTENDED") => {
            "The list or combined type at path '{path}' asks for more in the {reader} schema than in the {writer} schema"
        }
        kind if kind.ends_with("_INCREASED") || kind.ends_with("_EXPANDED") => {
            "The value at path '{path}' is greater in the {reader} schema than in the {writer} schema"
        }
        kind if kind.ends_with("_DECREASED") => {
            "The value at path '{path}' is smaller in the {reader} schema than in the {writer} schema"
        }
        kind if kind.ends_with("_CHANGED") => {
            "The value at path '{path}' differs between the {reader} schema and the {writer} schema"
        }
        _ => "The restriction at path '{path}' is in the {reader} schema and not in the {writer} schema",
    }
}

/// What a `$ref` leads to, through several if need be; the schema itself where there is none.
pub(super) fn followed<'a>(root: &'a Json, mut json: &'a Json) -> &'a Json {
    for _ in 0..DEPTH_MAX {
        match json.get("$ref").and_then(Json::as_str).and_then(|reference| resolve(root, reference)) {
            Some(target) => json = target,
            None => break,
        }
    }
    json
}

/// What an object may hold.
pub(super) struct Content<'a> {
    pub(super) properties: Map<String, Json>,
    required: Vec<&'a str>,
    patterns: Option<&'a Map<String, Json>>,
    /// The schema of other properties, where it is one.
    pub(super) additional: Option<&'a Json>,
    pub(super) permits: bool,
}

impl<'a> Content<'a> {
    pub(super) fn of(object: &'a Map<String, Json>) -> Self {
        let properties = object.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
        let required = object.get("required").and_then(Json::as_array);
        let required =
            required.map(|list| list.iter().filter_map(Json::as_str).collect()).unwrap_or_default();
        let patterns =
            object.get("patternProperties").and_then(Json::as_object).filter(|all| !all.is_empty());
        let other = object.get("additionalProperties");
        let additional = other.filter(|other| other.is_object());
        Self { properties, required, patterns, additional, permits: other != Some(&Json::Bool(false)) }
    }

    pub(super) fn requires(&self, name: &str) -> bool {
        self.required.contains(&name)
    }

    pub(super) fn is_open(&self) -> bool {
        self.patterns.is_none() && self.additional.is_none() && self.permits
    }

    /// The schema that a property without one of its own falls under.
    pub(super) fn covering(&self, name: &str) -> Option<&'a Json> {
        let by_pattern = self.patterns.and_then(|patterns| {
            let matching = patterns.iter().find(|(pattern, _)| matches_pattern(pattern, name));
            matching.map(|(_, schema)| schema)
        });
        by_pattern.or(self.additional)
    }
}

/// Asks the validator, so that a pattern means the same here as for records.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let schema = serde_json::json!({ "pattern": pattern });
    jsonschema::is_valid(&schema, &Json::String(name.to_owned()))
}

/// What an array may hold; tuples by draft 4 to 2019-09's `items` or 2020-12's `prefixItems`.
pub(super) struct Items<'a> {
    pub(super) all: Option<&'a Json>,
    pub(super) each: &'a [Json],
    pub(super) additional: Option<&'a Json>,
    pub(super) permits: bool,
}

impl<'a> Items<'a> {
    pub(super) fn of(object: &'a Map<String, Json>) -> Self {
        let items = object.get("items");
        let (each, all, rest) = match (object.get("prefixItems"), items) {
            (Some(Json::Array(each)), rest) => (&each[..], None, rest),
            (_, Some(Json::Array(each))) => (&each[..], None, object.get("additionalItems")),
            (_, all) => (&[][..], all, object.get("additionalItems")),
        };
        let additional = rest.filter(|rest| rest.is_object());
        Self { all, each, additional, permits: rest != Some(&Json::Bool(false)) }
    }
}

pub(super) fn distinct(parts: &[Json]) -> Vec<Json> {
    let mut kept: Vec<Json> = Vec::with_capacity(parts.len());
    for part in parts {
        if !kept.contains(part) {
            kept.push(part.clone());
        }
    }
    kept
}

/// The largest pairing along the edges that exist: for each right side its left one. Augmenting paths (Kuhn).
pub(super) fn matching<T>(edges: &[Vec<Option<T>>], rights: usize) -> Vec<Option<usize>> {
    fn assign<T>(
        left: usize,
        edges: &[Vec<Option<T>>],
        seen: &mut [bool],
        pairs: &mut [Option<usize>],
    ) -> bool {
        for right in 0..pairs.len() {
            if edges[left][right].is_none() || seen[right] {
                continue;
            }
            seen[right] = true;
            if pairs[right].is_none_or(|taken| assign(taken, edges, seen, pairs)) {
                pairs[right] = Some(left);
                return true;
            }
        }
        false
    }
    let mut pairs = vec![None; rights];
    for left in 0..edges.len() {
        assign(left, edges, &mut vec![false; rights], &mut pairs);
    }
    pairs
}

//! What changes from one JSON Schema to another, and which of it a reader of the new one can take: the rules and the names
//! of Confluent's registry ("Evolution of JSON Schemas": content models, sum and product types).

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::{
    DEPTH_MAX, JsonSchema,
    changes::{Change, Content, Items, distinct, followed, is_compatible, matching},
};
use crate::compatibility::{Incompatibility, Policy};

/// The names of a bound's four changes.
macro_rules! bounds {
    ($name:literal) => {
        [
            concat!($name, "_ADDED"),
            concat!($name, "_REMOVED"),
            concat!($name, "_INCREASED"),
            concat!($name, "_DECREASED"),
        ]
    };
}

/// What keeps `reader` from reading data of `writer`.
pub fn can_read(policy: Policy, reader: &JsonSchema, writer: &JsonSchema) -> Vec<Incompatibility> {
    let mut diff = Diff {
        policy,
        old: &writer.json,
        new: &reader.json,
        at: Vec::new(),
        open: Vec::new(),
        changes: Vec::new(),
    };
    diff.compare(&writer.json, &reader.json);
    let breaking = diff.changes.into_iter().filter(|change| !is_compatible(policy, change.kind));
    breaking.map(|change| change.told()).collect()
}

struct Diff<'a> {
    policy: Policy,
    old: &'a Json,
    new: &'a Json,
    at: Vec<String>,
    /// Old schemas being compared, by address: a schema that holds itself ends.
    open: Vec<*const Json>,
    changes: Vec<Change>,
}

/// A schema as the rules see it: one class of several, whatever words it was written with.
#[derive(Debug, Clone, PartialEq)]
enum Class {
    Anything,
    Nothing,
    Null,
    Boolean,
    Number {
        is_integer: bool,
    },
    String,
    Object,
    Array,
    /// `enum` and `const` without a type.
    Values(Vec<Json>),
    Not(Json),
    Combined {
        criterion: &'static str,
        parts: Vec<Json>,
    },
}

fn class_of(json: &Json) -> Class {
    let object = match json {
        Json::Bool(false) => return Class::Nothing,
        Json::Object(object) => object,
        _ => return Class::Anything,
    };
    let mut parts = Vec::new();
    let values = object.get("const").map(|value| vec![value.clone()]);
    let values = values.or_else(|| object.get("enum").and_then(Json::as_array).cloned());
    match object.get("type") {
        Some(Json::Array(words)) if words.len() > 1 => {
            let typed = words.iter().map(|word| with(object, &["type"], ("type", word.clone())));
            parts.push(json!({ "anyOf": typed.map(|part| narrowed(&part)).collect::<Vec<_>>() }));
        }
        Some(_) => parts.push(narrowed(object)),
        None if has_any(object, &OBJECT_WORDS) => {
            parts.push(with(object, &COMBINING, ("type", "object".into())).into())
        }
        None if has_any(object, &ARRAY_WORDS) => {
            parts.push(with(object, &COMBINING, ("type", "array".into())).into())
        }
        None if has_any(object, &STRING_WORDS) => {
            parts.push(with(object, &COMBINING, ("type", "string".into())).into())
        }
        None if has_any(object, &NUMBER_WORDS) => {
            parts.push(with(object, &COMBINING, ("type", "number".into())).into())
        }
        None => {}
    }
    if let Some(values) = values {
        parts.push(json!({ "enum": values }));
    }
    if let Some(not) = object.get("not") {
        parts.push(json!({ "not": not }));
    }
    let mut combined = None;
    for criterion in ["allOf", "anyOf", "oneOf"] {
        if let Some(Json::Array(list)) = object.get(criterion) {
            parts.push(json!({ criterion: list }));
            combined = Some((criterion, list.clone()));
        }
    }
    match (parts.len(), combined) {
        (0, _) => Class::Anything,
        (1, Some((criterion, parts))) => Class::Combined { criterion, parts },
        (1, None) => single(object, &parts[0]),
        _ => Class::Combined { criterion: "allOf", parts },
    }
}

/// The class of a schema that says one thing only.
fn single(object: &Map<String, Json>, part: &Json) -> Class {
    if let Some(Json::Array(parts)) = part.get("anyOf") {
        return Class::Combined { criterion: "anyOf", parts: parts.clone() };
    }
    if let Some(not) = part.get("not") {
        return Class::Not(not.clone());
    }
    let word = match part.get("type") {
        Some(Json::Array(words)) => words.first().and_then(Json::as_str),
        Some(word) => word.as_str(),
        None => None,
    };
    match word {
        Some("null") => Class::Null,
        Some("boolean") => Class::Boolean,
        Some("integer") => Class::Number { is_integer: true },
        Some("number") => Class::Number { is_integer: false },
        Some("string") => Class::String,
        Some("object") => Class::Object,
        Some("array") => Class::Array,
        _ => match part.get("enum").or(object.get("enum")) {
            Some(Json::Array(values)) => Class::Values(values.clone()),
            _ => Class::Anything,
        },
    }
}

const COMBINING: [&str; 6] = ["enum", "const", "not", "allOf", "anyOf", "oneOf"];
const OBJECT_WORDS: [&str; 8] = [
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "dependencies",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
];
const ARRAY_WORDS: [&str; 6] =
    ["items", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains"];
const STRING_WORDS: [&str; 4] = ["minLength", "maxLength", "pattern", "format"];
const NUMBER_WORDS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

fn has_any(object: &Map<String, Json>, words: &[&str]) -> bool {
    words.iter().any(|word| object.contains_key(*word))
}

fn with(object: &Map<String, Json>, without: &[&str], (key, value): (&str, Json)) -> Map<String, Json> {
    let kept = object.iter().filter(|(key, _)| !without.contains(&key.as_str()));
    let mut kept: Map<String, Json> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    kept.insert(key.to_owned(), value);
    kept
}

/// The typed half of a schema: its combining words go to parts of their own.
fn narrowed(object: &Map<String, Json>) -> Json {
    let kept = object.iter().filter(|(key, _)| !COMBINING.contains(&key.as_str()));
    Json::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}

impl Diff<'_> {
    fn add(&mut self, kind: &'static str) {
        let path = if self.at.is_empty() { "#/".to_owned() } else { format!("#/{}", self.at.join("/")) };
        self.changes.push(Change { kind, path });
    }

    fn add_at(&mut self, step: &str, kind: &'static str) {
        self.within(step, |diff| diff.add(kind));
    }

    fn within<T>(&mut self, step: &str, compare: impl FnOnce(&mut Self) -> T) -> T {
        self.at.push(step.to_owned());
        let result = compare(self);
        self.at.pop();
        result
    }

    /// The changes between two schemas without keeping them, and whether they all are compatible.
    fn trial(&mut self, old: &Json, new: &Json) -> (Vec<Change>, bool) {
        let before = self.changes.len();
        self.compare(old, new);
        let changes = self.changes.split_off(before);
        let compatible = changes.iter().all(|change| is_compatible(self.policy, change.kind));
        (changes, compatible)
    }

    fn compare_given(&mut self, old: Option<&Json>, new: Option<&Json>) {
        match (old, new) {
            (None, None) => {}
            (None, Some(_)) => self.add("SCHEMA_ADDED"),
            (Some(_), None) => self.add("SCHEMA_REMOVED"),
            (Some(old), Some(new)) => self.compare(old, new),
        }
    }

    fn compare(&mut self, old: &Json, new: &Json) {
        let old = followed(self.old, old);
        let new = followed(self.new, new);
        let here = std::ptr::from_ref(old);
        if self.open.contains(&here) || self.open.len() > DEPTH_MAX {
            return;
        }
        self.open.push(here);
        self.compare_followed(old, new);
        self.open.pop();
    }

    fn compare_followed(&mut self, old: &Json, new: &Json) {
        let (old_class, new_class) = (class_of(old), class_of(new));
        match (&old_class, &new_class) {
            (Class::Combined { criterion, parts }, other) if !matches!(other, Class::Combined { .. }) => {
                for part in parts.iter().filter(|_| parts.len() == 1 || *criterion == "allOf") {
                    if let (changes, true) = self.trial(part, new) {
                        self.changes.extend(changes);
                        if parts.len() > 1 {
                            self.add("PRODUCT_TYPE_NARROWED");
                        }
                        return;
                    }
                }
            }
            (other, Class::Combined { criterion, parts }) if !matches!(other, Class::Combined { .. }) => {
                for part in parts.iter().filter(|_| parts.len() == 1 || *criterion != "allOf") {
                    // The same words around it were seen; the part is compared at the same place.
                    let before = self.open.pop();
                    let (changes, compatible) = self.trial(old, part);
                    self.open.extend(before);
                    if compatible {
                        self.changes.extend(changes);
                        if parts.len() > 1 {
                            self.add("SUM_TYPE_EXTENDED");
                        }
                        return;
                    }
                }
            }
            _ => {}
        }
        if std::mem::discriminant(&old_class) != std::mem::discriminant(&new_class) {
            if old_class != Class::Nothing && new_class != Class::Anything {
                self.add("TYPE_CHANGED");
            }
            return;
        }
        self.compare_words(old, new);
        let empty = Map::new();
        let (before, after) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
        match (old_class, new_class) {
            (Class::Number { is_integer: was }, Class::Number { is_integer: is }) => {
                self.compare_numbers(before, after);
                match (was, is) {
                    (true, false) => self.add("TYPE_EXTENDED"),
                    (false, true) => self.add("TYPE_NARROWED"),
                    _ => {}
                }
            }
            (Class::String, Class::String) => self.compare_strings(before, after),
            (Class::Object, Class::Object) => self.compare_objects(before, after),
            (Class::Array, Class::Array) => self.compare_arrays(before, after),
            (Class::Values(was), Class::Values(is)) => self.compare_values(&was, &is),
            (Class::Not(was), Class::Not(is)) => self.compare_not(&was, &is),
            (Class::Combined { criterion: was, parts }, Class::Combined { criterion: is, parts: others }) => {
                self.compare_combined((was, &parts), (is, &others));
            }
            _ => {}
        }
    }

    fn compare_words(&mut self, old: &Json, new: &Json) {
        let changed = |key: &str| old.get(key) != new.get(key);
        for (keys, kind) in [
            (&["$id", "id"][..], "ID_CHANGED"),
            (&["title"], "TITLE_CHANGED"),
            (&["description"], "DESCRIPTION_CHANGED"),
            (&["default"], "DEFAULT_CHANGED"),
        ] {
            if keys.iter().any(|key| changed(key)) {
                self.add(kind);
            }
        }
    }

    /// A bound that came, went, rose or fell: `kinds` are its four names in that order.
    fn compare_bound(
        &mut self,
        word: &str,
        old: &Map<String, Json>,
        new: &Map<String, Json>,
        kinds: [&'static str; 4],
    ) {
        let number = |object: &Map<String, Json>| object.get(word).and_then(Json::as_f64);
        match (number(old), number(new)) {
            (None, Some(_)) => self.add_at(word, kinds[0]),
            (Some(_), None) => self.add_at(word, kinds[1]),
            (Some(was), Some(is)) if is > was => self.add_at(word, kinds[2]),
            (Some(was), Some(is)) if is < was => self.add_at(word, kinds[3]),
            _ => {}
        }
    }

    fn compare_numbers(&mut self, old: &Map<String, Json>, new: &Map<String, Json>) {
        self.compare_bound("maximum", old, new, bounds!("MAXIMUM"));
        self.compare_bound("minimum", old, new, bounds!("MINIMUM"));
        self.compare_bound("exclusiveMaximum", old, new, bounds!("EXCLUSIVE_MAXIMUM"));
        self.compare_bound("exclusiveMinimum", old, new, bounds!("EXCLUSIVE_MINIMUM"));
        let multiple = |object: &Map<String, Json>| object.get("multipleOf").and_then(Json::as_f64);
        match (multiple(old), multiple(new)) {
            (None, Some(_)) => self.add_at("multipleOf", "MULTIPLE_OF_ADDED"),
            (Some(_), None) => self.add_at("multipleOf", "MULTIPLE_OF_REMOVED"),
            (Some(was), Some(is)) if was == is => {}
            (Some(was), Some(is)) if is % was == 0.0 => self.add_at("multipleOf", "MULTIPLE_OF_EXPANDED"),
            (Some(was), Some(is)) if was % is == 0.0 => self.add_at("multipleOf", "MULTIPLE_OF_REDUCED"),
            (Some(_), Some(_)) => self.add_at("multipleOf", "MULTIPLE_OF_CHANGED"),
            (None, None) => {}
        }
    }

    fn compare_strings(&mut self, old: &Map<String, Json>, new: &Map<String, Json>) {
        self.compare_bound("maxLength", old, new, bounds!("MAX_LENGTH"));
        self.compare_bound("minLength", old, new, bounds!("MIN_LENGTH"));
        match (old.get("pattern"), new.get("pattern")) {
            (None, Some(_)) => self.add_at("pattern", "PATTERN_ADDED"),
            (Some(_), None) => self.add_at("pattern", "PATTERN_REMOVED"),
            (was, is) if was != is => self.add_at("pattern", "PATTERN_CHANGED"),
            _ => {}
        }
    }

    fn compare_values(&mut self, old: &[Json], new: &[Json]) {
        let grown = old.iter().all(|value| new.contains(value));
        let shrunk = new.iter().all(|value| old.contains(value));
        match (grown, shrunk) {
            (true, true) => {}
            (true, false) => self.add_at("enum", "ENUM_ARRAY_EXTENDED"),
            (false, true) => self.add_at("enum", "ENUM_ARRAY_NARROWED"),
            (false, false) => self.add_at("enum", "ENUM_ARRAY_CHANGED"),
        }
    }

    fn compare_not(&mut self, old: &Json, new: &Json) {
        self.within("not", |diff| {
            // Turned round: what the new one forbids has to be within what the old one forbade.
            let (_, narrowed) = diff.trial_turned(new, old);
            diff.add(if narrowed { "NOT_TYPE_NARROWED" } else { "NOT_TYPE_EXTENDED" });
        });
    }

    fn trial_turned(&mut self, old: &Json, new: &Json) -> (Vec<Change>, bool) {
        std::mem::swap(&mut self.old, &mut self.new);
        let result = self.trial(old, new);
        std::mem::swap(&mut self.old, &mut self.new);
        result
    }

    fn compare_combined(&mut self, (was, old): (&'static str, &[Json]), (is, new): (&'static str, &[Json])) {
        if was != is {
            let singletons = old.len() == 1 && (is == "oneOf" || new.len() == 1);
            if is != "anyOf" && !singletons {
                return self.add("COMBINED_TYPE_CHANGED");
            }
            self.add("COMBINED_TYPE_EXTENDED");
        }
        let (old, new) = (distinct(old), distinct(new));
        let product = is == "allOf";
        if old.len() < new.len() {
            self.add(if product { "PRODUCT_TYPE_EXTENDED" } else { "SUM_TYPE_EXTENDED" });
        } else if old.len() > new.len() {
            self.add(if product { "PRODUCT_TYPE_NARROWED" } else { "SUM_TYPE_NARROWED" });
        }
        let mut edges: Vec<Vec<Option<Vec<Change>>>> = Vec::new();
        for (index, part) in old.iter().enumerate() {
            let row = self.within(&format!("{was}/{index}"), |diff| {
                let trials = new.iter().map(|other| diff.trial(part, other));
                trials.map(|(changes, compatible)| compatible.then_some(changes)).collect()
            });
            edges.push(row);
        }
        let matched = matching(&edges, new.len());
        let count = matched.iter().flatten().count();
        for (part, other) in matched.iter().enumerate().filter_map(|(at, part)| Some(((*part)?, at))) {
            self.changes.extend(edges[part][other].take().unwrap_or_default());
        }
        if count < old.len().min(new.len()) {
            self.add("COMBINED_TYPE_SUBSCHEMAS_CHANGED");
        }
    }

    fn compare_objects(&mut self, old: &Map<String, Json>, new: &Map<String, Json>) {
        let (before, after) = (Content::of(old), Content::of(new));
        for name in before.properties.keys().filter(|name| after.properties.contains_key(*name)) {
            let kind = match (before.requires(name), after.requires(name)) {
                (true, false) => "REQUIRED_ATTRIBUTE_REMOVED",
                (false, true) if after.properties[name].get("default").is_some() => {
                    "REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED"
                }
                (false, true) => "REQUIRED_ATTRIBUTE_ADDED",
                _ => continue,
            };
            self.within("required", |diff| diff.add_at(name, kind));
        }
        let names: BTreeSet<&String> = before.properties.keys().chain(after.properties.keys()).collect();
        self.at.push("properties".to_owned());
        for name in names {
            self.within(name, |diff| match (before.properties.get(name), after.properties.get(name)) {
                (Some(was), Some(is)) => diff.compare(was, is),
                (Some(was), None) => diff.property_removed(name, was, &after),
                (None, Some(is)) => diff.property_added(name, is, &before, &after),
                (None, None) => {}
            });
        }
        self.at.pop();
        self.compare_dependencies(old, new);
        self.within("additionalProperties", |diff| match (before.permits, after.permits) {
            (false, true) => diff.add("ADDITIONAL_PROPERTIES_ADDED"),
            (true, false) => diff.add("ADDITIONAL_PROPERTIES_REMOVED"),
            _ => match (before.additional, after.additional) {
                (None, Some(_)) => diff.add("ADDITIONAL_PROPERTIES_NARROWED"),
                (Some(_), None) => diff.add("ADDITIONAL_PROPERTIES_EXTENDED"),
                (was, is) => diff.compare_given(was, is),
            },
        });
        self.compare_bound("maxProperties", old, new, bounds!("MAX_PROPERTIES"));
        self.compare_bound("minProperties", old, new, bounds!("MIN_PROPERTIES"));
    }

    fn property_removed(&mut self, name: &str, was: &Json, after: &Content<'_>) {
        if after.is_open() {
            return self.add("PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL");
        }
        match after.covering(name) {
            Some(cover) => {
                let (changes, compatible) = self.trial(was, cover);
                self.changes.extend(changes);
                self.add(match compatible {
                    true => "PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
                    false => "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
                });
            }
            None if *was == Json::Bool(false) => {
                self.add("PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL")
            }
            None => self.add("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL"),
        }
    }

    fn property_added(&mut self, name: &str, is: &Json, before: &Content<'_>, after: &Content<'_>) {
        if before.is_open() {
            let anything = class_of(followed(self.new, is)) == Class::Anything;
            return self.add(match anything {
                true => "PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL",
                false => "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
            });
        }
        if let Some(cover) = before.covering(name) {
            let (changes, compatible) = self.trial(cover, is);
            self.changes.extend(changes);
            self.add(match compatible {
                true => "PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
                false => "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
            });
        }
        self.add(match (after.requires(name), is.get("default").is_some()) {
            (true, true) => "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL",
            (true, false) => "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL",
            (false, _) => "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL",
        });
    }

    fn compare_dependencies(&mut self, old: &Map<String, Json>, new: &Map<String, Json>) {
        let none = Map::new();
        let all = |object: &Map<String, Json>| object.get("dependencies").and_then(Json::as_object).cloned();
        let (was, is) = (all(old).unwrap_or(none.clone()), all(new).unwrap_or(none));
        let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        self.at.push("dependencies".to_owned());
        for name in names {
            self.within(name, |diff| match (was.get(name), is.get(name)) {
                (Some(Json::Array(was)), Some(Json::Array(is))) => {
                    let grown = was.iter().all(|item| is.contains(item));
                    let shrunk = is.iter().all(|item| was.contains(item));
                    match (grown, shrunk) {
                        (true, true) => {}
                        (true, false) => diff.add("DEPENDENCY_ARRAY_EXTENDED"),
                        (false, true) => diff.add("DEPENDENCY_ARRAY_NARROWED"),
                        (false, false) => diff.add("DEPENDENCY_ARRAY_CHANGED"),
                    }
                }
                (Some(Json::Array(_)), None) => diff.add("DEPENDENCY_ARRAY_REMOVED"),
                (None, Some(Json::Array(_))) => diff.add("DEPENDENCY_ARRAY_ADDED"),
                (Some(_), None) => diff.add("DEPENDENCY_SCHEMA_REMOVED"),
                (None, Some(_)) => diff.add("DEPENDENCY_SCHEMA_ADDED"),
                (was, is) => diff.compare_given(was, is),
            });
        }
        self.at.pop();
    }

    fn compare_arrays(&mut self, old: &Map<String, Json>, new: &Map<String, Json>) {
        let (before, after) = (Items::of(old), Items::of(new));
        self.within("items", |diff| diff.compare_given(before.all, after.all));
        for index in 0..before.each.len().max(after.each.len()) {
            self.within(&format!("items/{index}"), |diff| {
                match (before.each.get(index), after.each.get(index)) {
                    (Some(was), Some(is)) => diff.compare(was, is),
                    (Some(was), None) => diff.item_removed(was, &after),
                    (None, Some(is)) => diff.item_added(is, &before),
                    (None, None) => {}
                }
            });
        }
        self.within("additionalItems", |diff| match (before.permits, after.permits) {
            (true, false) => diff.add("ADDITIONAL_ITEMS_REMOVED"),
            (false, true) => diff.add("ADDITIONAL_ITEMS_ADDED"),
            _ => match (before.additional, after.additional) {
                (None, Some(_)) => diff.add("ADDITIONAL_ITEMS_NARROWED"),
                (Some(_), None) => diff.add("ADDITIONAL_ITEMS_EXTENDED"),
                (was, is) => diff.compare_given(was, is),
            },
        });
        self.compare_bound("maxItems", old, new, bounds!("MAX_ITEMS"));
        self.compare_bound("minItems", old, new, bounds!("MIN_ITEMS"));
        let unique = |object: &Map<String, Json>| object.get("uniqueItems") == Some(&Json::Bool(true));
        match (unique(old), unique(new)) {
            (true, false) => self.add_at("uniqueItems", "UNIQUE_ITEMS_REMOVED"),
            (false, true) => self.add_at("uniqueItems", "UNIQUE_ITEMS_ADDED"),
            _ => {}
        }
    }

    fn item_removed(&mut self, was: &Json, after: &Items<'_>) {
        match after.additional {
            None if after.permits => self.add("ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL"),
            Some(cover) => {
                let (changes, compatible) = self.trial(was, cover);
                self.changes.extend(changes);
                self.add(match compatible {
                    true => "ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
                    false => "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
                });
            }
            None if *was == Json::Bool(false) => {
                self.add("ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL")
            }
            None => self.add("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL"),
        }
    }

    fn item_added(&mut self, is: &Json, before: &Items<'_>) {
        match before.additional {
            None if before.permits => self.add(match class_of(followed(self.new, is)) == Class::Anything {
                true => "ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL",
                false => "ITEM_ADDED_TO_OPEN_CONTENT_MODEL",
            }),
            Some(cover) => {
                let (changes, compatible) = self.trial(cover, is);
                self.changes.extend(changes);
                self.add(match compatible {
                    true => "ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
                    false => "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
                });
            }
            None => self.add("ITEM_ADDED_TO_CLOSED_CONTENT_MODEL"),
        }
    }
}

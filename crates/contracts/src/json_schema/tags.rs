//! Tags of JSON Schema: the member `confluent:tags` of an object's or a property's schema.
//!
//! A path's steps are what Confluent's are: `object` and a property's name, `array` into its items, `allof`, `anyof` and
//! `oneof` with an index, `not`, `conditional` with `if`, `then` or `else`. Where one schema says several things at once
//! Confluent's path has a step for that as well (`allof.1`, or `anyof.1` for a list of types): it leads to the schema itself.

use serde_json::{Map, Value as Json};

use super::{DEPTH_MAX, JsonSchema, resolve};
use crate::tags::{Change, Entity, Tagged, note, tags_of};

const COMBINED: [(&str, &str); 3] = [("allof", "allOf"), ("anyof", "anyOf"), ("oneof", "oneOf")];
const CONDITIONS: [&str; 3] = ["if", "then", "else"];

impl JsonSchema {
    pub(crate) fn inline_tags(&self) -> Vec<Tagged> {
        let mut found = Vec::new();
        collect(self.document(), "", false, 0, &mut found);
        found
    }

    pub(crate) fn with_tags(&self, changes: &[Change<'_>]) -> Result<String, String> {
        let mut json = self.document().clone();
        for change in changes {
            let missing = || change.path.to_owned();
            let place = pointer(&json, "", change.entity, change.path, 0).ok_or_else(missing)?;
            let object = json.pointer_mut(&place).and_then(Json::as_object_mut).ok_or_else(missing)?;
            change.apply(object);
        }
        Ok(json.to_string())
    }
}

fn step(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The properties of a schema that is an object.
fn properties(schema: &Json) -> Option<&Map<String, Json>> {
    schema.get("properties").and_then(Json::as_object)
}

fn is_object(schema: &Json) -> bool {
    let says = |word: &Json| match word {
        Json::Array(words) => words.iter().any(|word| word == "object"),
        word => word == "object",
    };
    properties(schema).is_some() || schema.get("type").is_some_and(says)
}

/// What carries tags at and below a schema that is called `path`; references are not followed, so each place comes once. The
/// tags of a property are told with it, and not again for the object that it may be.
fn collect(schema: &Json, path: &str, is_property: bool, depth: usize, found: &mut Vec<Tagged>) {
    let Some(object) = schema.as_object().filter(|_| depth < DEPTH_MAX) else { return };
    if is_object(schema) {
        let record = step(path, "object");
        if !is_property {
            note(found, Entity::Record, &record, tags_of(object));
        }
        for (name, property) in properties(schema).into_iter().flatten() {
            let field = step(&record, name);
            if let Some(members) = property.as_object() {
                note(found, Entity::Field, &field, tags_of(members));
            }
            collect(property, &field, true, depth + 1, found);
        }
    }
    match object.get("items") {
        Some(Json::Array(items)) => {
            let each = items.iter().enumerate();
            each.for_each(|(at, item)| {
                collect(item, &step(path, &format!("array.{at}")), false, depth + 1, found);
            });
        }
        Some(items) => collect(items, &step(path, "array"), false, depth + 1, found),
        None => {}
    }
    for (word, key) in COMBINED {
        let parts = object.get(key).and_then(Json::as_array).into_iter().flatten();
        for (at, part) in parts.enumerate() {
            collect(part, &step(path, &format!("{word}.{at}")), false, depth + 1, found);
        }
    }
    if let Some(not) = object.get("not") {
        collect(not, &step(path, "not"), false, depth + 1, found);
    }
    for key in CONDITIONS {
        if let Some(part) = object.get(key) {
            collect(part, &step(path, &format!("conditional.{key}")), false, depth + 1, found);
        }
    }
}

/// The JSON pointer to what a path names, seen from the schema at `at`.
fn pointer(root: &Json, at: &str, entity: Entity, path: &str, depth: usize) -> Option<String> {
    let schema = root.pointer(at).filter(|_| depth < DEPTH_MAX)?;
    let deeper = |at: String, path: &str| pointer(root, &at, entity, path, depth + 1);
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str)
        && resolve(root, reference).is_some()
    {
        // An anchor is no pointer: what it names is not tagged.
        let target = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        return deeper(target.to_owned(), path);
    }
    let (word, rest) = path.split_once('.').unwrap_or((path, ""));
    match word {
        "object" if is_object(schema) => match rest {
            "" => (entity == Entity::Record).then(|| at.to_owned()),
            rest => properties(schema)?.keys().find_map(|name| {
                let property = || format!("{at}/properties/{}", escaped(name));
                match rest.strip_prefix(name.as_str())? {
                    "" => (entity == Entity::Field).then(property),
                    rest => deeper(property(), rest.strip_prefix('.')?),
                }
            }),
        },
        "array" => {
            let by_index = rest.split_once('.').filter(|_| schema.get("items").is_some_and(Json::is_array));
            match by_index {
                Some((index, rest)) => deeper(format!("{at}/items/{index}"), rest),
                None => deeper(format!("{at}/items"), rest),
            }
        }
        "not" => deeper(format!("{at}/not"), rest),
        "conditional" => {
            let (word, rest) = rest.split_once('.')?;
            CONDITIONS.contains(&word).then(|| deeper(format!("{at}/{word}"), rest))?
        }
        word => {
            let (_, key) = COMBINED.iter().find(|(known, _)| *known == word)?;
            let (index, rest) = rest.split_once('.')?;
            let index: usize = index.parse().ok()?;
            deeper(format!("{at}/{key}/{index}"), rest).or_else(|| deeper(at.to_owned(), rest))
        }
    }
}

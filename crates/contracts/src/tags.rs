//! Tags that stand in a schema itself: `confluent:tags` of Avro and JSON Schema, `(confluent.message_meta)` and
//! `(confluent.field_meta)` of Protobuf. Reading them, and the text with some more or fewer.
//!
//! Source: Confluent Schema Registry, `SchemaEntity`, `SchemaTags`. A record is called by its path, a field by its record's
//! path and its name: Avro's full names, Protobuf's message names without the package, JSON Schema's steps (`object.a`,
//! `object.list.array.object`, `object.choice.oneof.1.object`).

use serde_json::{Map, Value as Json};

use crate::Document;

/// The attribute that has them in Avro and in JSON Schema.
const TAGS: &str = "confluent:tags";

/// What can be tagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    Record,
    Field,
}

/// The tags of a record or a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    pub entity: Entity,
    pub path: String,
    pub tags: Vec<String>,
}

impl Tagged {
    /// The same place may be named with a dot in front.
    pub(crate) fn place(&self) -> (Entity, &str) {
        (self.entity, self.path.strip_prefix('.').unwrap_or(&self.path))
    }
}

/// What is to become of one place's tags.
pub(crate) struct Change<'a> {
    pub(crate) entity: Entity,
    pub(crate) path: &'a str,
    add: Vec<&'a str>,
    remove: Vec<&'a str>,
}

impl Change<'_> {
    /// The tags that there are then: those that were there first.
    pub(crate) fn applied(&self, before: Vec<String>) -> Vec<String> {
        let mut after: Vec<String> = before;
        for tag in &self.add {
            if !after.iter().any(|known| known == tag) {
                after.push((*tag).to_owned());
            }
        }
        after.retain(|tag| !self.remove.contains(&tag.as_str()));
        after
    }

    /// The same for the attribute of Avro and JSON Schema, which goes with its last tag.
    pub(crate) fn apply(&self, attributes: &mut Map<String, Json>) {
        let after = self.applied(tags_of(attributes));
        match after.is_empty() {
            true => drop(attributes.shift_remove(TAGS)),
            false => drop(attributes.insert(TAGS.to_owned(), after.into())),
        }
    }
}

/// The tags that an object of Avro or JSON Schema has.
pub(crate) fn tags_of(attributes: &Map<String, Json>) -> Vec<String> {
    let tags = attributes.get(TAGS).and_then(Json::as_array);
    tags.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Adds what carries tags to a list.
pub(crate) fn note(found: &mut Vec<Tagged>, entity: Entity, path: &str, tags: Vec<String>) {
    if !tags.is_empty() {
        found.push(Tagged { entity, path: path.to_owned(), tags });
    }
}

fn changes<'a>(add: &'a [Tagged], remove: &'a [Tagged]) -> Vec<Change<'a>> {
    let mut changes: Vec<Change<'a>> = Vec::new();
    for (tagged, is_added) in add.iter().map(|tagged| (tagged, true)).chain(remove.iter().map(|t| (t, false)))
    {
        let place = tagged.place();
        let known = changes.iter().position(|change| (change.entity, change.path) == place);
        let at = known.unwrap_or_else(|| {
            let (entity, path) = place;
            changes.push(Change { entity, path, add: Vec::new(), remove: Vec::new() });
            changes.len() - 1
        });
        let tags = tagged.tags.iter().map(String::as_str);
        match is_added {
            true => changes[at].add.extend(tags),
            false => changes[at].remove.extend(tags),
        }
    }
    changes
}

impl Document {
    /// What of the schema itself carries tags.
    pub fn inline_tags(&self) -> Vec<Tagged> {
        match self {
            Document::Avro(avro) => avro.inline_tags(),
            Document::JsonSchema(json) => json.inline_tags(),
            Document::Protobuf(protobuf) => protobuf.inline_tags(),
        }
    }

    /// The text with these tags added and those removed; else the path that leads nowhere.
    pub fn with_tags(&self, add: &[Tagged], remove: &[Tagged]) -> Result<String, String> {
        let changes = changes(add, remove);
        match self {
            Document::Avro(avro) => avro.with_tags(&changes),
            Document::JsonSchema(json) => json.with_tags(&changes),
            Document::Protobuf(protobuf) => protobuf.with_tags(&changes),
        }
    }
}

#[cfg(test)]
mod tests;

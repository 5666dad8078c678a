//! Compatibility of a new schema with earlier versions, by Confluent's levels and in its words.
//!
//! BACKWARD: the new schema reads data of the old one. FORWARD: the old one reads data of the new. FULL: both. The
//! transitive levels ask it of every version, the others of the latest. Source: Confluent, "Schema Evolution and
//! Compatibility".

use std::{fmt, str::FromStr};

use crate::{Document, Error, avro, json_schema, protobuf};

/// Confluent's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    None,
    #[default]
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Level {
    pub const NAMES: [&str; 7] = [
        "NONE",
        "BACKWARD",
        "BACKWARD_TRANSITIVE",
        "FORWARD",
        "FORWARD_TRANSITIVE",
        "FULL",
        "FULL_TRANSITIVE",
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub fn is_transitive(self) -> bool {
        matches!(self, Level::BackwardTransitive | Level::ForwardTransitive | Level::FullTransitive)
    }

    fn is_backward(self) -> bool {
        matches!(self, Level::Backward | Level::BackwardTransitive | Level::Full | Level::FullTransitive)
    }

    fn is_forward(self) -> bool {
        matches!(self, Level::Forward | Level::ForwardTransitive | Level::Full | Level::FullTransitive)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [
            Level::None,
            Level::Backward,
            Level::BackwardTransitive,
            Level::Forward,
            Level::ForwardTransitive,
            Level::Full,
            Level::FullTransitive,
        ];
        let found = all.into_iter().find(|level| level.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| Error::Level { level: text.to_owned() })
    }
}

/// Confluent's policies. Only JSON Schema knows a difference: a lenient comparison minds what an object holds besides its own
/// properties less, so that one that is open may be given more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    #[default]
    Strict,
    Lenient,
}

/// What a new version is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    pub level: Level,
    pub policy: Policy,
    /// Whether fields that a version has reserved are looked at; the one who asks does that.
    pub validates_fields: bool,
}

impl Rules {
    pub fn of(level: Level) -> Self {
        Self { level, ..Self::default() }
    }

    /// The last of the messages, which says how the others came about.
    pub fn told(&self) -> String {
        format!("{{validateFields: '{}', compatibility: '{}'}}", self.validates_fields, self.level)
    }
}

/// One thing that the reader cannot take from the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatibility {
    /// Confluent's name of it: `READER_FIELD_MISSING_DEFAULT_VALUE`, `REQUIRED_ATTRIBUTE_ADDED`, …
    pub kind: &'static str,
    /// A JSON pointer into the reader: `/fields/2`, `#/properties/age`.
    pub path: String,
    /// A sentence with `{reader}` and `{writer}` where it names the two.
    pub text: String,
    /// Avro's own words for what does not fit (`additionalInfo`); empty for JSON Schema.
    pub detail: String,
}

impl Incompatibility {
    /// As the registry prints it, with the two schemas called `reader` and `writer` ("new" and "old").
    pub fn message(&self, reader: &str, writer: &str) -> String {
        let text = self.text.replace("{reader}", reader).replace("{writer}", writer);
        // Confluent quotes what Avro's library says in another way than its own findings.
        match self.detail.is_empty() {
            true => format!("{{errorType:\"{}\", description:\"{text}\"}}", self.kind),
            false => {
                let detail = &self.detail;
                format!("{{errorType:'{}', description:'{text}', additionalInfo:'{detail}'}}", self.kind)
            }
        }
    }
}

/// What keeps `reader` from reading data of `writer`; empty where nothing does.
pub fn can_read(reader: &Document, writer: &Document) -> Vec<Incompatibility> {
    can_read_by(Policy::default(), reader, writer)
}

fn can_read_by(policy: Policy, reader: &Document, writer: &Document) -> Vec<Incompatibility> {
    match (reader, writer) {
        (Document::Avro(reader), Document::Avro(writer)) => avro::compatibility::can_read(reader, writer),
        (Document::JsonSchema(reader), Document::JsonSchema(writer)) => {
            json_schema::compatibility::can_read(policy, reader, writer)
        }
        (Document::Protobuf(reader), Document::Protobuf(writer)) => {
            protobuf::compatibility::can_read(reader, writer)
        }
        _ => vec![Incompatibility {
            kind: "SCHEMA_TYPE_CHANGED",
            path: "/".to_owned(),
            text: "The {reader} schema is of another kind than the {writer} schema".to_owned(),
            detail: String::new(),
        }],
    }
}

/// An earlier version to check against.
pub struct Earlier<'a> {
    pub version: i32,
    pub text: &'a str,
    pub document: &'a Document,
}

/// Checks `new` against `earlier`, oldest first; the messages of the newest version that does not fit, or nothing.
pub fn check(rules: &Rules, new: &Document, earlier: &[Earlier<'_>]) -> Vec<String> {
    let Rules { level, policy, .. } = *rules;
    let asked = match level.is_transitive() {
        true => earlier,
        false => &earlier[earlier.len().saturating_sub(1)..],
    };
    for old in asked.iter().rev() {
        let mut messages = Vec::new();
        if level.is_backward() {
            let found = can_read_by(policy, new, old.document);
            messages.extend(found.iter().map(|incompatibility| incompatibility.message("new", "old")));
        }
        if level.is_forward() {
            let found = can_read_by(policy, old.document, new);
            messages.extend(found.iter().map(|incompatibility| incompatibility.message("old", "new")));
        }
        if !messages.is_empty() {
            messages.push(format!("{{oldSchemaVersion: {}}}", old.version));
            messages.push(format!("{{oldSchema: '{}'}}", old.text));
            messages.push(rules.told());
            return messages;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests;

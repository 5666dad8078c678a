//! Holding records against their contract: fast where the schema is a flat object, by the full validator otherwise.
//!
//! Both give the same verdict; only the words of a refusal may differ. Nothing is repaired here but a CSV text's type.

mod flat;
pub(crate) mod format;
mod json;
mod row;
mod rule;
mod verbatim;

pub use json::write_json;
pub(crate) use row::shown;
pub use row::{RowEncoder, cast_text, cast_word};
pub(crate) use row::{boolean, float, integer};

use base::{Contract, ContractKind, Value};
use serde_json::Value as Json;

use crate::{Document, Error, Violation, avro, errors::shorten, json_schema, protobuf};
use flat::{Flat, Verdict};

/// Decides whether a record keeps its contract.
#[derive(Debug)]
pub struct Validator {
    full: jsonschema::Validator,
    flat: Option<Flat>,
}

impl Validator {
    /// For a JSON Schema contract. Avro's rule is its encoding: see `RecordEncoder`.
    pub fn compile(contract: &Contract) -> Result<Self, Error> {
        Self::of_text(&contract.subject, &contract.text)
    }

    pub fn of_text(path: &str, text: &str) -> Result<Self, Error> {
        let document = json_schema::JsonSchema::parse(path, text)?;
        let full = json_schema::validator(&document.json).expect("parsing has built this validator once");
        Ok(Self { full, flat: Flat::compile(&document) })
    }

    /// Whether the fast way is taken; records of any other schema cost a tree of JSON each.
    pub fn is_flat(&self) -> bool {
        self.flat.is_some()
    }

    pub(crate) fn flat(&self) -> Option<&Flat> {
        self.flat.as_ref()
    }

    /// A record as JSON text.
    pub fn check_json(&self, bytes: &[u8]) -> Result<(), Violation> {
        match self.flat.as_ref().map(|flat| flat.check_json(bytes)) {
            Some(Verdict::Good) => Ok(()),
            // The full one has the last word on a refusal (of a member that comes twice only the last counts); its cost
            // falls on bad records alone, and the fast one's words are better.
            Some(Verdict::Bad(violation)) => self.check_in_full(bytes).map_err(|_| violation),
            Some(Verdict::Unsure) | None => self.check_in_full(bytes),
        }
    }

    /// A record as a value, as its JSON would be.
    pub fn check_value(&self, value: &Value) -> Result<(), Violation> {
        let mut text = Vec::new();
        write_json(value, &mut text);
        self.check_json(&text)
    }

    fn check_in_full(&self, bytes: &[u8]) -> Result<(), Violation> {
        let json: Json = serde_json::from_slice(bytes).map_err(|error| Violation {
            field: String::new(),
            expected: "JSON".to_owned(),
            found: error.to_string(),
        })?;
        self.check_tree(&json)
    }

    /// A record as a tree of JSON.
    pub fn check_tree(&self, json: &Json) -> Result<(), Violation> {
        self.full.validate(json).map_err(|error| violation(&error))
    }
}

/// The full validator's error in our words: its place, what the schema asks for, what is there.
pub(crate) fn violation(error: &jsonschema::ValidationError<'_>) -> Violation {
    let pointer = error.instance_path().to_string();
    let flat = pointer.strip_prefix('/').filter(|rest| !rest.contains('/'));
    let field = flat.map_or_else(|| pointer.clone(), json_schema::unescape);
    let found = shorten(&error.instance().to_string(), 60);
    let text = error.to_string();
    let found = if found.is_empty() { "nothing".to_owned() } else { found };
    // The crate's sentences begin with the instance: what follows is what is wrong with it.
    let expected = text.strip_prefix(&error.instance().to_string()).unwrap_or(&text).trim();
    let expected = format!("a value that fits ({})", shorten(expected, 160));
    Violation { field, expected, found }
}

/// Values to the bytes of their contract, refused where they break it.
#[derive(Debug)]
pub enum RecordEncoder {
    Json(Box<Validator>),
    Avro(avro::Encoder),
}

impl RecordEncoder {
    pub fn compile(contract: &Contract) -> Result<Self, Error> {
        match Document::parse(contract.kind, &contract.subject, &contract.text)? {
            Document::Avro(avro) => avro::Encoder::of(&contract.subject, &avro).map(RecordEncoder::Avro),
            Document::JsonSchema(_) => {
                Validator::compile(contract).map(|validator| RecordEncoder::Json(Box::new(validator)))
            }
            Document::Protobuf(_) => Err(protobuf::no_rows()),
        }
    }

    pub fn kind(&self) -> ContractKind {
        match self {
            RecordEncoder::Json(_) => ContractKind::JsonSchema,
            RecordEncoder::Avro(_) => ContractKind::Avro,
        }
    }

    /// Appends the record's bytes (without the wire format's five); on a violation `out` is as before.
    pub fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), Violation> {
        match self {
            RecordEncoder::Avro(encoder) => encoder.encode(value, out),
            RecordEncoder::Json(validator) => {
                let before = out.len();
                write_json(value, out);
                validator.check_json(&out[before..]).inspect_err(|_| out.truncate(before))
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Contracts: Avro and JSON Schema texts, parsed with their places, in the registry's canonical form, compared for
//! compatibility, mapped to the row model, and held against records; and Confluent's wire format.
//!
//! It speaks to nobody: no HTTP, no Kafka, no file. Fetching a schema by its id is the caller's work.

pub mod avro;
pub mod compatibility;
mod errors;
pub mod framing;
pub mod infer;
pub mod json_schema;
mod place;
pub mod validate;

use std::sync::Arc;

use base::{Contract, ContractKind};

pub use errors::{Error, Violation, kind_name, shorten};
pub use framing::{frame, unframe};
pub use validate::{RowEncoder, Validator};

/// A schema of either kind, parsed.
#[derive(Debug, Clone)]
pub enum Document {
    Avro(avro::Avro),
    JsonSchema(json_schema::JsonSchema),
}

impl Document {
    /// Parses and checks `text`; `path` is what errors call it.
    pub fn parse(kind: ContractKind, path: &str, text: &str) -> Result<Self, Error> {
        match kind {
            ContractKind::Avro => avro::Avro::parse(path, text).map(Document::Avro),
            ContractKind::JsonSchema => json_schema::JsonSchema::parse(path, text).map(Document::JsonSchema),
            ContractKind::Protobuf => Err(Error::Unsupported {
                what: "a Protobuf schema".to_owned(),
                instead: "use JSON Schema or Avro".to_owned(),
            }),
        }
    }

    pub fn kind(&self) -> ContractKind {
        match self {
            Document::Avro(_) => ContractKind::Avro,
            Document::JsonSchema(_) => ContractKind::JsonSchema,
        }
    }

    /// The text that the registry keeps; two schemas are the same where these are.
    pub fn canonical(&self) -> String {
        match self {
            Document::Avro(avro) => avro.canonical(),
            Document::JsonSchema(json) => json.canonical(),
        }
    }

    /// `canonical`, with what has no order sorted: Confluent's `normalize=true`.
    pub fn normalized(&self) -> String {
        match self {
            Document::Avro(avro) => avro.normalized(),
            Document::JsonSchema(json) => json.normalized(),
        }
    }

    /// The row model; TM0507 where it has none.
    pub fn schema(&self, path: &str) -> Result<base::Schema, Error> {
        match self {
            Document::Avro(avro) => avro::schema_of(path, avro),
            Document::JsonSchema(json) => json_schema::schema_of(path, json, json_schema::Mapping::default()),
        }
    }
}

/// Parses `text` into what travels with batches. `subject` is also what errors call the text.
pub fn contract(kind: ContractKind, subject: &str, id: Option<i32>, text: &str) -> Result<Contract, Error> {
    let document = Document::parse(kind, subject, text)?;
    let schema = Arc::new(document.schema(subject)?);
    Ok(Contract { kind, subject: subject.into(), id, text: text.into(), schema })
}

/// The kind that a file's name tells: `.avsc` is Avro, `.proto` Protobuf, `.json` JSON Schema.
pub fn kind_of_file(name: &str) -> Option<ContractKind> {
    let (_, ending) = name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "avsc" | "avro" => Some(ContractKind::Avro),
        "json" => Some(ContractKind::JsonSchema),
        "proto" => Some(ContractKind::Protobuf),
        _ => None,
    }
}

/// JSON with TM0501 at the place where it breaks.
pub(crate) fn read_json(path: &str, text: &str) -> Result<serde_json::Value, Error> {
    serde_json::from_str(text).map_err(|source| {
        let start = place::byte_of(text, source.line(), source.column()).min(text.len().saturating_sub(1));
        let spot = base::Spot::Text {
            path: path.into(),
            text: text.into(),
            start,
            length: usize::from(!text.is_empty()),
            label: "here".to_owned(),
        };
        Error::Syntax { path: path.into(), spot: Box::new(spot), source }
    })
}

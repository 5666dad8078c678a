//! Contracts: Avro, JSON Schema and Protobuf texts, parsed with their places, in the registry's canonical form, compared for
//! compatibility, mapped to the row model (but for Protobuf), and held against records; and Confluent's wire format.
//!
//! It speaks to nobody: no HTTP, no Kafka, no file. Fetching a schema by its id is the caller's work.

pub mod avro;
pub mod compatibility;
mod errors;
pub mod framing;
pub mod infer;
pub mod json_schema;
mod place;
pub mod protobuf;
mod records;
mod tags;
pub mod validate;

use std::sync::Arc;

use base::{Contract, ContractKind};

pub use errors::{Error, Violation, kind_name, shorten};
pub use framing::{frame, frame_message_index, unframe, unframe_message_index};
pub use place::spot;
pub use records::Transcoder;
pub use tags::{Entity, Tagged};
pub use validate::{RowEncoder, Validator};

/// Another schema that one refers to: by its full name (Avro says nothing of it), its `$ref` or its import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referenced {
    pub name: String,
    pub text: String,
}

/// A schema of any kind, parsed.
#[derive(Debug, Clone)]
pub enum Document {
    Avro(avro::Avro),
    JsonSchema(json_schema::JsonSchema),
    Protobuf(protobuf::Protobuf),
}

impl Document {
    /// Parses and checks `text`; `path` is what errors call it.
    pub fn parse(kind: ContractKind, path: &str, text: &str) -> Result<Self, Error> {
        Self::parse_with(kind, path, text, &[])
    }

    /// The same for a schema that refers to others; each of them comes after those that it needs itself.
    pub fn parse_with(
        kind: ContractKind,
        path: &str,
        text: &str,
        references: &[Referenced],
    ) -> Result<Self, Error> {
        match kind {
            ContractKind::Avro => avro::Avro::parse_with(path, text, references).map(Document::Avro),
            ContractKind::JsonSchema => {
                json_schema::JsonSchema::parse_with(path, text, references).map(Document::JsonSchema)
            }
            ContractKind::Protobuf => {
                protobuf::Protobuf::parse_with(path, text, references).map(Document::Protobuf)
            }
        }
    }

    pub fn kind(&self) -> ContractKind {
        match self {
            Document::Avro(_) => ContractKind::Avro,
            Document::JsonSchema(_) => ContractKind::JsonSchema,
            Document::Protobuf(_) => ContractKind::Protobuf,
        }
    }

    /// The text that the registry keeps; two schemas are the same where these are.
    pub fn canonical(&self) -> String {
        match self {
            Document::Avro(avro) => avro.canonical(),
            Document::JsonSchema(json) => json.canonical(),
            Document::Protobuf(protobuf) => protobuf.canonical(),
        }
    }

    /// `canonical`, with what has no order sorted: Confluent's `normalize=true`.
    pub fn normalized(&self) -> String {
        match self {
            Document::Avro(avro) => avro.normalized(),
            Document::JsonSchema(json) => json.normalized(),
            Document::Protobuf(protobuf) => protobuf.normalized(),
        }
    }

    /// Confluent's `format`: `resolved` for Avro, `serialized` for Protobuf; any other leaves the text as it is.
    pub fn formatted(&self, format: &str) -> Option<String> {
        match (self, format) {
            (Document::Avro(avro), "resolved") => Some(avro.resolved()),
            (Document::Protobuf(protobuf), "serialized") => Some(protobuf.serialized()),
            _ => None,
        }
    }

    /// Whether what it describes has a field of this name at the top: of a Protobuf file the first message counts.
    pub fn has_field(&self, name: &str) -> bool {
        match self {
            Document::Avro(avro) => avro.has_field(name),
            Document::JsonSchema(json) => json.has_property(name),
            Document::Protobuf(protobuf) => protobuf.has_field(name),
        }
    }

    /// The row model; TM0507 where it has none.
    pub fn schema(&self, path: &str) -> Result<base::Schema, Error> {
        match self {
            Document::Avro(avro) => avro::schema_of(path, avro),
            Document::JsonSchema(json) => json_schema::schema_of(path, json, json_schema::Mapping::default()),
            Document::Protobuf(_) => Err(protobuf::no_rows()),
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

//! What can be wrong with a contract, or with a record under it: code, place, reason, and what to do.

use std::sync::Arc;

use base::{Code, ContractKind, Problem, Spot, code};

/// Everything this crate refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no JSON.
    #[error("{path} is not valid JSON")]
    Syntax { path: Arc<str>, spot: Box<Spot>, source: serde_json::Error },
    /// JSON, but not what the kind of schema allows.
    #[error("{path} is not a valid {} schema: {reason}", kind_name(*kind))]
    Invalid { kind: ContractKind, path: Arc<str>, spot: Box<Spot>, reason: String },
    /// Valid, but not something we handle yet.
    #[error("{what} is not supported yet")]
    Unsupported { what: String, instead: String },
    /// Valid, but it has no shape that rows can take.
    #[error("{path} cannot be turned into rows: {place}: {reason}")]
    Shape { path: Arc<str>, place: String, reason: String },
    #[error(
        "the record is not in the registry's wire format: expected the magic byte 0 and a schema id, found {found}"
    )]
    NotFramed { found: String },
    /// Bytes that do not match the schema they claim.
    #[error("the record does not decode by its {} schema: {field}: {reason}", kind_name(*kind))]
    Decode { kind: ContractKind, field: String, reason: String },
    /// A value that the schema has no room for.
    #[error("{0}")]
    Broken(Violation),
    #[error("nothing to infer a contract from: {reason}")]
    NothingToInfer { reason: String },
    #[error("{path} cannot be used: {reason}")]
    File { path: Arc<str>, reason: String },
    /// A row of an example or of a file to validate; `line` counts from 1.
    #[error("{path} cannot be read as rows: {reason}")]
    Row { path: Arc<str>, line: u64, reason: String },
    #[error("a compatibility level {level:?} does not exist")]
    Level { level: String },
}

/// One record that breaks its contract: which field, what was expected, what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's name, or a JSON pointer into the record; empty for the record itself.
    pub field: String,
    pub expected: String,
    pub found: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let field = if self.field.is_empty() { "the record" } else { &self.field };
        write!(f, "{field}: expected {}, found {}", self.expected, self.found)
    }
}

impl std::error::Error for Violation {}

impl Violation {
    pub fn code(&self) -> Code {
        code::TM0510
    }

    /// The same, of a record that is a field of another.
    pub(crate) fn under(self, name: &str) -> Self {
        let field = match self.field.is_empty() {
            true => name.to_owned(),
            false => format!("{name}.{}", self.field),
        };
        Self { field, ..self }
    }
}

/// The kind's name as people write it.
pub fn kind_name(kind: ContractKind) -> &'static str {
    match kind {
        ContractKind::Avro => "Avro",
        ContractKind::JsonSchema => "JSON",
        ContractKind::Protobuf => "Protobuf",
    }
}

/// At most `length_max` characters of something from outside, for an error's text.
pub fn shorten(text: &str, length_max: usize) -> String {
    match text.char_indices().nth(length_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Syntax { .. } => code::TM0501,
            Error::Invalid { kind: ContractKind::Avro, .. } => code::TM0502,
            Error::Invalid { kind: ContractKind::Protobuf, .. } => code::TM0413,
            Error::Invalid { .. } => code::TM0503,
            Error::Unsupported { .. } => code::TM0504,
            Error::NotFramed { .. } => code::TM0505,
            Error::Decode { .. } => code::TM0506,
            Error::Shape { .. } => code::TM0507,
            Error::Level { .. } => code::TM0508,
            Error::Broken(violation) => violation.code(),
            Error::NothingToInfer { .. } => code::TM0511,
            Error::File { .. } | Error::Row { .. } => code::TM0512,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::Syntax { spot, .. } | Error::Invalid { spot, .. } => Some((**spot).clone()),
            Error::Row { path, line, .. } => Some(Spot::Line { path: path.clone(), line: *line, column: 1 }),
            Error::Unsupported { .. }
            | Error::File { .. }
            | Error::NotFramed { .. }
            | Error::Decode { .. }
            | Error::Shape { .. }
            | Error::Level { .. }
            | Error::Broken(_)
            | Error::NothingToInfer { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Syntax { .. } => "mend the JSON at the place shown".to_owned(),
            Error::Invalid { kind, .. } => match kind {
                ContractKind::Avro => "mend it as the Avro specification says, section \"Schema Declaration\"".to_owned(),
                ContractKind::Protobuf => {
                    "mend it as protoc would want it; what it imports has to be among its references".to_owned()
                }
                ContractKind::JsonSchema => {
                    "mend it by the draft that its $schema names (draft 7 where it names none)".to_owned()
                }
            },
            Error::Unsupported { instead, .. } => instead.clone(),
            Error::NotFramed { .. } => {
                "use the converter that matches the producer (JsonConverter for plain JSON), or send with a \
                 serializer that registers its schema"
                    .to_owned()
            }
            Error::Decode { .. } => {
                "the producer wrote with another schema than the id says, or the bytes were cut: look at the record"
                    .to_owned()
            }
            Error::Shape { .. } => "give the place a single type; validation works with the schema as it is".to_owned(),
            Error::Level { .. } => format!("use one of {}", crate::compatibility::Level::NAMES.join(", ")),
            Error::Broken(_) => "mend the record, or widen the contract and register it again".to_owned(),
            Error::File { .. } => "give a file that can be read: .csv, .jsonl or .ndjson for rows, .json or .avsc for a contract".to_owned(),
            Error::Row { .. } => "mend the row, or give a file in the format that its name says".to_owned(),
            Error::NothingToInfer { .. } => "give a file with a header and at least one row".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;

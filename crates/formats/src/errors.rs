//! What keeps a file from being written or read. A single record that does not fit is a `Reject`, not an error.

use base::{BoxError, Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{format} needs a schema, and the records come without one")]
    NoSchema { format: &'static str },
    #[error("the schema cannot be written as {format}: {what}")]
    SchemaUnfit { format: &'static str, what: String },
    #[error("records in the form of {form} cannot be written as {format}")]
    Form { format: &'static str, form: &'static str },
    #[error("{name} cannot be read as {format}")]
    Unreadable { name: String, format: &'static str, source: BoxError },
    #[error("`{given}` is no {what}; there are: {known}")]
    Unknown { given: String, what: &'static str, known: &'static str },
    #[error("the {format} encoder failed")]
    Encoder { format: &'static str, source: BoxError },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoSchema { .. } | Error::SchemaUnfit { .. } | Error::Form { .. } => code::TM0602,
            Error::Unreadable { .. } => code::TM0603,
            Error::Unknown { .. } => code::TM0604,
            Error::Encoder { .. } => code::TM0605,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoSchema { .. } => "use a converter that brings a schema (AvroConverter, JsonSchemaConverter, or \
                JsonConverter with schemas.enable=true), or the JSON format"
                .to_owned(),
            Error::SchemaUnfit { .. } => "change the field that is named, or use the JSON format".to_owned(),
            Error::Form { .. } => "use a converter that parses the value, or the format JSON or raw bytes".to_owned(),
            Error::Unreadable { .. } => {
                "check that the file is whole and that its name ends in what it is (.json, .json.gz, .avro, .parquet)".to_owned()
            }
            Error::Unknown { known, .. } => format!("use one of {known}"),
            Error::Encoder { .. } => "this is a bug: please report it with the schema of the records".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;

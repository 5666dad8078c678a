//! What keeps files from being written besides their store's own errors.

use base::{BoxError, Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the name {name} does not tell a format")]
    NoFormat { name: String },
    #[error("{format} takes no compression {given}")]
    Compression { format: &'static str, given: String },
    #[error("{given} is no level of {compression}")]
    Level { given: i32, compression: &'static str },
    #[error("the columns of {format} cannot be told: {reason}")]
    NoColumns { format: &'static str, reason: String },
    #[error("the first records cannot be read")]
    Look { source: BoxError },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoFormat { .. } => code::TM1450,
            Error::Compression { .. } | Error::Level { .. } => code::TM1452,
            Error::NoColumns { .. } | Error::Look { .. } => code::TM1453,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoFormat { .. } => {
                "end it in .jsonl, .json, .csv, .tsv, .parquet or .avro (text also in .gz or .zst), or say --target-format"
                    .to_owned()
            }
            Error::Compression { format: "Parquet", .. } => "use none, snappy, gzip or zstd".to_owned(),
            Error::Compression { format: "Avro", .. } => "use none, snappy, deflate or zstd".to_owned(),
            Error::Compression { .. } => "use none, gzip or zstd".to_owned(),
            Error::Level { compression: "gzip", .. } => "give 0 to 9".to_owned(),
            Error::Level { .. } => "give 1 to 22".to_owned(),
            Error::NoColumns { .. } | Error::Look { .. } => {
                "say what they are, with --contract NAME, or write JSON Lines, which needs no columns".to_owned()
            }
        }
    }
}

//! What a file can do wrong, with the line and column where it did.

use std::{io, path::PathBuf, sync::Arc};

use base::{Code, Problem, Spot, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no file was named")]
    NoPath,
    #[error("{} cannot be read", .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("the format of {} is not known from its name", .path.display())]
    UnknownFormat { path: PathBuf },
    #[error("{path} ends or breaks off in line {line}")]
    Read { path: Arc<str>, line: u64, source: io::Error },
    #[error("a record is longer than {bytes_max} bytes")]
    RecordTooLong { path: Arc<str>, line: u64, bytes_max: usize },
    #[error("{path} has no header line")]
    NoHeader { path: Arc<str> },
    #[error("{reason}")]
    Malformed { path: Arc<str>, line: u64, column: u64, reason: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoPath | Error::Open { .. } => code::TM0720,
            Error::UnknownFormat { .. } => code::TM0721,
            Error::Read { .. } => code::TM0722,
            Error::RecordTooLong { .. } => code::TM0723,
            Error::NoHeader { .. } => code::TM0724,
            Error::Malformed { .. } => code::TM0725,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::NoPath | Error::Open { .. } | Error::UnknownFormat { .. } => None,
            Error::NoHeader { path } => Some(Spot::Line { path: path.clone(), line: 1, column: 1 }),
            Error::Read { path, line, .. } | Error::RecordTooLong { path, line, .. } => {
                Some(Spot::Line { path: path.clone(), line: *line, column: 1 })
            }
            Error::Malformed { path, line, column, .. } => {
                Some(Spot::Line { path: path.clone(), line: *line, column: *column })
            }
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoPath => "name a file, or - for standard input".to_owned(),
            Error::Open { .. } => "correct the path, or make the file readable for this user".to_owned(),
            Error::UnknownFormat { .. } => "say it: --format csv, jsonl or json".to_owned(),
            Error::Read { .. } => {
                "see that the file is whole: a cut download or a broken archive ends so".to_owned()
            }
            Error::RecordTooLong { .. } => {
                "look for a quote that is never closed, or cut the record".to_owned()
            }
            Error::NoHeader { .. } => "put the names of the columns into the first line".to_owned(),
            Error::Malformed { .. } => "correct the file at that place".to_owned(),
        }
    }
}

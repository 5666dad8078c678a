//! What a file can do wrong, with the line and column where it did.

use std::{io, sync::Arc};

use base::{BoxError, Code, Problem, Spot, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no file was named")]
    NoPath,
    #[error("{path} cannot be read")]
    Open { path: Arc<str>, source: io::Error },
    #[error("the format of {path} is not known from its name, nor from what it holds")]
    UnknownFormat { path: Arc<str> },
    #[error("{path} ends or breaks off in line {line}")]
    Read { path: Arc<str>, line: u64, source: io::Error },
    #[error("a record is longer than {bytes_max} bytes")]
    RecordTooLong { path: Arc<str>, line: u64, bytes_max: usize },
    #[error("{path} has no header line")]
    NoHeader { path: Arc<str> },
    #[error("{reason}")]
    Malformed { path: Arc<str>, line: u64, column: u64, reason: String },
    #[error("{path} cannot be read as {format}: {reason}")]
    Broken { path: Arc<str>, record: u64, format: &'static str, reason: String },
    #[error("{reason}, in line {line} of {path}")]
    Encoding { path: Arc<str>, line: u64, reason: String },
    #[error("{path} is no path to records")]
    RecordsPath { path: String },
    #[error("there are no records: {reason}")]
    NoRecords { path: Arc<str>, line: u64, column: u64, reason: String },
    #[error("{path} has no sheet {sheet}; it has {sheets}")]
    NoSheet { path: Arc<str>, sheet: String, sheets: String },
    #[error("{name} cannot be fetched")]
    Fetch { name: Arc<str>, source: BoxError },
}

impl Error {
    /// Reading ended with `source`. What a reader below has to say in its own words is said by them.
    pub(super) fn broken(path: Arc<str>, line: u64, source: io::Error, is_remote: bool) -> Self {
        let kind = source.kind();
        match source.into_inner().map(|inner| inner.downcast::<Error>()) {
            Some(Ok(error)) => *error,
            Some(Err(source)) if is_remote => Error::Fetch { name: path, source },
            None if is_remote => Error::Fetch { name: path, source: Box::new(io::Error::from(kind)) },
            Some(Err(source)) => Error::Read { path, line, source: io::Error::new(kind, source) },
            None => Error::Read { path, line, source: kind.into() },
        }
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoPath | Error::Open { .. } => code::TM0720,
            Error::UnknownFormat { .. } => code::TM0721,
            Error::Read { .. } => code::TM0722,
            Error::RecordTooLong { .. } => code::TM0723,
            Error::NoHeader { .. } => code::TM0724,
            Error::Malformed { .. } | Error::Broken { .. } => code::TM0725,
            Error::RecordsPath { .. } => code::TM1432,
            Error::NoSheet { .. } => code::TM1431,
            Error::Encoding { .. } => code::TM1433,
            Error::NoRecords { .. } => code::TM1436,
            Error::Fetch { source, .. } => {
                source.downcast_ref::<cloud::Error>().map_or(code::TM1435, Problem::code)
            }
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::NoPath
            | Error::Open { .. }
            | Error::UnknownFormat { .. }
            | Error::RecordsPath { .. }
            | Error::NoSheet { .. }
            | Error::Broken { .. }
            | Error::Fetch { .. } => None,
            Error::NoHeader { path } => Some(Spot::Line { path: path.clone(), line: 1, column: 1 }),
            Error::Read { path, line, .. }
            | Error::RecordTooLong { path, line, .. }
            | Error::Encoding { path, line, .. } => {
                Some(Spot::Line { path: path.clone(), line: *line, column: 1 })
            }
            Error::Malformed { path, line, column, .. } | Error::NoRecords { path, line, column, .. } => {
                Some(Spot::Line { path: path.clone(), line: *line, column: *column })
            }
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoPath => "name a file, or - for standard input".to_owned(),
            Error::Open { .. } => "correct the path, or make the file readable for this user".to_owned(),
            Error::UnknownFormat { .. } => {
                "say it: --format csv, jsonl, json, avro, parquet or excel".to_owned()
            }
            Error::Read { .. } => {
                "see that the file is whole: a cut download or a broken archive ends so".to_owned()
            }
            Error::RecordTooLong { .. } => {
                "look for a quote that is never closed, or cut the record; records \
                                            below a name of a JSON document are found by --records '$.NAME'"
                    .to_owned()
            }
            Error::NoHeader { .. } => "put the names of the columns into the first line".to_owned(),
            Error::Malformed { .. } => "correct the file at that place".to_owned(),
            Error::Broken { record: 1, .. } => "see that the file is whole, and of that format".to_owned(),
            Error::Broken { record, .. } => {
                format!("see that the file is whole; it can be read up to record {record}")
            }
            Error::Encoding { .. } => {
                "say what it is written in, for example --encoding windows-1252 or utf-16le".to_owned()
            }
            Error::RecordsPath { .. } => {
                "write it as $.NAME, $.NAME.NAME or $['A NAME'], with [*] at its end or not".to_owned()
            }
            Error::NoRecords { .. } => {
                "name where the array or object of records stands: --records '$.NAME'".to_owned()
            }
            Error::NoSheet { .. } => "name one of these with --sheet".to_owned(),
            Error::Fetch { source, .. } => source.downcast_ref::<cloud::Error>().map_or_else(
                || "open the address with curl; what is behind a login wants a signed address".to_owned(),
                Problem::help,
            ),
        }
    }
}

//! What goes wrong with an HTTP interface, and the one table that sorts its answers into faults.

use base::{BoxError, Code, Fault, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the HTTP source cannot use {key}: {what}")]
    Setting { key: String, what: String },
    #[error("{url} does not answer")]
    Unreachable { url: String, source: BoxError },
    #[error("{url} cannot be trusted")]
    Untrusted { url: String, source: BoxError },
    #[error("{url} refuses access with status {status}")]
    Denied { url: String, status: u16 },
    #[error("{url} answers with status {status}: {said}")]
    Status { url: String, status: u16, said: String },
    #[error("a page of {url} is larger than {bytes_max} bytes")]
    TooLarge { url: String, bytes_max: usize },
    #[error("a page of {url} cannot be read: {reason}")]
    Malformed { url: String, reason: String },
    #[error("a page of {url} has no records at {path}: there is {found}")]
    NoRecords { url: String, path: String, found: String },
    #[error("{url} does not come to an end: {reason}")]
    Endless { url: String, reason: String },
    #[error("{position} is no place in the pages of {url}")]
    Position { position: String, url: String },
}

impl Error {
    pub(super) fn setting(key: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Setting { key: key.into(), what: what.into() }
    }

    /// The client has tried again what passes; what comes here stays.
    pub(super) fn fault(self) -> Fault {
        match self {
            Error::Unreachable { .. } => Fault::Transient(self.into_box()),
            Error::Status { status: 429 | 500..=599, .. } => Fault::Transient(self.into_box()),
            Error::Denied { .. } => Fault::Denied(self.into_box()),
            Error::Setting { .. }
            | Error::Untrusted { .. }
            | Error::Status { .. }
            | Error::TooLarge { .. }
            | Error::Malformed { .. }
            | Error::NoRecords { .. }
            | Error::Endless { .. }
            | Error::Position { .. } => Fault::Fatal(self.into_box()),
        }
    }

    fn into_box(self) -> BoxError {
        Box::new(self)
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Setting { .. } => code::TM1491,
            Error::Unreachable { .. } => code::TM1492,
            Error::Untrusted { .. } => code::TM1526,
            Error::Denied { .. } => code::TM1493,
            Error::Status { status: 429 | 500..=599, .. } => code::TM1492,
            Error::Status { .. } => code::TM1494,
            Error::TooLarge { .. } | Error::Malformed { .. } | Error::NoRecords { .. } => code::TM1495,
            Error::Endless { .. } => code::TM1496,
            Error::Position { .. } => code::TM1497,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Setting { .. } => "correct it: docs/load.md has an example of each".to_owned(),
            Error::Unreachable { .. } => "look at the address and the network, and load again".to_owned(),
            Error::Untrusted { .. } => cloud::UNTRUSTED.to_owned(),
            Error::Denied { .. } => {
                "give a header, --header 'Authorization: Bearer …', or a connection of type http, and load again".to_owned()
            }
            Error::Status { status: 429, .. } => "ask more slowly, as with --page-rate 1/s".to_owned(),
            Error::Status { .. } => "try the address by hand: curl -i".to_owned(),
            Error::TooLarge { .. } => "ask for fewer records in a page".to_owned(),
            Error::Malformed { .. } => "the interface has to answer JSON; try the address by hand: curl -i".to_owned(),
            Error::NoRecords { .. } => "say where its list of records is: --records '$.data.items'".to_owned(),
            Error::Endless { .. } => {
                "look at --page, or say where to stop: --limit RECORDS or --pages COUNT".to_owned()
            }
            Error::Position { .. } => "the way to page has changed since: load from the start".to_owned(),
        }
    }
}

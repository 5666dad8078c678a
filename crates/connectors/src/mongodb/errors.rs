//! What MongoDB refuses, and which `Fault` that is. Driver errors are sorted here and nowhere else.

use std::sync::Arc;

use base::{BoxError, Code, Fault, Origin, Place, Problem, Spot, code};
use mongodb::error::{Error as DriverError, ErrorKind};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{key}={given} is no setting for MongoDB; expected {expected}")]
    Setting { key: String, given: String, expected: String },
    #[error("MongoDB needs the setting {key}")]
    Missing { key: &'static str, expected: &'static str },
    #[error("there is no setting {key} for MongoDB")]
    UnknownSetting { key: String, nearest: Option<String>, known: String },
    #[error("the uri of MongoDB cannot be read")]
    Uri { reason: String },
    #[error("MongoDB at {hosts} does not answer")]
    Unreachable { hosts: String, source: Cause },
    #[error("MongoDB at {hosts} refuses access")]
    Denied { hosts: String, source: Cause },
    #[error("the database {database} has no collection {collection}")]
    CollectionMissing { database: String, collection: String, nearest: Option<String> },
    #[error("the {part} cannot be asked of {collection}")]
    Query { collection: String, part: &'static str, source: BoxError },
    #[error("reading {collection} failed")]
    Read { collection: String, source: Cause },
    #[error("a document of {collection} cannot be understood: {reason}")]
    Malformed { collection: String, after: Option<Arc<str>>, reason: String },
    #[error("{position} is no position in {collection}")]
    Position { collection: String, position: String },
    #[error("a collection takes rows or JSON, not columns")]
    Form,
    #[error("writing to {collection} failed")]
    Write { collection: String, source: Cause },
    #[error("the collection {collection} cannot be {what}")]
    Change { collection: String, what: &'static str, source: Cause },
}

/// What the driver says, in one sentence.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub String);

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Setting { .. }
            | Error::Missing { .. }
            | Error::UnknownSetting { .. }
            | Error::Uri { .. }
            | Error::Form => code::TM0730,
            Error::Unreachable { .. } => code::TM0731,
            Error::Denied { .. } => code::TM0732,
            Error::CollectionMissing { .. } => code::TM0733,
            Error::Query { .. } => code::TM0734,
            Error::Read { .. } | Error::Malformed { .. } => code::TM0735,
            Error::Position { .. } => code::TM0736,
            Error::Write { .. } | Error::Change { .. } => code::TM0739,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::Malformed { collection, after: Some(id), .. } => {
                let place = Arc::new(Place::Collection { name: collection.as_str().into() });
                Some(Spot::Record(Origin { place, mark: None, id: Some(id.clone()), came_as: None }))
            }
            Error::Malformed { after: None, .. }
            | Error::Setting { .. }
            | Error::Missing { .. }
            | Error::UnknownSetting { .. }
            | Error::Uri { .. }
            | Error::Unreachable { .. }
            | Error::Denied { .. }
            | Error::CollectionMissing { .. }
            | Error::Query { .. }
            | Error::Read { .. }
            | Error::Position { .. }
            | Error::Form
            | Error::Write { .. }
            | Error::Change { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Setting { key, .. } => format!("correct {key}"),
            Error::Missing { key, expected } => format!("give {key}: {expected}"),
            Error::UnknownSetting { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Error::UnknownSetting { known, .. } => format!("the settings are {known}"),
            Error::Uri { reason } => reason.clone(),
            Error::Unreachable { hosts, .. } => {
                format!("start mongod, or correct the address {hosts} in the uri")
            }
            Error::Denied { .. } => {
                "correct user, password and authSource in the uri, or grant the right that the cause names"
                    .to_owned()
            }
            Error::CollectionMissing { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Error::CollectionMissing { database, .. } => {
                format!("correct the collection's name, or the database {database}")
            }
            Error::Query { part, .. } => format!("correct the {part}"),
            Error::Read { collection, .. } => {
                format!("look at the server's log, and at {collection} in mongosh")
            }
            Error::Malformed { after: Some(id), .. } => {
                format!("look in mongosh at the document that follows {id}")
            }
            Error::Malformed { .. } => "look in mongosh at the first document".to_owned(),
            Error::Position { .. } => {
                "begin anew: the checkpoint belongs to another source, or to another version".to_owned()
            }
            Error::Form => "take out the stage that makes columns".to_owned(),
            Error::Write { .. } | Error::Change { .. } => {
                "mend what the cause names, then start it again".to_owned()
            }
        }
    }
}

impl Error {
    pub(super) fn setting(key: &str, given: &str, expected: &str) -> Self {
        Error::Setting { key: key.to_owned(), given: given.to_owned(), expected: expected.to_owned() }
    }
}

/// Errors that no second try mends.
pub(super) fn fatal(error: Error) -> Fault {
    Fault::Fatal(Box::new(error))
}

/// What a driver's error is to the engine; `error` says what was being done.
pub(super) fn fault(hosts: &str, driver: &DriverError, error: impl FnOnce(Cause) -> Error) -> Fault {
    let (hosts, cause) = (hosts.to_owned(), Cause(because(driver)));
    match sort(driver) {
        Sorted::Denied => Fault::Denied(Box::new(Error::Denied { hosts, source: cause })),
        Sorted::Unreachable => Fault::Transient(Box::new(Error::Unreachable { hosts, source: cause })),
        Sorted::Transient => Fault::Transient(Box::new(error(cause))),
        Sorted::Fatal => Fault::Fatal(Box::new(error(cause))),
    }
}

/// The first call of all: a server that is not there is said at once.
pub(super) fn first_fault(hosts: &str, driver: &DriverError, error: impl FnOnce(Cause) -> Error) -> Fault {
    match fault(hosts, driver, error) {
        Fault::Transient(error) if matches!(sort(driver), Sorted::Unreachable) => Fault::Fatal(error),
        other => other,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sorted {
    Denied,
    Unreachable,
    Transient,
    Fatal,
}

pub(super) fn sort(driver: &DriverError) -> Sorted {
    match &*driver.kind {
        ErrorKind::Authentication { .. } => Sorted::Denied,
        ErrorKind::ServerSelection { message, .. } if message.contains("Authentication") => Sorted::Denied,
        ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => Sorted::Unreachable,
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => Sorted::Transient,
        ErrorKind::Command(command) => sort_code(command.code),
        _ if driver.contains_label("RetryableWriteError") => Sorted::Transient,
        _ => Sorted::Fatal,
    }
}

/// The server's codes, by the names it gives them.
pub(super) fn sort_code(code: i32) -> Sorted {
    match code {
        // Unauthorized, AuthenticationFailed, AuthenticationRestrictionUnmet, ReauthenticationRequired.
        13 | 18 | 31 | 391 => Sorted::Denied,
        // HostUnreachable, HostNotFound, MaxTimeMSExpired, WriteConcernFailed, ShutdownInProgress, NetworkTimeout,
        // WriteConflict, ReadConcernMajorityNotAvailableYet.
        6 | 7 | 50 | 64 | 89 | 91 | 112 | 134
        // PrimarySteppedDown, ExceededTimeLimit, SnapshotUnavailable, NetworkInterfaceExceededTimeLimit,
        // TemporarilyUnavailable, IngressRequestRateLimitExceeded, SocketException.
        | 189 | 202 | 246 | 262 | 365 | 462 | 9001
        // NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk,
        // NotPrimaryOrSecondary.
        | 10_107 | 11_600 | 11_602 | 13_435 | 13_436 => Sorted::Transient,
        _ if is_lost_cursor(code) => Sorted::Transient,
        _ => Sorted::Fatal,
    }
}

/// CursorNotFound, CursorKilled, QueryPlanKilled: a cursor that ended in the server goes on behind the last `_id`.
fn is_lost_cursor(code: i32) -> bool {
    matches!(code, 43 | 175 | 237)
}

/// The query itself is wrong, and which part of it: BadValue, FailedToParse, TypeMismatch, BadRegex and their like.
pub(super) fn wrong_part(driver: &DriverError) -> Option<&'static str> {
    match &*driver.kind {
        ErrorKind::Command(command) => match command.code {
            31_249 | 31_250 | 31_253 | 31_254 | 40_353 => Some("fields"),
            2 | 4 | 9 | 14 | 51_091 => Some("filter"),
            _ => None,
        },
        _ => None,
    }
}

/// What the driver says, without its labels and addresses of its own types.
pub(super) fn because(driver: &DriverError) -> String {
    match &*driver.kind {
        ErrorKind::Command(command) if command.code_name.is_empty() => {
            format!("{} (code {})", command.message, command.code)
        }
        ErrorKind::Command(command) => format!("{} ({})", command.message, command.code_name),
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::ServerSelection { message, .. } => selection(message),
        ErrorKind::InvalidArgument { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// The driver lists its whole topology; what went wrong with the first server is what a person needs.
fn selection(message: &str) -> String {
    let error = message.split("Error: ").nth(1).unwrap_or(message);
    let end = [", labels:", " }", " ]"].iter().filter_map(|end| error.find(end)).min().unwrap_or(error.len());
    error[..end].trim_start_matches("Kind: ").to_owned()
}

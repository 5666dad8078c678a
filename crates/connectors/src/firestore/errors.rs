//! What goes wrong with Firestore, and the one table that sorts its statuses into faults.

use base::{BoxError, Code, Fault, Problem, code, problem::root};
use tonic::{Code as Grpc, Status};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the Firestore connector cannot use {key}: {what}")]
    Setting { key: String, what: String },
    #[error("the Firestore connector has no setting {key}")]
    UnknownSetting { key: String, nearest: String },
    #[error("Firestore does not answer at {address}")]
    Unreachable { address: String, source: BoxError },
    #[error("Firestore at {address} cannot be trusted")]
    Untrusted { address: String, source: BoxError },
    #[error("Firestore refuses access to {database}")]
    Denied { database: String, source: BoxError },
    #[error("the Firestore database {database} does not exist")]
    NoDatabase { database: String, source: BoxError },
    #[error("Firestore cannot run the query on {collection}")]
    Query { collection: String, source: BoxError },
    #[error("Firestore failed at {address}")]
    Failed { address: String, is_passing: bool, source: BoxError },
    #[error("{position} is no place in the Firestore collection {collection}")]
    Position { position: String, collection: String },
}

/// A status in a line: `PERMISSION_DENIED: Missing or insufficient permissions.`
#[derive(Debug, thiserror::Error)]
#[error("{word}: {message}")]
pub(super) struct Refusal {
    word: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: Grpc, message: &str) -> Self {
        Self { word: word(code), message: message.to_owned() }
    }
}

impl Error {
    pub(super) fn setting(key: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Setting { key: key.into(), what: what.into() }
    }

    /// Sorts the status of a call about a collection.
    pub(super) fn of_status(status: &Status, address: &str, database: &str, collection: &str) -> Self {
        let source: BoxError = match std::error::Error::source(status) {
            Some(cause) => Refusal::new(status.code(), &root(cause).to_string()).into(),
            None => Refusal::new(status.code(), status.message()).into(),
        };
        let (address, database) = (address.to_owned(), database.to_owned());
        match status.code() {
            _ if cloud::http::is_untrusted(status) => Error::Untrusted { address, source },
            Grpc::Unavailable | Grpc::DeadlineExceeded | Grpc::Cancelled | Grpc::Unknown => {
                Error::Unreachable { address, source }
            }
            Grpc::PermissionDenied | Grpc::Unauthenticated => Error::Denied { database, source },
            Grpc::NotFound => Error::NoDatabase { database, source },
            Grpc::FailedPrecondition | Grpc::InvalidArgument | Grpc::OutOfRange | Grpc::Unimplemented => {
                Error::Query { collection: collection.to_owned(), source }
            }
            Grpc::ResourceExhausted | Grpc::Aborted | Grpc::Internal | Grpc::DataLoss => {
                Error::Failed { address, is_passing: true, source }
            }
            Grpc::Ok | Grpc::AlreadyExists => Error::Failed { address, is_passing: false, source },
        }
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Setting { .. } | Error::UnknownSetting { .. } => code::TM0760,
            Error::Unreachable { .. } => code::TM0761,
            Error::Untrusted { .. } => code::TM1526,
            Error::Denied { .. } => code::TM0762,
            Error::NoDatabase { .. } => code::TM0763,
            Error::Query { .. } => code::TM0764,
            Error::Failed { .. } => code::TM0767,
            Error::Position { .. } => code::TM0768,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Setting { key, .. } => format!("correct {key}"),
            Error::UnknownSetting { nearest, .. } => format!("did you mean {nearest}?"),
            Error::Unreachable { .. } => {
                "check the network, and the address where one is set (emulator, endpoint, FIRESTORE_EMULATOR_HOST)"
                    .to_owned()
            }
            Error::Untrusted { .. } => cloud::UNTRUSTED.to_owned(),
            Error::Denied { .. } => {
                "give the identity the role roles/datastore.user (a source: roles/datastore.viewer), or use another \
                one (credentials, impersonate)"
                    .to_owned()
            }
            Error::NoDatabase { .. } => {
                "create it (`gcloud firestore databases create`), or correct project and database".to_owned()
            }
            Error::Query { .. } => {
                "make the index that the reason above names, or ask for less: filter and cursor need one together"
                    .to_owned()
            }
            Error::Failed { .. } => {
                "it is tried again from the last checkpoint; if it stays, the reason above is Firestore's own"
                    .to_owned()
            }
            Error::Position { .. } => {
                "the checkpoint belongs to other settings: give the transfer another name, or start it anew"
                    .to_owned()
            }
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreachable { .. } | Error::Failed { is_passing: true, .. } => {
                Fault::Transient(error.into())
            }
            Error::Denied { .. } => Fault::Denied(error.into()),
            Error::Setting { .. }
            | Error::UnknownSetting { .. }
            | Error::Untrusted { .. }
            | Error::NoDatabase { .. }
            | Error::Query { .. }
            | Error::Failed { is_passing: false, .. }
            | Error::Position { .. } => Fault::Fatal(error.into()),
        }
    }
}

/// Worth sending again by itself.
pub(super) fn is_passing(code: Grpc) -> bool {
    matches!(
        code,
        Grpc::Unavailable
            | Grpc::ResourceExhausted
            | Grpc::Aborted
            | Grpc::Internal
            | Grpc::DeadlineExceeded
            | Grpc::Cancelled
            | Grpc::Unknown
    )
}

/// The code as Google's documents write it.
fn word(code: Grpc) -> &'static str {
    match code {
        Grpc::Ok => "OK",
        Grpc::Cancelled => "CANCELLED",
        Grpc::Unknown => "UNKNOWN",
        Grpc::InvalidArgument => "INVALID_ARGUMENT",
        Grpc::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Grpc::NotFound => "NOT_FOUND",
        Grpc::AlreadyExists => "ALREADY_EXISTS",
        Grpc::PermissionDenied => "PERMISSION_DENIED",
        Grpc::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Grpc::FailedPrecondition => "FAILED_PRECONDITION",
        Grpc::Aborted => "ABORTED",
        Grpc::OutOfRange => "OUT_OF_RANGE",
        Grpc::Unimplemented => "UNIMPLEMENTED",
        Grpc::Internal => "INTERNAL",
        Grpc::Unavailable => "UNAVAILABLE",
        Grpc::DataLoss => "DATA_LOSS",
        Grpc::Unauthenticated => "UNAUTHENTICATED",
    }
}

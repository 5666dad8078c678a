//! What goes wrong with DynamoDB, and the one table that sorts it into faults.

use base::{BoxError, Code, Fault, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{key} = {given:?} does not work: {expected}")]
    Setting { key: String, given: String, expected: String },
    #[error("there is no setting {key} for {what}")]
    UnknownSetting { key: String, what: &'static str, nearest: String },
    #[error("the filter {text:?} cannot be read at {rest:?}: {reason}")]
    Filter { text: String, rest: String, reason: String },
    #[error("the table {table} does not exist at {endpoint}")]
    NoTable { table: String, endpoint: String },
    #[error("the table {table} has no index {index}")]
    NoIndex { table: String, index: String, indexes: String },
    #[error("DynamoDB denies {operation} on {table}")]
    Denied { operation: &'static str, table: String, source: Refusal },
    #[error("the credentials for DynamoDB at {endpoint} have expired")]
    Expired { endpoint: String, source: Refusal },
    #[error("DynamoDB at {endpoint} does not answer")]
    Unreachable { endpoint: String, source: BoxError },
    #[error("DynamoDB has too little throughput for {operation} on {table}; {tries} tries were in vain")]
    Throttled { operation: &'static str, table: String, tries: u32, source: Refusal },
    #[error("DynamoDB refused {operation} on {table}")]
    Refused { operation: &'static str, table: String, source: Refusal },
    #[error("the answer to {operation} on {table} cannot be read")]
    Answer { operation: &'static str, table: String, source: BoxError },
    #[error("the table {table} cannot be created")]
    Create { table: String, source: BoxError },
    #[error("the table {table} is there with the key {found}, not {wanted}")]
    OtherKey { table: String, found: String, wanted: String },
    #[error("the position {position} is not one of {split}")]
    Position { split: String, position: String },
    #[error(transparent)]
    Identity(#[from] cloud::Error),
}

/// An answer of DynamoDB's that is an error: `ValidationException: The table …`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Refusal {
    pub kind: String,
    pub message: String,
    pub status: u16,
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Setting { .. }
            | Error::UnknownSetting { .. }
            | Error::Filter { .. }
            | Error::NoIndex { .. } => code::TM0740,
            Error::NoTable { .. } => code::TM0741,
            Error::Denied { .. } => code::TM0742,
            Error::Unreachable { .. } => code::TM0743,
            Error::Expired { .. } => code::TM0744,
            Error::Throttled { .. } => code::TM0745,
            Error::Refused { .. } | Error::Answer { .. } => code::TM0746,
            Error::Create { .. } | Error::OtherKey { .. } => code::TM0748,
            Error::Position { .. } => code::TM0749,
            Error::Identity(error) => error.code(),
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Setting { key, .. } => format!("correct {key}"),
            Error::UnknownSetting { nearest, .. } => format!("write {nearest}"),
            Error::Filter { .. } => {
                "write conditions such as: carrier = 'UA' AND delay >= 15 AND attribute_exists(gate)".to_owned()
            }
            Error::NoIndex { indexes, .. } if indexes.is_empty() => "leave index out: the table has none".to_owned(),
            Error::NoIndex { indexes, .. } => format!("name one of its indexes: {indexes}"),
            Error::NoTable { .. } => {
                "correct the table's name, the region or the endpoint; a target is made with create = true and key"
                    .to_owned()
            }
            Error::Denied { operation, .. } => format!(
                "check which identity is used (`aws sts get-caller-identity`) and that its policy allows dynamodb:{operation}"
            ),
            Error::Expired { .. } => {
                "sign in again with `tidemill auth login aws` (`aws sso login` does the same), or renew the keys that the environment holds"
                    .to_owned()
            }
            Error::Unreachable { .. } => {
                "start it (tidemill up), or correct the endpoint, the region, the network or the proxy settings"
                    .to_owned()
            }
            Error::Throttled { table, .. } => format!(
                "raise the capacity of {table} or switch it to on-demand, or read and write it with fewer splits"
            ),
            Error::Refused { .. } => "correct what the reason names".to_owned(),
            Error::Answer { .. } => "see that the endpoint is a DynamoDB".to_owned(),
            Error::Create { .. } => "correct key, key_types or billing as the reason says".to_owned(),
            Error::OtherKey { table, found, .. } => {
                format!("load with the key {found}, or delete {table} and let it be created anew")
            }
            Error::Position { .. } => {
                "keep the number of splits that the run began with, or begin anew without its state".to_owned()
            }
            Error::Identity(error) => error.help(),
        }
    }
}

impl Error {
    pub(super) fn setting(key: &str, given: &str, expected: &str) -> Self {
        Error::Setting { key: key.to_owned(), given: given.to_owned(), expected: expected.to_owned() }
    }

    /// An answer's place in the table: what it means for whoever asked.
    pub(super) fn of(refusal: Refusal, operation: &'static str, table: &str, endpoint: &str) -> Self {
        let (table, endpoint) = (table.to_owned(), endpoint.to_owned());
        match refusal.kind.as_str() {
            "ResourceNotFoundException" => Error::NoTable { table, endpoint },
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "OptInRequired" => Error::Denied { operation, table, source: refusal },
            "ExpiredTokenException" | "ExpiredToken" => Error::Expired { endpoint, source: refusal },
            _ if matches!(refusal.status, 401 | 403) => Error::Denied { operation, table, source: refusal },
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "LimitExceededException" => Error::Throttled { operation, table, tries: 0, source: refusal },
            _ => Error::Refused { operation, table, source: refusal },
        }
    }

    /// With the number of tries that it took to give up.
    pub(super) fn after(self, count: u32) -> Self {
        match self {
            Error::Throttled { operation, table, source, .. } => {
                Error::Throttled { operation, table, tries: count, source }
            }
            other => other,
        }
    }

    /// Whether DynamoDB's own word for it is this one.
    pub(super) fn is(&self, kind: &str) -> bool {
        matches!(self, Error::Refused { source, .. } if source.kind == kind)
    }

    /// Whether waiting may mend it.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Error::Throttled { .. } | Error::Unreachable { .. } => true,
            Error::Refused { source, .. } => source.status >= 500,
            Error::Identity(error) => error.is_passing(),
            Error::Setting { .. }
            | Error::UnknownSetting { .. }
            | Error::Filter { .. }
            | Error::NoTable { .. }
            | Error::NoIndex { .. }
            | Error::Denied { .. }
            | Error::Expired { .. }
            | Error::Answer { .. }
            | Error::Create { .. }
            | Error::OtherKey { .. }
            | Error::Position { .. } => false,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            Error::Identity(error) => error.into_fault(),
            Error::Denied { .. } | Error::Expired { .. } => Fault::Denied(Box::new(error)),
            passing if passing.is_passing() => Fault::Transient(Box::new(passing)),
            other => Fault::Fatal(Box::new(other)),
        }
    }
}

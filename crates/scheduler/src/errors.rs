//! What the scheduler refuses or cannot do: for the API Airflow's status and sentence, for people code and help.

use std::{io, net::SocketAddr, path::PathBuf};

use base::{Code, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the scheduler cannot listen on {listen}")]
    Bind { listen: SocketAddr, source: io::Error },
    #[error("the scheduler cannot use {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the scheduler's database {} cannot be used", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("the scheduler's database at {server} cannot be used")]
    Postgres { server: String, source: tokio_postgres::Error },
    #[error("the scheduler's database cannot be used: {reason}")]
    Store { reason: String },
    #[error("another scheduler works on the database at {server}")]
    DatabaseOwned { server: String },
    #[error(
        "the scheduler's database was written by a newer tidemill: its tables are version {version}, known is {known}"
    )]
    DatabaseNewer { version: usize, known: usize },
    /// What the API answers, in Airflow's words.
    #[error("{detail}")]
    Refused { status: u16, detail: String },
}

impl Error {
    pub fn not_found(detail: impl Into<String>) -> Self {
        Error::Refused { status: 404, detail: detail.into() }
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Error::Refused { status: 409, detail: detail.into() }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Error::Refused { status: 400, detail: detail.into() }
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Error::Refused { status: 422, detail: detail.into() }
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Error::Refused { status, .. } => *status,
            Error::Bind { .. }
            | Error::Folder { .. }
            | Error::Sqlite { .. }
            | Error::Postgres { .. }
            | Error::Store { .. }
            | Error::DatabaseOwned { .. }
            | Error::DatabaseNewer { .. } => 500,
        }
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Bind { .. } => code::TM1320,
            Error::Folder { .. } => code::TM1321,
            Error::Sqlite { .. } | Error::Store { .. } => code::TM1322,
            Error::Postgres { .. } => code::TM1323,
            Error::DatabaseOwned { .. } => code::TM1324,
            Error::DatabaseNewer { .. } => code::TM1325,
            Error::Refused { .. } => code::TM1326,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Bind { .. } => "free the port, or set scheduler.listen",
            Error::Folder { .. } => "let the folder be one that you may write to",
            Error::Sqlite { .. } | Error::Store { .. } => {
                "look at the disk; to begin anew, stop and remove .tidemill/scheduler"
            }
            Error::Postgres { .. } => "look at the server, or set scheduler.database_url; empty is SQLite",
            Error::DatabaseOwned { .. } => "stop the other scheduler, or give this one a database of its own",
            Error::DatabaseNewer { .. } => "run the tidemill that wrote it, or a newer one",
            Error::Refused { .. } => "see what there is: tidemill dag list",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests;

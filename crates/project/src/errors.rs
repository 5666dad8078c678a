//! What can be wrong with a project folder: files that cannot be read, settings that do not exist or do not fit, a
//! folder that another environment holds.

use std::{io, path::PathBuf, sync::Arc};

use base::{Code, Problem, Spot, code};

use crate::origin::{Origin, TextFile};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is {bytes} bytes long; at most {bytes_max} are read", path.display())]
    TooLarge { path: PathBuf, bytes: u64, bytes_max: u64 },
    #[error("{} is not valid YAML: {reason}", file.path)]
    Yaml { file: TextFile, start: usize, reason: String },
    #[error("there is no setting `{key}`")]
    UnknownKey { key: String, origin: Box<Origin>, nearest: Option<String> },
    #[error("`{shown}` is no value for {key}: expected {expected}")]
    Value { key: String, shown: String, expected: String, origin: Box<Origin> },
    #[error("`{flag}` does not set anything: expected KEY=VALUE")]
    Flag { flag: String },
    #[error(".env:{line} is not NAME=VALUE")]
    DotEnv { file: TextFile, start: usize, line: usize },
    #[error("{} is no folder", path.display())]
    NoFolder { path: PathBuf },
    #[error("cannot write {}", path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("the environment of {} already runs: process {holder}", root.display())]
    Held { root: PathBuf, holder: String },
    #[error("{} is not valid JSON: {reason}", file.path)]
    Json { file: TextFile, start: usize, reason: String },
    #[error("{} is not a connector: {reason}", file.path)]
    Connector { file: TextFile, start: usize, reason: String },
    #[error("the {kind} of the project cannot be read: {reason}")]
    GivenFile { kind: &'static str, origin: Box<Origin>, reason: String },
    #[error("connection {id} cannot be used: {reason}")]
    Connection { id: String, origin: Box<Origin>, reason: String },
    #[error("there is no connection {id}")]
    NoConnection { id: String, nearest: Option<String> },
    #[error("{first} and {second} both have {kind}")]
    TwoFiles { kind: &'static str, first: Arc<str>, second: Arc<str> },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Read { .. } | Error::TooLarge { .. } => code::TM0201,
            Error::Yaml { .. } => code::TM0202,
            Error::UnknownKey { .. } => code::TM0203,
            Error::Value { .. } => code::TM0204,
            Error::Flag { .. } => code::TM0205,
            Error::DotEnv { .. } => code::TM0206,
            Error::NoFolder { .. } => code::TM0207,
            Error::State { .. } => code::TM0208,
            Error::Held { .. } => code::TM0209,
            Error::Json { .. } => code::TM0210,
            Error::Connector { .. } => code::TM0211,
            Error::GivenFile { .. } => code::TM0220,
            Error::Connection { .. } => code::TM0221,
            Error::NoConnection { .. } => code::TM0222,
            Error::TwoFiles { .. } => code::TM0223,
        }
    }

    fn spot(&self) -> Option<Spot> {
        let text = |file: &TextFile, start: usize, label: &str| {
            Some(Spot::Text {
                path: file.path.clone(),
                text: file.text.clone(),
                start,
                length: file.text[start.min(file.text.len())..].lines().next().map_or(0, str::len).min(1),
                label: label.to_owned(),
            })
        };
        match self {
            Error::Read { .. }
            | Error::TooLarge { .. }
            | Error::Flag { .. }
            | Error::NoFolder { .. }
            | Error::State { .. }
            | Error::Held { .. }
            | Error::NoConnection { .. }
            | Error::TwoFiles { .. } => None,
            // The line itself may hold a password.
            Error::GivenFile { origin, .. } | Error::Connection { origin, .. } => origin.line(),
            Error::Yaml { file, start, reason }
            | Error::Json { file, start, reason }
            | Error::Connector { file, start, reason } => text(file, *start, reason),
            Error::DotEnv { file, start, .. } => text(file, *start, "expected NAME=VALUE"),
            Error::UnknownKey { origin, nearest, .. } => {
                origin.spot(nearest.as_ref().map_or_else(String::new, |key| format!("perhaps {key}")))
            }
            Error::Value { origin, expected, .. } => origin.spot(format!("expected {expected}")),
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Read { path, .. } => format!("make {} a file that you may read", path.display()),
            Error::TooLarge { path, .. } => {
                format!("check that {} is the right file; no settings file grows that large", path.display())
            }
            Error::Yaml { .. } => "mend the file at this place; `tidemill config template` prints one to start from".to_owned(),
            Error::UnknownKey { nearest: Some(nearest), origin, .. } => {
                format!("write `{nearest}` instead ({origin}); `tidemill config show` lists all settings")
            }
            Error::UnknownKey { nearest: None, origin, .. } => {
                format!("remove it ({origin}); `tidemill config show` lists all settings")
            }
            Error::Value { key, origin, .. } => format!("set {key} to such a value ({origin})"),
            Error::Flag { .. } => "write for example: --set broker.listen=127.0.0.1:9192".to_owned(),
            Error::DotEnv { .. } => "write TIDEMILL_BROKER_LISTEN=127.0.0.1:9192, or a # before a comment".to_owned(),
            Error::NoFolder { path } => format!("make one: tidemill init {}", path.display()),
            Error::State { path, .. } => format!("make {} writable, with room on its disk", path.display()),
            Error::Held { .. } => "use it as it is (tidemill status), or stop it first: tidemill down".to_owned(),
            Error::Json { .. } => "mend the file at this place".to_owned(),
            Error::GivenFile { kind, .. } => {
                format!("mend the file at this place; it takes what `airflow {kind} import` takes")
            }
            Error::Connection { origin, .. } => {
                format!("mend it ({origin}); as a URI it is TYPE://LOGIN:PASSWORD@HOST:PORT/SCHEMA?EXTRA=…, each part percent-encoded")
            }
            Error::NoConnection { nearest: Some(nearest), .. } => {
                format!("perhaps {nearest} is meant; `tidemill connections list` lists all")
            }
            Error::NoConnection { nearest: None, id } => {
                format!("add it to connections.yaml, or set AIRFLOW_CONN_{}", id.to_uppercase())
            }
            Error::TwoFiles { second, .. } => format!("keep one of them: move what {second} has into the other"),
            Error::Connector { .. } => {
                "give it the form {\"name\": \"…\", \"config\": {\"connector.class\": \"…\", …}}, as Kafka Connect takes it".to_owned()
            }
        }
    }
}

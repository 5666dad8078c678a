//! What can be wrong with a DAG file, each with the file, line and column it is at.

use std::{io, path::PathBuf};

use base::{Code, Problem, Spot, code};

use super::yaml::Place;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is {bytes} bytes long; at most {bytes_max} are read", path.display())]
    TooLarge { path: PathBuf, bytes: u64, bytes_max: u64 },
    #[error("{} is not valid YAML: {reason}", place.file.path)]
    Yaml { place: Place, reason: String },
    #[error("{what} has no key `{key}`")]
    UnknownKey { place: Place, what: String, key: String, nearest: Option<String> },
    #[error("{key} of {what} cannot be {found}")]
    Value { place: Place, what: String, key: String, found: String, expected: String },
    #[error("{what} has no `{key}`{why}")]
    Missing { place: Place, what: String, key: String, why: &'static str },
    #[error("{class} does not run here")]
    Operator { place: Place, class: String, nearest: Option<String>, runs: String },
    #[error("{thing} of {what} does not run here")]
    Unsupported { place: Place, what: String, thing: String, instead: String },
    #[error("{what} depends on `{name}`, which is not there")]
    Dependency { place: Place, what: String, name: String, nearest: Option<String> },
    #[error("these wait for each other: {}", names.join(" -> "))]
    Cycle { place: Place, names: Vec<String> },
    #[error("`{name}` cannot be the id of a {what}")]
    Id { place: Place, what: &'static str, name: String, length_max: usize },
    #[error("the {what} `{name}` stands here a second time")]
    Duplicate { place: Place, what: &'static str, name: String },
    #[error("`{schedule}` is no schedule: {reason}")]
    Schedule { place: Place, schedule: String, reason: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Read { .. } | Error::TooLarge { .. } => code::TM1301,
            Error::Yaml { .. } => code::TM1302,
            Error::UnknownKey { .. } => code::TM1303,
            Error::Value { .. } => code::TM1304,
            Error::Missing { .. } => code::TM1305,
            Error::Operator { .. } => code::TM1306,
            Error::Unsupported { .. } => code::TM1307,
            Error::Dependency { .. } => code::TM1308,
            Error::Cycle { .. } => code::TM1309,
            Error::Id { .. } => code::TM1310,
            Error::Duplicate { .. } => code::TM1311,
            Error::Schedule { .. } => code::TM1312,
        }
    }

    fn spot(&self) -> Option<Spot> {
        let perhaps = |nearest: &Option<String>| match nearest {
            Some(nearest) => format!("perhaps {nearest}"),
            None => String::new(),
        };
        match self {
            Error::Read { .. } | Error::TooLarge { .. } => None,
            Error::Yaml { place, reason } | Error::Schedule { place, reason, .. } => {
                Some(place.spot(reason.as_str()))
            }
            Error::UnknownKey { place, nearest, .. }
            | Error::Operator { place, nearest, .. }
            | Error::Dependency { place, nearest, .. } => Some(place.spot(perhaps(nearest))),
            Error::Value { place, found, .. } => Some(place.spot(found.as_str())),
            Error::Missing { place, .. }
            | Error::Unsupported { place, .. }
            | Error::Cycle { place, .. }
            | Error::Id { place, .. }
            | Error::Duplicate { place, .. } => Some(place.spot("")),
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Read { path, .. } => format!("make {} a file that you may read", path.display()),
            Error::TooLarge { path, .. } => format!("split {} into several files", path.display()),
            Error::Yaml { .. } => "mend the file at this place".to_owned(),
            Error::UnknownKey { nearest: Some(nearest), .. } => format!("write `{nearest}` instead"),
            Error::UnknownKey { nearest: None, .. } => "remove it; docs/dags.md lists the keys".to_owned(),
            Error::Value { key, expected, .. } => format!("give {key} {expected}"),
            Error::Missing { key, .. } => format!("add `{key}`"),
            Error::Operator { nearest: Some(nearest), .. } => format!("write {nearest}"),
            Error::Operator { nearest: None, runs, .. } => {
                format!("run the program by a BashOperator, or use one of: {runs}")
            }
            Error::Unsupported { instead, .. } => instead.clone(),
            Error::Dependency { nearest: Some(nearest), .. } => format!("write `{nearest}` instead"),
            Error::Dependency { nearest: None, .. } => {
                "name a task or a task group of the same DAG".to_owned()
            }
            Error::Cycle { .. } => "remove one of these dependencies".to_owned(),
            Error::Id { length_max, .. } => format!(
                "use letters, digits, - and _ (in DAGs and tasks also .), at most {length_max} of them"
            ),
            Error::Duplicate { .. } => "give it another name, or remove one of the two".to_owned(),
            Error::Schedule { .. } => {
                "write five fields (`0 6 * * *`), @daily, @once, none, or a datetime.timedelta".to_owned()
            }
        }
    }
}

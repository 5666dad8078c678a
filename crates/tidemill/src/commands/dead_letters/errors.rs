//! What keeps dead letters from being read or sent again.

use std::{error::Error as StdError, fmt, io, path::PathBuf};

use base::{Code, Problem, Spot, code};

#[derive(Debug)]
pub(super) enum Error {
    Nothing { name: String, known: Vec<String> },
    Folder { path: PathBuf, source: io::Error },
    Line { path: PathBuf, line: u64, reason: String },
    NoLoads { name: String },
    LoadGone { name: String, load: String },
    Unfinished { name: String, load: String },
    StillRefused { name: String, count: u64, folder: PathBuf },
    Parts { name: String, count: u64 },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Nothing { name, .. } => write!(f, "there are no dead letters of {name}"),
            Error::Folder { path, .. } => write!(f, "{} cannot be used", path.display()),
            Error::Line { reason, .. } => write!(f, "this is no dead letter: {reason}"),
            Error::NoLoads { name } => {
                write!(f, "the dead letters of {name} are of no load whose arguments are known")
            }
            Error::LoadGone { name, load } => {
                write!(f, "the arguments of {load}, which refused records for {name}, are gone")
            }
            Error::Unfinished { name, load } => {
                write!(f, "{load}, which refused records for {name}, was cut off before its files were there")
            }
            Error::StillRefused { name, count, .. } => match count {
                1 => write!(f, "1 record is still refused by {name}"),
                count => write!(f, "{} records are still refused by {name}", base::units::count_text(*count)),
            },
            Error::Parts { name, count } => match count {
                1 => write!(f, "1 dead letter of {name} is a part of a record whose rest is there"),
                count => {
                    let count = base::units::count_text(*count);
                    write!(f, "{count} dead letters of {name} are parts of records whose rest is there")
                }
            },
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Error::Folder { source, .. } => Some(source),
            Error::Nothing { .. }
            | Error::Line { .. }
            | Error::NoLoads { .. }
            | Error::LoadGone { .. }
            | Error::Unfinished { .. }
            | Error::Parts { .. }
            | Error::StillRefused { .. } => None,
        }
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Nothing { .. } => code::TM1479,
            Error::Folder { .. } => code::TM1472,
            Error::Line { .. }
            | Error::NoLoads { .. }
            | Error::LoadGone { .. }
            | Error::Unfinished { .. }
            | Error::StillRefused { .. } => code::TM1480,
            Error::Parts { .. } => code::TM1485,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::Line { path, line, .. } => {
                Some(Spot::Line { path: path.to_string_lossy().into(), line: *line, column: 1 })
            }
            Error::Nothing { .. }
            | Error::Folder { .. }
            | Error::NoLoads { .. }
            | Error::LoadGone { .. }
            | Error::Unfinished { .. }
            | Error::Parts { .. }
            | Error::StillRefused { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Nothing { known, .. } if known.is_empty() => "there are none at all".to_owned(),
            Error::Nothing { known, .. } => format!("there are some of: {}", known.join(", ")),
            Error::Folder { .. } => "give the folder and its files to the user who runs tidemill".to_owned(),
            Error::Line { .. } => "mend the line: one JSON object, with the record as its value".to_owned(),
            Error::NoLoads { name } => {
                format!("mend the cause and run what made them again, then: tidemill dead-letters rm {name}")
            }
            Error::LoadGone { name, .. } => {
                format!(
                    "take the values out by hand, then load those: tidemill dead-letters show {name} --output json"
                )
            }
            Error::Unfinished { load, .. } => {
                format!("load all of it, which makes them anew: tidemill load --resume {load}")
            }
            Error::Parts { name, .. } => {
                let pipeline = name.split('/').next().unwrap_or_default();
                format!(
                    "let the contract take them (schema_contract: evolve) and load all again: tidemill run {pipeline} --full-refresh; or: \
                     tidemill dead-letters rm {name}"
                )
            }
            Error::StillRefused { name, folder, .. } => {
                format!("mend their values in {}, then: tidemill dead-letters retry {name}", folder.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_where_why_and_what_to_do() {
        let name = || "flights".to_owned();
        let folder = || PathBuf::from(".tidemill/dead-letters/flights");
        let errors = [
            Error::Nothing { name: name(), known: vec!["planes".to_owned(), "lake/planes".to_owned()] },
            Error::Nothing { name: name(), known: Vec::new() },
            Error::Folder { path: folder(), source: io::ErrorKind::PermissionDenied.into() },
            Error::Line {
                path: folder().join("flights.csv+start.jsonl"),
                line: 2,
                reason: "expected `,` or `}`".to_owned(),
            },
            Error::NoLoads { name: "lake/planes".to_owned() },
            Error::LoadGone { name: name(), load: "flights-20261128T165512-3f2a".to_owned() },
            Error::Unfinished { name: name(), load: "flights.csv-20261128T165512-3f2a".to_owned() },
            Error::StillRefused { name: name(), count: 1, folder: folder() },
            Error::Parts { name: "lake/1795840419.731/planes".to_owned(), count: 1 },
            Error::Parts { name: "lake".to_owned(), count: 1_204 },
            Error::StillRefused { name: name(), count: 1_204, folder: folder() },
        ];
        let texts: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}

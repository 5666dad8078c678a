//! What ends a load, with how many records were sent before it.

use std::{error::Error as StdError, fmt, io, path::PathBuf};

use base::{BoxError, Code, Fault, Problem, Reject, Spot, code};

use crate::causes::deepest;

#[derive(Debug)]
pub(super) enum LoadError {
    Target { target: String },
    NotAlone { other: String },
    Property { property: String },
    NoContract { name: String, folder: PathBuf },
    Contract { path: PathBuf, source: io::Error },
    Plan { source: BoxError },
    Registry { url: String, source: BoxError },
    RegistryRefuses { subject: String, reason: String },
    NotForTopics { flag: &'static str },
    NotForStores { flag: &'static str },
    Connection { target: String, reason: String },
    Keyless { target: String },
    Store { source: BoxError },
    Rejected { reject: Box<Reject>, sent_count: u64, target: String, resume: Option<String> },
    Failed { source: BoxError, sent_count: u64, target: String, resume: Option<String> },
    Interrupted { sent_count: u64, target: String, is_repeatable: bool, resume: Option<String> },
}

impl LoadError {
    /// A record that was refused keeps its own words; all else is the error below the engine's.
    pub(super) fn of(fault: Fault, sent_count: u64, target: &str) -> Box<Self> {
        let (source, target) = (fault.into_inner(), target.to_owned());
        match source.downcast::<engine::Error>() {
            Ok(error) => match *error {
                engine::Error::Rejected { reject, .. } => {
                    Box::new(LoadError::Rejected { reject, sent_count, target, resume: None })
                }
                other => {
                    Box::new(LoadError::Failed { source: Box::new(other), sent_count, target, resume: None })
                }
            },
            Err(source) => Box::new(LoadError::Failed { source, sent_count, target, resume: None }),
        }
    }

    /// The id by which the load can go on.
    pub(super) fn set_resume(&mut self, id: Option<String>) {
        if let LoadError::Rejected { resume, .. }
        | LoadError::Failed { resume, .. }
        | LoadError::Interrupted { resume, .. } = self
        {
            *resume = id;
        }
    }
}

impl From<Box<LoadError>> for Box<dyn Problem> {
    fn from(error: Box<LoadError>) -> Self {
        error
    }
}

/// `file:line:column: what` of a refused record, taken apart.
fn place_in(reject: &Reject) -> Option<(Spot, &str)> {
    let base::Place::File { path } = &*reject.origin.place else { return None };
    let rest = reject.reason.strip_prefix(&format!("{path}:"))?;
    let (line, rest) = rest.split_once(':')?;
    let (column, what) = rest.split_once(": ")?;
    Some((Spot::Line { path: path.clone(), line: line.parse().ok()?, column: column.parse().ok()? }, what))
}

fn records(count: u64) -> String {
    let were = if count == 1 { "was" } else { "were" };
    format!("{} {were}", base::units::counted(count, "record"))
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Target { target } => write!(f, "{target} is no target"),
            LoadError::NotAlone { other } => {
                write!(f, "a generator is loaded alone, and {other} stands beside it")
            }
            LoadError::Property { property } => write!(f, "{property} is no KEY=VALUE"),
            LoadError::NoContract { name, folder } => {
                write!(f, "there is no contract {name} in {}", folder.display())
            }
            LoadError::Contract { path, .. } => write!(f, "{} cannot be read", path.display()),
            LoadError::Plan { source } => write!(f, "{source}"),
            LoadError::NotForTopics { flag } => write!(f, "a topic takes no {flag}"),
            LoadError::NotForStores { flag } => write!(f, "only a topic takes {flag}"),
            LoadError::Connection { target, reason } => write!(f, "{target} cannot be reached so: {reason}"),
            LoadError::Keyless { target } => write!(f, "{target} is made with a key, and --key names none"),
            LoadError::Store { source } => match deepest(&**source) {
                Some(problem) => write!(f, "{problem}"),
                None => write!(f, "{source}"),
            },
            LoadError::Registry { url, .. } => write!(f, "the schema registry at {url} does not answer"),
            LoadError::RegistryRefuses { subject, .. } => write!(f, "the schema registry refuses {subject}"),
            LoadError::Rejected { reject, sent_count, target, .. } => {
                let what = place_in(reject).map_or(reject.reason.as_str(), |(_, what)| what);
                write!(f, "{what}; {} sent to {target} before it", records(*sent_count))
            }
            LoadError::Failed { source, sent_count, target, .. } => {
                match deepest(&**source) {
                    Some(problem) => write!(f, "{problem}")?,
                    None => write!(f, "{source}")?,
                }
                if *sent_count > 0 {
                    write!(f, "; {} sent to {target} for certain", records(*sent_count))?;
                }
                Ok(())
            }
            LoadError::Interrupted { sent_count, target, .. } => {
                write!(f, "interrupted; {} sent to {target} for certain", records(*sent_count))
            }
        }
    }
}

impl StdError for LoadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            LoadError::Contract { source, .. } => Some(source),
            LoadError::Registry { source, .. } => Some(&**source),
            LoadError::Plan { source } => source.source(),
            LoadError::Store { source } | LoadError::Failed { source, .. } => match deepest(&**source) {
                Some(problem) => problem.source(),
                None => source.source(),
            },
            LoadError::RegistryRefuses { .. }
            | LoadError::NotForTopics { .. }
            | LoadError::NotForStores { .. }
            | LoadError::Connection { .. }
            | LoadError::Keyless { .. }
            | LoadError::Target { .. }
            | LoadError::NotAlone { .. }
            | LoadError::Property { .. }
            | LoadError::NoContract { .. }
            | LoadError::Rejected { .. }
            | LoadError::Interrupted { .. } => None,
        }
    }
}

impl Problem for LoadError {
    fn code(&self) -> Code {
        match self {
            LoadError::Target { .. } | LoadError::NotAlone { .. } | LoadError::Property { .. } => {
                code::TM1020
            }
            LoadError::NoContract { .. } | LoadError::Contract { .. } => code::TM1021,
            LoadError::NotForTopics { .. } | LoadError::NotForStores { .. } => code::TM1025,
            LoadError::Connection { .. } => code::TM1026,
            LoadError::Keyless { .. } => code::TM1027,
            LoadError::Plan { source } => deepest(&**source).map_or(code::TM1020, |problem| problem.code()),
            LoadError::Registry { .. } => code::TM1022,
            LoadError::RegistryRefuses { .. } => code::TM1023,
            LoadError::Rejected { reject, .. } => reject.code,
            LoadError::Store { source } | LoadError::Failed { source, .. } => {
                deepest(&**source).map_or(code::TM1024, |problem| problem.code())
            }
            LoadError::Interrupted { .. } => code::TM1014,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            LoadError::Rejected { reject, .. } => {
                Some(place_in(reject).map_or_else(|| Spot::Record(reject.origin.clone()), |(spot, _)| spot))
            }
            LoadError::Store { source } | LoadError::Failed { source, .. } | LoadError::Plan { source } => {
                deepest(&**source).and_then(|problem| problem.spot())
            }
            LoadError::Target { .. }
            | LoadError::NotForTopics { .. }
            | LoadError::NotForStores { .. }
            | LoadError::Connection { .. }
            | LoadError::Keyless { .. }
            | LoadError::NotAlone { .. }
            | LoadError::Property { .. }
            | LoadError::NoContract { .. }
            | LoadError::Contract { .. }
            | LoadError::Registry { .. }
            | LoadError::RegistryRefuses { .. }
            | LoadError::Interrupted { .. } => None,
        }
    }

    fn help(&self) -> String {
        match self {
            LoadError::Target { .. } => {
                "write it as kafka://local/TOPIC, dynamodb://local/TABLE, mongodb://HOST/DATABASE/COLLECTION or firestore://PROJECT/COLLECTION".to_owned()
            }
            LoadError::NotForTopics { .. } | LoadError::NotForStores { .. } => "leave it out".to_owned(),
            LoadError::Connection { .. } => {
                "name the host, or a connection of that type: tidemill connections list".to_owned()
            }
            LoadError::Keyless { .. } => "name the fields: --key FIELD".to_owned(),
            LoadError::NotAlone { .. } => "load each in a command of its own".to_owned(),
            LoadError::Property { .. } => "write it as --property linger.ms=20".to_owned(),
            LoadError::NoContract { name, .. } => {
                format!("name a file, or make one: tidemill contract infer FILE -o contracts/{name}.json")
            }
            LoadError::Contract { .. } => "make the file readable for this user".to_owned(),
            LoadError::Plan { source } => deepest(&**source)
                .map_or_else(|| "correct --key, --serializer or --contract".to_owned(), |problem| problem.help()),
            LoadError::Registry { .. } => {
                "start it (tidemill up), name another one with --registry, or write without it: --serializer json"
                    .to_owned()
            }
            LoadError::RegistryRefuses { reason, subject } => {
                format!("it says: {reason}; compare: tidemill schema diff {subject}")
            }
            LoadError::Rejected { resume: Some(id), .. } => format!(
                "mend the record and go on: tidemill load --resume {id} --accept-changes; or let bad ones go to a file: --on-error dead-letter"
            ),
            LoadError::Rejected { resume: None, .. } => {
                "mend the record, or let bad ones go to a file: --on-error dead-letter".to_owned()
            }
            LoadError::Failed { source, resume: Some(id), .. } => {
                let help =
                    deepest(&**source).map_or_else(|| "mend the cause".to_owned(), |problem| problem.help());
                format!("{help}; then go on: tidemill load --resume {id}")
            }
            LoadError::Store { source } | LoadError::Failed { source, resume: None, .. } => deepest(&**source)
                .map_or_else(|| "mend the cause and load again".to_owned(), |problem| problem.help()),
            LoadError::Interrupted { resume: Some(id), .. } => {
                format!("go on where it ended: tidemill load --resume {id}")
            }
            LoadError::Interrupted { is_repeatable: true, .. } => {
                "load again: what is there already stays as it is".to_owned()
            }
            LoadError::Interrupted { sent_count: 0, .. } => "load again when you like".to_owned(),
            LoadError::Interrupted { is_repeatable: false, .. } => {
                "a second load sends all records again: begin with an empty topic".to_owned()
            }
        }
    }
}

//! The shared files of AWS's tools, `config` and `credentials`, with the line that each value stands in.
//!
//! They are read as the AWS CLI reads them: Python's configparser without comments behind values. It decides nothing:
//! which of the values counts is said in `chain.rs`.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use base::{Secret, Spot};

use crate::Environment;

/// A file larger than this is none of these; real ones have some KiB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A value and where it was given. Any may be a key, so none is printed by accident.
#[derive(Debug, Clone)]
pub struct Given {
    pub value: Secret,
    pub from: Place,
}

/// Where something was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Variable(&'static str),
    Flag(&'static str),
    Line { path: Arc<str>, line: u32 },
}

impl Given {
    pub fn text(&self) -> &str {
        self.value.reveal()
    }
}

impl Place {
    /// For an error: the file and the line, where there are any.
    pub fn spot(&self) -> Option<Spot> {
        match self {
            Place::Line { path, line } => {
                Some(Spot::Line { path: path.clone(), line: u64::from(*line), column: 1 })
            }
            Place::Variable(_) | Place::Flag(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Variable(name) | Place::Flag(name) => f.write_str(name),
            Place::Line { path, line } => write!(f, "{path}:{line}"),
        }
    }
}

/// One section: its keys, and where it begins.
#[derive(Debug, Clone, Default)]
pub struct Section {
    pub values: BTreeMap<String, Given>,
    pub line: u32,
}

/// Both files, each on its own, since the chain asks some sources of one and some of both.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub config_path: PathBuf,
    pub credentials_path: PathBuf,
    pub config: BTreeMap<String, Section>,
    pub credentials: BTreeMap<String, Section>,
    pub sso_sessions: BTreeMap<String, Section>,
}

/// When the files were written last: what changed since has to be read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp([Option<SystemTime>; 2]);

impl Files {
    /// Reads what is there; a file that is absent or unreadable holds nothing, as for the CLI.
    pub fn read(environment: &Environment) -> Self {
        let (config_path, credentials_path) = paths(environment);
        let mut files = Self { config_path, credentials_path, ..Self::default() };
        for (name, section) in parse(&files.config_path) {
            let words: Vec<&str> = name.splitn(2, char::is_whitespace).map(str::trim).collect();
            match words.as_slice() {
                ["default"] => files.config.entry("default".to_owned()).or_default().merge(section),
                ["profile", name] => files.config.entry(unquoted(name)).or_default().merge(section),
                ["sso-session", name] => files.sso_sessions.entry(unquoted(name)).or_default().merge(section),
                _ => {}
            }
        }
        for (name, section) in parse(&files.credentials_path) {
            files.credentials.entry(name).or_default().merge(section);
        }
        files
    }

    pub fn has_profile(&self, name: &str) -> bool {
        self.config.contains_key(name) || self.credentials.contains_key(name)
    }

    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.config.keys().chain(self.credentials.keys()).map(String::as_str)
    }

    /// A profile's value; the credentials file wins over the config file.
    pub fn get(&self, profile: &str, key: &str) -> Option<&Given> {
        let of = |file: &'_ BTreeMap<String, Section>| {
            file.get(profile).and_then(|it| it.values.get(key)).is_some()
        };
        let file = if of(&self.credentials) { &self.credentials } else { &self.config };
        file.get(profile)?.values.get(key)
    }
}

impl Stamp {
    pub fn of(environment: &Environment) -> Self {
        let of = |path: PathBuf| fs::metadata(path).and_then(|it| it.modified()).ok();
        let (config, credentials) = paths(environment);
        Self([of(config), of(credentials)])
    }
}

/// Where the two files are: `config` and `credentials`.
fn paths(environment: &Environment) -> (PathBuf, PathBuf) {
    let credentials = environment.path("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    (environment.path("AWS_CONFIG_FILE", ".aws/config"), credentials)
}

impl Section {
    fn merge(&mut self, other: Section) {
        if self.line == 0 {
            self.line = other.line;
        }
        self.values.extend(other.values);
    }
}

fn unquoted(name: &str) -> String {
    let name = name.trim();
    let inner = name.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.or_else(|| name.strip_prefix('\'').and_then(|it| it.strip_suffix('\''))).unwrap_or(name).to_owned()
}

/// The sections in the order of the file.
fn parse(path: &Path) -> Vec<(String, Section)> {
    if fs::metadata(path).map_or(true, |it| it.len() > FILE_BYTES_MAX) {
        return Vec::new();
    }
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let text = Secret::new(text);
    let shown: Arc<str> = path.display().to_string().into();
    let mut sections: Vec<(String, Section)> = Vec::new();
    for (line, text) in (1..).zip(text.reveal().lines()) {
        // What is indented goes on with the value above it (`s3 =` and its settings): none of it is a credential.
        if text.starts_with([' ', '\t', '#', ';']) || text.trim().is_empty() {
            continue;
        }
        if let Some(name) = text.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or(name).trim().to_owned();
            sections.push((name, Section { line, ..Section::default() }));
        } else if let (Some((_, section)), Some((key, value))) =
            (sections.last_mut(), text.split_once(['=', ':']))
        {
            let from = Place::Line { path: shown.clone(), line };
            let given = Given { value: Secret::new(value.trim()), from };
            section.values.insert(key.trim().to_ascii_lowercase(), given);
        }
    }
    sections
}

//! What Airflow reads connections and variables from: `AIRFLOW_CONN_*` and `AIRFLOW_VAR_*` of the environment and of `.env`,
//! and one file of each in Airflow's import formats. Nothing is made of the values here.

use base::Secret;

use crate::{
    Error, Project,
    origin::{Origin, TextFile},
    tree::{self, Broken, Data, Node},
};

/// What Airflow names in its environment and its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Connections,
    Variables,
}

/// A variable of the environment, or a line of `.env`, that names a connection or a variable.
#[derive(Debug, Clone)]
pub(crate) struct FromEnvironment {
    pub what: What,
    /// Behind the prefix, as it stands: `MY_LAKE`.
    pub name: String,
    pub value: Secret,
    pub origin: Origin,
}

/// An entry of a file.
pub(crate) struct FromFile {
    pub name: String,
    pub value: Node,
    pub file: TextFile,
    pub origin: Origin,
}

impl What {
    pub(crate) fn word(self) -> &'static str {
        match self {
            What::Connections => "connections",
            What::Variables => "variables",
        }
    }

    /// The files of the project that may hold them; it has one of these.
    fn files(self) -> [String; 4] {
        ["yaml", "yml", "json", "env"].map(|ending| format!("{}.{ending}", self.word()))
    }
}

impl FromEnvironment {
    /// `None` where the name is somebody else's, or nothing stands behind it.
    pub(crate) fn of(name: &str, value: &str, origin: Origin) -> Option<Self> {
        let (what, rest) = match name.strip_prefix("AIRFLOW_CONN_") {
            Some(rest) => (What::Connections, rest),
            None => (What::Variables, name.strip_prefix("AIRFLOW_VAR_")?),
        };
        let is_nothing = rest.is_empty() || (what == What::Connections && value.trim().is_empty());
        (!is_nothing).then(|| Self { what, name: rest.to_owned(), value: Secret::new(value), origin })
    }
}

/// The entries of the project's one file of this kind, in their order.
pub(crate) fn file_entries(project: &Project, what: What) -> Result<Vec<FromFile>, Error> {
    let mut found: Option<TextFile> = None;
    for name in what.files() {
        let path = project.root.join(&name);
        if !path.is_file() {
            continue;
        }
        let file = project.text(&path)?;
        if let Some(first) = found {
            return Err(Error::TwoFiles { kind: what.word(), first: first.path, second: file.path });
        }
        found = Some(file);
    }
    found.map_or_else(|| Ok(Vec::new()), |file| entries(what, &file))
}

/// The entries of one file, by its ending.
pub(crate) fn entries(what: What, file: &TextFile) -> Result<Vec<FromFile>, Error> {
    let refuse = |start: usize, reason: String| Error::GivenFile {
        kind: what.word(),
        origin: Box::new(place(file, (start, 1))),
        reason,
    };
    let broken = |broken: Broken| refuse(broken.start, broken.reason);
    let document = match file.path.rsplit('.').next() {
        Some("env") => return lines(file).map_err(broken),
        Some("json") => Some(tree::json(file).map_err(broken)?),
        _ => tree::yaml(file).map_err(broken)?,
    };
    let fields = match document {
        None | Some(Node { data: Data::Null, .. }) => Vec::new(),
        Some(Node { data: Data::Map(fields), .. }) => fields,
        Some(other) => return Err(refuse(other.span.0, format!("{} are a map of names", what.word()))),
    };
    let entry = |field: tree::Field| FromFile {
        name: field.name,
        origin: place(file, field.name_span),
        value: field.value,
        file: file.clone(),
    };
    Ok(fields.into_iter().map(entry).collect())
}

/// Airflow's `.env` of connections or variables: `NAME=VALUE`, the value as it stands, without quotes or escapes.
fn lines(file: &TextFile) -> Result<Vec<FromFile>, Broken> {
    let mut entries: Vec<FromFile> = Vec::new();
    let mut start = 0;
    for line in file.text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let refuse = |reason: &str| Broken { start: at, reason: reason.to_owned() };
        let (name, value) = line.split_once('=').ok_or_else(|| refuse("a line is NAME=VALUE"))?;
        if name.is_empty() || value.is_empty() {
            return Err(refuse("a line has a name and a value"));
        }
        if entries.iter().any(|entry| entry.name == name) {
            return Err(refuse(&format!("{name} comes twice")));
        }
        let value = Node { span: (at + name.len() + 1, value.len()), data: Data::Text(value.to_owned()) };
        let origin = place(file, (at, name.len()));
        entries.push(FromFile { name: name.to_owned(), value, file: file.clone(), origin });
    }
    Ok(entries)
}

pub(crate) fn place(file: &TextFile, (start, length): (usize, usize)) -> Origin {
    let start = (0..=start.min(file.text.len())).rev().find(|byte| file.text.is_char_boundary(*byte));
    Origin::File { file: file.clone(), start: start.unwrap_or(0), length }
}

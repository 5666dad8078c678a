//! Where Google's libraries look for application default credentials, in their order, and what is there.

use std::path::PathBuf;

use super::{Given, Summary, summary_of};
use crate::{Environment, Error};

const WELL_KNOWN: &str = "application_default_credentials.json";
/// Where there is one, these two names lead to it.
const METADATA_HOST: &str = "metadata.google.internal";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The file that GOOGLE_APPLICATION_CREDENTIALS names.
    Named,
    /// What `gcloud auth application-default login` and ours write.
    WellKnown,
    MetadataServer,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Named => "credentials file",
            Kind::WellKnown => "application default credentials",
            Kind::MetadataServer => "metadata server",
        }
    }
}

/// A source that is set up, or is not.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub kind: Kind,
    /// The variable or the path.
    pub place: String,
    pub file: Option<PathBuf>,
    pub is_set: bool,
}

impl Candidate {
    /// What the file says of itself; `None` for the metadata server.
    pub fn summary(&self) -> Option<Result<Summary, Error>> {
        let file = self.file.clone()?;
        let read = Given::File(file.clone()).read();
        Some(
            read.map(|json| Summary {
                file: Some(file),
                ..json.as_ref().map(summary_of).unwrap_or_default()
            }),
        )
    }
}

/// All of them; the first that is set wins, whether or not it then works.
pub fn of(environment: &Environment) -> Vec<Candidate> {
    look(&|name| environment.get(name).map(str::to_owned))
}

fn look(environment: &dyn Fn(&str) -> Option<String>) -> Vec<Candidate> {
    let named = environment("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    let well_known = well_known(environment);
    let host = environment("GCE_METADATA_HOST");
    vec![
        Candidate {
            kind: Kind::Named,
            place: "GOOGLE_APPLICATION_CREDENTIALS".to_owned(),
            is_set: named.is_some(),
            file: named,
        },
        Candidate {
            kind: Kind::WellKnown,
            place: well_known
                .as_ref()
                .map_or_else(|| WELL_KNOWN.to_owned(), |path| path.display().to_string()),
            is_set: well_known.as_ref().is_some_and(|path| path.is_file()),
            file: well_known,
        },
        // Whether it is there only its answer tells.
        Candidate {
            kind: Kind::MetadataServer,
            place: host.unwrap_or_else(|| METADATA_HOST.to_owned()),
            is_set: true,
            file: None,
        },
    ]
}

pub(super) fn winner(environment: &dyn Fn(&str) -> Option<String>) -> Candidate {
    let mut all = look(environment);
    let first = all.iter().position(|candidate| candidate.is_set).unwrap_or(all.len() - 1);
    all.swap_remove(first)
}

/// gcloud's folder, `CLOUDSDK_CONFIG` or `~/.config/gcloud`, has it.
pub(super) fn well_known(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = environment("CLOUDSDK_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(environment("HOME")?).join(".config/gcloud")));
    Some(folder?.join(WELL_KNOWN))
}

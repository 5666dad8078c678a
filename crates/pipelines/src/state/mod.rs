//! What outlives a run: `.tidemill/pipelines/NAME/`.
//!
//! `state.json` is the cursors, `schema.json` the tables, `history.jsonl` a line for each load. `load.json` is the load
//! that runs: as long as it lies there, the next run goes on with it. `checkpoints/` and `open/` belong to that load.
//! Each file has a version; what was written by version 1 stays readable (`fixtures/v1`).

mod journal;
mod target_state;
#[cfg(test)]
mod tests;
mod text;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use base::crash_point;
use engine::checkpoints::FileCheckpoints;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use journal::{Bounds, StreamDone, Swap};
pub use journal::{Finished, Journal, LoadKind, Phase, TableCount};
pub(crate) use target_state::{About, state_of, state_row};
pub(crate) use text::CursorText;
pub use text::StateText;

use crate::{Error, incremental::CursorValue};

/// The cursors of a pipeline between two runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Rises with each change, as dlt counts it.
    pub version: u64,
    pub streams: BTreeMap<String, StreamState>,
    /// Of streams that are topics.
    pub topics: BTreeMap<String, TopicState>,
    /// The load that moved it last.
    pub last_load_id: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamState {
    pub field: String,
    pub initial_value: Option<CursorValue>,
    /// Where the last load that found something began; dlt keeps it.
    pub start_value: Option<CursorValue>,
    pub last_value: Option<CursorValue>,
    /// Digests of the rows that have it.
    pub hashes: Vec<String>,
}

/// How far a topic was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicState {
    pub topic: String,
    /// By which its cluster knows it from another one of that name, where it does.
    pub id: Option<String>,
    /// The next record of each partition.
    pub offsets: BTreeMap<i32, i64>,
}

/// The folder of one pipeline.
#[derive(Debug, Clone)]
pub struct StateFolder {
    path: PathBuf,
    pipeline: String,
}

/// A state file larger than this is not one.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Lines of history that are kept.
const HISTORY_LINES_MAX: usize = 1_000;

impl StateFolder {
    /// `state_folder` is the project's `.tidemill`.
    pub fn of(state_folder: &Path, pipeline: &str) -> Self {
        Self { path: state_folder.join("pipelines").join(pipeline), pipeline: pipeline.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The checkpoints of the load that runs; nobody else runs the pipeline as long as they are held.
    ///
    /// # Errors
    /// `engine::Error::Locked` where somebody does.
    pub fn lock(&self) -> Result<FileCheckpoints, engine::Error> {
        FileCheckpoints::open(&self.path.join("checkpoints"), &self.pipeline)
    }

    /// Names of files that the open extents are about to bring into being.
    pub(crate) fn open_files(&self) -> PathBuf {
        self.path.join("open")
    }

    pub fn state(&self) -> Result<Option<State>, Error> {
        self.read::<StateText>("state.json")?.map(State::try_from).transpose()
    }

    pub fn save_state(&self, state: &State) -> Result<(), Error> {
        self.write("state.json", &StateText::of(&self.pipeline, state))
    }

    pub fn journal(&self) -> Result<Option<Journal>, Error> {
        let Some(journal) = self.read::<Journal>("load.json")? else { return Ok(None) };
        journal.check_version()?;
        Ok(Some(journal))
    }

    pub(crate) fn save_journal(&self, journal: &Journal) -> Result<(), Error> {
        self.write("load.json", journal)
    }

    /// The schema of the tables as dlt writes it.
    pub fn schema(&self) -> Result<Option<String>, Error> {
        self.text("schema.json")
    }

    pub(crate) fn save_schema(&self, schema: &str) -> Result<(), Error> {
        self.write_bytes("schema.json", schema.as_bytes())
    }

    /// The schema as the load that runs has changed it: only its end makes it the pipeline's.
    pub(crate) fn load_schema(&self) -> Result<Option<String>, Error> {
        self.text("load.schema.json")
    }

    pub(crate) fn save_load_schema(&self, schema: &str) -> Result<(), Error> {
        self.write_bytes("load.schema.json", schema.as_bytes())
    }

    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::StateFile { path, source }),
        }
    }

    /// The load is over: nothing of it is needed any more. `load.json` goes last: as long as it lies there, the next life
    /// does this again, and no other load takes the files of these extents for its own.
    pub fn clear_load(&self) -> Result<(), Error> {
        match fs::remove_dir_all(self.open_files()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::StateFile { path: self.open_files(), source });
            }
            _ => {}
        }
        crash_point("pipelines.clear.after_open");
        self.remove(&format!("checkpoints/{}.json", self.pipeline))?;
        self.remove("load.schema.json")?;
        crash_point("pipelines.clear.before_journal");
        self.remove("load.json")
    }

    /// State, schema and the load that runs are forgotten; the history stays. An empty state says that this was meant:
    /// without one, the next run would take the target's.
    pub fn clear(&self) -> Result<(), Error> {
        self.clear_load()?;
        self.remove("schema.json")?;
        self.save_state(&State::default())
    }

    /// Oldest first.
    pub fn history(&self) -> Result<Vec<Finished>, Error> {
        let path = self.path.join("history.jsonl");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::StateFile { path, source }),
        };
        let parse = |line: &str| {
            serde_json::from_str::<Finished>(line)
                .map_err(|error| Error::StateFormat {
                    what: path.display().to_string(),
                    reason: error.to_string(),
                })
                .and_then(Finished::checked)
        };
        text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
    }

    /// Once for each load and outcome: a second life repeats the line that the first one wrote.
    pub(crate) fn add_history(&self, finished: &Finished) -> Result<(), Error> {
        let mut lines = self.history()?;
        lines.retain(|line| line.load_id != finished.load_id || line.status != finished.status);
        lines.push(finished.clone());
        let first = lines.len().saturating_sub(HISTORY_LINES_MAX);
        let mut text = Vec::new();
        for line in &lines[first..] {
            serde_json::to_writer(&mut text, line)
                .map_err(|error| self.unwritable("history.jsonl", error))?;
            text.push(b'\n');
        }
        self.write_bytes("history.jsonl", &text)
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.path.join(name);
        let bytes = match fs::metadata(&path) {
            Ok(file) if file.len() > FILE_BYTES_MAX => {
                let reason = format!("{} bytes are more than any of ours has", file.len());
                return Err(Error::StateFormat { what: path.display().to_string(), reason });
            }
            Ok(_) => fs::read(&path).map_err(|source| Error::StateFile { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::StateFile { path, source }),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::StateFormat {
            what: path.display().to_string(),
            reason: error.to_string(),
        })
    }

    pub(crate) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(value).map_err(|error| self.unwritable(name, error))?;
        text.push(b'\n');
        self.write_bytes(name, &text)
    }

    fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|source| Error::StateFile { path: folder.to_owned(), source })?;
        }
        engine::checkpoints::replace(&path, bytes).map_err(|source| Error::StateFile { path, source })
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::StateFile { path, source }),
            _ => Ok(()),
        }
    }

    fn unwritable(&self, name: &str, error: serde_json::Error) -> Error {
        Error::StateFile { path: self.path.join(name), source: error.into() }
    }
}

//! `.tidemill/running.json`: what `up` started, so that other commands find it. Written when all parts are ready.

use std::{fs, io};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{Error, Project, ProjectLock, state};

/// Version of the file; an older tidemill's file is not guessed at.
const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub version: u32,
    pub pid: u32,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// In the order in which they were started; an external part is in it too.
    pub parts: IndexMap<String, RunningPart>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningPart {
    /// `host:port`; for an external broker its bootstrap servers.
    pub address: String,
    #[serde(default)]
    pub external: bool,
}

impl Running {
    pub fn new(pid: u32, started_ms: i64) -> Self {
        Self { version: VERSION, pid, started_ms, parts: IndexMap::new() }
    }

    /// What runs now; `None` where nothing does. What a killed process left behind is no answer: it holds no lock.
    pub fn read(project: &Project) -> Result<Option<Running>, Error> {
        if !ProjectLock::is_held(project) {
            return Ok(None);
        }
        let path = project.state_path("running.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
        };
        let running: Option<Running> = serde_json::from_str(&text).ok();
        Ok(running.filter(|running| running.version == VERSION))
    }

    /// What the process `pid` has written; `None` until it is ready.
    pub fn of_process(project: &Project, pid: u32) -> Option<Running> {
        let text = fs::read_to_string(project.state_path("running.json")).ok()?;
        let running: Running = serde_json::from_str(&text).ok()?;
        (running.pid == pid && running.version == VERSION).then_some(running)
    }

    pub fn write(&self, project: &Project) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("names and numbers are always JSON");
        state::write_atomic(&project.state_path("running.json"), text.as_bytes())
    }

    pub fn remove(project: &Project) {
        fs::remove_file(project.state_path("running.json")).ok();
    }
}

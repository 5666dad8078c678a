//! The settings of the scheduler: plain data.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use base::{Clock, Secret, SystemClock};

use project::{Connections, Variables};

#[derive(Clone)]
pub struct Options {
    /// Where Airflow's REST API answers; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The project's folder: tasks see it as `TIDEMILL_PROJECT`.
    pub project: PathBuf,
    pub dags_folder: PathBuf,
    /// Database, logs and working files.
    pub state_folder: PathBuf,
    /// `postgresql://…`; empty: SQLite in the state folder.
    pub database_url: Secret,
    /// Tasks at once.
    pub parallelism_max: usize,
    /// How often the DAG folder is looked through.
    pub scan_interval_ms: u64,
    pub dags_are_paused_at_creation: bool,
    /// Runs are made when their schedules want them; not where one DAG is only tried.
    pub follows_schedules: bool,
    /// What a task has between SIGTERM and SIGKILL.
    pub kill_grace_ms: u64,
    /// The folder of the tidemill binary, put first on the tasks' PATH.
    pub binary_folder: Option<PathBuf>,
    /// The interpreter of Python tasks.
    pub python: String,
    /// The project's own, and those of the environment: they go over those that the API made, as in Airflow.
    pub connections: Option<Arc<Connections>>,
    pub variables: Option<Arc<Variables>>,
    /// The environment of the process, for tasks and for `$NAME` in DAG files.
    pub environment: BTreeMap<String, String>,
    /// The project's own S3, for sensors that name no connection.
    pub own_store: Option<OwnStore>,
    pub clock: Arc<dyn Clock>,
}

/// The S3 endpoint that runs beside the scheduler.
#[derive(Debug, Clone)]
pub struct OwnStore {
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: Secret,
}

impl Options {
    /// What the settings' defaults say, for a project in this folder.
    pub fn at(listen: SocketAddr, project: impl Into<PathBuf>) -> Self {
        let project = project.into();
        Self {
            listen,
            dags_folder: project.join("dags"),
            state_folder: project.join(".tidemill/scheduler"),
            project,
            database_url: Secret::default(),
            parallelism_max: 32,
            scan_interval_ms: 1_000,
            dags_are_paused_at_creation: false,
            follows_schedules: true,
            kill_grace_ms: 5_000,
            binary_folder: None,
            python: "python3".to_owned(),
            connections: None,
            variables: None,
            environment: BTreeMap::new(),
            own_store: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

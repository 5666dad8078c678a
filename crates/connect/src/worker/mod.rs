//! Connectors and tasks: what is wanted of them, what runs, and what the status topic says.
//!
//! Map: `connectors` creating, changing, deleting, restarting; `views` what GET requests show; `offsets` the consumer
//! group's offsets as Connect's offsets API shows and alters them; `runs` starting and stopping tasks; `settings` a
//! configuration as a task needs it; `task` one task: an engine transfer from topics to objects; `gate` pausing.

mod connectors;
mod gate;
mod offsets;
mod runs;
mod settings;
mod task;
mod views;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use base::{Clock, SystemClock};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error, Options,
    config::Config,
    store::{
        Journal, Remembered,
        configs::Target,
        status::{self, State},
    },
};

pub(crate) use connectors::{Created, unknown_plugin};
pub use offsets::topic_matches;
pub(crate) use settings::{Errors, Settings};

pub(crate) struct Worker {
    pub options: Options,
    /// `host:port` of the REST API, as status shows it.
    pub id: String,
    pub cluster_id: Option<String>,
    pub journal: Journal,
    /// One change at a time, as Connect's herder has one thread.
    turn: tokio::sync::Mutex<()>,
    connectors: Mutex<BTreeMap<String, Connector>>,
    /// Every task's future; drained at the end.
    tracker: TaskTracker,
    clock: Arc<dyn Clock>,
}

/// A connector as this worker knows it.
#[derive(Default)]
struct Connector {
    config: Config,
    target: Target,
    state: Status,
    tasks: Vec<Task>,
    /// Topics it has read from.
    topics: BTreeSet<String>,
}

struct Task {
    config: Config,
    state: Status,
    running: Option<Running>,
}

/// A state with what led to it.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub state: State,
    pub trace: Option<String>,
}

impl Default for Status {
    fn default() -> Self {
        Status::of(State::Unassigned)
    }
}

impl Status {
    fn of(state: State) -> Self {
        Self { state, trace: None }
    }
}

/// The handles of a task that runs.
struct Running {
    stop: CancellationToken,
    paused: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
    abort: tokio::task::AbortHandle,
}

/// Only one worker takes part in a group for now, so its generation never changes.
const GENERATION: i32 = 1;

impl Worker {
    pub fn new(options: Options, addr: SocketAddr, journal: Journal, remembered: Remembered) -> Arc<Self> {
        let Remembered { mut configs, mut statuses, cluster_id } = remembered;
        let connectors = std::mem::take(&mut configs.connectors).into_iter().map(|(name, config)| {
            let target = configs.targets.remove(&name).unwrap_or_default();
            let tasks = configs.tasks.remove(&name).unwrap_or_default();
            let tasks =
                tasks.into_iter().map(|config| Task { config, state: Status::default(), running: None });
            let topics = statuses.topics.remove(&name).unwrap_or_default();
            let connector =
                Connector { config, target, tasks: tasks.collect(), topics, ..Connector::default() };
            (name, connector)
        });
        Arc::new(Self {
            id: options.advertised.clone().unwrap_or_else(|| addr.to_string()),
            connectors: Mutex::new(connectors.collect()),
            turn: tokio::sync::Mutex::default(),
            tracker: TaskTracker::new(),
            clock: Arc::new(SystemClock),
            cluster_id,
            journal,
            options,
        })
    }

    /// Starts what was running when the last worker ended; does not wait for it.
    pub fn resume_all(self: &Arc<Self>) {
        let worker = self.clone();
        self.tracker.spawn(async move {
            let names: Vec<String> = worker.connectors.lock().keys().cloned().collect();
            let _turn = worker.turn.lock().await;
            for name in names {
                worker.bring_up(&name).await;
            }
        });
    }

    /// Stops every task; the targets stay, so the next life goes on.
    pub async fn stop_all(&self) {
        let _turn = self.turn.lock().await;
        let names: Vec<String> = self.connectors.lock().keys().cloned().collect();
        futures::future::join_all(names.iter().map(|name| self.halt(name))).await;
        for name in &names {
            let tasks_count = self.connectors.lock().get(name).map_or(0, |connector| connector.tasks.len());
            for task in 0..tasks_count {
                self.set_task(name, task, Status::of(State::Unassigned)).await;
            }
            self.set_connector(name, Status::of(State::Unassigned)).await;
        }
        self.tracker.close();
        self.tracker.wait().await;
        self.journal.flush().await;
    }

    /// Sets a connector's state, here and in the status topic.
    async fn set_connector(&self, name: &str, status: Status) {
        let record = status::record(status.state, status.trace.as_deref(), &self.id, GENERATION);
        if let Some(connector) = self.connectors.lock().get_mut(name) {
            connector.state = status;
        }
        self.tell(self.journal.put_status(&status::connector_key(name), Some(record)).await);
    }

    /// Sets a task's state, here and in the status topic.
    async fn set_task(&self, name: &str, number: usize, status: Status) {
        let record = status::record(status.state, status.trace.as_deref(), &self.id, GENERATION);
        match self.connectors.lock().get_mut(name).and_then(|connector| connector.tasks.get_mut(number)) {
            Some(task) => task.state = status,
            None => return,
        }
        self.tell(self.journal.put_status(&status::task_key(name, number), Some(record)).await);
    }

    /// A topic that a task reads for the first time.
    pub(super) async fn note_topic(&self, name: &str, topic: &str, task: usize) {
        let is_new = match self.connectors.lock().get_mut(name) {
            Some(connector) => connector.topics.insert(topic.to_owned()),
            None => false,
        };
        if is_new {
            let record = status::topic_record(name, topic, task, self.clock.now_ms());
            self.tell(self.journal.put_status(&status::topic_key(name, topic), Some(record)).await);
        }
    }

    /// A state that did not reach its topic is told and forgotten: the next one will, and nothing depends on it.
    fn tell(&self, written: Result<(), Error>) {
        if let Err(error) = written {
            tracing::warn!(%error, "a state did not reach the status topic");
        }
    }
}

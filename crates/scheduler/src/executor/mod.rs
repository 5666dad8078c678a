//! Runs task instances: each on a thread of its own, as a process or inside of ours, with its log; at most as many at once
//! as the scheduling gives it.
//!
//! It decides nothing: it reports how each ended.

mod attempt;
mod mask;
mod orphans;
mod process;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use nix::{sys::signal::Signal, unistd::Pid};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Options,
    dag::Dag,
    known::SharedDags,
    logs::Logs,
    scheduling::{Event, Skips},
    store::{
        Database,
        rows::{DagRun, TaskInstance},
    },
};

pub use attempt::{Attempt, Done, Failure, as_text};
pub use mask::{MASKED, Mask, is_sensitive, redact};
pub use orphans::end_orphans;
pub use process::{Ended, Program};

/// A task instance that is to run now.
#[derive(Debug)]
pub struct Launch {
    pub run: DagRun,
    pub instance: TaskInstance,
    pub dag: Arc<Dag>,
    pub cancel: Arc<Cancel>,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Success,
    Skipped,
    Failed {
        may_retry: bool,
    },
    /// A sensor that gives its slot back until then.
    Reschedule {
        at: DateTime<Utc>,
    },
}

/// The report of a try.
#[derive(Debug)]
pub struct Finished {
    pub instance: i64,
    pub outcome: Outcome,
    pub xcoms: Vec<(String, Value)>,
    pub skips: Option<Skips>,
    /// The rendered arguments, a JSON object.
    pub rendered: Option<String>,
    pub rendered_map_index: Option<String>,
    /// It was ended because the scheduler stops: the next life treats it as a zombie.
    pub was_ended: bool,
}

/// Ends a try from outside.
#[derive(Debug, Default)]
pub struct Cancel {
    token: CancellationToken,
    /// The group of its process; 0 while there is none.
    group: AtomicI32,
    reason: Mutex<Option<String>>,
}

impl Cancel {
    /// Asks it to end; the first reason stays.
    pub fn stop(&self, reason: &str) {
        self.reason.lock().get_or_insert_with(|| reason.to_owned());
        self.token.cancel();
    }

    pub fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    pub fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }

    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// Tells which process it is; one that was asked to end before it began is ended now.
    fn set_process(&self, group: i32) {
        self.group.store(group, Ordering::SeqCst);
        if group != 0 && self.is_stopped() {
            self.signal(Signal::SIGTERM);
        }
    }

    /// The process and all that it started, as far as they stayed in its group.
    fn signal(&self, signal: Signal) {
        let group = self.group.load(Ordering::SeqCst);
        if group > 1 {
            nix::sys::signal::killpg(Pid::from_raw(group), signal).ok();
        }
    }
}

/// What every try needs.
#[derive(Debug)]
pub struct Shared {
    pub options: Arc<Options>,
    pub database: Database,
    pub dags: SharedDags,
    pub logs: Logs,
    /// Where our API answers: Python tasks ask it for XComs.
    pub api: String,
    /// Marks the processes of this project's tasks.
    pub mark: String,
    pub events: mpsc::Sender<Event>,
    pub http: reqwest::Client,
    /// PATH of the tasks.
    pub path: String,
}

#[derive(Debug, Clone)]
pub struct Executor {
    shared: Arc<Shared>,
    tries: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// Finished handles are dropped whenever so many have come together.
const HANDLES_KEPT_MAX: usize = 512;

impl Executor {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, tries: Arc::default() }
    }

    pub fn start(&self, launch: Launch) {
        let handle = tokio::spawn(supervise(self.shared.clone(), launch));
        let mut tries = self.tries.lock();
        if tries.len() >= HANDLES_KEPT_MAX {
            tries.retain(|it| !it.is_finished());
        }
        tries.push(handle);
    }

    /// Ends all that runs, and waits until it is gone.
    pub async fn end_all(&self, cancels: impl Iterator<Item = Arc<Cancel>>) {
        for cancel in cancels {
            cancel.stop(STOPPING);
        }
        let tries = std::mem::take(&mut *self.tries.lock());
        for handle in tries {
            handle.await.ok();
        }
    }

    pub fn note_zombie(&self, run: &DagRun, instance: &TaskInstance) {
        let text = "The process of this try ended together with the scheduler's; nothing is known of how far it came.";
        self.shared.logs.note(run, instance, "error", text, self.shared.options.clock.now_ms());
    }
}

const STOPPING: &str = "the scheduler stops";

/// One try: on a thread of its own, with its execution timeout, until it is gone.
async fn supervise(shared: Arc<Shared>, launch: Launch) {
    let cancel = launch.cancel.clone();
    let instance = launch.instance.id;
    let timeout = launch.dag.tasks.get(&launch.instance.task_id).and_then(|task| task.execution_timeout);
    let timeout = timeout.and_then(|timeout| timeout.to_std().ok());
    let grace = Duration::from_millis(shared.options.kill_grace_ms);
    let events = shared.events.clone();
    let runtime = tokio::runtime::Handle::current();
    let mut work = tokio::task::spawn_blocking(move || Attempt::new(shared, launch, runtime).run());
    let over = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = &mut work => Some(ended),
        () = over => {
            cancel.stop("it ran longer than its execution_timeout");
            None
        }
        () = cancel.stopped() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            cancel.signal(Signal::SIGTERM);
            match tokio::time::timeout(grace, &mut work).await {
                Ok(ended) => ended,
                Err(_still_there) => {
                    cancel.signal(Signal::SIGKILL);
                    work.await
                }
            }
        }
    };
    // A panic in a try is our bug; it must not keep the run waiting for ever.
    let mut finished = ended.unwrap_or_else(|panic| {
        tracing::error!(%panic, instance, "a try of a task ended by a bug of ours");
        Finished {
            instance,
            outcome: Outcome::Failed { may_retry: true },
            xcoms: Vec::new(),
            skips: None,
            rendered: None,
            rendered_map_index: None,
            was_ended: false,
        }
    });
    finished.was_ended = cancel.reason().is_some_and(|reason| reason == STOPPING);
    events.send(Event::Finished(Box::new(finished))).await.ok();
}

//! The scheduling itself: one task that owns every run at work, and that alone writes their states.
//!
//! A turn takes what happened (tasks that ended, orders of the API, files that changed, times that came), decides, writes
//! all of it in one transaction, and only then starts processes and answers. So what the database says has always been
//! decided, and what was started is always in the database: after a crash nothing runs twice.

mod backfills;
mod due;
mod files;
mod finish;
mod orders;
mod recover;
mod rules;
mod run;
mod work;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base::{BoxError, crash_point};
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Options,
    executor::{Cancel, Executor, Finished, Launch},
    known::SharedDags,
    store::{Database, Statement, rows::TaskInstance},
    timetable::DataInterval,
};

pub use backfills::{Backfill, NewBackfill, RUNS_MAX};
pub use files::{Scan, Scanner};
pub use orders::{Clear, Order, PatchTask, Trigger};
pub use run::{Run, Skips};

type Time = DateTime<Utc>;

/// Events that wait at most: tasks that end then wait with their report.
const EVENTS_MAX: usize = 1_024;
/// Events taken into one turn, so that a transaction stays short.
const EVENTS_PER_TURN_MAX: usize = 256;
/// Runs made in one turn: the first tasks start before the thousandth run is made.
const RUNS_PER_TURN_MAX: usize = 50;
/// A turn comes at least so often: with an injected clock nothing else tells that time went on.
const IDLE_MS_MAX: u64 = 500;
/// How often a transaction is written again before the part gives up: about half a minute.
const WRITES_MAX: u32 = 10;

/// What the scheduling is told.
pub enum Event {
    Finished(Box<Finished>),
    Started { instance: i64, pid: u32 },
    Files(Scan),
    Order(Order),
}

/// A task at work.
#[derive(Debug)]
struct Running {
    run: i64,
    dag_id: String,
    task_id: String,
    pool: String,
    pool_slots: u32,
    cancel: Arc<Cancel>,
}

/// The order in which scheduled tasks get free slots: Airflow's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    priority: std::cmp::Reverse<i32>,
    run_after: Time,
    run: i64,
    map_index: i32,
    instance: i64,
}

pub struct Scheduling {
    options: Arc<Options>,
    database: Database,
    dags: SharedDags,
    executor: Executor,
    events: mpsc::Receiver<Event>,
    /// Queued and running runs.
    runs: HashMap<i64, Run>,
    /// When the schedule of a DAG wants its next run.
    due: BTreeSet<(Time, String)>,
    /// Whether a DAG became known that was not before: it may have runs that wait for it.
    returned: bool,
    /// Of DAGs whose files were not read in this life.
    remembered: HashMap<String, files::Remembered>,
    /// The interval of each DAG's latest scheduled run.
    last: HashMap<String, DataInterval>,
    queued: BTreeSet<(Time, i64)>,
    /// Whether one of them may begin since they were last looked at.
    queue_changed: bool,
    waiting: BTreeSet<Waiting>,
    /// When a run has to be looked at again: retries, sensors, timeouts.
    timers: BTreeSet<(Time, i64)>,
    running: HashMap<i64, Running>,
    pools: HashMap<String, i64>,
    backfills: HashMap<i64, Backfill>,
    /// Runs that have to be looked at in this turn.
    touched: BTreeSet<i64>,
    /// What this turn writes, and does once it is written.
    batch: Vec<Statement>,
    launches: Vec<Launch>,
    answers: Vec<Box<dyn FnOnce() + Send + Sync>>,
    ids: Ids,
    heartbeat: Arc<AtomicI64>,
}

/// The numbers given last.
#[derive(Debug, Default)]
struct Ids {
    run: i64,
    instance: i64,
    backfill: i64,
    event: i64,
}

impl Ids {
    fn next(number: &mut i64) -> i64 {
        *number += 1;
        *number
    }
}

/// How to tell the scheduling something.
pub fn channel() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    mpsc::channel(EVENTS_MAX)
}

impl Scheduling {
    /// When it last took a turn, in milliseconds since 1970.
    pub fn heartbeat(&self) -> Arc<AtomicI64> {
        self.heartbeat.clone()
    }

    pub fn now(&self) -> Time {
        DateTime::from_timestamp_millis(self.options.clock.now_ms()).unwrap_or_default()
    }

    /// Until it is stopped; then tasks that still run are ended, as by a crash: the next life finds them.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), BoxError> {
        let mut events = Vec::new();
        loop {
            let more = self.turn(std::mem::take(&mut events)).await?;
            let wait = if more { Duration::ZERO } else { self.wait() };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                event = self.events.recv() => match event {
                    Some(event) => events.push(event),
                    None => break,
                },
                () = tokio::time::sleep(wait) => {}
            }
            while events.len() < EVENTS_PER_TURN_MAX
                && let Ok(event) = self.events.try_recv()
            {
                events.push(event);
            }
        }
        self.executor.end_all(self.running.values().map(|running| running.cancel.clone())).await;
        self.take_last_reports().await;
        Ok(())
    }

    /// Until the next moment at which something is due.
    fn wait(&self) -> Duration {
        let due = self.due.first().map(|(at, _dag)| *at);
        let timer = self.timers.first().map(|(at, _run)| *at);
        let Some(next) = due.into_iter().chain(timer).min() else {
            return Duration::from_millis(IDLE_MS_MAX);
        };
        let wait_ms = u64::try_from((next - self.now()).num_milliseconds()).unwrap_or(0);
        Duration::from_millis(wait_ms.saturating_add(1).min(IDLE_MS_MAX))
    }

    /// Whether another turn has to follow at once.
    async fn turn(&mut self, events: Vec<Event>) -> Result<bool, Error> {
        self.heartbeat.store(self.options.clock.now_ms(), Ordering::Relaxed);
        for event in events {
            match event {
                Event::Finished(finished) => self.finished(*finished),
                Event::Started { instance, pid } => self.started(instance, pid),
                Event::Files(scan) => self.take_files(scan),
                Event::Order(order) => self.obey(order).await,
            }
        }
        if std::mem::take(&mut self.returned) {
            self.take_up().await?;
        }
        let now = self.now();
        let more = self.make_due_runs(now).await?;
        while let Some((at, run)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.remove(&(at, run));
            self.touched.insert(run);
            self.queue_changed |= self.queued.contains(&(at, run));
        }
        self.start_queued(now);
        self.work(now).await?;
        self.launch(now);
        self.commit().await?;
        Ok(more || !self.touched.is_empty())
    }

    /// Writes what was decided, then does it.
    async fn commit(&mut self) -> Result<(), Error> {
        if !self.batch.is_empty() {
            crash_point("scheduler.commit.before");
            self.write_batch().await?;
            crash_point("scheduler.commit.after");
        }
        for launch in self.launches.drain(..) {
            self.executor.start(launch);
        }
        for answer in self.answers.drain(..) {
            answer();
        }
        Ok(())
    }

    /// A database that is away for a moment is waited for: every statement may be written twice.
    async fn write_batch(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        let mut wait_ms = 50;
        for attempt in 1..=WRITES_MAX {
            match self.database.write(batch.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if attempt == WRITES_MAX => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error), "the scheduler's database: again in {wait_ms} ms");
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    wait_ms *= 2;
                }
            }
        }
        Ok(())
    }

    fn save(&mut self, instance: &TaskInstance) {
        self.batch.push(instance.save());
    }

    /// A line for Airflow's audit log.
    fn log_event(&mut self, event: &str, dag_id: &str, run_id: Option<&str>, task: Option<(&str, i32)>) {
        let id = Ids::next(&mut self.ids.event);
        let sql = "INSERT INTO event_log (id, written_at, dag_id, run_id, task_id, map_index, event, owner) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'tidemill') ON CONFLICT (id) DO NOTHING";
        let cells = crate::cells![
            id,
            self.now(),
            dag_id,
            run_id,
            task.map(|(task_id, _)| task_id),
            task.map(|(_, map_index)| map_index),
            event
        ];
        self.batch.push(Statement::new(sql, cells));
    }
}

#[cfg(test)]
pub mod tests;

//! What the API orders: runs are triggered, set and deleted, task instances cleared and set, DAGs paused.

use std::{collections::BTreeSet, sync::Arc};

use chrono::TimeDelta;
use tokio::sync::oneshot;

use super::{
    Backfill, NewBackfill, Scheduling, Time,
    due::NewRun,
    finish::reset,
    run::{Run, SKIP_KEY},
};
use crate::{
    Error, cells,
    known::{Known, all_relatives},
    state::{RunKind, RunState, TaskState},
    store::{
        Statement,
        rows::{DagRun, TaskInstance},
    },
    timetable::{self, DataInterval},
};

type Answer<T> = oneshot::Sender<Result<T, Error>>;
/// Task instances with the runs they belong to.
pub type Instances = Vec<(DagRun, TaskInstance)>;

pub enum Order {
    Trigger {
        dag_id: String,
        trigger: Trigger,
        answer: Answer<DagRun>,
    },
    SetRun {
        dag_id: String,
        run_id: String,
        state: Option<RunState>,
        note: Option<Option<String>>,
        answer: Answer<DagRun>,
    },
    DeleteRun {
        dag_id: String,
        run_id: String,
        answer: Answer<()>,
    },
    Clear {
        dag_id: String,
        clear: Clear,
        answer: Answer<Instances>,
    },
    SetTasks {
        dag_id: String,
        run_id: String,
        patch: PatchTask,
        answer: Answer<Instances>,
    },
    Pause {
        dag_ids: Vec<String>,
        is_paused: bool,
        answer: Answer<()>,
    },
    DeleteDag {
        dag_id: String,
        answer: Answer<()>,
    },
    PoolsChanged {
        answer: Answer<()>,
    },
    Backfill {
        new: NewBackfill,
        answer: Answer<Backfill>,
    },
    SetBackfill {
        id: i64,
        is_paused: Option<bool>,
        cancel: bool,
        answer: Answer<Backfill>,
    },
}

/// A run that someone wants.
#[derive(Debug, Clone, Default)]
pub struct Trigger {
    pub run_id: Option<String>,
    pub logical_date: Option<Time>,
    pub interval: Option<DataInterval>,
    pub run_after: Option<Time>,
    /// A JSON object.
    pub conf: String,
    pub note: Option<String>,
    pub triggered_by: &'static str,
    /// A run with this id that is there already is cleared and runs again.
    pub reset: bool,
}

/// Which task instances run again.
#[derive(Debug, Clone, Default)]
pub struct Clear {
    pub run_id: Option<String>,
    pub from: Option<Time>,
    pub to: Option<Time>,
    /// With the map indexes that are meant; empty: all.
    pub tasks: Option<Vec<(String, Option<i32>)>>,
    pub only_failed: bool,
    pub only_running: bool,
    pub upstream: bool,
    pub downstream: bool,
    pub past: bool,
    pub future: bool,
    pub reset_runs: bool,
    pub prevent_running: bool,
    pub dry_run: bool,
    pub note: Option<String>,
}

/// A new state or note for task instances.
#[derive(Debug, Clone, Default)]
pub struct PatchTask {
    pub task_id: String,
    pub map_index: Option<i32>,
    pub state: Option<TaskState>,
    pub note: Option<Option<String>>,
    pub upstream: bool,
    pub downstream: bool,
    pub past: bool,
    pub future: bool,
    pub dry_run: bool,
}

impl Scheduling {
    /// Does it; the answer goes out once it is written.
    pub(super) async fn obey(&mut self, order: Order) {
        match order {
            Order::Trigger { dag_id, trigger, answer } => {
                let done = self.trigger(&dag_id, trigger).await;
                self.answer(answer, done);
            }
            Order::SetRun { dag_id, run_id, state, note, answer } => {
                let done = self.set_run(&dag_id, &run_id, state, note).await;
                self.answer(answer, done);
            }
            Order::DeleteRun { dag_id, run_id, answer } => {
                let done = self.delete_run(&dag_id, &run_id).await;
                self.answer(answer, done);
            }
            Order::Clear { dag_id, clear, answer } => {
                let done = self.clear(&dag_id, &clear).await;
                self.answer(answer, done);
            }
            Order::SetTasks { dag_id, run_id, patch, answer } => {
                let done = self.set_tasks(&dag_id, &run_id, &patch).await;
                self.answer(answer, done);
            }
            Order::Pause { dag_ids, is_paused, answer } => {
                dag_ids.iter().for_each(|dag_id| self.pause(dag_id, is_paused));
                self.answer(answer, Ok(()));
            }
            Order::DeleteDag { dag_id, answer } => {
                let done = self.delete_dag(&dag_id).await;
                self.answer(answer, done);
            }
            Order::PoolsChanged { answer } => {
                let done = self.read_pools().await;
                self.answer(answer, done);
            }
            Order::Backfill { new, answer } => {
                let done = self.backfill(new).await;
                self.answer(answer, done);
            }
            Order::SetBackfill { id, is_paused, cancel, answer } => {
                let done = self.set_backfill(id, is_paused, cancel).await;
                self.answer(answer, done);
            }
        }
    }

    fn answer<T: Send + Sync + 'static>(&mut self, to: Answer<T>, with: Result<T, Error>) {
        self.answers.push(Box::new(move || {
            to.send(with).ok(); // a client that left is no error
        }));
    }

    pub(super) fn live(&self, dag_id: &str) -> Result<Arc<Known>, Error> {
        let known = self.dags.read().get(dag_id).filter(|known| !known.is_stale);
        known.ok_or_else(|| Error::not_found(format!("Dag with dag_id: '{dag_id}' not found")))
    }

    async fn trigger(&mut self, dag_id: &str, trigger: Trigger) -> Result<DagRun, Error> {
        let known = self.live(dag_id)?;
        if self.dags.read().has_import_error(&known) {
            let detail = format!("Dag with dag_id: '{dag_id}' has import errors and cannot be triggered");
            return Err(Error::bad_request(detail));
        }
        let mut run_after = trigger.run_after.unwrap_or_else(|| self.now());
        let run_id = match trigger.run_id {
            Some(run_id) => run_id,
            None => loop {
                let letters = uuid::Uuid::new_v4().simple().to_string();
                let suffix = trigger.logical_date.is_none().then(|| &letters[..8]);
                let run_id = timetable::run_id(timetable::RunType::Manual, run_after, suffix);
                if self.run_is_new(dag_id, &run_id).await? {
                    break run_id;
                }
                run_after += TimeDelta::microseconds(1); // two within a millisecond of our clock
            },
        };
        if !self.run_is_new(dag_id, &run_id).await? {
            if trigger.reset {
                let clear = Clear { run_id: Some(run_id.clone()), reset_runs: true, ..Clear::default() };
                self.clear(dag_id, &clear).await?;
                let run = self.fetch(dag_id, &run_id).await?;
                let row = run.row.clone();
                self.put(run);
                return Ok(row);
            }
            let detail = format!("A run with dag_id: '{dag_id}' and run_id: '{run_id}' exists already");
            return Err(Error::conflict(detail));
        }
        if let Some(date) = trigger.logical_date
            && self.has_logical_date(dag_id, date).await?
        {
            let detail =
                format!("A run of '{dag_id}' with the logical date {} exists already", date.to_rfc3339());
            return Err(Error::conflict(detail));
        }
        let inferred = || trigger.logical_date.map(|date| known.timetable.manual_interval(date));
        self.log_event("trigger_dag_run", dag_id, Some(&run_id), None);
        let by_task = trigger.triggered_by == "operator";
        let new = NewRun {
            kind: if by_task { RunKind::OperatorTriggered } else { RunKind::Manual },
            run_id,
            logical_date: trigger.logical_date,
            interval: trigger.interval.or_else(inferred),
            run_after,
            triggered_by: trigger.triggered_by,
            conf: trigger.conf,
            note: trigger.note,
            backfill: None,
        };
        Ok(self.make_run(&known, new))
    }

    async fn run_is_new(&self, dag_id: &str, run_id: &str) -> Result<bool, Error> {
        let held = self.runs.values().any(|run| run.row.dag_id == dag_id && run.row.run_id == run_id);
        Ok(!held && self.database.run(dag_id, run_id).await?.is_none())
    }

    async fn set_run(
        &mut self,
        dag_id: &str,
        run_id: &str,
        state: Option<RunState>,
        note: Option<Option<String>>,
    ) -> Result<DagRun, Error> {
        let now = self.now();
        let mut run = self.fetch(dag_id, run_id).await?;
        if let Some(note) = note {
            run.row.note = note;
            run.row.updated_at = now;
            self.batch.push(run.row.save());
        }
        if let Some(state) = state {
            self.log_event("patch_dag_run", dag_id, Some(run_id), None);
            self.set_run_state(&mut run, state, now);
        }
        let row = run.row.clone();
        self.put(run);
        Ok(row)
    }

    async fn delete_run(&mut self, dag_id: &str, run_id: &str) -> Result<(), Error> {
        let run = self.fetch(dag_id, run_id).await?;
        if run.row.state == RunState::Running {
            self.put(run);
            let detail = format!(
                "The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` cannot be deleted in running state"
            );
            return Err(Error::conflict(detail));
        }
        self.log_event("delete_dag_run", dag_id, Some(run_id), None);
        self.batch.extend(DagRun::delete(run.row.id));
        self.forget(&run);
        Ok(())
    }

    pub(super) fn pause(&mut self, dag_id: &str, is_paused: bool) {
        let Some(known) = self.change_known(dag_id, |known| known.is_paused = is_paused) else { return };
        self.log_event(if is_paused { "pause" } else { "unpause" }, dag_id, None, None);
        self.batch.push(super::files::save_dag(&known));
        self.plan_next(dag_id);
    }

    async fn delete_dag(&mut self, dag_id: &str) -> Result<(), Error> {
        let known = self.dags.read().get(dag_id);
        let known = known.ok_or_else(|| Error::not_found(format!("Dag with id: {dag_id} was not found")))?;
        if self.running.values().any(|running| running.dag_id == dag_id) {
            let detail = format!("Task instances of dag with id: '{dag_id}' are still running");
            return Err(Error::conflict(detail));
        }
        self.write_batch().await?;
        for row in self.database.rows("SELECT id FROM dag_run WHERE dag_id = ?1", cells![dag_id]).await? {
            let id = row[0].int().unwrap_or(0);
            self.batch.extend(DagRun::delete(id));
            if let Some(mut run) = self.runs.remove(&id) {
                run.row.state = RunState::Failed;
                self.forget(&run);
            }
        }
        self.batch.push(Statement::new("DELETE FROM dag WHERE dag_id = ?1", cells![dag_id]));
        self.batch.push(Statement::new("DELETE FROM backfill WHERE dag_id = ?1", cells![dag_id]));
        self.log_event("delete_dag", dag_id, None, None);
        if let Some(next) = known.next {
            self.due.remove(&(next.run_after, dag_id.to_owned()));
        }
        self.last.remove(dag_id);
        // Where the file still has it, it is new again, as in Airflow after its next parsing.
        self.dags.write().by_id.remove(dag_id);
        if !known.is_stale && known.dag.file.is_file() {
            let mut fresh = Known::new((*known.dag).clone(), self.now());
            fresh.fingerprint = known.fingerprint.clone();
            fresh.is_paused =
                known.dag.is_paused_upon_creation.unwrap_or(self.options.dags_are_paused_at_creation);
            self.batch.push(super::files::save_dag(&fresh));
            self.dags.write().by_id.insert(dag_id.to_owned(), Arc::new(fresh));
            self.plan_next(dag_id);
        }
        Ok(())
    }

    /// Clears what is selected, and gives it.
    pub(super) async fn clear(&mut self, dag_id: &str, clear: &Clear) -> Result<Instances, Error> {
        let known = self.live(dag_id)?;
        let tasks =
            clear.tasks.as_ref().map(|tasks| with_relatives(&known, tasks, clear.upstream, clear.downstream));
        let now = self.now();
        let mut cleared = Vec::new();
        for run_id in self.selected_runs(dag_id, clear).await? {
            let mut run = self.fetch(dag_id, &run_id).await?;
            let chosen: Vec<usize> = (0..run.instances.len())
                .filter(|index| is_selected(&run, *index, clear, tasks.as_ref()))
                .collect();
            let is_running = |index: &usize| run.instances[*index].state.is_some_and(TaskState::is_running);
            if clear.prevent_running && chosen.iter().any(is_running) {
                self.put(run);
                let detail = "AirflowClearRunningTaskException: Disable 'prevent_running_task' to proceed, or wait \
                    until the task is not running, queued, or scheduled state.";
                return Err(Error::conflict(detail));
            }
            if !clear.dry_run {
                self.clear_chosen(&mut run, &chosen, clear, now);
            }
            cleared.extend(chosen.iter().map(|index| (run.row.clone(), run.instances[*index].clone())));
            self.put(run);
        }
        Ok(cleared)
    }

    async fn selected_runs(&mut self, dag_id: &str, clear: &Clear) -> Result<Vec<String>, Error> {
        let (mut from, mut to) = (clear.from, clear.to);
        if let Some(run_id) = &clear.run_id {
            if !clear.past && !clear.future {
                return Ok(vec![run_id.clone()]);
            }
            let run = self.fetch(dag_id, run_id).await?;
            let date = run.row.logical_date;
            self.put(run);
            if date.is_none() {
                let detail = "Cannot use include_past or include_future with no logical_date(e.g. manually or \
                    asset-triggered).";
                return Err(Error::bad_request(detail));
            }
            (from, to) = (date, date);
        }
        self.write_batch().await?;
        let from = if clear.past { None } else { from };
        let to = if clear.future { None } else { to };
        let sql = "SELECT run_id FROM dag_run WHERE dag_id = ?1 AND coalesce(logical_date, run_after) >= ?2 \
            AND coalesce(logical_date, run_after) <= ?3 ORDER BY id";
        let cells = cells![
            dag_id,
            from.map_or(i64::MIN, |at| at.timestamp_micros()),
            to.map_or(i64::MAX, |at| at.timestamp_micros())
        ];
        let rows = self.database.rows(sql, cells).await?;
        Ok(rows.iter().filter_map(|row| row[0].text().map(str::to_owned)).collect())
    }

    /// Every task of a run again, as if it were new; its own number stays.
    pub(super) fn clear_whole(&mut self, run: &mut Run, now: Time) {
        let all = Clear { reset_runs: true, ..Clear::default() };
        let chosen: Vec<usize> =
            (0..run.instances.len()).filter(|index| is_selected(run, *index, &all, None)).collect();
        self.clear_chosen(run, &chosen, &all, now);
    }

    fn clear_chosen(&mut self, run: &mut Run, chosen: &[usize], clear: &Clear, now: Time) {
        chosen.iter().for_each(|index| self.clear_one(run, *index, clear.note.as_ref(), now));
        if !chosen.is_empty() {
            let (dag_id, run_id) = (run.row.dag_id.clone(), run.row.run_id.clone());
            self.log_event("clear", &dag_id, Some(&run_id), None);
            self.reopen(run, clear.reset_runs, now);
        }
    }

    /// Back to where nothing was decided, with as many tries as at first; one that runs is ended before.
    fn clear_one(&mut self, run: &mut Run, index: usize, note: Option<&String>, now: Time) {
        let retries = run.task(index).map_or(0, |task| task.retry.retries);
        let instance = &mut run.instances[index];
        if note.is_some() {
            instance.note = note.cloned();
        }
        self.waiting.remove(&super::work::waiting(&run.row.run_after, instance));
        match instance.state {
            Some(TaskState::Running | TaskState::Restarting) => {
                instance.state = Some(TaskState::Restarting);
                instance.updated_at = now;
                if let Some(running) = self.running.get(&instance.id) {
                    running.cancel.stop("it was cleared");
                }
            }
            Some(_) | None => {
                if instance.try_number > 0 && instance.state != Some(TaskState::UpForRetry) {
                    self.batch.push(instance.remember());
                }
                instance.max_tries = instance.try_number + retries;
                reset(instance, now);
            }
        }
        let key = (instance.task_id.clone(), instance.map_index);
        let sql = "DELETE FROM xcom WHERE run = ?1 AND task_id = ?2 AND map_index = ?3 AND key = ?4";
        self.batch.push(Statement::new(sql, cells![run.row.id, &key.0, key.1, SKIP_KEY]));
        run.skips.remove(&key);
        self.save(&run.instances[index]);
    }

    /// A run that had ended waits for its turn again.
    fn reopen(&mut self, run: &mut Run, reset_run: bool, now: Time) {
        run.row.clear_number += 1;
        run.row.updated_at = now;
        if run.row.state.is_finished() && reset_run {
            run.row.state = RunState::Queued;
            run.row.queued_at = Some(now);
            run.row.started_at = None;
            run.row.ended_at = None;
            self.enqueue(run.row.run_after, run.row.id, now);
        }
        self.batch.push(run.row.save());
    }

    async fn set_tasks(&mut self, dag_id: &str, run_id: &str, patch: &PatchTask) -> Result<Instances, Error> {
        let known = self.live(dag_id)?;
        if !known.dag.tasks.contains_key(&patch.task_id) {
            return Err(Error::not_found(format!("Task '{}' not found in DAG '{dag_id}'", patch.task_id)));
        }
        let named = [(patch.task_id.clone(), patch.map_index)];
        let tasks = with_relatives(&known, &named, patch.upstream, patch.downstream);
        let scope = Clear {
            run_id: Some(run_id.to_owned()),
            past: patch.past,
            future: patch.future,
            ..Clear::default()
        };
        let now = self.now();
        let mut changed = Vec::new();
        for run_id in self.selected_runs(dag_id, &scope).await? {
            let mut run = self.fetch(dag_id, &run_id).await?;
            for index in 0..run.instances.len() {
                let instance = &run.instances[index];
                let same = patch.state.is_some_and(|state| instance.state == Some(state));
                if !names(&tasks, instance) || (same && patch.note.is_none()) {
                    continue;
                }
                if !patch.dry_run {
                    self.set_one(&mut run, index, patch, now);
                }
                changed.push((run.row.clone(), run.instances[index].clone()));
            }
            if patch.state.is_some() && !patch.dry_run {
                self.log_event("patch_task_instance", dag_id, Some(&run_id), Some((&patch.task_id, -1)));
                self.resume_below(&mut run, &patch.task_id, now);
            }
            self.put(run);
        }
        if changed.is_empty() && !run_has(&known, &patch.task_id) {
            return Err(Error::not_found(format!(
                "Task Instance not found for dag_id={dag_id}, run_id={run_id}"
            )));
        }
        Ok(changed)
    }

    fn set_one(&mut self, run: &mut Run, index: usize, patch: &PatchTask, now: Time) {
        let instance = &mut run.instances[index];
        if let Some(note) = &patch.note {
            instance.note = note.clone();
        }
        if let Some(state) = patch.state {
            if let Some(running) = self.running.get(&instance.id) {
                running.cancel.stop("its state was set");
            }
            self.waiting.remove(&super::work::waiting(&run.row.run_after, instance));
            instance.state = Some(state);
            instance.started_at = instance.started_at.or(Some(now));
            instance.ended_at = Some(now);
        }
        instance.updated_at = now;
        self.save(&run.instances[index]);
    }

    /// Tasks below that had failed for want of this one may run now: Airflow clears them.
    fn resume_below(&mut self, run: &mut Run, task_id: &str, now: Time) {
        let below = all_relatives(&run.known.dag, task_id, |task| &task.downstream);
        let failed =
            |it: &TaskInstance| it.state.is_some_and(TaskState::is_failed) && below.contains(&it.task_id);
        let chosen: Vec<usize> =
            (0..run.instances.len()).filter(|index| failed(&run.instances[*index])).collect();
        chosen.iter().for_each(|index| self.clear_one(run, *index, None, now));
        if !chosen.is_empty() {
            self.reopen(run, true, now);
        }
    }
}

fn run_has(known: &Known, task_id: &str) -> bool {
    known.dag.tasks.contains_key(task_id)
}

type Chosen = BTreeSet<(String, Option<i32>)>;

/// The tasks that are named, and those above or below them.
fn with_relatives(
    known: &Known,
    tasks: &[(String, Option<i32>)],
    upstream: bool,
    downstream: bool,
) -> Chosen {
    let mut chosen: Chosen = tasks.iter().cloned().collect();
    for (task_id, _map_index) in tasks {
        if upstream {
            chosen.extend(
                all_relatives(&known.dag, task_id, |task| &task.upstream).into_iter().map(|id| (id, None)),
            );
        }
        if downstream {
            chosen.extend(
                all_relatives(&known.dag, task_id, |task| &task.downstream).into_iter().map(|id| (id, None)),
            );
        }
    }
    chosen
}

fn names(chosen: &Chosen, instance: &TaskInstance) -> bool {
    chosen.contains(&(instance.task_id.clone(), None))
        || chosen.contains(&(instance.task_id.clone(), Some(instance.map_index)))
}

fn is_selected(run: &Run, index: usize, clear: &Clear, tasks: Option<&Chosen>) -> bool {
    let instance = &run.instances[index];
    tasks.is_none_or(|chosen| names(chosen, instance))
        && (!clear.only_failed || instance.state.is_some_and(TaskState::is_failed))
        && (!clear.only_running || instance.state.is_some_and(TaskState::is_running))
        && instance.state != Some(TaskState::Removed)
}

//! Which runs are made, and which of those that wait may begin.

use std::{collections::HashMap, sync::Arc};

use base::crash_point;

use super::{Ids, RUNS_PER_TURN_MAX, Run, Scheduling, Time, run::Length};
use crate::{
    Error,
    dag::{DEFAULT_POOL, Task},
    known::Known,
    state::{RunKind, RunState},
    store::rows::{DagRun, TaskInstance},
    timetable::{self, DataInterval, Restriction, RunTimes},
};

/// All that a new run is made from.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub kind: RunKind,
    pub run_id: String,
    pub logical_date: Option<Time>,
    pub interval: Option<DataInterval>,
    pub run_after: Time,
    pub triggered_by: &'static str,
    /// A JSON object.
    pub conf: String,
    pub note: Option<String>,
    pub backfill: Option<i64>,
}

impl Scheduling {
    /// Asks the timetable of a DAG anew: it changed, or a run of it was made or ended.
    pub(super) fn plan_next(&mut self, dag_id: &str) {
        let now = self.now();
        let Some(known) = self.dags.read().get(dag_id) else { return };
        if let Some(next) = known.next {
            self.due.remove(&(next.run_after, dag_id.to_owned()));
        }
        let last = self.last.get(dag_id).copied();
        let next = match known.is_stale {
            true => None,
            false => known.timetable.next_run(last, &Restriction::of(&known.dag), now),
        };
        let changed = self.dags.write().change(dag_id, |known| known.next = next);
        if let (Some(known), Some(next)) = (changed, next)
            && !known.is_paused
            && self.options.follows_schedules
            && self.active_runs(dag_id, None) < known.active_runs_max()
        {
            self.due.insert((next.run_after, dag_id.to_owned()));
        }
    }

    /// Runs of a DAG that wait or run: of one backfill, or of none.
    pub(super) fn active_runs(&self, dag_id: &str, backfill: Option<i64>) -> usize {
        let of = |run: &&Run| run.row.dag_id == dag_id && run.row.backfill == backfill;
        self.runs.values().filter(of).count()
    }

    /// Whether more are due than one turn makes.
    pub(super) async fn make_due_runs(&mut self, now: Time) -> Result<bool, Error> {
        for _run in 0..RUNS_PER_TURN_MAX {
            let Some((at, dag_id)) = self.due.first().cloned() else { return Ok(false) };
            if at > now {
                return Ok(false);
            }
            self.due.pop_first();
            let Some(known) = self.dags.read().get(&dag_id) else { continue };
            let Some(times) = known.next else { continue };
            self.make_scheduled(&known, times).await?;
            self.last.insert(dag_id.clone(), times.interval);
            self.plan_next(&dag_id);
        }
        Ok(true)
    }

    async fn make_scheduled(&mut self, known: &Arc<Known>, times: RunTimes) -> Result<(), Error> {
        let logical_date = Some(times.logical_date());
        let dag_id = &known.dag.dag_id;
        // Someone may have triggered a run for this date, or a backfill made it: then the schedule goes on after it.
        if self.has_logical_date(dag_id, times.logical_date()).await? {
            return Ok(());
        }
        let run_id = timetable::run_id(timetable::RunType::Scheduled, times.run_after, None);
        self.make_run(
            known,
            NewRun {
                kind: RunKind::Scheduled,
                run_id,
                logical_date,
                interval: Some(times.interval),
                run_after: times.run_after,
                triggered_by: "timetable",
                conf: "{}".to_owned(),
                note: None,
                backfill: None,
            },
        );
        Ok(())
    }

    pub(super) async fn has_logical_date(&self, dag_id: &str, date: Time) -> Result<bool, Error> {
        if self.runs.values().any(|run| run.row.dag_id == dag_id && run.row.logical_date == Some(date)) {
            return Ok(true);
        }
        let sql = "SELECT count(*) FROM dag_run WHERE dag_id = ?1 AND logical_date = ?2";
        Ok(self.database.count(sql, crate::cells![dag_id, date]).await? > 0)
    }

    /// A run with its task instances, queued.
    pub(super) fn make_run(&mut self, known: &Arc<Known>, new: NewRun) -> DagRun {
        let now = self.now();
        let id = Ids::next(&mut self.ids.run);
        let row = DagRun {
            id,
            dag_id: known.dag.dag_id.clone(),
            run_id: new.run_id,
            logical_date: new.logical_date,
            interval: new.interval,
            run_after: new.run_after,
            kind: new.kind,
            state: RunState::Queued,
            triggered_by: new.triggered_by.to_owned(),
            conf: new.conf,
            note: new.note,
            queued_at: Some(now),
            started_at: None,
            ended_at: None,
            decided_at: None,
            updated_at: now,
            backfill: new.backfill,
            clear_number: 0,
            version: known.version,
        };
        let mut run = Run { row, known: known.clone(), instances: Vec::new(), skips: Default::default() };
        self.add_missing_instances(&mut run, now);
        self.batch.push(run.row.save());
        self.batch.extend(run.instances.iter().map(TaskInstance::save));
        self.enqueue(run.row.run_after, id, now);
        self.timers.extend(run.row.logical_date.filter(|date| *date > now).map(|date| (date, id)));
        let row = run.row.clone();
        self.runs.insert(id, run);
        crash_point("scheduler.run.made");
        row
    }

    pub(super) fn enqueue(&mut self, run_after: Time, id: i64, now: Time) {
        self.queued.insert((run_after, id));
        self.queue_changed = true;
        if run_after > now {
            self.timers.insert((run_after, id));
        }
    }

    /// An instance for each task of its time that has none; for a mapping over literals all of them.
    pub(super) fn add_missing_instances(&mut self, run: &mut Run, now: Time) {
        let known = run.known.clone();
        for task in known.dag.tasks.values() {
            if !run.includes(task) || run.instances.iter().any(|it| it.task_id == task.task_id) {
                continue;
            }
            let count = Run::lengths(task).into_iter().try_fold(1, |count: usize, length| match length {
                Length::Known(length) => count.checked_mul(length),
                Length::XCom(..) | Length::Wrong(_) => None,
            });
            let indexes = match (&task.mapping, count) {
                (Some(_), Some(count)) if count > 0 => 0..i32::try_from(count).unwrap_or(i32::MAX),
                (_, _) => -1..0,
            };
            for map_index in indexes {
                let instance = self.new_instance(&known, task, run.row.id, map_index, now);
                run.instances.push(instance);
            }
        }
    }

    pub(super) fn new_instance(
        &mut self,
        known: &Known,
        task: &Task,
        run: i64,
        map_index: i32,
        now: Time,
    ) -> TaskInstance {
        TaskInstance {
            id: Ids::next(&mut self.ids.instance),
            run,
            task_id: task.task_id.clone(),
            map_index,
            state: None,
            try_number: 0,
            max_tries: task.retry.retries,
            started_at: None,
            ended_at: None,
            queued_at: None,
            scheduled_at: None,
            due_at: None,
            first_poke_at: None,
            pid: None,
            pool: if task.pool.is_empty() { DEFAULT_POOL.to_owned() } else { task.pool.clone() },
            pool_slots: task.pool_slots,
            queue: task.queue.clone(),
            priority_weight: known.weight(&task.task_id),
            operator: task.operator.kind.word().to_owned(),
            note: None,
            rendered: None,
            rendered_map_index: None,
            updated_at: now,
        }
    }

    /// Begins queued runs as far as `max_active_runs` and the backfills' own bounds allow.
    pub(super) fn start_queued(&mut self, now: Time) {
        if !std::mem::take(&mut self.queue_changed) || self.queued.is_empty() {
            return;
        }
        let mut running: HashMap<(String, Option<i64>), usize> = HashMap::new();
        for run in self.runs.values().filter(|run| run.row.state == RunState::Running) {
            *running.entry((run.row.dag_id.clone(), run.row.backfill)).or_default() += 1;
        }
        let is_backwards = |id: i64| {
            let backfill = self.runs.get(&id).and_then(|run| run.row.backfill);
            backfill.and_then(|id| self.backfills.get(&id)).is_some_and(|backfill| backfill.run_backwards)
        };
        // A backfill has bounds of its own, so only the order within it matters.
        let (backwards, forwards): (Vec<_>, Vec<_>) =
            self.queued.range(..=(now, i64::MAX)).copied().partition(|(_, id)| is_backwards(*id));
        let mut begun = Vec::new();
        for (run_after, id) in forwards.into_iter().chain(backwards.into_iter().rev()) {
            let Some(run) = self.runs.get(&id) else { continue };
            let max = match run.row.backfill.and_then(|id| self.backfills.get(&id)) {
                _ if !run.may_be_scheduled() => 0,
                Some(backfill) if backfill.is_paused => 0,
                Some(backfill) => usize::try_from(backfill.max_active_runs).unwrap_or(0),
                None => run.known.active_runs_max(),
            };
            let count = running.entry((run.row.dag_id.clone(), run.row.backfill)).or_default();
            if *count < max {
                *count += 1;
                begun.push((run_after, id));
            }
        }
        for (run_after, id) in begun {
            self.queued.remove(&(run_after, id));
            self.start_run(id, now);
        }
    }

    fn start_run(&mut self, id: i64, now: Time) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.row.state = RunState::Running;
        run.row.started_at = Some(now);
        run.row.updated_at = now;
        if let Some(timeout) = run.known.dag.dagrun_timeout {
            self.timers.insert((now + timeout, id));
        }
        self.batch.push(run.row.save());
        self.touched.insert(id);
    }
}

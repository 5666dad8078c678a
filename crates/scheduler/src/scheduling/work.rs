//! Runs that were touched are looked at: instances become scheduled, mappings are made, runs end; then free slots are given.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    Running, Scheduling, Time, Waiting,
    run::{Decided, Length, Past, Run},
};
use crate::{
    Error, cells,
    dag::OperatorKind,
    executor::{Cancel, Launch},
    state::{RunKind, RunState, TaskState},
    store::{Statement, rows::TaskInstance},
};

/// Instances of one mapped task, Airflow's `[core] max_map_length`.
const MAP_LENGTH_MAX: usize = 1_024;

impl Scheduling {
    /// Looks at every touched run until none is left.
    pub(super) async fn work(&mut self, now: Time) -> Result<(), Error> {
        while let Some(id) = self.touched.pop_first() {
            let Some(mut run) = self.runs.remove(&id) else { continue };
            if run.row.state == RunState::Running && run.may_be_scheduled() {
                self.look_at(&mut run, now).await?;
            }
            if run.row.state.is_finished() {
                self.forget(&run);
            } else {
                self.runs.insert(id, run);
            }
        }
        Ok(())
    }

    async fn look_at(&mut self, run: &mut Run, now: Time) -> Result<(), Error> {
        if self.timed_out(run, now) {
            return Ok(());
        }
        let past = if run.needs_past() { self.past_of(run).await? } else { None };
        loop {
            let decided = run.decide(now, past.as_ref());
            for index in &decided.changed {
                self.save(&run.instances[*index]);
            }
            let passed = self.schedule(run, &decided, now);
            let expanded = self.expand(run, &decided.to_expand, now).await?;
            if passed || expanded {
                continue;
            }
            if let Some(state) = decided.run_state
                && !run.instances.iter().any(|it| self.running.contains_key(&it.id))
            {
                self.end_run(run, state, now);
            }
            return Ok(());
        }
    }

    /// What is ready waits for a slot from now on. Whether an empty task passed at once, so that others may be ready.
    fn schedule(&mut self, run: &mut Run, decided: &Decided, now: Time) -> bool {
        let mut passed = false;
        for index in &decided.ready {
            let empty = run.task(*index).is_some_and(|task| task.operator.kind == OperatorKind::Empty);
            let instance = &mut run.instances[*index];
            // A look of a sensor belongs to the try that began with its first look.
            if instance.state != Some(TaskState::UpForReschedule) {
                instance.try_number += 1;
                instance.first_poke_at = None;
            }
            instance.scheduled_at = Some(now);
            instance.due_at = None;
            instance.updated_at = now;
            if empty {
                instance.state = Some(TaskState::Success);
                instance.started_at = Some(now);
                instance.ended_at = Some(now);
                passed = true;
            } else {
                instance.state = Some(TaskState::Scheduled);
                self.waiting.insert(waiting(&run.row.run_after, &run.instances[*index]));
            }
            self.save(&run.instances[*index]);
        }
        passed
    }

    /// Makes the instances of mapped tasks whose lists are there now.
    async fn expand(&mut self, run: &mut Run, indexes: &[usize], now: Time) -> Result<bool, Error> {
        if indexes.is_empty() {
            return Ok(false);
        }
        // The values that tasks of this very turn gave have to be readable.
        self.write_batch().await?;
        for index in indexes {
            let Some(task) = run.task(*index).cloned() else { continue };
            let count = self.mapped_count(run, Run::lengths(&task)).await?;
            match count {
                Ok(0) => {
                    let placeholder = &mut run.instances[*index];
                    placeholder.state = Some(TaskState::Skipped);
                    placeholder.updated_at = now;
                }
                Ok(count) => {
                    run.instances[*index].map_index = 0;
                    run.instances[*index].updated_at = now;
                    for map_index in 1..i32::try_from(count).unwrap_or(i32::MAX) {
                        let known = run.known.clone();
                        let instance = self.new_instance(&known, &task, run.row.id, map_index, now);
                        self.save(&instance);
                        run.instances.push(instance);
                    }
                }
                Err(reason) => {
                    tracing::warn!(
                        dag_id = run.row.dag_id,
                        task_id = task.task_id,
                        reason,
                        "cannot be mapped"
                    );
                    let placeholder = &mut run.instances[*index];
                    placeholder.state = Some(TaskState::UpstreamFailed);
                    placeholder.updated_at = now;
                }
            }
            self.save(&run.instances[*index]);
        }
        Ok(true)
    }

    async fn mapped_count(&self, run: &Run, lengths: Vec<Length>) -> Result<Result<usize, String>, Error> {
        let mut count: usize = 1;
        for length in lengths {
            let length = match length {
                Length::Known(length) => length,
                Length::XCom(task_id, key) => match self.xcom_length(run, &task_id, &key).await? {
                    Some(length) => length,
                    None => return Ok(Err(format!("{task_id} gave neither a list nor a map"))),
                },
                Length::Wrong(reason) => return Ok(Err(reason)),
            };
            count = count.saturating_mul(length);
        }
        if count > MAP_LENGTH_MAX {
            return Ok(Err(format!("{count} instances are more than {MAP_LENGTH_MAX}")));
        }
        Ok(Ok(count))
    }

    async fn xcom_length(&self, run: &Run, task_id: &str, key: &str) -> Result<Option<usize>, Error> {
        let sql = "SELECT map_index, value FROM xcom WHERE run = ?1 AND task_id = ?2 AND key = ?3";
        let rows = self.database.rows(sql, cells![run.row.id, task_id, key]).await?;
        if run.known.dag.tasks.get(task_id).is_some_and(|task| task.mapping.is_some()) {
            return Ok(Some(rows.len())); // the outputs of all its instances
        }
        let value = rows.first().and_then(|row| row[1].text()).map(serde_json::from_str::<Value>);
        Ok(match value {
            Some(Ok(Value::Array(items))) => Some(items.len()),
            Some(Ok(Value::Object(entries))) => Some(entries.len()),
            _no_list => None,
        })
    }

    /// The states that the run before this one has left, where there is one.
    async fn past_of(&mut self, run: &Run) -> Result<Option<Past>, Error> {
        let Some(logical) = run.row.logical_date else { return Ok(None) };
        let by_schedule = run.known.dag.catchup;
        let before = |it: &&Run| {
            it.row.dag_id == run.row.dag_id
                && it.row.logical_date.is_some_and(|date| date < logical)
                && (!by_schedule || it.row.kind != RunKind::Manual)
        };
        let held = self.runs.values().filter(before).max_by_key(|it| it.row.logical_date);
        let held = held.map(|it| (it.row.logical_date, it.instances.clone()));
        let sql = format!(
            "SELECT r.logical_date, r.id FROM dag_run r WHERE r.dag_id = ?1 AND r.logical_date < ?2 {} \
             ORDER BY r.logical_date DESC LIMIT 1",
            if by_schedule { "AND r.run_type <> 'manual'" } else { "" }
        );
        // A run that ended in this very turn is no longer in memory and not yet written.
        self.write_batch().await?;
        let stored = self.database.row(sql, cells![&run.row.dag_id, logical]).await?;
        let stored = stored.and_then(|row| Some((row[0].time(), row[1].int()?)));
        let instances = match (held, stored) {
            (Some((date, instances)), stored) if stored.is_none_or(|(at, _id)| date >= at) => instances,
            (_, Some((_at, id))) => self.database.instances(id).await?,
            (_, None) => return Ok(None),
        };
        let mut past = Past::new();
        for instance in instances {
            past.entry(instance.task_id).or_default().push(instance.state);
        }
        Ok(Some(past))
    }

    /// `dagrun_timeout`: the run fails and what has not ended is skipped, as Airflow does.
    fn timed_out(&mut self, run: &mut Run, now: Time) -> bool {
        let (Some(timeout), Some(started)) = (run.known.dag.dagrun_timeout, run.row.started_at) else {
            return false;
        };
        if now < started + timeout {
            return false;
        }
        for instance in &mut run.instances {
            if instance.state.is_some_and(TaskState::is_finished) {
                continue;
            }
            if let Some(running) = self.running.get(&instance.id) {
                running.cancel.stop("the run is over its dagrun_timeout");
            }
            instance.state = Some(TaskState::Skipped);
            instance.ended_at = Some(now);
            instance.updated_at = now;
            self.batch.push(instance.save());
        }
        self.end_run(run, RunState::Failed, now);
        true
    }

    pub(super) fn end_run(&mut self, run: &mut Run, state: RunState, now: Time) {
        run.row.state = state;
        run.row.ended_at = Some(now);
        run.row.decided_at = Some(now);
        run.row.updated_at = now;
        self.batch.push(run.row.save());
    }

    /// A run that has ended leaves the memory; others may begin in its place.
    pub(super) fn forget(&mut self, run: &Run) {
        let dag_id = run.row.dag_id.clone();
        for instance in &run.instances {
            self.waiting.remove(&waiting(&run.row.run_after, instance));
        }
        self.queued.remove(&(run.row.run_after, run.row.id));
        self.queue_changed = true;
        self.plan_next(&dag_id);
        self.touch_later(&dag_id);
        self.end_backfill(run.row.backfill);
    }

    /// Runs of this DAG whose tasks look at the past.
    pub(super) fn touch_later(&mut self, dag_id: &str) {
        let later = self.runs.values().filter(|run| run.row.dag_id == dag_id && run.needs_past());
        self.touched.extend(later.map(|run| run.row.id));
    }

    /// Gives free slots to those that wait, in Airflow's order.
    pub(super) fn launch(&mut self, now: Time) {
        let mut free = self.options.parallelism_max.saturating_sub(self.running.len());
        if free == 0 || self.waiting.is_empty() {
            return;
        }
        let mut counts = Counts::of(&self.running);
        let mut chosen = Vec::new();
        for waiting in &self.waiting {
            if free == 0 {
                break;
            }
            let Some(run) = self.runs.get(&waiting.run) else { continue };
            let Some(index) = run.index_of(waiting.instance) else { continue };
            if !run.may_be_scheduled() || !counts.allow(run, index, &self.pools, &self.running) {
                continue;
            }
            counts.add(run, &run.instances[index]);
            chosen.push(waiting.clone());
            free -= 1;
        }
        for waiting in chosen {
            self.waiting.remove(&waiting);
            self.begin(&waiting, now);
        }
    }

    fn begin(&mut self, waiting: &Waiting, now: Time) {
        let Some(run) = self.runs.get_mut(&waiting.run) else { return };
        let Some(index) = run.index_of(waiting.instance) else { return };
        let instance = &mut run.instances[index];
        instance.state = Some(TaskState::Running);
        instance.queued_at = Some(now);
        instance.started_at = Some(instance.first_poke_at.unwrap_or(now));
        instance.ended_at = None;
        instance.pid = None;
        instance.updated_at = now;
        let cancel = Arc::new(Cancel::default());
        let running = Running {
            run: run.row.id,
            dag_id: run.row.dag_id.clone(),
            task_id: instance.task_id.clone(),
            pool: instance.pool.clone(),
            pool_slots: instance.pool_slots,
            cancel: cancel.clone(),
        };
        self.batch.push(instance.save());
        if instance.try_number > 1 && instance.first_poke_at.is_none() {
            let sql = "DELETE FROM xcom WHERE run = ?1 AND task_id = ?2 AND map_index = ?3";
            self.batch.push(Statement::new(sql, cells![instance.run, &instance.task_id, instance.map_index]));
        }
        self.launches.push(Launch {
            run: run.row.clone(),
            instance: instance.clone(),
            dag: run.known.dag.clone(),
            cancel,
        });
        self.running.insert(waiting.instance, running);
    }
}

/// Where an instance stands among those that wait.
pub(super) fn waiting(run_after: &Time, instance: &TaskInstance) -> Waiting {
    Waiting {
        priority: Reverse(instance.priority_weight),
        run_after: *run_after,
        run: instance.run,
        map_index: instance.map_index,
        instance: instance.id,
    }
}

/// How many run now, by each thing that has a bound.
#[derive(Debug, Default)]
struct Counts {
    pools: HashMap<String, i64>,
    runs: HashMap<i64, u32>,
    tasks: HashMap<(String, String), u32>,
    tasks_of_run: HashMap<(i64, String), u32>,
}

impl Counts {
    fn of(running: &HashMap<i64, Running>) -> Self {
        let mut counts = Counts::default();
        for it in running.values() {
            counts.count(it.run, &it.dag_id, &it.task_id, &it.pool, it.pool_slots);
        }
        counts
    }

    fn add(&mut self, run: &Run, instance: &TaskInstance) {
        self.count(run.row.id, &run.row.dag_id, &instance.task_id, &instance.pool, instance.pool_slots);
    }

    fn count(&mut self, run: i64, dag_id: &str, task_id: &str, pool: &str, slots: u32) {
        *self.pools.entry(pool.to_owned()).or_default() += i64::from(slots);
        *self.runs.entry(run).or_default() += 1;
        *self.tasks.entry((dag_id.to_owned(), task_id.to_owned())).or_default() += 1;
        *self.tasks_of_run.entry((run, task_id.to_owned())).or_default() += 1;
    }

    /// `max_active_tasks` is counted in each run, as Airflow 3 does.
    fn allow(
        &self,
        run: &Run,
        index: usize,
        pools: &HashMap<String, i64>,
        running: &HashMap<i64, Running>,
    ) -> bool {
        let instance = &run.instances[index];
        // A process of an earlier try that was told to end may still be there.
        if running.contains_key(&instance.id) {
            return false;
        }
        let Some(slots) = pools.get(&instance.pool) else { return false };
        let used = self.pools.get(&instance.pool).copied().unwrap_or(0);
        if *slots >= 0 && used + i64::from(instance.pool_slots) > *slots {
            return false;
        }
        if self.runs.get(&run.row.id).copied().unwrap_or(0) >= run.known.dag.max_active_tasks {
            return false;
        }
        let Some(task) = run.task(index) else { return false };
        let of_dag = (run.row.dag_id.clone(), instance.task_id.clone());
        let of_run = (run.row.id, instance.task_id.clone());
        task.max_active_tis_per_dag.is_none_or(|max| self.tasks.get(&of_dag).copied().unwrap_or(0) < max)
            && task
                .max_active_tis_per_dagrun
                .is_none_or(|max| self.tasks_of_run.get(&of_run).copied().unwrap_or(0) < max)
    }
}

//! What follows when a task's process or sensor has ended, or turns out to have died with an earlier life.

use chrono::TimeDelta;
use serde_json::Value;

use super::{
    Event, Scheduling, Time,
    run::{Run, SKIP_KEY, Skips},
};
use crate::{
    dag::{RETRY_DELAY_LIMIT, Task},
    executor::{Finished, Outcome},
    state::{RunState, TaskState},
    store::rows::{TaskInstance, save_xcom},
};

impl Scheduling {
    pub(super) fn started(&mut self, instance: i64, pid: u32) {
        let Some(running) = self.running.get(&instance) else { return };
        let Some(run) = self.runs.get_mut(&running.run) else { return };
        let Some(index) = run.index_of(instance) else { return };
        run.instances[index].pid = Some(pid.into());
        // Written with the next change: a process that outlives us is found by its environment, not by this.
    }

    /// Takes the end of a task into its run. What someone decided meanwhile, by the API or a timeout, stands.
    pub(super) fn finished(&mut self, finished: Finished) {
        let now = self.now();
        let Some(running) = self.running.remove(&finished.instance) else { return };
        self.touched.insert(running.run);
        let Some(mut run) = self.runs.remove(&running.run) else { return };
        if let Some(index) = run.index_of(finished.instance) {
            let instance = &mut run.instances[index];
            instance.rendered = finished.rendered.clone().or(instance.rendered.take());
            instance.rendered_map_index = finished.rendered_map_index.clone();
            match instance.state {
                Some(TaskState::Running) => self.apply(&mut run, index, finished, now),
                Some(TaskState::Restarting) => {
                    self.batch.push(instance.remember());
                    let retries =
                        run.known.dag.tasks.get(&instance.task_id).map_or(0, |task| task.retry.retries);
                    instance.max_tries = instance.try_number + retries;
                    reset(instance, now);
                }
                Some(_decided) => {}
                None => {}
            }
            self.save(&run.instances[index]);
        }
        let dag_id = run.row.dag_id.clone();
        self.runs.insert(running.run, run);
        self.touch_later(&dag_id);
    }

    fn apply(&mut self, run: &mut Run, index: usize, finished: Finished, now: Time) {
        for (key, value) in &finished.xcoms {
            self.leave(run, index, key, value, now);
        }
        let instance = &mut run.instances[index];
        instance.updated_at = now;
        instance.ended_at = Some(now);
        match finished.outcome {
            Outcome::Success => instance.state = Some(TaskState::Success),
            Outcome::Skipped => instance.state = Some(TaskState::Skipped),
            Outcome::Failed { may_retry } => self.failed(run, index, may_retry, now),
            Outcome::Reschedule { at } => {
                instance.state = Some(TaskState::UpForReschedule);
                instance.first_poke_at = instance.started_at;
                instance.due_at = Some(at);
                self.timers.insert((at, run.row.id));
            }
        }
        if let Some(skips) = finished.skips {
            self.take_skips(run, index, skips, now);
        }
    }

    fn leave(&mut self, run: &Run, index: usize, key: &str, value: &Value, now: Time) {
        let instance = &run.instances[index];
        let text = value.to_string();
        self.batch.push(save_xcom(run.row.id, &instance.task_id, instance.map_index, key, &text, now));
    }

    fn take_skips(&mut self, run: &mut Run, index: usize, skips: Skips, now: Time) {
        self.leave(run, index, SKIP_KEY, &skips.to_json(), now);
        let (task_id, map_index) = (run.instances[index].task_id.clone(), run.instances[index].map_index);
        let ids = match &skips {
            Skips::Followed(followed) => run.left_out(&task_id, followed),
            Skips::Skipped(ids) => ids.clone(),
        };
        for changed in run.skip(&ids, map_index, now) {
            self.save(&run.instances[changed]);
        }
        run.skips.insert((task_id, map_index), skips);
    }

    /// Another try, where there is one left; else failed for good.
    fn failed(&mut self, run: &mut Run, index: usize, may_retry: bool, now: Time) {
        let task = run.task(index).cloned();
        let instance = &mut run.instances[index];
        let task = task.filter(|_| may_retry && instance.try_number <= instance.max_tries);
        let Some(task) = task else {
            instance.state = Some(TaskState::Failed);
            return;
        };
        let due = now + retry_delay(&task, &run.row.dag_id, instance);
        instance.state = Some(TaskState::UpForRetry);
        instance.due_at = Some(due);
        instance.first_poke_at = None;
        self.batch.push(instance.remember());
        self.timers.insert((due, run.row.id));
    }

    /// The process of a task died with an earlier life: Airflow's zombie.
    pub(super) fn bury(&mut self, run: &mut Run, index: usize, now: Time) {
        let instance = &mut run.instances[index];
        if instance.state == Some(TaskState::Restarting) {
            self.batch.push(instance.remember());
            reset(instance, now);
        } else {
            self.executor.note_zombie(&run.row, instance);
            instance.ended_at = Some(now);
            instance.updated_at = now;
            self.failed(run, index, true, now);
        }
        self.save(&run.instances[index]);
    }

    /// The reports of tasks that ended before the scheduling stopped would be lost: they are written still.
    pub(super) async fn take_last_reports(&mut self) {
        self.events.close();
        while let Ok(event) = self.events.try_recv() {
            if let Event::Finished(finished) = event
                && !finished.was_ended
            {
                self.finished(*finished);
            }
        }
        if let Err(error) = self.write_batch().await {
            tracing::warn!(%error, "the last reports of tasks could not be written");
        }
    }

    /// Sets the state of a run that the API names, and of what has not ended in it.
    pub(super) fn set_run_state(&mut self, run: &mut Run, state: RunState, now: Time) {
        if !state.is_finished() {
            run.row.state = state;
            run.row.ended_at = None;
            run.row.started_at = None;
            run.row.queued_at = Some(now);
            run.row.updated_at = now;
            self.batch.push(run.row.save());
            self.enqueue(run.row.run_after, run.row.id, now);
            return;
        }
        let running_becomes = if state == RunState::Success { TaskState::Success } else { TaskState::Failed };
        for index in 0..run.instances.len() {
            let instance = &mut run.instances[index];
            match instance.state {
                Some(state) if state.is_finished() => continue,
                Some(TaskState::Running | TaskState::Restarting | TaskState::UpForReschedule) => {
                    instance.state = Some(running_becomes);
                    if let Some(running) = self.running.get(&instance.id) {
                        running.cancel.stop("the state of the run was set");
                    }
                }
                Some(_) | None => instance.state = Some(TaskState::Skipped),
            }
            instance.ended_at = Some(now);
            instance.updated_at = now;
            self.save(&run.instances[index]);
        }
        self.end_run(run, state, now);
    }
}

/// As before its first try; the number of the last one stays.
pub(super) fn reset(instance: &mut TaskInstance, now: Time) {
    instance.state = None;
    instance.started_at = None;
    instance.ended_at = None;
    instance.queued_at = None;
    instance.scheduled_at = None;
    instance.due_at = None;
    instance.first_poke_at = None;
    instance.pid = None;
    instance.updated_at = now;
}

/// How long to wait before the next try: constant, or growing with each, spread so that not all tasks come at once.
fn retry_delay(task: &Task, dag_id: &str, instance: &TaskInstance) -> TimeDelta {
    let retry = &task.retry;
    let factor = retry.exponential_backoff;
    let mut delay = retry.delay;
    if factor > 0.0 && (factor - 1.0).abs() > f64::EPSILON {
        let tries = i32::try_from(instance.try_number.saturating_sub(1)).unwrap_or(i32::MAX);
        let least = (retry.delay.as_seconds_f64() * factor.powi(tries)).ceil();
        let least = least.clamp(1.0, RETRY_DELAY_LIMIT.as_seconds_f64()) as i64;
        let seed = format!("{dag_id}#{}#{}#{}", task.task_id, instance.map_index, instance.try_number);
        let spread = i64::try_from(u64::from(crate::hash32(&seed))).unwrap_or(0) % least;
        delay = TimeDelta::seconds(least + spread);
    }
    delay.min(retry.delay_max.unwrap_or(RETRY_DELAY_LIMIT)).min(RETRY_DELAY_LIMIT)
}

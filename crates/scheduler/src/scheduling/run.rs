//! A run that is at work, in memory: its row, its task instances, and what can be decided of it now.
//!
//! Nothing here reads the database or the clock: what is decided follows from the arguments alone.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::rules::{Upstream, Verdict, judge};
use crate::{
    dag::{Arg, Task},
    known::Known,
    state::{RunKind, RunState, TaskState},
    store::rows::{DagRun, TaskInstance},
};

type Time = DateTime<Utc>;

/// The XCom key under which a task that skips others keeps which: Airflow's own.
pub const SKIP_KEY: &str = "skipmixin_key";

/// What a branch or a short circuit decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skips {
    /// Only these of its downstream tasks go on.
    Followed(Vec<String>),
    Skipped(Vec<String>),
}

impl Skips {
    pub fn to_json(&self) -> Value {
        match self {
            Skips::Followed(ids) => json!({ "followed": ids }),
            Skips::Skipped(ids) => json!({ "skipped": ids }),
        }
    }

    pub fn from_json(value: &Value) -> Option<Self> {
        let ids = |key: &str| {
            let ids = value.get(key)?.as_array()?.iter();
            Some(ids.filter_map(Value::as_str).map(str::to_owned).collect())
        };
        ids("followed").map(Skips::Followed).or_else(|| ids("skipped").map(Skips::Skipped))
    }

    fn skips(&self, task_id: &str) -> bool {
        match self {
            Skips::Followed(ids) => !ids.iter().any(|id| id == task_id),
            Skips::Skipped(ids) => ids.iter().any(|id| id == task_id),
        }
    }
}

/// What the run before this one left, for `depends_on_past`: the states by task.
pub type Past = HashMap<String, Vec<Option<TaskState>>>;

#[derive(Debug, Clone)]
pub struct Run {
    pub row: DagRun,
    pub known: Arc<Known>,
    pub instances: Vec<TaskInstance>,
    /// By the task that decided it.
    pub skips: HashMap<(String, i32), Skips>,
}

/// What a look at a run found. Indexes are those of `instances`.
#[derive(Debug, Default)]
pub struct Decided {
    pub changed: Vec<usize>,
    /// May be scheduled now.
    pub ready: Vec<usize>,
    /// Their rule is met and they are to be mapped over what these tasks gave.
    pub to_expand: Vec<usize>,
    pub run_state: Option<RunState>,
}

/// Whether a list is as long as the file says, or only a task knows.
pub enum Length {
    Known(usize),
    /// Of what this task gave under this key.
    XCom(String, String),
    Wrong(String),
}

impl Run {
    pub fn task(&self, index: usize) -> Option<&Task> {
        self.known.dag.tasks.get(&self.instances[index].task_id)
    }

    pub fn index_of(&self, instance: i64) -> Option<usize> {
        self.instances.iter().position(|it| it.id == instance)
    }

    /// Its DAG is neither paused nor gone.
    pub fn may_be_scheduled(&self) -> bool {
        !self.known.is_paused && !self.known.is_stale
    }

    pub fn needs_past(&self) -> bool {
        self.known.dag.tasks.values().any(|task| task.depends_on_past)
    }

    /// Looks at every instance that waits for others, until nothing changes any more.
    pub fn decide(&mut self, now: Time, past: Option<&Past>) -> Decided {
        let mut decided = Decided::default();
        loop {
            let counts = self.counts();
            let mut again = false;
            for index in 0..self.instances.len() {
                match self.look(index, &counts, now, past) {
                    Look::Nothing => {}
                    Look::Ready => decided.ready.push(index),
                    Look::Expand => decided.to_expand.push(index),
                    Look::End(state) => {
                        self.end(index, state, now);
                        decided.changed.push(index);
                        again = true;
                    }
                }
            }
            if !again {
                break;
            }
            decided.ready.clear();
            decided.to_expand.clear();
        }
        if decided.ready.is_empty() && decided.to_expand.is_empty() {
            decided.run_state = self.outcome(now);
        }
        decided
    }

    fn end(&mut self, index: usize, state: TaskState, now: Time) {
        let instance = &mut self.instances[index];
        instance.state = Some(state);
        // As Airflow: what never ran still has the time at which that was decided.
        instance.started_at = Some(now);
        instance.ended_at = Some(now);
        instance.updated_at = now;
    }

    /// How the instances of each task ended.
    fn counts(&self) -> HashMap<String, Upstream> {
        let mut counts: HashMap<String, Upstream> = HashMap::with_capacity(self.known.dag.tasks.len());
        for instance in &self.instances {
            match counts.get_mut(&instance.task_id) {
                Some(count) => count.add(instance.state),
                None => {
                    let mut count = Upstream::default();
                    count.add(instance.state);
                    counts.insert(instance.task_id.clone(), count);
                }
            }
        }
        counts
    }

    fn look(&self, index: usize, counts: &HashMap<String, Upstream>, now: Time, past: Option<&Past>) -> Look {
        let instance = &self.instances[index];
        let waits = match instance.state {
            None => true,
            Some(TaskState::UpForRetry | TaskState::UpForReschedule) => {
                instance.due_at.is_none_or(|due| due <= now)
            }
            Some(_elsewhere) => false,
        };
        let Some(task) = self.known.dag.tasks.get(&instance.task_id) else { return Look::Nothing };
        if !waits || !self.dates_allow(task, now) {
            return Look::Nothing;
        }
        // What has begun is not asked again whether it may begin.
        if instance.state.is_some() {
            return Look::Ready;
        }
        let past_met = self.past_allows(task, past);
        if self.skipped_by_upstream(task, instance.map_index) {
            let may = past_met || !task.wait_for_past_depends_before_skipping;
            return if may { Look::End(TaskState::Skipped) } else { Look::Nothing };
        }
        let mut upstream = Upstream::default();
        for id in &task.upstream {
            upstream.merge(counts.get(id).unwrap_or(&Upstream { total: 1, ..Upstream::default() }));
        }
        if let Some(state) = self.mapping_ends(task, instance.map_index) {
            return Look::End(state);
        }
        match judge(task.trigger_rule, &upstream, instance.map_index) {
            Verdict::End(TaskState::Skipped) if task.wait_for_past_depends_before_skipping && !past_met => {
                Look::Nothing
            }
            Verdict::End(state) => Look::End(state),
            Verdict::Wait => Look::Nothing,
            Verdict::Run if !past_met => Look::Nothing,
            Verdict::Run if task.mapping.is_some() && instance.map_index < 0 => {
                if self.sources_done(task, counts) { Look::Expand } else { Look::Nothing }
            }
            Verdict::Run => Look::Ready,
        }
    }

    /// Whether it has an instance of this task: none of one that begins after its date or has ended before it.
    pub fn includes(&self, task: &Task) -> bool {
        self.row.kind == RunKind::Backfill
            || self.row.logical_date.is_none_or(|logical| {
                task.start_date.is_none_or(|start| start <= logical)
                    && task.end_date.is_none_or(|end| logical <= end)
            })
    }

    fn dates_allow(&self, task: &Task, now: Time) -> bool {
        self.row
            .logical_date
            .is_none_or(|logical| logical <= now && task.end_date.is_none_or(|end| logical <= end))
    }

    fn past_allows(&self, task: &Task, past: Option<&Past>) -> bool {
        let (true, Some(past)) = (task.depends_on_past, past) else { return true };
        let good = |states: &Vec<Option<TaskState>>| {
            states.iter().all(|state| matches!(state, Some(TaskState::Success | TaskState::Skipped)))
        };
        let Some(own) = past.get(&task.task_id) else { return task.ignore_first_depends_on_past };
        let downstream = || task.downstream.iter().filter_map(|id| past.get(id)).all(good);
        good(own) && (!task.wait_for_downstream || downstream())
    }

    fn skipped_by_upstream(&self, task: &Task, map_index: i32) -> bool {
        task.upstream.iter().any(|id| {
            let skips =
                self.skips.get(&(id.clone(), -1)).or_else(|| self.skips.get(&(id.clone(), map_index)));
            skips.is_some_and(|skips| skips.skips(&task.task_id))
        })
    }

    /// Tasks whose output this one is mapped over.
    fn sources<'a>(&self, task: &'a Task) -> impl Iterator<Item = &'a str> {
        let mapping = task.mapping.iter().flat_map(|mapping| mapping.expand.values());
        mapping.filter_map(|arg| match arg {
            Arg::XCom { task_id, .. } => Some(task_id.as_str()),
            _literal => None,
        })
    }

    /// A mapping over what failed or was skipped is not made, whatever the trigger rule.
    fn mapping_ends(&self, task: &Task, map_index: i32) -> Option<TaskState> {
        if map_index >= 0 {
            return None;
        }
        let sources: Vec<&str> = self.sources(task).collect();
        // One that was itself expanded gave what it gave: its instances are the trigger rule's affair.
        let is_whole = |it: &&TaskInstance| it.map_index < 0 && sources.contains(&it.task_id.as_str());
        let mut ended = self.instances.iter().filter(is_whole).filter_map(|it| it.state);
        let is_failed = ended.clone().any(TaskState::is_failed);
        let is_skipped = ended.any(|state| state == TaskState::Skipped);
        let skipped = is_skipped.then_some(TaskState::Skipped);
        if is_failed { Some(TaskState::UpstreamFailed) } else { skipped }
    }

    fn sources_done(&self, task: &Task, counts: &HashMap<String, Upstream>) -> bool {
        self.sources(task).all(|id| counts.get(id).is_some_and(|count| count.done() == count.total))
    }

    /// The run's final state, where nothing is left to do.
    fn outcome(&self, now: Time) -> Option<RunState> {
        let unfinished = || self.instances.iter().filter(|it| !it.state.is_some_and(TaskState::is_finished));
        if unfinished().next().is_none() {
            let leaf = |it: &&TaskInstance| {
                self.known.dag.tasks.get(&it.task_id).is_some_and(|task| task.downstream.is_empty())
            };
            let failed = |it: &TaskInstance| it.state.is_some_and(TaskState::is_failed);
            return Some(if self.instances.iter().filter(leaf).any(failed) {
                RunState::Failed
            } else {
                RunState::Success
            });
        }
        // Nothing runs, nothing waits for its time, and nothing may start: it never will.
        let hopeless = unfinished().all(|it| match it.state {
            None => self
                .known
                .dag
                .tasks
                .get(&it.task_id)
                .is_some_and(|task| !task.depends_on_past && self.dates_allow(task, now)),
            Some(_moving) => false,
        });
        hopeless.then_some(RunState::Failed)
    }

    /// How long each list of a mapping is, in the file's order.
    pub fn lengths(task: &Task) -> Vec<Length> {
        let Some(mapping) = &task.mapping else { return Vec::new() };
        mapping
            .expand
            .iter()
            .map(|(name, arg)| match arg {
                Arg::List(items) => Length::Known(items.len()),
                Arg::Map(entries) => Length::Known(entries.len()),
                Arg::XCom { task_id, key } => Length::XCom(task_id.clone(), key.clone()),
                Arg::Null
                | Arg::Boolean(_)
                | Arg::Int(_)
                | Arg::Float(_)
                | Arg::String(_)
                | Arg::Date(_)
                | Arg::DateTime(_)
                | Arg::Time(_)
                | Arg::Duration(_) => Length::Wrong(format!("{name} is neither a list nor a map")),
            })
            .collect()
    }

    /// The tasks that a branch leaves out: its direct downstream ones that are not followed.
    pub fn left_out(&self, task_id: &str, followed: &[String]) -> Vec<String> {
        let Some(task) = self.known.dag.tasks.get(task_id) else { return Vec::new() };
        task.downstream.iter().filter(|id| !followed.contains(*id)).cloned().collect()
    }

    /// Marks what a branch or a short circuit leaves out.
    pub fn skip(&mut self, ids: &[String], map_index: i32, now: Time) -> Vec<usize> {
        let mut changed = Vec::new();
        for index in 0..self.instances.len() {
            let instance = &self.instances[index];
            let same = map_index < 0 || instance.map_index < 0 || instance.map_index == map_index;
            if instance.state.is_none() && same && ids.contains(&instance.task_id) {
                self.end(index, TaskState::Skipped, now);
                changed.push(index);
            }
        }
        changed
    }
}

enum Look {
    Nothing,
    Ready,
    Expand,
    End(TaskState),
}

#[cfg(test)]
mod tests;

//! The DAGs that are known now: what the files say, and what the database remembers of each.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use parking_lot::RwLock;

use crate::{
    dag::{Dag, Task, WeightRule},
    timetable::{RunTimes, Timetable},
};

/// A DAG, ready to be scheduled.
#[derive(Debug, Clone)]
pub struct Known {
    pub dag: Arc<Dag>,
    pub timetable: Timetable,
    /// Of each task, with those that the weight rule adds.
    pub weights: Arc<HashMap<String, i32>>,
    pub is_paused: bool,
    /// Its file is gone: it is not scheduled, and its runs wait for it.
    pub is_stale: bool,
    /// Of the file's content, counted from 1.
    pub version: i64,
    pub version_at: DateTime<Utc>,
    pub last_parsed_at: DateTime<Utc>,
    /// Of the file's content.
    pub fingerprint: String,
    /// The next run that the schedule wants.
    pub next: Option<RunTimes>,
}

impl Known {
    pub fn new(dag: Dag, now: DateTime<Utc>) -> Self {
        let weights = dag.tasks.values().map(|task| (task.task_id.clone(), weight(&dag, task))).collect();
        Self {
            timetable: Timetable::of(&dag, false),
            weights: Arc::new(weights),
            dag: Arc::new(dag),
            is_paused: false,
            is_stale: false,
            version: 1,
            version_at: now,
            last_parsed_at: now,
            fingerprint: String::new(),
            next: None,
        }
    }

    pub fn active_runs_max(&self) -> usize {
        let own = self.dag.max_active_runs;
        let max = self.timetable.active_runs_max().map_or(own, |max| max.min(own));
        usize::try_from(max).unwrap_or(usize::MAX)
    }

    pub fn weight(&self, task_id: &str) -> i32 {
        self.weights.get(task_id).copied().unwrap_or(1)
    }
}

/// A task's own weight and those of all that the rule names, each once.
fn weight(dag: &Dag, task: &Task) -> i32 {
    let relatives = match task.weight_rule {
        WeightRule::Absolute => return task.priority_weight,
        WeightRule::Downstream => all_relatives(dag, &task.task_id, |task| &task.downstream),
        WeightRule::Upstream => all_relatives(dag, &task.task_id, |task| &task.upstream),
    };
    let weights =
        relatives.iter().filter_map(|id| dag.tasks.get(id.as_str())).map(|task| task.priority_weight);
    weights.fold(task.priority_weight, i32::saturating_add)
}

/// All tasks that are reached from one by a relation, without itself.
pub fn all_relatives<'a>(
    dag: &'a Dag,
    task_id: &str,
    of: impl Fn(&'a Task) -> &'a indexmap::IndexSet<String>,
) -> indexmap::IndexSet<String> {
    let mut found = indexmap::IndexSet::new();
    let mut open: Vec<&str> =
        dag.tasks.get(task_id).map(|task| of(task).iter().map(String::as_str).collect()).unwrap_or_default();
    while let Some(id) = open.pop() {
        if found.insert(id.to_owned())
            && let Some(task) = dag.tasks.get(id)
        {
            open.extend(of(task).iter().map(String::as_str));
        }
    }
    found
}

/// What is wrong with a file.
#[derive(Debug, Clone)]
pub struct ImportError {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// Absolute.
    pub file: PathBuf,
    /// As people see it.
    pub text: String,
}

#[derive(Debug, Default)]
pub struct Dags {
    pub by_id: BTreeMap<String, Arc<Known>>,
    pub import_errors: Vec<ImportError>,
    /// Counts import errors, so that each keeps its number while its text stays the same.
    pub import_errors_count: i64,
}

/// Shared by the scheduling, which writes it, and the API, which reads it.
pub type SharedDags = Arc<RwLock<Dags>>;

impl Dags {
    pub fn get(&self, dag_id: &str) -> Option<Arc<Known>> {
        self.by_id.get(dag_id).cloned()
    }

    pub fn has_import_error(&self, known: &Known) -> bool {
        self.import_errors.iter().any(|error| error.file == known.dag.file)
    }

    /// Changes one, for whoever reads it from now on.
    pub fn change(&mut self, dag_id: &str, change: impl FnOnce(&mut Known)) -> Option<Arc<Known>> {
        let known = self.by_id.get_mut(dag_id)?;
        change(Arc::make_mut(known));
        Some(known.clone())
    }
}

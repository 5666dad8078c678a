//! What a DAG file means, as plain data in Airflow's words: nothing here reads a file, runs a task or knows the time.
//!
//! `files` makes these from `dags/*.yml`, with every default already filled in: whoever runs a DAG looks up no default again.

use std::{path::PathBuf, sync::Arc};

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use indexmap::{IndexMap, IndexSet};

/// Airflow's `default_pool`, which is always there.
pub const DEFAULT_POOL: &str = "default_pool";
/// Airflow's `[operators] default_queue`.
pub const DEFAULT_QUEUE: &str = "default";
/// Airflow's `[operators] default_owner`.
pub const DEFAULT_OWNER: &str = "airflow";
/// Airflow's `[core] max_active_runs_per_dag` and `max_active_tasks_per_dag`.
pub const MAX_ACTIVE_DEFAULT: u32 = 16;
/// Airflow's `[core] default_task_retry_delay`.
pub const RETRY_DELAY_DEFAULT: TimeDelta = TimeDelta::seconds(300);
/// Airflow's `[core] max_task_retry_delay`: no wait between two tries is longer, whatever the back-off says.
pub const RETRY_DELAY_LIMIT: TimeDelta = TimeDelta::seconds(24 * 60 * 60);
/// Python's timedelta holds a little less than this many seconds.
const SECONDS_MAX: f64 = 86_399_999_913_600.0;
/// The XCom key of what a task returns.
pub const RETURN_KEY: &str = "return_value";

/// One DAG of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Dag {
    pub dag_id: String,
    /// `dag_display_name`; the id where none is given.
    pub display_name: String,
    pub description: Option<String>,
    /// The DAG's own text, or that of `doc_md_file_path`.
    pub doc_md: Option<String>,
    /// Sorted; `dagfactory` is among them, as dag-factory adds it.
    pub tags: Vec<String>,
    pub schedule: Schedule,
    /// In which cron expressions are read: the zone of `start_date`, else UTC.
    pub timezone: Tz,
    /// The DAG's own. Those of `default_args` are in the tasks; [`Dag::earliest`] looks at both.
    pub start_date: Option<DateTime<Utc>>,
    pub end_date: Option<DateTime<Utc>>,
    pub catchup: bool,
    pub max_active_runs: u32,
    /// Running task instances of each of its runs, as Airflow 3 counts them.
    pub max_active_tasks: u32,
    pub dagrun_timeout: Option<TimeDelta>,
    /// `None`: as the installation says.
    pub is_paused_upon_creation: Option<bool>,
    pub render_template_as_native_obj: bool,
    /// By name, in the file's order.
    pub params: IndexMap<String, Param>,
    /// Constants that templates see beside Airflow's own variables.
    pub user_defined_macros: IndexMap<String, Arg>,
    /// Where templates that are files are looked for: the file's own folder first, then `template_searchpath`.
    pub template_folders: Vec<PathBuf>,
    /// The DAG file, absolute, and as people see it.
    pub file: PathBuf,
    pub file_shown: Arc<str>,
    /// By full id, in an order in which each comes after its upstream tasks of the file.
    pub tasks: IndexMap<String, Task>,
    /// By full id, parents before children; the root group has no entry.
    pub groups: IndexMap<String, TaskGroup>,
}

impl Dag {
    /// Owners of its tasks as Airflow shows them: sorted, joined with commas.
    pub fn owners(&self) -> String {
        let owners: std::collections::BTreeSet<&str> =
            self.tasks.values().map(|task| task.owner.as_str()).collect();
        owners.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// The earliest time at which any task may run: what timetables take as their restriction.
    pub fn earliest(&self) -> Option<DateTime<Utc>> {
        let starts = self.tasks.values().filter_map(|task| task.start_date);
        self.start_date.into_iter().chain(starts).min()
    }

    /// Whether it is in this group, or in one within it.
    pub fn is_in_group(&self, task: &Task, group: &str) -> bool {
        let parent = |id: &&str| self.groups.get(*id).and_then(|group| group.parent.as_deref());
        std::iter::successors(task.group.as_deref(), parent).any(|id| id == group)
    }

    /// Tasks whose upstream nobody is.
    pub fn roots(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().filter(|task| task.upstream.is_empty())
    }

    /// Tasks whose downstream nobody is: they decide a run's state.
    pub fn leaves(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().filter(|task| task.downstream.is_empty())
    }
}

/// When runs are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// `none` or nothing: only triggered.
    None,
    /// `@once`.
    Once,
    /// `@continuous`.
    Continuous,
    /// Five fields, or a preset such as `@daily` as it was written.
    Cron(String),
    /// `{__type__: datetime.timedelta, hours: 6}`.
    Delta(TimeDelta),
}

/// A value of `params`.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    pub value: Arg,
    pub description: Option<String>,
    /// JSON Schema, from `{__type__: airflow.sdk.Param, …}`; empty for a plain value.
    pub schema: serde_json::Map<String, serde_json::Value>,
}

/// One task. `task_id` has its groups in front: `load.check`.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub task_id: String,
    /// Without the groups.
    pub label: String,
    /// `task_display_name`; the id where none is given.
    pub display_name: String,
    /// Full id of the group it is in.
    pub group: Option<String>,
    pub operator: Operator,
    pub mapping: Option<Mapping>,
    pub upstream: IndexSet<String>,
    pub downstream: IndexSet<String>,
    pub trigger_rule: TriggerRule,
    pub retry: Retry,
    pub execution_timeout: Option<TimeDelta>,
    /// Set too where `wait_for_downstream` is, but for mapped tasks.
    pub depends_on_past: bool,
    pub wait_for_downstream: bool,
    pub ignore_first_depends_on_past: bool,
    pub wait_for_past_depends_before_skipping: bool,
    pub pool: String,
    pub pool_slots: u32,
    pub priority_weight: i32,
    pub weight_rule: WeightRule,
    pub queue: String,
    pub owner: String,
    /// The task's own or the DAG's: it is not run for a logical date before it.
    pub start_date: Option<DateTime<Utc>>,
    pub end_date: Option<DateTime<Utc>>,
    /// Instances of this task that may run at once: over all runs, and in one run.
    pub max_active_tis_per_dag: Option<u32>,
    pub max_active_tis_per_dagrun: Option<u32>,
    pub do_xcom_push: bool,
    /// Each key of the returned map becomes an XCom of its own as well.
    pub multiple_outputs: bool,
    /// Only `render_template_as_native_obj` of the task itself; the DAG's stands for `None`.
    pub render_template_as_native_obj: Option<bool>,
    /// The DAG's, with the task's own on top.
    pub params: IndexMap<String, Param>,
    pub map_index_template: Option<String>,
    pub doc_md: Option<String>,
    pub email: Vec<String>,
    pub email_on_failure: bool,
    pub email_on_retry: bool,
}

/// How often a task is tried again, and after which wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Tries after the first.
    pub retries: u32,
    pub delay: TimeDelta,
    /// By which factor the wait grows with each try; 0: it does not. `true` in a file is 2.
    pub exponential_backoff: f64,
    pub delay_max: Option<TimeDelta>,
}

/// A group of tasks: what its id stands for in `dependencies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskGroup {
    /// With its parents in front.
    pub group_id: String,
    /// The last part of the id, as it was written.
    pub label: String,
    /// `group_display_name`; the id where none is given.
    pub display_name: String,
    pub parent: Option<String>,
    pub tooltip: String,
    /// Whether the group's id stands in front of its tasks' ids.
    pub prefix_group_id: bool,
    /// Tasks and groups that were named in `dependencies` of the group, and that name the group. Edges between tasks
    /// are in the tasks; these are for drawing.
    pub upstream_groups: IndexSet<String>,
    pub downstream_groups: IndexSet<String>,
    pub upstream_tasks: IndexSet<String>,
    pub downstream_tasks: IndexSet<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// As it stands in files and in the API.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }

            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.word() == word)
            }
        }
    };
}

pub(crate) use words;

words! {
    /// Which states of the upstream tasks let a task run.
    TriggerRule {
        AllSuccess = "all_success",
        AllFailed = "all_failed",
        AllDone = "all_done",
        AllDoneMinOneSuccess = "all_done_min_one_success",
        AllDoneSetupSuccess = "all_done_setup_success",
        OneSuccess = "one_success",
        OneFailed = "one_failed",
        OneDone = "one_done",
        NoneFailed = "none_failed",
        NoneSkipped = "none_skipped",
        Always = "always",
        NoneFailedMinOneSuccess = "none_failed_min_one_success",
        AllSkipped = "all_skipped",
    }
}

words! {
    /// What is added to a task's own priority weight.
    WeightRule {
        /// The weights of all tasks downstream of it.
        Downstream = "downstream",
        /// The weights of all tasks upstream of it.
        Upstream = "upstream",
        Absolute = "absolute",
    }
}

/// What a task does: which operator, with which arguments. All arguments are known ones, checked as far as they can be
/// before they are rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    pub kind: OperatorKind,
    /// As the file names it: any of Airflow's class paths for this operator.
    pub class: String,
    /// In the file's order; what was not given is not here, and stands for Airflow's default.
    pub args: IndexMap<String, Arg>,
    /// For operators that call Python.
    pub callable: Option<Callable>,
}

impl Operator {
    pub fn arg(&self, name: &str) -> Option<&Arg> {
        self.args.get(name)
    }
}

words! {
    /// The operators that run here, by Airflow's class names.
    OperatorKind {
        Bash = "BashOperator",
        Python = "PythonOperator",
        Empty = "EmptyOperator",
        BranchPython = "BranchPythonOperator",
        ShortCircuit = "ShortCircuitOperator",
        TriggerDagRun = "TriggerDagRunOperator",
        FileSensor = "FileSensor",
        TimeSensor = "TimeSensor",
        TimeDeltaSensor = "TimeDeltaSensor",
        DateTimeSensor = "DateTimeSensor",
        ExternalTaskSensor = "ExternalTaskSensor",
        PythonSensor = "PythonSensor",
        BashSensor = "BashSensor",
        HttpSensor = "HttpSensor",
        S3KeySensor = "S3KeySensor",
        Http = "HttpOperator",
        Sql = "SQLExecuteQueryOperator",
        Email = "EmailOperator",
    }
}

impl OperatorKind {
    pub fn is_sensor(self) -> bool {
        match self {
            OperatorKind::FileSensor
            | OperatorKind::TimeSensor
            | OperatorKind::TimeDeltaSensor
            | OperatorKind::DateTimeSensor
            | OperatorKind::ExternalTaskSensor
            | OperatorKind::PythonSensor
            | OperatorKind::BashSensor
            | OperatorKind::HttpSensor
            | OperatorKind::S3KeySensor => true,
            OperatorKind::Bash
            | OperatorKind::Python
            | OperatorKind::Empty
            | OperatorKind::BranchPython
            | OperatorKind::ShortCircuit
            | OperatorKind::TriggerDagRun
            | OperatorKind::Http
            | OperatorKind::Sql
            | OperatorKind::Email => false,
        }
    }
}

/// The Python function of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callable {
    /// `python_callable_file` and `python_callable_name`. The file is absolute.
    File { file: PathBuf, name: String },
    /// `python_callable: package.module.function`.
    Dotted(String),
}

/// One task, many instances: made while the run goes on, one for each combination of the lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The arguments that vary, in the file's order: each a list, a map, or the output of a task.
    pub expand: IndexMap<String, Arg>,
    /// The names are arguments of the Python function: each instance gets its values in `op_kwargs`.
    pub is_op_kwargs: bool,
}

/// A value of an argument as a file gives it, before templates are rendered, or after.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    String(String),
    Date(NaiveDate),
    DateTime(DateTime<FixedOffset>),
    Time(NaiveTime),
    Duration(TimeDelta),
    List(Vec<Arg>),
    Map(IndexMap<String, Arg>),
    /// What another task gave: `extract.output` in `expand`. `key` is [`RETURN_KEY`] unless the file names another.
    XCom {
        task_id: String,
        key: String,
    },
}

impl Arg {
    pub fn as_str(&self) -> Option<&str> {
        if let Arg::String(text) = self { Some(text) } else { None }
    }

    pub fn as_bool(&self) -> Option<bool> {
        if let Arg::Boolean(value) = self { Some(*value) } else { None }
    }

    pub fn as_i64(&self) -> Option<i64> {
        if let Arg::Int(value) = self { Some(*value) } else { None }
    }

    /// A duration, or a number of seconds.
    pub fn as_duration(&self) -> Option<TimeDelta> {
        if let Arg::Duration(value) = self {
            return Some(*value);
        }
        let seconds = self.as_f64().filter(|seconds| seconds.abs() < SECONDS_MAX)?;
        Some(TimeDelta::microseconds((seconds * 1e6).round() as i64))
    }

    pub fn as_f64(&self) -> Option<f64> {
        if let Arg::Float(value) = self { Some(*value) } else { self.as_i64().map(|value| value as f64) }
    }

    /// As JSON for XComs, the API and Python: times in ISO 8601, durations in seconds. `XCom` has to be resolved before;
    /// left as it is, it shows what it refers to.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Arg::Null => Value::Null,
            Arg::Boolean(value) => Value::from(*value),
            Arg::Int(value) => Value::from(*value),
            Arg::Float(value) => Value::from(*value),
            Arg::String(text) => Value::from(text.as_str()),
            Arg::Date(date) => Value::from(date.to_string()),
            Arg::DateTime(time) => Value::from(time.to_rfc3339()),
            Arg::Time(time) => Value::from(time.to_string()),
            Arg::Duration(value) => Value::from(value.as_seconds_f64()),
            Arg::List(items) => items.iter().map(Arg::to_json).collect(),
            Arg::Map(entries) => {
                Value::Object(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
            Arg::XCom { task_id, key } => Value::from(format!("{task_id}.output[{key}]")),
        }
    }

    pub fn from_json(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Arg::Null,
            Value::Bool(value) => Arg::Boolean(*value),
            Value::Number(number) => match number.as_i64() {
                Some(value) => Arg::Int(value),
                None => Arg::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Arg::String(text.clone()),
            Value::Array(items) => Arg::List(items.iter().map(Arg::from_json).collect()),
            Value::Object(entries) => {
                Arg::Map(entries.iter().map(|(key, value)| (key.clone(), Arg::from_json(value))).collect())
            }
        }
    }
}

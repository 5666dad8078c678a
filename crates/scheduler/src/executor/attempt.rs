//! One try of a task instance, on its own thread: arguments are rendered, the operator runs, its end is reported.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde_json::Value;

use super::{Cancel, Finished, Launch, Mask, Outcome, Shared, orphans::MARK};
use crate::{
    cells,
    dag::{Arg, Dag, RETURN_KEY, Task},
    files::operators::by_kind,
    logs::Log,
    lookup::Found,
    operators,
    scheduling::Skips,
    store::rows::{DagRun, TaskInstance},
    template::{self, Context, Lookup, Pull},
    timetable::python_delta,
};

/// What an XCom may weigh: it is kept in the database and given to other tasks whole.
const XCOM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What an operator came to.
#[derive(Debug)]
pub enum Done {
    /// With the value that it returns.
    Success(Value),
    /// For those who decide which tasks go on.
    Branch(Value, Skips),
    Skipped(String),
    /// A sensor in reschedule mode has not seen it yet.
    Reschedule(DateTime<Utc>),
}

/// Why it failed.
#[derive(Debug)]
pub struct Failure {
    pub reason: String,
    /// Airflow's `AirflowFailException`: no other try would help.
    pub may_retry: bool,
}

impl Failure {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), may_retry: true }
    }

    pub fn for_good(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), may_retry: false }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::new(error.to_string())
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Failure::new(error.to_string())
    }
}

pub struct Attempt {
    pub shared: Arc<Shared>,
    pub run: DagRun,
    pub instance: TaskInstance,
    pub dag: Arc<Dag>,
    pub task: Option<Task>,
    pub cancel: Arc<Cancel>,
    pub runtime: tokio::runtime::Handle,
    pub mask: Mask,
    pub lookup: Arc<Found>,
    /// The rendered arguments.
    pub args: IndexMap<String, Arg>,
    /// XComs that the operator leaves beside what it returns.
    pub pushed: Vec<(String, Value)>,
    log: Log,
}

impl Attempt {
    pub fn new(shared: Arc<Shared>, launch: Launch, runtime: tokio::runtime::Handle) -> Self {
        let mask = Mask::default();
        let log = shared.logs.open(&launch.run, &launch.instance, mask.clone()).unwrap_or_else(|error| {
            tracing::warn!(%error, task_id = launch.instance.task_id, "a task's log cannot be opened");
            Log::nowhere(mask.clone())
        });
        let task = launch.dag.tasks.get(&launch.instance.task_id).cloned();
        let lookup = Arc::new(Found { shared: shared.clone(), mask: mask.clone(), runtime: runtime.clone() });
        Self {
            shared,
            run: launch.run,
            instance: launch.instance,
            dag: launch.dag,
            task,
            cancel: launch.cancel,
            runtime,
            mask,
            lookup,
            args: IndexMap::new(),
            pushed: Vec::new(),
            log,
        }
    }

    pub fn run(mut self) -> Finished {
        let done = self.prepare().and_then(|task| operators::run(&mut self, &task));
        let (outcome, value, skips) = match done {
            Ok(done) if !self.cancel.is_stopped() => match self.mappable(&done) {
                Ok(()) => self.ended_well(done),
                Err(failure) => (self.failed(failure), None, None),
            },
            Ok(_too_late) => (self.failed(Failure::new("ended")), None, None),
            Err(failure) => (self.failed(failure), None, None),
        };
        let mut xcoms = std::mem::take(&mut self.pushed);
        if let (Some(value), Some(task)) = (value, &self.task)
            && task.do_xcom_push
            && !value.is_null()
        {
            if let (true, Value::Object(entries)) = (task.multiple_outputs, &value) {
                xcoms.extend(entries.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            xcoms.push((RETURN_KEY.to_owned(), value));
        }
        Finished {
            instance: self.instance.id,
            outcome,
            xcoms,
            skips,
            rendered: Some(self.rendered()),
            rendered_map_index: self.map_index_text(),
            was_ended: false,
        }
    }

    /// The templates among the arguments, as they were rendered.
    fn rendered(&self) -> String {
        let spec = self.task.as_ref().map(|task| by_kind(task.operator.kind));
        let is_template =
            |name: &str| spec.and_then(|spec| spec.argument(name)).is_some_and(|it| it.is_template);
        let fields = self.args.iter().filter(|(name, _arg)| is_template(name));
        let fields = fields.map(|(name, arg)| (name.clone(), super::redact(name, &shown(arg))));
        self.mask.apply(&Value::Object(fields.collect()).to_string())
    }

    /// A task that others are mapped over has to give them a list or a map: as in Airflow it fails itself where it does not.
    fn mappable(&self, done: &Done) -> Result<(), Failure> {
        let (Done::Success(value) | Done::Branch(value, _)) = done else { return Ok(()) };
        let id = &self.instance.task_id;
        let is_ours = |arg: &Arg| matches!(arg, Arg::XCom { task_id, .. } if task_id == id);
        let mut mappings = self.dag.tasks.values().filter_map(|task| task.mapping.as_ref());
        if self.instance.map_index >= 0 || !mappings.any(|mapping| mapping.expand.values().any(is_ours)) {
            return Ok(());
        }
        match value {
            _ if self.task.as_ref().is_some_and(|task| !task.do_xcom_push) => {
                Err(Failure::new("did not push XCom for task mapping"))
            }
            Value::Null => Err(Failure::new("did not push XCom for task mapping")),
            Value::Array(_) | Value::Object(_) => Ok(()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(Failure::new("unmappable return type: tasks are mapped over lists and maps"))
            }
        }
    }

    fn ended_well(&mut self, done: Done) -> (Outcome, Option<Value>, Option<Skips>) {
        match done {
            Done::Success(value) if value.to_string().len() > XCOM_BYTES_MAX => {
                let reason = format!("what it returns is larger than {XCOM_BYTES_MAX} bytes");
                (self.failed(Failure::new(reason)), None, None)
            }
            Done::Success(value) => (Outcome::Success, Some(value), None),
            Done::Branch(value, skips) => (Outcome::Success, Some(value), Some(skips)),
            Done::Skipped(reason) => {
                self.say("info", &reason);
                (Outcome::Skipped, None, None)
            }
            Done::Reschedule(at) => (Outcome::Reschedule { at }, None, None),
        }
    }

    fn failed(&mut self, failure: Failure) -> Outcome {
        let reason = self.cancel.reason().unwrap_or(failure.reason);
        self.say("error", &format!("Task failed: {reason}"));
        if let Some(task) = &self.task
            && !task.email.is_empty()
            && (task.email_on_failure || task.email_on_retry)
        {
            let text =
                format!("Email for {}: the task {} failed: {reason}", task.email.join(", "), task.task_id);
            self.say("warning", &text);
        }
        Outcome::Failed { may_retry: failure.may_retry }
    }

    /// Renders the arguments.
    fn prepare(&mut self) -> Result<Task, Failure> {
        let task = self.task.clone().ok_or_else(|| Failure::for_good("the task is no longer in its DAG"))?;
        let mut args = task.operator.args.clone();
        let is_given = |name: &str| {
            task.mapping.as_ref().is_some_and(|it| matches!(it.expand.get(name), Some(Arg::XCom { .. })))
        };
        // What another task gave is data: braces in it are no template.
        let (given, written): (IndexMap<_, _>, IndexMap<_, _>) =
            self.mapped(&task)?.into_iter().partition(|(name, _value)| is_given(name));
        put(&mut args, &task, written);
        let context = self.context();
        self.args =
            template::render(&task, &args, &context).map_err(|error| Failure::new(error.to_string()))?;
        put(&mut self.args, &task, given);
        Ok(task)
    }

    pub fn context(&self) -> Context {
        let conf: Value = serde_json::from_str(&self.run.conf).unwrap_or(Value::Null);
        let conf = match Arg::from_json(&conf) {
            Arg::Map(entries) => entries,
            _no_object => IndexMap::new(),
        };
        Context {
            dag: self.dag.clone(),
            task_id: self.instance.task_id.clone(),
            run: Arc::new(template::Run {
                run_id: self.run.run_id.clone(),
                run_type: self.run.kind.word().to_owned(),
                logical_date: self.run.logical_date,
                data_interval: self.run.interval,
                run_after: self.run.run_after,
                start_date: self.run.started_at,
                end_date: self.run.ended_at,
                conf,
                state: self.run.state.word().to_owned(),
                previous_success: self.previous_success(),
            }),
            instance: template::Instance {
                try_number: self.instance.try_number,
                max_tries: self.instance.max_tries,
                map_index: self.instance.map_index,
                start_date: self.instance.started_at,
                hostname: crate::hostname(),
            },
            lookup: self.lookup.clone(),
            clock: self.shared.options.clock.clone(),
        }
    }

    /// Of the latest successful run before this one: asked only where a template may want it.
    fn previous_success(&self) -> Option<template::PreviousRun> {
        let logical = self.run.logical_date?;
        let wanted = |arg: &Arg| format!("{arg:?}").contains("prev_");
        if !self.task.as_ref()?.operator.args.values().any(wanted) {
            return None;
        }
        let sql = "SELECT interval_start, interval_end, started_at, ended_at FROM dag_run WHERE dag_id = ?1 \
            AND state = 'success' AND logical_date < ?2 ORDER BY logical_date DESC LIMIT 1";
        let row = self
            .runtime
            .block_on(self.shared.database.row(sql, cells![&self.run.dag_id, logical]))
            .ok()??;
        let interval = row[0].time().zip(row[1].time());
        Some(template::PreviousRun {
            data_interval: interval.map(|(start, end)| crate::timetable::DataInterval { start, end }),
            start_date: row[2].time(),
            end_date: row[3].time(),
        })
    }

    /// This instance's own values of the arguments that the task is mapped over: the last one varies fastest.
    fn mapped(&self, task: &Task) -> Result<IndexMap<String, Arg>, Failure> {
        let (Some(mapping), Ok(mut place)) = (&task.mapping, usize::try_from(self.instance.map_index)) else {
            return Ok(IndexMap::new());
        };
        let mut values = IndexMap::new();
        for (name, arg) in mapping.expand.iter().rev() {
            let items = self.items(name, arg)?;
            let item = items.get(place % items.len().max(1)).cloned();
            place /= items.len().max(1);
            let item = item.ok_or_else(|| Failure::new(format!("{name} has no value for this instance")))?;
            values.insert(name.clone(), item);
        }
        Ok(values)
    }

    fn items(&self, name: &str, arg: &Arg) -> Result<Vec<Arg>, Failure> {
        let resolved = match arg {
            Arg::XCom { task_id, key } => {
                let pull = Pull {
                    dag_id: self.run.dag_id.clone(),
                    run_id: self.run.run_id.clone(),
                    task_id: task_id.clone(),
                    key: key.clone(),
                    map_index: None,
                    include_prior_dates: false,
                };
                let mut values = self.lookup.xcoms(&pull);
                match self.dag.tasks.get(task_id).is_some_and(|task| task.mapping.is_some()) {
                    true => Arg::List(values),
                    false => values.pop().unwrap_or(Arg::Null),
                }
            }
            literal => literal.clone(),
        };
        match resolved {
            Arg::List(items) => Ok(items),
            Arg::Map(entries) => {
                Ok(entries.into_iter().map(|(key, value)| Arg::List(vec![Arg::String(key), value])).collect())
            }
            _other => Err(Failure::new(format!("{name} is neither a list nor a map"))),
        }
    }

    fn map_index_text(&self) -> Option<String> {
        let task = self.task.as_ref()?;
        let text = task.map_index_template.as_ref().filter(|_| self.instance.map_index >= 0)?;
        template::render_text(task, "map_index_template", text, &self.context()).ok()
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now_ms()).unwrap_or_default()
    }

    fn now_ms(&self) -> i64 {
        self.shared.options.clock.now_ms()
    }

    /// A line of ours in the task's log.
    pub fn say(&mut self, level: &str, text: &str) {
        self.log.write(level, "task", text, self.shared.options.clock.now_ms());
    }

    /// A line that the task's program wrote.
    pub fn heard(&mut self, logger: &str, text: &str) {
        self.log.write("info", logger, text, self.shared.options.clock.now_ms());
    }

    pub fn arg(&self, name: &str) -> Option<&Arg> {
        self.args.get(name)
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.args.get(name).and_then(as_text)
    }

    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.args.get(name).and_then(Arg::as_bool).unwrap_or(default)
    }

    /// What every process of a task finds in its environment, as Airflow and we name it.
    pub fn own_environment(&self) -> BTreeMap<String, String> {
        let own = [
            ("AIRFLOW_CTX_DAG_ID", self.run.dag_id.clone()),
            ("AIRFLOW_CTX_TASK_ID", self.instance.task_id.clone()),
            ("AIRFLOW_CTX_DAG_RUN_ID", self.run.run_id.clone()),
            ("AIRFLOW_CTX_TRY_NUMBER", self.instance.try_number.to_string()),
            ("AIRFLOW_CTX_DAG_OWNER", self.task.as_ref().map(|task| task.owner.clone()).unwrap_or_default()),
            (
                "AIRFLOW_CTX_LOGICAL_DATE",
                self.run.logical_date.map(|date| date.to_rfc3339()).unwrap_or_default(),
            ),
            ("TIDEMILL_PROJECT", self.shared.options.project.display().to_string()),
            (MARK, self.shared.mark.clone()),
        ];
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Ours, with the tasks' PATH.
    pub fn inherited_environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.shared.options.environment.clone();
        environment.insert("PATH".to_owned(), self.shared.path.clone());
        environment
    }

    /// Waits, unless the try is ended: then `false`.
    pub fn pause(&self, duration: Duration) -> bool {
        self.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(duration) => true,
                () = self.cancel.stopped() => false,
            }
        })
    }
}

/// Puts an instance's own values to the arguments: to those of the function, where the task is mapped over them.
fn put(args: &mut IndexMap<String, Arg>, task: &Task, values: IndexMap<String, Arg>) {
    if !task.mapping.as_ref().is_some_and(|mapping| mapping.is_op_kwargs) {
        args.extend(values);
        return;
    }
    match args.get_mut("op_kwargs") {
        Some(Arg::Map(kwargs)) => kwargs.extend(values),
        Some(_) | None => {
            args.insert("op_kwargs".to_owned(), Arg::Map(values));
        }
    }
}

/// As Airflow shows a rendered argument: JSON, but durations as Python prints them.
fn shown(arg: &Arg) -> Value {
    match arg {
        Arg::Duration(duration) => python_delta(*duration).into(),
        Arg::List(items) => items.iter().map(shown).collect(),
        Arg::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), shown(value))).collect(),
        Arg::Null
        | Arg::Boolean(_)
        | Arg::Int(_)
        | Arg::Float(_)
        | Arg::String(_)
        | Arg::Date(_)
        | Arg::DateTime(_)
        | Arg::Time(_)
        | Arg::XCom { .. } => arg.to_json(),
    }
}

/// A text, or what stands for one.
pub fn as_text(arg: &Arg) -> Option<String> {
    match arg {
        Arg::Null | Arg::XCom { .. } => None,
        Arg::String(text) => Some(text.clone()),
        Arg::List(_) | Arg::Map(_) => Some(arg.to_json().to_string()),
        Arg::Boolean(_)
        | Arg::Int(_)
        | Arg::Float(_)
        | Arg::Date(_)
        | Arg::DateTime(_)
        | Arg::Time(_)
        | Arg::Duration(_) => match arg.to_json() {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        },
    }
}

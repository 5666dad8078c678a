//! Jinja templates in a task's arguments, with Airflow's variables, macros and filters.
//!
//! `environment` is minijinja set up as Airflow's Jinja, `context` the variables, `macros` what is under that name, `values` the
//! dates and durations, `object` what a template sees of each of these, `rewrite` makes arithmetic into calls, `python` and
//! `format` print as Python and pendulum do.

mod context;
mod environment;
mod errors;
mod format;
mod macros;
mod object;
mod python;
mod rewrite;
#[cfg(test)]
mod tests;
mod values;

use std::{borrow::Cow, sync::Arc};

use base::problem::causes;
use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use minijinja::{Environment, Value};

pub use errors::Error;

use crate::{
    dag::{Arg, Dag, RETURN_KEY, Task},
    files::operators,
    timetable::DataInterval,
};

/// What a template may ask for that is not in the DAG file. Called while a template is rendered, so on a thread that may wait.
pub trait Lookup: Send + Sync {
    /// The text of a variable: `var.value.NAME`, `var.json.NAME`.
    fn variable(&self, name: &str) -> Option<String>;
    /// A connection: `conn.ID`.
    fn connection(&self, id: &str) -> Option<Connection>;
    /// `xcom_pull`: the values of a task's instances by their map index; of one of them, where `map_index` is given.
    fn xcoms(&self, pull: &Pull) -> Vec<Arg>;
}

/// One `xcom_pull` for one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    pub dag_id: String,
    pub run_id: String,
    pub task_id: String,
    pub key: String,
    pub map_index: Option<i32>,
    /// Also of earlier runs, the latest first.
    pub include_prior_dates: bool,
}

/// `conn.ID` in Airflow's words.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    pub conn_id: String,
    pub conn_type: String,
    pub description: Option<String>,
    pub host: Option<String>,
    pub login: Option<String>,
    pub password: Option<base::Secret>,
    pub schema: Option<String>,
    pub port: Option<u16>,
    /// JSON as it was given.
    pub extra: Option<base::Secret>,
}

/// The run a task instance belongs to.
#[derive(Debug, Clone)]
pub struct Run {
    pub run_id: String,
    /// `scheduled`, `manual`, `backfill`.
    pub run_type: String,
    pub logical_date: Option<DateTime<Utc>>,
    pub data_interval: Option<DataInterval>,
    pub run_after: DateTime<Utc>,
    pub start_date: Option<DateTime<Utc>>,
    pub end_date: Option<DateTime<Utc>>,
    /// As it was given when the run was triggered; its keys go over the DAG's params.
    pub conf: IndexMap<String, Arg>,
    pub state: String,
    /// Of the latest successful run before this one.
    pub previous_success: Option<PreviousRun>,
}

#[derive(Debug, Clone, Copy)]
pub struct PreviousRun {
    pub data_interval: Option<DataInterval>,
    pub start_date: Option<DateTime<Utc>>,
    pub end_date: Option<DateTime<Utc>>,
}

/// The task instance itself.
#[derive(Debug, Clone)]
pub struct Instance {
    pub try_number: u32,
    pub max_tries: u32,
    /// -1 for a task that is not mapped.
    pub map_index: i32,
    pub start_date: Option<DateTime<Utc>>,
    pub hostname: String,
}

/// All that a task's templates see.
#[derive(Clone)]
pub struct Context {
    pub dag: Arc<Dag>,
    pub task_id: String,
    pub run: Arc<Run>,
    pub instance: Instance,
    pub lookup: Arc<dyn Lookup>,
    /// For `macros.datetime.now()` and the like.
    pub clock: Arc<dyn base::Clock>,
}

/// The task's arguments with every template in a templated field rendered, nested ones too, and the outputs of other tasks
/// put in. For an instance of a mapped task, `args` has its own values of the expanded arguments already.
pub fn render(
    task: &Task,
    args: &IndexMap<String, Arg>,
    context: &Context,
) -> Result<IndexMap<String, Arg>, Error> {
    let spec = operators::by_kind(task.operator.kind);
    let mut endings: Vec<String> = spec.template_ext.iter().map(|ending| (*ending).to_owned()).collect();
    if let Some(Arg::List(own)) = args.get("templates_exts") {
        endings.extend(own.iter().filter_map(Arg::as_str).map(str::to_owned));
    }
    let rendering = Rendering::new(context, task, endings);
    let mut rendered = IndexMap::with_capacity(args.len());
    for (name, arg) in args {
        let is_template = spec.argument(name).is_some_and(|argument| argument.is_template);
        let value = if is_template { rendering.arg(name, arg)? } else { arg.clone() };
        rendered.insert(name.clone(), value);
    }
    Ok(rendered)
}

/// One text of a task, for `map_index_template` and the like.
pub fn render_text(task: &Task, field: &str, text: &str, context: &Context) -> Result<String, Error> {
    let rendering = Rendering::new(context, task, Vec::new());
    match rendering.text(text, false) {
        Ok(Arg::String(text)) => Ok(text),
        Ok(other) => Ok(python::text(&values::value(&other))),
        Err(error) => Err(rendering.error(field, &error)),
    }
}

struct Rendering<'a> {
    context: &'a Context,
    task: &'a Task,
    environment: Environment<'static>,
    variables: Value,
    endings: Vec<String>,
    is_native: bool,
}

impl<'a> Rendering<'a> {
    fn new(context: &'a Context, task: &'a Task, endings: Vec<String>) -> Self {
        Self {
            context,
            task,
            environment: environment::environment(context.dag.template_folders.clone()),
            variables: context::variables(context, task),
            endings,
            is_native: task
                .render_template_as_native_obj
                .unwrap_or(context.dag.render_template_as_native_obj),
        }
    }

    fn arg(&self, field: &str, arg: &Arg) -> Result<Arg, Error> {
        match arg {
            Arg::String(text) => self.text(text, self.is_native).map_err(|error| self.error(field, &error)),
            Arg::List(items) => {
                Ok(Arg::List(items.iter().map(|item| self.arg(field, item)).collect::<Result<_, _>>()?))
            }
            Arg::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| Ok((key.clone(), self.arg(field, value)?)));
                Ok(Arg::Map(entries.collect::<Result<_, Error>>()?))
            }
            Arg::XCom { task_id, key } => self.output(field, task_id, key),
            Arg::Null
            | Arg::Boolean(_)
            | Arg::Int(_)
            | Arg::Float(_)
            | Arg::Date(_)
            | Arg::DateTime(_)
            | Arg::Time(_)
            | Arg::Duration(_) => Ok(arg.clone()),
        }
    }

    fn text(&self, text: &str, is_native: bool) -> Result<Arg, minijinja::Error> {
        let is_file = self.endings.iter().any(|ending| text.ends_with(ending.as_str()));
        if !is_native {
            let rendered = match is_file {
                true => self.environment.get_template(text)?.render(self.variables.clone())?,
                false => self.render(&rewrite::template(text))?,
            };
            return Ok(Arg::String(rendered));
        }
        let source = if is_file {
            Cow::Owned(self.environment.get_template(text)?.source().to_owned())
        } else {
            rewrite::template(text)
        };
        if let Some(expression) = rewrite::sole_expression(&source) {
            let expression = self.environment.compile_expression(&expression)?;
            let value = expression.eval(self.variables.clone())?;
            return match value.as_str() {
                Some(text) => Ok(literal(text)),
                None if value.is_undefined() => {
                    Err(minijinja::Error::from(minijinja::ErrorKind::UndefinedError))
                }
                None => Ok(values::arg(&value)),
            };
        }
        Ok(literal(&self.render(&source)?))
    }

    fn render(&self, source: &str) -> Result<String, minijinja::Error> {
        if !source.contains('{') {
            return Ok(source.strip_suffix('\n').unwrap_or(source).to_owned());
        }
        self.environment.render_str(source, self.variables.clone())
    }

    /// What another task gave: a list of all its instances' values where it is mapped.
    fn output(&self, field: &str, task_id: &str, key: &str) -> Result<Arg, Error> {
        let pull = Pull {
            dag_id: self.context.dag.dag_id.clone(),
            run_id: self.context.run.run_id.clone(),
            task_id: task_id.to_owned(),
            key: key.to_owned(),
            map_index: None,
            include_prior_dates: false,
        };
        let mut found = self.context.lookup.xcoms(&pull);
        let is_mapped = self.context.dag.tasks.get(task_id).is_some_and(|task| task.mapping.is_some());
        if is_mapped {
            return Ok(Arg::List(found));
        }
        match found.is_empty() {
            false => Ok(found.swap_remove(0)),
            true if key == RETURN_KEY => Ok(Arg::Null),
            true => Err(Error::Output {
                dag_id: self.context.dag.dag_id.clone(),
                task_id: self.task.task_id.clone(),
                field: field.to_owned(),
                from: task_id.to_owned(),
                key: key.to_owned(),
            }),
        }
    }

    fn error(&self, field: &str, error: &minijinja::Error) -> Error {
        let mut reason = match error.detail() {
            Some(detail) => detail.to_owned(),
            None => error.kind().to_string(),
        };
        if let (Some(source), Some(range)) = (error.template_source(), error.range())
            && let Some(snippet) = source.get(range).filter(|snippet| !snippet.contains("__"))
        {
            reason += &format!(", in `{snippet}`");
        }
        for cause in causes(error) {
            reason += &format!(": {cause}");
        }
        Error::Render {
            dag_id: self.context.dag.dag_id.clone(),
            task_id: self.task.task_id.clone(),
            file: self.context.dag.file_shown.to_string(),
            field: field.to_owned(),
            reason,
        }
    }
}

/// A text of native rendering: the literal it is, else itself.
fn literal(text: &str) -> Arg {
    python::literal(text).map_or_else(|| Arg::String(text.to_owned()), |value| values::arg(&value))
}

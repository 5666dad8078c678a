//! The variables that Airflow gives to templates.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, from_args},
};

use super::{
    Connection, Context, Lookup, Pull,
    object::{Thing, objects},
    python,
    values::{Moment, value},
};
use crate::dag::{Arg, Dag, Param, RETURN_KEY, Task};

fn moment(at: DateTime<Utc>) -> Value {
    Value::from_object(Moment::utc(at))
}

fn optional(at: Option<DateTime<Utc>>) -> Value {
    at.map_or_else(|| Value::from(()), moment)
}

fn map<const N: usize>(entries: [(&'static str, Value); N]) -> Value {
    Value::from_pairs(entries)
}

/// Everything a template of this task instance may name.
pub(super) fn variables(context: &Context, task: &Task) -> Value {
    let run = &context.run;
    let instance = Value::from_object(Instance(context.clone()));
    let success = run.previous_success;
    let mut known: IndexMap<String, Value> = IndexMap::new();
    for (name, arg) in &context.dag.user_defined_macros {
        known.insert(name.clone(), value(arg));
    }
    let mut put = |name: &str, value: Value| {
        known.insert(name.to_owned(), value);
    };
    put("dag", dag(&context.dag));
    put("task", self::task(task, &context.dag));
    put("ti", instance.clone());
    put("task_instance", instance);
    put("run_id", run.run_id.as_str().into());
    put("dag_run", dag_run(context));
    put("params", params(&task.params, &run.conf));
    put("macros", super::macros::macros(context.clock.clone()));
    put("var", map([("value", variable(context, false)), ("json", variable(context, true))]));
    put("conn", Value::from_object(Connections(context.lookup.clone())));
    put("map_index_template", task.map_index_template.as_deref().into());
    put("inlets", Value::from(Vec::<Value>::new()));
    put("outlets", Value::from(Vec::<Value>::new()));
    put("prev_start_date_success", optional(success.and_then(|run| run.start_date)));
    put("prev_end_date_success", optional(success.and_then(|run| run.end_date)));
    let key = |last: &str| format!("{}__{}__{last}", context.dag.dag_id, task.task_id);
    match run.logical_date {
        None => put("task_instance_key_str", key(&run.run_id).into()),
        Some(at) => {
            let (logical, interval) = (Moment::utc(at), run.data_interval);
            let ds_nodash = at.format("%Y%m%d").to_string();
            put("task_instance_key_str", key(&ds_nodash).into());
            put("logical_date", moment(at));
            put("ds", at.format("%Y-%m-%d").to_string().into());
            put("ds_nodash", ds_nodash.into());
            put("ts", logical.iso('T').into());
            put("ts_nodash", at.format("%Y%m%dT%H%M%S").to_string().into());
            put("ts_nodash_with_tz", logical.iso('T').replace(['-', ':'], "").into());
            put("data_interval_start", optional(interval.map(|interval| interval.start)));
            put("data_interval_end", optional(interval.map(|interval| interval.end)));
            let before = success.and_then(|run| run.data_interval);
            put("prev_data_interval_start_success", optional(before.map(|interval| interval.start)));
            put("prev_data_interval_end_success", optional(before.map(|interval| interval.end)));
        }
    }
    Value::from_pairs(known)
}

/// The params with what the run was triggered with on top.
fn params(params: &IndexMap<String, Param>, conf: &IndexMap<String, Arg>) -> Value {
    let mut merged: IndexMap<String, Value> =
        params.iter().map(|(name, param)| (name.clone(), value(&param.value))).collect();
    merged.extend(conf.iter().map(|(name, arg)| (name.clone(), value(arg))));
    Value::from_pairs(merged)
}

fn texts<'a>(items: impl IntoIterator<Item = &'a String>) -> Value {
    items.into_iter().map(|item| Value::from(item.as_str())).collect::<Vec<_>>().into()
}

fn dag(dag: &Dag) -> Value {
    map([
        ("dag_id", dag.dag_id.as_str().into()),
        ("dag_display_name", dag.display_name.as_str().into()),
        ("description", dag.description.as_deref().into()),
        ("doc_md", dag.doc_md.as_deref().into()),
        ("owner", dag.owners().into()),
        ("tags", texts(&dag.tags)),
        ("start_date", optional(dag.start_date)),
        ("end_date", optional(dag.end_date)),
        ("catchup", dag.catchup.into()),
        ("max_active_runs", dag.max_active_runs.into()),
        ("max_active_tasks", dag.max_active_tasks.into()),
        ("params", params(&dag.params, &IndexMap::new())),
        ("task_ids", texts(dag.tasks.keys())),
        ("fileloc", dag.file.display().to_string().into()),
        ("timezone", map([("name", dag.timezone.name().into())])),
    ])
}

fn task(task: &Task, dag: &Dag) -> Value {
    map([
        ("task_id", task.task_id.as_str().into()),
        ("label", task.label.as_str().into()),
        ("task_display_name", task.display_name.as_str().into()),
        ("task_type", task.operator.kind.word().into()),
        ("dag_id", dag.dag_id.as_str().into()),
        ("owner", task.owner.as_str().into()),
        ("retries", task.retry.retries.into()),
        ("pool", task.pool.as_str().into()),
        ("queue", task.queue.as_str().into()),
        ("priority_weight", task.priority_weight.into()),
        ("trigger_rule", task.trigger_rule.word().into()),
        ("depends_on_past", task.depends_on_past.into()),
        ("start_date", optional(task.start_date)),
        ("end_date", optional(task.end_date)),
        ("upstream_task_ids", texts(&task.upstream)),
        ("downstream_task_ids", texts(&task.downstream)),
        ("email", texts(&task.email)),
        ("doc_md", task.doc_md.as_deref().into()),
        ("params", params(&task.params, &IndexMap::new())),
    ])
}

fn dag_run(context: &Context) -> Value {
    let run = &context.run;
    map([
        ("dag_id", context.dag.dag_id.as_str().into()),
        ("run_id", run.run_id.as_str().into()),
        ("run_type", run.run_type.as_str().into()),
        ("state", run.state.as_str().into()),
        ("logical_date", optional(run.logical_date)),
        ("data_interval_start", optional(run.data_interval.map(|interval| interval.start))),
        ("data_interval_end", optional(run.data_interval.map(|interval| interval.end))),
        ("run_after", moment(run.run_after)),
        ("start_date", optional(run.start_date)),
        ("end_date", optional(run.end_date)),
        ("conf", Value::from_pairs(run.conf.iter().map(|(name, arg)| (name.clone(), value(arg))))),
    ])
}

objects!(Instance, Variables, Connections, Connection);

/// `ti`.
struct Instance(Context);

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<TaskInstance: {}.{} {}>", self.0.dag.dag_id, self.0.task_id, self.0.run.run_id)
    }
}

impl Thing for Instance {
    fn attribute(&self, name: &str) -> Option<Value> {
        let instance = &self.0.instance;
        Some(match name {
            "task_id" => self.0.task_id.as_str().into(),
            "dag_id" => self.0.dag.dag_id.as_str().into(),
            "run_id" => self.0.run.run_id.as_str().into(),
            "try_number" => instance.try_number.into(),
            "max_tries" => instance.max_tries.into(),
            "map_index" => instance.map_index.into(),
            "start_date" => optional(instance.start_date),
            "hostname" => instance.hostname.as_str().into(),
            "logical_date" => optional(self.0.run.logical_date),
            "task" => self.0.dag.tasks.get(&self.0.task_id).map(|it| task(it, &self.0.dag))?,
            "dag_run" => dag_run(&self.0),
            _ => return None,
        })
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "xcom_pull" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (task_ids, dag_id, key, prior, kwargs): (
            Option<Value>,
            Option<String>,
            Option<String>,
            Option<bool>,
            Kwargs,
        ) = from_args(args)?;
        let task_ids = task_ids.or(kwargs.get("task_ids")?).filter(|ids| !ids.is_none());
        let pull = Pull {
            dag_id: dag_id.or(kwargs.get("dag_id")?).unwrap_or_else(|| self.0.dag.dag_id.clone()),
            run_id: kwargs.get::<Option<String>>("run_id")?.unwrap_or_else(|| self.0.run.run_id.clone()),
            task_id: self.0.task_id.clone(),
            key: key.or(kwargs.get("key")?).unwrap_or_else(|| RETURN_KEY.to_owned()),
            map_index: None,
            include_prior_dates: prior.or(kwargs.get("include_prior_dates")?).unwrap_or(false),
        };
        let default = kwargs.get::<Option<Value>>("default")?.unwrap_or_else(|| Value::from(()));
        let map_indexes = kwargs.get::<Option<Value>>("map_indexes")?;
        kwargs.assert_all_used()?;
        self.pull(pull, task_ids, map_indexes, default)
    }
}

impl Instance {
    /// One task without map indexes gives its value, or a list where it is mapped; several tasks give a list.
    fn pull(
        &self,
        pull: Pull,
        task_ids: Option<Value>,
        map_indexes: Option<Value>,
        default: Value,
    ) -> Result<Value, Error> {
        let (names, is_single) = match &task_ids {
            None => (vec![pull.task_id.clone()], true),
            Some(ids) => match ids.as_str() {
                Some(id) => (vec![id.to_owned()], true),
                None => (ids.try_iter()?.map(|id| python::text(&id)).collect(), false),
            },
        };
        let mut found = Vec::new();
        let indexes: Vec<i32> = match &map_indexes {
            None => {
                for task_id in names {
                    let values = self.0.lookup.xcoms(&Pull { task_id, ..pull.clone() });
                    match values.is_empty() {
                        true => found.push(Value::from(())),
                        false => found.extend(values.iter().map(value)),
                    }
                }
                let is_one = is_single && found.len() == 1;
                return Ok(if is_one { found.swap_remove(0) } else { Value::from(found) });
            }
            Some(index) if index.is_integer() => vec![i32::try_from(index.clone())?],
            Some(indexes) => indexes.try_iter()?.map(i32::try_from).collect::<Result<_, _>>()?,
        };
        for task_id in names {
            for index in &indexes {
                let one = Pull { task_id: task_id.clone(), map_index: Some(*index), ..pull.clone() };
                found.push(self.0.lookup.xcoms(&one).first().map_or_else(|| default.clone(), value));
            }
        }
        let is_one = is_single && map_indexes.is_some_and(|index| index.is_integer());
        Ok(if is_one && !found.is_empty() { found.swap_remove(0) } else { Value::from(found) })
    }
}

/// `var.value` or `var.json`.
struct Variables {
    lookup: Arc<dyn Lookup>,
    is_json: bool,
}

fn variable(context: &Context, is_json: bool) -> Value {
    Value::from_object(Variables { lookup: context.lookup.clone(), is_json })
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<VariableAccessor (dynamic access)>")
    }
}

impl Variables {
    fn find(&self, name: &str) -> Option<Value> {
        let text = self.lookup.variable(name)?;
        if !self.is_json {
            return Some(Value::from(text));
        }
        Some(match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(json) => value(&Arg::from_json(&json)),
            Err(_) => Value::from(Error::new(
                ErrorKind::InvalidOperation,
                format!("the variable {name} is not JSON: use var.value.{name}"),
            )),
        })
    }
}

impl Thing for Variables {
    fn attribute(&self, name: &str) -> Option<Value> {
        let missing = || Error::new(ErrorKind::InvalidOperation, format!("there is no variable {name}"));
        Some(self.find(name).unwrap_or_else(|| Value::from(missing())))
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (name, default, kwargs): (String, Option<Value>, Kwargs) = from_args(args)?;
        let default = default.or(kwargs.get("default")?);
        kwargs.assert_all_used()?;
        let missing = || Error::new(ErrorKind::InvalidOperation, format!("there is no variable {name}"));
        self.find(&name).or(default).ok_or_else(missing)
    }
}

/// `conn`.
struct Connections(Arc<dyn Lookup>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<ConnectionAccessor (dynamic access)>")
    }
}

impl Thing for Connections {
    fn attribute(&self, name: &str) -> Option<Value> {
        let missing = || Error::new(ErrorKind::InvalidOperation, format!("there is no connection {name}"));
        Some(self.0.connection(name).map_or_else(|| Value::from(missing()), Value::from_object))
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (id, default, kwargs): (String, Option<Value>, Kwargs) = from_args(args)?;
        let default = default.or(kwargs.get("default_conn")?).unwrap_or_else(|| Value::from(()));
        kwargs.assert_all_used()?;
        Ok(self.0.connection(&id).map_or(default, Value::from_object))
    }
}

impl Thing for Connection {
    /// What is secret leaves its wrapping here, as the template asks for it by name.
    fn attribute(&self, name: &str) -> Option<Value> {
        let secret = |secret: &Option<base::Secret>| secret.as_ref().map(|it| it.reveal().to_owned());
        Some(match name {
            "conn_id" => self.conn_id.as_str().into(),
            "conn_type" => self.conn_type.as_str().into(),
            "description" => self.description.as_deref().into(),
            "host" => self.host.as_deref().into(),
            "login" => self.login.as_deref().into(),
            "password" => secret(&self.password).into(),
            "schema" => self.schema.as_deref().into(),
            "port" => self.port.into(),
            "extra" => secret(&self.extra).into(),
            "extra_dejson" => {
                match secret(&self.extra).map(|text| serde_json::from_str::<serde_json::Value>(&text)) {
                    Some(Ok(json)) => value(&Arg::from_json(&json)),
                    Some(Err(_)) | None => map([]),
                }
            }
            _ => return None,
        })
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.conn_id)
    }
}

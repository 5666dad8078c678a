//! Answers as Airflow's models have them: each function is one model.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Options,
    dag::{Dag, Param, Task},
    executor::redact,
    known::{Dags, Known},
    scheduling::Backfill,
    state::TaskState,
    store::rows::{DagRun, TaskInstance},
};

/// Airflow's name for the one place that DAG files come from here.
pub const BUNDLE: &str = "dags-folder";

pub fn time(time: Option<DateTime<Utc>>) -> Value {
    // As pydantic prints it: microseconds only where there are some.
    let format = |time: DateTime<Utc>| match time.timestamp_subsec_micros() {
        0 => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        _ => time.to_rfc3339_opts(SecondsFormat::Micros, true),
    };
    time.map(format).into()
}

/// A number that names a row as the UUID that the API wants.
pub fn uuid(kind: &str, text: &str) -> String {
    let digest = Sha256::digest(format!("{kind}/{text}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

pub fn relative(options: &Options, file: &Path) -> String {
    file.strip_prefix(&options.dags_folder).unwrap_or(file).display().to_string()
}

pub fn dag(options: &Options, dags: &Dags, known: &Known) -> Map<String, Value> {
    let dag = &known.dag;
    let is_periodic = known.timetable.is_periodic();
    let tag =
        |name: &String| json!({ "name": name, "dag_id": dag.dag_id, "dag_display_name": dag.display_name });
    let next = known.next.filter(|_| !known.is_stale);
    let limited =
        |task: &Task| task.max_active_tis_per_dag.is_some() || task.max_active_tis_per_dagrun.is_some();
    let value = json!({
        "dag_id": dag.dag_id,
        "dag_display_name": dag.display_name,
        "is_paused": known.is_paused,
        "is_stale": known.is_stale,
        "last_parsed_time": time(Some(known.last_parsed_at)),
        "last_parse_duration": null,
        "last_expired": null,
        "bundle_name": BUNDLE,
        "bundle_version": null,
        "relative_fileloc": relative(options, &dag.file),
        "fileloc": dag.file.display().to_string(),
        "description": dag.description,
        "timetable_summary": Some(known.timetable.summary()).filter(|summary| summary != "None"),
        "timetable_description": known.timetable.description(),
        "timetable_partitioned": false,
        "timetable_periodic": is_periodic,
        "tags": dag.tags.iter().map(tag).collect::<Vec<_>>(),
        "max_active_tasks": dag.max_active_tasks,
        "max_active_runs": dag.max_active_runs,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": dag.tasks.values().any(limited),
        "has_import_errors": dags.has_import_error(known),
        "next_dagrun_logical_date": time(next.map(|next| next.logical_date())),
        "next_dagrun_data_interval_start": time(next.map(|next| next.interval.start)),
        "next_dagrun_data_interval_end": time(next.map(|next| next.interval.end)),
        "next_dagrun_run_after": time(next.map(|next| next.run_after)),
        "allowed_run_types": null,
        "owners": dag.owners().split(", ").collect::<Vec<_>>(),
        "is_backfillable": is_periodic,
        "file_token": relative(options, &dag.file),
    });
    match value {
        Value::Object(fields) => fields,
        _never => Map::new(),
    }
}

pub fn dag_details(options: &Options, dags: &Dags, known: &Known, running: i64) -> Value {
    let mut fields = dag(options, dags, known);
    let dag = &known.dag;
    let more = json!({
        "catchup": dag.catchup,
        "dag_run_timeout": dag.dagrun_timeout.map(iso_duration),
        "asset_expression": null,
        "doc_md": dag.doc_md,
        "start_date": time(dag.start_date),
        "end_date": time(dag.end_date),
        "is_paused_upon_creation": dag.is_paused_upon_creation,
        "params": params(&dag.params),
        "render_template_as_native_obj": dag.render_template_as_native_obj,
        "template_search_path": dag.template_folders.iter().skip(1).map(|it| it.display().to_string()).collect::<Vec<_>>(),
        "timezone": dag.timezone.name(),
        "last_parsed": time(Some(known.last_parsed_at)),
        "default_args": {},
        "rerun_with_latest_version": null,
        "owner_links": {},
        "is_favorite": false,
        "active_runs_count": running,
        "concurrency": dag.max_active_tasks,
        "latest_dag_version": dag_version(known, known.version),
    });
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    Value::Object(fields)
}

/// As Airflow shows `params`: each with its value, description and schema.
fn params(params: &indexmap::IndexMap<String, Param>) -> Value {
    let shown = |param: &Param| json!({ "value": param.value.to_json(), "description": param.description, "schema": param.schema, "source": null });
    Value::Object(params.iter().map(|(name, param)| (name.clone(), shown(param))).collect())
}

pub fn dag_version(known: &Known, version: i64) -> Value {
    json!({
        "id": uuid("dag_version", &format!("{}/{version}", known.dag.dag_id)),
        "version_number": version,
        "dag_id": known.dag.dag_id,
        "bundle_name": BUNDLE,
        "bundle_version": null,
        "created_at": time(Some(known.version_at)),
        "dag_display_name": known.dag.display_name,
        "bundle_url": null,
    })
}

pub fn dag_run(dags: &Dags, run: &DagRun) -> Value {
    let known = dags.by_id.get(&run.dag_id);
    let duration = run.ended_at.zip(run.started_at).map(|(end, start)| (end - start).as_seconds_f64());
    json!({
        "dag_run_id": run.run_id,
        "dag_id": run.dag_id,
        "logical_date": time(run.logical_date),
        "queued_at": time(run.queued_at),
        "start_date": time(run.started_at),
        "end_date": time(run.ended_at),
        "duration": duration,
        "data_interval_start": time(run.interval.map(|interval| interval.start)),
        "data_interval_end": time(run.interval.map(|interval| interval.end)),
        "run_after": time(Some(run.run_after)),
        "last_scheduling_decision": time(run.decided_at),
        "run_type": run.kind.word(),
        "state": run.state.word(),
        "triggered_by": run.triggered_by,
        "triggering_user_name": null,
        "conf": parsed(&run.conf),
        "note": run.note,
        "dag_versions": known.map(|known| dag_version(known, run.version)).into_iter().collect::<Vec<_>>(),
        "bundle_version": null,
        "dag_display_name": known.map_or(run.dag_id.as_str(), |known| known.dag.display_name.as_str()),
        "partition_key": null,
        "partition_date": null,
    })
}

/// Rendered arguments, with what is secret masked, as the API shows them.
fn rendered(instance: &TaskInstance) -> Value {
    instance.rendered.as_deref().map_or_else(|| json!({}), |text| redact("", &parsed(text)))
}

pub fn task_instance(dags: &Dags, run: &DagRun, instance: &TaskInstance) -> Value {
    let mut fields = task_try(dags, run, instance);
    fields.insert("id".to_owned(), uuid("task_instance", &instance.id.to_string()).into());
    fields.insert("logical_date".to_owned(), time(run.logical_date));
    fields.insert("run_after".to_owned(), time(Some(run.run_after)));
    fields.insert("note".to_owned(), instance.note.clone().into());
    fields.insert("rendered_map_index".to_owned(), instance.rendered_map_index.clone().into());
    fields.insert("rendered_fields".to_owned(), rendered(instance));
    fields.insert("trigger".to_owned(), Value::Null);
    fields.insert("triggerer_job".to_owned(), Value::Null);
    Value::Object(fields)
}

/// What a try of an instance and the instance itself have in common.
pub fn task_try(dags: &Dags, run: &DagRun, instance: &TaskInstance) -> Map<String, Value> {
    let known = dags.by_id.get(&run.dag_id);
    let task = known.and_then(|known| known.dag.tasks.get(&instance.task_id));
    let ran = instance.started_at.is_some();
    let value = json!({
        "task_id": instance.task_id,
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "map_index": instance.map_index,
        "start_date": time(instance.started_at),
        "end_date": time(instance.ended_at),
        "duration": instance.duration_s(),
        "state": instance.state.map(TaskState::word),
        "try_number": instance.try_number,
        "max_tries": instance.max_tries,
        "task_display_name": task.map_or(instance.task_id.as_str(), |task| task.display_name.as_str()),
        "dag_display_name": known.map_or(run.dag_id.as_str(), |known| known.dag.display_name.as_str()),
        "hostname": if ran { crate::hostname() } else { String::new() },
        "unixname": std::env::var("USER").unwrap_or_else(|_| "tidemill".to_owned()),
        "pool": instance.pool,
        "pool_slots": instance.pool_slots,
        "queue": instance.queue,
        "priority_weight": instance.priority_weight,
        "operator": instance.operator,
        "operator_name": instance.operator,
        "queued_when": time(instance.queued_at),
        "scheduled_when": time(instance.scheduled_at),
        "pid": instance.pid,
        "executor": null,
        "executor_config": "{}",
        "dag_version": known.map(|known| dag_version(known, run.version)),
    });
    match value {
        Value::Object(fields) => fields,
        _never => Map::new(),
    }
}

pub fn task(dag: &Dag, task: &Task) -> Value {
    let class = &task.operator.class;
    let (module, class_name) = class.rsplit_once('.').unwrap_or(("", class));
    json!({
        "task_id": task.task_id,
        "task_display_name": task.display_name,
        "owner": task.owner,
        "start_date": time(task.start_date.or(dag.start_date)),
        "end_date": time(task.end_date.or(dag.end_date)),
        "trigger_rule": task.trigger_rule.word(),
        "depends_on_past": task.depends_on_past,
        "wait_for_downstream": task.wait_for_downstream,
        "retries": f64::from(task.retry.retries),
        "queue": task.queue,
        "pool": task.pool,
        "pool_slots": f64::from(task.pool_slots),
        "execution_timeout": task.execution_timeout.map(delta),
        "retry_delay": delta(task.retry.delay),
        "retry_exponential_backoff": task.retry.exponential_backoff,
        "priority_weight": f64::from(task.priority_weight),
        "weight_rule": task.weight_rule.word(),
        "ui_color": "#fff",
        "ui_fgcolor": "#000",
        "template_fields": task.operator.args.keys().collect::<Vec<_>>(),
        "downstream_task_ids": task.downstream.iter().collect::<Vec<_>>(),
        "doc_md": task.doc_md,
        "operator_name": class_name,
        "params": params(&task.params),
        "class_ref": { "module_path": module, "class_name": class_name },
        "is_mapped": task.mapping.is_some(),
        "extra_links": [],
    })
}

fn delta(delta: TimeDelta) -> Value {
    let microseconds = delta.num_microseconds().unwrap_or(i64::MAX);
    let (days, rest) = (microseconds.div_euclid(86_400_000_000), microseconds.rem_euclid(86_400_000_000));
    json!({ "__type": "TimeDelta", "days": days, "seconds": rest / 1_000_000, "microseconds": rest % 1_000_000 })
}

/// `PT1H30M`, as pydantic prints a timedelta.
fn iso_duration(delta: TimeDelta) -> String {
    let seconds = delta.num_seconds();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let part =
        |number: i64, letter: &str| if number == 0 { String::new() } else { format!("{number}{letter}") };
    let clock = part(hours, "H") + &part(minutes, "M") + &part(seconds % 60, "S");
    match (days, clock.is_empty()) {
        (0, true) => "PT0S".to_owned(),
        (0, false) => format!("PT{clock}"),
        (days, true) => format!("P{days}D"),
        (days, false) => format!("P{days}DT{clock}"),
    }
}

pub fn backfill(dags: &Dags, backfill: &Backfill) -> Value {
    let known = dags.by_id.get(&backfill.dag_id);
    json!({
        "id": backfill.id,
        "dag_id": backfill.dag_id,
        "from_date": time(Some(backfill.from)),
        "to_date": time(Some(backfill.to)),
        "dag_run_conf": parsed(&backfill.conf),
        "is_paused": backfill.is_paused,
        "reprocess_behavior": backfill.reprocess.word(),
        "max_active_runs": backfill.max_active_runs,
        "created_at": time(Some(backfill.created_at)),
        "completed_at": time(backfill.completed_at),
        "updated_at": time(Some(backfill.updated_at)),
        "dag_display_name": known.map_or(backfill.dag_id.as_str(), |known| known.dag.display_name.as_str()),
    })
}

//! Task instances: listed, shown with their tries, cleared, set.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, patch, post},
};
use serde_json::{Value, json};

use super::{
    Answered, Api, Shared,
    bodies::Body,
    ok,
    query::{Filter, Params, order},
    shapes,
};
use crate::{
    Error, cells,
    scheduling::{Clear, Order, PatchTask},
    state::TaskState,
    store::rows::{DagRun, INSTANCE_COLUMNS, RUN_COLUMNS, TaskInstance, after_run},
};

const ORDER: [(&str, &str); 12] = [
    ("id", "t.id"),
    ("state", "t.state"),
    ("duration", "(t.ended_at - t.started_at)"),
    ("start_date", "t.started_at"),
    ("end_date", "t.ended_at"),
    ("map_index", "t.map_index"),
    ("try_number", "t.try_number"),
    ("logical_date", "r.logical_date"),
    ("run_after", "r.run_after"),
    ("rendered_map_index", "t.rendered_map_index"),
    ("operator", "t.operator"),
    ("task_id", "t.task_id"),
];
const INSTANCES: &str = "/dags/{dag_id}/dagRuns/{run_id}/taskInstances";

pub fn routes() -> Router<Arc<Api>> {
    let at = |rest: &str| format!("{INSTANCES}{rest}");
    Router::new()
        .route(INSTANCES, get(list))
        .route(&at("/list"), post(batch))
        .route(&at("/{task_id}"), get(one).patch(set))
        .route(&at("/{task_id}/dry_run"), patch(set_dry))
        .route(&at("/{task_id}/listMapped"), get(mapped))
        .route(&at("/{task_id}/dependencies"), get(async || ok(json!({ "dependencies": [] }))))
        .route(&at("/{task_id}/tries"), get(tries))
        .route(&at("/{task_id}/tries/{try_number}"), get(one_try))
        .route(&at("/{task_id}/{map_index}"), get(one_mapped).patch(set_mapped))
        .route(&at("/{task_id}/{map_index}/dry_run"), patch(set_mapped_dry))
        .route(&at("/{task_id}/{map_index}/tries"), get(tries_mapped))
        .route(&at("/{task_id}/{map_index}/tries/{try_number}"), get(one_try_mapped))
        .route("/dags/{dag_id}/clearTaskInstances", post(clear))
}

async fn rows(api: &Api, filter: Filter, rest: &str) -> Result<Vec<(DagRun, TaskInstance)>, Error> {
    let sql = format!(
        "SELECT {RUN_COLUMNS}, {INSTANCE_COLUMNS} FROM task_instance t JOIN dag_run r ON r.id = t.run {} {rest}",
        filter.sql()
    );
    let split = |row: &crate::store::Row| {
        let (run, rest) = after_run(row);
        (run, TaskInstance::read(rest))
    };
    Ok(api.database.rows(sql, filter.cells).await?.iter().map(split).collect())
}

async fn selected(api: &Api, filter: Filter, order: &str, page: &str) -> Answered {
    let count =
        format!("SELECT count(*) FROM task_instance t JOIN dag_run r ON r.id = t.run {}", filter.sql());
    let total = api.database.count(count, filter.cells.clone()).await?;
    let found = rows(api, filter, &format!("{order} {page}")).await?;
    shown(api, &found, total)
}

fn shown(api: &Api, found: &[(DagRun, TaskInstance)], total: i64) -> Answered {
    let dags = api.dags.read();
    let found: Vec<Value> =
        found.iter().map(|(run, instance)| shapes::task_instance(&dags, run, instance)).collect();
    ok(json!({ "task_instances": found, "total_entries": total }))
}

fn by_query(params: &Params, filter: &mut Filter) -> Result<(), Error> {
    for (name, column) in [
        ("run_after", "r.run_after"),
        ("logical_date", "r.logical_date"),
        ("start_date", "t.started_at"),
        ("end_date", "t.ended_at"),
        ("updated_at", "t.updated_at"),
    ] {
        filter.range(params, name, column)?;
    }
    for (name, column) in
        [("state", "t.state"), ("pool", "t.pool"), ("queue", "t.queue"), ("operator", "t.operator")]
    {
        filter.any(column, &params.all(name));
    }
    for (name, column) in [("map_index", "t.map_index"), ("try_number", "t.try_number")] {
        if let Some(text) = params.get(name) {
            let number: i64 =
                text.parse().map_err(|_| Error::invalid(format!("{name}: {text} is not a number")))?;
            filter.add(&format!("{column} = ?"), number);
        }
    }
    if let Some(task_id) = params.get("task_id") {
        filter.add("t.task_id = ?", task_id);
    }
    filter.pattern("t.task_id", params.get("task_display_name_pattern"));
    filter.pattern("r.dag_id", params.get("dag_id_pattern"));
    filter.pattern("r.run_id", params.get("run_id_pattern"));
    Ok(())
}

async fn list(
    State(api): Shared,
    Path((dag_id, run_id)): Path<(String, String)>,
    params: Params,
) -> Answered {
    let mut filter = Filter::default();
    if run_id != "~" {
        if dag_id == "~" {
            return Err(Error::bad_request("dag_id is required when dag_run_id is specified"));
        }
        if api.database.run(&dag_id, &run_id).await?.is_none() {
            let detail = format!("DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found");
            return Err(Error::not_found(detail));
        }
        filter.add("r.run_id = ?", &run_id);
    }
    if dag_id != "~" {
        api.dag(&dag_id)?;
        filter.add("r.dag_id = ?", &dag_id);
    }
    by_query(&params, &mut filter)?;
    let order = order(&params, &ORDER, "t.map_index, t.id")?;
    selected(&api, filter, &order, &params.page()?.sql()).await
}

/// Ranges of a body, named as those of a query.
pub fn body_ranges(body: &Body, filter: &mut Filter, columns: &[(&str, &str)]) -> Result<(), Error> {
    for (name, column) in columns {
        for (suffix, sign) in [("gte", ">="), ("gt", ">"), ("lte", "<="), ("lt", "<")] {
            if let Some(time) = body.time(&format!("{name}_{suffix}"))? {
                filter.add(&format!("{column} {sign} ?"), time);
            }
        }
    }
    Ok(())
}

/// The order and the page that a body asks for.
pub fn body_page(body: &Body, columns: &[(&str, &str)], default: &str) -> Result<(String, String), Error> {
    let wanted = body.text("order_by")?.unwrap_or_default();
    let (name, direction) = wanted.strip_prefix('-').map_or((wanted.as_str(), "ASC"), |name| (name, "DESC"));
    let order = match columns.iter().find(|(known, _)| *known == name) {
        Some((_, column)) => format!("ORDER BY {column} {direction}, {default}"),
        None if name.is_empty() => format!("ORDER BY {default}"),
        None => {
            let detail =
                format!("Ordering with '{name}' is disallowed or the attribute does not exist on the model");
            return Err(Error::bad_request(detail));
        }
    };
    let (limit, offset) =
        (body.number("page_limit")?.unwrap_or(100), body.number("page_offset")?.unwrap_or(0));
    Ok((order, format!("LIMIT {} OFFSET {}", limit.clamp(0, 100), offset.max(0))))
}

async fn batch(State(api): Shared, Path(_ids): Path<(String, String)>, body: Body) -> Answered {
    let mut filter = Filter::default();
    for (name, column) in [
        ("dag_ids", "r.dag_id"),
        ("dag_run_ids", "r.run_id"),
        ("task_ids", "t.task_id"),
        ("state", "t.state"),
        ("pool", "t.pool"),
        ("queue", "t.queue"),
    ] {
        filter.any(column, &body.texts(name)?.iter().map(String::as_str).collect::<Vec<_>>());
    }
    body_ranges(
        &body,
        &mut filter,
        &[
            ("run_after", "r.run_after"),
            ("logical_date", "r.logical_date"),
            ("start_date", "t.started_at"),
            ("end_date", "t.ended_at"),
        ],
    )?;
    let (order, page) = body_page(&body, &ORDER, "t.id")?;
    selected(&api, filter, &order, &page).await
}

async fn instance(
    api: &Api,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
    map_index: Option<i32>,
) -> Result<Vec<(DagRun, TaskInstance)>, Error> {
    let mut filter = Filter::default();
    filter.add("r.dag_id = ?", dag_id);
    filter.add("r.run_id = ?", run_id);
    filter.add("t.task_id = ?", task_id);
    if let Some(map_index) = map_index {
        filter.add("t.map_index = ?", map_index);
    }
    rows(api, filter, "ORDER BY t.map_index").await
}

fn missing(dag_id: &str, run_id: &str, task_id: &str) -> Error {
    Error::not_found(format!(
        "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}` and task_id: `{task_id}` was not found"
    ))
}

fn missing_mapped(dag_id: &str, run_id: &str, task_id: &str, map_index: i32) -> Error {
    Error::not_found(format!(
        "The Mapped Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}`, and map_index: \
         `{map_index}` was not found"
    ))
}

type Named = Path<(String, String, String)>;
type NamedMapped = Path<(String, String, String, i32)>;

async fn one(State(api): Shared, Path((dag_id, run_id, task_id)): Named) -> Answered {
    let found = instance(&api, &dag_id, &run_id, &task_id, None).await?;
    let (run, instance) = found.first().ok_or_else(|| missing(&dag_id, &run_id, &task_id))?;
    if instance.map_index != -1 {
        return Err(Error::not_found("Task instance is mapped, add the map_index value to the URL"));
    }
    ok(shapes::task_instance(&api.dags.read(), run, instance))
}

async fn one_mapped(State(api): Shared, Path((dag_id, run_id, task_id, map_index)): NamedMapped) -> Answered {
    let found = instance(&api, &dag_id, &run_id, &task_id, Some(map_index)).await?;
    let (run, instance) =
        found.first().ok_or_else(|| missing_mapped(&dag_id, &run_id, &task_id, map_index))?;
    ok(shapes::task_instance(&api.dags.read(), run, instance))
}

async fn mapped(State(api): Shared, Path((dag_id, run_id, task_id)): Named, params: Params) -> Answered {
    let known = api.dag(&dag_id)?;
    let task = known.dag.tasks.get(&task_id);
    match task {
        None => return Err(Error::not_found(format!("Task id {task_id} not found"))),
        Some(task) if task.mapping.is_none() => {
            return Err(Error::not_found(format!("Task id {task_id} is not mapped")));
        }
        Some(_mapped) => {}
    }
    let mut filter = Filter::default();
    filter.add("r.dag_id = ?", &dag_id);
    filter.add("r.run_id = ?", &run_id);
    filter.add("t.task_id = ?", &task_id);
    filter.fixed("t.map_index >= 0");
    by_query(&params, &mut filter)?;
    let order = order(&params, &ORDER, "t.map_index")?;
    selected(&api, filter, &order, &params.page()?.sql()).await
}

/// All tries there were, the last one as it is now.
async fn all_tries(
    api: &Api,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
    map_index: i32,
) -> Result<Vec<(DagRun, TaskInstance)>, Error> {
    let found = instance(api, dag_id, run_id, task_id, Some(map_index)).await?;
    let Some((run, now)) = found.into_iter().next() else {
        return Err(Error::not_found(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}` and map_index: \
             `{map_index}` was not found"
        )));
    };
    let sql = "SELECT try_number, state, max_tries, started_at, ended_at, queued_at, scheduled_at, pid, pool, pool_slots, \
        queue, priority_weight, operator FROM task_instance_history WHERE run = ?1 AND task_id = ?2 AND map_index = ?3 \
        ORDER BY try_number";
    let history = api.database.rows(sql, cells![run.id, task_id, map_index]).await?;
    let number = |cell: &crate::store::Cell| cell.int().and_then(|it| u32::try_from(it).ok()).unwrap_or(0);
    let mut tries: Vec<(DagRun, TaskInstance)> = history
        .iter()
        .map(|row| {
            let instance = TaskInstance {
                try_number: number(&row[0]),
                state: row[1].text().and_then(TaskState::parse),
                max_tries: number(&row[2]),
                started_at: row[3].time(),
                ended_at: row[4].time(),
                queued_at: row[5].time(),
                scheduled_at: row[6].time(),
                pid: row[7].int(),
                ..now.clone()
            };
            (run.clone(), instance)
        })
        .collect();
    if tries.last().is_none_or(|(_, last)| last.try_number != now.try_number) {
        tries.push((run, now));
    }
    Ok(tries)
}

async fn shown_tries(api: &Api, dag_id: &str, run_id: &str, task_id: &str, map_index: i32) -> Answered {
    let tries = all_tries(api, dag_id, run_id, task_id, map_index).await?;
    let dags = api.dags.read();
    let shown: Vec<Value> =
        tries.iter().map(|(run, instance)| Value::Object(shapes::task_try(&dags, run, instance))).collect();
    ok(json!({ "total_entries": shown.len(), "task_instances": shown }))
}

async fn tries(State(api): Shared, Path((dag_id, run_id, task_id)): Named, params: Params) -> Answered {
    let map_index = params.get("map_index").and_then(|text| text.parse().ok()).unwrap_or(-1);
    shown_tries(&api, &dag_id, &run_id, &task_id, map_index).await
}

async fn tries_mapped(
    State(api): Shared,
    Path((dag_id, run_id, task_id, map_index)): NamedMapped,
) -> Answered {
    shown_tries(&api, &dag_id, &run_id, &task_id, map_index).await
}

async fn shown_try(api: &Api, ids: (&str, &str, &str, i32), try_number: u32) -> Answered {
    let (dag_id, run_id, task_id, map_index) = ids;
    let tries = all_tries(api, dag_id, run_id, task_id, map_index).await?;
    let wanted = tries.iter().find(|(_, instance)| instance.try_number == try_number);
    let (run, instance) = wanted.ok_or_else(|| {
        Error::not_found(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}`, try_number: \
             `{try_number}` and map_index: `{map_index}` was not found"
        ))
    })?;
    ok(Value::Object(shapes::task_try(&api.dags.read(), run, instance)))
}

async fn one_try(
    State(api): Shared,
    Path((dag_id, run_id, task_id, try_number)): Path<(String, String, String, u32)>,
    params: Params,
) -> Answered {
    let map_index = params.get("map_index").and_then(|text| text.parse().ok()).unwrap_or(-1);
    shown_try(&api, (&dag_id, &run_id, &task_id, map_index), try_number).await
}

async fn one_try_mapped(
    State(api): Shared,
    Path((dag_id, run_id, task_id, map_index, try_number)): Path<(String, String, String, i32, u32)>,
) -> Answered {
    shown_try(&api, (&dag_id, &run_id, &task_id, map_index), try_number).await
}

async fn set(
    State(api): Shared,
    Path((dag_id, run_id, task_id)): Named,
    params: Params,
    body: Body,
) -> Answered {
    let map_index = params.get("map_index").and_then(|text| text.parse().ok());
    change(&api, (dag_id, run_id, task_id, map_index), &params, &body, false).await
}

async fn set_dry(
    State(api): Shared,
    Path((dag_id, run_id, task_id)): Named,
    params: Params,
    body: Body,
) -> Answered {
    change(&api, (dag_id, run_id, task_id, None), &params, &body, true).await
}

async fn set_mapped(
    State(api): Shared,
    Path((dag_id, run_id, task_id, map_index)): NamedMapped,
    params: Params,
    body: Body,
) -> Answered {
    change(&api, (dag_id, run_id, task_id, Some(map_index)), &params, &body, false).await
}

async fn set_mapped_dry(
    State(api): Shared,
    Path((dag_id, run_id, task_id, map_index)): NamedMapped,
    params: Params,
    body: Body,
) -> Answered {
    change(&api, (dag_id, run_id, task_id, Some(map_index)), &params, &body, true).await
}

async fn change(
    api: &Api,
    (dag_id, run_id, task_id, map_index): (String, String, String, Option<i32>),
    params: &Params,
    body: &Body,
    dry_run: bool,
) -> Answered {
    body.only(&[
        "new_state",
        "note",
        "include_upstream",
        "include_downstream",
        "include_future",
        "include_past",
    ])?;
    let mask = params.all("update_mask");
    let meant = |name: &str| body.has(name) && (mask.is_empty() || mask.contains(&name));
    if instance(api, &dag_id, &run_id, &task_id, map_index).await?.is_empty() {
        return Err(missing(&dag_id, &run_id, &task_id));
    }
    let state = match body.text("new_state")?.filter(|_| meant("new_state")) {
        None => None,
        Some(word) => match TaskState::parse(&word.to_lowercase()) {
            Some(state @ (TaskState::Success | TaskState::Failed | TaskState::Skipped)) => Some(state),
            _other => {
                return Err(Error::invalid(format!(
                    "'{word}' is not one of ['success', 'failed', 'skipped']"
                )));
            }
        },
    };
    let patch = PatchTask {
        task_id,
        map_index,
        state,
        note: if meant("note") { Some(body.text("note")?) } else { None },
        upstream: body.flag("include_upstream", false)?,
        downstream: body.flag("include_downstream", false)?,
        past: body.flag("include_past", false)?,
        future: body.flag("include_future", false)?,
        dry_run,
    };
    let changed = api.order(|answer| Order::SetTasks { dag_id, run_id, patch, answer }).await?;
    let total = i64::try_from(changed.len()).unwrap_or(i64::MAX);
    shown(api, &changed, total)
}

/// Tasks, each with the map index that is meant.
type NamedTasks = Vec<(String, Option<i32>)>;

/// `["task", ["mapped", 3]]`.
fn wanted_tasks(body: &Body) -> Result<Option<NamedTasks>, Error> {
    let items = match body.value("task_ids") {
        Value::Null => return Ok(None),
        Value::Array(items) if items.is_empty() => {
            return Err(Error::invalid("task_ids list should have at least 1 element."));
        }
        Value::Array(items) => items,
        _other => return Err(Error::invalid("task_ids: Input should be a valid list")),
    };
    let one = |item: &Value| match item {
        Value::String(id) => Some((id.clone(), None)),
        Value::Array(pair) => {
            Some((pair.first()?.as_str()?.to_owned(), Some(i32::try_from(pair.get(1)?.as_i64()?).ok()?)))
        }
        _other => None,
    };
    let tasks: Option<Vec<_>> = items.iter().map(one).collect();
    tasks.map(Some).ok_or_else(|| Error::invalid("task_ids: each is a task_id or [task_id, map_index]"))
}

async fn clear(State(api): Shared, Path(dag_id): Path<String>, body: Body) -> Answered {
    body.only(&[
        "dry_run",
        "start_date",
        "end_date",
        "only_failed",
        "only_running",
        "reset_dag_runs",
        "task_ids",
        "dag_run_id",
        "include_upstream",
        "include_downstream",
        "include_future",
        "include_past",
        "run_on_latest_version",
        "prevent_running_task",
        "note",
    ])?;
    let known = api.dag(&dag_id)?;
    let (only_failed, only_running) = (body.flag("only_failed", true)?, body.flag("only_running", false)?);
    if body.has("only_failed") && only_failed && only_running {
        return Err(Error::invalid("only_failed and only_running both are set to True"));
    }
    let run_id = body.text("dag_run_id")?;
    let (from, to) = (body.time("start_date")?, body.time("end_date")?);
    if run_id.is_some() && (from.is_some() || to.is_some()) {
        return Err(Error::invalid(
            "Exactly one of dag_run_id or (start_date and end_date) must be provided",
        ));
    }
    if let Some(run_id) = &run_id
        && api.database.run(&dag_id, run_id).await?.is_none()
    {
        return Err(Error::not_found(format!("Dag Run id {run_id} not found in dag {dag_id}")));
    }
    let tasks = wanted_tasks(&body)?;
    if let Some((task_id, _)) = tasks.iter().flatten().find(|(id, _)| !known.dag.tasks.contains_key(id)) {
        return Err(Error::not_found(format!("Task ID {task_id} not found in DAG {dag_id}")));
    }
    let clear = Clear {
        run_id,
        from,
        to,
        tasks,
        only_failed: only_failed && !only_running,
        only_running,
        upstream: body.flag("include_upstream", false)?,
        downstream: body.flag("include_downstream", false)?,
        past: body.flag("include_past", false)?,
        future: body.flag("include_future", false)?,
        reset_runs: body.flag("reset_dag_runs", true)?,
        prevent_running: body.flag("prevent_running_task", false)?,
        dry_run: body.flag("dry_run", true)?,
        note: body.text("note")?,
    };
    let cleared = api.order(|answer| Order::Clear { dag_id, clear, answer }).await?;
    let total = i64::try_from(cleared.len()).unwrap_or(i64::MAX);
    shown(&api, &cleared, total)
}

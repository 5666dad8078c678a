//! XComs of task instances.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{
    Answered, Api, Shared,
    bodies::Body,
    created, ok,
    query::{Filter, Params},
    shapes::time,
};
use crate::{
    Error, cells,
    store::{
        Row, Statement,
        rows::{DagRun, RUN_COLUMNS, after_run, save_xcom},
    },
};

const ENTRIES: &str = "/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries";

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route(ENTRIES, get(list).post(create))
        .route(&format!("{ENTRIES}/{{key}}"), get(one).patch(change).delete(delete))
}

fn shape(api: &Api, row: &Row) -> Value {
    let (run, rest) = after_run(row);
    let dags = api.dags.read();
    let known = dags.by_id.get(&run.dag_id);
    let task_id = rest[0].text().unwrap_or_default();
    let task = known.and_then(|known| known.dag.tasks.get(task_id));
    json!({
        "key": rest[2].text(),
        "timestamp": time(rest[4].time()),
        "logical_date": time(run.logical_date),
        "map_index": rest[1].int(),
        "task_id": task_id,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "dag_display_name": known.map_or(run.dag_id.as_str(), |known| known.dag.display_name.as_str()),
        "task_display_name": task.map_or(task_id, |task| task.display_name.as_str()),
        "run_after": time(Some(run.run_after)),
    })
}

async fn rows(api: &Api, filter: Filter, rest: &str) -> Result<Vec<Row>, Error> {
    let sql = format!(
        "SELECT {RUN_COLUMNS}, x.task_id, x.map_index, x.key, x.value, x.written_at FROM xcom x \
         JOIN dag_run r ON r.id = x.run {} {rest}",
        filter.sql()
    );
    api.database.rows(sql, filter.cells).await
}

fn named(dag_id: &str, run_id: &str, task_id: &str) -> Filter {
    let mut filter = Filter::default();
    for (column, value) in [("r.dag_id", dag_id), ("r.run_id", run_id), ("x.task_id", task_id)] {
        if value != "~" {
            filter.add(&format!("{column} = ?"), value);
        }
    }
    filter
}

type Named = Path<(String, String, String)>;
type NamedKey = Path<(String, String, String, String)>;

async fn list(State(api): Shared, Path((dag_id, run_id, task_id)): Named, params: Params) -> Answered {
    let mut filter = named(&dag_id, &run_id, &task_id);
    if let Some(key) = params.get("xcom_key") {
        filter.add("x.key = ?", key);
    }
    if let Some(Ok(map_index)) = params.get("map_index").map(str::parse::<i32>) {
        filter.add("x.map_index = ?", map_index);
    }
    filter.pattern("x.key", params.get("xcom_key_pattern"));
    let count = format!("SELECT count(*) FROM xcom x JOIN dag_run r ON r.id = x.run {}", filter.sql());
    let total = api.database.count(count, filter.cells.clone()).await?;
    let page = params.page()?.sql();
    let found = rows(&api, filter, &format!("ORDER BY r.id, x.task_id, x.map_index, x.key {page}")).await?;
    ok(
        json!({ "xcom_entries": found.iter().map(|row| shape(&api, row)).collect::<Vec<_>>(), "total_entries": total }),
    )
}

fn map_index(params: &Params) -> i32 {
    params.get("map_index").and_then(|text| text.parse().ok()).unwrap_or(-1)
}

async fn one(State(api): Shared, Path((dag_id, run_id, task_id, key)): NamedKey, params: Params) -> Answered {
    let mut filter = named(&dag_id, &run_id, &task_id);
    filter.add("x.key = ?", &key);
    filter.add("x.map_index = ?", map_index(&params));
    let found = rows(&api, filter, "").await?;
    let row =
        found.first().ok_or_else(|| Error::not_found(format!("XCom entry with key: `{key}` not found")))?;
    let mut entry = shape(&api, row);
    let text = after_run(row).1[3].text().unwrap_or("null").to_owned();
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    entry["value"] = match params.flag("stringify")?.unwrap_or(false) {
        true => value.as_str().map_or(text, str::to_owned).into(),
        false => value,
    };
    ok(entry)
}

async fn run_of(api: &Api, dag_id: &str, run_id: &str) -> Result<DagRun, Error> {
    let run = api.database.run(dag_id, run_id).await?;
    run.ok_or_else(|| Error::not_found(format!("Dag Run with ID: `{run_id}` not found for dag: `{dag_id}`")))
}

async fn create(State(api): Shared, Path((dag_id, run_id, task_id)): Named, body: Body) -> Answered {
    body.only(&["key", "value", "map_index"])?;
    let known = api.dag(&dag_id)?;
    if !known.dag.tasks.contains_key(&task_id) {
        return Err(Error::not_found(format!("Task with ID: `{task_id}` not found in dag: `{dag_id}`")));
    }
    let key = body.required("key")?;
    let run = run_of(&api, &dag_id, &run_id).await?;
    let map_index = i32::try_from(body.number("map_index")?.unwrap_or(-1)).unwrap_or(-1);
    let sql = "SELECT count(*) FROM xcom WHERE run = ?1 AND task_id = ?2 AND map_index = ?3 AND key = ?4";
    if api.database.count(sql, cells![run.id, &task_id, map_index, &key]).await? > 0 {
        let detail = format!("The XCom with key: `{key}` with mentioned task instance already exists.");
        return Err(Error::conflict(detail));
    }
    write(&api, &run, &task_id, map_index, &key, body.value("value")).await?;
    let answer = one(State(api), Path((dag_id, run_id, task_id, key)), Params::default()).await;
    answer.and_then(|super::Json(_, value)| created(value))
}

async fn write(
    api: &Api,
    run: &DagRun,
    task_id: &str,
    map_index: i32,
    key: &str,
    value: &Value,
) -> Result<(), Error> {
    let now = chrono::DateTime::from_timestamp_millis(api.options.clock.now_ms()).unwrap_or_default();
    let statement = save_xcom(run.id, task_id, map_index, key, &value.to_string(), now);
    api.database.write(vec![statement]).await
}

async fn change(State(api): Shared, Path((dag_id, run_id, task_id, key)): NamedKey, body: Body) -> Answered {
    body.only(&["value", "map_index"])?;
    let run = run_of(&api, &dag_id, &run_id).await?;
    let map_index = i32::try_from(body.number("map_index")?.unwrap_or(-1)).unwrap_or(-1);
    let sql = "SELECT count(*) FROM xcom WHERE run = ?1 AND task_id = ?2 AND map_index = ?3 AND key = ?4";
    if api.database.count(sql, cells![run.id, &task_id, map_index, &key]).await? == 0 {
        return Err(Error::not_found(format!(
            "The XCom with key: `{key}` with mentioned task instance doesn't exist."
        )));
    }
    write(&api, &run, &task_id, map_index, &key, body.value("value")).await?;
    one(State(api), Path((dag_id, run_id, task_id, key)), Params::default()).await
}

async fn delete(
    State(api): Shared,
    Path((dag_id, run_id, task_id, key)): NamedKey,
    params: Params,
) -> Result<StatusCode, Error> {
    let run = run_of(&api, &dag_id, &run_id).await?;
    let sql = "DELETE FROM xcom WHERE run = ?1 AND task_id = ?2 AND map_index = ?3 AND key = ?4";
    let cells = cells![run.id, &task_id, map_index(&params), &key];
    api.database.write(vec![Statement::new(sql, cells)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

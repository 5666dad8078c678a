//! `/dags/{dag_id}/dagRuns`: listed, triggered, set, cleared, deleted, waited for.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body as HttpBody, Bytes},
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
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
    dag::RETURN_KEY,
    scheduling::{Clear, Order, Trigger},
    state::RunState,
    store::rows::{DagRun, RUN_COLUMNS},
    timetable::DataInterval,
};

const ORDER: [(&str, &str); 11] = [
    ("id", "r.id"),
    ("state", "r.state"),
    ("dag_id", "r.dag_id"),
    ("run_id", "r.run_id"),
    ("dag_run_id", "r.run_id"),
    ("run_after", "r.run_after"),
    ("logical_date", "r.logical_date"),
    ("start_date", "r.started_at"),
    ("end_date", "r.ended_at"),
    ("updated_at", "r.updated_at"),
    ("duration", "(r.ended_at - r.started_at)"),
];
/// Between two looks of `wait`, at least.
const WAIT_S_MIN: f64 = 0.05;

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/dags/{dag_id}/dagRuns", get(list).post(trigger))
        .route("/dags/{dag_id}/dagRuns/list", post(batch))
        .route("/dags/{dag_id}/dagRuns/{run_id}", get(one).patch(patch).delete(delete))
        .route("/dags/{dag_id}/dagRuns/{run_id}/clear", post(clear))
        .route("/dags/{dag_id}/dagRuns/{run_id}/wait", get(wait))
        .route("/dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents", get(asset_events))
}

async fn selected(api: &Api, filter: Filter, order: &str, page: &str) -> Answered {
    let total = api
        .database
        .count(format!("SELECT count(*) FROM dag_run r {}", filter.sql()), filter.cells.clone())
        .await?;
    let sql = format!("SELECT {RUN_COLUMNS} FROM dag_run r {} {order} {page}", filter.sql());
    let rows = api.database.rows(sql, filter.cells).await?;
    let dags = api.dags.read();
    let runs: Vec<Value> = rows.iter().map(|row| shapes::dag_run(&dags, &DagRun::read(row))).collect();
    ok(json!({ "dag_runs": runs, "total_entries": total }))
}

async fn list(State(api): Shared, Path(dag_id): Path<String>, params: Params) -> Answered {
    let mut filter = Filter::default();
    if dag_id != "~" {
        api.dag(&dag_id)?;
        filter.add("r.dag_id = ?", &dag_id);
    }
    for (name, column) in [
        ("run_after", "r.run_after"),
        ("logical_date", "r.logical_date"),
        ("start_date", "r.started_at"),
        ("end_date", "r.ended_at"),
        ("updated_at", "r.updated_at"),
    ] {
        filter.range(&params, name, column)?;
    }
    filter.any("r.state", &params.all("state"));
    filter.any("r.run_type", &params.all("run_type"));
    filter.pattern("r.run_id", params.get("run_id_pattern"));
    filter.pattern("r.dag_id", params.get("dag_id_pattern"));
    filter.pattern("r.conf", params.get("conf_contains"));
    let order = order(&params, &ORDER, "r.id")?;
    selected(&api, filter, &order, &params.page()?.sql()).await
}

async fn batch(State(api): Shared, Path(_dag_id): Path<String>, body: Body) -> Answered {
    let mut filter = Filter::default();
    let texts = |name| body.texts(name);
    for (name, column) in [("dag_ids", "r.dag_id"), ("states", "r.state")] {
        filter.any(column, &texts(name)?.iter().map(String::as_str).collect::<Vec<_>>());
    }
    super::task_instances::body_ranges(
        &body,
        &mut filter,
        &[
            ("run_after", "r.run_after"),
            ("logical_date", "r.logical_date"),
            ("start_date", "r.started_at"),
            ("end_date", "r.ended_at"),
        ],
    )?;
    let (order, page) = super::task_instances::body_page(&body, &ORDER, "r.id")?;
    selected(&api, filter, &order, &page).await
}

async fn found(api: &Api, dag_id: &str, run_id: &str) -> Result<DagRun, Error> {
    api.database.run(dag_id, run_id).await?.ok_or_else(|| {
        Error::not_found(format!("The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"))
    })
}

async fn one(State(api): Shared, Path((dag_id, run_id)): Path<(String, String)>) -> Answered {
    let run = found(&api, &dag_id, &run_id).await?;
    ok(shapes::dag_run(&api.dags.read(), &run))
}

async fn trigger(State(api): Shared, Path(dag_id): Path<String>, body: Body) -> Answered {
    body.only(&[
        "dag_run_id",
        "data_interval_start",
        "data_interval_end",
        "logical_date",
        "run_after",
        "conf",
        "note",
        "partition_key",
    ])?;
    if !body.has("logical_date") {
        return Err(Error::invalid("logical_date: Field required"));
    }
    let interval = match (body.time("data_interval_start")?, body.time("data_interval_end")?) {
        (Some(start), Some(end)) => Some(DataInterval { start, end }),
        (None, None) => None,
        (_, _) => {
            let detail =
                "Either both data_interval_start and data_interval_end must be provided or both must be None";
            return Err(Error::invalid(detail));
        }
    };
    let trigger = Trigger {
        run_id: body.text("dag_run_id")?,
        logical_date: body.time("logical_date")?,
        interval,
        run_after: body.time("run_after")?,
        conf: body.object("conf")?,
        note: body.text("note")?,
        triggered_by: "rest_api",
        reset: false,
    };
    let run = api.order(|answer| Order::Trigger { dag_id, trigger, answer }).await?;
    ok(shapes::dag_run(&api.dags.read(), &run))
}

async fn patch(
    State(api): Shared,
    Path((dag_id, run_id)): Path<(String, String)>,
    params: Params,
    body: Body,
) -> Answered {
    body.only(&["state", "note"])?;
    let mask = params.all("update_mask");
    let meant = |name: &str| body.has(name) && (mask.is_empty() || mask.contains(&name));
    let state = match body.text("state")?.filter(|_| meant("state")).as_deref() {
        None => None,
        Some("running") => {
            return Err(Error::invalid("state: Input should be 'queued', 'success' or 'failed'"));
        }
        Some(word) => Some(
            RunState::parse(word)
                .ok_or_else(|| Error::invalid("state: Input should be 'queued', 'success' or 'failed'"))?,
        ),
    };
    let note = if meant("note") { Some(body.text("note")?) } else { None };
    let run = api.order(|answer| Order::SetRun { dag_id, run_id, state, note, answer }).await?;
    ok(shapes::dag_run(&api.dags.read(), &run))
}

async fn delete(
    State(api): Shared,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    let run = found(&api, &dag_id, &run_id).await?;
    api.order(|answer| Order::DeleteRun { dag_id, run_id, answer }).await?;
    api.logs.remove(&run);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear(State(api): Shared, Path((dag_id, run_id)): Path<(String, String)>, body: Body) -> Answered {
    body.only(&["dry_run", "only_failed", "only_new", "run_on_latest_version", "note"])?;
    found(&api, &dag_id, &run_id).await?;
    let dry_run = body.flag("dry_run", true)?;
    // Tasks that are new in the file are in the run already: nothing is left for `only_new`.
    let only_new = body.flag("only_new", false)?;
    let clear = Clear {
        run_id: Some(run_id.clone()),
        only_failed: body.flag("only_failed", false)?,
        tasks: only_new.then(Vec::new),
        reset_runs: true,
        dry_run,
        note: body.text("note")?,
        ..Clear::default()
    };
    let cleared = api.order(|answer| Order::Clear { dag_id: dag_id.clone(), clear, answer }).await?;
    if !dry_run {
        return one(State(api), Path((dag_id, run_id))).await;
    }
    let dags = api.dags.read();
    let shown: Vec<Value> =
        cleared.iter().map(|(run, instance)| shapes::task_instance(&dags, run, instance)).collect();
    ok(json!({ "total_entries": shown.len(), "task_instances": shown }))
}

async fn asset_events(State(api): Shared, Path((dag_id, run_id)): Path<(String, String)>) -> Answered {
    found(&api, &dag_id, &run_id).await?;
    ok(json!({ "asset_events": [], "total_entries": 0 }))
}

/// A line of JSON for each look, the last one with the results that were asked for.
async fn wait(
    State(api): Shared,
    Path((dag_id, run_id)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Error> {
    found(&api, &dag_id, &run_id).await?;
    let interval: f64 = params.get("interval").and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let pause = Duration::from_secs_f64(interval.clamp(WAIT_S_MIN, 3_600.0));
    let wanted: Vec<String> = params.all("result").into_iter().map(str::to_owned).collect();
    let lines = futures::stream::unfold(Some(true), move |more| {
        let (api, dag_id, run_id, wanted) = (api.clone(), dag_id.clone(), run_id.clone(), wanted.clone());
        async move {
            if !more? {
                tokio::time::sleep(pause).await;
            }
            let line = wait_line(&api, &dag_id, &run_id, &wanted).await;
            let (text, ended) = match line {
                Ok(line) => line,
                Err(error) => (json!({ "error": error.to_string() }), true),
            };
            let bytes: Result<Bytes, std::io::Error> = Ok(Bytes::from(format!("{text}\n")));
            Some((bytes, if ended { None } else { Some(false) }))
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], HttpBody::from_stream(lines)).into_response())
}

async fn wait_line(api: &Api, dag_id: &str, run_id: &str, wanted: &[String]) -> Result<(Value, bool), Error> {
    let run = found(api, dag_id, run_id).await?;
    let mut line = json!({ "state": run.state.word() });
    if !run.state.is_finished() {
        return Ok((line, false));
    }
    for task_id in wanted {
        let sql = "SELECT value FROM xcom WHERE run = ?1 AND task_id = ?2 AND key = ?3 ORDER BY map_index";
        let rows = api.database.rows(sql, cells![run.id, task_id, RETURN_KEY]).await?;
        let mut values: Vec<Value> = rows
            .iter()
            .map(|row| serde_json::from_str(row[0].text().unwrap_or("null")).unwrap_or(Value::Null))
            .collect();
        line["results"][task_id] = if values.len() == 1 { values.remove(0) } else { Value::from(values) };
    }
    Ok((line, true))
}

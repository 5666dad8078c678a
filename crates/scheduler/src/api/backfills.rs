//! `/backfills`: made, looked at, paused, cancelled.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post, put},
};
use serde_json::{Value, json};

use super::{Answered, Api, Shared, bodies::Body, ok, query::Params, shapes};
use crate::{
    Error, cells,
    scheduling::{Backfill, NewBackfill, Order, RUNS_MAX},
    state::Reprocess,
};

const MAX_ACTIVE_RUNS_DEFAULT: i64 = 10;

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/backfills", get(list).post(create))
        .route("/backfills/dry_run", post(dry_run))
        .route("/backfills/{id}", get(one))
        .route(
            "/backfills/{id}/pause",
            put(async |state: Shared, id: Path<i64>| set(state, id, Some(true), false).await),
        )
        .route(
            "/backfills/{id}/unpause",
            put(async |state: Shared, id: Path<i64>| set(state, id, Some(false), false).await),
        )
        .route(
            "/backfills/{id}/cancel",
            put(async |state: Shared, id: Path<i64>| set(state, id, None, true).await),
        )
}

async fn list(State(api): Shared, params: Params) -> Answered {
    let dag_id = params.get("dag_id").ok_or_else(|| Error::invalid("dag_id: Field required"))?;
    let found = Backfill::list(&api.database, "WHERE b.dag_id = ?1", cells![dag_id]).await?;
    let total = found.len();
    let dags = api.dags.read();
    let shown: Vec<Value> = params.page()?.of(found).iter().map(|it| shapes::backfill(&dags, it)).collect();
    ok(json!({ "backfills": shown, "total_entries": total }))
}

async fn one(State(api): Shared, Path(id): Path<i64>) -> Answered {
    let found = Backfill::list(&api.database, "WHERE b.id = ?1", cells![id]).await?;
    let found = found.first().ok_or_else(|| Error::not_found("Backfill not found"))?;
    ok(shapes::backfill(&api.dags.read(), found))
}

fn wanted(body: &Body) -> Result<NewBackfill, Error> {
    body.only(&[
        "dag_id",
        "from_date",
        "to_date",
        "run_backwards",
        "dag_run_conf",
        "reprocess_behavior",
        "max_active_runs",
        "run_on_latest_version",
    ])?;
    let date = |name: &str| body.time(name)?.ok_or_else(|| Error::invalid(format!("{name}: Field required")));
    let reprocess = body.text("reprocess_behavior")?.unwrap_or_else(|| "none".to_owned());
    Ok(NewBackfill {
        dag_id: body.required("dag_id")?,
        from: date("from_date")?,
        to: date("to_date")?,
        conf: body.object("dag_run_conf")?,
        reprocess: Reprocess::parse(&reprocess).ok_or_else(|| {
            Error::invalid("reprocess_behavior: Input should be 'failed', 'completed' or 'none'")
        })?,
        max_active_runs: body.number("max_active_runs")?.unwrap_or(MAX_ACTIVE_RUNS_DEFAULT),
        run_backwards: body.flag("run_backwards", false)?,
    })
}

async fn create(State(api): Shared, body: Body) -> Answered {
    let new = wanted(&body)?;
    let backfill = api.order(|answer| Order::Backfill { new, answer }).await?;
    ok(shapes::backfill(&api.dags.read(), &backfill))
}

async fn dry_run(State(api): Shared, body: Body) -> Answered {
    let new = wanted(&body)?;
    let known = api.dags.read().get(&new.dag_id);
    let known = known.ok_or_else(|| Error::not_found(format!("Could not find dag {}", new.dag_id)))?;
    let now = chrono::DateTime::from_timestamp_millis(api.options.clock.now_ms()).unwrap_or_default();
    let mut times: Vec<_> = known.timetable.runs_between(new.from, new.to, now).take(RUNS_MAX).collect();
    if new.run_backwards {
        times.reverse();
    }
    let shown = times.iter().map(|times| {
        json!({ "logical_date": shapes::time(Some(times.logical_date())), "partition_key": null, "partition_date": null })
    });
    ok(json!({ "backfills": shown.collect::<Vec<_>>(), "total_entries": times.len() }))
}

async fn set(State(api): Shared, Path(id): Path<i64>, is_paused: Option<bool>, cancel: bool) -> Answered {
    let backfill = api.order(|answer| Order::SetBackfill { id, is_paused, cancel, answer }).await?;
    ok(shapes::backfill(&api.dags.read(), &backfill))
}

//! `/pools`, with how many of their slots are taken.

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
    query::{Filter, Params, order},
};
use crate::{
    Error, cells,
    dag::DEFAULT_POOL,
    scheduling::Order,
    store::{Row, Statement},
};

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/pools", get(list).post(create))
        .route("/pools/{*name}", get(one).patch(change).delete(delete))
}

async fn shape(api: &Api, row: &Row) -> Result<Value, Error> {
    let pool = row[0].text().unwrap_or_default();
    let sql = "SELECT t.state, count(*), max(t.pool_slots) FROM task_instance t WHERE t.pool = ?1 \
        AND t.state IN ('running', 'restarting', 'queued', 'scheduled') GROUP BY t.state, t.pool_slots";
    let (mut running, mut queued, mut scheduled) = (0, 0, 0);
    for row in api.database.rows(sql, cells![pool]).await? {
        let slots = row[1].int().unwrap_or(0) * row[2].int().unwrap_or(1);
        match row[0].text() {
            Some("running" | "restarting") => running += slots,
            Some("queued") => queued += slots,
            _scheduled => scheduled += slots,
        }
    }
    let slots = row[1].int().unwrap_or(0);
    let open = if slots < 0 { -1 } else { slots - running - queued };
    Ok(json!({
        "name": pool,
        "slots": slots,
        "description": row[2].text(),
        "include_deferred": row[3].int() == Some(1),
        "occupied_slots": running + queued,
        "running_slots": running,
        "queued_slots": queued,
        "scheduled_slots": scheduled,
        "open_slots": open,
        "deferred_slots": 0,
        "team_name": null,
    }))
}

async fn list(State(api): Shared, params: Params) -> Answered {
    let mut filter = Filter::default();
    filter.pattern("pool", params.get("pool_name_pattern"));
    let order =
        order(&params, &[("id", "pool"), ("name", "pool"), ("pool", "pool"), ("slots", "slots")], "pool")?;
    let total = api
        .database
        .count(format!("SELECT count(*) FROM slot_pool {}", filter.sql()), filter.cells.clone())
        .await?;
    let sql = format!(
        "SELECT pool, slots, description, include_deferred FROM slot_pool {} {order} {}",
        filter.sql(),
        params.page()?.sql()
    );
    let mut pools = Vec::new();
    for row in api.database.rows(sql, filter.cells).await? {
        pools.push(shape(&api, &row).await?);
    }
    ok(json!({ "pools": pools, "total_entries": total }))
}

async fn stored(api: &Api, name: &str) -> Result<Option<Row>, Error> {
    api.database
        .row("SELECT pool, slots, description, include_deferred FROM slot_pool WHERE pool = ?1", cells![name])
        .await
}

fn missing(name: &str) -> Error {
    Error::not_found(format!("The Pool with name: `{name}` was not found"))
}

async fn one(State(api): Shared, Path(name): Path<String>) -> Answered {
    let row = stored(&api, &name).await?.ok_or_else(|| missing(&name))?;
    ok(shape(&api, &row).await?)
}

async fn write(api: &Api, statement: Statement) -> Result<(), Error> {
    api.database.write(vec![statement]).await?;
    api.order(|answer| Order::PoolsChanged { answer }).await
}

fn slots(body: &Body) -> Result<Option<i64>, Error> {
    match body.number("slots")? {
        Some(slots) if slots < -1 => {
            Err(Error::invalid("slots: Input should be greater than or equal to -1"))
        }
        slots => Ok(slots),
    }
}

async fn create(State(api): Shared, body: Body) -> Answered {
    body.only(&["name", "slots", "description", "include_deferred", "team_name"])?;
    let name = body.required("name")?;
    let slots = slots(&body)?.ok_or_else(|| Error::invalid("slots: Field required"))?;
    if stored(&api, &name).await?.is_some() {
        return Err(Error::conflict(format!("The Pool with name: `{name}` already exists")));
    }
    let sql = "INSERT INTO slot_pool (pool, slots, description, include_deferred) VALUES (?1, ?2, ?3, ?4) \
        ON CONFLICT (pool) DO NOTHING";
    let cells = cells![&name, slots, body.text("description")?, body.flag("include_deferred", false)?];
    write(&api, Statement::new(sql, cells)).await?;
    let answer = one(State(api), Path(name)).await;
    answer.and_then(|super::Json(_, value)| created(value))
}

async fn change(State(api): Shared, Path(name): Path<String>, params: Params, body: Body) -> Answered {
    body.only(&["pool", "name", "slots", "description", "include_deferred", "team_name"])?;
    let row = stored(&api, &name).await?.ok_or_else(|| missing(&name))?;
    let given = body.text("pool")?.or(body.text("name")?);
    if given.is_some_and(|given| given != name) {
        return Err(Error::bad_request(
            "Invalid body, pool name from request body doesn't match uri parameter",
        ));
    }
    let mask = params.all("update_mask");
    if name == DEFAULT_POOL && mask.iter().any(|field| !["slots", "include_deferred"].contains(field)) {
        let detail = "Only slots and included_deferred can be modified on Default Pool";
        return Err(Error::bad_request(detail));
    }
    let meant = |field: &str| body.has(field) && (mask.is_empty() || mask.contains(&field));
    let slots = slots(&body)?.filter(|_| meant("slots")).or(row[1].int());
    let description =
        if meant("description") { body.text("description")? } else { row[2].text().map(str::to_owned) };
    let deferred = if meant("include_deferred") {
        body.flag("include_deferred", false)?
    } else {
        row[3].int() == Some(1)
    };
    let sql = "UPDATE slot_pool SET slots = ?2, description = ?3, include_deferred = ?4 WHERE pool = ?1";
    write(&api, Statement::new(sql, cells![&name, slots, description, deferred])).await?;
    one(State(api), Path(name)).await
}

async fn delete(State(api): Shared, Path(name): Path<String>) -> Result<StatusCode, Error> {
    if name == DEFAULT_POOL {
        return Err(Error::bad_request("Default Pool can't be deleted"));
    }
    stored(&api, &name).await?.ok_or_else(|| missing(&name))?;
    write(&api, Statement::new("DELETE FROM slot_pool WHERE pool = ?1", cells![&name])).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! `/connections`: passwords, and what is secret in `extra`, are taken and never given back.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{
    Answered, Api, Shared,
    bodies::Body,
    created, ok,
    query::{Filter, Params, order},
};
use crate::{
    Error, cells,
    executor::{MASKED, redact},
    store::{Row, Statement},
};

const COLUMNS: &str = "conn_id, conn_type, description, host, login, schema_name, port, password, extra";
const FIELDS: [&str; 10] = [
    "connection_id",
    "conn_type",
    "description",
    "host",
    "login",
    "schema",
    "port",
    "password",
    "extra",
    "team_name",
];
const TEST_TIMEOUT: Duration = Duration::from_secs(5);

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/connections", get(list).post(create))
        .route("/connections/test", post(test))
        .route("/connections/defaults", post(async || StatusCode::NO_CONTENT))
        .route("/connections/{id}", get(one).patch(change).delete(delete))
}

fn shape(row: &Row) -> Value {
    let extra = row[8].text().map(|text| match serde_json::from_str::<Value>(text) {
        Ok(parsed) => redact("", &parsed).to_string(),
        Err(_no_json) => MASKED.to_owned(),
    });
    json!({
        "connection_id": row[0].text(),
        "conn_type": row[1].text(),
        "description": row[2].text(),
        "host": row[3].text(),
        "login": row[4].text(),
        "schema": row[5].text(),
        "port": row[6].int(),
        "password": row[7].text().map(|_secret| MASKED),
        "extra": extra,
        "team_name": null,
    })
}

async fn list(State(api): Shared, params: Params) -> Answered {
    let mut filter = Filter::default();
    filter.pattern("conn_id", params.get("connection_id_pattern"));
    let columns = [
        ("conn_id", "conn_id"),
        ("connection_id", "conn_id"),
        ("id", "conn_id"),
        ("conn_type", "conn_type"),
        ("description", "description"),
        ("host", "host"),
        ("port", "port"),
    ];
    let order = order(&params, &columns, "conn_id")?;
    let total = api
        .database
        .count(format!("SELECT count(*) FROM connection {}", filter.sql()), filter.cells.clone())
        .await?;
    let sql = format!("SELECT {COLUMNS} FROM connection {} {order} {}", filter.sql(), params.page()?.sql());
    let rows = api.database.rows(sql, filter.cells).await?;
    ok(json!({ "connections": rows.iter().map(shape).collect::<Vec<_>>(), "total_entries": total }))
}

async fn stored(api: &Api, id: &str) -> Result<Option<Row>, Error> {
    api.database.row(format!("SELECT {COLUMNS} FROM connection WHERE conn_id = ?1"), cells![id]).await
}

fn missing(id: &str) -> Error {
    Error::not_found(format!("The Connection with connection_id: `{id}` was not found"))
}

async fn one(State(api): Shared, Path(id): Path<String>) -> Answered {
    ok(shape(&stored(&api, &id).await?.ok_or_else(|| missing(&id))?))
}

fn check(body: &Body) -> Result<String, Error> {
    body.only(&FIELDS)?;
    let id = body.required("connection_id")?;
    let allowed = |letter: char| letter.is_alphanumeric() || "_.-".contains(letter);
    if id.is_empty() || id.len() > 200 || !id.chars().all(allowed) {
        return Err(Error::invalid("connection_id: String should match pattern '^[\\w.-]+$'"));
    }
    if let Some(extra) = body.text("extra")?.filter(|extra| !extra.is_empty())
        && !matches!(serde_json::from_str::<Value>(&extra), Ok(Value::Object(_)))
    {
        return Err(Error::invalid("The `extra` field must be a valid JSON object (e.g., {'key': 'value'})"));
    }
    Ok(id)
}

/// `before`: what stays where the body, or its mask, does not name a field.
async fn save(api: &Api, id: &str, body: &Body, before: Option<&Row>, mask: &[&str]) -> Result<(), Error> {
    let meant = |name: &str| body.has(name) && (mask.is_empty() || mask.contains(&name));
    let kept = |column: usize| before.and_then(|row| row[column].text().map(str::to_owned));
    let field = |name: &str, column: usize| {
        let given = if meant(name) { body.text(name)? } else { kept(column) };
        // What we mask comes back masked from whoever edits it: that is no new secret.
        let is_masked =
            ["password", "extra"].contains(&name) && given.as_deref().is_some_and(|it| it.contains(MASKED));
        Ok::<_, Error>(if is_masked && before.is_some() { kept(column) } else { given })
    };
    let port = if meant("port") { body.number("port")? } else { before.and_then(|row| row[6].int()) };
    let extra = field("extra", 8)?.map(|extra| if extra.is_empty() { "{}".to_owned() } else { extra });
    let sql = "INSERT INTO connection (conn_id, conn_type, description, host, login, schema_name, port, password, extra) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (conn_id) DO UPDATE SET conn_type = excluded.conn_type, \
        description = excluded.description, host = excluded.host, login = excluded.login, \
        schema_name = excluded.schema_name, port = excluded.port, password = excluded.password, extra = excluded.extra";
    let cells = cells![
        id,
        field("conn_type", 1)?.unwrap_or_default(),
        field("description", 2)?,
        field("host", 3)?,
        field("login", 4)?,
        field("schema", 5)?,
        port,
        field("password", 7)?,
        extra
    ];
    api.database.write(vec![Statement::new(sql, cells)]).await
}

async fn create(State(api): Shared, body: Body) -> Answered {
    let id = check(&body)?;
    body.required("conn_type")?;
    if stored(&api, &id).await?.is_some() {
        return Err(Error::conflict(format!("The Connection with connection_id: `{id}` already exists")));
    }
    save(&api, &id, &body, None, &[]).await?;
    let answer = one(State(api), Path(id)).await;
    answer.and_then(|super::Json(_, value)| created(value))
}

async fn change(State(api): Shared, Path(id): Path<String>, params: Params, body: Body) -> Answered {
    if check(&body)? != id {
        let detail = "The connection_id in the request body does not match the URL parameter";
        return Err(Error::bad_request(detail));
    }
    let before = stored(&api, &id).await?.ok_or_else(|| missing(&id))?;
    save(&api, &id, &body, Some(&before), &params.all("update_mask")).await?;
    one(State(api), Path(id)).await
}

async fn delete(State(api): Shared, Path(id): Path<String>) -> Result<StatusCode, Error> {
    stored(&api, &id).await?.ok_or_else(|| missing(&id))?;
    api.database
        .write(vec![Statement::new("DELETE FROM connection WHERE conn_id = ?1", cells![&id])])
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether anything listens where the connection points.
async fn test(State(_api): Shared, body: Body) -> Answered {
    check(&body)?;
    let kind = body.required("conn_type")?;
    let port = match body.number("port")? {
        Some(port) => u16::try_from(port).ok(),
        None => usual_port(&kind),
    };
    let host = body.text("host")?.unwrap_or_default();
    let host = host.split("://").last().unwrap_or_default().split('/').next().unwrap_or_default().to_owned();
    let (Some(port), false) = (port, host.is_empty()) else {
        let message = format!("A connection of type {kind} without host and port cannot be tested");
        return ok(json!({ "status": false, "message": message }));
    };
    let reached = tokio::time::timeout(TEST_TIMEOUT, TcpStream::connect((host.as_str(), port))).await;
    let (status, message) = match reached {
        Ok(Ok(_stream)) => (true, format!("{host}:{port} answers")),
        Ok(Err(error)) => (false, format!("{host}:{port}: {error}")),
        Err(_late) => (false, format!("{host}:{port} does not answer within {} s", TEST_TIMEOUT.as_secs())),
    };
    ok(json!({ "status": status, "message": message }))
}

fn usual_port(kind: &str) -> Option<u16> {
    match kind {
        "postgres" | "postgresql" => Some(5_432),
        "mongo" => Some(27_017),
        "http" => Some(80),
        "https" => Some(443),
        "kafka" => Some(9_092),
        "mysql" => Some(3_306),
        "redis" => Some(6_379),
        _other => None,
    }
}

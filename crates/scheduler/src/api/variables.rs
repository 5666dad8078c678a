//! `/variables`: values of sensitive names are masked in answers, as Airflow masks them.

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
    executor::{MASKED, is_sensitive, redact},
    store::{Row, Statement},
};

const KEY_LENGTH_MAX: usize = 250;

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/variables", get(list).post(create))
        .route("/variables/{*key}", get(one).patch(change).delete(delete))
}

fn shape(row: &Row) -> Value {
    let key = row[0].text().unwrap_or_default();
    let text = row[1].text().unwrap_or_default();
    let value = match serde_json::from_str::<Value>(text) {
        Ok(parsed @ (Value::Object(_) | Value::Array(_))) => redact(key, &parsed).to_string(),
        _text if is_sensitive(key) => MASKED.to_owned(),
        _text => text.to_owned(),
    };
    json!({ "key": key, "value": value, "description": row[2].text(), "is_encrypted": false, "team_name": null })
}

async fn list(State(api): Shared, params: Params) -> Answered {
    let mut filter = Filter::default();
    filter.pattern("key", params.get("variable_key_pattern"));
    let order = order(
        &params,
        &[("key", "key"), ("id", "key"), ("_val", "value"), ("description", "description")],
        "key",
    )?;
    let total = api
        .database
        .count(format!("SELECT count(*) FROM variable {}", filter.sql()), filter.cells.clone())
        .await?;
    let sql = format!(
        "SELECT key, value, description FROM variable {} {order} {}",
        filter.sql(),
        params.page()?.sql()
    );
    let rows = api.database.rows(sql, filter.cells).await?;
    ok(json!({ "variables": rows.iter().map(shape).collect::<Vec<_>>(), "total_entries": total }))
}

async fn stored(api: &Api, key: &str) -> Result<Option<Row>, Error> {
    api.database.row("SELECT key, value, description FROM variable WHERE key = ?1", cells![key]).await
}

fn missing(key: &str) -> Error {
    Error::not_found(format!("The Variable with key: `{key}` was not found"))
}

async fn one(State(api): Shared, Path(key): Path<String>) -> Answered {
    ok(shape(&stored(&api, &key).await?.ok_or_else(|| missing(&key))?))
}

/// Variables are texts: anything else is kept as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| serde_json::to_string_pretty(value).unwrap_or_default(), str::to_owned)
}

async fn save(api: &Api, key: &str, value: &str, description: Option<&str>) -> Result<(), Error> {
    let sql = "INSERT INTO variable (key, value, description) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET \
        value = excluded.value, description = excluded.description";
    api.database.write(vec![Statement::new(sql, cells![key, value, description])]).await
}

async fn create(State(api): Shared, body: Body) -> Answered {
    body.only(&["key", "value", "description", "team_name"])?;
    let key = body.required("key")?;
    if key.len() > KEY_LENGTH_MAX || !body.has("value") {
        return Err(Error::invalid("a variable has a key of at most 250 characters, and a value"));
    }
    if stored(&api, &key).await?.is_some() {
        return Err(Error::conflict(format!("The Variable with key: `{key}` already exists")));
    }
    save(&api, &key, &text_of(body.value("value")), body.text("description")?.as_deref()).await?;
    let answer = one(State(api), Path(key)).await;
    answer.and_then(|super::Json(_, value)| created(value))
}

async fn change(State(api): Shared, Path(key): Path<String>, params: Params, body: Body) -> Answered {
    body.only(&["key", "value", "description", "team_name"])?;
    if body.text("key")?.is_some_and(|given| given != key) {
        return Err(Error::bad_request("Invalid body, key from request body doesn't match uri parameter"));
    }
    let row = stored(&api, &key).await?.ok_or_else(|| missing(&key))?;
    let mask = params.all("update_mask");
    let meant = |name: &str| body.has(name) && (mask.is_empty() || mask.contains(&name));
    let value = if meant("value") {
        text_of(body.value("value"))
    } else {
        row[1].text().unwrap_or_default().to_owned()
    };
    let description =
        if meant("description") { body.text("description")? } else { row[2].text().map(str::to_owned) };
    save(&api, &key, &value, description.as_deref()).await?;
    one(State(api), Path(key)).await
}

async fn delete(State(api): Shared, Path(key): Path<String>) -> Result<StatusCode, Error> {
    stored(&api, &key).await?.ok_or_else(|| missing(&key))?;
    api.database.write(vec![Statement::new("DELETE FROM variable WHERE key = ?1", cells![&key])]).await?;
    Ok(StatusCode::NO_CONTENT)
}

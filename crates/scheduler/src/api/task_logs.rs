//! Logs of tries: entries as JSON, as a stream of JSON lines, or as text; with a token that goes on where the last answer ended.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{Api, Shared, query::Params};
use crate::{Error, cells, state::TaskState};

pub fn routes() -> Router<Arc<Api>> {
    let path = "/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}";
    let external = "/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/externalLogUrl/{try_number}";
    Router::new()
        .route(path, get(log))
        .route(external, get(async || Error::bad_request("Task log handler does not support external logs.")))
}

async fn log(
    State(api): Shared,
    Path((dag_id, run_id, task_id, try_number)): Path<(String, String, String, u32)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let map_index: i32 = params.get("map_index").and_then(|text| text.parse().ok()).unwrap_or(-1);
    let missing = || Error::not_found("TaskInstance not found");
    let run = api.database.run(&dag_id, &run_id).await?.ok_or_else(missing)?;
    let sql =
        "SELECT try_number, state FROM task_instance WHERE run = ?1 AND task_id = ?2 AND map_index = ?3";
    let row = api.database.row(sql, cells![run.id, &task_id, map_index]).await?.ok_or_else(missing)?;
    let last = row[0].int().unwrap_or(0);
    if i64::from(try_number) > last {
        return Err(missing());
    }
    let from = match params.get("token") {
        None => 0,
        Some(token) => token.parse().map_err(|_| {
            Error::bad_request("Bad Signature. Please use only the tokens provided by the API.")
        })?,
    };
    let path = api.logs.path(&run, &task_id, map_index, try_number);
    let logs = api.logs.clone();
    // The state was read before the file: what ended before it was read has all its lines in it.
    let running = i64::from(try_number) == last
        && row[1].text().and_then(TaskState::parse).is_some_and(TaskState::is_running);
    let read = tokio::task::spawn_blocking(move || logs.read(&path, from)).await;
    let read = read.map_err(|panic| Error::Store { reason: panic.to_string() })?;
    let (entries, next) = read.map_err(|error| Error::not_found(error.to_string()))?;
    let more = running
        || !entries.is_empty()
            && next > from
            && entries_may_follow(&api, next, &run, &task_id, map_index, try_number);
    let token = more.then(|| next.to_string());
    Ok(answer(&headers, &entries, token))
}

/// Whether one answer was too small for the file.
fn entries_may_follow(
    api: &Api,
    next: u64,
    run: &crate::store::rows::DagRun,
    task_id: &str,
    map_index: i32,
    try_number: u32,
) -> bool {
    let path = api.logs.path(run, task_id, map_index, try_number);
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > next)
}

fn answer(headers: &HeaderMap, entries: &[Value], token: Option<String>) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let continuation =
        token.clone().map(|token| (HeaderName::from_static("airflow-continuation-token"), token));
    if accept.contains("application/x-ndjson") {
        let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        return (
            StatusCode::OK,
            continuation.into_iter().collect::<HeadersOf>(),
            [(header::CONTENT_TYPE, "application/x-ndjson")],
            text,
        )
            .into_response();
    }
    if accept.contains("text/plain") {
        let line = |entry: &Value| {
            let part = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("[{}] {}: {}\n", part("timestamp"), part("level").to_uppercase(), part("event"))
        };
        let text: String = entries.iter().map(line).collect();
        return (
            StatusCode::OK,
            continuation.into_iter().collect::<HeadersOf>(),
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            text,
        )
            .into_response();
    }
    super::Json(StatusCode::OK, json!({ "content": entries, "continuation_token": token })).into_response()
}

/// Headers that are there or not.
struct HeadersOf(Vec<(HeaderName, String)>);

impl FromIterator<(HeaderName, String)> for HeadersOf {
    fn from_iter<I: IntoIterator<Item = (HeaderName, String)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl axum::response::IntoResponseParts for HeadersOf {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut parts: axum::response::ResponseParts,
    ) -> Result<axum::response::ResponseParts, Self::Error> {
        for (name, value) in self.0 {
            if let Ok(value) = value.parse() {
                parts.headers_mut().insert(name, value);
            }
        }
        Ok(parts)
    }
}

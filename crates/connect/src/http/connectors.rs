//! `/connectors` and what lies below a connector, but for its offsets.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, Uri, header::LOCATION},
    response::{IntoResponse, Response},
};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Shared, body, flag, query};
use crate::{Error, config::Config, store::configs::Target, worker::Created};

/// The body of `POST /connectors`.
#[derive(Deserialize)]
pub(super) struct CreateRequest {
    name: Option<String>,
    #[serde(default)]
    config: IndexMap<String, Option<Value>>,
    initial_state: Option<String>,
}

pub(super) async fn list(State(worker): Shared, uri: Uri) -> Result<Json<Value>, Error> {
    let expand = query(&uri, "expand");
    if expand.is_empty() {
        return Ok(Json(json!(worker.names())));
    }
    let mut all = Map::new();
    for name in worker.names() {
        let mut one = Map::new();
        for part in &expand {
            // One that is deleted just now is left out, as Connect does.
            let shown = match part.as_str() {
                "status" => worker.status(&name),
                "info" => worker.info(&name),
                _ => continue,
            };
            if let Ok(shown) = shown {
                one.insert(part.clone(), shown);
            }
        }
        all.insert(name, Value::Object(one));
    }
    Ok(Json(Value::Object(all)))
}

pub(super) async fn create(State(worker): Shared, bytes: Bytes) -> Result<Response, Error> {
    let request: CreateRequest = body(&bytes)?;
    let config = texts(request.config);
    let given = request.name.as_deref().map(str::trim).unwrap_or_default();
    let name = checked_name(given, &config)?;
    let target = request.initial_state.as_deref().map(initial_state).transpose()?;
    worker.create(&name, config, target).await?;
    Ok((StatusCode::CREATED, [(LOCATION, location(&name))], Json(worker.info(&name)?)).into_response())
}

fn initial_state(text: &str) -> Result<Target, Error> {
    match text.to_ascii_uppercase().as_str() {
        "RUNNING" => Ok(Target::Started),
        "PAUSED" => Ok(Target::Paused),
        "STOPPED" => Ok(Target::Stopped),
        _ => {
            let reason = format!("initial_state is {text}: it must be one of RUNNING, PAUSED, STOPPED");
            Err(Error::Request { reason })
        }
    }
}

fn checked_name(given: &str, config: &Config) -> Result<String, Error> {
    let included = config.get("name").map(|name| name.trim());
    if let Some(included) = included
        && !given.is_empty()
        && included != given
    {
        let reason = format!(
            "Connector name configuration ({included}) doesn't match connector name in the URL ({given})"
        );
        return Err(Error::Request { reason });
    }
    let name = if given.is_empty() { included.unwrap_or_default() } else { given };
    if name.is_empty() || name.chars().any(char::is_control) {
        let reason =
            "Connector configuration is invalid: a connector needs a name, without control characters";
        return Err(Error::Request { reason: reason.to_owned() });
    }
    Ok(name.to_owned())
}

/// Numbers and booleans are taken as text: other people's clients send them. Null is as if not given.
fn texts(config: IndexMap<String, Option<Value>>) -> Config {
    config.into_iter().filter_map(|(key, value)| Some((key, text(value?)?))).collect()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn location(name: &str) -> String {
    let mut url = url::Url::parse("http://connect/connectors/").expect("a constant address");
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(name);
    }
    url.path().to_owned()
}

pub(super) async fn info(State(worker): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    worker.info(&name).map(Json)
}

pub(super) async fn delete(State(worker): Shared, Path(name): Path<String>) -> Result<StatusCode, Error> {
    worker.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn config(State(worker): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    Ok(Json(json!(worker.config(&name)?)))
}

pub(super) async fn put_config(
    State(worker): Shared,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Result<Response, Error> {
    let config = texts(body(&bytes)?);
    let name = checked_name(&name, &config)?;
    let created = worker.put_config(&name, config).await?;
    let info = Json(worker.info(&name)?);
    Ok(match created {
        Created::New => (StatusCode::CREATED, [(LOCATION, location(&name))], info).into_response(),
        Created::Changed => info.into_response(),
    })
}

pub(super) async fn patch_config(
    State(worker): Shared,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>, Error> {
    let patch: IndexMap<String, Option<Value>> = body(&bytes)?;
    let patch = patch.into_iter().map(|(key, value)| (key, value.and_then(text)));
    worker.patch_config(&name, patch).await?;
    worker.info(&name).map(Json)
}

pub(super) async fn status(State(worker): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    worker.status(&name).map(Json)
}

pub(super) async fn tasks(State(worker): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    worker.tasks(&name).map(Json)
}

pub(super) async fn tasks_config(
    State(worker): Shared,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    worker.tasks_config(&name).map(Json)
}

pub(super) async fn task_status(
    State(worker): Shared,
    Path((name, task)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    worker.task_status(&name, number(&task)?).map(Json)
}

pub(super) async fn restart_task(
    State(worker): Shared,
    Path((name, task)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    worker.restart_task(&name, number(&task)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Jersey answers a path that is not a number as one that is not there.
fn number(task: &str) -> Result<usize, Error> {
    task.parse().map_err(|_| Error::NotFound { what: "HTTP 404 Not Found".to_owned() })
}

pub(super) async fn restart(
    State(worker): Shared,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Error> {
    let (include_tasks, only_failed) = (flag(&uri, "includeTasks", false), flag(&uri, "onlyFailed", false));
    worker.restart(&name, include_tasks, only_failed).await?;
    if include_tasks || only_failed {
        return Ok((StatusCode::ACCEPTED, Json(worker.status(&name)?)).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn pause(State(worker): Shared, Path(name): Path<String>) -> Result<StatusCode, Error> {
    worker.set_target(&name, Target::Paused).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn resume(State(worker): Shared, Path(name): Path<String>) -> Result<StatusCode, Error> {
    worker.set_target(&name, Target::Started).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn stop(State(worker): Shared, Path(name): Path<String>) -> Result<StatusCode, Error> {
    worker.set_target(&name, Target::Stopped).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn topics(State(worker): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    worker.topics(&name).map(Json)
}

pub(super) async fn reset_topics(
    State(worker): Shared,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    worker.reset_topics(&name).await?;
    Ok(StatusCode::OK)
}

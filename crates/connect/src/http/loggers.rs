//! `/admin/loggers` (KIP-495, KIP-976): what there is to see. Levels are set where the process starts.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::Shared;
use crate::Error;

fn level() -> Value {
    let level = tracing::level_filters::LevelFilter::current();
    let level = level.into_level().map_or("OFF", |level| level.as_str());
    json!({"level": level, "last_modified": null})
}

pub(super) async fn list(State(_): Shared) -> Json<Value> {
    Json(json!({"root": level()}))
}

pub(super) async fn show(State(_): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    if name == "root" {
        return Ok(Json(level()));
    }
    Err(Error::NotFound { what: format!("Logger {name} not found.") })
}

pub(super) async fn set(State(_): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    let reason =
        format!("the level of {name} cannot be set while the worker runs: it is set when the process starts");
    Err(Error::Request { reason })
}

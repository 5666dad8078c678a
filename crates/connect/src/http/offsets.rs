//! `/connectors/NAME/offsets` (KIP-875).

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use serde_json::Value;

use super::{Shared, body};
use crate::Error;

pub(super) async fn show(State(worker): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    worker.offsets(&name).await.map(Json)
}

pub(super) async fn alter(
    State(worker): Shared,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>, Error> {
    worker.alter_offsets(&name, &body::<Value>(&bytes)?).await.map(Json)
}

pub(super) async fn reset(State(worker): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    worker.reset_offsets(&name).await.map(Json)
}

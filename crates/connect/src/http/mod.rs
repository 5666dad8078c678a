//! The REST API of Kafka Connect 4.x, one file for each noun. Source: Kafka's `connect/rest` OpenAPI page and KIPs
//! 475, 477, 558, 745, 875, 980.
//!
//! Every error has Connect's body: `{"error_code": <HTTP status>, "message": "…"}`.

mod connectors;
mod loggers;
mod offsets;
mod plugins;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use base::problem::line;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Error, worker::Worker};

type Shared = State<Arc<Worker>>;

/// Kafka Connect's version whose API this is; clients choose by it what they may call.
const API_VERSION: &str = "4.1.0";

pub(crate) fn router(worker: Arc<Worker>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/health", get(health))
        .route("/connectors", get(connectors::list).post(connectors::create))
        .route("/connectors/{name}", get(connectors::info).delete(connectors::delete))
        .route(
            "/connectors/{name}/config",
            get(connectors::config).put(connectors::put_config).patch(connectors::patch_config),
        )
        .route("/connectors/{name}/status", get(connectors::status))
        .route("/connectors/{name}/tasks", get(connectors::tasks))
        .route("/connectors/{name}/tasks-config", get(connectors::tasks_config))
        .route("/connectors/{name}/tasks/{task}/status", get(connectors::task_status))
        .route("/connectors/{name}/tasks/{task}/restart", post(connectors::restart_task))
        .route("/connectors/{name}/restart", post(connectors::restart))
        .route("/connectors/{name}/pause", put(connectors::pause))
        .route("/connectors/{name}/resume", put(connectors::resume))
        .route("/connectors/{name}/stop", put(connectors::stop))
        .route("/connectors/{name}/topics", get(connectors::topics))
        .route("/connectors/{name}/topics/reset", put(connectors::reset_topics))
        .route("/connectors/{name}/offsets", get(offsets::show).patch(offsets::alter).delete(offsets::reset))
        .route("/connector-plugins", get(plugins::list))
        .route("/connector-plugins/{plugin}/config", get(plugins::config))
        .route("/connector-plugins/{plugin}/config/validate", put(plugins::validate))
        .route("/admin/loggers", get(loggers::list))
        .route("/admin/loggers/{name}", get(loggers::show).put(loggers::set))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(worker)
}

async fn root(State(worker): Shared) -> Json<Value> {
    let commit = concat!("tidemill-", env!("CARGO_PKG_VERSION"));
    Json(json!({"version": API_VERSION, "commit": commit, "kafka_cluster_id": worker.cluster_id}))
}

/// KIP-1017.
async fn health() -> Json<Value> {
    Json(
        json!({"status": "healthy", "message": "Worker has completed startup and is ready to handle requests."}),
    )
}

async fn not_found(_: Uri) -> Response {
    failure(StatusCode::NOT_FOUND, "HTTP 404 Not Found")
}

async fn not_allowed() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, "HTTP 405 Method Not Allowed")
}

fn failure(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error_code": status.as_u16(), "message": message}))).into_response()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        failure(status, &line(&self))
    }
}

/// A body as JSON, whatever its content type: people post with curl's default.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Request { reason: format!("the body is not right: {error}") })
}

/// The values of a query parameter, each as often as it was given.
fn query(uri: &Uri, name: &str) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
}

fn flag(uri: &Uri, name: &str, default: bool) -> bool {
    query(uri, name).last().map_or(default, |value| value.eq_ignore_ascii_case("true"))
}

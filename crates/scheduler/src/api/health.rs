//! `/version`, `/monitor/health`, `/config` and the tokens that Airflow's clients ask for first.

use axum::{Router, extract::State, routing::get};
use chrono::DateTime;
use serde_json::json;
use std::sync::Arc;

use super::{Answered, Api, Json, Shared, created, ok, shapes::time};

/// The Airflow whose API this is.
const AIRFLOW_VERSION: &str = "3.3.2";

/// Airflow's `[scheduler] scheduler_health_check_threshold`.
const HEARTBEAT_MS_MAX: i64 = 30_000;

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/version", get(version)).route("/monitor/health", get(health))
}

/// Any name gets a token and any token is taken: the port is on the loopback address, and nobody set a password.
pub fn tokens() -> Router<Arc<Api>> {
    Router::new()
        .route("/auth/token", get(async || token()).post(async || token()))
        .route("/auth/token/cli", axum::routing::post(async || token()))
}

fn token() -> Answered {
    created(json!({ "access_token": "tidemill" }))
}

async fn version() -> Answered {
    ok(json!({ "version": AIRFLOW_VERSION, "git_version": concat!("tidemill ", env!("CARGO_PKG_VERSION")) }))
}

async fn health(State(api): Shared) -> Result<Json, crate::Error> {
    let beat_ms = api.heartbeat.load(std::sync::atomic::Ordering::Relaxed);
    let beat = DateTime::from_timestamp_millis(beat_ms);
    let database = api.database.count("SELECT count(*) FROM slot_pool", crate::cells![]).await;
    let part = |is_well: bool| if is_well { "healthy" } else { "unhealthy" };
    let scheduler = part(api.options.clock.now_ms() - beat_ms < HEARTBEAT_MS_MAX);
    ok(json!({
        "metadatabase": { "status": part(database.is_ok()) },
        "scheduler": { "status": scheduler, "latest_scheduler_heartbeat": time(beat) },
        "triggerer": { "status": null, "latest_triggerer_heartbeat": null },
        "dag_processor": { "status": scheduler, "latest_dag_processor_heartbeat": time(beat) },
    }))
}

//! Airflow's public REST API v2: paths, parameters, bodies, status codes and errors as Airflow 3.3 has them.
//!
//! It reads the database and what is known of the DAGs; whatever changes a run it orders from the scheduling.

mod backfills;
mod bodies;
mod connections;
mod dag_runs;
mod dags;
mod health;
mod pools;
mod query;
mod shapes;
mod task_instances;
mod task_logs;
mod tasks;
mod variables;
mod xcoms;

use std::sync::{Arc, atomic::AtomicI64};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Error, Options,
    known::{Known, SharedDags},
    logs::Logs,
    scheduling::{Event, Order},
    store::Database,
};

#[derive(Debug)]
pub struct Api {
    pub options: Arc<Options>,
    pub database: Database,
    pub dags: SharedDags,
    pub logs: Logs,
    pub events: mpsc::Sender<Event>,
    /// When the scheduling last took a turn, in milliseconds since 1970.
    pub heartbeat: Arc<AtomicI64>,
}

type Shared = State<Arc<Api>>;
type Answered = Result<Json, Error>;

/// A JSON answer.
#[derive(Debug)]
struct Json(StatusCode, Value);

fn ok(value: Value) -> Answered {
    Ok(Json(StatusCode::OK, value))
}

fn created(value: Value) -> Answered {
    Ok(Json(StatusCode::CREATED, value))
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        (self.0, [(header::CONTENT_TYPE, "application/json")], self.1.to_string()).into_response()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let detail = if status == StatusCode::UNPROCESSABLE_ENTITY {
            // FastAPI's form of it.
            json!([{ "type": "value_error", "loc": ["body"], "msg": self.to_string(), "input": null }])
        } else if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, cause = ?std::error::Error::source(&self), "a request failed");
            Value::from(self.to_string())
        } else {
            Value::from(self.to_string())
        };
        Json(status, json!({ "detail": detail })).into_response()
    }
}

pub fn router(api: Arc<Api>) -> Router {
    let v2 = Router::new()
        .merge(health::routes())
        .merge(dags::routes())
        .merge(dag_runs::routes())
        .merge(task_instances::routes())
        .merge(task_logs::routes())
        .merge(tasks::routes())
        .merge(xcoms::routes())
        .merge(variables::routes())
        .merge(connections::routes())
        .merge(pools::routes())
        .merge(backfills::routes());
    Router::new()
        .nest("/api/v2", v2)
        .merge(health::tokens())
        .fallback(async || Error::not_found("Not Found"))
        .with_state(api)
}

impl Api {
    /// Gives an order to the scheduling, and waits until it is done and written.
    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Order,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let gone = || Error::Store { reason: "the scheduler stops".to_owned() };
        self.events.send(Event::Order(order(answer))).await.map_err(|_closed| gone())?;
        answered.await.map_err(|_dropped| gone())?
    }

    fn dag(&self, dag_id: &str) -> Result<Arc<Known>, Error> {
        let known = self.dags.read().get(dag_id);
        known.ok_or_else(|| Error::not_found(format!("The Dag with ID: `{dag_id}` was not found")))
    }
}

#[cfg(test)]
mod tests;

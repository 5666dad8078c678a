//! `/dags/{dag_id}/tasks`: what the file says of each task.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use serde_json::{Value, json};

use super::{Answered, Api, Shared, ok, query::Params, shapes};
use crate::Error;

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/dags/{dag_id}/tasks", get(list)).route("/dags/{dag_id}/tasks/{task_id}", get(one))
}

async fn list(State(api): Shared, Path(dag_id): Path<String>, params: Params) -> Answered {
    let known = api.dag(&dag_id)?;
    let mut tasks: Vec<Value> = known.dag.tasks.values().map(|task| shapes::task(&known.dag, task)).collect();
    let by = params.get("order_by").unwrap_or("task_id");
    let (name, backwards) = by.strip_prefix('-').map_or((by, false), |name| (name, true));
    if tasks.first().is_some_and(|task| task.get(name).is_none()) {
        return Err(Error::bad_request(format!("'TaskResponse' has no attribute '{name}'")));
    }
    tasks.sort_by_key(|task| task[name].to_string());
    if backwards {
        tasks.reverse();
    }
    ok(json!({ "total_entries": tasks.len(), "tasks": tasks }))
}

async fn one(State(api): Shared, Path((dag_id, task_id)): Path<(String, String)>) -> Answered {
    let known = api.dag(&dag_id)?;
    let task = known.dag.tasks.get(&task_id);
    let task = task.ok_or_else(|| Error::not_found(format!("Task with id {task_id} was not found")))?;
    ok(shapes::task(&known.dag, task))
}

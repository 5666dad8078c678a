//! `/dags`, their sources, versions, tags and warnings, and what is wrong with DAG files.

use std::{fs, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{Answered, Api, Shared, bodies::Body, ok, query::Params, shapes};
use crate::{Error, cells, known::Known, scheduling::Order};

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/dags", get(list).patch(patch_many))
        .route("/dags/{dag_id}", get(one).patch(patch).delete(delete))
        .route("/dags/{dag_id}/details", get(details))
        .route("/dags/{dag_id}/dagVersions", get(versions))
        .route("/dagSources/{dag_id}", get(source))
        .route("/dagTags", get(tags))
        .route("/dagWarnings", get(async || ok(json!({ "dag_warnings": [], "total_entries": 0 }))))
        .route("/importErrors", get(import_errors))
        .route("/importErrors/{id}", get(import_error))
        .route("/eventLogs", get(event_logs))
}

/// The DAGs that the parameters leave.
fn selected(api: &Api, params: &Params) -> Result<Vec<Arc<Known>>, Error> {
    let dags = api.dags.read();
    let without_stale = params.flag("exclude_stale")?.unwrap_or(true);
    let paused = params.flag("paused")?;
    let broken = params.flag("has_import_errors")?;
    let tags = params.all("tags");
    let all_tags = params.get("tags_match_mode") == Some("all");
    let owners = params.all("owners");
    let matches = |pattern: Option<&str>, text: &str| {
        pattern.is_none_or(|pattern| {
            let pattern = pattern.replace(['%', '~'], "").to_lowercase();
            text.to_lowercase().contains(&pattern)
        })
    };
    let keep = |known: &&Arc<Known>| {
        let dag = &known.dag;
        let has = |tag: &&str| dag.tags.iter().any(|it| it == tag);
        let tagged = tags.is_empty() || if all_tags { tags.iter().all(has) } else { tags.iter().any(has) };
        let owned = owners.is_empty()
            || owners.iter().any(|owner| dag.tasks.values().any(|task| task.owner == *owner));
        (!without_stale || !known.is_stale)
            && paused.is_none_or(|paused| known.is_paused == paused)
            && broken.is_none_or(|broken| dags.has_import_error(known) == broken)
            && matches(params.get("dag_id_pattern"), &dag.dag_id)
            && matches(params.get("dag_display_name_pattern"), &dag.display_name)
            && params.get("dag_id_prefix_pattern").is_none_or(|prefix| dag.dag_id.starts_with(prefix))
            && tagged
            && owned
    };
    let mut found: Vec<Arc<Known>> = dags.by_id.values().filter(keep).cloned().collect();
    match params.get("order_by") {
        None | Some("dag_id") => {}
        Some("-dag_id") => found.reverse(),
        Some("dag_display_name") => found.sort_by(|a, b| a.dag.display_name.cmp(&b.dag.display_name)),
        Some("-dag_display_name") => found.sort_by(|a, b| b.dag.display_name.cmp(&a.dag.display_name)),
        Some("next_dagrun") => found.sort_by_key(|known| known.next.map(|next| next.run_after)),
        Some("-next_dagrun") => {
            found.sort_by_key(|known| std::cmp::Reverse(known.next.map(|next| next.run_after)))
        }
        Some(other) => {
            let detail =
                format!("Ordering with '{other}' is disallowed or the attribute does not exist on the model");
            return Err(Error::bad_request(detail));
        }
    }
    Ok(found)
}

async fn list(State(api): Shared, params: Params) -> Answered {
    let found = selected(&api, &params)?;
    collection(&api, &params, found)
}

fn collection(api: &Api, params: &Params, found: Vec<Arc<Known>>) -> Answered {
    let total = found.len();
    let dags = api.dags.read();
    let shown = params
        .page()?
        .of(found)
        .iter()
        .map(|known| shapes::dag(&api.options, &dags, known))
        .collect::<Vec<_>>();
    ok(json!({ "dags": shown, "total_entries": total }))
}

async fn one(State(api): Shared, Path(dag_id): Path<String>) -> Answered {
    let known = api.dag(&dag_id)?;
    ok(Value::Object(shapes::dag(&api.options, &api.dags.read(), &known)))
}

async fn details(State(api): Shared, Path(dag_id): Path<String>) -> Answered {
    let known = api.dag(&dag_id)?;
    let sql = "SELECT count(*) FROM dag_run WHERE dag_id = ?1 AND state = 'running'";
    let running = api.database.count(sql, cells![&dag_id]).await?;
    ok(shapes::dag_details(&api.options, &api.dags.read(), &known, running))
}

fn wanted_pause(params: &Params, body: &Body) -> Result<bool, Error> {
    body.only(&["is_paused"])?;
    let mask = params.all("update_mask");
    if !mask.is_empty() && mask != ["is_paused"] {
        return Err(Error::bad_request("Only `is_paused` field can be updated through the REST API"));
    }
    if !body.has("is_paused") {
        return Err(Error::invalid("is_paused: Field required"));
    }
    body.flag("is_paused", false)
}

async fn patch(State(api): Shared, Path(dag_id): Path<String>, params: Params, body: Body) -> Answered {
    let is_paused = wanted_pause(&params, &body)?;
    if api.dags.read().get(&dag_id).is_none() {
        return Err(Error::not_found(format!("Dag with id: {dag_id} was not found")));
    }
    api.order(|answer| Order::Pause { dag_ids: vec![dag_id.clone()], is_paused, answer }).await?;
    one(State(api), Path(dag_id)).await
}

async fn patch_many(State(api): Shared, params: Params, body: Body) -> Answered {
    let is_paused = wanted_pause(&params, &body)?;
    // Without a pattern nothing is meant: Airflow's guard against pausing everything by accident.
    let named = params.get("dag_id_pattern").is_some() || params.get("dag_id_prefix_pattern").is_some();
    let found = if named { selected(&api, &params)? } else { Vec::new() };
    let dag_ids: Vec<String> = found.iter().map(|known| known.dag.dag_id.clone()).collect();
    api.order(|answer| Order::Pause { dag_ids: dag_ids.clone(), is_paused, answer }).await?;
    let found = dag_ids.iter().filter_map(|dag_id| api.dags.read().get(dag_id)).collect();
    collection(&api, &params, found)
}

async fn delete(State(api): Shared, Path(dag_id): Path<String>) -> Result<StatusCode, Error> {
    api.order(|answer| Order::DeleteDag { dag_id, answer }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn versions(State(api): Shared, Path(dag_id): Path<String>) -> Answered {
    let known = api.dag(&dag_id)?;
    ok(json!({ "dag_versions": [shapes::dag_version(&known, known.version)], "total_entries": 1 }))
}

/// The file's text, or JSON around it, as the client accepts.
async fn source(
    State(api): Shared,
    Path(dag_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let known = api.dag(&dag_id)?;
    let text = fs::read_to_string(&known.dag.file)
        .map_err(|_gone| Error::not_found(format!("Code for dag: {dag_id} not found")))?;
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or("application/json");
    if accept.starts_with("text/plain") {
        return Ok(
            (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        );
    }
    let value = json!({
        "content": text,
        "dag_id": dag_id,
        "version_number": known.version,
        "dag_display_name": known.dag.display_name,
    });
    Ok(ok(value)?.into_response())
}

async fn tags(State(api): Shared, params: Params) -> Answered {
    let pattern = params.get("tag_name_pattern").map(|it| it.replace(['%', '~'], "").to_lowercase());
    let tags: std::collections::BTreeSet<String> =
        api.dags.read().by_id.values().flat_map(|known| known.dag.tags.clone()).collect();
    let wanted = |tag: &String| pattern.as_ref().is_none_or(|pattern| tag.to_lowercase().contains(pattern));
    let tags: Vec<String> = tags.into_iter().filter(wanted).collect();
    let total = tags.len();
    ok(json!({ "tags": params.page()?.of(tags), "total_entries": total }))
}

fn error_shape(api: &Api, error: &crate::known::ImportError) -> Value {
    json!({
        "import_error_id": error.id,
        "timestamp": shapes::time(Some(error.at)),
        "filename": shapes::relative(&api.options, &error.file),
        "bundle_name": shapes::BUNDLE,
        "stack_trace": error.text,
    })
}

async fn import_errors(State(api): Shared, params: Params) -> Answered {
    let dags = api.dags.read();
    let pattern = params.get("filename_pattern").map(|it| it.replace(['%', '~'], "").to_lowercase());
    let wanted = |text: &str| pattern.as_ref().is_none_or(|pattern| text.to_lowercase().contains(pattern));
    let errors: Vec<Value> = dags
        .import_errors
        .iter()
        .filter(|error| wanted(&shapes::relative(&api.options, &error.file)))
        .map(|error| error_shape(&api, error))
        .collect();
    let total = errors.len();
    ok(json!({ "import_errors": params.page()?.of(errors), "total_entries": total }))
}

async fn import_error(State(api): Shared, Path(id): Path<i64>) -> Answered {
    let dags = api.dags.read();
    let error = dags.import_errors.iter().find(|error| error.id == id);
    let error = error.ok_or_else(|| {
        Error::not_found(format!("The ImportError with import_error_id: `{id}` was not found"))
    })?;
    ok(error_shape(&api, error))
}

async fn event_logs(State(api): Shared, params: Params) -> Answered {
    let mut filter = super::query::Filter::default();
    for (name, column) in
        [("dag_id", "dag_id"), ("run_id", "run_id"), ("task_id", "task_id"), ("event", "event")]
    {
        if let Some(value) = params.get(name) {
            filter.add(&format!("{column} = ?"), value);
        }
    }
    let order =
        super::query::order(&params, &[("when", "written_at"), ("id", "id"), ("event", "event")], "id")?;
    let page = params.page()?.sql();
    let sql = format!(
        "SELECT id, written_at, dag_id, task_id, run_id, map_index, event, owner, extra FROM event_log {} {order} {page}",
        filter.sql()
    );
    let count = format!("SELECT count(*) FROM event_log {}", filter.sql());
    let total = api.database.count(count, filter.cells.clone()).await?;
    let rows = api.database.rows(sql, filter.cells).await?;
    let shown = rows.iter().map(|row| {
        json!({
            "event_log_id": row[0].int(), "when": shapes::time(row[1].time()), "dag_id": row[2].text(),
            "task_id": row[3].text(), "run_id": row[4].text(), "map_index": row[5].int(), "try_number": null,
            "event": row[6].text(), "logical_date": null, "owner": row[7].text(), "extra": row[8].text(),
            "dag_display_name": row[2].text(), "task_display_name": row[3].text(),
        })
    });
    ok(json!({ "event_logs": shown.collect::<Vec<_>>(), "total_entries": total }))
}

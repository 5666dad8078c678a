//! The REST API: routes, bodies in and out, errors as Confluent's JSON. One file for each noun below; `ask` reads requests,
//! `forward` passes on what another registry has to write.

mod ask;
mod associations;
mod compatibility;
mod forward;
mod schemas;
mod settings;
mod subjects;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use cloud::answers::{Refused, accepted};
use contracts::{Document, Tagged};
use serde_json::{Value as Json, json};

use crate::{Error, journal::Journal, state::Found};
use ask::{Answer, Ask};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// What may be accepted instead.
const CONTENT_TYPES: [&str; 3] = [CONTENT_TYPE, "application/vnd.schemaregistry+json", "application/json"];
/// The largest request body; a schema of that size is no schema.
const BODY_BYTES_MAX: usize = 8 << 20;
/// What the schemas of one answer may be at most: Confluent's `schema.search.max.limit`.
const SCHEMAS_COUNT_MAX: usize = 1_000;
/// The same for names and numbers: `subject.search.max.limit`, `subject.version.search.max.limit`.
const NAMES_COUNT_MAX: usize = 20_000;

type Shared = axum::extract::State<Arc<Journal>>;

pub(crate) fn router(journal: Arc<Journal>) -> Router {
    Router::new()
        .route("/", get(async || Answer(Ok(json!({})))).post(async || Answer(Ok(json!({})))))
        .route("/contexts", get(schemas::contexts))
        .route("/contexts/{context}", delete(schemas::delete_context))
        .route("/v1/metadata/id", get(schemas::cluster))
        .route("/v1/metadata/version", get(schemas::server_version))
        .merge(of_a_context())
        .nest("/contexts/{context}", of_a_context())
        .fallback(async || Answer(Err(Error::Http(Refused::Page))))
        .method_not_allowed_fallback(async || Answer(Err(Error::Http(Refused::Method))))
        .layer(middleware::from_fn_with_state(journal.clone(), forward::writes))
        .layer(middleware::from_fn(accept))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(journal)
}

/// What there is for the default context and, below `/contexts/{context}`, for every other one.
fn of_a_context() -> Router<Arc<Journal>> {
    Router::new()
        .route("/schemas", get(schemas::all))
        .route("/schemas/types", get(schemas::types))
        .route("/schemas/guids/{guid}", get(schemas::by_guid))
        .route("/schemas/guids/{guid}/ids", get(schemas::ids_of_guid))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text_by_id))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects_of_id))
        .route("/schemas/ids/{id}/versions", get(schemas::versions_of_id))
        .route("/subjects", get(subjects::all))
        .route("/subjects/{subject}", post(subjects::lookup).delete(subjects::delete))
        .route("/subjects/{subject}/metadata", get(subjects::with_properties))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(subjects::version).delete(subjects::delete_version),
        )
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::text))
        .route("/subjects/{subject}/versions/{version}/tags", post(subjects::tag))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/compatibility/subjects/{subject}/versions", post(compatibility::with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatibility::with_one))
        .route("/associations", post(associations::create))
        .route("/associations:batchGet", post(associations::batch_get))
        .route("/associations:batchMutate", post(associations::batch_mutate))
        .route("/associations/subjects/{subject}", get(associations::of_subject))
        .route(
            "/associations/resources/{resource}",
            get(associations::of_id).put(associations::create_or_update).delete(associations::delete),
        )
        .route("/associations/resources/{resource}/{name}", get(associations::of_name))
        .route("/config", get(settings::config).put(settings::set_config).delete(settings::delete_config))
        .route(
            "/config/{subject}",
            get(settings::config).put(settings::set_config).delete(settings::delete_config),
        )
        .route("/mode", get(settings::mode).put(settings::set_mode).delete(settings::delete_mode))
        .route("/mode/{subject}", get(settings::mode).put(settings::set_mode).delete(settings::delete_mode))
}

/// Answers with the media type that was asked for, of those that Confluent's has.
async fn accept(request: Request, next: Next) -> Response {
    let wanted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let Some(content_type) = accepted(wanted, &CONTENT_TYPES) else {
        return Answer(Err(Error::Http(Refused::Accept))).into_response();
    };
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Where a schema's text has tags of those asked for (`*` is each one), as the API tells it.
fn tags_found(document: &Document, wanted: &[String]) -> Option<Json> {
    let is_wanted = |tag: &String| wanted.iter().any(|wanted| wanted == "*" || wanted == tag);
    let found = document.inline_tags().into_iter().filter(|tagged| tagged.tags.iter().any(is_wanted));
    let found = found.map(|Tagged { entity, path, tags }| {
        let entity = json!({ "entityPath": path, "entityType": ask::entity_name(entity) });
        json!({ "schemaEntity": entity, "tags": tags })
    });
    let found: Vec<Json> = found.collect();
    (!found.is_empty()).then(|| found.into())
}

/// A version with all that the API shows.
fn shown(found: &Found, text: Option<&str>) -> Json {
    let mut json = json!({ "subject": found.subject, "version": found.version, "id": found.id });
    if let Json::Object(members) = &mut json {
        members.extend(found.content.shown(text));
    }
    json
}

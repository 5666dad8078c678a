//! The REST API: routes, bodies in and out, errors as Confluent's JSON. One file for each noun below.

mod compatibility;
mod schemas;
mod settings;
mod subjects;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value as Json, json};

use crate::{
    Error,
    journal::Journal,
    records::{type_name, type_of},
    state::{Found, Given},
};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The largest request body; a schema of that size is no schema.
const BODY_BYTES_MAX: usize = 8 << 20;
/// What the schemas of one answer may be at most: Confluent's `schema.search.default.limit`.
const SCHEMAS_COUNT_MAX: usize = 1_000;

type Shared = axum::extract::State<Arc<Journal>>;
type Params = Query<HashMap<String, String>>;

/// What every handler gives back.
struct Answer(Result<Json, Error>);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let (status, body) = match self.0 {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => {
                let (status, error_code) = error.answer();
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, json!({ "error_code": error_code, "message": error.message() }))
            }
        };
        (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response()
    }
}

pub(crate) fn router(journal: Arc<Journal>) -> Router {
    Router::new()
        .route("/", get(async || Answer(Ok(json!({})))).post(async || Answer(Ok(json!({})))))
        .route("/schemas", get(schemas::all))
        .route("/schemas/types", get(schemas::types))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text_by_id))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects_of_id))
        .route("/schemas/ids/{id}/versions", get(schemas::versions_of_id))
        .route("/subjects", get(subjects::all))
        .route("/subjects/{subject}", post(subjects::lookup).delete(subjects::delete))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(subjects::version).delete(subjects::delete_version),
        )
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/compatibility/subjects/{subject}/versions", post(compatibility::with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatibility::with_one))
        .route("/config", get(settings::level).put(settings::set_level).delete(settings::delete_level))
        .route(
            "/config/{subject}",
            get(settings::subject_level)
                .put(settings::set_subject_level)
                .delete(settings::delete_subject_level),
        )
        .route("/mode", get(settings::mode).put(settings::set_mode).delete(settings::delete_mode))
        .route(
            "/mode/{subject}",
            get(settings::subject_mode).put(settings::set_subject_mode).delete(settings::delete_subject_mode),
        )
        .route("/contexts", get(async || Answer(Ok(json!(["."])))))
        .route("/v1/metadata/id", get(schemas::cluster))
        .route("/v1/metadata/version", get(schemas::server_version))
        .fallback(async || Answer(Err(Error::NoSuchPage)))
        .method_not_allowed_fallback(async || Answer(Err(Error::NoSuchMethod)))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(journal)
}

/// Whether a query's switch is on: `deleted=true`.
fn is_on(params: &Params, name: &str) -> bool {
    params.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The body as a JSON object, whatever content type it came with, as curl users expect.
fn object(body: &Bytes) -> Result<Json, Error> {
    let parsed: Json =
        serde_json::from_slice(body).map_err(|error| Error::Body { reason: error.to_string() })?;
    match parsed.is_object() {
        true => Ok(parsed),
        false => Err(Error::Body { reason: "it is not a JSON object".to_owned() }),
    }
}

/// The schema of a request: `{"schema": "...", "schemaType": "JSON", "references": []}`.
fn given(subject: &str, body: &Json, normalize: bool) -> Result<Given, Error> {
    let refuse = |reason: String| Error::Unsupported { subject: subject.to_owned(), reason };
    let kind = body.get("schemaType").filter(|kind| !kind.is_null());
    let name = kind.map(|kind| kind.as_str().unwrap_or("?"));
    let kind = type_of(name).ok_or_else(|| refuse(format!("Invalid schema type {}", name.unwrap_or("?"))))?;
    if kind == base::ContractKind::Protobuf {
        return Err(refuse("schemas of type PROTOBUF are not supported yet".to_owned()));
    }
    if body.get("references").and_then(Json::as_array).is_some_and(|references| !references.is_empty()) {
        return Err(refuse("schemas with references are not supported yet".to_owned()));
    }
    match body.get("schema").and_then(Json::as_str) {
        Some(text) if !text.trim().is_empty() => Given::parse(subject, kind, text, normalize),
        _ => Err(refuse("Empty schema".to_owned())),
    }
}

/// A version with all that the API shows; `schemaType` is left out for Avro.
fn shown(found: &Found) -> Json {
    let mut json = json!({ "subject": found.subject, "version": found.version, "id": found.id });
    if found.text.kind != base::ContractKind::Avro {
        json["schemaType"] = type_name(found.text.kind).into();
    }
    json["schema"] = found.text.text.as_str().into();
    json
}

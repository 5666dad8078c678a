//! `/schemas`: by id, all of them, and what the server says of itself.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value as Json, json};

use super::{Answer, Params, SCHEMAS_COUNT_MAX, Shared, is_on, shown};
use crate::{Error, records::type_name, state::Text};

fn id_of(text: &str) -> Result<i32, Error> {
    text.parse().map_err(|_| Error::NoSuchPage)
}

pub(super) async fn types() -> Answer {
    Answer(Ok(json!(["JSON", "AVRO"])))
}

pub(super) async fn by_id(State(journal): Shared, Path(id): Path<String>, params: Params) -> Answer {
    Answer(id_of(&id).and_then(|id| {
        journal.read(|state| {
            let mut json = text_json(&state.by_id(id)?);
            if is_on(&params, "fetchMaxId") {
                json["maxId"] = state.id_max().into();
            }
            Ok(json)
        })
    }))
}

fn text_json(text: &Arc<Text>) -> Json {
    match text.kind {
        base::ContractKind::Avro => json!({ "schema": text.text }),
        kind => json!({ "schemaType": type_name(kind), "schema": text.text }),
    }
}

/// The schema itself, not as a text within JSON.
pub(super) async fn text_by_id(State(journal): Shared, Path(id): Path<String>) -> Answer {
    let text = id_of(&id).and_then(|id| journal.read(|state| state.by_id(id)));
    Answer(text.map(|text| as_json(&text.text)))
}

/// Schemas are JSON but for Avro's bare words, which become JSON texts.
pub(super) fn as_json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

pub(super) async fn subjects_of_id(State(journal): Shared, Path(id): Path<String>, params: Params) -> Answer {
    Answer(id_of(&id).and_then(|id| {
        let uses = journal.read(|state| state.uses(id, is_on(&params, "deleted")))?;
        let mut subjects: Vec<String> = uses.into_iter().map(|(subject, _)| subject).collect();
        subjects.dedup();
        Ok(json!(subjects))
    }))
}

pub(super) async fn versions_of_id(State(journal): Shared, Path(id): Path<String>, params: Params) -> Answer {
    Answer(id_of(&id).and_then(|id| {
        let uses = journal.read(|state| state.uses(id, is_on(&params, "deleted")))?;
        let uses =
            uses.into_iter().map(|(subject, version)| json!({ "subject": subject, "version": version }));
        Ok(uses.collect())
    }))
}

/// `?subjectPrefix&deleted&latestOnly&offset&limit`
pub(super) async fn all(State(journal): Shared, params: Params) -> Answer {
    let number = |name: &str| params.get(name).and_then(|value| value.parse::<usize>().ok());
    let prefix = params.get("subjectPrefix").map_or("", String::as_str);
    let found =
        journal.read(|state| state.all(prefix, is_on(&params, "deleted"), is_on(&params, "latestOnly")));
    let limit =
        number("limit").filter(|limit| *limit > 0).unwrap_or(SCHEMAS_COUNT_MAX).min(SCHEMAS_COUNT_MAX);
    let page = found.iter().skip(number("offset").unwrap_or(0)).take(limit);
    Answer(Ok(page.map(shown).collect()))
}

pub(super) async fn cluster() -> Answer {
    let clusters = json!({ "kafka-cluster": "", "schema-registry-cluster": "schema-registry" });
    Answer(Ok(json!({ "id": "", "scope": { "path": [], "clusters": clusters } })))
}

pub(super) async fn server_version() -> Answer {
    Answer(Ok(json!({ "version": env!("CARGO_PKG_VERSION"), "commitId": "tidemill" })))
}

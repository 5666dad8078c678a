//! `/schemas`: by id, all of them; `/contexts`; and what the server says of itself.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value as Json, json};

use super::{Answer, Ask, NAMES_COUNT_MAX, SCHEMAS_COUNT_MAX, Shared, ask::text, shown, tags_found};
use crate::{Error, journal::Journal, names::qualified, state::Found};

pub(super) async fn types() -> Answer {
    Answer(Ok(json!(["JSON", "PROTOBUF", "AVRO"])))
}

/// `?subject&format&fetchMaxId&findTags`; without them the answer lies ready.
pub(super) async fn by_id(State(journal): Shared, ask: Ask) -> Response {
    let format = ask.param("format").filter(|format| !format.is_empty());
    if format.is_none() && !ask.is_on("fetchMaxId") && ask.param("findTags").is_none() {
        let answer =
            ask.id().and_then(|id| journal.read(|state| state.answer(id, &ask.subject_param(state))));
        return answer.map_or_else(|error| Answer(Err(error)).into_response(), text);
    }
    Answer(by_id_with(&journal, &ask, format)).into_response()
}

fn by_id_with(journal: &Journal, ask: &Ask, format: Option<&str>) -> Result<Json, Error> {
    let id = ask.id()?;
    journal.read(|state| {
        let subject = ask.subject_param(state);
        let content = state.by_id(id, &subject)?;
        let tags = ask.params("findTags");
        let document = match format.is_some() || !tags.is_empty() {
            true => Some(state.document(&subject, &content)?),
            false => None,
        };
        let text = format.and_then(|format| document.as_ref()?.formatted(format));
        let mut members = content.shown(text.as_deref());
        if let Some(found) = document.and_then(|document| tags_found(&document, &tags)) {
            members.insert("schemaTags".to_owned(), found);
        }
        if ask.is_on("fetchMaxId") {
            members.insert("maxId".to_owned(), state.id_max(&subject).into());
        }
        Ok(Json::Object(members))
    })
}

/// `?format`
pub(super) async fn by_guid(State(journal): Shared, ask: Ask) -> Answer {
    let format = ask.param("format").filter(|format| !format.is_empty());
    Answer(journal.read(|state| {
        let (content, ids) = state.by_guid(ask.text("guid"))?;
        let subject = ids.first().map(|(context, _)| qualified(context, "")).unwrap_or_default();
        let text = match format {
            Some(format) => state.document(&subject, &content)?.formatted(format),
            None => None,
        };
        Ok(Json::Object(content.shown(text.as_deref())))
    }))
}

pub(super) async fn ids_of_guid(State(journal): Shared, ask: Ask) -> Answer {
    Answer(journal.read(|state| {
        let (_, ids) = state.by_guid(ask.text("guid"))?;
        Ok(ids.into_iter().map(|(context, id)| json!({ "context": context, "id": id })).collect())
    }))
}

/// The schema itself, not as a text within JSON.
pub(super) async fn text_by_id(State(journal): Shared, ask: Ask) -> Response {
    let content = ask.id().and_then(|id| {
        journal.read(|state| {
            let subject = ask.subject_param(state);
            let content = state.by_id(id, &subject)?;
            let format = ask.param("format").filter(|format| !format.is_empty());
            let formatted = format.map(|format| Ok(state.document(&subject, &content)?.formatted(format)));
            Ok(formatted.transpose()?.flatten().unwrap_or_else(|| content.text.clone()))
        })
    });
    content.map_or_else(|error| Answer(Err(error)).into_response(), text)
}

fn uses(journal: &Journal, ask: &Ask, id: i32) -> Result<Vec<(String, i32)>, Error> {
    journal.read(|state| state.uses(id, &ask.subject_param(state), ask.is_on("deleted")))
}

/// `?subject&deleted&offset&limit`
pub(super) async fn subjects_of_id(State(journal): Shared, ask: Ask) -> Answer {
    Answer(ask.id().and_then(|id| {
        let uses = uses(&journal, &ask, id)?;
        let mut subjects: Vec<String> = uses.into_iter().map(|(subject, _)| subject).collect();
        subjects.dedup();
        Ok(ask.page(subjects, NAMES_COUNT_MAX).collect())
    }))
}

/// `?subject&deleted&offset&limit`
pub(super) async fn versions_of_id(State(journal): Shared, ask: Ask) -> Answer {
    Answer(ask.id().and_then(|id| {
        let uses = uses(&journal, &ask, id)?;
        let page = ask.page(uses, NAMES_COUNT_MAX);
        Ok(page.map(|(subject, version)| json!({ "subject": subject, "version": version })).collect())
    }))
}

/// `?subjectPrefix&aliases&deleted&latestOnly&offset&limit`
pub(super) async fn all(State(journal): Shared, ask: Ask) -> Answer {
    let (prefix, deleted, latest_only) = (ask.prefix(), ask.is_on("deleted"), ask.is_on("latestOnly"));
    let (found, aliases) = journal.read(|state| {
        let aliases = if ask.is_on("aliases") { state.aliases(&prefix) } else { Default::default() };
        (state.all(&prefix, &aliases, deleted, latest_only), aliases)
    });
    let shown = |found: Found| {
        let mut version = shown(&found, None);
        if let Some(aliases) = aliases.get(&found.subject) {
            version["aliases"] = json!(aliases);
        }
        version
    };
    Answer(Ok(ask.page(found, SCHEMAS_COUNT_MAX).map(shown).collect()))
}

pub(super) async fn contexts(State(journal): Shared, ask: Ask) -> Answer {
    let contexts = journal.read(|state| state.contexts().into_iter().map(str::to_owned).collect());
    Answer(Ok(ask.page::<String>(contexts, NAMES_COUNT_MAX).collect()))
}

pub(super) async fn delete_context(State(journal): Shared, ask: Ask) -> Response {
    let context = ask.context();
    match journal.change(|state| Ok(((), state.delete_context(&context)?))).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => Answer(Err(error)).into_response(),
    }
}

pub(super) async fn cluster(State(journal): Shared) -> Answer {
    let kafka = journal.cluster_id();
    let clusters = json!({ "kafka-cluster": kafka, "schema-registry-cluster": journal.election().group() });
    Answer(Ok(json!({ "id": null, "scope": { "path": [], "clusters": clusters } })))
}

pub(super) async fn server_version() -> Answer {
    Answer(Ok(json!({ "version": env!("CARGO_PKG_VERSION"), "commitId": "tidemill" })))
}

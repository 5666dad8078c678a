//! `/subjects`: listing, looking up, registering, deleting.

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use cloud::answers::Refused;
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, NAMES_COUNT_MAX, Shared,
    ask::{asked, object, retagged, text as as_text},
    shown, tags_found,
};
use crate::{
    Error,
    journal::Journal,
    state::{Found, Registered},
};

/// Confluent's client for Python writes it in its own way.
fn only_deleted(ask: &Ask) -> bool {
    ask.is_on("deletedOnly") || ask.is_on("deleted_only")
}

/// `?subjectPrefix&deleted&deletedOnly&offset&limit`
pub(super) async fn all(State(journal): Shared, ask: Ask) -> Answer {
    let (deleted, only) = (ask.is_on("deleted"), only_deleted(&ask));
    let subjects = journal.read(|state| {
        let subjects = state.subjects(&ask.prefix(), deleted, only);
        subjects.into_iter().map(str::to_owned).collect::<Vec<_>>()
    });
    Answer(Ok(ask.page(subjects, NAMES_COUNT_MAX).collect()))
}

/// Whether the subject has this schema, and as which version. `?normalize&deleted&format`
pub(super) async fn lookup(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    Answer(object(&body).and_then(|body| {
        let (subject, deleted) = (ask.subject(&journal), ask.is_on("deleted"));
        let asked = asked(&subject, &body)?;
        let found = journal.read(|state| state.lookup(&subject, &asked, ask.is_on("normalize"), deleted))?;
        formatted(&journal, &ask, &found)
    }))
}

/// A version in the form that `format` asks for, with the places of the tags that `findTags` asks for.
fn formatted(journal: &Journal, ask: &Ask, found: &Found) -> Result<Json, Error> {
    let (format, tags) = (ask.param("format").filter(|format| !format.is_empty()), ask.params("findTags"));
    if format.is_none() && tags.is_empty() {
        return Ok(shown(found, None));
    }
    let document = journal.read(|state| state.document(&found.subject, &found.content))?;
    let text = format.and_then(|format| document.formatted(format));
    let mut version = shown(found, text.as_deref());
    if let Some(found) = tags_found(&document, &tags) {
        version["schemaTags"] = found;
    }
    Ok(version)
}

/// `?deleted&deletedOnly&offset&limit`
pub(super) async fn versions(State(journal): Shared, ask: Ask) -> Answer {
    let (deleted, only) = (ask.is_on("deleted"), only_deleted(&ask));
    let subject = ask.subject(&journal);
    let versions = journal.read(|state| state.versions(&subject, deleted, only));
    Answer(versions.map(|versions| ask.page(versions, NAMES_COUNT_MAX).map(Json::from).collect()))
}

fn found(journal: &Journal, ask: &Ask) -> Result<Found, Error> {
    let (subject, wanted) = (ask.subject(journal), ask.version()?);
    journal.read(|state| {
        let all = state.everywhere(&subject);
        let mut answers = all.iter().map(|subject| state.version(subject, wanted, ask.is_on("deleted")));
        let first = answers.next().ok_or(Error::Http(Refused::Page))?;
        first.or_else(|error| answers.find_map(Result::ok).ok_or(error))
    })
}

/// `?deleted&format&findTags`
pub(super) async fn version(State(journal): Shared, ask: Ask) -> Answer {
    Answer(found(&journal, &ask).and_then(|found| formatted(&journal, &ask, &found)))
}

/// The schema itself, not as a text within JSON. `?deleted`
pub(super) async fn text(State(journal): Shared, ask: Ask) -> Response {
    match found(&journal, &ask) {
        Ok(found) => as_text(found.content.text.clone()),
        Err(error) => Answer(Err(error)).into_response(),
    }
}

pub(super) async fn referenced_by(State(journal): Shared, ask: Ask) -> Answer {
    Answer(found(&journal, &ask).map(|found| {
        let ids = journal.read(|state| state.referrers(&found.subject, found.version));
        ask.page(ids, NAMES_COUNT_MAX).map(Json::from).collect()
    }))
}

/// The newest version whose metadata has the properties asked for. `?key=…&value=…&deleted`
pub(super) async fn with_properties(State(journal): Shared, ask: Ask) -> Answer {
    let properties: Vec<(String, String)> = ask.params("key").into_iter().zip(ask.params("value")).collect();
    let (subject, deleted) = (ask.subject(&journal), ask.is_on("deleted"));
    let found = journal.read(|state| state.with_properties(&subject, &properties, deleted));
    Answer(found.and_then(|found| formatted(&journal, &ask, &found)))
}

/// `{"schema": …, "schemaType": …}`; with `id` and `version` in import mode. `?normalize`
pub(super) async fn register(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    let subject = ask.subject(&journal);
    let asked = match object(&body).and_then(|body| asked(&subject, &body)) {
        Ok(asked) => asked,
        Err(error) => return Answer(Err(error)),
    };
    let registered = journal.change(|state| state.register(&subject, asked, ask.is_on("normalize")));
    Answer(registered.await.map(|registered| told(&registered)))
}

fn told(registered: &Registered) -> Json {
    let Some(found) = &registered.changed else {
        return json!({ "id": registered.id, "guid": registered.guid });
    };
    let mut answer = json!({ "id": found.id, "version": found.version });
    if let Json::Object(members) = &mut answer {
        members.extend(found.content.shown(None));
    }
    answer
}

/// A new version that is an earlier one with other tags, metadata or rules.
pub(super) async fn tag(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    let subject = ask.subject(&journal);
    let read = || Ok::<_, Error>((ask.version()?, retagged(&object(&body)?)?));
    let (wanted, retagged) = match read() {
        Ok(read) => read,
        Err(error) => return Answer(Err(error)),
    };
    let registered = journal.change(|state| state.retag(&subject, wanted, retagged));
    Answer(registered.await.map(|registered| told(&registered)))
}

/// `?permanent`
pub(super) async fn delete(State(journal): Shared, ask: Ask) -> Answer {
    let (subject, permanent) = (ask.subject(&journal), ask.is_on("permanent"));
    let deleted = journal.change(|state| state.delete_subject(&subject, permanent));
    Answer(deleted.await.map(|versions| json!(versions)))
}

/// `?permanent`
pub(super) async fn delete_version(State(journal): Shared, ask: Ask) -> Answer {
    let wanted = match ask.version() {
        Ok(wanted) => wanted,
        Err(error) => return Answer(Err(error)),
    };
    let (subject, permanent) = (ask.subject(&journal), ask.is_on("permanent"));
    let deleted = journal.change(|state| state.delete_version(&subject, wanted, permanent));
    Answer(deleted.await.map(|number| json!(number)))
}

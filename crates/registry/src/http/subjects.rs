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
    ask::{asked, object, text as as_text},
    shown,
};
use crate::{Error, journal::Journal, state::Found};

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
        let (subject, deleted) = (ask.subject(), ask.is_on("deleted"));
        let asked = asked(&subject, &body)?;
        let found = journal.read(|state| state.lookup(&subject, &asked, ask.is_on("normalize"), deleted))?;
        formatted(&journal, &ask, &found)
    }))
}

/// A version in the form that `format` asks for.
fn formatted(journal: &Journal, ask: &Ask, found: &Found) -> Result<Json, Error> {
    let text = match ask.param("format").filter(|format| !format.is_empty()) {
        None => None,
        Some(format) => {
            journal.read(|state| state.document(&found.subject, &found.content))?.formatted(format)
        }
    };
    Ok(shown(found, text.as_deref()))
}

/// `?deleted&deletedOnly&offset&limit`
pub(super) async fn versions(State(journal): Shared, ask: Ask) -> Answer {
    let (deleted, only) = (ask.is_on("deleted"), only_deleted(&ask));
    let versions = journal.read(|state| state.versions(&ask.subject(), deleted, only));
    Answer(versions.map(|versions| ask.page(versions, NAMES_COUNT_MAX).map(Json::from).collect()))
}

fn found(journal: &Journal, ask: &Ask) -> Result<Found, Error> {
    let (subject, wanted) = (ask.subject(), ask.version()?);
    journal.read(|state| {
        let all = state.everywhere(&subject);
        let mut answers = all.iter().map(|subject| state.version(subject, wanted, ask.is_on("deleted")));
        let first = answers.next().ok_or(Error::Http(Refused::Page))?;
        first.or_else(|error| answers.find_map(Result::ok).ok_or(error))
    })
}

/// `?deleted&format`
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
    let found =
        journal.read(|state| state.with_properties(&ask.subject(), &properties, ask.is_on("deleted")));
    Answer(found.and_then(|found| formatted(&journal, &ask, &found)))
}

/// `{"schema": …, "schemaType": …}`; with `id` and `version` in import mode. `?normalize`
pub(super) async fn register(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    let subject = ask.subject();
    let asked = match object(&body).and_then(|body| asked(&subject, &body)) {
        Ok(asked) => asked,
        Err(error) => return Answer(Err(error)),
    };
    let registered = journal.change(|state| state.register(&subject, asked, ask.is_on("normalize")));
    Answer(registered.await.map(|registered| match &registered.changed {
        None => json!({ "id": registered.id, "guid": registered.guid }),
        Some(found) => {
            let mut answer = json!({ "id": found.id, "version": found.version });
            if let Json::Object(members) = &mut answer {
                members.extend(found.content.shown(None));
            }
            answer
        }
    }))
}

/// `?permanent`
pub(super) async fn delete(State(journal): Shared, ask: Ask) -> Answer {
    let (subject, permanent) = (ask.subject(), ask.is_on("permanent"));
    let deleted = journal.change(|state| state.delete_subject(&subject, permanent));
    Answer(deleted.await.map(|versions| json!(versions)))
}

/// `?permanent`
pub(super) async fn delete_version(State(journal): Shared, ask: Ask) -> Answer {
    let wanted = match ask.version() {
        Ok(wanted) => wanted,
        Err(error) => return Answer(Err(error)),
    };
    let (subject, permanent) = (ask.subject(), ask.is_on("permanent"));
    let deleted = journal.change(|state| state.delete_version(&subject, wanted, permanent));
    Answer(deleted.await.map(|number| json!(number)))
}

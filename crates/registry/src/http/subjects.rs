//! `/subjects`: listing, looking up, registering, deleting.

use axum::{
    body::Bytes,
    extract::{Path, State},
};
use serde_json::{Value as Json, json};

use super::{Answer, Params, Shared, given, is_on, object, schemas::as_json, shown};
use crate::{Error, records::Entry, state::Wanted};

/// `?deleted&deletedOnly&subjectPrefix`
pub(super) async fn all(State(journal): Shared, params: Params) -> Answer {
    let prefix = params.get("subjectPrefix").map_or("", String::as_str);
    let (deleted, only) = (is_on(&params, "deleted"), is_on(&params, "deletedOnly"));
    Answer(Ok(journal.read(|state| json!(state.subjects(prefix, deleted, only)))))
}

/// Whether the subject has this schema, and as which version.
pub(super) async fn lookup(
    State(journal): Shared,
    Path(subject): Path<String>,
    params: Params,
    body: Bytes,
) -> Answer {
    Answer(object(&body).and_then(|body| {
        let deleted = is_on(&params, "deleted");
        // An unknown subject is told before a schema that does not parse.
        journal.read(|state| state.versions(&subject, deleted, false))?;
        let given = given(&subject, &body, is_on(&params, "normalize"))?;
        journal.read(|state| state.lookup(&subject, &given, deleted)).map(|found| shown(&found))
    }))
}

pub(super) async fn versions(State(journal): Shared, Path(subject): Path<String>, params: Params) -> Answer {
    let (deleted, only) = (is_on(&params, "deleted"), is_on(&params, "deletedOnly"));
    Answer(journal.read(|state| state.versions(&subject, deleted, only)).map(|versions| json!(versions)))
}

pub(super) async fn version(
    State(journal): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer {
    Answer(Wanted::parse(&version).and_then(|wanted| {
        let found = journal.read(|state| state.version(&subject, wanted, is_on(&params, "deleted")));
        found.map(|found| shown(&found))
    }))
}

pub(super) async fn text(
    State(journal): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer {
    Answer(Wanted::parse(&version).and_then(|wanted| {
        let found = journal.read(|state| state.version(&subject, wanted, is_on(&params, "deleted")));
        found.map(|found| as_json(&found.text.text))
    }))
}

/// Nothing refers to anything until references are supported.
pub(super) async fn referenced_by(
    State(journal): Shared,
    Path((subject, version)): Path<(String, String)>,
) -> Answer {
    Answer(
        Wanted::parse(&version).and_then(|wanted| {
            journal.read(|state| state.version(&subject, wanted, false)).map(|_| json!([]))
        }),
    )
}

/// `{"schema": …, "schemaType": …}`; with `id` and `version` in import mode. `?normalize`
pub(super) async fn register(
    State(journal): Shared,
    Path(subject): Path<String>,
    params: Params,
    body: Bytes,
) -> Answer {
    let read = object(&body).and_then(|body| {
        let given = given(&subject, &body, is_on(&params, "normalize"))?;
        Ok((given, imported(&body)?))
    });
    let (given, import) = match read {
        Ok(read) => read,
        Err(error) => return Answer(Err(error)),
    };
    let registered = journal.change(|state| {
        let (id, entry) = state.register(&subject, &given, import)?;
        Ok((id, entry.into_iter().collect()))
    });
    Answer(registered.await.map(|id| json!({ "id": id })))
}

/// The id and version that a request brings along; a version of 0 is the next one.
fn imported(body: &Json) -> Result<Option<(i32, i32)>, Error> {
    let number = |name: &str| body.get(name).and_then(Json::as_i64).filter(|number| *number > 0);
    let narrow = |number: i64| {
        i32::try_from(number).map_err(|_| Error::Body { reason: "a number is too large".to_owned() })
    };
    match number("id") {
        None => Ok(None),
        Some(id) => Ok(Some((narrow(id)?, narrow(number("version").unwrap_or(0))?))),
    }
}

/// `?permanent`
pub(super) async fn delete(State(journal): Shared, Path(subject): Path<String>, params: Params) -> Answer {
    let permanent = is_on(&params, "permanent");
    Answer(
        journal
            .change(|state| state.delete_subject(&subject, permanent))
            .await
            .map(|versions| json!(versions)),
    )
}

/// `?permanent`
pub(super) async fn delete_version(
    State(journal): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
) -> Answer {
    let wanted = match Wanted::parse(&version) {
        Ok(wanted) => wanted,
        Err(error) => return Answer(Err(error)),
    };
    let deleted = journal.change(|state| {
        let (number, entry): (i32, Entry) =
            state.delete_version(&subject, wanted, is_on(&params, "permanent"))?;
        Ok((number, vec![entry]))
    });
    Answer(deleted.await.map(|number| json!(number)))
}

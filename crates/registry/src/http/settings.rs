//! `/config` and `/mode`: the compatibility level and the mode, for everything or for one subject.

use axum::{
    body::Bytes,
    extract::{Path, State},
};
use contracts::compatibility::Level;
use serde_json::{Value as Json, json};

use super::{Answer, Params, Shared, is_on, object};
use crate::{Error, journal::Journal, records::Entry, state::Mode};

pub(super) async fn level(State(journal): Shared) -> Answer {
    let level = journal.read(|state| state.level(None)).unwrap_or_default();
    Answer(Ok(json!({ "compatibilityLevel": level.name() })))
}

/// `?defaultToGlobal`
pub(super) async fn subject_level(
    State(journal): Shared,
    Path(subject): Path<String>,
    params: Params,
) -> Answer {
    let level = journal.read(|state| match is_on(&params, "defaultToGlobal") {
        true => Some(state.level_that_holds(&subject)),
        false => state.level(Some(&subject)),
    });
    let level = level.ok_or(Error::NoSubjectLevel { subject });
    Answer(level.map(|level| json!({ "compatibilityLevel": level.name() })))
}

pub(super) async fn set_level(State(journal): Shared, body: Bytes) -> Answer {
    Answer(put_level(&journal, None, &body).await)
}

pub(super) async fn set_subject_level(
    State(journal): Shared,
    Path(subject): Path<String>,
    body: Bytes,
) -> Answer {
    Answer(put_level(&journal, Some(subject), &body).await)
}

async fn put_level(journal: &Journal, subject: Option<String>, body: &Bytes) -> Result<Json, Error> {
    let body = object(body)?;
    let level = body.get("compatibility").and_then(Json::as_str).unwrap_or("");
    let level: Level = level.parse().map_err(|_| Error::InvalidLevel)?;
    let level = level.name().to_owned();
    journal
        .change(|_| {
            let entry = Entry::Config { subject, level: Some(level.clone()) };
            Ok((json!({ "compatibility": level }), vec![entry]))
        })
        .await
}

pub(super) async fn delete_level(State(journal): Shared) -> Answer {
    let deleted = journal.change(|state| {
        let before = state.level(None).unwrap_or_default();
        let entry = Entry::Config { subject: None, level: None };
        Ok((json!({ "compatibilityLevel": before.name() }), vec![entry]))
    });
    Answer(deleted.await)
}

pub(super) async fn delete_subject_level(State(journal): Shared, Path(subject): Path<String>) -> Answer {
    let deleted = journal.change(|state| match state.level(Some(&subject)) {
        None => Err(Error::SubjectNotFound { subject }),
        Some(before) => {
            let entry = Entry::Config { subject: Some(subject), level: None };
            Ok((json!({ "compatibilityLevel": before.name() }), vec![entry]))
        }
    });
    Answer(deleted.await)
}

pub(super) async fn mode(State(journal): Shared) -> Answer {
    let mode = journal.read(|state| state.mode(None)).unwrap_or_default();
    Answer(Ok(json!({ "mode": mode.name() })))
}

/// `?defaultToGlobal`
pub(super) async fn subject_mode(
    State(journal): Shared,
    Path(subject): Path<String>,
    params: Params,
) -> Answer {
    let mode = journal.read(|state| match is_on(&params, "defaultToGlobal") {
        true => Some(state.mode_that_holds(&subject)),
        false => state.mode(Some(&subject)),
    });
    let mode = mode.ok_or(Error::NoSubjectMode { subject });
    Answer(mode.map(|mode| json!({ "mode": mode.name() })))
}

/// `?force`
pub(super) async fn set_mode(State(journal): Shared, params: Params, body: Bytes) -> Answer {
    Answer(put_mode(&journal, None, &params, &body).await)
}

/// `?force`
pub(super) async fn set_subject_mode(
    State(journal): Shared,
    Path(subject): Path<String>,
    params: Params,
    body: Bytes,
) -> Answer {
    Answer(put_mode(&journal, Some(&subject), &params, &body).await)
}

async fn put_mode(
    journal: &Journal,
    subject: Option<&str>,
    params: &Params,
    body: &Bytes,
) -> Result<Json, Error> {
    let body = object(body)?;
    let mode = Mode::parse(body.get("mode").and_then(Json::as_str).unwrap_or(""))?;
    let force = is_on(params, "force");
    let changed = journal.change(|state| {
        let entry = state.change_mode(subject, mode, force)?;
        Ok((json!({ "mode": mode.name() }), vec![entry]))
    });
    changed.await
}

pub(super) async fn delete_mode(State(journal): Shared) -> Answer {
    let deleted = journal.change(|state| {
        let before = state.mode(None).unwrap_or_default();
        Ok((json!({ "mode": before.name() }), vec![Entry::Mode { subject: None, mode: None }]))
    });
    Answer(deleted.await)
}

pub(super) async fn delete_subject_mode(State(journal): Shared, Path(subject): Path<String>) -> Answer {
    let deleted = journal.change(|state| match state.mode(Some(&subject)) {
        None => Err(Error::SubjectNotFound { subject }),
        Some(before) => {
            let entry = Entry::Mode { subject: Some(subject), mode: None };
            Ok((json!({ "mode": before.name() }), vec![entry]))
        }
    });
    Answer(deleted.await)
}

//! `/config` and `/mode`: the settings and the mode, for everything, for one context or for one subject.

use axum::{body::Bytes, extract::State};
use contracts::compatibility::Level;
use serde_json::{Map, Value as Json, json};

use super::{Answer, Ask, Shared, ask::object};
use crate::{
    Error,
    entities::Config,
    journal::Journal,
    records::Entry,
    state::{Mode, State as Registered},
};

/// The members that a request may have, and what they are called where they are kept.
const MEMBERS: [(&str, &str); 12] = [
    ("alias", "alias"),
    ("normalize", "normalize"),
    ("validateFields", "validateFields"),
    ("validateNames", "validateNames"),
    ("compatibilityLevel", "compatibilityLevel"),
    ("compatibility", "compatibilityLevel"),
    ("compatibilityPolicy", "compatibilityPolicy"),
    ("compatibilityGroup", "compatibilityGroup"),
    ("defaultMetadata", "defaultMetadata"),
    ("overrideMetadata", "overrideMetadata"),
    ("defaultRuleSet", "defaultRuleSet"),
    ("overrideRuleSet", "overrideRuleSet"),
];

fn as_json(config: &Config) -> Json {
    serde_json::to_value(config).unwrap_or_default()
}

/// The settings at a place; with a level in any case for everything.
fn standing(state: &Registered, scope: Option<&str>) -> Option<Config> {
    match scope {
        None => Some(state.config_that_holds(None)),
        scope => state.config(scope).cloned(),
    }
}

/// `?defaultToGlobal`
pub(super) async fn config(State(journal): Shared, ask: Ask) -> Answer {
    let scope = ask.scope();
    let config = journal.read(|state| match ask.is_on("defaultToGlobal") {
        true => Some(state.config_that_holds(scope.as_deref())),
        false => standing(state, scope.as_deref()),
    });
    let config = config.ok_or_else(|| Error::NoSubjectLevel { subject: scope.unwrap_or_default() });
    Answer(config.map(|config| as_json(&config)))
}

pub(super) async fn set_config(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    Answer(put_config(&journal, ask.scope(), &body).await)
}

const POLICIES: [&str; 3] = ["STRICT", "LENIENT", "LOGICAL"];

/// What is named changes, what is null goes, what is not named stays.
async fn put_config(journal: &Journal, scope: Option<String>, body: &Bytes) -> Result<Json, Error> {
    let mut body = object(body)?;
    // The word of an answer is taken as well.
    for name in ["compatibility", "compatibilityLevel"] {
        if let Some(level) = body.get(name).filter(|level| !level.is_null()) {
            let level: Level = level.as_str().unwrap_or("").parse().map_err(|_| Error::InvalidLevel)?;
            body[name] = level.name().into();
        }
    }
    if let Some(policy) = body.get("compatibilityPolicy").filter(|policy| !policy.is_null()) {
        let known =
            POLICIES.into_iter().find(|known| policy.as_str().is_some_and(|p| known.eq_ignore_ascii_case(p)));
        body["compatibilityPolicy"] = known.ok_or(Error::InvalidLevel)?.into();
    }
    let named: Vec<(&str, Json)> =
        MEMBERS.iter().filter_map(|(name, kept)| Some((*kept, body.get(name)?.clone()))).collect();
    if named.is_empty() {
        return Err(Error::InvalidLevel);
    }
    journal
        .change(|state| {
            let before = state.config(scope.as_deref()).map(as_json).unwrap_or_default();
            let mut members: Map<String, Json> = before.as_object().cloned().unwrap_or_default();
            members.extend(named.into_iter().map(|(kept, value)| (kept.to_owned(), value)));
            let read = serde_json::from_value(Json::Object(members));
            let config: Config = read.map_err(|error| Error::Body { reason: error.to_string() })?;
            Ok((body, vec![Entry::Config { subject: scope, config: Some(Box::new(config)) }]))
        })
        .await
}

pub(super) async fn delete_config(State(journal): Shared, ask: Ask) -> Answer {
    let scope = ask.scope();
    let deleted = journal.change(|state| match standing(state, scope.as_deref()) {
        None => Err(Error::SubjectNotFound { subject: scope.unwrap_or_default() }),
        Some(before) => Ok((as_json(&before), vec![Entry::Config { subject: scope, config: None }])),
    });
    Answer(deleted.await)
}

/// `?defaultToGlobal`
pub(super) async fn mode(State(journal): Shared, ask: Ask) -> Answer {
    let scope = ask.scope();
    let mode = journal.read(|state| match scope.is_none() || ask.is_on("defaultToGlobal") {
        true => Some(state.mode_that_holds(scope.as_deref())),
        false => state.mode(scope.as_deref()),
    });
    let mode = mode.ok_or_else(|| Error::NoSubjectMode { subject: scope.unwrap_or_default() });
    Answer(mode.map(|mode| json!({ "mode": mode.name() })))
}

/// `?force`
pub(super) async fn set_mode(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    let read =
        object(&body).and_then(|body| Mode::parse(body.get("mode").and_then(Json::as_str).unwrap_or("")));
    let mode = match read {
        Ok(mode) => mode,
        Err(error) => return Answer(Err(error)),
    };
    let changed = journal.change(|state| {
        let entry = state.change_mode(ask.scope().as_deref(), mode, ask.is_on("force"))?;
        Ok((json!({ "mode": mode.name() }), vec![entry]))
    });
    Answer(changed.await)
}

/// `?recursive`
pub(super) async fn delete_mode(State(journal): Shared, ask: Ask) -> Answer {
    let scope = ask.scope();
    let deleted = journal.change(|state| {
        let before = match scope.is_none() {
            true => Some(state.mode_that_holds(None)),
            false => state.mode(scope.as_deref()),
        };
        match before {
            None => Err(Error::SubjectNotFound { subject: scope.unwrap_or_default() }),
            Some(before) => {
                let entries = state.without_mode(scope.as_deref(), ask.is_on("recursive"));
                Ok((json!({ "mode": before.name() }), entries))
            }
        }
    });
    Answer(deleted.await)
}

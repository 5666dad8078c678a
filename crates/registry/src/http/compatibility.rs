//! `/compatibility`: whether a schema could be registered, without registering it.

use axum::{
    body::Bytes,
    extract::{Path, State},
};
use serde_json::json;

use super::{Answer, Params, Shared, given, is_on, object};
use crate::{Error, journal::Journal, state::Wanted};

pub(super) async fn with_all(
    State(journal): Shared,
    Path(subject): Path<String>,
    params: Params,
    body: Bytes,
) -> Answer {
    Answer(check(&journal, &subject, None, &params, &body))
}

pub(super) async fn with_one(
    State(journal): Shared,
    Path((subject, version)): Path<(String, String)>,
    params: Params,
    body: Bytes,
) -> Answer {
    Answer(Wanted::parse(&version).and_then(|wanted| check(&journal, &subject, Some(wanted), &params, &body)))
}

fn check(
    journal: &Journal,
    subject: &str,
    wanted: Option<Wanted>,
    params: &Params,
    body: &Bytes,
) -> Result<serde_json::Value, Error> {
    let given = given(subject, &object(body)?, is_on(params, "normalize"))?;
    let messages = journal.read(|state| state.conflicts(subject, &given, wanted))?;
    let mut answer = json!({ "is_compatible": messages.is_empty() });
    if is_on(params, "verbose") {
        answer["messages"] = json!(messages);
    }
    Ok(answer)
}

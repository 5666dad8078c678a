//! `/compatibility`: whether a schema could be registered, without registering it. `?verbose&normalize`

use axum::{body::Bytes, extract::State};
use serde_json::{Value as Json, json};

use super::{
    Answer, Ask, Shared,
    ask::{asked, object},
};
use crate::{Error, journal::Journal, state::Wanted};

pub(super) async fn with_all(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    Answer(check(&journal, &ask, None, &body))
}

pub(super) async fn with_one(State(journal): Shared, ask: Ask, body: Bytes) -> Answer {
    Answer(ask.version().and_then(|wanted| check(&journal, &ask, Some(wanted), &body)))
}

fn check(journal: &Journal, ask: &Ask, wanted: Option<Wanted>, body: &Bytes) -> Result<Json, Error> {
    let subject = ask.subject(journal);
    let asked = asked(&subject, &object(body)?)?;
    let messages = journal.read(|state| {
        let given = state.given(&subject, &asked, ask.is_on("normalize"))?;
        state.conflicts(&subject, &given, wanted)
    })?;
    let mut answer = json!({ "is_compatible": messages.is_empty() });
    if ask.is_on("verbose") {
        answer["messages"] = json!(messages);
    }
    Ok(answer)
}

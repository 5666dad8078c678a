//! A pipeline's state as it lies at the target, in `_dlt_pipeline_state`: dlt's own document, so that dlt can go on from it
//! and we from dlt's.
//!
//! dlt keeps an ObjectId as a text; what our cursors really are stands beside it under `tidemill`.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, NaiveDate};
use serde_json::{Map, Value as Json, json};
use sha3::{Digest, Sha3_256};

use super::{State, StateText, StreamState, TopicState};
use crate::{
    Error, StateRow,
    incremental::{CursorValue, scalar_value},
};

/// Of dlt 1.31.
const ENGINE_VERSION: u64 = 4;
/// dlt marks values that JSON has not by a first letter of the private use area.
const DECIMAL: char = '\u{f026}';
const DATETIME: char = '\u{f027}';
const DATE: char = '\u{f028}';

/// Whose state it is, and of when.
pub(crate) struct About<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) dataset: &'a str,
    pub(crate) schema_name: &'a str,
    pub(crate) load_id: &'a str,
    pub(crate) at_ms: i64,
}

/// The row of `_dlt_pipeline_state`.
pub(crate) fn state_row(about: &About<'_>, state: &State) -> StateRow {
    let mut body = Map::new();
    body.insert("_state_version".to_owned(), json!(state.version));
    body.insert("_state_engine_version".to_owned(), json!(ENGINE_VERSION));
    body.insert("schema_names".to_owned(), json!([about.schema_name]));
    body.insert("dataset_name".to_owned(), json!(about.dataset));
    body.insert("default_schema_name".to_owned(), json!(about.schema_name));
    body.insert("pipeline_name".to_owned(), json!(about.pipeline));
    body.insert("destination_type".to_owned(), json!("dlt.destinations.filesystem"));
    body.insert("destination_name".to_owned(), Json::Null);
    let of_source = match state.streams.is_empty() && state.topics.is_empty() {
        true => json!({}),
        false => json!({ "resources": resources(state) }),
    };
    body.insert("sources".to_owned(), json!({ about.schema_name: of_source }));
    body.insert("tidemill".to_owned(), json!(StateText::of(about.pipeline, state)));
    let hash = version_hash(&body);
    body.insert("_version_hash".to_owned(), json!(hash));
    StateRow {
        version: state.version,
        engine_version: ENGINE_VERSION,
        pipeline_name: about.pipeline.to_owned(),
        state: Json::Object(body).to_string(),
        created_at_us: about.at_ms.saturating_mul(1_000),
        version_hash: hash,
        load_id: about.load_id.to_owned(),
    }
}

fn resources(state: &State) -> Json {
    let mut resources = Map::new();
    for (name, stream) in &state.streams {
        let incremental = json!({ stream.field.as_str(): {
            "initial_value": dlt_value(stream.initial_value.as_ref()),
            "last_value": dlt_value(stream.last_value.as_ref()),
            "unique_hashes": stream.hashes,
            "start_value": dlt_value(stream.start_value.as_ref()),
        }});
        resources.insert(name.clone(), json!({ "incremental": incremental }));
    }
    // As dlt's source of Kafka has it: the last record that was read, and not the next one.
    for (name, TopicState { topic, offsets, .. }) in &state.topics {
        let last = |(partition, next): (&i32, &i64)| (partition.to_string(), json!(next - 1));
        let last: Map<String, Json> = offsets.iter().filter(|(_, next)| **next > 0).map(last).collect();
        resources.insert(name.clone(), json!({ "offsets": { topic.as_str(): last } }));
    }
    Json::Object(resources)
}

fn dlt_value(value: Option<&CursorValue>) -> Json {
    match value {
        None => Json::Null,
        Some(CursorValue::Int(number)) => json!(number),
        Some(CursorValue::Float(number)) => json!(number),
        Some(CursorValue::Text(text) | CursorValue::Tagged { text, .. }) => json!(text),
        Some(CursorValue::Timestamp { us, .. }) => {
            json!(format!("{DATETIME}{}", crate::incremental::iso(*us)))
        }
        Some(date @ CursorValue::Date { .. }) => json!(format!("{DATE}{date}")),
        Some(decimal @ CursorValue::Decimal { .. }) => json!(format!("{DECIMAL}{decimal}")),
    }
}

fn of_dlt(value: &Json) -> Option<CursorValue> {
    match value {
        Json::Number(number) => {
            number.as_i64().map(CursorValue::Int).or_else(|| number.as_f64().map(CursorValue::Float))
        }
        Json::String(text) => Some(match text.chars().next() {
            Some(DATETIME) => {
                let time = DateTime::parse_from_rfc3339(&text[DATETIME.len_utf8()..]).ok();
                time.map_or_else(
                    || scalar_value(&text[DATETIME.len_utf8()..]),
                    |time| CursorValue::timestamp(time.timestamp_micros()),
                )
            }
            Some(DATE) => {
                let date = NaiveDate::parse_from_str(&text[DATE.len_utf8()..], "%Y-%m-%d").ok()?;
                CursorValue::date(date.to_epoch_days())
            }
            Some(DECIMAL) => scalar_value(&text[DECIMAL.len_utf8()..]),
            _ => CursorValue::Text(text.clone()),
        }),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The state in a row of `_dlt_pipeline_state`, ours or dlt's.
pub(crate) fn state_of(row: &str, what: &str) -> Result<State, Error> {
    let refuse = |reason: String| Error::StateFormat { what: what.to_owned(), reason };
    let row = StateRow::parse(row).ok_or_else(|| refuse("it is no row of _dlt_pipeline_state".to_owned()))?;
    let body: Json = serde_json::from_str(&row.state).map_err(|error| refuse(error.to_string()))?;
    let mut state = State::default();
    if let Ok(ours) = serde_json::from_value::<StateText>(body["tidemill"].clone()) {
        state = State::try_from(ours)?;
    }
    state.version = body["_state_version"].as_u64().unwrap_or(state.version);
    state.last_load_id = Some(row.load_id);
    for (name, stream) in streams(&body) {
        // dlt may have gone on since: its last value wins, unless it is only another writing of ours.
        let is_ours = state.streams.get(&name).is_some_and(|ours| {
            ours.field == stream.field
                && dlt_value(ours.last_value.as_ref()) == dlt_value(stream.last_value.as_ref())
        });
        if !is_ours {
            state.streams.insert(name, stream);
        }
    }
    for (name, topic) in topics(&body) {
        // Of a partition that only begins dlt says nothing.
        let ours = state.topics.entry(name).or_default();
        if ours.topic == topic.topic {
            ours.offsets.extend(topic.offsets);
        } else {
            *ours = topic;
        }
    }
    Ok(state)
}

/// Of topics, by stream.
fn topics(body: &Json) -> Vec<(String, TopicState)> {
    let mut found = Vec::new();
    let sources = body["sources"].as_object().into_iter().flat_map(|sources| sources.values());
    for (name, resource) in sources.filter_map(|source| source["resources"].as_object()).flatten() {
        for (topic, partitions) in resource["offsets"].as_object().into_iter().flatten() {
            let next = |(partition, last): (&String, &Json)| {
                Some((partition.parse().ok()?, last.as_i64()?.saturating_add(1)))
            };
            let offsets = partitions.as_object().into_iter().flatten().filter_map(next).collect();
            found.push((name.clone(), TopicState { topic: topic.clone(), id: None, offsets }));
        }
    }
    found
}

fn streams(body: &Json) -> Vec<(String, StreamState)> {
    let mut streams = Vec::new();
    let sources = body["sources"].as_object().into_iter().flat_map(|sources| sources.values());
    for (name, resource) in sources.filter_map(|source| source["resources"].as_object()).flatten() {
        let Some((field, cursor)) = resource["incremental"].as_object().and_then(|all| all.iter().next())
        else {
            continue;
        };
        let hashes = cursor["unique_hashes"].as_array().into_iter().flatten();
        let stream = StreamState {
            field: field.clone(),
            initial_value: of_dlt(&cursor["initial_value"]),
            start_value: of_dlt(&cursor["start_value"]),
            last_value: of_dlt(&cursor["last_value"]),
            hashes: hashes.filter_map(|hash| hash.as_str().map(str::to_owned)).collect(),
        };
        streams.push((name.clone(), stream));
    }
    streams
}

/// SHA3-256 over the state with sorted keys, without what counts versions.
fn version_hash(body: &Map<String, Json>) -> String {
    let counted = ["_state_version", "_state_engine_version", "_version_hash"];
    let content: Map<String, Json> = body
        .iter()
        .filter(|(name, _)| !counted.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    STANDARD.encode(Sha3_256::digest(sorted(&Json::Object(content)).to_string()))
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            Json::Object(names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect())
        }
        Json::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

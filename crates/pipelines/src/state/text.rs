//! `state.json` as it lies on the disk, version 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{State, StreamState, TopicState};
use crate::{Error, incremental::CursorValue};

const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateText {
    version: u32,
    pipeline: String,
    state_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_load_id: Option<String>,
    streams: BTreeMap<String, StreamText>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    topics: BTreeMap<String, TopicText>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicText {
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    offsets: BTreeMap<i32, i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamText {
    field: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    initial_value: Option<CursorText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_value: Option<CursorText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_value: Option<CursorText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<String>,
}

/// A cursor's value with its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CursorText {
    Int(i64),
    Float(f64),
    Decimal {
        unscaled: String,
        scale: i32,
    },
    Text(String),
    /// Microseconds since 1970.
    TimestampUs(i64),
    /// Days since 1970.
    Date(i32),
    Tagged {
        tag: String,
        text: String,
    },
}

impl From<&CursorValue> for CursorText {
    fn from(value: &CursorValue) -> Self {
        match value {
            CursorValue::Int(number) => CursorText::Int(*number),
            CursorValue::Float(number) => CursorText::Float(*number),
            CursorValue::Decimal { unscaled, scale } => {
                CursorText::Decimal { unscaled: unscaled.to_string(), scale: *scale }
            }
            CursorValue::Text(text) => CursorText::Text(text.clone()),
            CursorValue::Timestamp { us, .. } => CursorText::TimestampUs(*us),
            CursorValue::Date { days, .. } => CursorText::Date(*days),
            CursorValue::Tagged { tag, text } => {
                CursorText::Tagged { tag: (*tag).to_owned(), text: text.clone() }
            }
        }
    }
}

impl From<&CursorText> for CursorValue {
    fn from(text: &CursorText) -> Self {
        match text {
            CursorText::Int(number) => CursorValue::Int(*number),
            CursorText::Float(number) => CursorValue::Float(*number),
            CursorText::Decimal { unscaled, scale } => {
                CursorValue::Decimal { unscaled: unscaled.parse().unwrap_or_default(), scale: *scale }
            }
            CursorText::Text(text) => CursorValue::Text(text.clone()),
            CursorText::TimestampUs(us) => CursorValue::timestamp(*us),
            CursorText::Date(days) => CursorValue::date(*days),
            CursorText::Tagged { tag, text } => CursorValue::tagged(tag, text.clone()),
        }
    }
}

impl StateText {
    pub(super) fn of(pipeline: &str, state: &State) -> Self {
        let text = |value: &Option<CursorValue>| value.as_ref().map(CursorText::from);
        let stream = |(name, stream): (&String, &StreamState)| {
            let text = StreamText {
                field: stream.field.clone(),
                initial_value: text(&stream.initial_value),
                start_value: text(&stream.start_value),
                last_value: text(&stream.last_value),
                hashes: stream.hashes.clone(),
            };
            (name.clone(), text)
        };
        let topic = |(name, topic): (&String, &TopicState)| {
            let TopicState { topic, id, offsets } = topic.clone();
            (name.clone(), TopicText { topic, id, offsets })
        };
        Self {
            version: VERSION,
            pipeline: pipeline.to_owned(),
            state_version: state.version,
            last_load_id: state.last_load_id.clone(),
            streams: state.streams.iter().map(stream).collect(),
            topics: state.topics.iter().map(topic).collect(),
        }
    }
}

impl TryFrom<StateText> for State {
    type Error = Error;

    fn try_from(text: StateText) -> Result<Self, Error> {
        if text.version != VERSION {
            let reason = format!("version {}; this program reads {VERSION}", text.version);
            return Err(Error::StateFormat { what: format!("the state of {}", text.pipeline), reason });
        }
        let value = |text: &Option<CursorText>| text.as_ref().map(CursorValue::from);
        let stream = |(name, text): (String, StreamText)| {
            let (initial_value, start_value) = (value(&text.initial_value), value(&text.start_value));
            let last_value = value(&text.last_value);
            (
                name,
                StreamState {
                    field: text.field,
                    initial_value,
                    start_value,
                    last_value,
                    hashes: text.hashes,
                },
            )
        };
        let topic = |(name, TopicText { topic, id, offsets })| (name, TopicState { topic, id, offsets });
        Ok(Self {
            version: text.state_version,
            last_load_id: text.last_load_id,
            streams: text.streams.into_iter().map(stream).collect(),
            topics: text.topics.into_iter().map(topic).collect(),
        })
    }
}

//! A letter as the record that it was: its place and number, what was received, and what a topic's record has besides.

use std::sync::Arc;

use arrow_array::BinaryViewArray;
use base::{Batch, Body, Envelope, Header, Headers, Lease, OWN_HEADERS, Place, Position, Value};
use base64::{Engine, engine::general_purpose::STANDARD};
use connectors::received;

use super::folder::Letter;

/// What the records that were loaded came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Files, generators, pages.
    Texts,
    Topic,
    /// A store, whose records have keys.
    Store,
}

/// A record that goes its way once more.
pub(super) struct Record {
    pub(super) place: Arc<Place>,
    pub(super) mark: i64,
    /// `None`: a topic's record without a value.
    pub(super) value: Option<Vec<u8>>,
    /// The same, where it was a typed one.
    row: Option<Value>,
    key: Option<Vec<u8>>,
    headers: Headers,
    timestamp_ms: Option<i64>,
}

impl Letter {
    /// The record; `None` where its place does not say which one it is, or it is nothing that can be read again. `number`: its own
    /// among the letters.
    pub(super) fn record(&self, kind: Kind, number: i64) -> Option<Record> {
        if kind == Kind::Store {
            return self.of_store(number);
        }
        let (place, mark, is_file) = self.place()?;
        let value = self.value().ok()?;
        if kind == Kind::Topic {
            return Some(self.of_topic(place, mark, value));
        }
        let value = value?;
        // What is taken apart by its columns is a text, whatever a stage had made of it.
        let types = if self.columns().is_some() { None } else { self.types() };
        let row = types.and_then(|types| received::retyped(&value, &types).ok());
        let name: Arc<str> = place.into();
        let place = if is_file { Place::File { path: name } } else { Place::Made { name } };
        Some(Record {
            place: Arc::new(place),
            mark,
            value: Some(value),
            row,
            key: None,
            headers: Headers::new(),
            timestamp_ms: None,
        })
    }

    fn of_topic(&self, place: &str, mark: i64, value: Option<Vec<u8>>) -> Record {
        let partition =
            place.rsplit_once('/').and_then(|(topic, number)| Some((topic, number.parse().ok()?)));
        let place = match partition {
            Some((topic, partition)) => Place::Topic { topic: topic.into(), partition },
            None => Place::Made { name: place.into() },
        };
        let timestamp_ms = self.timestamp_ms();
        let key = bytes_of(&self.fields, "key");
        Record { place: Arc::new(place), mark, value, row: None, key, headers: self.headers(), timestamp_ms }
    }

    /// By its key; its types are told.
    fn of_store(&self, number: i64) -> Option<Record> {
        let key = bytes_of(&self.fields, "key")?;
        let name = self.text("place").strip_suffix(&format!("/{}", String::from_utf8_lossy(&key)))?;
        let value = self.value().ok()??;
        let row = received::retyped(&value, &self.types()?).ok()?;
        Some(Record {
            place: Arc::new(Place::Collection { name: name.into() }),
            mark: number,
            value: Some(value),
            row: Some(row),
            key: Some(key),
            headers: Headers::new(),
            timestamp_ms: self.timestamp_ms(),
        })
    }

    fn timestamp_ms(&self) -> Option<i64> {
        self.fields.get("timestamp_ms").and_then(serde_json::Value::as_i64)
    }

    /// Those that were the record's own.
    fn headers(&self) -> Headers {
        let all = self.fields.get("headers").and_then(serde_json::Value::as_array);
        let header = |header: &serde_json::Value| {
            let fields = header.as_object()?;
            let name = fields.get("name")?.as_str()?;
            let value = bytes_of(fields, "value").map(bytes::Bytes::from);
            (!name.starts_with(OWN_HEADERS)).then(|| Header { name: name.into(), value })
        };
        all.into_iter().flatten().filter_map(header).collect()
    }
}

/// A text, or bytes in base64.
fn bytes_of(fields: &serde_json::Map<String, serde_json::Value>, name: &str) -> Option<Vec<u8>> {
    match fields.get(name) {
        Some(serde_json::Value::String(text)) => Some(text.as_bytes().to_vec()),
        Some(serde_json::Value::Null) | None => {
            STANDARD.decode(fields.get(&format!("{name}_base64"))?.as_str()?).ok()
        }
        Some(other) => Some(other.to_string().into_bytes()),
    }
}

impl Record {
    pub(super) fn bytes_count(&self) -> u64 {
        self.value.as_ref().map_or(0, |value| value.len() as u64)
    }

    /// Whether it can follow the other one in a batch: of one place and one form, with rising numbers.
    pub(super) fn follows(&self, last: &Record) -> bool {
        last.place == self.place && last.row.is_some() == self.row.is_some() && last.mark < self.mark
    }

    /// Records that follow each other; `None` of none.
    pub(super) fn batch(mut records: Vec<Record>, end: Position, lease: Arc<Lease>) -> Option<Batch> {
        let last = records.last()?;
        let place = last.place.clone();
        let is_topic = matches!(*place, Place::Topic { .. });
        let body = match last.row {
            Some(_) => {
                let rows: Vec<Value> = records.iter_mut().filter_map(|record| record.row.take()).collect();
                Body::Rows(rows.into())
            }
            None => {
                let values: BinaryViewArray = records.iter().map(|record| record.value.as_deref()).collect();
                Body::Raw(values)
            }
        };
        let marks = Some(records.iter().map(|record| record.mark).collect());
        let mut envelope = Envelope { marks, ..Envelope::default() };
        if records.iter().any(|record| record.key.is_some()) || is_topic {
            envelope.keys = Some(records.iter().map(|record| record.key.as_deref()).collect());
        }
        if is_topic || records.iter().any(|record| record.timestamp_ms.is_some()) {
            let times = records.iter().map(|record| record.timestamp_ms.unwrap_or(-1));
            envelope.timestamps_ms = Some(times.collect());
        }
        if is_topic && records.iter().any(|record| !record.headers.is_empty()) {
            let headers = records.iter_mut().map(|record| std::mem::take(&mut record.headers));
            envelope.headers = Some(headers.collect::<Vec<Headers>>().into());
        }
        Some(Batch { body, envelope, contract: None, place, end, lease })
    }
}

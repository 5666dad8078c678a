//! Records that are refused as they were received, whatever stage refuses them: what is sent again passes every stage once, as the
//! first time.
//!
//! A row that was typed when it came (of Avro, Parquet, a store) leaves as JSON, with a header that says which of its values JSON
//! has no word for; by it [`retyped`] makes the same row again. A record of CSV leaves with the columns of its file ([`Columns`]).

mod columns;

pub use columns::{COLUMNS, Columns, Find, WithColumns};

use std::sync::Arc;

use async_trait::async_trait;
use base::{
    Batch, Body, Extent, Fault, Header, Kind, Load, Position, Receipt, Reject, Rejects, Saved, Sink, Split,
    Value, Writer,
};
use bytes::Bytes;
use chrono::DateTime;
use contracts::{
    json_schema::base64,
    validate::{cast_text, write_json},
};
use engine::Stage;
use serde_json::{Map, Value as Json};

use crate::{
    mapping::natural_decimal,
    mongodb::{self, types::tag},
    record,
};

/// The header with the types of a row's values, by their places in it.
pub const TYPES: &str = "tidemill.types";

/// Stages as one.
pub struct Received(Vec<Arc<dyn Stage>>);

impl Received {
    pub fn new(stages: Vec<Arc<dyn Stage>>) -> Self {
        Self(stages)
    }
}

impl Stage for Received {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let (mut batches, mut rejects) = (vec![numbered(&batch)], Rejects::default());
        for stage in &self.0 {
            let mut made = Vec::with_capacity(batches.len());
            for batch in batches {
                let (more, refused) = stage.apply(batch)?;
                made.extend(more);
                rejects.append(refused);
            }
            batches = made;
        }
        for reject in &mut rejects.0 {
            self.as_received(&batch, reject);
        }
        if batch.envelope.marks.is_none() {
            batches.iter_mut().for_each(|made| unnumbered(&batch, made));
        }
        Ok((batches, rejects))
    }

    fn growth(&self) -> u64 {
        self.0.iter().map(|stage| stage.growth()).sum()
    }

    fn restore(&self, received: &Batch, row: usize, reject: &mut Reject) {
        match &received.body {
            Body::Raw(_) => reject.restore(received, row),
            Body::Rows(rows) => {
                reject.restore(received, row);
                tell(&rows[row], reject);
            }
            Body::Columns(_) => {}
        }
    }
}

impl Received {
    /// Puts the record as it came in the place of what had become of it.
    fn as_received(&self, batch: &Batch, reject: &mut Reject) {
        // A stage that knew the record by another place has that in its reason: `orders:17:9: `.
        let known_by = reject.origin.place.clone();
        if known_by != batch.place
            && let Some(mark) = reject.origin.mark
            && let Some((_, reason)) = reject
                .reason
                .strip_prefix(&format!("{known_by}:{mark}"))
                .and_then(|rest| rest.split_once(": "))
        {
            reject.reason = reason.to_owned();
        }
        if batch.envelope.marks.is_none() {
            reject.origin.came_as = reject.origin.mark.take().and_then(|row| u32::try_from(row).ok());
        }
        if let Some(row) = batch.row_of(&reject.origin) {
            self.restore(batch, row, reject);
        }
    }
}

/// Rows of a store have no marks: while they pass, their numbers are such, as stages keep those.
fn numbered(batch: &Batch) -> Batch {
    let mut given = batch.clone();
    if given.envelope.marks.is_none() {
        given.envelope.marks = Some((0..).take(given.len()).collect());
    }
    given
}

/// The numbers are no places to go on from.
fn unnumbered(batch: &Batch, made: &mut Batch) {
    made.end = batch.end.clone();
    let rows = made.envelope.marks.take();
    made.envelope.came_as =
        rows.map(|rows| rows.iter().map(|row| u32::try_from(*row).unwrap_or(u32::MAX)).collect());
}

/// Makes a row the refused record.
pub fn tell(row: &Value, reject: &mut Reject) {
    let (text, types) = told(row);
    reject.value = Some(text.into());
    let types = Bytes::from(Json::Object(types).to_string());
    reject.headers.retain(|header| &*header.name != TYPES);
    reject.headers.push(Header { name: TYPES.into(), value: Some(types) });
}

/// A sink that is told rows, whose refused ones would be lost: they leave as [`tell`] has them.
pub struct Told(pub Arc<dyn Sink>);

struct ToldWriter(Box<dyn Writer>);

#[async_trait]
impl Sink for Told {
    async fn begin(&self, load: &Load) -> Result<(), Fault> {
        self.0.begin(load).await
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(ToldWriter(self.0.writer(split).await?)))
    }

    async fn finish(&self, load: &Load) -> Result<(), Fault> {
        self.0.finish(load).await
    }
}

#[async_trait]
impl Writer for ToldWriter {
    async fn recover(&mut self, saved: &Saved) -> Result<Option<Position>, Fault> {
        self.0.recover(saved).await
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let mut rejects = self.0.write(batch).await?;
        if let Body::Rows(rows) = &batch.body {
            for reject in rejects.0.iter_mut().filter(|reject| reject.value.is_none()) {
                let is_it = |row: &usize| batch.origin(*row).to_string() == reject.origin.to_string();
                if let Some(row) = (0..rows.len()).find(is_it).filter(|row| !rows[*row].is_null()) {
                    tell(&rows[row], reject);
                }
            }
        }
        Ok(rejects)
    }

    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault> {
        self.0.commit(extent).await
    }
}

/// A row as JSON, and what that does not say of it.
pub fn told(row: &Value) -> (Vec<u8>, Map<String, Json>) {
    let (mut types, mut text) = (Map::new(), Vec::new());
    write_json(&worded(row, "", &mut types), &mut text);
    (text, types)
}

/// The value as JSON can have it; what it is goes into `types`.
fn worded(value: &Value, at: &str, types: &mut Map<String, Json>) -> Value {
    let mut is = |word: &str| {
        types.insert(at.to_owned(), Json::from(word));
    };
    let below = |step: &str| format!("{at}/{}", step.replace('~', "~0").replace('/', "~1"));
    if let Value::Tagged { tag, value } = value {
        let shown = worded(value, at, types);
        let word = types.get(at).and_then(Json::as_str).map_or_else(String::new, |word| format!(" {word}"));
        types.insert(at.to_owned(), Json::from(format!("{TAG}{tag}{word}")));
        return shown;
    }
    match value {
        Value::Date(days) => {
            is("date");
            time_text(value, "date").unwrap_or(Value::Int((*days).into()))
        }
        Value::TimestampMs(number) | Value::TimestampUs(number) => {
            let (word, shown) = moment(value, *number);
            is(word);
            shown
        }
        // Nothing that JSON has a word for, or that it would read as its neighbour.
        Value::Float(number) if !is_same_in_json(*number) => {
            is("float");
            Value::string(number.to_string())
        }
        Value::TimeMs(_) => {
            is("time");
            value.clone()
        }
        Value::Bytes(_) => {
            is("bytes");
            value.clone()
        }
        decimal @ Value::Decimal { .. } => {
            is("decimal");
            let mut digits = Vec::new();
            write_json(decimal, &mut digits);
            Value::string(String::from_utf8_lossy(&digits).as_ref())
        }
        Value::List(items) => Value::List(
            items
                .iter()
                .enumerate()
                .map(|(number, item)| worded(item, &below(&number.to_string()), types))
                .collect(),
        ),
        Value::Struct(fields) => Value::Struct(
            fields.iter().map(|(name, value)| (name.clone(), worded(value, &below(name), types))).collect(),
        ),
        Value::Map(entries) => {
            if !entries.iter().all(|(key, _)| matches!(key, Value::String(_))) {
                return value.clone();
            }
            is("map");
            let entry = |(key, value): &(Value, Value)| match key {
                Value::String(name) => Some((name.clone(), worded(value, &below(name), types))),
                _ => None,
            };
            Value::Struct(entries.iter().filter_map(entry).collect())
        }
        plain @ (Value::Null
        | Value::Boolean(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Tagged { .. }) => plain.clone(),
    }
}

/// A moment, and the word for how it is shown.
fn moment(value: &Value, number: i64) -> (&'static str, Value) {
    match (time_text(value, "timestamp"), value) {
        (Some(text), _) => ("timestamp", text),
        (None, Value::TimestampMs(_)) => ("timestamp_ms", Value::Int(number)),
        (None, _) => ("timestamp_us", Value::Int(number)),
    }
}

/// A date or a moment as a text; `None` where that has no year of four digits, and is not read again.
fn time_text(value: &Value, word: &str) -> Option<Value> {
    let text = record::time_text(value);
    as_word(&text, word).is_some().then_some(text)
}

fn is_same_in_json(number: f64) -> bool {
    let read = serde_json::to_vec(&number).ok().and_then(|text| serde_json::from_slice::<f64>(&text).ok());
    read.is_some_and(|read| read.to_bits() == number.to_bits())
}

/// The row again. A value that was edited into something else stays what it is.
///
/// # Errors
/// Why the text is no JSON.
pub fn retyped(text: &[u8], types: &Map<String, Json>) -> Result<Value, serde_json::Error> {
    let mut row = record::json_value(serde_json::from_slice(text)?);
    // What is within a map or below a tag has its place as long as there is none yet: from the depth upwards.
    let mut places: Vec<_> = types.iter().collect();
    places.sort_by_key(|(at, _)| std::cmp::Reverse(at.matches('/').count()));
    for (at, word) in places {
        if let (Some(value), Some(word)) = (at_place(&mut row, at), word.as_str())
            && let Some(typed) = as_word(value, word)
        {
            *value = typed;
        }
    }
    Ok(row)
}

fn at_place<'a>(row: &'a mut Value, place: &str) -> Option<&'a mut Value> {
    let mut value = row;
    for step in place.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        value = match value {
            Value::Struct(fields) => &mut fields.iter_mut().find(|(name, _)| **name == *step)?.1,
            Value::List(items) => items.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// How the word of a value begins that only one store has.
const TAG: &str = "tag:";

/// Tags of stores, besides those of MongoDB's binary values.
const TAGS: [&str; 21] = [
    tag::STRING,
    tag::UUID,
    tag::UNDEFINED,
    tag::OBJECT_ID,
    tag::REGEX,
    tag::DB_POINTER,
    tag::JAVASCRIPT,
    tag::JAVASCRIPT_WITH_SCOPE,
    tag::SYMBOL,
    tag::INT64,
    tag::TIMESTAMP,
    tag::DECIMAL128,
    tag::MIN_KEY,
    tag::MAX_KEY,
    "N",
    "NS",
    "SS",
    "BS",
    "reference",
    "geoPoint",
    "vector",
];

fn known_tag(word: &str) -> Option<&'static str> {
    let known = TAGS.into_iter().find(|known| *known == word);
    known.or_else(|| mongodb::types::binary_subtype(word).map(mongodb::types::binary_tag))
}

fn as_word(value: &Value, word: &str) -> Option<Value> {
    if let Some(tagged) = word.strip_prefix(TAG) {
        let (tag, word) = tagged.split_once(' ').unwrap_or((tagged, ""));
        let value = as_word(value, word).unwrap_or_else(|| value.clone());
        return known_tag(tag).map(|tag| Value::tagged(tag, value));
    }
    match (word, value) {
        ("date", Value::String(text)) => cast_text(&Kind::Date, text.as_bytes()),
        ("date", Value::Int(days)) => i32::try_from(*days).ok().map(Value::Date),
        ("timestamp_ms", Value::Int(ms)) => Some(Value::TimestampMs(*ms)),
        ("timestamp_us", Value::Int(us)) => Some(Value::TimestampUs(*us)),
        ("timestamp", Value::String(text)) => {
            let us = DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros();
            Some(if us % 1_000 == 0 { Value::TimestampMs(us / 1_000) } else { Value::TimestampUs(us) })
        }
        ("float", Value::String(text)) => text.parse().ok().map(Value::Float),
        ("time", Value::Int(ms)) => i32::try_from(*ms).ok().map(Value::TimeMs),
        ("bytes", Value::String(text)) => base64(text).map(|bytes| Value::Bytes(bytes.into())),
        ("decimal", Value::String(text)) => natural_decimal(text.as_bytes()),
        ("decimal", Value::Int(number)) => Some(Value::Decimal { unscaled: (*number).into(), scale: 0 }),
        ("decimal", Value::Float(number)) => natural_decimal(number.to_string().as_bytes()),
        ("map", Value::Struct(fields)) => Some(Value::Map(
            fields.iter().map(|(name, value)| (Value::String(name.clone()), value.clone())).collect(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

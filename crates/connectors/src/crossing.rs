//! Records of stores and topics on their way to another target: decoded, rid of what only one store knows, and with the keys that
//! they have or should have.
//!
//! Stages of `tidemill load`, where its source is no file. They know no store.

use std::{collections::HashMap, sync::Arc};

use arrow_array::Array;
use arrow_buffer::BooleanBuffer;
use base::{Batch, Body, ContractKind, Envelope, Fault, Place, Rejects, Value, code};
use bytes::Bytes;
use cloud::registry::{Failed, Registry};
use contracts::{
    Document, Referenced,
    protobuf::{Mapping, MessageReader},
};
use engine::Stage;
use parking_lot::Mutex;

use crate::{names::Names, rows};

/// How the values of a topic are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicForm {
    /// By the schema's id that they begin with; without one, as JSON.
    Told,
    Json,
    Text,
    Bytes,
}

/// Values of a topic as rows.
pub struct Decode {
    form: TopicForm,
    registry: Registry,
    readers: Mutex<HashMap<i32, Arc<SchemaReader>>>,
}

enum SchemaReader {
    Avro(contracts::avro::Decoder),
    Json,
    Protobuf(MessageReader),
}

impl SchemaReader {
    fn of(id: i32, schema: cloud::registry::Schema) -> Result<Self, String> {
        let path = format!("schema {id}");
        let kind = match schema.kind.as_str() {
            "AVRO" => ContractKind::Avro,
            "PROTOBUF" => ContractKind::Protobuf,
            "JSON" => return Ok(SchemaReader::Json),
            other => return Err(format!("schema {id} is {other}, which is not read here")),
        };
        let referenced = |(name, text)| Referenced { name, text };
        let references: Vec<Referenced> = schema.references.into_iter().map(referenced).collect();
        let document = Document::parse_with(kind, &path, &schema.text, &references);
        let reader = document.and_then(|document| match document {
            Document::Avro(avro) => contracts::avro::Decoder::of(&path, &avro).map(SchemaReader::Avro),
            Document::Protobuf(file) => file.reader(Mapping::PLAIN).map(SchemaReader::Protobuf),
            Document::JsonSchema(_) => Ok(SchemaReader::Json),
        });
        reader.map_err(|error| error.to_string())
    }
}

/// Framed values begin with a zero and four bytes of the schema's id.
const FRAME_BYTES: usize = 5;

impl Decode {
    pub fn new(form: TopicForm, registry: Registry) -> Self {
        Self { form, registry, readers: Mutex::default() }
    }

    fn value(&self, bytes: &[u8], names: &Names) -> Result<Result<Value, String>, Fault> {
        let wrapped = |value: Value| Value::Struct(vec![("value".into(), value)]);
        let json = |bytes: &[u8]| match rows::json_value(bytes, names) {
            Ok(row @ Value::Struct(_)) => Ok(row),
            Ok(other) => Ok(wrapped(other)),
            Err(error) => Err(format!("not JSON: {error}")),
        };
        Ok(match self.form {
            TopicForm::Json => json(bytes),
            TopicForm::Text => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(wrapped(Value::string(text))),
                Err(_) => Err("the value is not UTF-8".to_owned()),
            },
            TopicForm::Bytes => Ok(wrapped(Value::Bytes(Bytes::copy_from_slice(bytes)))),
            TopicForm::Told if bytes.first() == Some(&0) && bytes.len() >= FRAME_BYTES => {
                let id = i32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
                match self.reader(id)? {
                    Ok(reader) => match &*reader {
                        SchemaReader::Avro(decoder) => {
                            decoder.decode(&bytes[FRAME_BYTES..]).map_err(|error| error.to_string())
                        }
                        SchemaReader::Json => json(&bytes[FRAME_BYTES..]),
                        SchemaReader::Protobuf(reader) => {
                            let read = reader.read(&bytes[FRAME_BYTES..]);
                            read.map(|(_, row)| row).map_err(|error| error.to_string())
                        }
                    },
                    Err(reason) => Err(reason),
                }
            }
            TopicForm::Told => json(bytes),
        })
    }

    fn reader(&self, id: i32) -> Result<Result<Arc<SchemaReader>, String>, Fault> {
        if let Some(reader) = self.readers.lock().get(&id) {
            return Ok(Ok(reader.clone()));
        }
        // Stages run on threads that may block.
        let reader = match tokio::runtime::Handle::current().block_on(self.registry.schema(id)) {
            Ok(schema) => SchemaReader::of(id, schema),
            Err(Failed::Refused { status: 404, message, .. }) => {
                Err(format!("the registry has not all of schema {id}: {message}"))
            }
            Err(failed) => return Err(Fault::Fatal(Box::new(failed))),
        };
        let reader = match reader {
            Ok(reader) => reader,
            Err(reason) => return Ok(Err(reason)),
        };
        let reader = Arc::new(reader);
        self.readers.lock().insert(id, reader.clone());
        Ok(Ok(reader))
    }
}

impl Stage for Decode {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let Body::Raw(records) = &batch.body else { return Ok((vec![batch], Rejects::default())) };
        let names = Names::default();
        let (mut rows, mut kept, mut rejects) = (Vec::new(), Vec::new(), Rejects::default());
        for row in 0..records.len() {
            if records.is_null(row) {
                rows.push(Value::Null);
                kept.push(row);
                continue;
            }
            match self.value(records.value(row), &names)? {
                Ok(value) => {
                    rows.push(value);
                    kept.push(row);
                }
                Err(reason) => {
                    rejects.0.push(formats::reject(&batch, row, code::TM1455, "VALUE_CONVERTER", reason));
                }
            }
        }
        let envelope = of_rows(&batch, &kept);
        let tombstones: BooleanBuffer = kept.iter().map(|row| records.is_null(*row)).collect();
        let tombstones = (tombstones.count_set_bits() > 0).then_some(tombstones);
        let envelope = Envelope { tombstones, headers: None, timestamps_ms: None, ..envelope };
        Ok((vec![Batch { body: Body::Rows(rows.into()), envelope, ..batch }], rejects))
    }

    fn growth(&self) -> u64 {
        8
    }
}

/// The envelope of some rows of a batch.
fn of_rows(batch: &Batch, kept: &[usize]) -> Envelope {
    let envelope = &batch.envelope;
    let keys = envelope
        .keys
        .as_ref()
        .map(|keys| kept.iter().map(|row| keys.is_valid(*row).then(|| keys.value(*row))).collect());
    let rows = |times: &arrow_buffer::ScalarBuffer<i64>| kept.iter().map(|row| times[*row]).collect();
    let headers = envelope
        .headers
        .as_ref()
        .map(|headers| kept.iter().map(|row| headers[*row].clone()).collect::<Vec<_>>().into());
    let tombstones =
        envelope.tombstones.as_ref().map(|bits| kept.iter().map(|row| bits.value(*row)).collect());
    Envelope {
        keys,
        partitions: envelope.partitions.as_ref().map(|all| kept.iter().map(|row| all[*row]).collect()),
        headers,
        timestamps_ms: envelope.timestamps_ms.as_ref().map(rows),
        tombstones,
        marks: envelope.marks.as_ref().map(rows),
        came_as: envelope.came_as.as_ref().map(|all| kept.iter().map(|row| all[*row]).collect()),
    }
}

/// Rows under one name, without what only one store knows of them: which is what the stages of files take.
pub struct Plain(pub Arc<str>);

impl Stage for Plain {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let place = Arc::new(Place::Made { name: self.0.clone() });
        let rows = match &batch.body {
            Body::Rows(rows) => rows.iter().map(plain).collect::<Vec<_>>(),
            Body::Columns(columns) => formats::values(columns).map_err(|error| Fault::Fatal(error.into()))?,
            Body::Raw(_) => return Ok((vec![Batch { place, ..batch }], Rejects::default())),
        };
        Ok((vec![Batch { body: Body::Rows(rows.into()), place, ..batch }], Rejects::default()))
    }

    fn growth(&self) -> u64 {
        2
    }
}

/// A value seen through its tags, at any depth.
fn plain(value: &Value) -> Value {
    match value.plain() {
        Value::Struct(fields) => {
            Value::Struct(fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        Value::List(items) => Value::List(items.iter().map(plain).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (plain(key), plain(value))).collect())
        }
        value => value.clone(),
    }
}

/// Another stage whose records keep the keys that they came with, unless it gives them others.
pub struct Keyed(pub Arc<dyn Stage>);

impl Stage for Keyed {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        // A record without a value deletes: it passes as it is, between the others.
        let (mut batches, mut rejects, mut start) = (Vec::new(), Rejects::default(), 0);
        let is_null = |row: usize| {
            batch.envelope.is_tombstone(row)
                || match &batch.body {
                    Body::Raw(values) => values.is_null(row),
                    Body::Rows(rows) => rows[row].is_null(),
                    Body::Columns(_) => false,
                }
        };
        for row in 0..=batch.len() {
            if row < batch.len() && !is_null(row) {
                continue;
            }
            if start < row {
                let (more, refused) = self.valued(batch.slice(start..row))?;
                batches.extend(more);
                rejects.append(refused);
            }
            if row < batch.len() {
                let nothing = std::iter::once(None::<&[u8]>).collect();
                batches.push(batch.slice(row..row + 1).with_body(Body::Raw(nothing)));
            }
            start = row + 1;
        }
        Ok((batches, rejects))
    }

    fn growth(&self) -> u64 {
        self.0.growth()
    }
}

impl Keyed {
    fn valued(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let (mut batches, rejects) = self.0.apply(batch.clone())?;
        let is_kept = |row: &usize| {
            let mark = batch.envelope.mark(*row);
            !rejects.0.iter().any(|reject| reject.origin.mark == mark && mark.is_some())
        };
        let kept: Vec<usize> = (0..batch.len()).filter(is_kept).collect();
        if let [one] = &mut batches[..]
            && one.envelope.keys.is_none()
            && one.len() == kept.len()
        {
            let envelope = of_rows(&batch, &kept);
            one.envelope = Envelope { tombstones: None, ..envelope };
        }
        Ok((batches, rejects))
    }
}

/// Rows of one store for another: keyed by `--key` where that is given, and stamped.
pub struct Rekeyed {
    pub keys: Vec<String>,
    pub stamp: Option<(Arc<str>, Value)>,
}

impl Stage for Rekeyed {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        if self.keys.is_empty() && self.stamp.is_none() {
            return Ok((vec![batch], Rejects::default()));
        }
        let mut rows = match &batch.body {
            Body::Rows(rows) => rows.to_vec(),
            Body::Columns(columns) => formats::values(columns).map_err(|error| Fault::Fatal(error.into()))?,
            Body::Raw(_) => return Err(Fault::Fatal("rows are made of rows".into())),
        };
        if let Some((name, stamp)) = &self.stamp {
            for row in &mut rows {
                if let Value::Struct(fields) = row {
                    fields.retain(|(field, _)| field != name);
                    fields.push((name.clone(), stamp.clone()));
                }
            }
        }
        if self.keys.is_empty() {
            return Ok((vec![batch.with_body(Body::Rows(rows.into()))], Rejects::default()));
        }
        let (mut kept, mut keys, mut left, mut rejects) =
            (Vec::new(), Vec::new(), Vec::new(), Rejects::default());
        for (row, value) in rows.into_iter().enumerate() {
            let key = match batch.envelope.is_tombstone(row) {
                true => Ok(batch.envelope.key(row).map(<[u8]>::to_vec)),
                false => key_of(&value, &self.keys).map(Some),
            };
            match key {
                Ok(key) => {
                    kept.push(row);
                    keys.push(key);
                    left.push(value);
                }
                Err(name) => {
                    let reason = format!("{name}, the key, has no value");
                    rejects.0.push(formats::reject(&batch, row, code::TM0774, "VALUE_CONVERTER", reason));
                }
            }
        }
        let envelope = of_rows(&batch, &kept);
        let envelope = Envelope { keys: Some(keys.into_iter().collect()), ..envelope };
        Ok((vec![Batch { body: Body::Rows(left.into()), envelope, ..batch }], rejects))
    }
}

/// The text of one field; of several, a JSON array of theirs.
fn key_of(row: &Value, names: &[String]) -> Result<Vec<u8>, String> {
    let text = |name: &String| -> Result<String, String> {
        match row.get(name).map(Value::plain) {
            None | Some(Value::Null) => Err(name.clone()),
            Some(Value::String(text)) => Ok(text.to_string()),
            Some(other) => {
                let mut out = Vec::new();
                contracts::validate::write_json(other, &mut out);
                Ok(String::from_utf8_lossy(&out).into_owned())
            }
        }
    };
    match names {
        [one] => text(one).map(String::into_bytes),
        several => {
            let texts = several.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            Ok(serde_json::Value::from(texts).to_string().into_bytes())
        }
    }
}

#[cfg(test)]
mod tests;

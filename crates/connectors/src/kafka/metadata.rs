//! Records of a topic as the rows of a table: what their values are, and, where it is wanted, what the topic says besides.
//!
//! `_kafka` has the names that dlt's source of Kafka gives: `partition`, `topic`, `key`, `offset`, `ts.value`; and `headers`, by name.

use std::sync::Arc;

use base::{Batch, Body, Envelope, Fault, Headers, Place, Rejects, Value};
use base64::{Engine, engine::general_purpose::STANDARD};
use engine::Stage;

/// The field with what the topic says of a record.
const METADATA: &str = "_kafka";

/// The stage around the one that reads values.
pub struct TopicRows {
    pub values: Arc<dyn Stage>,
    pub has_metadata: bool,
    /// A record without a value, which deletes, is a row of metadata alone; else it is none.
    pub keeps_deletes: bool,
}

impl Stage for TopicRows {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let received = batch.clone();
        let (batches, rejects) = self.values.apply(batch)?;
        let batches: Result<Vec<Batch>, Fault> =
            batches.into_iter().map(|batch| self.rows(&received, batch)).collect();
        Ok((batches?, rejects))
    }

    fn growth(&self) -> u64 {
        self.values.growth() + if self.has_metadata { 4 } else { 0 }
    }
}

impl TopicRows {
    fn rows(&self, received: &Batch, batch: Batch) -> Result<Batch, Fault> {
        let Body::Rows(values) = &batch.body else {
            return Err(Fault::Fatal("values of a topic are rows".into()));
        };
        let (mut rows, mut marks) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
        for (row, value) in values.iter().enumerate() {
            let is_delete = batch.envelope.is_tombstone(row) || value.is_null();
            if is_delete && !self.keeps_deletes {
                continue;
            }
            let mark = batch.envelope.mark(row).unwrap_or(0);
            let mut fields = match value {
                Value::Struct(fields) => fields.clone(),
                _ => Vec::new(),
            };
            if self.has_metadata {
                let marks = received.envelope.marks.as_deref().unwrap_or(&[]);
                let metadata = marks.binary_search(&mark).ok().map(|row| metadata(received, row));
                fields.retain(|(name, _)| &**name != METADATA);
                fields.extend(metadata.map(|metadata| (METADATA.into(), metadata)));
            }
            rows.push(Value::Struct(fields));
            marks.push(mark);
        }
        let envelope = Envelope { marks: Some(marks.into()), ..Envelope::default() };
        Ok(Batch { body: Body::Rows(rows.into()), envelope, ..batch })
    }
}

fn metadata(received: &Batch, row: usize) -> Value {
    let mut fields: Vec<(Arc<str>, Value)> = Vec::with_capacity(6);
    if let Place::Topic { topic, partition } = &*received.place {
        fields.push(("partition".into(), Value::Int((*partition).into())));
        fields.push(("topic".into(), Value::string(&**topic)));
    }
    let envelope = &received.envelope;
    fields.push(("key".into(), envelope.key(row).map_or(Value::Null, text)));
    fields.push(("offset".into(), envelope.mark(row).map_or(Value::Null, Value::Int)));
    // A broker that keeps no times says -1.
    if let Some(ms) = envelope.timestamp_ms(row).filter(|ms| *ms >= 0) {
        fields.push(("ts".into(), Value::Struct(vec![("value".into(), Value::TimestampMs(ms))])));
    }
    if let Some(headers) =
        envelope.headers.as_ref().map(|headers| &headers[row]).filter(|all| !all.is_empty())
    {
        fields.push(("headers".into(), by_name(headers)));
    }
    Value::Struct(fields)
}

/// The last one of each name, as Kafka's `lastHeader`.
fn by_name(headers: &Headers) -> Value {
    let mut fields: Vec<(Arc<str>, Value)> = Vec::with_capacity(headers.len());
    for header in headers {
        fields.retain(|(name, _)| *name != header.name);
        fields.push((header.name.clone(), header.value.as_deref().map_or(Value::Null, text)));
    }
    Value::Struct(fields)
}

/// Bytes as text; in base64 where they are no UTF-8.
fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| Value::string(STANDARD.encode(bytes)), Value::string)
}

//! One split's reader: a query whose answer streams, begun again behind the last document where it breaks off.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Ask, Backoff, Batch, Body, Envelope, Fault, Place, Position, Read, Reader, Shared, Value};
use futures::{FutureExt, future::BoxFuture};
use googleapis_tonic_google_firestore_v1::google::firestore::v1::{self as pb, value::ValueType};
use prost::Message;
use tokio::time::timeout;
use tonic::Streaming;

use super::{
    Error,
    client::Client,
    errors::is_passing,
    source::Plan,
    split::Part,
    types::{self, Fields, Names},
};
use crate::{CursorRange, column::Column};

/// Streams that end without a document before the lane hears of it.
const TRIES_COUNT_MAX: u32 = 5;
const WAIT_FIRST_MS: u64 = 100;
const WAIT_MS_MAX: u64 = 5_000;

pub(super) struct DocumentReader {
    client: Client,
    query: pb::StructuredQuery,
    parent: String,
    root: String,
    part: Part,
    plan: Arc<Plan>,
    place: Arc<Place>,
    stream: Stream,
    after: Option<pb::Cursor>,
    names: Names,
    backoff: Backoff,
}

/// A query's answer. What opens goes on opening between two calls: a deadline must not begin it anew.
enum Stream {
    Closed,
    Opening(BoxFuture<'static, Result<Streaming<pb::RunQueryResponse>, Fault>>),
    Open(Box<Streaming<pb::RunQueryResponse>>),
    Ended,
}

#[derive(Default)]
struct Rows {
    values: Vec<Value>,
    keys: Column,
    times_ms: Vec<i64>,
    bytes: usize,
}

/// What one step of a stream brought.
enum Step {
    Document(Box<pb::Document>),
    Nothing,
    End,
}

impl DocumentReader {
    /// Reads `query` to its end, from behind the place of `after` on.
    pub(super) fn new(
        client: Client,
        plan: Arc<Plan>,
        part: Part,
        place: Arc<Place>,
        query: pb::StructuredQuery,
        after: Option<pb::Cursor>,
    ) -> Self {
        let root = client.root();
        Self {
            parent: part.parent(&root),
            root,
            client,
            query,
            part,
            plan,
            place,
            stream: Stream::Closed,
            after,
            names: Names::default(),
            backoff: Backoff::new(WAIT_FIRST_MS, WAIT_MS_MAX, TRIES_COUNT_MAX, u64::from(std::process::id())),
        }
    }

    /// Opens the stream, or waits for its next message.
    async fn step(&mut self) -> Result<Step, Fault> {
        match &mut self.stream {
            Stream::Closed => {
                let query = pb::StructuredQuery { start_at: self.after.clone(), ..self.query.clone() };
                let (client, parent, collection) =
                    (self.client.clone(), self.parent.clone(), self.part.collection.clone());
                let opening = async move { client.run_query(parent, query, &collection).await };
                self.stream = Stream::Opening(opening.boxed());
                Ok(Step::Nothing)
            }
            Stream::Opening(opening) => match opening.await {
                Ok(stream) => {
                    self.stream = Stream::Open(Box::new(stream));
                    Ok(Step::Nothing)
                }
                Err(fault) => {
                    self.stream = Stream::Closed;
                    Err(fault)
                }
            },
            Stream::Open(stream) => match stream.message().await {
                Ok(Some(answer)) => {
                    Ok(answer.document.map_or(Step::Nothing, |document| Step::Document(document.into())))
                }
                Ok(None) => {
                    self.stream = Stream::Ended;
                    Ok(Step::End)
                }
                Err(status) => {
                    self.stream = Stream::Closed;
                    let error = self.client.error(&status, &self.part.collection);
                    if is_passing(status.code()) {
                        Err(Fault::Transient(error.into()))
                    } else {
                        Err(error.into())
                    }
                }
            },
            Stream::Ended => Ok(Step::End),
        }
    }

    fn take(&mut self, document: pb::Document, rows: &mut Rows) -> Result<(), Fault> {
        let pb::Document { name, fields, update_time, .. } = document;
        self.after = Some(self.cursor_behind(&name, &fields));
        if self.plan.range.as_ref().is_some_and(|range| !is_within(range, &fields)) {
            return Ok(());
        }
        let key = self.part.key(&self.root, &name);
        rows.bytes += key.len() + 16;
        let strange = |kind| Error::Query {
            collection: self.part.collection.clone(),
            source: format!("{name} holds {kind}, which no document can").into(),
        };
        let mut row = types::row(fields, &mut self.names, &mut rows.bytes).map_err(strange)?;
        if let (Value::Struct(fields), wanted) = (&mut row, &self.plan.fields)
            && !wanted.is_empty()
        {
            fields.retain(|(name, _)| wanted.iter().any(|field| **field == **name));
        }
        rows.keys.push(Some(key.as_bytes()));
        rows.times_ms
            .push(update_time.map_or(0, |time| time.seconds * 1_000 + i64::from(time.nanos / 1_000_000)));
        rows.values.push(row);
        Ok(())
    }

    fn cursor_behind(&self, name: &str, fields: &Fields) -> pb::Cursor {
        let ordered_by = self.plan.condition.ordered_by.iter();
        let mut values: Vec<pb::Value> =
            ordered_by.map(|field| field_of(fields, field).cloned().unwrap_or_default()).collect();
        values.push(types::of(ValueType::ReferenceValue(name.to_owned())));
        pb::Cursor { values, before: false }
    }

    fn batch(&self, rows: Rows, ask: &Ask) -> Result<Batch, Fault> {
        let after = self.after.as_ref().map(|cursor| cursor.encode_to_vec()).unwrap_or_default();
        let envelope = Envelope {
            keys: Some(rows.keys.finish().map_err(Fault::Fatal)?),
            timestamps_ms: Some(rows.times_ms.into()),
            ..Envelope::default()
        };
        Ok(Batch {
            body: Body::Rows(Shared::from(rows.values)),
            envelope,
            contract: None,
            place: self.place.clone(),
            end: Position::Token(after.into()),
            lease: ask.lease.clone(),
        })
    }
}

#[async_trait]
impl Reader for DocumentReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        let mut rows = Rows::default();
        let mut has_ended = false;
        while rows.values.len() < ask.records_max && (rows.bytes as u64) < ask.bytes_max {
            match timeout(ask.remaining(), self.step()).await {
                Ok(Ok(Step::Document(document))) => {
                    self.backoff.reset();
                    self.take(*document, &mut rows)?;
                }
                Ok(Ok(Step::Nothing)) => {}
                Ok(Ok(Step::End)) => {
                    has_ended = true;
                    break;
                }
                Ok(Err(Fault::Transient(error))) => match self.backoff.next() {
                    Some(wait) => {
                        tracing::debug!(%error, "the stream is begun again");
                        tokio::time::sleep(wait.min(ask.remaining())).await;
                    }
                    None => return Err(Fault::Transient(error)),
                },
                Ok(Err(fault)) => return Err(fault),
                Err(_) => break,
            }
        }
        match (rows.values.is_empty(), has_ended) {
            (false, _) => Ok(Read::Batch(self.batch(rows, ask)?)),
            (true, true) => Ok(Read::End),
            (true, false) => Ok(Read::Idle),
        }
    }
}

/// A field by its path with dots.
pub(super) fn field_of<'a>(fields: &'a Fields, dotted: &str) -> Option<&'a pb::Value> {
    if let Some(value) = fields.get(dotted) {
        return Some(value);
    }
    let (head, rest) = dotted.split_once('.')?;
    match &fields.get(head)?.value_type {
        Some(ValueType::MapValue(map)) => field_of(&map.fields, rest),
        _ => None,
    }
}

/// A range held here: what has no value is within it, and so is what it cannot be compared with.
fn is_within(range: &CursorRange, fields: &Fields) -> bool {
    let Some(value) = field_of(fields, &range.field) else { return true };
    let Ok(value) = types::read(value.clone(), &mut Names::default(), &mut 0) else { return true };
    let compared = |bound: &Option<Value>| bound.as_ref().and_then(|bound| compare(&value, bound));
    let is_from = match compared(&range.from) {
        Some(order) => order.is_gt() || order.is_eq() && range.is_from_included,
        None => true,
    };
    is_from && compared(&range.to).is_none_or(|order| order.is_lt())
}

fn compare(one: &Value, other: &Value) -> Option<std::cmp::Ordering> {
    let micros = |value: &Value| match value {
        Value::TimestampUs(us) => Some(*us),
        Value::TimestampMs(ms) => Some(ms.saturating_mul(1_000)),
        Value::Date(days) => Some(i64::from(*days) * 86_400_000_000),
        _ => None,
    };
    match (one.plain(), other.plain()) {
        (Value::Int(one), Value::Int(other)) => Some(one.cmp(other)),
        (Value::Float(one), Value::Float(other)) => one.partial_cmp(other),
        (Value::Int(one), Value::Float(other)) => (*one as f64).partial_cmp(other),
        (Value::Float(one), Value::Int(other)) => one.partial_cmp(&(*other as f64)),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (one, other) => Some(micros(one)?.cmp(&micros(other)?)),
    }
}

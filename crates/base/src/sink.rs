//! Where records go: batches are written, an extent is committed, and the same start again replaces what was there.

use std::{fmt, sync::Arc};

use arrow_array::Array;
use async_trait::async_trait;
use bytes::Bytes;

use crate::{Batch, Body, Code, Fault, Headers, Origin, Place, Position, Split};

/// One run of a transfer, as a sink sees it.
#[derive(Debug, Clone)]
pub struct Load {
    /// The same between the lives of one run, another for the next run.
    pub id: Arc<str>,
    /// The connector's or pipeline's name.
    pub transfer: Arc<str>,
}

/// The records of one split that are committed as one, from `start` up to but without `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    pub split: Split,
    pub start: Position,
    pub end: Position,
    pub records_count: u64,
    pub bytes: u64,
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// What the last checkpoint says of a split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    pub position: Position,
    pub receipt: Receipt,
}

/// What a sink wants kept with the checkpoint; opaque to the engine, small (it goes into Kafka's commit metadata).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt(pub Bytes);

/// Rows that the store, a converter or a contract will never take, each with why.
#[derive(Debug, Clone, Default)]
pub struct Rejects(pub Vec<Reject>);

#[derive(Debug, Clone)]
pub struct Reject {
    pub origin: Origin,
    pub code: Code,
    /// What is wrong with the record, without its place: `flight: expected integer, found "N14228"`.
    pub reason: String,
    /// Which stage refused it, in Connect's words: `KEY_CONVERTER`, `VALUE_CONVERTER`, `TASK_PUT`.
    pub stage: &'static str,
    pub key: Option<Bytes>,
    /// As received, where it still was raw.
    pub value: Option<Bytes>,
    pub headers: Headers,
    pub timestamp_ms: Option<i64>,
}

impl Reject {
    /// Puts the record as it came in the place of what stages had made of it: row `row` of what they were given. A record of a topic
    /// has its own key, headers and time again, one of a collection its key and time; one of a file had none.
    pub fn restore(&mut self, received: &Batch, row: usize) {
        if let Body::Raw(values) = &received.body {
            self.value = values.is_valid(row).then(|| Bytes::copy_from_slice(values.value(row)));
        }
        self.origin = received.origin(row);
        match &*received.place {
            Place::Topic { .. } | Place::Collection { .. } => {}
            Place::File { .. } | Place::Made { .. } => return,
        }
        self.key = received.envelope.key(row).map(Bytes::copy_from_slice);
        self.timestamp_ms = received.envelope.timestamp_ms(row);
        let headers = received.envelope.headers.as_ref().map(|headers| headers[row].clone());
        let told = std::mem::replace(&mut self.headers, headers.unwrap_or_default());
        // What a stage tells of the record is no part of it, and stays.
        let more = told.into_iter().filter(|header| header.name.starts_with(OWN_HEADERS));
        let more: Headers = more.filter(|header| !self.headers.contains(header)).collect();
        self.headers.extend(more);
    }
}

/// How the headers begin that tell of a dead letter, and were none of the record's.
pub const OWN_HEADERS: &str = "tidemill.";

impl Rejects {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn append(&mut self, mut more: Rejects) {
        self.0.append(&mut more.0);
    }
}

#[async_trait]
pub trait Sink: Send + Sync {
    /// Before any writer, and again after a crash: create, migrate, or stage for disposition `replace`.
    async fn begin(&self, load: &Load) -> Result<(), Fault>;
    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault>;
    /// After the last commit of a bounded transfer: swap in what was staged. May be repeated.
    async fn finish(&self, load: &Load) -> Result<(), Fault>;
}

#[async_trait]
pub trait Writer: Send {
    /// First call. Undo what an earlier life left after `saved`; say how far the store itself holds this
    /// split, if it keeps that (a row in the same transaction). The store's word wins over ours.
    async fn recover(&mut self, saved: &Saved) -> Result<Option<Position>, Fault>;
    /// `Rejects`: rows the store will never take, each with why. The same rows may be offered again.
    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault>;
    /// All since the last commit becomes durable and visible; the receipt is kept with the checkpoint.
    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault>;
}

//! Reads one split: a task receives replies of the server, one ahead of those that are turned into values.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Ask, Backoff, Batch, Body, Envelope, Fault, Place, Position, Read, Reader, Value};
use futures::StreamExt;
use mongodb::{
    bson::{Bson, Document, RawDocument, doc},
    options::Hint,
    raw_batch_cursor::{RawBatch, RawBatchCursor},
};
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    Error,
    decode::{Decoder, Input, Malformed, find},
    errors::{self, Sorted, fatal},
    plan,
    query::Range,
    source::Inner,
    types::{self, kind},
};
use crate::column::Column;

/// Bytes of documents in one reply. Larger ones save nothing on the way, and three of them are held for each split.
const REPLY_BYTES: i64 = 256 << 10;
const REPLY_RECORDS_MAX: i64 = 20_000;
/// Replies that wait to be turned into values.
const AHEAD: usize = 1;
/// How a cursor that was lost is opened again.
const RETRY_MS: u64 = 50;
const RETRY_MS_MAX: u64 = 2_000;
const RETRIES_MAX: u32 = 6;

pub(super) struct CollectionReader {
    inner: Arc<Inner>,
    place: Arc<Place>,
    replies: mpsc::Receiver<Reply>,
    /// The task is the reader's, and ends with it.
    task: AbortHandle,
    current: Option<Chunk>,
}

enum Reply {
    Documents(Chunk),
    End,
    Fault(Fault),
}

/// A reply of the server, of which the first bytes have been read.
struct Chunk {
    reply: RawBatch,
    /// Within the array of documents.
    at: usize,
}

impl CollectionReader {
    pub(super) fn start(inner: Arc<Inner>, place: Arc<Place>, range: Range, after: Option<Bson>) -> Self {
        let (sender, replies) = mpsc::channel(AHEAD);
        let is_by_index = inner.query.is_everything() && inner.has_index();
        let fetch = Fetch { inner: inner.clone(), range, after, is_by_index, backoff: backoff() };
        let task = tokio::spawn(fetch.run(sender)).abort_handle();
        Self { inner, place, replies, task, current: None }
    }
}

impl Drop for CollectionReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn backoff() -> Backoff {
    Backoff::new(RETRY_MS, RETRY_MS_MAX, RETRIES_MAX, 7)
}

#[async_trait]
impl Reader for CollectionReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        let chunk = match self.current.take() {
            Some(chunk) => chunk,
            None => match timeout(ask.remaining(), self.replies.recv()).await {
                Err(_) => return Ok(Read::Idle),
                Ok(Some(Reply::Documents(chunk))) => chunk,
                Ok(Some(Reply::End)) => return Ok(Read::End),
                Ok(Some(Reply::Fault(fault))) => return Err(fault),
                Ok(None) => return Err(Fault::Fatal("the receiving task ended without a word".into())),
            },
        };
        let (bytes_max, records_max) =
            (usize::try_from(ask.bytes_max).unwrap_or(usize::MAX), ask.records_max);
        // Some tenths of a millisecond: a trip to another thread and back would take a third of it.
        let decoded = Decoded::of(chunk, bytes_max, records_max).map_err(|flaw| {
            let collection = self.inner.collection.clone();
            fatal(Error::Malformed { collection, after: flaw.after, reason: flaw.reason.to_owned() })
        })?;
        self.current = decoded.rest;
        Ok(Read::Batch(Batch {
            body: Body::Rows(decoded.rows.into()),
            envelope: Envelope {
                keys: Some(decoded.keys.finish().map_err(Fault::Fatal)?),
                ..Envelope::default()
            },
            contract: None,
            place: self.place.clone(),
            end: decoded.end,
            lease: ask.lease.clone(),
        }))
    }
}

struct Decoded {
    rows: Vec<Value>,
    keys: Column,
    end: Position,
    rest: Option<Chunk>,
}

struct Flaw {
    /// The key of the document before it.
    after: Option<Arc<str>>,
    reason: Malformed,
}

impl Decoded {
    /// Rows up to the bounds, at least one.
    fn of(mut chunk: Chunk, bytes_max: usize, records_max: usize) -> Result<Self, Flaw> {
        let mut decoder = Decoder::default();
        let (mut rows, mut keys, mut key) = (Vec::new(), Column::default(), Vec::new());
        let mut end = Position::Start;
        let Chunk { reply, at } = &mut chunk;
        let documents = documents(reply);
        let mut input = Input(documents.get(*at..).unwrap_or_default());
        while !input.0.is_empty()
            && (rows.is_empty() || decoder.memory_bytes < bytes_max)
            && rows.len() < records_max
        {
            let mut next = || {
                let document = next_document(&mut input)?;
                let id = find(&document[4..document.len() - 1], "_id")?;
                let id = id.ok_or(NAMELESS)?;
                let row = decoder.document(document)?;
                Ok((row, id))
            };
            let (row, id) = next().map_err(|reason| {
                let after = (!key.is_empty()).then(|| String::from_utf8_lossy(&key).into());
                Flaw { after, reason }
            })?;
            key.clear();
            types::append_id_text(id.kind, id.value, &mut key);
            keys.push(Some(&key));
            rows.push(row);
            if input.0.is_empty() || decoder.memory_bytes >= bytes_max || rows.len() >= records_max {
                end = plan::id_position(id.kind, id.value);
            }
        }
        *at = documents.len() - input.0.len();
        let is_spent = input.0.is_empty();
        Ok(Self { rows, keys, end, rest: (!is_spent).then_some(chunk) })
    }
}

const NAMELESS: Malformed = "it has no _id (of a view, its last stage has to keep it)";

/// By their bytes: a NaN equals itself.
fn is_same(one: &Bson, other: &Bson) -> bool {
    doc! { "_id": one.clone() }.to_vec().ok() == doc! { "_id": other.clone() }.to_vec().ok()
}

/// The elements of a reply's array.
fn documents(reply: &RawBatch) -> &[u8] {
    let array = reply.doc_slices().map(|array| array.as_bytes()).unwrap_or_default();
    array.get(4..array.len().saturating_sub(1)).unwrap_or_default()
}

/// An array's element that is a document, whole.
fn next_document<'a>(input: &mut Input<'a>) -> Result<&'a [u8], Malformed> {
    if input.byte()? != kind::DOCUMENT {
        return Err("the server sent something else than documents");
    }
    input.text()?;
    input.value(kind::DOCUMENT)
}

/// The receiving half.
struct Fetch {
    inner: Arc<Inner>,
    range: Range,
    /// The `_id` that was received last.
    after: Option<Bson>,
    /// The split is a range of the `_id` index; else it is a condition, which the server looks at for each document.
    is_by_index: bool,
    backoff: Backoff,
}

impl Fetch {
    async fn run(mut self, sender: mpsc::Sender<Reply>) {
        let last = match self.receive(&sender).await {
            Ok(()) => Reply::End,
            Err(fault) => Reply::Fault(fault),
        };
        sender.send(last).await.ok();
    }

    /// Until the split ends, or the reader has gone.
    async fn receive(&mut self, sender: &mpsc::Sender<Reply>) -> Result<(), Fault> {
        loop {
            let has_start = self.after.is_some() || self.range.from.is_some();
            let lost = match self.cursor().await {
                Ok(mut cursor) => match self.drain(&mut cursor, sender).await {
                    Ok(())
                        if self.is_by_index
                            && has_start
                            && self.range.below.is_none()
                            && !sender.is_closed() =>
                    {
                        // A range that has a start and no end leaves out MaxKey: whatever is behind the last one.
                        self.is_by_index = false;
                        continue;
                    }
                    Ok(()) => return Ok(()),
                    Err(lost) => lost,
                },
                Err(Lost::Driver(error)) if self.is_by_index && errors::sort(&error) == Sorted::Fatal => {
                    // A time series, or a collection that is clustered: there is no such index.
                    self.is_by_index = false;
                    continue;
                }
                Err(lost) => lost,
            };
            let fault = self.fault(lost);
            let (Fault::Transient(error), Some(wait)) = (&fault, self.backoff.next()) else {
                return Err(fault);
            };
            tracing::debug!(collection = self.inner.collection, %error, "opens the cursor again");
            sleep(wait).await;
        }
    }

    async fn cursor(&self) -> Result<RawBatchCursor, Lost> {
        let inner = &self.inner;
        let collection = inner.connection.collection(&inner.collection).await.map_err(Lost::Fault)?;
        let records = (REPLY_BYTES / inner.record_bytes()).clamp(1, REPLY_RECORDS_MAX);
        let filter = match self.is_by_index {
            true => Document::new(),
            false => inner.query.filter(&self.range, self.after.as_ref()),
        };
        let mut find = collection
            .find(filter)
            .sort(doc! { "_id": 1 })
            .allow_disk_use(true)
            .batch_size(u32::try_from(records).unwrap_or(1));
        if self.is_by_index {
            find = find.hint(Hint::Keys(doc! { "_id": 1 }));
            if let Some(from) = self.after.as_ref().or(self.range.from.as_ref()) {
                find = find.min(doc! { "_id": from.clone() });
            }
            if let Some(below) = &self.range.below {
                find = find.max(doc! { "_id": below.clone() });
            }
        }
        if let Some(projection) = &inner.query.projection {
            find = find.projection(projection.clone());
        }
        find.batch().await.map_err(Lost::Driver)
    }

    async fn drain(&mut self, cursor: &mut RawBatchCursor, sender: &mpsc::Sender<Reply>) -> Result<(), Lost> {
        // A range of the index begins with the document that was the last one.
        let mut known = self.after.clone().filter(|_| self.is_by_index);
        while let Some(reply) = cursor.next().await {
            let mut chunk = Chunk { reply: reply.map_err(Lost::Driver)?, at: 0 };
            let Some((first, next, last)) = self.ids(&chunk)? else { continue };
            if known.take().is_some_and(|known| is_same(&known, &first)) {
                chunk.at = next;
            }
            self.after = Some(last);
            self.backoff = backoff();
            if chunk.at < documents(&chunk.reply).len() && sender.send(Reply::Documents(chunk)).await.is_err()
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The `_id` of a reply's first document, where the next one begins, and the `_id` of the last one.
    fn ids(&self, chunk: &Chunk) -> Result<Option<(Bson, usize, Bson)>, Lost> {
        let flaw = |reason: Malformed| {
            let collection = self.inner.collection.clone();
            Lost::Fault(fatal(Error::Malformed { collection, after: None, reason: reason.to_owned() }))
        };
        let id = |document: &[u8]| {
            let id = RawDocument::from_bytes(document)
                .ok()
                .and_then(|document| document.get("_id").ok().flatten());
            id.and_then(|id| Bson::try_from(id).ok()).ok_or_else(|| flaw(NAMELESS))
        };
        let all = documents(&chunk.reply);
        let mut input = Input(all);
        if input.0.is_empty() {
            return Ok(None);
        }
        let first = next_document(&mut input).map_err(flaw)?;
        let (next, mut last) = (all.len() - input.0.len(), first);
        while !input.0.is_empty() {
            last = next_document(&mut input).map_err(flaw)?;
        }
        Ok(Some((id(first)?, next, id(last)?)))
    }

    fn fault(&self, lost: Lost) -> Fault {
        let collection = self.inner.collection.clone();
        let error = match lost {
            Lost::Fault(fault) => return fault,
            Lost::Driver(error) => error,
        };
        if let Some(part) = errors::wrong_part(&error) {
            let source = errors::Cause(errors::because(&error)).into();
            return fatal(Error::Query { collection, part, source });
        }
        errors::fault(&self.inner.connection.hosts, &error, |source| Error::Read { collection, source })
    }
}

/// How a cursor ended before its time.
enum Lost {
    Driver(mongodb::error::Error),
    Fault(Fault),
}

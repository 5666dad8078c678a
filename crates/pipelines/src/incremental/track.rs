//! Any sink, with a stream's cursor before it: rows that are known already go no further, and the receipt of each commit
//! says how far the cursor of the split has come, and how many rows went on.

use std::{cmp::Ordering, collections::HashSet, ops::Range, sync::Arc};

use async_trait::async_trait;
use base::{Batch, Body, Extent, Fault, Load, Position, Receipt, Rejects, Saved, Sink, Split, Value, Writer};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Cursor, CursorValue, HASHES_COUNT_MAX, at, digest};
use crate::{Error, file::OnMissing, state::CursorText};

/// The sink of a stream; one without a cursor only counts.
pub(crate) struct Tracked {
    pub(crate) inner: Arc<dyn Sink>,
    pub(crate) cursor: Option<Arc<Cursor>>,
}

struct TrackedWriter {
    inner: Box<dyn Writer>,
    cursor: Option<Arc<Cursor>>,
    known: HashSet<String>,
    seen: Seen,
}

/// How far one split has come.
#[derive(Debug, Clone, Default)]
struct Seen {
    max: Option<CursorValue>,
    /// Digests of the rows that have it.
    hashes: Vec<String>,
    /// Rows that went on and were not refused.
    rows_count: u64,
}

/// What a receipt of ours says of a split.
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// The highest value of the cursor, and the rows that have it.
    pub(crate) seen: Option<(CursorValue, Vec<String>)>,
    pub(crate) rows_count: u64,
    /// Of the sink behind.
    pub(crate) inner: Receipt,
}

/// The receipt, version 1: what the split has seen, and the receipt of the sink behind.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptText {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<CursorText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<String>,
    rows_count: u64,
    /// Base64.
    inner: String,
}

const VERSION: u32 = 1;

pub(crate) fn tracked_of(receipt: &Receipt) -> Result<Came, Error> {
    if receipt.0.is_empty() {
        return Ok(Came::default());
    }
    let refuse = |reason: String| Error::StateFormat { what: "a receipt of the load".to_owned(), reason };
    let text: ReceiptText = serde_json::from_slice(&receipt.0).map_err(|error| refuse(error.to_string()))?;
    if text.version != VERSION {
        return Err(refuse(format!("version {}; this program reads {VERSION}", text.version)));
    }
    let inner = STANDARD.decode(&text.inner).map_err(|error| refuse(error.to_string()))?;
    let max = text.max.map(|max| CursorValue::from(&max));
    let seen = max.map(|max| (max, text.hashes));
    Ok(Came { seen, rows_count: text.rows_count, inner: Receipt(inner.into()) })
}

#[async_trait]
impl Sink for Tracked {
    async fn begin(&self, load: &Load) -> Result<(), Fault> {
        self.inner.begin(load).await
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(TrackedWriter {
            inner: self.inner.writer(split).await?,
            cursor: self.cursor.clone(),
            known: self.cursor.iter().flat_map(|cursor| cursor.known.iter().cloned()).collect(),
            seen: Seen::default(),
        }))
    }

    async fn finish(&self, load: &Load) -> Result<(), Fault> {
        self.inner.finish(load).await
    }
}

#[async_trait]
impl Writer for TrackedWriter {
    async fn recover(&mut self, saved: &Saved) -> Result<Option<Position>, Fault> {
        let Came { seen, rows_count, inner } = tracked_of(&saved.receipt).map_err(Error::fatal)?;
        let (max, hashes) = seen.map_or_else(Default::default, |(max, hashes)| (Some(max), hashes));
        self.seen = Seen { max, hashes, rows_count };
        self.inner.recover(&Saved { position: saved.position.clone(), receipt: inner }).await
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let wanted = match self.cursor.clone() {
            Some(cursor) => self.look(&cursor, batch).map_err(Error::fatal)?,
            None => std::iter::once(0..batch.len()).collect(),
        };
        let mut rejects = Rejects::default();
        for rows in wanted {
            self.seen.rows_count += rows.len() as u64;
            let piece = if rows == (0..batch.len()) { batch.clone() } else { batch.slice(rows) };
            rejects.append(self.inner.write(&piece).await?);
        }
        self.seen.rows_count = self.seen.rows_count.saturating_sub(rejects.0.len() as u64);
        Ok(rejects)
    }

    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault> {
        let inner = self.inner.commit(extent).await?;
        let text = ReceiptText {
            version: VERSION,
            max: self.seen.max.as_ref().map(CursorText::from),
            hashes: self.seen.hashes.clone(),
            rows_count: self.seen.rows_count,
            inner: STANDARD.encode(&inner.0),
        };
        let bytes = serde_json::to_vec(&text).map_err(|error| Fault::Fatal(Box::new(error)))?;
        Ok(Receipt(bytes.into()))
    }
}

impl TrackedWriter {
    /// The rows that go on, as ranges; the cursor moves over them.
    fn look(&mut self, cursor: &Cursor, batch: &Batch) -> Result<Vec<Range<usize>>, Error> {
        let Body::Rows(rows) = &batch.body else {
            return Err(Error::NotRows { stream: cursor.stream.clone() });
        };
        let mut wanted = Vec::new();
        let mut start = 0;
        // Digests cost more than all else, and most rows are passed by the next one: they are made at the end.
        let mut at_max: Vec<usize> = Vec::new();
        let mut scratch = Vec::new();
        for (row, value) in rows.iter().enumerate() {
            if self.takes(cursor, (batch, row, value), &mut at_max, &mut scratch)? {
                continue;
            }
            if start < row {
                wanted.push(start..row);
            }
            start = row + 1;
        }
        if start < rows.len() {
            wanted.push(start..rows.len());
        }
        for row in at_max {
            self.seen.hashes.push(digest(cursor, batch, row, &rows[row], &mut scratch)?);
        }
        if self.seen.hashes.len() > HASHES_COUNT_MAX {
            let (stream, field) = (cursor.stream.clone(), cursor.field.clone());
            let value = self.seen.max.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(Error::CursorTooCoarse { stream, field, value, count_max: HASHES_COUNT_MAX });
        }
        Ok(wanted)
    }

    /// Whether the row goes on.
    fn takes(
        &mut self,
        cursor: &Cursor,
        (batch, row, value): (&Batch, usize, &Value),
        at_max: &mut Vec<usize>,
        scratch: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let Some(found) = at(value, &cursor.field) else {
            return match cursor.on_missing {
                OnMissing::Include => Ok(true),
                OnMissing::Exclude => Ok(false),
                OnMissing::Raise => Err(Error::CursorMissing {
                    stream: cursor.stream.clone(),
                    field: cursor.field.clone(),
                    origin: Box::new(batch.origin(row)),
                }),
            };
        };
        let odd = |bound: &CursorValue| Error::CursorKind {
            stream: cursor.stream.clone(),
            field: cursor.field.clone(),
            kind: found.kind_name().to_owned(),
            other: bound.to_string(),
            origin: Box::new(batch.origin(row)),
        };
        let order =
            |bound: &CursorValue| bound.compare_with(found).ok_or_else(|| odd(bound)).map(Ordering::reverse);
        if let Some(to) = &cursor.to
            && order(to)? != Ordering::Less
        {
            return Ok(false);
        }
        if let Some(from) = &cursor.from {
            match order(from)? {
                Ordering::Less => return Ok(false),
                Ordering::Equal if !self.known.is_empty() => {
                    if self.known.contains(&digest(cursor, batch, row, value, scratch)?) {
                        return Ok(false);
                    }
                }
                Ordering::Equal | Ordering::Greater => {}
            }
        }
        let against_max = self.seen.max.as_ref().map(order).transpose()?;
        match against_max {
            Some(Ordering::Less) => return Ok(true),
            Some(Ordering::Equal) => {}
            Some(Ordering::Greater) | None => {
                let text = CursorValue::Text(String::new());
                self.seen.max = Some(CursorValue::of(found).ok_or_else(|| odd(&text))?);
                self.seen.hashes.clear();
                at_max.clear();
            }
        }
        if cursor.remembers {
            at_max.push(row);
        }
        Ok(true)
    }
}

fn digest(
    cursor: &Cursor,
    batch: &Batch,
    row: usize,
    value: &Value,
    scratch: &mut Vec<u8>,
) -> Result<String, Error> {
    digest::of_row(value, &cursor.primary_key, scratch).ok_or_else(|| Error::NoPrimaryKey {
        stream: cursor.stream.clone(),
        fields: cursor.primary_key.join(", "),
        origin: Box::new(batch.origin(row)),
    })
}

//! The unit that flows: a batch of records of one split, in one of three forms, cut without copying.
//!
//! Turning one form into another is the `formats` crate's work; this file only holds and cuts.

use std::{fmt, ops::Deref, ops::Range, sync::Arc};

use arrow_array::{Array, BinaryViewArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use bytes::Bytes;

use crate::{Contract, Lease, Value};

/// Records of one split, in their order. `split_at(row)` copies none of them.
#[derive(Debug, Clone)]
pub struct Batch {
    pub body: Body,
    pub envelope: Envelope,
    /// What was promised of value and key; compared by pointer, once a batch.
    pub contract: Option<Arc<Contract>>,
    /// Topic and partition, file, collection; `origin(row)` adds offset, line or `_id` for an error.
    pub place: Arc<Place>,
    /// Where to go on after the last row.
    pub end: Position,
    /// Its share of the memory, back when the last piece of the batch is dropped.
    pub lease: Arc<Lease>,
}

#[derive(Debug, Clone)]
pub enum Body {
    /// As received, lying in the receive buffer; null where the record is a tombstone.
    Raw(BinaryViewArray),
    Rows(Shared<Value>),
    Columns(RecordBatch),
}

/// What a record has besides its value, whatever the form. A source without keys pays for none.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    pub keys: Option<BinaryViewArray>,
    pub headers: Option<Shared<Headers>>,
    pub timestamps_ms: Option<ScalarBuffer<i64>>,
    /// Set where there is no value at all (a delete, to a sink that can delete); not a row of nulls.
    pub tombstones: Option<BooleanBuffer>,
    /// Kafka offset, byte offset, line or row number; `None`: a transfer resumes only at `end`.
    pub marks: Option<ScalarBuffer<i64>>,
    /// Which partition of a topic a record has to go to, where that is not its key's to say.
    pub partitions: Option<ScalarBuffer<i32>>,
    /// Which rows of the batch that came these are, where stages may have left some out and there are no marks to tell it by.
    pub came_as: Option<ScalarBuffer<u32>>,
}

/// The headers of one record, in their order; a name may come twice, as Kafka allows.
pub type Headers = Vec<Header>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: Arc<str>,
    pub value: Option<Bytes>,
}

/// `Mark` sorts and prints; `Token` is the store's own (resume token, last key), opaque to the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Position {
    #[default]
    Start,
    Mark(i64),
    Token(Bytes),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Start => f.write_str("start"),
            Position::Mark(mark) => write!(f, "{mark}"),
            Position::Token(token) => token.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// Where the records of a batch came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Topic {
        topic: Arc<str>,
        partition: i32,
    },
    /// `path` as the user gave it, or the object's address; marks are line numbers, counted from 1.
    File {
        path: Arc<str>,
    },
    Collection {
        name: Arc<str>,
    },
    /// Made by a generator or handed over in memory.
    Made {
        name: Arc<str>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Topic { topic, partition } => write!(f, "{topic}/{partition}"),
            Place::File { path } => f.write_str(path),
            Place::Collection { name } | Place::Made { name } => f.write_str(name),
        }
    }
}

/// One record's place: `flights/3/1042`, `data/flights.csv:17`, or `planes/N14228` by the key of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub place: Arc<Place>,
    pub mark: Option<i64>,
    /// The record's key in its collection, where the place is one.
    pub id: Option<Arc<str>>,
    /// Which row of the batch that came it is, where it has no mark.
    pub came_as: Option<u32>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.id, self.mark, &*self.place) {
            (Some(id), _, place) => write!(f, "{place}/{id}"),
            (None, Some(mark), Place::File { path }) => write!(f, "{path}:{mark}"),
            (None, Some(mark), place) => write!(f, "{place}/{mark}"),
            (None, None, place) => write!(f, "{place}"),
        }
    }
}

/// A slice of shared rows: cutting it moves two numbers.
pub struct Shared<T> {
    rows: Arc<[T]>,
    range: Range<usize>,
}

impl<T> Shared<T> {
    pub fn slice(&self, range: Range<usize>) -> Self {
        let start = self.range.start + range.start;
        let end = self.range.start + range.end;
        assert!(start <= end && end <= self.range.end, "a slice lies inside its rows");
        Self { rows: self.rows.clone(), range: start..end }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), range: self.range.clone() }
    }
}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(rows: Vec<T>) -> Self {
        Self { range: 0..rows.len(), rows: rows.into() }
    }
}

impl<T> Deref for Shared<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.rows[self.range.clone()]
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Body {
    pub fn len(&self) -> usize {
        match self {
            Body::Raw(values) => values.len(),
            Body::Rows(rows) => rows.len(),
            Body::Columns(columns) => columns.num_rows(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Body::Raw(values) => Body::Raw(values.slice(range.start, range.len())),
            Body::Rows(rows) => Body::Rows(rows.slice(range)),
            Body::Columns(columns) => Body::Columns(columns.slice(range.start, range.len())),
        }
    }
}

impl Envelope {
    pub fn slice(&self, range: Range<usize>) -> Self {
        let (start, length) = (range.start, range.len());
        Self {
            keys: self.keys.as_ref().map(|keys| keys.slice(start, length)),
            headers: self.headers.as_ref().map(|headers| headers.slice(range)),
            timestamps_ms: self.timestamps_ms.as_ref().map(|times| times.slice(start, length)),
            tombstones: self.tombstones.as_ref().map(|bits| bits.slice(start, length)),
            marks: self.marks.as_ref().map(|marks| marks.slice(start, length)),
            partitions: self.partitions.as_ref().map(|partitions| partitions.slice(start, length)),
            came_as: self.came_as.as_ref().map(|rows| rows.slice(start, length)),
        }
    }

    /// The key of a row; `None` where the source has no keys or this record's key is null.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.keys.as_ref().filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row))
    }

    pub fn mark(&self, row: usize) -> Option<i64> {
        self.marks.as_ref().map(|marks| marks[row])
    }

    pub fn timestamp_ms(&self, row: usize) -> Option<i64> {
        self.timestamps_ms.as_ref().map(|times| times[row])
    }

    pub fn partition(&self, row: usize) -> Option<i32> {
        self.partitions.as_ref().map(|partitions| partitions[row])
    }

    pub fn is_tombstone(&self, row: usize) -> bool {
        self.tombstones.as_ref().is_some_and(|bits| bits.value(row))
    }
}

impl Batch {
    pub fn len(&self) -> usize {
        self.body.len()
    }

    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The rows of `range`; the end is that of the whole batch only when the range reaches it.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let end = match self.envelope.mark_after(range.end, self.len()) {
            Some(mark) => Position::Mark(mark),
            None => self.end.clone(),
        };
        Self {
            body: self.body.slice(range.clone()),
            envelope: self.envelope.slice(range),
            contract: self.contract.clone(),
            place: self.place.clone(),
            end,
            lease: self.lease.clone(),
        }
    }

    /// Cuts before `row`. A batch without marks can only be resumed at its end, so it must not be cut inside.
    pub fn split_at(&self, row: usize) -> (Self, Self) {
        (self.slice(0..row), self.slice(row..self.len()))
    }

    pub fn origin(&self, row: usize) -> Origin {
        let id = match &*self.place {
            Place::Collection { .. } => {
                self.envelope.key(row).map(|key| String::from_utf8_lossy(key).into_owned().into())
            }
            Place::Topic { .. } | Place::File { .. } | Place::Made { .. } => None,
        };
        let came_as = self.envelope.came_as.as_ref().map(|rows| rows[row]);
        Origin { place: self.place.clone(), mark: self.envelope.mark(row), id, came_as }
    }

    /// The row of this batch, as it came, that a record was before the stages; `None` where that is not known, as where several have
    /// its mark.
    pub fn row_of(&self, origin: &Origin) -> Option<usize> {
        let Some(marks) = &self.envelope.marks else {
            return origin.came_as.map(|row| row as usize).filter(|row| *row < self.len());
        };
        let mark = origin.mark?;
        // Marks rise.
        let row = marks.partition_point(|other| *other < mark);
        let is_it = marks.get(row) == Some(&mark) && marks.get(row + 1) != Some(&mark);
        is_it.then_some(row)
    }

    /// The same records in another form: the envelope goes along unchanged.
    pub fn with_body(&self, body: Body) -> Self {
        assert_eq!(body.len(), self.len(), "a change of form keeps the rows");
        Self { body, ..self.clone() }
    }
}

impl Envelope {
    /// Where to go on after `row - 1`: the mark of the first row left out, `None` at the batch's end.
    fn mark_after(&self, row: usize, length: usize) -> Option<i64> {
        if row >= length { None } else { self.mark(row) }
    }
}

#[cfg(test)]
mod tests;

//! What the readers of typed records share: which of them are kept, how they are numbered, and a batch of them.

use std::sync::Arc;

use arrow_buffer::ScalarBuffer;
use base::{Batch, Body, Envelope, Lease, Place, Position, Read};

/// Where a reader of typed records is.
pub(super) struct Rows {
    pub(super) path: Arc<str>,
    pub(super) is_remote: bool,
    place: Arc<Place>,
    /// The number of the next record, counted from 1.
    pub(super) number: u64,
    /// Records before this one are passed over.
    pub(super) from: u64,
    pub(super) left_count: u64,
}

impl Rows {
    pub(super) fn new(path: Arc<str>, is_remote: bool, from: u64, records_count_max: Option<u64>) -> Self {
        let place = Arc::new(Place::File { path: path.clone() });
        Self { path, is_remote, place, number: 1, from, left_count: records_count_max.unwrap_or(u64::MAX) }
    }

    /// Counts one record; whether it is kept.
    pub(super) fn take(&mut self) -> bool {
        let is_kept = self.number >= self.from;
        self.number += 1;
        self.left_count -= 1;
        is_kept
    }

    /// Counts so many records that are all kept.
    pub(super) fn pass(&mut self, count: u64) {
        self.number += count;
        self.left_count -= count;
    }

    /// The records up to here; none are the end, where all were asked for.
    pub(super) fn batch(&self, body: Body, lease: &Arc<Lease>) -> Read {
        if body.is_empty() {
            return Read::End;
        }
        let end = self.number as i64;
        let marks = (end - body.len() as i64..end).collect::<Vec<i64>>();
        let envelope = Envelope { marks: Some(ScalarBuffer::from(marks)), ..Envelope::default() };
        Read::Batch(Batch {
            body,
            envelope,
            contract: None,
            place: self.place.clone(),
            end: Position::Mark(end),
            lease: lease.clone(),
        })
    }
}

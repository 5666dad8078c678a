//! The open extent of a lane: what it holds so far, and where the next rows cut it.

use std::{ops::Range, sync::Arc};

use arrow_array::Array;
use arrow_buffer::ScalarBuffer;
use base::{Batch, Body, Contract, Extent, Position, Split, Value};

use crate::Cuts;

/// What is known of the extent that is being written.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) split: Split,
    pub(crate) start: Position,
    /// Behind the last row taken, or behind rows that left as rejects.
    pub(crate) upto: Position,
    pub(crate) records_count: u64,
    pub(crate) bytes: u64,
    /// A second life can begin at `upto` without a record of this extent.
    pub(crate) is_at_place: bool,
    base_time_ms: i64,
    group: Option<u64>,
    contract: Option<Arc<Contract>>,
}

/// A batch with what the cuts ask of each of its rows, computed once.
pub(crate) struct Measured {
    pub(crate) batch: Batch,
    times_ms: Option<ScalarBuffer<i64>>,
    groups: Option<Vec<u64>>,
    /// Where the next piece begins.
    pub(crate) row: usize,
}

/// What `Open::take` says of the rows that come next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// These rows belong to the extent, and more may.
    Rows(Range<usize>),
    /// These rows are its last ones.
    Last(Range<usize>),
    /// The next row belongs to another extent.
    CutBefore,
}

impl Measured {
    pub(crate) fn new(batch: Batch, cuts: &Cuts) -> Self {
        let (mut times_ms, mut groups) = (None, None);
        if cuts.interval_ms.is_some() {
            match &cuts.boundary {
                Some(boundary) => {
                    times_ms = Some(boundary.times_ms(&batch));
                    groups = boundary.group_ids(&batch);
                }
                None => times_ms = batch.envelope.timestamps_ms.clone(),
            }
        }
        Self { batch, times_ms, groups, row: 0 }
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.row >= self.batch.len()
    }

    /// Whether a cut before `row` is one. Where several records share a mark (a line of a file), only the whole of them is.
    fn is_place(&self, row: usize) -> bool {
        let before = row.checked_sub(1).and_then(|last| self.batch.envelope.mark(last));
        match (before, self.position(row)) {
            (Some(before), Some(Position::Mark(mark))) => mark > before,
            _ => true,
        }
    }

    /// The position of a row: its mark, or the batch's end behind the last one.
    pub(crate) fn position(&self, row: usize) -> Option<Position> {
        if row >= self.batch.len() {
            return Some(self.batch.end.clone());
        }
        self.batch.envelope.mark(row).map(Position::Mark)
    }
}

impl Open {
    pub(crate) fn at(split: &Split, start: Position) -> Self {
        Self {
            split: split.clone(),
            upto: start.clone(),
            start,
            records_count: 0,
            bytes: 0,
            is_at_place: true,
            base_time_ms: 0,
            group: None,
            contract: None,
        }
    }

    /// Decides over the rows from `measured.row` on, at most `rows_max` of them, and counts those it takes.
    pub(crate) fn take(&mut self, measured: &mut Measured, cuts: &Cuts, rows_max: usize) -> Taken {
        let first = measured.row;
        let end = measured.batch.len().min(first.saturating_add(rows_max));
        assert!(first < end, "there is a row to take");
        if self.records_count > 0
            && cuts.on_contract_change
            && !same(&self.contract, &measured.batch.contract)
        {
            return Taken::CutBefore;
        }
        if self.records_count > 0 && self.is_cut_by_time(measured, first, cuts) {
            return Taken::CutBefore;
        }
        let (mut row, mut full) = (first, false);
        while row < end && !full {
            if row > first
                && measured.batch.envelope.marks.is_some()
                && self.is_cut_by_time(measured, row, cuts)
            {
                break;
            }
            row = self.count_rows(measured, row, end, cuts);
            full = self.is_full(cuts) && measured.is_place(row);
        }
        if full && row < measured.batch.len() && measured.batch.envelope.marks.is_none() {
            // Without marks only the batch's end is a place to go on from.
            self.records_count += (measured.batch.len() - row) as u64;
            row = measured.batch.len();
        }
        self.contract.clone_from(&measured.batch.contract);
        measured.row = row;
        self.is_at_place = measured.is_place(row);
        self.upto = measured.position(row).unwrap_or_else(|| self.upto.clone());
        let cut_next = row < end && !full;
        if full || cut_next { Taken::Last(first..row) } else { Taken::Rows(first..row) }
    }

    /// Counts one row, or all up to `end` at once where neither time nor bytes have a say.
    fn count_rows(&mut self, measured: &Measured, row: usize, end: usize, cuts: &Cuts) -> usize {
        if let Some(times_ms) = &measured.times_ms {
            if self.records_count == 0 {
                self.base_time_ms = times_ms[row];
            }
            self.group = measured.groups.as_ref().map(|groups| groups[row]);
        }
        let by_row = measured.times_ms.is_some() || cuts.bytes_max.is_some();
        let room =
            cuts.records_count_max.map_or(u64::MAX, |max| max.max(1).saturating_sub(self.records_count));
        let rows =
            if by_row { 1 } else { (end - row).min(usize::try_from(room).unwrap_or(usize::MAX)).max(1) };
        self.records_count += rows as u64;
        if cuts.bytes_max.is_some() {
            self.bytes += row_bytes(&measured.batch.body, row);
        }
        row + rows
    }

    fn is_full(&self, cuts: &Cuts) -> bool {
        cuts.records_count_max.is_some_and(|max| self.records_count >= max.max(1))
            || cuts.bytes_max.is_some_and(|max| self.bytes >= max)
    }

    fn is_cut_by_time(&self, measured: &Measured, row: usize, cuts: &Cuts) -> bool {
        let (Some(interval_ms), Some(times_ms)) = (cuts.interval_ms, &measured.times_ms) else {
            return false;
        };
        let group = measured.groups.as_ref().map(|groups| groups[row]);
        times_ms[row].saturating_sub(self.base_time_ms) >= interval_ms || group != self.group
    }

    /// What is committed.
    pub(crate) fn closed(&self) -> Extent {
        Extent {
            split: self.split.clone(),
            start: self.start.clone(),
            end: self.upto.clone(),
            records_count: self.records_count,
            bytes: self.bytes,
        }
    }
}

fn same(one: &Option<Arc<Contract>>, other: &Option<Arc<Contract>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        _ => false,
    }
}

/// The bytes of a row's value: exact where it is raw, near enough elsewhere.
fn row_bytes(body: &Body, row: usize) -> u64 {
    match body {
        Body::Raw(values) if values.is_null(row) => 0,
        Body::Raw(values) => u64::from(values.views()[row] as u32),
        Body::Rows(rows) => value_bytes(&rows[row]),
        Body::Columns(columns) => (columns.get_array_memory_size() / columns.num_rows().max(1)) as u64,
    }
}

/// Rows of a body that are looked at for its bytes; of more, every so-manieth speaks for those behind it.
const ROWS_SAMPLED: usize = 64;

/// The bytes of all values of a body: exact where it is raw, near enough elsewhere.
pub fn body_bytes(body: &Body) -> u64 {
    match body {
        Body::Raw(values) => values.views().iter().map(|view| u64::from(*view as u32)).sum(),
        Body::Rows(rows) => {
            let step = rows.len().div_ceil(ROWS_SAMPLED).max(1);
            let sampled: u64 = rows.iter().step_by(step).map(value_bytes).sum();
            let sampled_count = rows.len().div_ceil(step).max(1) as u64;
            sampled * rows.len() as u64 / sampled_count
        }
        Body::Columns(columns) => columns.get_array_memory_size() as u64,
    }
}

fn value_bytes(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Boolean(_) => 1,
        Value::String(text) => text.len() as u64,
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::List(values) => values.iter().map(value_bytes).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| value_bytes(key) + value_bytes(value)).sum(),
        Value::Struct(fields) => {
            fields.iter().map(|(name, value)| name.len() as u64 + value_bytes(value)).sum()
        }
        Value::Tagged { value, .. } => value_bytes(value),
        _ => 8,
    }
}

#[cfg(test)]
mod tests;

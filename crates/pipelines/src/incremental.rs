//! What is new in a stream: the cursor's last value, the rows that had it, and which records are wanted now.
//!
//! Each lane keeps a [`Tracker`]; what it knows travels with the checkpoint of its split, and only a complete load
//! moves the cursor of the stream ([`merge`]). The rules are dlt's: from the last value on, rows at the last value that
//! are known already are left out, the end is open, a lag reads a stretch again and leaves nothing out.

mod digest;
#[cfg(test)]
mod tests;
mod track;
mod value;

pub(crate) use track::{Tracked, tracked_of};
pub(crate) use value::iso;
pub use value::{CursorValue, scalar_value};

use base::Value;
use connectors::CursorRange;

use crate::{
    file::{CursorSpec, OnMissing},
    state::StreamState,
};

/// More rows than this with one and the same last value are not told apart any more.
pub(crate) const HASHES_COUNT_MAX: usize = 200_000;

/// How a stream's cursor works in this run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) stream: String,
    pub(crate) field: String,
    pub(crate) on_missing: OnMissing,
    pub(crate) primary_key: Vec<String>,
    /// Records below it are known; the lag is in it.
    pub(crate) from: Option<CursorValue>,
    /// Records at or above it are not wanted.
    pub(crate) to: Option<CursorValue>,
    /// Rows at `from` that are known.
    pub(crate) known: Vec<String>,
    /// Whether rows at the last value are remembered: not with a lag or an end, as those read a stretch again.
    pub(crate) remembers: bool,
}

/// Bounds given on the command line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backfill {
    pub from: Option<CursorValue>,
    pub to: Option<CursorValue>,
}

impl Cursor {
    /// From the state, unless a backfill says where to begin and end.
    pub(crate) fn of(
        stream: &str,
        spec: &CursorSpec,
        primary_key: &[String],
        state: Option<&StreamState>,
        backfill: Option<&Backfill>,
    ) -> Self {
        let last = state.and_then(|state| state.last_value.clone());
        let as_stored = |value: &CursorValue| match (&last, value) {
            // Whoever typed it on a command line could not say whether it is a text or a time.
            (
                Some(CursorValue::Text(_)),
                CursorValue::Timestamp { text, .. } | CursorValue::Date { text, .. },
            ) => CursorValue::Text(text.clone()),
            _ => value.clone(),
        };
        let (from, to, lag, known) = match backfill {
            Some(backfill) => {
                let bound = |value: &Option<CursorValue>| value.as_ref().map(as_stored);
                (bound(&backfill.from), bound(&backfill.to), None, Vec::new())
            }
            None => {
                let known = state.map(|state| state.hashes.clone()).unwrap_or_default();
                let from = last.clone().or_else(|| spec.initial_value.clone());
                // A lag goes back from a last value, and not from where one begins.
                (from, spec.end_value.clone(), spec.lag.filter(|_| last.is_some()), known)
            }
        };
        let remembers = to.is_none() && spec.lag.is_none_or(|lag| lag == 0.0);
        Self {
            stream: stream.to_owned(),
            field: spec.field.clone(),
            on_missing: spec.on_missing,
            primary_key: primary_key.to_vec(),
            from: match (from, lag) {
                (Some(from), Some(lag)) => Some(from.minus(lag)),
                (from, _) => from,
            },
            to,
            known: if remembers { known } else { Vec::new() },
            remembers,
        }
    }

    /// What a connector is asked for.
    pub(crate) fn range(&self) -> CursorRange {
        CursorRange {
            field: self.field.clone(),
            from: self.from.as_ref().map(CursorValue::to_value),
            is_from_included: true,
            to: self.to.as_ref().map(CursorValue::to_value),
            // Under `raise` they have to be seen to be told of.
            takes_missing: self.on_missing != OnMissing::Exclude,
        }
    }
}

/// What the lanes have seen, put together: the highest value and the rows that have it.
pub(crate) fn merge(
    before: Option<&StreamState>,
    seen: impl IntoIterator<Item = (CursorValue, Vec<String>)>,
) -> (Option<CursorValue>, Vec<String>) {
    let (mut last, mut hashes) = match before {
        Some(state) => (state.last_value.clone(), state.hashes.clone()),
        None => (None, Vec::new()),
    };
    for (value, more) in seen {
        match last.as_ref().and_then(|last| value.compare(last)) {
            Some(std::cmp::Ordering::Less) => {}
            Some(std::cmp::Ordering::Equal) => hashes.extend(more),
            Some(std::cmp::Ordering::Greater) | None => (last, hashes) = (Some(value), more),
        }
    }
    hashes.sort_unstable();
    hashes.dedup();
    (last, hashes)
}

/// The value at a path of dots, without its store's tag; `None` where it is missing or null.
fn at<'a>(row: &'a Value, path: &str) -> Option<&'a Value> {
    row.get(path).filter(|value| !value.is_null())
}

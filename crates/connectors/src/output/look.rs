//! The first records of a source, read for their types alone.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::Array;
use base::{Ask, Batch, Body, BoxError, Discovery, Fault, Lease, Position, Read, Source, Split, Value};
use engine::{Stage, apply_all};

use super::{Error, Seen};

/// Read at once while looking.
const LOOK_BYTES: u64 = 1 << 20;
const LOOK_RECORDS: usize = 65_536;
const CALL_TIME_MAX: Duration = Duration::from_millis(500);
/// A source that has nothing yet is asked again after this long.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

fn refuse(fault: Fault) -> Error {
    Error::Look { source: fault.into_inner() }
}

fn ask(bytes_max: u64) -> Ask {
    let deadline = Instant::now() + CALL_TIME_MAX;
    Ask { bytes_max, records_max: LOOK_RECORDS, deadline, lease: Lease::free() }
}

/// The splits of a bounded source, in their order. Some are told only when those before them are read and covered.
pub(super) struct Splits<'a> {
    source: &'a dyn Source,
    waiting: VecDeque<Split>,
    pub(super) count: u64,
}

impl<'a> Splits<'a> {
    pub(super) fn of(source: &'a dyn Source) -> Self {
        Self { source, waiting: VecDeque::new(), count: 0 }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Split>, Fault> {
        loop {
            if let Some(split) = self.waiting.pop_front() {
                self.count += 1;
                return Ok(Some(split));
            }
            match self.source.discover(&ask(0)).await? {
                Discovery::Complete => return Ok(None),
                Discovery::Changed { assigned, .. } if assigned.is_empty() => {
                    tokio::time::sleep(IDLE_PAUSE).await;
                }
                Discovery::Changed { assigned, .. } => self.waiting.extend(assigned),
            }
        }
    }
}

/// What was read of a split is done with: some tell of others only then.
async fn covered(source: &dyn Source, split: &Split, end: &Position) -> Result<(), Error> {
    if *end == Position::Start {
        return Ok(());
    }
    source.covered(split, end).await.map_err(refuse)
}

/// What the first records of all splits have in common, as the stages make them; `records_max` of each split. Without stages they are
/// JSON, which is looked at as it stands: `false` where one of them is no plain record, and has to be made a value of.
pub(super) async fn values(
    source: &dyn Source,
    stages: Option<&[Arc<dyn Stage>]>,
    seen: &mut Seen,
    records_max: u64,
) -> Result<bool, Error> {
    let mut splits = Splits::of(source);
    while let Some(split) = splits.next().await.map_err(refuse)? {
        let mut reader = source.open(&split, &Position::Start).await.map_err(refuse)?;
        let (mut left, mut end) = (usize::try_from(records_max).unwrap_or(usize::MAX), Position::Start);
        while left > 0 {
            let batch = match reader.read(&ask(LOOK_BYTES)).await {
                Ok(Read::Batch(batch)) => batch,
                Ok(Read::Idle) => {
                    tokio::time::sleep(IDLE_PAUSE).await;
                    continue;
                }
                Ok(Read::End) => break,
                // What was read of standard input may end anywhere; what is wrong comes again when it is loaded.
                Err(_) if &*split.id == "-" && end != Position::Start => break,
                Err(fault) => return Err(refuse(fault)),
            };
            end.clone_from(&batch.end);
            // Stages may ask a registry, and wait for it.
            let (stages, mut so_far) = (stages.map(<[_]>::to_vec), std::mem::take(seen));
            let looked = tokio::task::spawn_blocking(move || {
                let count = match stages {
                    Some(stages) => rows(&stages, batch).map(|rows| {
                        rows.iter().take(left).for_each(|row| so_far.add(row));
                        Some(rows.len())
                    }),
                    None => Ok(documents(&batch, left, &mut so_far)),
                };
                (count, so_far)
            });
            let (count, so_far) =
                looked.await.unwrap_or_else(|panicked| (Err(panicked.into()), Seen::default()));
            *seen = so_far;
            let Some(count) = count.map_err(|source| Error::Look { source })? else { return Ok(false) };
            left = left.saturating_sub(count);
        }
        covered(source, &split, &end).await?;
    }
    Ok(true)
}

/// How many there were; `None`: one of them is no plain record.
fn documents(batch: &Batch, records_max: usize, seen: &mut Seen) -> Option<usize> {
    let Body::Raw(records) = &batch.body else { return None };
    let count = records.len().min(records_max);
    (0..count).all(|row| seen.add_document(records.value(row))).then_some(count)
}

fn rows(stages: &[Arc<dyn Stage>], batch: Batch) -> Result<Vec<Value>, BoxError> {
    let (batches, _) = apply_all(stages, batch).map_err(Fault::into_inner)?;
    let mut all = Vec::new();
    for batch in batches {
        match &batch.body {
            Body::Rows(rows) => all.extend(rows.iter().cloned()),
            Body::Columns(columns) => all.extend(formats::values(columns)?),
            Body::Raw(_) => return Err("records without a form have no columns".into()),
        }
    }
    Ok(all)
}

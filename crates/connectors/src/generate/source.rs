//! The source: ranges of numbers as splits, each number's record as JSON.

use std::sync::Arc;

use arrow_buffer::ScalarBuffer;
use async_trait::async_trait;
use base::{
    Ask, Batch, Body, Discovery, Envelope, Fault, Lease, Place, Position, Read, Reader, Schema, Source, Split,
};
use parking_lot::Mutex;
use serde::Serialize;

use super::{Config, Table, columns, finance, users};
use crate::column::Column;

/// What one table holds.
pub struct GeneratedSource {
    config: Config,
    in_columns: bool,
    place: Arc<Place>,
    told: Mutex<bool>,
}

/// Smaller tables are made by one lane, in their order.
const SPLIT_RECORDS_MIN: u64 = 50_000;
const SPLITS_MAX: u64 = 4;

impl GeneratedSource {
    pub fn new(config: Config) -> Self {
        let place = Arc::new(Place::Made { name: config.name() });
        Self { config, in_columns: false, place, told: Mutex::new(false) }
    }

    /// What its records are as columns; `None`: they are text alone.
    pub fn schema(&self) -> Option<Schema> {
        columns::schema(self.config.table)
    }

    /// Records as columns where [`GeneratedSource::schema`] says what they are: for a target that takes columns.
    pub fn in_columns(mut self) -> Self {
        self.in_columns = self.schema().is_some();
        self
    }

    /// The first number of a split, and the one behind its last.
    fn range(&self, split: u64) -> (u64, u64) {
        let (count, splits) = (self.config.records_count(), self.splits_count());
        (count * split / splits, count * (split + 1) / splits)
    }

    fn splits_count(&self) -> u64 {
        (self.config.records_count() / SPLIT_RECORDS_MIN).clamp(1, SPLITS_MAX)
    }
}

#[async_trait]
impl Source for GeneratedSource {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        if std::mem::replace(&mut *self.told.lock(), true) {
            return Ok(Discovery::Complete);
        }
        let split = |number: u64| Split {
            id: format!("{}-{number}", self.config.name()).into(),
            place: self.place.clone(),
        };
        Ok(Discovery::Changed {
            assigned: (0..self.splits_count()).map(split).collect(),
            revoked: Vec::new(),
        })
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let number = split.id.rsplit('-').next().and_then(|number| number.parse().ok());
        let number = number.filter(|number| *number < self.splits_count());
        let Some(number) = number else {
            return Err(Fault::Fatal(format!("{} is no part of {}", split.id, self.place).into()));
        };
        let (first, end) = self.range(number);
        let next = match from {
            Position::Start => first,
            Position::Mark(mark) => (*mark).max(0) as u64,
            Position::Token(_) => {
                return Err(Fault::Fatal(format!("{}: position {from} is no number", split.id).into()));
            }
        };
        let (config, in_columns, place) = (self.config.clone(), self.in_columns, self.place.clone());
        Ok(Box::new(NumberReader { config, in_columns, place, next, end }))
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

struct NumberReader {
    config: Config,
    in_columns: bool,
    place: Arc<Place>,
    next: u64,
    end: u64,
}

#[async_trait]
impl Reader for NumberReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        if self.next >= self.end {
            return Ok(Read::End);
        }
        let (config, place, from, end) = (self.config.clone(), self.place.clone(), self.next, self.end);
        let (bytes_max, records_max, lease) = (ask.bytes_max as usize, ask.records_max, ask.lease.clone());
        let in_columns = self.in_columns;
        let made = tokio::task::spawn_blocking(move || match in_columns {
            true => {
                let count = (bytes_max / columns::ROW_BYTES).clamp(1, records_max) as u64;
                column_batch(&config, place, from..end.min(from + count), lease)
            }
            false => batch(config, place, from..end, (bytes_max, records_max), lease),
        });
        let batch = made.await.map_err(|panicked| Fault::Fatal(Box::new(panicked)))?.map_err(Fault::Fatal)?;
        self.next += batch.len() as u64;
        Ok(Read::Batch(batch))
    }
}

fn column_batch(
    config: &Config,
    place: Arc<Place>,
    numbers: std::ops::Range<u64>,
    lease: Arc<Lease>,
) -> Result<Batch, base::BoxError> {
    let end = Position::Mark(numbers.end as i64);
    let marks = ScalarBuffer::from_iter(numbers.start as i64..numbers.end as i64);
    let envelope = Envelope { marks: Some(marks), ..Envelope::default() };
    let body = Body::Columns(columns::payments(config, numbers)?);
    Ok(Batch { body, envelope, contract: None, place, end, lease })
}

fn batch(
    config: Config,
    place: Arc<Place>,
    numbers: std::ops::Range<u64>,
    (bytes_max, records_max): (usize, usize),
    lease: Arc<Lease>,
) -> Result<Batch, base::BoxError> {
    let (mut values, mut marks, mut record) = (Column::default(), Vec::new(), Vec::new());
    values.reserve(0, bytes_max.min(4 << 20));
    let mut bytes = 0;
    for number in numbers {
        record.clear();
        write(&config, number, &mut record)?;
        values.push(Some(&record));
        marks.push(number as i64);
        bytes += record.len();
        if bytes >= bytes_max || marks.len() >= records_max {
            break;
        }
    }
    let end = Position::Mark(marks.last().map_or(0, |last| last + 1));
    let values = values.finish()?;
    let envelope = Envelope { marks: Some(ScalarBuffer::from(marks)), ..Envelope::default() };
    Ok(Batch { body: Body::Raw(values), envelope, contract: None, place, end, lease })
}

/// One record as a line of JSON would have it, without the line's end.
fn write(config: &Config, number: u64, out: &mut Vec<u8>) -> Result<(), base::BoxError> {
    fn json(record: &impl Serialize, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(out, record)
    }
    match config.table {
        Table::Contract => match &config.recipe {
            Some(recipe) => return Ok(recipe.write(config.seed, number, out)?),
            None => unreachable!("a contract's table has its recipe"),
        },
        Table::Users => json(&users::user(config.seed, number), out),
        Table::FinanceUsers => json(&finance::user(config, number), out),
        Table::FinanceCards => json(&finance::card(config, number), out),
        Table::FinanceTransactions => json(&finance::transaction(config, number), out),
        Table::FinanceMccCodes => json(&finance::mcc_code(number), out),
        Table::FinanceFraudLabels => json(&finance::fraud_label(config, number), out),
    }?;
    Ok(())
}

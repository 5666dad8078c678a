//! The short ways: CSV to JSON Lines or to columns, cell by cell; JSON to columns, field by field, or to JSON as it stands. Nothing of them
//! becomes a value.
//!
//! They know no errors: whatever is not plain sailing is left to the stages, which tell what is wrong and where.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arrow_array::{
    Array, ArrayRef, BinaryViewArray, RecordBatch, StringArray,
    builder::{
        BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
        TimestampMillisecondBuilder,
    },
};
use arrow_schema::{DECIMAL128_MAX_PRECISION, SchemaRef};
use base::{Batch, Body, Envelope, Kind, Place, Value};
use contracts::validate::{RowEncoder, cast_text};
use formats::{DocumentColumns, Part, Parts};

use crate::mapping::Cells;

/// How the records of a source's files are encoded without becoming values.
pub(super) enum Direct {
    /// By the file's name.
    CsvLines(HashMap<Arc<str>, CsvLines>),
    CsvColumns(CsvColumns),
    Documents(Documents),
    /// JSON is checked, and rid of white space.
    Json,
}

/// CSV as JSON objects.
pub(super) struct CsvLines {
    pub(super) encoder: RowEncoder,
    pub(super) columns_count: usize,
    pub(super) cells: Cells,
}

/// CSV as columns.
pub(super) struct CsvColumns {
    /// Of all files.
    pub(super) kinds: Vec<Kind>,
    pub(super) arrow: SchemaRef,
    pub(super) files: HashMap<Arc<str>, CsvFile>,
    pub(super) nulls: Vec<String>,
}

/// JSON as these columns. Where hardly any part is plain it is not tried for ever: the long way gives the same.
pub(super) struct Documents {
    arrow: SchemaRef,
    plain_count: AtomicU64,
    other_count: AtomicU64,
}

/// Parts that may be other than plain before it is given up.
const OTHER_COUNT_MAX: u64 = 4;

impl Documents {
    pub(super) fn new(arrow: SchemaRef) -> Self {
        Self { arrow, plain_count: AtomicU64::new(0), other_count: AtomicU64::new(0) }
    }

    fn part(&self, batches: &[Batch], parts: &Parts) -> Option<Part> {
        if self.other_count.load(Relaxed) > self.plain_count.load(Relaxed) + OTHER_COUNT_MAX {
            return None;
        }
        let part = encoded(batches, parts, |batch, made| documents(batch, &self.arrow, made));
        let count = if part.is_some() { &self.plain_count } else { &self.other_count };
        count.fetch_add(1, Relaxed);
        part
    }
}

pub(super) struct CsvFile {
    /// For each of its columns, the place among all.
    pub(super) places: Vec<usize>,
    pub(super) cells: Cells,
}

/// Rows that are columns together before they are encoded.
const BLOCK_ROWS_COUNT: usize = 8_192;

impl Direct {
    /// `None`: something about these records is not plain.
    pub(super) fn part(&self, batches: &[Batch], parts: &Parts) -> Option<Part> {
        match self {
            Direct::CsvLines(files) => {
                let (mut text, mut records_count) = (Vec::new(), 0);
                for batch in batches {
                    let file = files.get(name_of(&batch.place)?)?;
                    file.append(records(batch)?, &mut text)?;
                    records_count += batch.len() as u64;
                }
                parts.of_text(text, records_count).ok()
            }
            Direct::CsvColumns(columns) => encoded(batches, parts, |batch, made| columns.blocks(batch, made)),
            Direct::Documents(documents) => documents.part(batches, parts),
            Direct::Json => {
                let is_raw = batches.iter().all(|batch| matches!(batch.body, Body::Raw(_)));
                let (part, rejects) = parts.of_batches(batches).ok().filter(|_| is_raw)?;
                rejects.is_empty().then_some(part)
            }
        }
    }
}

/// The part of batches of columns, as `make` appends them for each batch.
fn encoded(
    batches: &[Batch],
    parts: &Parts,
    make: impl Fn(&Batch, &mut Vec<Batch>) -> Option<()>,
) -> Option<Part> {
    let mut made = Vec::new();
    batches.iter().try_for_each(|batch| make(batch, &mut made))?;
    let (part, rejects) = parts.of_batches(&made).ok()?;
    rejects.is_empty().then_some(part)
}

/// Some records of a batch as columns. What is encoded asks for no marks.
fn in_columns(batch: &Batch, columns: RecordBatch) -> Batch {
    Batch { body: Body::Columns(columns), envelope: Envelope::default(), ..batch.clone() }
}

fn documents(batch: &Batch, arrow: &SchemaRef, made: &mut Vec<Batch>) -> Option<()> {
    let records = records(batch)?;
    for start in (0..records.len()).step_by(BLOCK_ROWS_COUNT) {
        let end = (start + BLOCK_ROWS_COUNT).min(records.len());
        let mut columns = DocumentColumns::new(arrow, end - start)?;
        (start..end).try_for_each(|row| columns.push(records.value(row)))?;
        made.push(in_columns(batch, columns.finish().ok()?));
    }
    Some(())
}

fn records(batch: &Batch) -> Option<&BinaryViewArray> {
    match &batch.body {
        Body::Raw(records) => Some(records),
        Body::Rows(_) | Body::Columns(_) => None,
    }
}

fn name_of(place: &Place) -> Option<&Arc<str>> {
    match place {
        Place::File { path: name } | Place::Made { name } => Some(name),
        Place::Topic { .. } | Place::Collection { .. } => None,
    }
}

impl CsvLines {
    fn append(&self, records: &BinaryViewArray, out: &mut Vec<u8>) -> Option<()> {
        let mut cells: Vec<Cow<'_, [u8]>> = Vec::with_capacity(self.columns_count);
        for row in 0..records.len() {
            cells.clear();
            self.cells.split(records.value(row), &mut cells).ok()?;
            self.encoder.encode(&cells, out).ok()?;
            out.push(b'\n');
        }
        Some(())
    }
}

impl CsvColumns {
    fn blocks(&self, batch: &Batch, made: &mut Vec<Batch>) -> Option<()> {
        let file = self.files.get(name_of(&batch.place)?)?;
        let records = records(batch)?;
        let mut cells: Vec<Cow<'_, [u8]>> = Vec::with_capacity(file.places.len());
        let missing: Vec<usize> =
            (0..self.kinds.len()).filter(|place| !file.places.contains(place)).collect();
        let null_bytes_max = self.nulls.iter().map(String::len).max().unwrap_or(0);
        for start in (0..records.len()).step_by(BLOCK_ROWS_COUNT) {
            let end = (start + BLOCK_ROWS_COUNT).min(records.len());
            let mut columns: Vec<Column> =
                self.kinds.iter().map(|kind| Column::new(kind, end - start)).collect::<Option<_>>()?;
            for row in start..end {
                cells.clear();
                file.cells.split(records.value(row), &mut cells).ok()?;
                for (place, cell) in file.places.iter().zip(&cells) {
                    // Nearly all cells are longer than what stands for none.
                    let is_null = cell.len() <= null_bytes_max
                        && self.nulls.iter().any(|null| null.as_bytes() == &**cell);
                    columns[*place].push((!is_null).then_some(cell))?;
                }
                for place in &missing {
                    columns[*place].push(None)?;
                }
            }
            let arrays = columns.into_iter().map(Column::finish).collect::<Option<_>>()?;
            made.push(in_columns(batch, RecordBatch::try_new(self.arrow.clone(), arrays).ok()?));
        }
        Some(())
    }
}

/// One column that is being built.
enum Column {
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Decimal(Decimal128Builder, Kind),
    /// Whether it is UTF-8 is asked once, of all of it.
    Text(BinaryBuilder),
    Date(Date32Builder),
    Moment(TimestampMillisecondBuilder),
}

/// A guess at a cell's length, for the first allocation.
const TEXT_BYTES: usize = 12;

impl Column {
    /// `None` for a kind that has no short way.
    fn new(kind: &Kind, rows_count: usize) -> Option<Self> {
        Some(match kind {
            Kind::Int64 => Column::Integer(Int64Builder::with_capacity(rows_count)),
            Kind::Float64 => Column::Float(Float64Builder::with_capacity(rows_count)),
            Kind::Boolean => Column::Boolean(BooleanBuilder::with_capacity(rows_count)),
            Kind::String => Column::Text(BinaryBuilder::with_capacity(rows_count, rows_count * TEXT_BYTES)),
            Kind::Decimal { scale } => {
                let column = Decimal128Builder::with_capacity(rows_count);
                let scale = i8::try_from(*scale).ok()?;
                let column = column.with_precision_and_scale(DECIMAL128_MAX_PRECISION, scale).ok()?;
                Column::Decimal(column, kind.clone())
            }
            Kind::Date => Column::Date(Date32Builder::with_capacity(rows_count)),
            Kind::TimestampMs => {
                Column::Moment(TimestampMillisecondBuilder::with_capacity(rows_count).with_timezone("UTC"))
            }
            _ => return None,
        })
    }

    /// `None`: the text is no value of this column.
    fn push(&mut self, cell: Option<&Cow<'_, [u8]>>) -> Option<()> {
        let cell = cell.map(|cell| &**cell);
        match self {
            Column::Integer(column) => match cell {
                None => column.append_null(),
                Some(text) => column.append_value(integer(text)?),
            },
            Column::Float(column) => match cell {
                None => column.append_null(),
                Some(text) => match cast_text(&Kind::Float64, text)? {
                    Value::Float(number) => column.append_value(number),
                    _ => return None,
                },
            },
            Column::Boolean(column) => match cell {
                None => column.append_null(),
                Some(text) => match cast_text(&Kind::Boolean, text)? {
                    Value::Boolean(flag) => column.append_value(flag),
                    _ => return None,
                },
            },
            Column::Decimal(column, kind) => match cell {
                None => column.append_null(),
                Some(text) => match cast_text(kind, text)? {
                    Value::Decimal { unscaled, .. } => column.append_value(unscaled),
                    _ => return None,
                },
            },
            Column::Text(column) => match cell {
                None => column.append_null(),
                Some(text) => column.append_value(text),
            },
            Column::Date(column) => match cell {
                None => column.append_null(),
                Some(text) => match cast_text(&Kind::Date, text)? {
                    Value::Date(days) => column.append_value(days),
                    _ => return None,
                },
            },
            Column::Moment(column) => match cell {
                None => column.append_null(),
                Some(text) => match cast_text(&Kind::TimestampMs, text)? {
                    Value::TimestampMs(ms) => column.append_value(ms),
                    _ => return None,
                },
            },
        }
        Some(())
    }

    /// `None`: a text is none.
    fn finish(self) -> Option<ArrayRef> {
        Some(match self {
            Column::Integer(mut column) => Arc::new(column.finish()),
            Column::Float(mut column) => Arc::new(column.finish()),
            Column::Boolean(mut column) => Arc::new(column.finish()),
            Column::Decimal(mut column, _) => Arc::new(column.finish()),
            Column::Text(mut column) => Arc::new(StringArray::try_from_binary(column.finish()).ok()?),
            Column::Date(mut column) => Arc::new(column.finish()),
            Column::Moment(mut column) => Arc::new(column.finish()),
        })
    }
}

/// A whole number as most are written; the rest by the rules for all.
fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) {
        let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        return Some(if digits.len() == text.len() { number } else { -number });
    }
    match cast_text(&Kind::Int64, text)? {
        Value::Int(number) => Some(number),
        _ => None,
    }
}

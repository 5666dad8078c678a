//! One column of one table while its rows come: values that can be taken back, then an Arrow array.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, StringArray, Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray,
    Time64NanosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, new_null_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType as Arrow, TimeUnit};
use base::Value;

use crate::{
    DataType,
    encode::json,
    types::{Cell, decimal},
};

pub(super) struct Builder {
    arrow: Arrow,
    plain: Plain,
    values: Values,
    is_valid: Vec<bool>,
}

/// The values that nearly all columns are made of, and that go into theirs without a look at any rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Text,
    Int,
    TimestampUs,
    /// Told by its values, or never plain.
    Other,
}

impl Plain {
    fn of(data_type: DataType, arrow: &Arrow) -> Self {
        match (data_type, arrow) {
            (DataType::Text, Arrow::Utf8) => Plain::Text,
            (DataType::Bigint, Arrow::Int64) => Plain::Int,
            (DataType::Timestamp, Arrow::Timestamp(TimeUnit::Microsecond, _)) => Plain::TimestampUs,
            _ => Plain::Other,
        }
    }
}

enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Decimal(Vec<i128>),
    Date(Vec<i32>),
    /// Text and bytes; `ends` has a zero and one number for each row.
    Bytes {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
}

/// How much room a column took: that of the next batch is made at once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Builder {
    pub(super) fn new(data_type: DataType, arrow: Arrow, room: Room) -> Self {
        let (plain, rows) = (Plain::of(data_type, &arrow), room.rows);
        let values = match &arrow {
            Arrow::Boolean => Values::Bool(Vec::with_capacity(rows)),
            Arrow::Float64 => Values::Float(Vec::with_capacity(rows)),
            Arrow::Decimal128(..) => Values::Decimal(Vec::with_capacity(rows)),
            Arrow::Date32 => Values::Date(Vec::with_capacity(rows)),
            Arrow::Utf8 | Arrow::Binary => {
                let mut ends = Vec::with_capacity(rows + 1);
                ends.push(0);
                Values::Bytes { ends, bytes: Vec::with_capacity(room.bytes) }
            }
            _ => Values::Int(Vec::with_capacity(rows)),
        };
        Self { arrow, plain, values, is_valid: Vec::with_capacity(rows) }
    }

    /// The room that it takes with so many rows.
    pub(super) fn room(&self, rows: usize) -> Room {
        let bytes = if let Values::Bytes { bytes, .. } = &self.values { bytes.len() } else { 0 };
        Room { rows, bytes }
    }

    /// Takes a value that is of the column's own type, as most are. `false`: `put` has to look at it.
    #[inline]
    pub(super) fn takes(&mut self, row: usize, value: &Value) -> bool {
        if let Value::String(text) = value {
            return self.takes_text(row, text);
        }
        self.stand_at(row);
        match (&mut self.values, value) {
            (Values::Int(values), Value::Int(number)) if self.plain == Plain::Int => values.push(*number),
            (Values::Int(values), Value::TimestampMs(ms)) if self.plain == Plain::TimestampUs => {
                values.push(ms.saturating_mul(1_000));
            }
            (Values::Int(values), Value::TimestampUs(us)) if self.plain == Plain::TimestampUs => {
                values.push(*us);
            }
            (Values::Float(values), Value::Float(number)) if number.is_finite() => values.push(*number),
            (Values::Bool(values), Value::Boolean(flag)) => values.push(*flag),
            _ => return false,
        }
        self.is_valid.push(true);
        true
    }

    /// The same for a text.
    #[inline]
    pub(super) fn takes_text(&mut self, row: usize, text: &str) -> bool {
        self.stand_at(row);
        let (Plain::Text, Values::Bytes { ends, bytes }) = (self.plain, &mut self.values) else {
            return false;
        };
        let Ok(until) = i32::try_from(bytes.len() + text.len()) else { return false };
        bytes.extend_from_slice(text.as_bytes());
        ends.push(until);
        self.is_valid.push(true);
        true
    }

    /// There are as many rows as come before `row`.
    #[inline]
    fn stand_at(&mut self, row: usize) {
        if self.is_valid.len() != row {
            self.truncate(row);
            self.pad(row);
        }
    }

    /// The value of `row`, in place of one that it has already; rows passed over are null. What does not fit says why.
    #[inline]
    pub(super) fn put(&mut self, row: usize, cell: Cell) -> Result<(), String> {
        self.stand_at(row);
        match (&mut self.values, cell) {
            (Values::Bytes { ends, bytes }, cell) => {
                match cell {
                    Cell::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                    Cell::Bytes(given) => bytes.extend_from_slice(&given),
                    Cell::Json(value) => json::value(value, bytes),
                    Cell::JsonText(text) => compact(&text, bytes),
                    other => return Err(format!("a {} is neither text nor bytes", kind(&other))),
                }
                let Ok(until) = i32::try_from(bytes.len()) else {
                    bytes.truncate(end(ends));
                    return Err("the batch holds more than 2 GiB of this column".to_owned());
                };
                ends.push(until);
            }
            (Values::Bool(values), Cell::Bool(flag)) => values.push(flag),
            (Values::Float(values), Cell::Float(number)) => values.push(number),
            (Values::Date(values), Cell::Date(days)) => values.push(days),
            (Values::Decimal(values), Cell::Decimal { unscaled, scale }) => {
                values.push(fitting_decimal(unscaled, scale, &self.arrow)?);
            }
            (Values::Int(values), cell) => values.push(fitting_integer(&cell, &self.arrow)?),
            (_, cell) => return Err(format!("a {} does not belong into the column", kind(&cell))),
        }
        self.is_valid.push(true);
        Ok(())
    }

    pub(super) fn has(&self, row: usize) -> bool {
        self.is_valid.get(row).copied().unwrap_or(false)
    }

    /// Takes the rows from `row` on back.
    pub(super) fn truncate(&mut self, row: usize) {
        if self.is_valid.len() <= row {
            return;
        }
        self.is_valid.truncate(row);
        match &mut self.values {
            Values::Bool(values) => values.truncate(row),
            Values::Int(values) => values.truncate(row),
            Values::Float(values) => values.truncate(row),
            Values::Decimal(values) => values.truncate(row),
            Values::Date(values) => values.truncate(row),
            Values::Bytes { ends, bytes } => {
                ends.truncate(row + 1);
                bytes.truncate(end(ends));
            }
        }
    }

    fn pad(&mut self, row: usize) {
        if self.is_valid.len() == row {
            return;
        }
        self.is_valid.resize(row, false);
        match &mut self.values {
            Values::Bool(values) => values.resize(row, false),
            Values::Int(values) => values.resize(row, 0),
            Values::Float(values) => values.resize(row, 0.0),
            Values::Decimal(values) => values.resize(row, 0),
            Values::Date(values) => values.resize(row, 0),
            Values::Bytes { ends, .. } => {
                let last = ends.last().copied().unwrap_or(0);
                ends.resize(row + 1, last);
            }
        }
    }

    /// The column of `rows` rows.
    pub(super) fn finish(mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        if !self.is_valid.contains(&true) {
            return Ok(new_null_array(&self.arrow, rows));
        }
        let is_full = !self.is_valid.contains(&false);
        let nulls = (!is_full).then(|| NullBuffer::from(self.is_valid));
        Ok(match self.values {
            Values::Bool(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
            Values::Float(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Date(values) => Arc::new(Date32Array::new(values.into(), nulls)),
            Values::Decimal(values) => {
                Arc::new(Decimal128Array::new(values.into(), nulls).with_data_type(self.arrow))
            }
            Values::Bytes { ends, bytes } => {
                let (offsets, bytes) = (OffsetBuffer::new(ScalarBuffer::from(ends)), Buffer::from_vec(bytes));
                match self.arrow {
                    Arrow::Utf8 => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
                    _ => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
                }
            }
            Values::Int(values) => integers(values, nulls, &self.arrow),
        })
    }
}

fn end(ends: &[i32]) -> usize {
    ends.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0))
}

fn integers(values: Vec<i64>, nulls: Option<NullBuffer>, arrow: &Arrow) -> ArrayRef {
    macro_rules! narrow {
        ($array:ty) => {
            Arc::new(<$array>::new(values.into_iter().map(|value| value as _).collect(), nulls))
        };
    }
    let zone = |zone: &Option<Arc<str>>| zone.clone();
    match arrow {
        Arrow::Int8 => narrow!(Int8Array),
        Arrow::Int16 => narrow!(Int16Array),
        Arrow::Int32 => narrow!(Int32Array),
        Arrow::Time32(TimeUnit::Second) => narrow!(Time32SecondArray),
        Arrow::Time32(_) => narrow!(Time32MillisecondArray),
        Arrow::Time64(TimeUnit::Nanosecond) => Arc::new(Time64NanosecondArray::new(values.into(), nulls)),
        Arrow::Time64(_) => Arc::new(Time64MicrosecondArray::new(values.into(), nulls)),
        Arrow::Timestamp(TimeUnit::Second, tz) => {
            Arc::new(TimestampSecondArray::new(values.into(), nulls).with_timezone_opt(zone(tz)))
        }
        Arrow::Timestamp(TimeUnit::Millisecond, tz) => {
            Arc::new(TimestampMillisecondArray::new(values.into(), nulls).with_timezone_opt(zone(tz)))
        }
        Arrow::Timestamp(TimeUnit::Microsecond, tz) => {
            Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone_opt(zone(tz)))
        }
        Arrow::Timestamp(TimeUnit::Nanosecond, tz) => {
            Arc::new(TimestampNanosecondArray::new(values.into(), nulls).with_timezone_opt(zone(tz)))
        }
        _ => Arc::new(Int64Array::new(values.into(), nulls)),
    }
}

fn fitting_decimal(unscaled: i128, scale: i32, arrow: &Arrow) -> Result<i128, String> {
    let Arrow::Decimal128(digits, to) = arrow else { return Err("the column is no decimal".to_owned()) };
    let limit = 10u128.pow(u32::from(*digits));
    decimal::rescaled(unscaled, scale, i32::from(*to))
        .filter(|number| number.unsigned_abs() < limit)
        .ok_or_else(|| format!("{} does not fit decimal({digits},{to})", decimal::text(unscaled, scale)))
}

/// Numbers, times and timestamps, in the unit of the column.
fn fitting_integer(cell: &Cell, arrow: &Arrow) -> Result<i64, String> {
    let in_unit = |us: i64, unit: &TimeUnit| match unit {
        TimeUnit::Second => Some(us.div_euclid(1_000_000)),
        TimeUnit::Millisecond => Some(us.div_euclid(1_000)),
        TimeUnit::Microsecond => Some(us),
        TimeUnit::Nanosecond => us.checked_mul(1_000),
    };
    let fitting = match (cell, arrow) {
        (Cell::Int(number), Arrow::Int64) => Some(*number),
        (Cell::Int(number), Arrow::Int32) => i32::try_from(*number).ok().map(i64::from),
        (Cell::Int(number), Arrow::Int16) => i16::try_from(*number).ok().map(i64::from),
        (Cell::Int(number), Arrow::Int8) => i8::try_from(*number).ok().map(i64::from),
        (Cell::TimestampUs(us), Arrow::Timestamp(unit, _)) => in_unit(*us, unit),
        (Cell::TimeUs(us), Arrow::Time32(unit) | Arrow::Time64(unit)) => in_unit(*us, unit),
        _ => None,
    };
    fitting.ok_or_else(|| match cell {
        Cell::Int(number) => format!("{number} does not fit the column's precision"),
        other => format!("a {} does not fit the column's precision", kind(other)),
    })
}

fn kind(cell: &Cell) -> &'static str {
    cell.data_type().map_or("null", crate::DataType::name)
}

/// JSON text without the white space between its tokens.
fn compact(text: &str, out: &mut Vec<u8>) {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Err(_) => out.extend_from_slice(text.as_bytes()),
    }
}

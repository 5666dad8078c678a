//! One cell at a time, where it lies: what JSON, CSV and Avro write alike of rows and of columns.

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, cast::AsArray,
};
use arrow_schema::{DataType, Field as ArrowField, TimeUnit};
use base::Value;

use super::values::column;
use crate::Error;

/// A value that needs no memory of its own; a list, a map or a record as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    /// Of 32 bits: it is written with fewer digits.
    Single(f32),
    Decimal {
        unscaled: i128,
        scale: i32,
    },
    Text(&'a str),
    Bytes(&'a [u8]),
    Date(i32),
    TimeMs(i32),
    TimestampMs(i64),
    TimestampUs(i64),
    Nested(&'a Value),
}

impl<'a> Cell<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        match value.plain() {
            Value::Null => Cell::Null,
            Value::Boolean(flag) => Cell::Boolean(*flag),
            Value::Int(number) => Cell::Int(*number),
            Value::Float(number) => Cell::Float(*number),
            Value::Decimal { unscaled, scale } => Cell::Decimal { unscaled: *unscaled, scale: *scale },
            Value::String(text) => Cell::Text(text),
            Value::Bytes(bytes) => Cell::Bytes(bytes),
            Value::Date(days) => Cell::Date(*days),
            Value::TimeMs(ms) => Cell::TimeMs(*ms),
            Value::TimestampMs(ms) => Cell::TimestampMs(*ms),
            Value::TimestampUs(us) => Cell::TimestampUs(*us),
            plain @ (Value::List(_) | Value::Map(_) | Value::Struct(_) | Value::Tagged { .. }) => {
                Cell::Nested(plain)
            }
        }
    }

    /// As [`Value::kind_name`] calls it.
    pub(crate) fn kind_name(self) -> &'static str {
        match self {
            Cell::Null => "null",
            Cell::Boolean(_) => "boolean",
            Cell::Int(_) => "integer",
            Cell::Float(_) | Cell::Single(_) => "number",
            Cell::Decimal { .. } => "decimal",
            Cell::Text(_) => "string",
            Cell::Bytes(_) => "bytes",
            Cell::Date(_) => "date",
            Cell::TimeMs(_) => "time",
            Cell::TimestampMs(_) | Cell::TimestampUs(_) => "timestamp",
            Cell::Nested(value) => value.kind_name(),
        }
    }
}

/// A column that is read cell by cell. What is seldom, or nested, is made values of at once.
pub(crate) enum View<'a> {
    Boolean(&'a BooleanArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Single(&'a Float32Array),
    Float(&'a Float64Array),
    Decimal(&'a Decimal128Array, i32),
    Text(&'a StringArray),
    LongText(&'a LargeStringArray),
    ViewedText(&'a StringViewArray),
    Bytes(&'a BinaryArray),
    Date(&'a Date32Array),
    TimestampMs(&'a TimestampMillisecondArray),
    TimestampUs(&'a TimestampMicrosecondArray),
    Values(Vec<Value>),
}

/// All columns of a batch.
///
/// # Errors
/// `SchemaUnfit`: a type that none of our values can be.
pub(crate) fn views(batch: &RecordBatch) -> Result<Vec<View<'_>>, Error> {
    let fields = batch.schema_ref().fields().iter();
    fields.zip(batch.columns()).map(|(field, array)| View::of(field, array)).collect()
}

impl<'a> View<'a> {
    fn of(field: &ArrowField, array: &'a ArrayRef) -> Result<Self, Error> {
        Ok(match array.data_type() {
            DataType::Boolean => View::Boolean(array.as_boolean()),
            DataType::Int32 => View::Int32(array.as_primitive()),
            DataType::Int64 => View::Int64(array.as_primitive()),
            DataType::Float32 => View::Single(array.as_primitive()),
            DataType::Float64 => View::Float(array.as_primitive()),
            DataType::Decimal128(_, scale) => View::Decimal(array.as_primitive(), i32::from(*scale)),
            DataType::Utf8 => View::Text(array.as_string()),
            DataType::LargeUtf8 => View::LongText(array.as_string()),
            DataType::Utf8View => View::ViewedText(array.as_string_view()),
            DataType::Binary => View::Bytes(array.as_binary()),
            DataType::Date32 => View::Date(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => View::TimestampMs(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => View::TimestampUs(array.as_primitive()),
            _ => View::Values(column(field, array)?),
        })
    }

    pub(crate) fn cell(&self, row: usize) -> Cell<'_> {
        macro_rules! cell {
            ($array:expr, $make:expr) => {
                if $array.is_null(row) { Cell::Null } else { $make($array.value(row)) }
            };
        }
        match self {
            View::Boolean(array) => cell!(array, Cell::Boolean),
            View::Int32(array) => cell!(array, |number| Cell::Int(i64::from(number))),
            View::Int64(array) => cell!(array, Cell::Int),
            View::Single(array) => cell!(array, Cell::Single),
            View::Float(array) => cell!(array, Cell::Float),
            View::Decimal(array, scale) => {
                cell!(array, |unscaled| Cell::Decimal { unscaled, scale: *scale })
            }
            View::Text(array) => cell!(array, Cell::Text),
            View::LongText(array) => cell!(array, Cell::Text),
            View::ViewedText(array) => cell!(array, Cell::Text),
            View::Bytes(array) => cell!(array, Cell::Bytes),
            View::Date(array) => cell!(array, Cell::Date),
            View::TimestampMs(array) => cell!(array, Cell::TimestampMs),
            View::TimestampUs(array) => cell!(array, Cell::TimestampUs),
            View::Values(values) => values.get(row).map_or(Cell::Null, Cell::of),
        }
    }
}

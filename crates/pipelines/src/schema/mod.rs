//! Tables and columns as they are now, and the schema document that dlt stores them in.

pub(crate) mod document;

use std::sync::Arc;

use arrow_schema::{DataType as Arrow, Field, Schema, SchemaRef, TimeUnit};

use crate::DataType;

/// Digits of a decimal whose column says nothing of them, and how many of those stand behind the point.
const DECIMAL_DIGITS: (u8, i8) = (38, 9);
/// The widest decimal that 128 bits hold.
const DECIMAL_DIGITS_MAX: u8 = 38;
/// Digits of a second's fraction where a column says nothing of them.
const FRACTION_DIGITS: u32 = 6;

/// One table at one moment. Columns are only ever added at the end, so a column's index stays true for ever.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: Arc<str>,
    /// The table that its `_dlt_parent_id` points into; a root table has none.
    pub parent: Option<Arc<str>>,
    /// Columns that have a type, in the order of the schema: what files and headers have.
    pub columns: Vec<Column>,
    /// The same as Arrow, as dlt's Parquet files have them.
    pub arrow: SchemaRef,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: Arc<str>,
    pub data_type: DataType,
    pub is_nullable: bool,
    pub precision: Option<u32>,
    pub scale: Option<u32>,
    /// A timestamp with a zone (UTC); otherwise it is kept without one.
    pub has_timezone: bool,
    pub is_primary_key: bool,
}

/// The schema as dlt keeps it in `_dlt_version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub name: String,
    pub version: u64,
    /// As dlt computes it from the content: base64 of SHA3-256.
    pub version_hash: String,
    pub engine_version: u64,
    /// The JSON of the whole document.
    pub text: String,
}

impl Table {
    pub(crate) fn new(name: Arc<str>, parent: Option<Arc<str>>, columns: Vec<Column>) -> Self {
        let field = |column: &Column| Field::new(&*column.name, column.arrow(), column.is_nullable);
        let arrow = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        Self { name, parent, columns, arrow }
    }

    /// Whether it is one of dlt's own, not one with documents.
    pub fn is_system(&self) -> bool {
        self.name.starts_with("_dlt")
    }
}

impl Column {
    /// As dlt's Parquet writer has it.
    pub fn arrow(&self) -> Arrow {
        match self.data_type {
            DataType::Text | DataType::Json => Arrow::Utf8,
            DataType::Double => Arrow::Float64,
            DataType::Bool => Arrow::Boolean,
            DataType::Binary => Arrow::Binary,
            DataType::Date => Arrow::Date32,
            DataType::Bigint => match self.precision {
                Some(0..=8) => Arrow::Int8,
                Some(9..=16) => Arrow::Int16,
                Some(17..=32) => Arrow::Int32,
                Some(_) | None => Arrow::Int64,
            },
            DataType::Timestamp => {
                let unit = unit(self.precision.unwrap_or(FRACTION_DIGITS));
                Arrow::Timestamp(unit, self.has_timezone.then(|| "UTC".into()))
            }
            DataType::Time => match unit(self.precision.unwrap_or(FRACTION_DIGITS)) {
                unit @ (TimeUnit::Second | TimeUnit::Millisecond) => Arrow::Time32(unit),
                unit @ (TimeUnit::Microsecond | TimeUnit::Nanosecond) => Arrow::Time64(unit),
            },
            DataType::Decimal => {
                let (digits, scale) = match (self.precision, self.scale) {
                    (None, _) => DECIMAL_DIGITS,
                    (Some(precision), scale) => (
                        u8::try_from(precision).unwrap_or(DECIMAL_DIGITS_MAX).clamp(1, DECIMAL_DIGITS_MAX),
                        i8::try_from(scale.unwrap_or(0)).unwrap_or(0),
                    ),
                };
                Arrow::Decimal128(digits, scale.clamp(0, digits.cast_signed()))
            }
            DataType::Wei => Arrow::Decimal128(DECIMAL_DIGITS_MAX, 0),
        }
    }
}

fn unit(fraction_digits: u32) -> TimeUnit {
    match fraction_digits {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

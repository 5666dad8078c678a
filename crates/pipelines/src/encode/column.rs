//! One column of a batch, its Arrow type found out once.

use arrow_array::{
    Array, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, StringArray, Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray,
    Time64NanosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, cast::AsArray as _,
};
use arrow_schema::{DataType as Arrow, TimeUnit};

/// Values of a column, borrowed.
pub(crate) enum Values<'a> {
    Bool(&'a BooleanArray),
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float(&'a Float64Array),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Decimal(&'a Decimal128Array, i8),
    Date(&'a Date32Array),
    TimeS(&'a Time32SecondArray),
    TimeMs(&'a Time32MillisecondArray),
    TimeUs(&'a Time64MicrosecondArray),
    TimeNs(&'a Time64NanosecondArray),
    TimestampS(&'a TimestampSecondArray, bool),
    TimestampMs(&'a TimestampMillisecondArray, bool),
    TimestampUs(&'a TimestampMicrosecondArray, bool),
    TimestampNs(&'a TimestampNanosecondArray, bool),
}

/// One value, widened.
pub(crate) enum Item<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Decimal(i128, i8),
    Date(i32),
    TimeUs(i64),
    TimestampUs(i64, bool),
}

impl<'a> Values<'a> {
    /// `None` for a type that no table of ours has.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            Arrow::Boolean => Values::Bool(array.as_boolean()),
            Arrow::Int8 => Values::Int8(array.as_primitive()),
            Arrow::Int16 => Values::Int16(array.as_primitive()),
            Arrow::Int32 => Values::Int32(array.as_primitive()),
            Arrow::Int64 => Values::Int64(array.as_primitive()),
            Arrow::Float64 => Values::Float(array.as_primitive()),
            Arrow::Utf8 => Values::Text(array.as_string()),
            Arrow::Binary => Values::Bytes(array.as_binary()),
            Arrow::Decimal128(_, scale) => Values::Decimal(array.as_primitive(), *scale),
            Arrow::Date32 => Values::Date(array.as_primitive()),
            Arrow::Time32(TimeUnit::Second) => Values::TimeS(array.as_primitive()),
            Arrow::Time32(_) => Values::TimeMs(array.as_primitive()),
            Arrow::Time64(TimeUnit::Microsecond) => Values::TimeUs(array.as_primitive()),
            Arrow::Time64(_) => Values::TimeNs(array.as_primitive()),
            Arrow::Timestamp(unit, zone) => {
                let has_timezone = zone.is_some();
                match unit {
                    TimeUnit::Second => Values::TimestampS(array.as_primitive(), has_timezone),
                    TimeUnit::Millisecond => Values::TimestampMs(array.as_primitive(), has_timezone),
                    TimeUnit::Microsecond => Values::TimestampUs(array.as_primitive(), has_timezone),
                    TimeUnit::Nanosecond => Values::TimestampNs(array.as_primitive(), has_timezone),
                }
            }
            _ => return None,
        })
    }

    pub(crate) fn item(&self, row: usize) -> Item<'a> {
        match self {
            Values::Bool(array) => Item::Bool(array.value(row)),
            Values::Int8(array) => Item::Int(array.value(row).into()),
            Values::Int16(array) => Item::Int(array.value(row).into()),
            Values::Int32(array) => Item::Int(array.value(row).into()),
            Values::Int64(array) => Item::Int(array.value(row)),
            Values::Float(array) => Item::Float(array.value(row)),
            Values::Text(array) => Item::Text(array.value(row)),
            Values::Bytes(array) => Item::Bytes(array.value(row)),
            Values::Decimal(array, scale) => Item::Decimal(array.value(row), *scale),
            Values::Date(array) => Item::Date(array.value(row)),
            Values::TimeS(array) => Item::TimeUs(i64::from(array.value(row)) * 1_000_000),
            Values::TimeMs(array) => Item::TimeUs(i64::from(array.value(row)) * 1_000),
            Values::TimeUs(array) => Item::TimeUs(array.value(row)),
            Values::TimeNs(array) => Item::TimeUs(array.value(row) / 1_000),
            Values::TimestampS(array, zone) => {
                Item::TimestampUs(array.value(row).saturating_mul(1_000_000), *zone)
            }
            Values::TimestampMs(array, zone) => {
                Item::TimestampUs(array.value(row).saturating_mul(1_000), *zone)
            }
            Values::TimestampUs(array, zone) => Item::TimestampUs(array.value(row), *zone),
            Values::TimestampNs(array, zone) => Item::TimestampUs(array.value(row).div_euclid(1_000), *zone),
        }
    }
}

/// A decimal without the zeros at its end, which Arrow adds up to the column's scale.
pub(super) fn decimal_text(mut unscaled: i128, scale: i8) -> String {
    let mut scale = i32::from(scale);
    while scale > 0 && unscaled % 10 == 0 {
        unscaled /= 10;
        scale -= 1;
    }
    crate::types::decimal::text(unscaled, scale)
}

//! dlt's data types, what a value's type is, and how a value of one type becomes another.

pub(crate) mod decimal;
pub(crate) mod python;

use std::{borrow::Cow, ops::Range};

use base::Value;

use crate::iso::{self, Iso};

const DAY_US: i64 = 86_400_000_000;
/// From the year 1 to the end of 9999: what Python has timestamps for.
const TIMESTAMPS_S: Range<f64> = -62_135_596_800.0..253_402_300_800.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    Text,
    Double,
    Bool,
    Timestamp,
    Bigint,
    Binary,
    Json,
    Decimal,
    Wei,
    Date,
    Time,
}

impl DataType {
    pub const ALL: [DataType; 11] = [
        DataType::Text,
        DataType::Double,
        DataType::Bool,
        DataType::Timestamp,
        DataType::Bigint,
        DataType::Binary,
        DataType::Json,
        DataType::Decimal,
        DataType::Wei,
        DataType::Date,
        DataType::Time,
    ];

    /// dlt's word, as it stands in schemas and in the names of variant columns.
    pub fn name(self) -> &'static str {
        match self {
            DataType::Text => "text",
            DataType::Double => "double",
            DataType::Bool => "bool",
            DataType::Timestamp => "timestamp",
            DataType::Bigint => "bigint",
            DataType::Binary => "binary",
            DataType::Json => "json",
            DataType::Decimal => "decimal",
            DataType::Wei => "wei",
            DataType::Date => "date",
            DataType::Time => "time",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|data_type| data_type.name() == name)
    }
}

/// A value as dlt sees it: one plain value of a data type, borrowed from the document where it can be.
#[derive(Debug, Clone)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Decimal {
        unscaled: i128,
        scale: i32,
    },
    Date(i32),
    TimeUs(i64),
    TimestampUs(i64),
    /// An object or a list that stays whole.
    Json(&'a Value),
    /// JSON text that came as text.
    JsonText(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    /// Numbers that JSON cannot hold are null, as they are in dlt's own files between its steps.
    #[inline]
    pub(crate) fn of(value: &'a Value) -> Self {
        match value.plain() {
            Value::Null => Cell::Null,
            Value::Boolean(flag) => Cell::Bool(*flag),
            Value::Int(number) => Cell::Int(*number),
            Value::Float(number) if number.is_finite() => Cell::Float(*number),
            Value::Float(_) => Cell::Null,
            Value::Decimal { unscaled, scale } => Cell::Decimal { unscaled: *unscaled, scale: *scale },
            Value::String(text) => Cell::Text(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Cell::Bytes(Cow::Borrowed(bytes)),
            Value::Date(days) => Cell::Date(*days),
            Value::TimeMs(ms) => Cell::TimeUs(i64::from(*ms) * 1_000),
            Value::TimestampMs(ms) => Cell::TimestampUs(ms.saturating_mul(1_000)),
            Value::TimestampUs(us) => Cell::TimestampUs(*us),
            value @ (Value::List(_) | Value::Map(_) | Value::Struct(_)) => Cell::Json(value),
            Value::Tagged { value, .. } => Cell::of(value),
        }
    }

    /// The type by the value's own kind; `None` for null.
    #[inline]
    pub(crate) fn data_type(&self) -> Option<DataType> {
        Some(match self {
            Cell::Null => return None,
            Cell::Bool(_) => DataType::Bool,
            Cell::Int(_) => DataType::Bigint,
            Cell::Float(_) => DataType::Double,
            Cell::Text(_) => DataType::Text,
            Cell::Bytes(_) => DataType::Binary,
            Cell::Decimal { .. } => DataType::Decimal,
            Cell::Date(_) => DataType::Date,
            Cell::TimeUs(_) => DataType::Time,
            Cell::TimestampUs(_) => DataType::Timestamp,
            Cell::Json(_) | Cell::JsonText(_) => DataType::Json,
        })
    }

    /// The type of a column that this is the first value of: a text that is a timestamp makes a column of timestamps.
    pub(crate) fn inferred(&self) -> Option<DataType> {
        match self {
            Cell::Text(text) if matches!(iso::parse(text), Some(Iso::Timestamp(_))) => {
                Some(DataType::Timestamp)
            }
            other => other.data_type(),
        }
    }

    /// The value as one of type `to`, by dlt's rules; `None` where it has to go to a variant column.
    pub(crate) fn coerced(self, to: DataType) -> Option<Cell<'a>> {
        if self.data_type() == Some(to) {
            return Some(self);
        }
        match to {
            DataType::Text => Some(Cell::Text(python::text(&self)?.into())),
            DataType::Double => match self {
                Cell::Int(number) => Some(Cell::Float(number as f64)),
                Cell::Text(text) => python::float(&text).map(Cell::Float),
                Cell::Decimal { unscaled, scale } => {
                    decimal::text(unscaled, scale).parse().ok().map(Cell::Float)
                }
                _ => None,
            },
            DataType::Bigint => self.into_integer(),
            DataType::Decimal | DataType::Wei => self.into_decimal(),
            DataType::Bool => match self {
                Cell::Int(number) => Some(Cell::Bool(number != 0)),
                Cell::Float(number) => Some(Cell::Bool(number != 0.0)),
                Cell::Decimal { unscaled, .. } => Some(Cell::Bool(unscaled != 0)),
                Cell::Text(text) => python::flag(&text).map(Cell::Bool),
                _ => None,
            },
            DataType::Binary => match self {
                Cell::Text(text) => python::bytes(&text).map(|bytes| Cell::Bytes(bytes.into())),
                Cell::Int(number) => {
                    let length = (64 - number.leading_zeros() as usize).div_ceil(8);
                    (number >= 0).then(|| Cell::Bytes(number.to_le_bytes()[..length].to_vec().into()))
                }
                _ => None,
            },
            DataType::Json => match self {
                Cell::Text(text) => {
                    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                    is_json.then_some(Cell::JsonText(text))
                }
                _ => None,
            },
            DataType::Timestamp => self.into_timestamp(),
            DataType::Date => match self {
                Cell::Text(text) => match iso::parse(&text) {
                    Some(Iso::Date(days)) => Some(Cell::Date(days)),
                    _ => Cell::Text(text).into_timestamp()?.into_date(),
                },
                Cell::Int(_) | Cell::Float(_) => self.into_timestamp()?.into_date(),
                Cell::TimestampUs(_) => self.into_date(),
                _ => None,
            },
            DataType::Time => match self {
                Cell::Text(text) => match iso::parse(&text)? {
                    Iso::Time(us) => Some(Cell::TimeUs(us)),
                    Iso::Timestamp(_) | Iso::Date(_) => None,
                },
                _ => None,
            },
        }
    }

    fn into_integer(self) -> Option<Cell<'a>> {
        match self {
            Cell::Text(text) => python::integer(&text).map(Cell::Int),
            // 2^63 as a float is the first that no longer fits.
            Cell::Float(number) if number.fract() == 0.0 && number.abs() < 9_223_372_036_854_775_808.0 => {
                Some(Cell::Int(number as i64))
            }
            Cell::Decimal { unscaled, scale } => {
                i64::try_from(decimal::rescaled(unscaled, scale, 0)?).ok().map(Cell::Int)
            }
            _ => None,
        }
    }

    fn into_decimal(self) -> Option<Cell<'a>> {
        let of = |(unscaled, scale)| Cell::Decimal { unscaled, scale };
        match self {
            Cell::Text(text) => decimal::parse(text.trim()).map(of),
            Cell::Int(number) => Some(of((number.into(), 0))),
            Cell::Float(number) => decimal::parse(&python::float_text(number)).map(of),
            Cell::Decimal { .. } => Some(self),
            _ => None,
        }
    }

    fn into_timestamp(self) -> Option<Cell<'a>> {
        // Python rounds the fraction by itself.
        let seconds = |seconds: f64| {
            let us = (seconds.fract() * 1e6).round_ties_even() as i64;
            let whole = TIMESTAMPS_S.contains(&seconds).then_some(seconds.trunc() as i64)?;
            Some(Cell::TimestampUs(whole * 1_000_000 + us))
        };
        match self {
            Cell::Text(text) => match iso::parse(&text) {
                Some(Iso::Timestamp(us)) => Some(Cell::TimestampUs(us)),
                Some(Iso::Date(days)) => Some(Cell::TimestampUs(i64::from(days) * DAY_US)),
                Some(Iso::Time(_)) => None,
                None => seconds(python::float(&text).filter(|number| number.is_finite())?),
            },
            Cell::Int(number) => seconds(number as f64),
            Cell::Float(number) => seconds(number),
            Cell::Date(days) => Some(Cell::TimestampUs(i64::from(days) * DAY_US)),
            _ => None,
        }
    }

    fn into_date(self) -> Option<Cell<'a>> {
        match self {
            Cell::TimestampUs(us) => i32::try_from(us.div_euclid(DAY_US)).ok().map(Cell::Date),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

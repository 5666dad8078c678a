//! Values that a cursor may have: they are ordered, and kept between runs.

use std::{cmp::Ordering, fmt};

use base::Value;
use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// A value of a cursor's field. Numbers compare with numbers, times with times, all else with its own kind.
#[derive(Debug, Clone, PartialEq)]
pub enum CursorValue {
    Int(i64),
    Float(f64),
    Decimal {
        unscaled: i128,
        scale: i32,
    },
    Text(String),
    /// Microseconds since 1970; `text` as it was typed or is shown.
    Timestamp {
        us: i64,
        text: String,
    },
    /// Days since 1970.
    Date {
        days: i32,
        text: String,
    },
    /// A text of a type that one store has: an ObjectId.
    Tagged {
        tag: &'static str,
        text: String,
    },
}

const DAY_US: i64 = 86_400_000_000;
/// Types of stores whose values rise with time, and whose plain value is a text.
const TAGS: [&str; 2] = ["objectId", "reference"];

impl CursorValue {
    /// `None` for what has no order.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Int(number) => CursorValue::Int(*number),
            Value::Float(number) if !number.is_nan() => CursorValue::Float(*number),
            Value::Decimal { unscaled, scale } => CursorValue::Decimal { unscaled: *unscaled, scale: *scale },
            Value::String(text) => CursorValue::Text(text.to_string()),
            Value::TimestampMs(ms) => Self::timestamp(ms.checked_mul(1_000)?),
            Value::TimestampUs(us) => Self::timestamp(*us),
            Value::Date(days) => Self::date(*days),
            Value::Tagged { tag, value } => match (known_tag(tag), &**value) {
                (Some(tag), Value::String(text)) => CursorValue::Tagged { tag, text: text.to_string() },
                (_, plain) => Self::of(plain)?,
            },
            Value::Null
            | Value::Boolean(_)
            | Value::Float(_)
            | Value::Bytes(_)
            | Value::TimeMs(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Struct(_) => return None,
        })
    }

    pub(crate) fn timestamp(us: i64) -> Self {
        CursorValue::Timestamp { us, text: iso(us) }
    }

    pub(crate) fn date(days: i32) -> Self {
        CursorValue::Date { days, text: iso_date(days) }
    }

    pub(crate) fn tagged(tag: &str, text: String) -> Self {
        match known_tag(tag) {
            Some(tag) => CursorValue::Tagged { tag, text },
            None => CursorValue::Text(text),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            CursorValue::Int(number) => Value::Int(*number),
            CursorValue::Float(number) => Value::Float(*number),
            CursorValue::Decimal { unscaled, scale } => Value::Decimal { unscaled: *unscaled, scale: *scale },
            CursorValue::Text(text) => Value::string(text.as_str()),
            CursorValue::Timestamp { us, .. } if us % 1_000 == 0 => Value::TimestampMs(us / 1_000),
            CursorValue::Timestamp { us, .. } => Value::TimestampUs(*us),
            CursorValue::Date { days, .. } => Value::Date(*days),
            CursorValue::Tagged { tag, text } => Value::tagged(tag, Value::string(text.as_str())),
        }
    }

    /// `None` where the two have no common order.
    pub(crate) fn compare(&self, other: &CursorValue) -> Option<Ordering> {
        if let (Some(one), Some(other)) = (self.us(), other.us()) {
            return Some(one.cmp(&other));
        }
        match (self, other) {
            (CursorValue::Int(one), CursorValue::Int(other)) => Some(one.cmp(other)),
            (
                CursorValue::Text(one) | CursorValue::Tagged { text: one, .. },
                CursorValue::Text(other) | CursorValue::Tagged { text: other, .. },
            ) => Some(one.cmp(other)),
            _ => {
                let (one, other) = (self.number()?, other.number()?);
                exact(one, other).or_else(|| one.float().partial_cmp(&other.float()))
            }
        }
    }

    /// The same against a record's value, without making one of it where that can be.
    pub(crate) fn compare_with(&self, value: &Value) -> Option<Ordering> {
        match (self, value.plain()) {
            (CursorValue::Int(one), Value::Int(other)) => Some(one.cmp(other)),
            (CursorValue::Text(one) | CursorValue::Tagged { text: one, .. }, Value::String(other)) => {
                Some(one.as_str().cmp(other))
            }
            (CursorValue::Timestamp { us, .. }, Value::TimestampMs(ms)) => {
                Some(us.cmp(&ms.saturating_mul(1_000)))
            }
            (CursorValue::Timestamp { us, .. }, Value::TimestampUs(other)) => Some(us.cmp(other)),
            (_, plain) => self.compare(&Self::of(plain)?),
        }
    }

    /// Seconds before a timestamp, days before a date, else in the number's own unit; a text has no before.
    pub(crate) fn minus(self, lag: f64) -> Self {
        match self {
            CursorValue::Int(number) => CursorValue::Int(number.saturating_sub(lag as i64)),
            CursorValue::Float(number) => CursorValue::Float(number - lag),
            CursorValue::Timestamp { us, .. } => Self::timestamp(us.saturating_sub((lag * 1e6) as i64)),
            CursorValue::Date { days, .. } => Self::date(days.saturating_sub(lag as i32)),
            CursorValue::Decimal { unscaled, scale } => {
                let step = 10_i128.checked_pow(scale.max(0).unsigned_abs()).unwrap_or(1);
                CursorValue::Decimal { unscaled: unscaled.saturating_sub(lag as i128 * step), scale }
            }
            CursorValue::Text(_) | CursorValue::Tagged { .. } => self,
        }
    }

    fn us(&self) -> Option<i64> {
        match self {
            CursorValue::Timestamp { us, .. } => Some(*us),
            CursorValue::Date { days, .. } => Some(i64::from(*days) * DAY_US),
            _ => None,
        }
    }

    fn number(&self) -> Option<Number> {
        match self {
            CursorValue::Int(number) => Some(Number::Decimal(i128::from(*number), 0)),
            CursorValue::Decimal { unscaled, scale } => Some(Number::Decimal(*unscaled, *scale)),
            CursorValue::Float(number) => Some(Number::Float(*number)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Number {
    Decimal(i128, i32),
    Float(f64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Number::Decimal(unscaled, scale) => unscaled as f64 / 10_f64.powi(scale),
            Number::Float(number) => number,
        }
    }
}

/// Two decimals at one scale; `None` where that does not fit.
fn exact(one: Number, other: Number) -> Option<Ordering> {
    let (Number::Decimal(a, a_scale), Number::Decimal(b, b_scale)) = (one, other) else { return None };
    let scale = a_scale.max(b_scale);
    let raised = |unscaled: i128, by: i32| unscaled.checked_mul(10_i128.checked_pow(by.unsigned_abs())?);
    Some(raised(a, scale - a_scale)?.cmp(&raised(b, scale - b_scale)?))
}

fn known_tag(tag: &str) -> Option<&'static str> {
    TAGS.into_iter().find(|known| *known == tag)
}

/// `2026-11-28T02:48:35.096635+00:00`, as Python's `isoformat` writes it.
pub(crate) fn iso(us: i64) -> String {
    let Some(time) = DateTime::from_timestamp_micros(us) else { return us.to_string() };
    let format = if us % 1_000_000 == 0 { "%Y-%m-%dT%H:%M:%S+00:00" } else { "%Y-%m-%dT%H:%M:%S%.6f+00:00" };
    time.format(format).to_string()
}

fn iso_date(days: i32) -> String {
    NaiveDate::from_epoch_days(days)
        .map_or_else(|| days.to_string(), |date| date.format("%Y-%m-%d").to_string())
}

/// What a plain word is: a whole number, a number, a timestamp, a date, else a text.
pub fn scalar_value(text: &str) -> CursorValue {
    if let Ok(number) = text.parse() {
        return CursorValue::Int(number);
    }
    if let (Ok(number), true) =
        (text.parse::<f64>(), text.starts_with(|c: char| c.is_ascii_digit() || c == '-'))
    {
        return CursorValue::Float(number);
    }
    if let Some(us) = timestamp_us(text) {
        return CursorValue::Timestamp { us, text: text.to_owned() };
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return CursorValue::Date { days: date.to_epoch_days(), text: text.to_owned() };
    }
    CursorValue::Text(text.to_owned())
}

/// A time without a zone is in UTC.
fn timestamp_us(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|time| time.and_utc().timestamp_micros())
}

impl fmt::Display for CursorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CursorValue::Int(number) => write!(f, "{number}"),
            CursorValue::Float(number) => write!(f, "{number}"),
            CursorValue::Decimal { .. } => {
                f.write_str(&formats::json_value(&self.to_value(), None, formats::DecimalAs::Number))
            }
            CursorValue::Text(text)
            | CursorValue::Tagged { text, .. }
            | CursorValue::Timestamp { text, .. }
            | CursorValue::Date { text, .. } => f.write_str(text),
        }
    }
}

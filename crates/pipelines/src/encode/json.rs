//! Single values as JSON text, in the forms of orjson, which writes dlt's files.

use base::Value;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::types::decimal;

const DAY_US: i64 = 86_400_000_000;

pub(crate) fn value(value: &Value, out: &mut Vec<u8>) {
    match value.plain() {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Int(number) => integer(*number, out),
        Value::Float(number) => float(*number, out),
        Value::Decimal { unscaled, scale } => string(&decimal::text(*unscaled, *scale), out),
        Value::String(text) => string(text, out),
        Value::Bytes(bytes) => string(&STANDARD.encode(bytes), out),
        Value::Date(days) => quoted(out, |out| date(*days, out)),
        Value::TimeMs(ms) => quoted(out, |out| time(i64::from(*ms) * 1_000, out)),
        Value::TimestampMs(ms) => quoted(out, |out| timestamp(ms.saturating_mul(1_000), true, out)),
        Value::TimestampUs(us) => quoted(out, |out| timestamp(*us, true, out)),
        Value::List(items) => list(items, out),
        Value::Struct(fields) => {
            object(fields.iter().map(|(name, value)| (&**name, value)), out);
        }
        Value::Map(entries) => match text_keys(entries) {
            Some(fields) => object(fields.into_iter(), out),
            None => {
                out.push(b'[');
                for (place, (key, item)) in entries.iter().enumerate() {
                    out.extend_from_slice(if place > 0 { b",[" } else { b"[" });
                    self::value(key, out);
                    out.push(b',');
                    self::value(item, out);
                    out.push(b']');
                }
                out.push(b']');
            }
        },
        Value::Tagged { value, .. } => self::value(value, out),
    }
}

/// The entries of a map whose keys are all text.
pub(crate) fn text_keys(entries: &[(Value, Value)]) -> Option<Vec<(&str, &Value)>> {
    let fields = entries.iter().map(|(key, value)| match key {
        Value::String(name) => Some((&**name, value)),
        _ => None,
    });
    fields.collect()
}

fn list(items: &[Value], out: &mut Vec<u8>) {
    out.push(b'[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        value(item, out);
    }
    out.push(b']');
}

pub(crate) fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a Value)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, (name, item)) in fields.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        value(item, out);
    }
    out.push(b'}');
}

pub(crate) fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    let is_escaped = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    // Without a way out of the loop it takes many bytes at once.
    if text.as_bytes().iter().fold(false, |any, byte| any | is_escaped(byte)) {
        // Writing into a Vec does not fail.
        serde_json::to_writer(&mut *out, text).ok();
    } else {
        quoted(out, |out| out.extend_from_slice(text.as_bytes()));
    }
}

pub(crate) fn integer(number: i64, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, &number).ok();
}

/// What is no number is null.
pub(crate) fn float(number: f64, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, &number).ok();
}

/// `2024-01-02`.
pub(crate) fn date(days: i32, out: &mut Vec<u8>) {
    let (year, month, day) = civil(i64::from(days));
    if (0..=9_999).contains(&year) {
        two(year / 100, out);
        two(year % 100, out);
    } else {
        out.extend_from_slice(year.to_string().as_bytes());
    }
    out.push(b'-');
    two(month, out);
    out.push(b'-');
    two(day, out);
}

/// `03:04:05`, and `.123000` where there is a fraction.
pub(crate) fn time(us: i64, out: &mut Vec<u8>) {
    let seconds = us / 1_000_000;
    two(seconds / 3_600, out);
    out.push(b':');
    two(seconds / 60 % 60, out);
    out.push(b':');
    two(seconds % 60, out);
    let fraction = us % 1_000_000;
    if fraction != 0 {
        out.push(b'.');
        two(fraction / 10_000, out);
        two(fraction / 100 % 100, out);
        two(fraction % 100, out);
    }
}

/// `2024-01-02T03:04:05.123000+00:00`; the zone is left out where the column has none.
pub(crate) fn timestamp(us: i64, has_timezone: bool, out: &mut Vec<u8>) {
    timestamp_with(us, has_timezone, b'T', out);
}

/// The same with another letter between date and time: Python prints a space.
pub(crate) fn timestamp_with(us: i64, has_timezone: bool, between: u8, out: &mut Vec<u8>) {
    date(i32::try_from(us.div_euclid(DAY_US)).unwrap_or(i32::MAX), out);
    out.push(between);
    time(us.rem_euclid(DAY_US), out);
    if has_timezone {
        out.extend_from_slice(b"+00:00");
    }
}

fn two(number: i64, out: &mut Vec<u8>) {
    let digit = |number: i64| b'0' + u8::try_from(number % 10).unwrap_or(0);
    out.extend_from_slice(&[digit(number / 10), digit(number)]);
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 0000-03-01, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

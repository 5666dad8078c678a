//! Values and texts written as JSON, compact, with no tree between.

use std::io::Write;

use base::{
    Value,
    eight::{HIGHS, json_specials},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Appends a value as JSON: bytes as base64, dates and times as their numbers, decimals as digits, as Connect does
/// without a schema. A number that JSON has no word for (NaN, infinity) becomes null.
pub fn write_json(value: &Value, out: &mut Vec<u8>) {
    const TAKES_ALL: &str = "a Vec takes everything";
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Int(number) | Value::TimestampMs(number) => write_integer(*number, out),
        Value::TimestampUs(number) => write_integer(number.div_euclid(1_000), out),
        Value::Tagged { value, .. } => write_json(value, out),
        Value::Date(number) | Value::TimeMs(number) => write_integer((*number).into(), out),
        Value::Float(number) if !number.is_finite() => out.extend_from_slice(b"null"),
        Value::Float(number) => serde_json::to_writer(&mut *out, number).expect(TAKES_ALL),
        Value::Decimal { unscaled, scale } => write_decimal(*unscaled, *scale, out),
        Value::String(text) => write_text(text, out),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(item, out);
            }
            out.push(b']');
        }
        Value::Map(entries) if entries.iter().all(|(key, _)| matches!(key, Value::String(_))) => {
            let entries = entries.iter().map(|(key, value)| match key {
                Value::String(name) => (&**name, value),
                _ => unreachable!("the guard has seen every key"),
            });
            write_members(entries, out);
        }
        Value::Map(entries) => {
            let pairs = entries.iter().map(|(key, value)| Value::List(vec![key.clone(), value.clone()]));
            write_json(&Value::List(pairs.collect()), out);
        }
        Value::Struct(fields) => write_members(fields.iter().map(|(name, value)| (&**name, value)), out),
    }
}

fn write_members<'a>(members: impl Iterator<Item = (&'a str, &'a Value)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_json(value, out);
    }
    out.push(b'}');
}

pub(crate) fn write_integer(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A quoted text; runs without anything to escape are copied whole.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    let unsure: &[u8] = if is_plain(bytes) { &[] } else { bytes };
    for (at, byte) in unsure.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        match escaped.is_empty() {
            true => write!(out, "\\u{byte:04x}").expect("a Vec takes everything"),
            false => out.extend_from_slice(escaped),
        }
        start = at + 1;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

/// Whether a text is of ASCII, and JSON writes every letter of it as it is. Looks at eight bytes at once.
pub(super) fn is_plain(text: &[u8]) -> bool {
    let has_other = |word: [u8; 8]| (u64::from_le_bytes(word) & HIGHS) | json_specials(word) != 0;
    let (words, rest) = text.as_chunks::<8>();
    // The last eight once more, where they are not a word of their own.
    let last = if rest.is_empty() { None } else { text.last_chunk::<8>() };
    if words.iter().chain(last).any(|word| has_other(*word)) {
        return false;
    }
    let is_seen = !words.is_empty();
    is_seen || rest.iter().all(|byte| matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\'))
}

fn write_decimal(unscaled: i128, scale: i32, out: &mut Vec<u8>) {
    let digits = unscaled.unsigned_abs().to_string();
    if unscaled < 0 {
        out.push(b'-');
    }
    match usize::try_from(scale) {
        Ok(0) => out.extend_from_slice(digits.as_bytes()),
        Ok(scale) => {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            out.extend_from_slice(format!("{whole}.{fraction}").as_bytes());
        }
        Err(_) => {
            out.extend_from_slice(digits.as_bytes());
            if unscaled != 0 {
                out.resize(out.len() + scale.unsigned_abs() as usize, b'0');
            }
        }
    }
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

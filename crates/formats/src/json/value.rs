//! Values as JSON text, by a schema or by themselves, as JsonConverter and Jackson write them.

use std::io::{self, Write};

use base::{Kind, Schema, Value};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{DecimalAs, Style, TimesAs, times};
use crate::columns::Cell;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `value`; what is left in `out` after an error is the caller's to cut off.
pub(crate) fn append(
    value: &Value,
    schema: Option<&Schema>,
    style: Style,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match value {
        Value::Null => match schema.and_then(|schema| schema.default.as_ref()) {
            // JsonConverter writes the default of a field in place of its null.
            Some(default) if !default.is_null() => append(default, None, style, out)?,
            _ => out.extend_from_slice(b"null"),
        },
        Value::Float(number) if schema.is_some_and(|schema| schema.kind == Kind::Float32) => {
            append_plain(Cell::Single(*number as f32), style, out);
        }
        Value::Boolean(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Decimal { .. }
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Date(_)
        | Value::TimeMs(_)
        | Value::TimestampMs(_)
        | Value::TimestampUs(_) => append_plain(Cell::of(value), style, out),
        Value::Tagged { value, .. } => append(value, schema, style, out)?,
        Value::List(items) => {
            let item_schema = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(item)) => Some(&**item),
                _ => None,
            };
            append_all(items, out, b"[]", |item, out| append(item, item_schema, style, out))?;
        }
        Value::Map(entries) => append_map(entries, schema, style, out)?,
        Value::Struct(fields) => match schema.map(|schema| &schema.kind) {
            Some(Kind::Struct(wanted)) => {
                let mut given = fields.iter();
                append_all(wanted.iter(), out, b"{}", |field, out| {
                    append_name(&field.name, out);
                    // Values come in the schema's order nearly always: look at the next one before searching.
                    let next = given.clone().next().filter(|(name, _)| *name == field.name);
                    let value = match next {
                        Some((_, value)) => {
                            given.next();
                            Some(value)
                        }
                        None => fields.iter().find(|(name, _)| *name == field.name).map(|(_, value)| value),
                    };
                    append(value.unwrap_or(&Value::Null), Some(&field.schema), style, out)
                })?;
            }
            _ => append_all(fields, out, b"{}", |(name, value), out| {
                append_name(name, out);
                append(value, None, style, out)
            })?,
        },
    }
    Ok(())
}

/// A cell, whose schema says no more than it does itself unless it is nested.
pub(crate) fn append_cell(
    cell: Cell<'_>,
    schema: &Schema,
    style: Style,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match cell {
        Cell::Nested(value) => append(value, Some(schema), style, out)?,
        Cell::Float(number) if schema.kind == Kind::Float32 => {
            append_plain(Cell::Single(number as f32), style, out);
        }
        plain => append_plain(plain, style, out),
    }
    Ok(())
}

/// Everything but what is nested.
pub(crate) fn append_plain(cell: Cell<'_>, style: Style, out: &mut Vec<u8>) {
    match cell {
        Cell::Null | Cell::Nested(_) => out.extend_from_slice(b"null"),
        Cell::Boolean(true) => out.extend_from_slice(b"true"),
        Cell::Boolean(false) => out.extend_from_slice(b"false"),
        Cell::Int(number) => append_integer(number, out),
        Cell::Float(number) => append_float(number, |out| write!(out, "{number:?}"), out),
        Cell::Single(number) => append_float(number.into(), |out| write!(out, "{number:?}"), out),
        Cell::Decimal { unscaled, scale } => match style.decimal {
            DecimalAs::Base64 => append_base64(&unscaled_bytes(unscaled), out),
            DecimalAs::Number => append_decimal(unscaled, scale, out),
        },
        Cell::Text(text) => append_string(text, out),
        Cell::Bytes(bytes) => append_base64(bytes, out),
        Cell::Date(_) | Cell::TimeMs(_) | Cell::TimestampMs(_) | Cell::TimestampUs(_)
            if style.times == TimesAs::Text =>
        {
            out.push(b'"');
            times::append(cell, out);
            out.push(b'"');
        }
        Cell::Date(days) => append_integer(days.into(), out),
        Cell::TimeMs(ms) => append_integer(ms.into(), out),
        Cell::TimestampMs(ms) => append_integer(ms, out),
        Cell::TimestampUs(us) => append_integer(us.div_euclid(1_000), out),
    }
}

/// One value as JSON text; for messages, tests and `cat`.
pub fn json_value(value: &Value, schema: Option<&Schema>, decimal: DecimalAs) -> String {
    let mut out = Vec::new();
    append(value, schema, decimal.into(), &mut out).unwrap_or_default();
    String::from_utf8_lossy(&out).into_owned()
}

/// String keys make an object, all others an array of pairs, as JsonConverter does.
fn append_map(
    entries: &[(Value, Value)],
    schema: Option<&Schema>,
    style: Style,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let (key_schema, value_schema) = match schema.map(|schema| &schema.kind) {
        Some(Kind::Map { key, value }) => (Some(&**key), Some(&**value)),
        _ => (None, None),
    };
    if entries.iter().all(|(key, _)| matches!(key, Value::String(_))) {
        return append_all(entries, out, b"{}", |(key, value), out| {
            if let Value::String(name) = key {
                append_name(name, out);
            }
            append(value, value_schema, style, out)
        });
    }
    append_all(entries, out, b"[]", |(key, value), out| {
        out.push(b'[');
        append(key, key_schema, style, out)?;
        out.push(b',');
        append(value, value_schema, style, out)?;
        out.push(b']');
        Ok(())
    })
}

fn append_all<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    brackets: &[u8; 2],
    mut each: impl FnMut(T, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    out.push(brackets[0]);
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        each(item, out)?;
    }
    out.push(brackets[1]);
    Ok(())
}

/// A field's name with its colon.
pub(super) fn head(name: &str) -> Vec<u8> {
    let mut head = Vec::new();
    append_name(name, &mut head);
    head
}

fn append_name(name: &str, out: &mut Vec<u8>) {
    append_string(name, out);
    out.push(b':');
}

/// A JSON string; runs without anything to escape are copied whole.
pub(crate) fn append_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// A string of standard base64, padded.
pub(crate) fn append_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

fn append_integer(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Whole numbers keep their `.0`; what JSON has no number for is a text, as Jackson writes it.
fn append_float(number: f64, finite: impl Fn(&mut Vec<u8>) -> io::Result<()>, out: &mut Vec<u8>) {
    if !number.is_finite() {
        let word = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        return append_string(word, out);
    }
    finite(out).expect("writing to memory does not fail");
}

fn append_decimal(unscaled: i128, scale: i32, out: &mut Vec<u8>) {
    let digits = unscaled.unsigned_abs().to_string();
    if unscaled < 0 {
        out.push(b'-');
    }
    let scale = usize::try_from(scale).unwrap_or(0);
    let zeros = if scale >= digits.len() { scale + 1 - digits.len() } else { 0 };
    let digits = "0".repeat(zeros) + &digits;
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// The shortest big-endian two's complement, as Java's `BigInteger.toByteArray`.
pub(crate) fn unscaled_bytes(unscaled: i128) -> Vec<u8> {
    let bytes = unscaled.to_be_bytes();
    let fill = if unscaled < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15 && bytes[start] == fill && (bytes[start + 1] ^ fill) < 0x80 {
        start += 1;
    }
    bytes[start..].to_vec()
}

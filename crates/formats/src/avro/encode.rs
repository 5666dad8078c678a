//! Values as Avro's binary encoding, by their schema.

use base::{Field, Kind, Schema, Value};

use crate::{columns::Cell, json::unscaled_bytes};

/// Appends `value`; after an error the caller cuts off what was written of it.
pub(crate) fn append(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> Result<(), String> {
    append_cell(Cell::of(value), schema, out)
}

/// The record of these cells, one for each field.
pub(crate) fn append_record<'a>(
    cells: impl Iterator<Item = Cell<'a>>,
    schema: &Schema,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    for (field, cell) in schema.fields().iter().zip(cells) {
        append_cell(cell, &field.schema, out).map_err(|reason| format!("{}: {reason}", field.name))?;
    }
    Ok(())
}

fn append_cell(cell: Cell<'_>, schema: &Schema, out: &mut Vec<u8>) -> Result<(), String> {
    let is_null = matches!(cell, Cell::Null);
    if schema.optional {
        // The branches lie as `schema.rs` writes them: null first, unless there is a default that is not null.
        let null_first = schema.default.as_ref().is_none_or(Value::is_null);
        append_long(i64::from(is_null != null_first), out);
        return if is_null { Ok(()) } else { append_kind(cell, schema, out) };
    }
    match &schema.default {
        Some(default) if is_null && !default.is_null() => append_kind(Cell::of(default), schema, out),
        _ => append_kind(cell, schema, out),
    }
}

fn append_kind(cell: Cell<'_>, schema: &Schema, out: &mut Vec<u8>) -> Result<(), String> {
    match (&schema.kind, cell) {
        (Kind::Int8, Cell::Int(number)) => append_int(number, i8::MIN.into(), i8::MAX.into(), out)?,
        (Kind::Int16, Cell::Int(number)) => append_int(number, i16::MIN.into(), i16::MAX.into(), out)?,
        (Kind::Int32, Cell::Int(number)) => append_int(number, i32::MIN.into(), i32::MAX.into(), out)?,
        (Kind::Int64, Cell::Int(number)) => append_long(number, out),
        (Kind::Float32, Cell::Single(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Float32, Cell::Float(number)) => out.extend_from_slice(&(number as f32).to_le_bytes()),
        (Kind::Float64, Cell::Single(number)) => out.extend_from_slice(&f64::from(number).to_le_bytes()),
        (Kind::Float64, Cell::Float(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Float32, Cell::Int(number)) => out.extend_from_slice(&(number as f32).to_le_bytes()),
        (Kind::Float64, Cell::Int(number)) => out.extend_from_slice(&(number as f64).to_le_bytes()),
        (Kind::Boolean, Cell::Boolean(flag)) => out.push(u8::from(flag)),
        (Kind::String, Cell::Text(text)) => append_bytes(text.as_bytes(), out),
        (Kind::Bytes, Cell::Bytes(bytes)) => append_bytes(bytes, out),
        (Kind::Date, Cell::Date(days)) => append_long(i64::from(days), out),
        (Kind::TimeMs, Cell::TimeMs(ms)) => append_long(i64::from(ms), out),
        (Kind::TimestampMs, Cell::TimestampMs(ms)) => append_long(ms, out),
        (Kind::TimestampMs, Cell::TimestampUs(us)) => append_long(us.div_euclid(1_000), out),
        (Kind::Decimal { scale }, Cell::Decimal { unscaled, scale: given }) if *scale == given => {
            append_bytes(&unscaled_bytes(unscaled), out);
        }
        // Of a column whose numbers do not all fit an integer.
        (Kind::Decimal { scale: 0 }, Cell::Int(whole)) => {
            append_bytes(&unscaled_bytes(whole.into()), out);
        }
        (Kind::Decimal { scale }, Cell::Decimal { scale: given, .. }) => {
            return Err(format!("expected a decimal of scale {scale}, found scale {given}"));
        }
        (_, Cell::Nested(value)) => append_nested(value, schema, out)?,
        (kind, cell) => return Err(unlike(kind, cell.kind_name())),
    }
    Ok(())
}

fn unlike(kind: &Kind, found: &str) -> String {
    format!("expected {}, found {found}", kind_name(kind))
}

fn append_nested(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> Result<(), String> {
    match (&schema.kind, value) {
        (Kind::Array(item), Value::List(items)) => {
            append_all(items, out, |value, out| append(value, item, out))
        }
        (Kind::Map { key, value: schema }, Value::Map(entries)) => {
            append_all(entries, out, |(name, value), out| {
                match (&key.kind, key.optional, name) {
                    (Kind::String, false, Value::String(text)) => append_bytes(text.as_bytes(), out),
                    _ => append(name, key, out)?,
                }
                append(value, schema, out)
            })
        }
        (Kind::Struct(fields), Value::Struct(_) | Value::Map(_)) => {
            let cell = |field: &Field| value.get(&field.name).map_or(Cell::Null, Cell::of);
            append_record(fields.iter().map(cell), schema, out)
        }
        (kind, value) => Err(unlike(kind, value.kind_name())),
    }
}

/// Arrays and maps: one block of all items, then the empty block that ends them.
fn append_all<T>(
    items: &[T],
    out: &mut Vec<u8>,
    mut each: impl FnMut(&T, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    if !items.is_empty() {
        append_long(items.len() as i64, out);
        for item in items {
            each(item, out)?;
        }
    }
    out.push(0);
    Ok(())
}

fn append_int(number: i64, min: i64, max: i64, out: &mut Vec<u8>) -> Result<(), String> {
    if !(min..=max).contains(&number) {
        return Err(format!("{number} is not within {min}..={max}"));
    }
    append_long(number, out);
    Ok(())
}

/// Zigzag, seven bits a byte, lowest first.
pub(crate) fn append_long(number: i64, out: &mut Vec<u8>) {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(crate) fn append_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    append_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Int8 => "int8",
        Kind::Int16 => "int16",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Float32 => "float32",
        Kind::Float64 => "float64",
        Kind::Boolean => "boolean",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Date => "date",
        Kind::TimeMs => "time",
        Kind::TimestampMs => "timestamp",
        Kind::Decimal { .. } => "decimal",
        Kind::Array(_) => "array",
        Kind::Map { .. } => "map",
        Kind::Struct(_) => "struct",
    }
}

//! Values as Avro's binary encoding, by their schema.

use base::{Kind, Schema, Value};

use crate::json::unscaled_bytes;

/// Appends `value`; after an error the caller cuts off what was written of it.
pub(crate) fn append(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> Result<(), String> {
    if schema.optional {
        // The branches lie as `schema.rs` writes them: null first, unless there is a default that is not null.
        let null_first = schema.default.as_ref().is_none_or(Value::is_null);
        let is_null = value.is_null();
        append_long(i64::from(is_null != null_first), out);
        return if is_null { Ok(()) } else { append_kind(value, schema, out) };
    }
    match (value, &schema.default) {
        (Value::Null, Some(default)) if !default.is_null() => append_kind(default, schema, out),
        _ => append_kind(value, schema, out),
    }
}

fn append_kind(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> Result<(), String> {
    match (&schema.kind, value.plain()) {
        (Kind::Int8, Value::Int(number)) => append_int(*number, i64::from(i8::MIN), i64::from(i8::MAX), out)?,
        (Kind::Int16, Value::Int(number)) => {
            append_int(*number, i64::from(i16::MIN), i64::from(i16::MAX), out)?
        }
        (Kind::Int32, Value::Int(number)) => {
            append_int(*number, i64::from(i32::MIN), i64::from(i32::MAX), out)?
        }
        (Kind::Int64, Value::Int(number)) => append_long(*number, out),
        (Kind::Float32, Value::Float(number)) => out.extend_from_slice(&(*number as f32).to_le_bytes()),
        (Kind::Float64, Value::Float(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Float32, Value::Int(number)) => out.extend_from_slice(&(*number as f32).to_le_bytes()),
        (Kind::Float64, Value::Int(number)) => out.extend_from_slice(&(*number as f64).to_le_bytes()),
        (Kind::Boolean, Value::Boolean(flag)) => out.push(u8::from(*flag)),
        (Kind::String, Value::String(text)) => append_bytes(text.as_bytes(), out),
        (Kind::Bytes, Value::Bytes(bytes)) => append_bytes(bytes, out),
        (Kind::Date, Value::Date(days)) => append_long(i64::from(*days), out),
        (Kind::TimeMs, Value::TimeMs(ms)) => append_long(i64::from(*ms), out),
        (Kind::TimestampMs, Value::TimestampMs(ms)) => append_long(*ms, out),
        (Kind::TimestampMs, Value::TimestampUs(us)) => append_long(us.div_euclid(1_000), out),
        (Kind::Decimal { scale }, Value::Decimal { unscaled, scale: given }) if scale == given => {
            append_bytes(&unscaled_bytes(*unscaled), out);
        }
        (Kind::Decimal { scale }, Value::Decimal { scale: given, .. }) => {
            return Err(format!("expected a decimal of scale {scale}, found scale {given}"));
        }
        (Kind::Array(item), Value::List(items)) => {
            append_all(items, out, |value, out| append(value, item, out))?;
        }
        (Kind::Map { key, value: schema }, Value::Map(entries)) => {
            append_all(entries, out, |(name, value), out| {
                match (&key.kind, key.optional, name) {
                    (Kind::String, false, Value::String(text)) => append_bytes(text.as_bytes(), out),
                    _ => append(name, key, out)?,
                }
                append(value, schema, out)
            })?
        }
        (Kind::Struct(fields), Value::Struct(_) | Value::Map(_)) => {
            for field in fields.iter() {
                let value = value.get(&field.name).unwrap_or(&Value::Null);
                append(value, &field.schema, out).map_err(|reason| format!("{}: {reason}", field.name))?;
            }
        }
        (kind, value) => return Err(format!("expected {}, found {}", kind_name(kind), value.kind_name())),
    }
    Ok(())
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

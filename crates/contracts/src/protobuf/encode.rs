//! Rows to messages: each value as the field's type, or refused where the field cannot hold it.
//!
//! Dates, times of day and decimals become `google.type.Date`, `google.type.TimeOfDay` and `confluent.type.Decimal` where the field is
//! one; elsewhere the text or the number that says the same. What only ProtoJSON describes (`google.protobuf.Struct`) is read from JSON.

use std::collections::HashSet;

use base::Value;
use base64::{Engine, engine::general_purpose::STANDARD};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value as Reflected};

use super::{connect, decode::is_wrapper};
use crate::{
    Violation, avro,
    validate::{format, write_json},
};

const DATE: &str = "google.type.Date";
const TIME_OF_DAY: &str = "google.type.TimeOfDay";
const DECIMAL: &str = "confluent.type.Decimal";
/// Of Google's own, that only a text in decimal digits is.
const DECIMAL_TEXT: &str = "google.type.Decimal";
const OWN: [&str; 4] = [DATE, TIME_OF_DAY, DECIMAL, DECIMAL_TEXT];

/// Whether a message has a field, at any depth, that ProtoJSON has no text for and we have.
pub(super) fn has_own_types(descriptor: &MessageDescriptor) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![descriptor.clone()];
    while let Some(message) = open.pop() {
        if OWN.contains(&message.full_name()) {
            return true;
        }
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        open.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
    }
    false
}

pub(super) fn message(descriptor: &MessageDescriptor, row: &Value) -> Result<DynamicMessage, Violation> {
    let mut message = DynamicMessage::new(descriptor.clone());
    let fields: Vec<(&str, &Value)> = match row.plain() {
        Value::Struct(fields) => fields.iter().map(|(name, value)| (&**name, value)).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| match key {
                Value::String(name) => Ok((&**name, value)),
                _ => Err(refuse(descriptor.full_name(), row)),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(refuse(descriptor.full_name(), row)),
    };
    for (name, value) in fields {
        let field = descriptor.get_field_by_name(name).or_else(|| descriptor.get_field_by_json_name(name));
        let Some(field) = field else {
            let expected = format!("{} (it has no such field)", descriptor.full_name());
            return Err(Violation { field: name.to_owned(), expected, found: avro::found(value) });
        };
        // Whoever says nothing of a field leaves it unset.
        if value.is_null() {
            continue;
        }
        let value = field_value(&field, value.plain()).map_err(|violation| {
            let rest = violation.field.strip_prefix('.').unwrap_or(&violation.field);
            let field = if rest.is_empty() { name.to_owned() } else { format!("{name}.{rest}") };
            Violation { field, ..violation }
        })?;
        message.set_field(&field, value);
    }
    Ok(message)
}

fn refuse(expected: &str, value: &Value) -> Violation {
    Violation { field: String::new(), expected: expected.to_owned(), found: avro::found(value) }
}

fn field_value(field: &FieldDescriptor, value: &Value) -> Result<Reflected, Violation> {
    if field.is_map() {
        return map(field, value);
    }
    if field.is_list() {
        let Value::List(items) = value else { return Err(refuse("a list", value)) };
        return items
            .iter()
            .map(|item| one(field, item.plain()))
            .collect::<Result<_, _>>()
            .map(Reflected::List);
    }
    one(field, value)
}

fn map(field: &FieldDescriptor, value: &Value) -> Result<Reflected, Violation> {
    let Kind::Message(entry) = field.kind() else { return Err(refuse("a map", value)) };
    let (key_field, value_field) = (entry.map_entry_key_field(), entry.map_entry_value_field());
    let pair = |key: &Value, value: &Value| {
        let key: Option<MapKey> = one(&key_field, key)?.into_map_key();
        let key = key.ok_or_else(|| refuse("a key of a map", value))?;
        Ok((key, one(&value_field, value.plain())?))
    };
    let entries = match value {
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| pair(key, value)).collect::<Result<_, _>>()?
        }
        Value::Struct(fields) => fields
            .iter()
            .map(|(name, value)| pair(&Value::String(name.clone()), value))
            .collect::<Result<_, _>>()?,
        _ => return Err(refuse("a map", value)),
    };
    Ok(Reflected::Map(entries))
}

fn one(field: &FieldDescriptor, value: &Value) -> Result<Reflected, Violation> {
    let kind = field.kind();
    let found = match &kind {
        Kind::Bool => match value {
            Value::Boolean(flag) => Some(Reflected::Bool(*flag)),
            Value::String(text) => text.parse().ok().map(Reflected::Bool),
            _ => None,
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            integer(value).and_then(|number| i32::try_from(number).ok()).map(Reflected::I32)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            integer(value).and_then(|number| i64::try_from(number).ok()).map(Reflected::I64)
        }
        Kind::Uint32 | Kind::Fixed32 => {
            integer(value).and_then(|number| u32::try_from(number).ok()).map(Reflected::U32)
        }
        Kind::Uint64 | Kind::Fixed64 => {
            integer(value).and_then(|number| u64::try_from(number).ok()).map(Reflected::U64)
        }
        Kind::Double => float(value).map(Reflected::F64),
        Kind::Float => float(value).map(|number| Reflected::F32(number as f32)),
        Kind::String => text(value).map(Reflected::String),
        Kind::Bytes => match value {
            Value::Bytes(bytes) => Some(Reflected::Bytes(bytes.clone())),
            Value::String(text) => {
                crate::json_schema::base64(text).map(|bytes| Reflected::Bytes(bytes.into()))
            }
            _ => None,
        },
        Kind::Enum(kind) => match value {
            Value::String(name) => kind.get_value_by_name(name).map(|value| value.number()),
            Value::Int(number) => i32::try_from(*number).ok(),
            _ => None,
        }
        .map(Reflected::EnumNumber),
        Kind::Message(inner) => return logical(field, inner, value).map(Reflected::Message),
    };
    found.ok_or_else(|| refuse(&expected(&kind), value))
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Enum(kind) => {
            let names: Vec<String> = kind.values().map(|value| value.name().to_owned()).collect();
            format!("one of {}", crate::shorten(&names.join(", "), 120))
        }
        kind => format!("{kind:?}").to_ascii_lowercase(),
    }
}

/// A message that stands for one value, or one of the file's own.
fn logical(
    field: &FieldDescriptor,
    descriptor: &MessageDescriptor,
    value: &Value,
) -> Result<DynamicMessage, Violation> {
    let name = descriptor.full_name();
    let made = |parts: Option<Vec<(&str, Reflected)>>| {
        let mut message = DynamicMessage::new(descriptor.clone());
        for (name, part) in parts.ok_or_else(|| refuse(name, value))? {
            message.set_field_by_name(name, part);
        }
        Ok(message)
    };
    if let Value::Struct(_) | Value::Map(_) = value
        && !name.starts_with("google.protobuf.")
    {
        return message(descriptor, value);
    }
    match name {
        "google.protobuf.Timestamp" => made(microseconds(value).map(|us| {
            let nanos = us.rem_euclid(1_000_000) as i32 * 1_000;
            vec![("seconds", Reflected::I64(us.div_euclid(1_000_000))), ("nanos", Reflected::I32(nanos))]
        })),
        DATE => made(date(value)),
        TIME_OF_DAY => made(match value {
            Value::TimeMs(ms) => Some(vec![
                ("hours", Reflected::I32(ms / 3_600_000)),
                ("minutes", Reflected::I32(ms / 60_000 % 60)),
                ("seconds", Reflected::I32(ms / 1_000 % 60)),
                ("nanos", Reflected::I32(ms % 1_000 * 1_000_000)),
            ]),
            _ => None,
        }),
        DECIMAL => made(decimal(field, value)),
        DECIMAL_TEXT => made(text(value).map(|text| vec![("value", Reflected::String(text))])),
        name if is_wrapper(name) => {
            let inner = descriptor.get_field_by_name("value").ok_or_else(|| refuse(name, value))?;
            made(Some(vec![("value", one(&inner, value)?)]))
        }
        name if name.starts_with("google.protobuf.") => {
            let mut json = Vec::new();
            write_json(value, &mut json);
            let mut json = serde_json::Deserializer::from_slice(&json);
            DynamicMessage::deserialize(descriptor.clone(), &mut json)
                .map_err(|error| refuse(&format!("{name} ({error})"), value))
        }
        _ => Err(refuse(name, value)),
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) | Value::TimestampMs(number) => Some((*number).into()),
        Value::TimestampUs(us) => Some(us.div_euclid(1_000).into()),
        Value::Date(number) | Value::TimeMs(number) => Some((*number).into()),
        Value::Boolean(_) => None,
        other => {
            let (unscaled, scale) = avro::written(other)?;
            avro::rescaled(unscaled, scale, 0)
        }
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Decimal { .. } => text(value)?.parse().ok(),
        Value::String(text) => match &**text {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Date(days) => format::date_text(*days),
        Value::TimestampMs(_) | Value::TimestampUs(_) => format::moment_text(microseconds(value)?),
        Value::Decimal { .. } => {
            let mut digits = Vec::new();
            write_json(value, &mut digits);
            String::from_utf8(digits).ok()
        }
        Value::Bytes(bytes) => Some(STANDARD.encode(bytes)),
        _ => None,
    }
}

fn microseconds(value: &Value) -> Option<i64> {
    match value {
        Value::TimestampMs(ms) => ms.checked_mul(1_000),
        Value::TimestampUs(us) => Some(*us),
        Value::Date(days) => Some(i64::from(*days) * 86_400_000_000),
        Value::String(text) => format::timestamp_us(text),
        _ => None,
    }
}

fn date(value: &Value) -> Option<Vec<(&'static str, Reflected)>> {
    let text = match value {
        Value::Date(days) => format::date_text(*days)?,
        Value::String(text) if format::is_date(text) => text.to_string(),
        _ => return None,
    };
    let mut parts = text.split('-').map(|part| part.parse().ok().map(Reflected::I32));
    Some(vec![("year", parts.next()??), ("month", parts.next()??), ("day", parts.next()??)])
}

fn decimal(field: &FieldDescriptor, value: &Value) -> Option<Vec<(&'static str, Reflected)>> {
    let (mut unscaled, mut scale) = avro::written(value)?;
    if let Some(wanted) = connect::parameters(field).get("scale").and_then(|text| text.parse().ok()) {
        unscaled = avro::rescaled(unscaled, scale, wanted)?;
        scale = wanted;
    }
    let precision = unscaled.unsigned_abs().to_string().len() as u32;
    Some(vec![
        ("value", Reflected::Bytes(avro::shortest(&unscaled.to_be_bytes()).to_vec().into())),
        ("precision", Reflected::U32(precision)),
        ("scale", Reflected::I32(scale)),
    ])
}

#[cfg(test)]
mod tests;

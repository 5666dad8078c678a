//! Firestore's types and ours, both ways. Nothing is lost on the way out and back: what only Firestore has is tagged.
//!
//! | Firestore | here | a sink also takes |
//! |---|---|---|
//! | null, boolean, integer, double, string, bytes | the same | decimal, time: a string of their digits |
//! | timestamp (microseconds) | `TimestampUs` | `TimestampMs`; date: its midnight in UTC |
//! | reference | `reference` over the name as a string | |
//! | GeoPoint | `geoPoint` over a struct of latitude and longitude | |
//! | vector (a map of type `__vector__`) | `vector` over a list of numbers | |
//! | array | list | a map whose keys are no strings: an array of maps with `key` and `value` |
//! | map | struct, its fields by name | map |

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use base::Value;
use googleapis_tonic_google_firestore_v1::google::{
    firestore::v1::{self as pb, value::ValueType},
    r#type::LatLng,
};

pub(super) const REFERENCE: &str = "reference";
pub(super) const GEO_POINT: &str = "geoPoint";
pub(super) const VECTOR: &str = "vector";
const VECTOR_TYPE: (&str, &str) = ("__type__", "__vector__");
/// Firestore takes maps and arrays in each other up to this depth.
const DEPTH_MAX: usize = 20;
const FIELD_NAME_BYTES_MAX: usize = 1_500;
/// 0001-01-01 and 9999-12-31T23:59:59, in seconds.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// Names that are kept for sharing; a collection whose maps have more keys than this keeps them as data.
const NAMES_COUNT_MAX: usize = 10_000;

pub(super) type Fields = BTreeMap<String, pb::Value>;

/// Field names, shared between the rows of a reader.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Arc<str>>);

impl Names {
    fn of(&mut self, name: String) -> Arc<str> {
        if let Some(known) = self.0.get(&name) {
            return known.clone();
        }
        let shared: Arc<str> = name.as_str().into();
        if self.0.len() < NAMES_COUNT_MAX {
            self.0.insert(name, shared.clone());
        }
        shared
    }
}

/// The fields of a document as a row; adds about how many bytes they are to `bytes`.
pub(super) fn row(fields: Fields, names: &mut Names, bytes: &mut usize) -> Result<Value, &'static str> {
    let read = |(name, value): (String, pb::Value)| {
        *bytes += name.len() + 16;
        Ok((names.of(name), read(value, names, bytes)?))
    };
    Ok(Value::Struct(fields.into_iter().map(read).collect::<Result<_, &'static str>>()?))
}

/// One value of Firestore's; an error names a kind that no document can hold.
pub(super) fn read(value: pb::Value, names: &mut Names, bytes: &mut usize) -> Result<Value, &'static str> {
    *bytes += 16;
    Ok(match value.value_type {
        None | Some(ValueType::NullValue(_)) => Value::Null,
        Some(ValueType::BooleanValue(is)) => Value::Boolean(is),
        Some(ValueType::IntegerValue(whole)) => Value::Int(whole),
        Some(ValueType::DoubleValue(number)) => Value::Float(number),
        Some(ValueType::TimestampValue(time)) => {
            Value::TimestampUs(time.seconds * 1_000_000 + i64::from(time.nanos / 1_000))
        }
        Some(ValueType::StringValue(text)) => {
            *bytes += text.len();
            Value::string(text)
        }
        Some(ValueType::BytesValue(data)) => {
            *bytes += data.len();
            Value::Bytes(data)
        }
        Some(ValueType::ReferenceValue(name)) => {
            *bytes += name.len();
            Value::tagged(REFERENCE, Value::string(name))
        }
        Some(ValueType::GeoPointValue(point)) => {
            let axes = [("latitude", point.latitude), ("longitude", point.longitude)];
            let axis = |(name, degrees): (&str, f64)| (names.of(name.to_owned()), Value::Float(degrees));
            Value::tagged(GEO_POINT, Value::Struct(axes.into_iter().map(axis).collect()))
        }
        Some(ValueType::ArrayValue(array)) => list(array, names, bytes)?,
        Some(ValueType::MapValue(mut map)) => match vector(&mut map.fields) {
            Some(array) => Value::tagged(VECTOR, list(array, names, bytes)?),
            None => row(map.fields, names, bytes)?,
        },
        Some(ValueType::FieldReferenceValue(_)) => return Err("a field reference"),
        Some(ValueType::VariableReferenceValue(_)) => return Err("a variable reference"),
        Some(ValueType::FunctionValue(_)) => return Err("a function"),
        Some(ValueType::PipelineValue(_)) => return Err("a pipeline"),
    })
}

fn list(array: pb::ArrayValue, names: &mut Names, bytes: &mut usize) -> Result<Value, &'static str> {
    let items = array.values.into_iter().map(|item| read(item, names, bytes));
    Ok(Value::List(items.collect::<Result<_, _>>()?))
}

/// Takes the numbers out of a map that is a vector.
fn vector(fields: &mut Fields) -> Option<pb::ArrayValue> {
    let kind = fields.get(VECTOR_TYPE.0)?.value_type.as_ref()?;
    if !matches!(kind, ValueType::StringValue(kind) if kind == VECTOR_TYPE.1) || fields.len() != 2 {
        return None;
    }
    match fields.get_mut("value")?.value_type.take()? {
        ValueType::ArrayValue(array) => Some(array),
        other => {
            fields.get_mut("value")?.value_type = Some(other);
            None
        }
    }
}

pub(super) fn of(kind: ValueType) -> pb::Value {
    pb::Value { value_type: Some(kind) }
}

/// The fields of a row, or why it cannot be a document.
pub(super) fn fields(row: &Value) -> Result<Fields, String> {
    match write(row, 0)?.value_type {
        Some(ValueType::MapValue(map)) => Ok(map.fields),
        _ => Err(format!("a document is a map of fields, not {}", row.kind_name())),
    }
}

/// A value as Firestore takes it.
pub(super) fn write(value: &Value, depth: usize) -> Result<pb::Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("maps and arrays lie deeper than {DEPTH_MAX} in each other"));
    }
    Ok(of(match value {
        Value::Null => ValueType::NullValue(0),
        Value::Boolean(is) => ValueType::BooleanValue(*is),
        Value::Int(whole) => ValueType::IntegerValue(*whole),
        Value::Float(number) => ValueType::DoubleValue(*number),
        Value::Decimal { unscaled, scale } => ValueType::StringValue(decimal(*unscaled, *scale)),
        Value::String(text) => ValueType::StringValue(text.to_string()),
        Value::Bytes(data) => ValueType::BytesValue(data.clone()),
        Value::Date(days) => timestamp(i64::from(*days) * 86_400, 0)?,
        Value::TimeMs(ms) => ValueType::StringValue(time(*ms)),
        Value::TimestampMs(ms) => timestamp(ms.div_euclid(1_000), ms.rem_euclid(1_000) as i32 * 1_000_000)?,
        Value::TimestampUs(us) => {
            timestamp(us.div_euclid(1_000_000), us.rem_euclid(1_000_000) as i32 * 1_000)?
        }
        Value::List(items) => array(items, depth)?,
        Value::Map(entries) => match string_keys(entries) {
            Some(named) => map(named.into_iter(), depth)?,
            None => pairs(entries, depth)?,
        },
        Value::Struct(fields) => map(fields.iter().map(|(name, value)| (&**name, value)), depth)?,
        Value::Tagged { tag, value } => match (*tag, &**value) {
            (REFERENCE, Value::String(name)) => ValueType::ReferenceValue(name.to_string()),
            (GEO_POINT, point) => geo_point(point)?,
            (VECTOR, Value::List(items)) => vector_map(array(items, depth)?),
            (_, plain) => return write(plain, depth),
        },
    }))
}

fn array(items: &[Value], depth: usize) -> Result<ValueType, String> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        if matches!(item.plain(), Value::List(_)) && !matches!(item, Value::Tagged { tag: VECTOR, .. }) {
            return Err("an array lies directly in an array, which Firestore has not".to_owned());
        }
        values.push(write(item, depth + 1)?);
    }
    Ok(ValueType::ArrayValue(pb::ArrayValue { values }))
}

/// Where all keys are strings.
fn string_keys(entries: &[(Value, Value)]) -> Option<Vec<(&str, &Value)>> {
    let mut named = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let Value::String(name) = key else { return None };
        named.push((&**name, value));
    }
    Some(named)
}

fn map<'a>(entries: impl Iterator<Item = (&'a str, &'a Value)>, depth: usize) -> Result<ValueType, String> {
    let mut fields = Fields::new();
    for (name, value) in entries {
        check_field_name(name)?;
        let value = write(value, depth + 1).map_err(|why| at(name, why))?;
        if fields.insert(name.to_owned(), value).is_some() {
            return Err(format!("the field {name} stands in it twice"));
        }
    }
    Ok(ValueType::MapValue(pb::MapValue { fields }))
}

/// Puts a field's name before a reason that comes from within it.
fn at(name: &str, why: String) -> String {
    match why.split_once(": ") {
        Some((below, why)) => format!("{name}.{below}: {why}"),
        None => format!("{name}: {why}"),
    }
}

fn pairs(entries: &[(Value, Value)], depth: usize) -> Result<ValueType, String> {
    let pair =
        |(key, value): &(Value, Value)| Ok(of(map([("key", key), ("value", value)].into_iter(), depth + 1)?));
    let values = entries.iter().map(pair).collect::<Result<_, String>>()?;
    Ok(ValueType::ArrayValue(pb::ArrayValue { values }))
}

fn geo_point(point: &Value) -> Result<ValueType, String> {
    let degrees = |name: &str| match point.get(name) {
        Some(Value::Float(degrees)) => Ok(*degrees),
        Some(Value::Int(degrees)) => Ok(*degrees as f64),
        _ => Err(format!("a GeoPoint has no {name}")),
    };
    let (latitude, longitude) = (degrees("latitude")?, degrees("longitude")?);
    Ok(ValueType::GeoPointValue(LatLng { latitude, longitude }))
}

fn vector_map(numbers: ValueType) -> ValueType {
    let (name, kind) = VECTOR_TYPE;
    let fields =
        [(name.to_owned(), of(ValueType::StringValue(kind.to_owned()))), ("value".to_owned(), of(numbers))];
    ValueType::MapValue(pb::MapValue { fields: fields.into() })
}

fn timestamp(seconds: i64, nanos: i32) -> Result<ValueType, String> {
    if !SECONDS.contains(&seconds) {
        return Err(format!("{seconds} s since 1970 is not within the years 1 to 9999"));
    }
    Ok(ValueType::TimestampValue(prost_types::Timestamp { seconds, nanos }))
}

/// Why Firestore would not take a field's name.
pub(super) fn check_field_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a field has an empty name".to_owned());
    }
    if name.len() > FIELD_NAME_BYTES_MAX {
        return Err(format!("a field's name has {} bytes, more than {FIELD_NAME_BYTES_MAX}", name.len()));
    }
    if is_reserved(name) {
        return Err(format!("the name `{name}` is Firestore's own"));
    }
    Ok(())
}

/// `__.*__`
pub(super) fn is_reserved(name: &str) -> bool {
    name.len() >= 4 && name.starts_with("__") && name.ends_with("__")
}

/// `-12345` of scale 2 as `-123.45`; a negative scale adds zeros.
fn decimal(unscaled: i128, scale: i32) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    let Ok(places) = usize::try_from(scale) else {
        let zeros = if unscaled == 0 { 0 } else { scale.unsigned_abs() as usize };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    };
    if places == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, part) = padded.split_at(padded.len() - places);
    format!("{sign}{whole}.{part}")
}

fn time(ms: i32) -> String {
    let (seconds, rest) = (ms.div_euclid(1_000), ms.rem_euclid(1_000));
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

//! Values to BSON, written where it is needed and once; what of it JSON needs too is for `json`.

use std::sync::Arc;

use base::Value;
use mongodb::bson::{Bson, RawDocument};

use super::{
    decimal,
    types::{self, SUBTYPE_GENERIC, SUBTYPE_OLD, SUBTYPE_UUID, kind, tag},
};

/// Why a value cannot be stored.
pub(super) type Reason = String;

/// mongod takes 100 levels; it says so itself.
const DEPTH_MAX: usize = 200;

/// The fields of a record, as the elements of a document: without its length and its end.
pub(super) fn append_record(record: &Value, out: &mut Vec<u8>) -> Result<(), Reason> {
    match record.plain() {
        Value::Struct(fields) => {
            fields.iter().try_for_each(|(name, value)| append(out, name.as_bytes(), value, 0))
        }
        Value::Map(entries) => entries.iter().try_for_each(|(name, value)| match name.plain() {
            Value::String(name) => append(out, name.as_bytes(), value, 0),
            other => Err(format!("a document has names, not a key that is {}", other.kind_name())),
        }),
        other => Err(format!("expected a document, found {}", other.kind_name())),
    }
}

/// One value as the driver has it.
pub(super) fn bson(value: &Value) -> Result<Bson, Reason> {
    let mut document = vec![0; 4];
    append(&mut document, b"", value, 0)?;
    close(&mut document, 0);
    let first = RawDocument::from_bytes(&document).ok().and_then(|document| document.iter().next());
    match first {
        Some(Ok((_, value))) => Bson::try_from(value).map_err(|error| error.to_string()),
        _ => Err("it cannot be written".to_owned()),
    }
}

fn append(out: &mut Vec<u8>, name: &[u8], value: &Value, depth: usize) -> Result<(), Reason> {
    if depth > DEPTH_MAX {
        return Err(format!("it is nested more than {DEPTH_MAX} levels deep"));
    }
    match value {
        Value::Null => header(out, kind::NULL, name),
        Value::Boolean(truth) => fixed(out, kind::BOOLEAN, name, &[u8::from(*truth)]),
        Value::Int(number) => integer(out, name, *number),
        Value::Float(number) => fixed(out, kind::DOUBLE, name, &number.to_le_bytes()),
        Value::Decimal { unscaled, scale } => match decimal::of(*unscaled, *scale) {
            Some(bytes) => fixed(out, kind::DECIMAL128, name, &bytes),
            None => Err("a decimal has more than the 34 digits of Decimal128".to_owned()),
        },
        Value::String(text) => string(out, kind::STRING, name, text.as_bytes()),
        Value::Bytes(bytes) => binary(out, name, SUBTYPE_GENERIC, bytes),
        Value::Date(days) => fixed(out, kind::DATE, name, &(i64::from(*days) * DAY_MS).to_le_bytes()),
        Value::TimeMs(time_ms) => integer(out, name, (*time_ms).into()),
        Value::TimestampMs(time_ms) => fixed(out, kind::DATE, name, &time_ms.to_le_bytes()),
        Value::TimestampUs(time_us) => fixed(out, kind::DATE, name, &time_us.div_euclid(1_000).to_le_bytes()),
        Value::List(values) => nested(out, kind::ARRAY, name, |out| {
            let mut index = Index::default();
            values.iter().try_for_each(|value| append(out, index.next(), value, depth + 1))
        }),
        Value::Map(entries) => append_map(out, name, entries, depth),
        Value::Struct(fields) => nested(out, kind::DOCUMENT, name, |out| {
            fields.iter().try_for_each(|(name, value)| append(out, name.as_bytes(), value, depth + 1))
        }),
        Value::Tagged { tag, value } => append_tagged(out, name, tag, value, depth),
    }
}

const DAY_MS: i64 = 86_400_000;

/// Keys that are not texts make an array of `{k, v}`, as `$objectToArray` does.
fn append_map(
    out: &mut Vec<u8>,
    name: &[u8],
    entries: &[(Value, Value)],
    depth: usize,
) -> Result<(), Reason> {
    if entries.iter().all(|(key, _)| matches!(key, Value::String(_))) {
        return nested(out, kind::DOCUMENT, name, |out| {
            entries.iter().try_for_each(|(key, value)| match key {
                Value::String(key) => append(out, key.as_bytes(), value, depth + 1),
                other => Err(format!("a document has names, not a key that is {}", other.kind_name())),
            })
        });
    }
    nested(out, kind::ARRAY, name, |out| {
        let mut index = Index::default();
        entries.iter().try_for_each(|(key, value)| {
            nested(out, kind::DOCUMENT, index.next(), |out| {
                append(out, b"k", key, depth + 2)?;
                append(out, b"v", value, depth + 2)
            })
        })
    })
}

/// What came from MongoDB as it was there; a tag of another store, or over what it cannot stand over, is seen through.
fn append_tagged(
    out: &mut Vec<u8>,
    name: &[u8],
    tag: &str,
    value: &Value,
    depth: usize,
) -> Result<(), Reason> {
    let start = out.len();
    let is_written = match (tag, value) {
        (tag::OBJECT_ID, Value::String(hex)) => {
            types::hex_bytes::<12>(hex.as_bytes()).map(|bytes| fixed(out, kind::OBJECT_ID, name, &bytes))
        }
        (tag::INT64, Value::Int(number)) => Some(fixed(out, kind::INT64, name, &number.to_le_bytes())),
        (tag::DECIMAL128, Value::String(text)) => {
            decimal::parse(text).map(|bytes| fixed(out, kind::DECIMAL128, name, &bytes))
        }
        (tag::DECIMAL128, Value::Bytes(bytes)) if bytes.len() == 16 => {
            Some(fixed(out, kind::DECIMAL128, name, bytes))
        }
        (tag::UUID, Value::String(text)) => {
            types::uuid_bytes(text).map(|bytes| binary(out, name, SUBTYPE_UUID, &bytes))
        }
        (tag::STRING, value) => text_of(value).map(|text| string(out, kind::STRING, name, text)),
        (tag::SYMBOL, value) => text_of(value).map(|text| string(out, kind::SYMBOL, name, text)),
        (tag::JAVASCRIPT, value) => text_of(value).map(|text| string(out, kind::JAVASCRIPT, name, text)),
        (tag::UNDEFINED, Value::Null) => Some(header(out, kind::UNDEFINED, name)),
        (tag::MIN_KEY, Value::String(_)) => Some(header(out, kind::MIN_KEY, name)),
        (tag::MAX_KEY, Value::String(_)) => Some(header(out, kind::MAX_KEY, name)),
        (tag::REGEX | tag::DB_POINTER | tag::JAVASCRIPT_WITH_SCOPE | tag::TIMESTAMP, value) => {
            append_pair(out, name, tag, value, depth)
        }
        (tag, Value::Bytes(bytes)) => {
            types::binary_subtype(tag).map(|subtype| binary(out, name, subtype, bytes))
        }
        _ => None,
    };
    is_written.unwrap_or_else(|| {
        out.truncate(start);
        append(out, name, value, depth)
    })
}

/// The types that are a struct of two fields.
fn append_pair(
    out: &mut Vec<u8>,
    name: &[u8],
    tag: &str,
    value: &Value,
    depth: usize,
) -> Option<Result<(), Reason>> {
    match tag {
        tag::REGEX => {
            let (pattern, options) = (text_of(value.get("pattern")?)?, text_of(value.get("options")?)?);
            if pattern.contains(&0) || options.contains(&0) {
                return Some(Err("a regular expression has a zero byte".to_owned()));
            }
            Some(fixed(out, kind::REGEX, name, &[pattern, &[0], options, &[0]].concat()))
        }
        tag::DB_POINTER => {
            let Value::String(hex) = value.get("id")?.plain() else { return None };
            let id = types::hex_bytes::<12>(hex.as_bytes())?;
            let namespace = text_of(value.get("ns")?)?;
            Some(string(out, kind::DB_POINTER, name, namespace).map(|()| out.extend_from_slice(&id)))
        }
        tag::TIMESTAMP => {
            let (Value::Int(seconds), Value::Int(increment)) = (value.get("t")?, value.get("i")?) else {
                return None;
            };
            let (seconds, increment) = (u32::try_from(*seconds).ok()?, u32::try_from(*increment).ok()?);
            let bytes = [increment.to_le_bytes(), seconds.to_le_bytes()].concat();
            Some(fixed(out, kind::TIMESTAMP, name, &bytes))
        }
        _ => {
            let code = text_of(value.get("code")?)?;
            let Value::Struct(scope) = value.get("scope")? else { return None };
            Some(code_with_scope(out, name, code, scope, depth))
        }
    }
}

/// It is counted like a document, but has no zero byte of its own at its end.
fn code_with_scope(
    out: &mut Vec<u8>,
    name: &[u8],
    code: &[u8],
    scope: &[(Arc<str>, Value)],
    depth: usize,
) -> Result<(), Reason> {
    header(out, kind::JAVASCRIPT_WITH_SCOPE, name)?;
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    append_text(out, code)?;
    let scope_start = out.len();
    out.extend_from_slice(&[0; 4]);
    scope.iter().try_for_each(|(name, value)| append(out, name.as_bytes(), value, depth + 1))?;
    close(out, scope_start);
    let total = length(out.len() - start)?;
    out[start..start + 4].copy_from_slice(&total);
    Ok(())
}

/// Text, or what stands for text that is not UTF-8.
fn text_of(value: &Value) -> Option<&[u8]> {
    match value.plain() {
        Value::String(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

pub(super) fn header(out: &mut Vec<u8>, kind: u8, name: &[u8]) -> Result<(), Reason> {
    if name.contains(&0) {
        return Err(format!("the field {:?} has a zero byte in its name", String::from_utf8_lossy(name)));
    }
    out.push(kind);
    out.extend_from_slice(name);
    out.push(0);
    Ok(())
}

pub(super) fn fixed(out: &mut Vec<u8>, kind: u8, name: &[u8], value: &[u8]) -> Result<(), Reason> {
    header(out, kind, name)?;
    out.extend_from_slice(value);
    Ok(())
}

/// int32 where it fits, as MongoDB's own drivers write whole numbers.
pub(super) fn integer(out: &mut Vec<u8>, name: &[u8], number: i64) -> Result<(), Reason> {
    match i32::try_from(number) {
        Ok(small) => fixed(out, kind::INT32, name, &small.to_le_bytes()),
        Err(_) => fixed(out, kind::INT64, name, &number.to_le_bytes()),
    }
}

pub(super) fn string(out: &mut Vec<u8>, kind: u8, name: &[u8], text: &[u8]) -> Result<(), Reason> {
    header(out, kind, name)?;
    append_text(out, text)
}

fn append_text(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Reason> {
    out.extend_from_slice(&length(text.len() + 1)?);
    out.extend_from_slice(text);
    out.push(0);
    Ok(())
}

fn binary(out: &mut Vec<u8>, name: &[u8], subtype: u8, bytes: &[u8]) -> Result<(), Reason> {
    header(out, kind::BINARY, name)?;
    let inner = length(bytes.len())?;
    if subtype == SUBTYPE_OLD {
        out.extend_from_slice(&length(bytes.len() + 4)?);
        out.push(subtype);
    }
    out.extend_from_slice(&inner);
    if subtype != SUBTYPE_OLD {
        out.push(subtype);
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn length(count: usize) -> Result<[u8; 4], Reason> {
    i32::try_from(count)
        .map(i32::to_le_bytes)
        .map_err(|_| format!("{count} bytes are too many for one value"))
}

fn nested(
    out: &mut Vec<u8>,
    kind: u8,
    name: &[u8],
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    header(out, kind, name)?;
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out)?;
    close(out, start);
    Ok(())
}

/// Ends the document that begins at `start` with room for its length.
pub(super) fn close(out: &mut Vec<u8>, start: usize) {
    out.push(0);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// The names of an array's elements: `0`, `1`, ….
#[derive(Default)]
pub(super) struct Index {
    next: u32,
    digits: [u8; 10],
}

impl Index {
    pub(super) fn next(&mut self) -> &[u8] {
        let (mut number, mut at) = (self.next, self.digits.len());
        self.next += 1;
        loop {
            at -= 1;
            self.digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return &self.digits[at..];
            }
        }
    }
}

//! DynamoDB's attribute types and our values, in one table, straight from and to the JSON of its API.
//!
//! | DynamoDB | a row's value | back |
//! |---|---|---|
//! | S | string | S; dates, times and timestamps too, in ISO 8601 |
//! | N | integer where 64 bits hold it, else a decimal of up to 38 places, else `N` over its digits | N |
//! | B | bytes | B |
//! | BOOL, NULL | boolean, null | BOOL, NULL |
//! | M | struct, names in their order | M; maps with string keys too |
//! | L | list | L |
//! | SS, NS, BS | `SS`, `NS`, `BS` over a list | SS, NS, BS |
//!
//! Nothing is lost in rows. An item has no order of its own, so attributes stand sorted by name, the keys first: the same
//! item gives the same row in every life.

use std::{borrow::Cow, fmt, sync::Arc};

use base::Value;
use contracts::{json_schema::base64, validate::write_json};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};

use super::tables::{KeyAttribute, Keys};
use crate::names::{Name, Names};

/// Decimal digits that a number of DynamoDB keeps, and places behind the point that every format of ours has.
const DIGITS_COUNT_MAX: usize = 38;
/// How deep lists and maps may lie in each other.
const DEPTH_MAX: usize = 32;

/// The items of a page, as rows.
pub(super) fn rows(items: &[u8], keys: &Keys) -> Result<Vec<Value>, serde_json::Error> {
    let names = Names::default();
    let mut reader = serde_json::Deserializer::from_slice(items);
    let rows = Each(Fields { names: &names, keys: Some(keys) }).deserialize(&mut reader)?;
    reader.end()?;
    Ok(rows)
}

/// A JSON document as a row: `null`, numbers, texts, arrays and objects.
pub(super) fn plain(json: &[u8]) -> Result<Value, serde_json::Error> {
    let names = Names::default();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Plain(&names).deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// A list of whatever the seed reads.
struct Each<S>(S);

impl<'de, S: DeserializeSeed<'de> + Copy> DeserializeSeed<'de> for Each<S> {
    type Value = Vec<S::Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for Each<S> {
    type Value = Vec<S::Value>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0));
        while let Some(item) = items.next_element_seed(self.0)? {
            list.push(item);
        }
        Ok(list)
    }
}

/// Attributes by name: an item, whose keys come first, or a map.
#[derive(Clone, Copy)]
struct Fields<'a> {
    names: &'a Names,
    keys: Option<&'a Keys>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("attributes by name")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut fields: Vec<(Arc<str>, Value)> = Vec::with_capacity(16);
        while let Some(name) = members.next_key_seed(Name(self.names))? {
            fields.push((name, members.next_value_seed(Attribute(self.names))?));
        }
        let rank = |name: &str| self.keys.map_or(0, |keys| keys.rank(name));
        fields.sort_unstable_by(|(one, _), (other, _)| {
            rank(one).cmp(&rank(other)).then_with(|| one.as_bytes().cmp(other.as_bytes()))
        });
        Ok(Value::Struct(fields))
    }
}

/// `{"S": "text"}`: one value under the word for its type.
#[derive(Clone, Copy)]
struct Attribute<'a>(&'a Names);

impl<'de> DeserializeSeed<'de> for Attribute<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Attribute<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value under the word for its type")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let Some(Word(word)) = members.next_key()? else {
            return Err(A::Error::custom("a value without a type"));
        };
        let value = match &*word {
            "S" => members.next_value_seed(Scalar::Text)?,
            "N" => members.next_value_seed(Scalar::Number)?,
            "B" => members.next_value_seed(Scalar::Bytes)?,
            "BOOL" => Value::Boolean(members.next_value()?),
            "NULL" => {
                members.next_value::<bool>()?;
                Value::Null
            }
            "M" => members.next_value_seed(Fields { names: self.0, keys: None })?,
            "L" => Value::List(members.next_value_seed(Each(Attribute(self.0)))?),
            "SS" => Value::tagged("SS", Value::List(members.next_value_seed(Each(Scalar::Text))?)),
            "NS" => Value::tagged("NS", Value::List(members.next_value_seed(Each(Scalar::Number))?)),
            "BS" => Value::tagged("BS", Value::List(members.next_value_seed(Each(Scalar::Bytes))?)),
            other => {
                return Err(A::Error::unknown_variant(other, &["S", "N", "B", "BOOL", "NULL", "M", "L"]));
            }
        };
        Ok(value)
    }
}

/// A string of the JSON, borrowed where it can be.
#[derive(serde::Deserialize)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

/// What DynamoDB writes as a string of JSON.
#[derive(Clone, Copy)]
enum Scalar {
    Text,
    Number,
    Bytes,
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Scalar {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Scalar::Text => "a text",
            Scalar::Number => "the digits of a number",
            Scalar::Bytes => "bytes in base64",
        })
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        match self {
            Scalar::Text => Ok(Value::String(text.into())),
            Scalar::Number => Ok(number(text)),
            Scalar::Bytes => match base64(text) {
                Some(bytes) => Ok(Value::Bytes(bytes.into())),
                None => Err(E::invalid_value(Unexpected::Str(text), &self)),
            },
        }
    }
}

/// A number by its digits, as exactly as it can be held.
pub(super) fn number(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) => Value::Int(number),
        Err(_) => decimal(text).unwrap_or_else(|| Value::tagged("N", Value::string(text))),
    }
}

fn decimal(text: &str) -> Option<Value> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    while scale < 0 {
        unscaled = unscaled.checked_mul(10)?;
        scale += 1;
    }
    match i64::try_from(unscaled) {
        Ok(number) if scale == 0 => Some(Value::Int(number)),
        _ => (scale as usize <= DIGITS_COUNT_MAX).then_some(Value::Decimal { unscaled, scale }),
    }
}

/// JSON without types of its own.
#[derive(Clone, Copy)]
struct Plain<'a>(&'a Names);

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Boolean(flag))
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        let wide = Value::Decimal { unscaled: i128::from(number), scale: 0 };
        Ok(i64::try_from(number).map_or(wide, Value::Int))
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Value, A::Error> {
        Ok(Value::List(Each(self).visit_seq(items)?))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut fields: Vec<(Arc<str>, Value)> = Vec::new();
        while let Some(name) = members.next_key_seed(Name(self.0))? {
            let value = members.next_value_seed(self)?;
            // The last one of a name wins, as in every parser that keeps one.
            fields.retain(|(known, _)| *known != name);
            fields.push((name, value));
        }
        Ok(Value::Struct(fields))
    }
}

/// Appends `{"S":"…"}` and gives the value's size as DynamoDB counts it; what an error leaves in `out` is the caller's to
/// cut off.
pub(super) fn write_attribute(value: &Value, out: &mut Vec<u8>) -> Result<usize, Unfit> {
    write_within(value, out, 0)
}

fn write_within(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<usize, Unfit> {
    if depth > DEPTH_MAX {
        return Err(Unfit::new(format!("lists and maps lie more than {DEPTH_MAX} deep in each other")));
    }
    match value {
        Value::Null => Ok(put(out, b"{\"NULL\":true}", 1)),
        Value::Boolean(true) => Ok(put(out, b"{\"BOOL\":true}", 1)),
        Value::Boolean(false) => Ok(put(out, b"{\"BOOL\":false}", 1)),
        Value::Int(_) | Value::Float(_) | Value::Decimal { .. } => {
            let digits = digits(value)?;
            out.extend_from_slice(b"{\"N\":\"");
            out.extend_from_slice(digits.as_bytes());
            Ok(put(out, b"\"}", number_size(&digits)))
        }
        Value::Bytes(bytes) => {
            out.extend_from_slice(b"{\"B\":");
            write_json(value, out);
            Ok(put(out, b"}", bytes.len()))
        }
        Value::String(_)
        | Value::Date(_)
        | Value::TimeMs(_)
        | Value::TimestampMs(_)
        | Value::TimestampUs(_) => {
            let text = text(value).ok_or_else(|| Unfit::new("a time beyond the calendar"))?;
            out.extend_from_slice(b"{\"S\":");
            write_text(&text, out)?;
            Ok(put(out, b"}", text.len()))
        }
        Value::List(items) => write_list(items, out, depth),
        Value::Map(entries) => {
            out.extend_from_slice(b"{\"M\":");
            let named = entries.iter().map(|(key, value)| match key.plain() {
                Value::String(name) => Ok((&**name, value)),
                other => {
                    Err(Unfit::new(format!("a map has the key {}: DynamoDB's have texts", other.kind_name())))
                }
            });
            let size = write_members(named, out, depth)?;
            Ok(put(out, b"}", size))
        }
        Value::Struct(fields) => {
            out.extend_from_slice(b"{\"M\":");
            let size = write_fields(fields, out, depth)?;
            Ok(put(out, b"}", size))
        }
        Value::Tagged { tag, value } => match (*tag, &**value) {
            ("N", Value::String(digits)) => {
                check_digits(digits)?;
                out.extend_from_slice(b"{\"N\":");
                write_text(digits, out)?;
                Ok(put(out, b"}", number_size(digits)))
            }
            ("SS" | "NS" | "BS", Value::List(items)) if !items.is_empty() => write_set(tag, items, out),
            (_, value) => write_within(value, out, depth),
        },
    }
}

fn write_list(items: &[Value], out: &mut Vec<u8>, depth: usize) -> Result<usize, Unfit> {
    out.extend_from_slice(b"{\"L\":[");
    let mut size = 3;
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        size +=
            1 + write_within(item, out, depth + 1).map_err(|unfit| unfit.within(&format!("[{place}]")))?;
    }
    Ok(put(out, b"]}", size))
}

/// Fields of a struct as the members of a JSON object.
pub(super) fn write_fields(
    fields: &[(Arc<str>, Value)],
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<usize, Unfit> {
    write_members(fields.iter().map(|(name, value)| Ok((&**name, value))), out, depth)
}

fn write_members<'a>(
    members: impl Iterator<Item = Result<(&'a str, &'a Value), Unfit>>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<usize, Unfit> {
    out.push(b'{');
    let mut size = 3;
    for (place, member) in members.enumerate() {
        let (name, value) = member?;
        if name.is_empty() {
            return Err(Unfit::new("an attribute has no name"));
        }
        if place > 0 {
            out.push(b',');
        }
        write_text(name, out)?;
        out.push(b':');
        size += 1 + name.len() + write_within(value, out, depth + 1).map_err(|unfit| unfit.within(name))?;
    }
    Ok(put(out, b"}", size))
}

fn write_set(tag: &str, items: &[Value], out: &mut Vec<u8>) -> Result<usize, Unfit> {
    out.extend_from_slice(format!("{{\"{tag}\":[").as_bytes());
    let mut size = 0;
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        size += match (tag, item.plain()) {
            ("SS", Value::String(text)) => {
                write_text(text, out)?;
                text.len()
            }
            ("BS", Value::Bytes(bytes)) => {
                write_json(item.plain(), out);
                bytes.len()
            }
            // Digits that no number of ours holds are a text with a tag.
            ("NS", Value::String(digits)) => {
                check_digits(digits)?;
                write_text(digits, out)?;
                number_size(digits)
            }
            ("NS", number @ (Value::Int(_) | Value::Float(_) | Value::Decimal { .. })) => {
                let digits = digits(number)?;
                write_text(&digits, out)?;
                number_size(&digits)
            }
            (_, other) => return Err(Unfit::new(format!("a set {tag} holds a {}", other.kind_name()))),
        };
    }
    Ok(put(out, b"]}", size))
}

fn put(out: &mut Vec<u8>, text: &[u8], size: usize) -> usize {
    out.extend_from_slice(text);
    size
}

/// A quoted text of JSON.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), Unfit> {
    serde_json::to_writer(out, text).map_err(|error| Unfit::new(error.to_string()))
}

/// Why DynamoDB has no type for a value, and where in the record it lies.
#[derive(Debug)]
pub(super) struct Unfit {
    path: String,
    reason: String,
}

impl Unfit {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { path: String::new(), reason: reason.into() }
    }

    pub(super) fn within(self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{step}{dot}{}", self.path), ..self }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)
    }
}

/// `-12.5E+3`: what DynamoDB reads as a number.
fn check_digits(text: &str) -> Result<(), Unfit> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.trim_start_matches(['-', '+']).replacen('.', "", 1);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match is_number && mantissa.len() <= digits.len() + 2 && exponent.parse::<i32>().is_ok() {
        true => Ok(()),
        false => Err(Unfit::new(format!("{text:?} is no number"))),
    }
}

/// A byte for two digits, and one more.
fn number_size(digits: &str) -> usize {
    digits.len().div_ceil(2) + 1
}

/// A number as DynamoDB reads it.
pub(super) fn digits(value: &Value) -> Result<String, Unfit> {
    match value {
        Value::Int(number) => Ok(number.to_string()),
        Value::Float(number) if !number.is_finite() => {
            Err(Unfit::new(format!("{number} is no number to DynamoDB")))
        }
        Value::Float(number) if *number != 0.0 && !(1e-130..1e126).contains(&number.abs()) => {
            Err(Unfit::new(format!("{number:e} is outside of DynamoDB's numbers, 1E-130 to 9.99E125")))
        }
        Value::Float(number) if *number == 0.0 || (1e-7..1e15).contains(&number.abs()) => {
            Ok(number.to_string())
        }
        Value::Float(number) => Ok(format!("{number:e}")),
        Value::Decimal { unscaled, scale } => {
            let count = unscaled.unsigned_abs().to_string().trim_end_matches('0').len();
            if count > DIGITS_COUNT_MAX {
                return Err(Unfit::new(format!(
                    "a decimal of {count} digits: DynamoDB keeps {DIGITS_COUNT_MAX}"
                )));
            }
            let mut out = Vec::new();
            write_json(&Value::Decimal { unscaled: *unscaled, scale: *scale }, &mut out);
            Ok(String::from_utf8_lossy(&out).into_owned())
        }
        other => Err(Unfit::new(format!("a {} is no number", other.kind_name()))),
    }
}

/// A value that DynamoDB keeps as a text.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    let time = |ms: i64| chrono::DateTime::from_timestamp_millis(ms);
    Some(match value {
        Value::String(text) => Cow::Borrowed(&**text),
        Value::Date(days) => {
            let day = time(i64::from(*days) * 86_400_000)?;
            day.format("%Y-%m-%d").to_string().into()
        }
        Value::TimeMs(ms) => time(i64::from(*ms))?.format("%H:%M:%S%.3f").to_string().into(),
        Value::TimestampMs(ms) => time(*ms)?.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into(),
        Value::TimestampUs(us) => {
            let at = chrono::DateTime::from_timestamp_micros(*us)?;
            at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into()
        }
        _ => return None,
    })
}

/// A scalar as it comes back from DynamoDB.
pub(super) fn as_read(value: &Value) -> Value {
    match (digits(value), text(value)) {
        (Ok(digits), _) => number(&digits),
        (Err(_), Some(text)) => Value::string(text),
        (Err(_), None) => value.clone(),
    }
}

/// Appends a key attribute's value as text: what the envelope's key is made of.
pub(super) fn write_key_text(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bytes(_) => {
            let start = out.len();
            write_json(value, out);
            // Without its quotes.
            out.remove(start);
            out.pop();
        }
        Value::Int(_) | Value::Decimal { .. } => {
            out.extend_from_slice(digits(value).unwrap_or_default().as_bytes())
        }
        Value::Tagged { value, .. } => write_key_text(value, out),
        other => out.extend_from_slice(text(other).unwrap_or_default().as_bytes()),
    }
}

/// The primary key as text: `N14228`, or `UA|17` with a sort key, where `|` and `\` in the first part have a `\` before.
pub(super) fn key_text(row: &Value, keys: &Keys, out: &mut Vec<u8>) {
    let part = |key: &KeyAttribute, out: &mut Vec<u8>| {
        if let Some(value) = row.field(&key.name) {
            write_key_text(value, out);
        }
    };
    let Some(sort) = &keys.sort else { return part(&keys.partition, out) };
    let mut first = Vec::new();
    part(&keys.partition, &mut first);
    for byte in first {
        if matches!(byte, b'|' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'|');
    part(sort, out);
}

/// The parts of a key's text.
pub(super) fn split_key_text(text: &str) -> (String, Option<&str>) {
    let mut first = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '|' => return (first, Some(&text[at + 1..])),
            '\\' => first.extend(letters.next().map(|(_, next)| next)),
            other => first.push(other),
        }
    }
    (first, None)
}

/// A top-level field by its whole name.
pub(super) trait Field {
    fn field(&self, name: &str) -> Option<&Value>;
}

impl Field for Value {
    fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Struct(fields) => {
                fields.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

//! JSON text to values with the types that JSON has, straight from the bytes; names of fields are shared between the records
//! of a batch.

use std::{fmt, sync::Arc};

use base::{Value, code};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{
    names::{Name, Names},
    record::{Refusal, malformed},
};

/// # Errors
/// What is no JSON, or more than one text.
pub fn read(bytes: &[u8], names: &Names) -> Result<Value, serde_json::Error> {
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let value = Seed(names).deserialize(&mut input)?;
    input.end().map(|()| value)
}

/// # Errors
/// What is no JSON, and JSON that is no object.
pub(super) fn expect_object(record: &[u8]) -> Result<(), Refusal> {
    serde_json::from_slice::<IgnoredAny>(record).map_err(|error| malformed(&error))?;
    if record.trim_ascii_start().first() == Some(&b'{') {
        return Ok(());
    }
    object(record, &Names::default()).map(drop)
}

/// # Errors
/// As [`expect_object`].
pub(super) fn object(record: &[u8], names: &Names) -> Result<Value, Refusal> {
    match read(record, names).map_err(|error| malformed(&error))? {
        value @ Value::Struct(_) => Ok(value),
        other => Err(no_object(other.kind_name())),
    }
}

pub(super) fn no_object(kind: &str) -> Refusal {
    Refusal { at: 0, code: code::TM0773, reason: format!("a row is an object, not {kind}") }
}

#[derive(Clone, Copy)]
struct Seed<'a>(&'a Names);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(match i64::try_from(number) {
            Ok(number) => Value::Int(number),
            Err(_) => Value::Decimal { unscaled: number.into(), scale: 0 },
        })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::string(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0));
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields: Vec<(Arc<str>, Value)> = Vec::new();
        while let Some(name) = entries.next_key_seed(Name(self.0))? {
            let value = entries.next_value_seed(self)?;
            // Of a name that comes twice the last value counts.
            match fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => fields.push((name, value)),
            }
        }
        Ok(Value::Struct(fields))
    }
}

//! JSON bytes to a value, by a schema or without one, in one pass.
//!
//! The rules are those of JsonConverter and JsonSchemaConverter: bytes and decimals are base64 (a decimal may be a
//! number), dates, times and timestamps are whole numbers, fields that the schema does not have are left out, and those
//! that the record does not have become their default or null.

use std::{fmt, sync::Arc};

use base::{Kind, Schema, Value};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};

/// What a null becomes where the field has a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    Defaults,
    Stay,
}

/// Reads one document by its schema; the error names the field.
pub(crate) fn read(bytes: &[u8], schema: &Schema, nulls: Nulls) -> Result<Value, String> {
    run(bytes, By { schema, nulls })
}

/// Reads one document as it is: objects become maps, as Connect has them without a schema.
pub(crate) fn read_plain(bytes: &[u8]) -> Result<Value, String> {
    run(bytes, Plain)
}

/// Whether the bytes are one JSON document.
pub(crate) fn is_json(bytes: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<IgnoredAny>(bytes).map(drop).map_err(|error| format!("not JSON: {error}"))
}

fn run<'de, S: DeserializeSeed<'de, Value = Value>>(bytes: &'de [u8], seed: S) -> Result<Value, String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    value.map_err(|error| {
        let text = error.to_string();
        let told = text.split(" at line ").next().unwrap_or(&text);
        if error.is_data() { told.to_owned() } else { format!("not JSON: {text}") }
    })
}

#[derive(Clone, Copy)]
struct By<'a> {
    schema: &'a Schema,
    nulls: Nulls,
}

impl By<'_> {
    /// What stands for a null or a missing field.
    fn absent<E: serde::de::Error>(self, field: Option<&str>) -> Result<Value, E> {
        if self.nulls == Nulls::Defaults
            && let Some(default) = &self.schema.default
        {
            return Ok(default.clone());
        }
        if self.schema.optional {
            return Ok(Value::Null);
        }
        let field = field.map(|field| format!("{field}: ")).unwrap_or_default();
        Err(E::custom(format!("{field}null where {} is required", expected(&self.schema.kind))))
    }

    fn wrong<E: serde::de::Error>(self, found: Unexpected<'_>) -> E {
        E::custom(format!("expected {}, found {found}", expected(&self.schema.kind)))
    }

    fn integer<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        let fits = match self.schema.kind {
            Kind::Int8 => i8::try_from(number).is_ok(),
            Kind::Int16 => i16::try_from(number).is_ok(),
            Kind::Int32 | Kind::Date | Kind::TimeMs => i32::try_from(number).is_ok(),
            _ => true,
        };
        if !fits {
            return Err(E::custom(format!("{number} does not fit {}", expected(&self.schema.kind))));
        }
        Ok(match self.schema.kind {
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Value::Int(number),
            Kind::Float32 | Kind::Float64 => Value::Float(number as f64),
            // It fits: the check above has said so.
            Kind::Date => Value::Date(number as i32),
            Kind::TimeMs => Value::TimeMs(number as i32),
            Kind::TimestampMs => Value::TimestampMs(number),
            Kind::Decimal { scale } => {
                let unscaled = u32::try_from(scale).ok().and_then(|scale| 10i128.checked_pow(scale));
                let unscaled = unscaled.and_then(|factor| factor.checked_mul(i128::from(number)));
                let unscaled = unscaled.ok_or_else(|| E::custom("a decimal of more than 38 digits"))?;
                Value::Decimal { unscaled, scale }
            }
            _ => return Err(self.wrong(Unexpected::Signed(number))),
        })
    }
}

impl<'de> DeserializeSeed<'de> for By<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for By<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(expected(&self.schema.kind))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.absent(None)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Value, E> {
        match self.schema.kind {
            Kind::Boolean => Ok(Value::Boolean(flag)),
            _ => Err(self.wrong(Unexpected::Bool(flag))),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        self.integer(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        match (i64::try_from(number), &self.schema.kind) {
            (Ok(number), _) => self.integer(number),
            (Err(_), Kind::Float32 | Kind::Float64) => Ok(Value::Float(number as f64)),
            (Err(_), _) => Err(self.wrong(Unexpected::Unsigned(number))),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        match self.schema.kind {
            Kind::Float32 | Kind::Float64 => Ok(Value::Float(number)),
            Kind::Decimal { scale } => {
                let unscaled = (number * 10f64.powi(scale)).round();
                if unscaled.abs() < 1e15 {
                    Ok(Value::Decimal { unscaled: unscaled as i128, scale })
                } else {
                    Err(E::custom("a decimal of so many digits has to be base64 text"))
                }
            }
            // JSON Schema counts 1.0 among the integers.
            _ if number.fract() == 0.0 && number.abs() < 9e15 => self.integer(number as i64),
            _ => Err(self.wrong(Unexpected::Float(number))),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        match self.schema.kind {
            Kind::String => Ok(Value::String(text.into())),
            Kind::Bytes => match contracts::json_schema::base64(text) {
                Some(bytes) => Ok(Value::Bytes(bytes.into())),
                None => Err(E::custom("expected bytes in base64")),
            },
            Kind::Decimal { scale } => {
                let bytes =
                    contracts::json_schema::base64(text).filter(|bytes| (1..=16).contains(&bytes.len()));
                let bytes =
                    bytes.ok_or_else(|| E::custom("expected a decimal in base64, of at most 38 digits"))?;
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                let unscaled = bytes.iter().fold(sign, |number: i128, byte| number << 8 | i128::from(*byte));
                Ok(Value::Decimal { unscaled, scale })
            }
            // What JSON has no number for.
            Kind::Float32 | Kind::Float64 if matches!(text, "NaN" | "Infinity" | "-Infinity") => {
                Ok(Value::Float(text.parse().unwrap_or(f64::NAN)))
            }
            _ => Err(self.wrong(Unexpected::Str(text))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        match &self.schema.kind {
            Kind::Array(item) => {
                let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0));
                while let Some(value) = items.next_element_seed(By { schema: item, ..self })? {
                    list.push(value);
                }
                Ok(Value::List(list))
            }
            Kind::Map { key, value } => {
                let mut entries = Vec::new();
                let pair = Pair { key: By { schema: key, ..self }, value: By { schema: value, ..self } };
                while let Some(entry) = items.next_element_seed(pair)? {
                    entries.push(entry);
                }
                Ok(Value::Map(entries))
            }
            _ => Err(self.wrong(Unexpected::Seq)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        match &self.schema.kind {
            Kind::Map { value, .. } => {
                let mut map = Vec::new();
                while let Some(key) = entries.next_key::<std::borrow::Cow<'de, str>>()? {
                    let value = entries.next_value_seed(By { schema: value, ..self })?;
                    map.push((Value::String(key.as_ref().into()), value));
                }
                Ok(Value::Map(map))
            }
            Kind::Struct(fields) => self.read_struct(fields, entries),
            _ => Err(self.wrong(Unexpected::Map)),
        }
    }
}

impl By<'_> {
    fn read_struct<'de, A: MapAccess<'de>>(
        self,
        fields: &[base::Field],
        mut entries: A,
    ) -> Result<Value, A::Error> {
        let mut values: Vec<Option<Value>> = Vec::with_capacity(fields.len());
        values.resize_with(fields.len(), || None);
        // Records mostly have their fields in the schema's order: look there before searching.
        let mut next = 0;
        while let Some(at) = entries.next_key_seed(Place { fields, next })? {
            let Some(at) = at else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let seed = By { schema: &fields[at].schema, ..self };
            let value = entries.next_value_seed(seed).map_err(|error| named(&fields[at].name, &error))?;
            values[at] = Some(value);
            next = at + 1;
        }
        let mut row = Vec::with_capacity(fields.len());
        for (field, value) in fields.iter().zip(values) {
            let value = match value {
                Some(value) => value,
                None => By { schema: &field.schema, ..self }.absent(Some(&field.name))?,
            };
            row.push((field.name.clone(), value));
        }
        Ok(Value::Struct(row))
    }
}

/// Puts the field's name in front; serde's `at line … column …` is left out, the record is one line of its own.
fn named<E: serde::de::Error>(field: &str, error: &E) -> E {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    match text.split_once(": ") {
        Some((inner, rest)) if !inner.contains(' ') => E::custom(format!("{field}.{inner}: {rest}")),
        _ => E::custom(format!("{field}: {text}")),
    }
}

/// Which field a key is.
struct Place<'a> {
    fields: &'a [base::Field],
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        if self.fields.get(self.next).is_some_and(|field| &*field.name == name) {
            return Ok(Some(self.next));
        }
        Ok(self.fields.iter().position(|field| &*field.name == name))
    }
}

/// An entry of a map whose keys are no strings: `[key, value]`.
#[derive(Clone, Copy)]
struct Pair<'a> {
    key: By<'a>,
    value: By<'a>,
}

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = (Value, Value);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = (Value, Value);

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an entry of a map: [key, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let missing = || A::Error::custom("an entry of a map has a key and a value");
        let key = items.next_element_seed(self.key)?.ok_or_else(missing)?;
        let value = items.next_element_seed(self.value)?.ok_or_else(missing)?;
        Ok((key, value))
    }
}

/// Any JSON as a value.
#[derive(Clone, Copy)]
struct Plain;

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
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
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = items.next_element_seed(Plain)? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Arc<str>>()? {
            map.push((Value::String(key), entries.next_value_seed(Plain)?));
        }
        Ok(Value::Map(map))
    }
}

fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Int8 => "a whole number of 8 bits",
        Kind::Int16 => "a whole number of 16 bits",
        Kind::Int32 => "a whole number of 32 bits",
        Kind::Int64 => "a whole number",
        Kind::Float32 | Kind::Float64 => "a number",
        Kind::Boolean => "a boolean",
        Kind::String => "a string",
        Kind::Bytes => "bytes in base64",
        Kind::Date => "a date in days",
        Kind::TimeMs => "a time in milliseconds",
        Kind::TimestampMs => "a timestamp in milliseconds",
        Kind::Decimal { .. } => "a decimal",
        Kind::Array(_) => "an array",
        Kind::Map { .. } => "a map",
        Kind::Struct(_) => "an object",
    }
}

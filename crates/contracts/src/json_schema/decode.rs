//! JSON text to values by the row model, straight from the bytes: no tree of JSON between, but for unions.
//!
//! Members that the schema does not name are passed over, as Confluent's converter does.

use std::{cell::RefCell, fmt, sync::Arc};

use base::{ContractKind, Field, Kind, Schema, Value};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::{
    JsonSchema,
    connect::{Mapping, UNION, absent, schema_of},
};
use crate::{Error, avro::unscaled, errors::shorten};

/// Decodes records of one schema.
#[derive(Debug, Clone)]
pub struct Decoder {
    schema: Arc<Schema>,
}

impl Decoder {
    pub fn new(path: &str, text: &str) -> Result<Self, Error> {
        Self::with_mapping(path, text, Mapping::default())
    }

    pub fn with_mapping(path: &str, text: &str, mapping: Mapping) -> Result<Self, Error> {
        let document = JsonSchema::parse(path, text)?;
        Ok(Self { schema: Arc::new(schema_of(path, &document, mapping)?) })
    }

    pub fn of(schema: Arc<Schema>) -> Self {
        Self { schema }
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// One record's JSON, without the five bytes of the wire format. TM0506 where it does not match the schema.
    pub fn decode(&self, bytes: &[u8]) -> Result<Value, Error> {
        let path = RefCell::new(Vec::new());
        let mut input = serde_json::Deserializer::from_slice(bytes);
        let read = Seed { schema: &self.schema, path: &path }.deserialize(&mut input);
        read.and_then(|value| input.end().map(|()| value)).map_err(|error| {
            let mut field = path.take();
            field.reverse();
            let field = if field.is_empty() { "the record".to_owned() } else { field.join(".") };
            Error::Decode { kind: ContractKind::JsonSchema, field, reason: error.to_string() }
        })
    }
}

/// The same from JSON that is already a tree: defaults and unions.
pub(crate) fn from_json(schema: &Schema, json: &Json) -> Result<Value, serde_json::Error> {
    let path = RefCell::new(Vec::new());
    Seed { schema, path: &path }.deserialize(json)
}

/// Reads one value of `schema`; on an error the fields down to it are pushed on `path`, innermost first.
#[derive(Clone, Copy)]
struct Seed<'a> {
    schema: &'a Schema,
    path: &'a RefCell<Vec<Arc<str>>>,
}

impl<'a> Seed<'a> {
    fn of(self, schema: &'a Schema) -> Self {
        Self { schema, ..self }
    }

    fn refuse<E: de::Error>(self, found: impl fmt::Display) -> E {
        E::custom(format_args!("expected {}, found {found}", expected(self.schema)))
    }

    fn integer<E: de::Error>(self, number: i64) -> Result<Value, E> {
        let narrow = |min: i64, max: i64| match (min..=max).contains(&number) {
            true => Ok(Value::Int(number)),
            false => Err(self.refuse(number)),
        };
        match &self.schema.kind {
            Kind::Int8 => narrow(i8::MIN.into(), i8::MAX.into()),
            Kind::Int16 => narrow(i16::MIN.into(), i16::MAX.into()),
            Kind::Int32 => narrow(i32::MIN.into(), i32::MAX.into()),
            Kind::Int64 => Ok(Value::Int(number)),
            Kind::Float32 | Kind::Float64 => Ok(Value::Float(number as f64)),
            Kind::Date => i32::try_from(number).map(Value::Date).map_err(|_| self.refuse(number)),
            Kind::TimeMs => i32::try_from(number).map(Value::TimeMs).map_err(|_| self.refuse(number)),
            Kind::TimestampMs => Ok(Value::TimestampMs(number)),
            Kind::Decimal { scale } => {
                decimal(&number.to_string(), *scale).ok_or_else(|| self.refuse(number))
            }
            _ => Err(self.refuse(number)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        if self.schema.name.as_deref() == Some(UNION) {
            let json = <Json as serde::Deserialize>::deserialize(input)?;
            return self.union(&json);
        }
        input.deserialize_any(self)
    }
}

impl Seed<'_> {
    /// The first branch that takes the value; the others are null.
    fn union<E: de::Error>(self, json: &Json) -> Result<Value, E> {
        if json.is_null() {
            return absent(self.schema).ok_or_else(|| self.refuse("null"));
        }
        let fields = self.schema.fields();
        let read = fields.iter().enumerate().find_map(|(index, field)| {
            let value = from_json(&field.schema, json).ok()?;
            all_known(&field.schema, json).then_some((index, value))
        });
        let Some((index, value)) = read else { return Err(self.refuse(shorten(&json.to_string(), 60))) };
        let mut row: Vec<_> = fields.iter().map(|field| (field.name.clone(), Value::Null)).collect();
        row[index].1 = value;
        Ok(Value::Struct(row))
    }
}

/// Whether a struct has a field for each member: it tells the branches of a union apart.
fn all_known(schema: &Schema, json: &Json) -> bool {
    match (&schema.kind, json) {
        (Kind::Struct(_), Json::Object(object)) => object.keys().all(|key| schema.field(key).is_some()),
        _ => true,
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(expected(self.schema))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        absent(self.schema).ok_or_else(|| self.refuse("null"))
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Value, E> {
        match self.schema.kind {
            Kind::Boolean => Ok(Value::Boolean(flag)),
            _ => Err(self.refuse(flag)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        self.integer(number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        match (i64::try_from(number), &self.schema.kind) {
            (Ok(number), _) => self.integer(number),
            (Err(_), Kind::Float32 | Kind::Float64) => Ok(Value::Float(number as f64)),
            (Err(_), _) => Err(self.refuse(number)),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match &self.schema.kind {
            Kind::Float32 | Kind::Float64 => Ok(Value::Float(number)),
            Kind::Decimal { scale } => {
                decimal(&number.to_string(), *scale).ok_or_else(|| self.refuse(number))
            }
            _ if number.fract() == 0.0 && number.abs() <= EXACT => self.integer(number as i64),
            _ => Err(self.refuse(number)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        let quoted = || format!("{:?}", shorten(text, 60));
        match &self.schema.kind {
            Kind::String => Ok(Value::String(text.into())),
            Kind::Bytes => base64(text)
                .map(|bytes| Value::Bytes(Bytes::from(bytes)))
                .ok_or_else(|| self.refuse(quoted())),
            // Connect's default is base64 of the unscaled number; `decimal.format=NUMERIC` writes digits.
            Kind::Decimal { scale } => {
                let unscaled = base64(text).and_then(|bytes| unscaled(&bytes));
                match unscaled {
                    Some(unscaled) => Ok(Value::Decimal { unscaled, scale: *scale }),
                    None => decimal(text, *scale).ok_or_else(|| self.refuse(quoted())),
                }
            }
            _ => Err(self.refuse(quoted())),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        match &self.schema.kind {
            Kind::Array(item) => {
                let mut list = Vec::new();
                while let Some(value) = input.next_element_seed(self.of(item))? {
                    list.push(value);
                }
                Ok(Value::List(list))
            }
            Kind::Map { key, value } => {
                let fields: Arc<[Field]> = Arc::new([
                    Field { name: "key".into(), schema: key.clone() },
                    Field { name: "value".into(), schema: value.clone() },
                ]);
                let entry = Schema::of(Kind::Struct(fields));
                let mut entries = Vec::new();
                while let Some(Value::Struct(pair)) =
                    input.next_element_seed(Seed { schema: &entry, path: self.path })?
                {
                    let mut pair = pair.into_iter().map(|(_, value)| value);
                    entries.push((pair.next().unwrap_or_default(), pair.next().unwrap_or_default()));
                }
                Ok(Value::Map(entries))
            }
            _ => Err(self.refuse("an array")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, input: A) -> Result<Value, A::Error> {
        match &self.schema.kind {
            Kind::Struct(fields) => self.visit_struct(fields, input),
            Kind::Map { value, .. } => self.visit_entries(value, input),
            _ => Err(self.refuse("an object")),
        }
    }
}

impl Seed<'_> {
    fn visit_struct<'de, A: MapAccess<'de>>(self, fields: &[Field], mut input: A) -> Result<Value, A::Error> {
        let mut row: Vec<(Arc<str>, Value)> =
            fields.iter().map(|field| (field.name.clone(), Value::Null)).collect();
        let mut next = 0;
        while let Some(found) = input.next_key_seed(Key { fields, next })? {
            let Some(place) = found else {
                input.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = &fields[place];
            row[place].1 = input
                .next_value_seed(Seed { schema: &field.schema, path: self.path })
                .inspect_err(|_| self.path.borrow_mut().push(field.name.clone()))?;
            next = place + 1;
        }
        for (field, (_, value)) in fields.iter().zip(&mut row) {
            if value.is_null() && !(field.schema.optional && field.schema.default.is_none()) {
                *value = absent(&field.schema).ok_or_else(|| {
                    self.path.borrow_mut().push(field.name.clone());
                    de::Error::custom(format_args!("expected {}, found nothing", expected(&field.schema)))
                })?;
            }
        }
        Ok(Value::Struct(row))
    }

    fn visit_entries<'de, A: MapAccess<'de>>(self, value: &Schema, mut input: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = input.next_key::<String>()? {
            let name: Arc<str> = key.into();
            let value = input
                .next_value_seed(Seed { schema: value, path: self.path })
                .inspect_err(|_| self.path.borrow_mut().push(name.clone()))?;
            entries.push((Value::String(name), value));
        }
        Ok(Value::Map(entries))
    }
}

/// A member's name to the field's place; the fields usually come in their order.
struct Key<'a> {
    fields: &'a [Field],
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Option<usize>, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        match self.fields.get(self.next) {
            Some(field) if &*field.name == name => Ok(Some(self.next)),
            _ => Ok(self.fields.iter().position(|field| &*field.name == name)),
        }
    }
}

fn expected(schema: &Schema) -> &'static str {
    match &schema.kind {
        Kind::Int8 => "an 8 bit integer",
        Kind::Int16 => "a 16 bit integer",
        Kind::Int32 => "a 32 bit integer",
        Kind::Int64 => "an integer",
        Kind::Float32 | Kind::Float64 => "a number",
        Kind::Boolean => "a boolean",
        Kind::String => "a string",
        Kind::Bytes => "a string of base64",
        Kind::Date => "days since 1970",
        Kind::TimeMs => "milliseconds since midnight",
        Kind::TimestampMs => "milliseconds since 1970",
        Kind::Decimal { .. } => "a decimal",
        Kind::Array(_) => "an array",
        Kind::Map { .. } => "an object of entries",
        Kind::Struct(_) if schema.name.as_deref() == Some(UNION) => "a value of one of its types",
        Kind::Struct(_) => "an object",
    }
}

/// Digits with a point and an exponent to an unscaled number; `None` where the scale would lose some.
pub(crate) fn decimal(text: &str, scale: i32) -> Option<Value> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let number: i128 = digits.parse().ok()?;
    let shift = scale.checked_add(exponent)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10i128.checked_pow(shift.unsigned_abs())?;
    let unscaled = match shift >= 0 {
        true => number.checked_mul(power)?,
        false if number % power == 0 => number / power,
        false => return None,
    };
    Some(Value::Decimal { unscaled, scale })
}

/// Bytes of a text in base64, of either alphabet, with or without its padding; `None` where it is no base64.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    const EITHER: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let text = text.trim_end_matches('=');
    if text.contains(['-', '_']) {
        return EITHER.decode(text.replace('-', "+").replace('_', "/")).ok();
    }
    EITHER.decode(text).ok()
}

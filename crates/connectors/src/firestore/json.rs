//! A record of JSON straight into Firestore's values, without a tree between.
//!
//! A whole number that 64 bits hold is an integer, any other number a double, as in Firestore's own clients.

use std::fmt;

use googleapis_tonic_google_firestore_v1::google::firestore::v1::{self as pb, value::ValueType};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::types::{Fields, check_field_name, of};

/// The fields of a document.
pub(super) fn fields(text: &[u8]) -> Result<Fields, String> {
    let Json(value) = serde_json::from_slice(text).map_err(|error| reason(&error))?;
    match value.value_type {
        Some(ValueType::MapValue(map)) => Ok(map.fields),
        _ => Err("a document is a JSON object".to_owned()),
    }
}

/// A value of parsed JSON, such as a filter's.
pub(super) fn value(json: &serde_json::Value) -> Result<pb::Value, String> {
    Json::deserialize(json).map(|Json(value)| value).map_err(|error| error.to_string())
}

/// Without its line, which is always the first.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    if error.is_data() { what.to_owned() } else { format!("not JSON: {what} at column {}", error.column()) }
}

struct Json(pb::Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Json)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = pb::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<pb::Value, E> {
        Ok(of(ValueType::NullValue(0)))
    }

    fn visit_bool<E>(self, is: bool) -> Result<pb::Value, E> {
        Ok(of(ValueType::BooleanValue(is)))
    }

    fn visit_i64<E>(self, whole: i64) -> Result<pb::Value, E> {
        Ok(of(ValueType::IntegerValue(whole)))
    }

    fn visit_u64<E>(self, whole: u64) -> Result<pb::Value, E> {
        Ok(of(match i64::try_from(whole) {
            Ok(whole) => ValueType::IntegerValue(whole),
            Err(_) => ValueType::DoubleValue(whole as f64),
        }))
    }

    fn visit_f64<E>(self, number: f64) -> Result<pb::Value, E> {
        Ok(of(ValueType::DoubleValue(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<pb::Value, E> {
        Ok(of(ValueType::StringValue(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<pb::Value, E> {
        Ok(of(ValueType::StringValue(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<pb::Value, A::Error> {
        let mut values = Vec::with_capacity(items.size_hint().unwrap_or(0));
        while let Some(Json(item)) = items.next_element()? {
            if matches!(item.value_type, Some(ValueType::ArrayValue(_))) {
                return Err(serde::de::Error::custom(
                    "an array lies directly in an array, which Firestore has not",
                ));
            }
            values.push(item);
        }
        Ok(of(ValueType::ArrayValue(pb::ArrayValue { values })))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<pb::Value, A::Error> {
        let mut fields = Fields::new();
        while let Some((name, Json(value))) = entries.next_entry::<String, Json>()? {
            check_field_name(&name).map_err(serde::de::Error::custom)?;
            fields.insert(name, value);
        }
        Ok(of(ValueType::MapValue(pb::MapValue { fields })))
    }
}

//! JSON documents as text into values. Names of fields are shared between the documents of a batch.

use std::{fmt, sync::Arc};

use arrow_array::{Array as _, BinaryViewArray};
use base::{Batch, Rejects, Value, code};
use connectors::names::{Name, Names};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::STAGE;

/// The values of a batch, and which of its texts could be read; the others are rejects.
pub(super) fn values(
    batch: &Batch,
    texts: &BinaryViewArray,
    rejects: &mut Rejects,
) -> (Vec<Value>, Vec<bool>) {
    let names = Names::default();
    let read = (0..texts.len()).map(|row| {
        if texts.is_null(row) {
            return (Value::Null, false);
        }
        match value(texts.value(row), &names) {
            Ok(value) => (value, true),
            Err(error) => {
                let reason = format!("not a JSON document: {error}");
                rejects.0.push(formats::reject(batch, row, code::TM1207, STAGE, reason));
                (Value::Null, false)
            }
        }
    });
    read.unzip()
}

fn value(text: &[u8], names: &Names) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Seed(names).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

struct Seed<'n>(&'n Names);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    /// What is too large for 64 bits with a sign is a decimal.
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        let decimal = Value::Decimal { unscaled: number.into(), scale: 0 };
        Ok(i64::try_from(number).map_or(decimal, Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::string(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed(self.0))? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields: Vec<(Arc<str>, Value)> = Vec::new();
        while let Some(name) = entries.next_key_seed(Name(self.0))? {
            let value = entries.next_value_seed(Seed(self.0))?;
            fields.push((name, value));
        }
        Ok(Value::Struct(fields))
    }
}

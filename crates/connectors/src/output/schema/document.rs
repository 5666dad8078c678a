//! What a JSON document holds, told from its text: no value is made of it.

use std::{fmt, sync::Arc};

use formats::Name;
use indexmap::IndexMap;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Seen;

impl Seen {
    /// `false`: it is no plain record, and what was seen of it has to be thrown away with all before it.
    pub(in crate::output) fn add_document(&mut self, text: &[u8]) -> bool {
        let mut input = serde_json::Deserializer::from_slice(text);
        let whole = input.deserialize_map(Seed(self)).and_then(|()| input.end());
        whole.is_ok()
    }
}

struct Seed<'a>(&'a mut Seen);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.0.count += 1;
        self.0.booleans += 1;
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.0.count += 1;
        self.0.integers += 1;
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.count += 1;
        match i64::try_from(number) {
            Ok(_) => self.0.integers += 1,
            // Of the scale 0.
            Err(_) => self.0.decimals += 1,
        }
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.0.count += 1;
        self.0.floats += 1;
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.0.count += 1;
        self.0.texts += 1;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.count += 1;
        self.0.lists += 1;
        let items = self.0.items.get_or_insert_default();
        while list.next_element_seed(Seed(items))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.count += 1;
        self.0.structs += 1;
        let fields = &mut self.0.fields;
        let (mut next, mut before) = (0, 0u128);
        while let Some(place) = entries.next_key_seed(Name(|name: &str| Ok(place_of(fields, next, name))))? {
            // Of a name that comes twice the last value alone would count.
            let bit = 1u128.checked_shl(place as u32).unwrap_or(0);
            if before & bit > 0 {
                return Err(de::Error::custom("a name that comes twice"));
            }
            before |= bit;
            entries.next_value_seed(Seed(&mut fields[place]))?;
            next = place + 1;
        }
        Ok(())
    }
}

/// The place of a field's name, most often behind the one before; a new one gets its place.
fn place_of(fields: &mut IndexMap<Arc<str>, Seen>, next: usize, name: &str) -> usize {
    if fields.get_index(next).is_some_and(|(known, _)| **known == *name) {
        return next;
    }
    match fields.get_index_of(name) {
        Some(place) => place,
        None => fields.insert_full(name.into(), Seen::default()).0,
    }
}

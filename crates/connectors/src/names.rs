//! Names of fields as they are read from JSON: the records of a batch share them.

use std::{cell::RefCell, collections::HashSet, fmt, sync::Arc};

use serde::de::{self, DeserializeSeed, Deserializer, Visitor};

/// Names kept: what has more is no set of names but data.
const NAMES_COUNT_MAX: usize = 4_096;

/// The field names of one batch.
#[derive(Default)]
pub struct Names(RefCell<HashSet<Arc<str>>>);

impl Names {
    pub fn shared(&self, name: &str) -> Arc<str> {
        let mut names = self.0.borrow_mut();
        if let Some(known) = names.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        if names.len() < NAMES_COUNT_MAX {
            names.insert(new.clone());
        }
        new
    }
}

/// Reads one name: the same `Arc` for each record that has it.
#[derive(Clone, Copy)]
pub struct Name<'a>(pub &'a Names);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Arc<str>;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Arc<str>, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Arc<str>, E> {
        Ok(self.0.shared(name))
    }
}

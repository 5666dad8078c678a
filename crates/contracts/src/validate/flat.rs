//! The fast validator: an object whose members are plain values, read from its bytes with no tree between.

use std::{borrow::Cow, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;

use super::rule::{Rule, Types};
use crate::{Violation, errors::shorten, json_schema::JsonSchema};

/// Words at the root that ask for nothing, or that are read below.
const KNOWN: [&str; 14] = [
    "$schema",
    "$id",
    "id",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "default",
    "examples",
    "$comment",
    "connect.version",
    "connect.parameters",
];
/// A bit for each property says which have come.
const PROPERTIES_COUNT_MAX: usize = 128;

/// A flat object's rules, in the order of the document.
#[derive(Debug, Clone)]
pub(crate) struct Flat {
    pub(crate) rules: Vec<Rule>,
    required: u128,
    /// No other members than the properties.
    pub(crate) closed: bool,
}

pub(crate) enum Verdict {
    Good,
    Bad(Violation),
    /// Something the rules do not decide: a member that comes twice, a text that is no JSON.
    Unsure,
}

impl Flat {
    pub(crate) fn compile(document: &JsonSchema) -> Option<Flat> {
        let root = document.json.as_object()?;
        let plain = root.keys().all(|key| KNOWN.contains(&key.as_str()));
        if !plain || root.get("type").and_then(Json::as_str) != Some("object") {
            return None;
        }
        let closed = match root.get("additionalProperties") {
            None => false,
            Some(Json::Bool(open)) => !open,
            Some(_) => return None,
        };
        let properties =
            root.get("properties")?.as_object().filter(|all| all.len() <= PROPERTIES_COUNT_MAX)?;
        let required: Vec<&str> = match root.get("required") {
            None => Vec::new(),
            Some(list) => list.as_array()?.iter().filter_map(Json::as_str).collect(),
        };
        if !required.iter().all(|name| properties.contains_key(*name)) {
            return None;
        }
        let whole_floats = document.draft() != jsonschema::Draft::Draft4;
        let rules = properties
            .iter()
            .map(|(name, json)| Rule::compile(name, json, required.contains(&name.as_str()), whole_floats))
            .collect::<Option<Vec<_>>>()?;
        let bits = rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.required)
            .fold(0, |bits, (at, _)| bits | 1u128 << at);
        Some(Flat { rules, required: bits, closed })
    }

    pub(crate) fn check_json(&self, bytes: &[u8]) -> Verdict {
        let mut found = None;
        let mut input = serde_json::Deserializer::from_slice(bytes);
        let read = (&mut input).deserialize_any(Object { flat: self, found: &mut found });
        let read = read.and_then(|()| input.end());
        match (read, found) {
            (_, Some(violation)) => Verdict::Bad(violation),
            (Ok(()), None) => Verdict::Good,
            (Err(_), None) => Verdict::Unsure,
        }
    }

    pub(crate) fn missing(&self, seen: u128) -> Option<Violation> {
        let missing = self.required & !seen;
        if missing == 0 {
            return None;
        }
        let rule = &self.rules[missing.trailing_zeros() as usize];
        Some(Violation {
            field: rule.name.to_string(),
            expected: rule.expected(),
            found: "nothing".to_owned(),
        })
    }
}

struct Object<'a> {
    flat: &'a Flat,
    found: &'a mut Option<Violation>,
}

/// Stops the reading; the verdict is in `found`, or the full validator decides.
fn stop<E: de::Error>() -> E {
    E::custom("stopped")
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<(), A::Error> {
        let (mut seen, mut next) = (0u128, 0usize);
        while let Some(member) = input.next_key_seed(Member { rules: &self.flat.rules, next })? {
            match member {
                Found::Rule(at) => {
                    if seen & 1 << at != 0 {
                        return Err(stop());
                    }
                    seen |= 1 << at;
                    next = at + 1;
                    input.next_value_seed(Cell { rule: &self.flat.rules[at], found: self.found })?;
                }
                Found::Other(name) if self.flat.closed => {
                    *self.found = Some(Violation {
                        field: name,
                        expected: "no such field".to_owned(),
                        found: "one".to_owned(),
                    });
                    return Err(stop());
                }
                Found::Other(_) => {
                    input.next_value::<IgnoredAny>()?;
                }
            }
        }
        match self.flat.missing(seen) {
            None => Ok(()),
            missing => {
                *self.found = missing;
                Err(stop())
            }
        }
    }
}

enum Found {
    Rule(usize),
    Other(String),
}

struct Member<'a> {
    rules: &'a [Rule],
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Found, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Found, E> {
        if self.rules.get(self.next).is_some_and(|rule| *rule.name == *name) {
            return Ok(Found::Rule(self.next));
        }
        match self.rules.iter().position(|rule| *rule.name == *name) {
            Some(at) => Ok(Found::Rule(at)),
            None => Ok(Found::Other(name.to_owned())),
        }
    }
}

/// One member's value under its rule.
struct Cell<'a> {
    rule: &'a Rule,
    found: &'a mut Option<Violation>,
}

impl Cell<'_> {
    fn verdict<E: de::Error>(self, good: bool, text: impl FnOnce() -> Cow<'static, str>) -> Result<(), E> {
        if good {
            return Ok(());
        }
        let found = text().into_owned();
        *self.found =
            Some(Violation { field: self.rule.name.to_string(), expected: self.rule.expected(), found });
        Err(stop())
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        let good = self.rule.types.has(Types::NULL);
        self.verdict(good, || "null".into())
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<(), E> {
        let good = self.rule.types.has(Types::BOOLEAN);
        self.verdict(good, || flag.to_string().into())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        let good = self.rule.takes_integer(number.into());
        self.verdict(good, || number.to_string().into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        let good = self.rule.takes_integer(number.into());
        self.verdict(good, || number.to_string().into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        let good = self.rule.takes_float(number);
        self.verdict(good, || number.to_string().into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let good = self.rule.takes_text(text);
        self.verdict(good, || format!("{:?}", shorten(text, 60)).into())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.verdict(false, || "an array".into())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.verdict(false, || "an object".into())
    }
}

//! JSON Schema documents, drafts 4 to 2020-12: parsed and checked, printed as the registry keeps them, mapped to rows.
//!
//! A document that names no draft is draft 7, as for Confluent's registry. A reference outside the document leads to one
//! that was given with it (`bundle`) or is refused: nothing here fetches.

mod bundle;
mod changes;
pub mod compatibility;
mod connect;
mod decode;
mod tags;

pub use connect::{Mapping, schema_of};
pub(crate) use decode::decimal;
pub use decode::{Decoder, base64};

use base::ContractKind;
use jsonschema::Draft;
use serde_json::{Map, Value as Json};

use crate::{Error, Referenced, place, read_json, validate::format};

/// Bounds the recursion over a document.
const DEPTH_MAX: usize = 128;

/// A JSON Schema that its draft's meta-schema accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonSchema {
    /// With the documents that it refers to, if there are any.
    pub(crate) json: Json,
    /// The document as it was given, where that is another.
    own: Option<Json>,
}

impl JsonSchema {
    pub fn parse(path: &str, text: &str) -> Result<Self, Error> {
        Self::parse_with(path, text, &[])
    }

    /// The same for a document that refers to others.
    pub fn parse_with(path: &str, text: &str, references: &[Referenced]) -> Result<Self, Error> {
        let json = read_json(path, text)?;
        let refuse = |pointer: &[String], reason: String| {
            let spot = Box::new(place::spot(path, text, pointer, "here"));
            Err(Error::Invalid { kind: ContractKind::JsonSchema, path: path.into(), spot, reason })
        };
        if !json.is_object() && !json.is_boolean() {
            return refuse(&[], "a schema is an object, or true or false".to_owned());
        }
        let (json, own) = match references {
            [] => (json, None),
            references => {
                let read =
                    |other: &Referenced| Ok((other.name.clone(), read_json(&other.name, &other.text)?));
                let others = references.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
                (bundle::bundled(&json, &others), Some(json))
            }
        };
        if let Err(error) = validator(&json) {
            let pointer = error.instance_path().to_string();
            let pointer: Vec<String> = pointer.split('/').skip(1).map(unescape).collect();
            return refuse(&pointer, error.to_string());
        }
        Ok(Self { json, own })
    }

    /// The document with all that it refers to in it.
    pub fn whole(&self) -> &Json {
        &self.json
    }

    /// The document as it was given.
    fn document(&self) -> &Json {
        self.own.as_ref().unwrap_or(&self.json)
    }

    /// Compact, in the order of the text: the registry's identity.
    pub fn canonical(&self) -> String {
        self.document().to_string()
    }

    /// Compact, with the members of every object sorted: Confluent's `normalize=true`.
    pub fn normalized(&self) -> String {
        sorted(self.document()).to_string()
    }

    pub(crate) fn has_property(&self, name: &str) -> bool {
        self.document().get("properties").is_some_and(|properties| properties.get(name).is_some())
    }

    pub(crate) fn title(&self) -> Option<String> {
        self.json.get("title").and_then(Json::as_str).map(str::to_owned)
    }

    pub(crate) fn draft(&self) -> Draft {
        draft_of(&self.json)
    }
}

/// The draft that `$schema` names; 7 where there is none or one that nobody knows.
fn draft_of(json: &Json) -> Draft {
    let named = json.get("$schema").and_then(Json::as_str).unwrap_or("");
    let named = named.trim_end_matches('#').trim_end_matches('/');
    match named.rsplit_once("json-schema.org/").map(|(_, rest)| rest) {
        Some("draft-04/schema") => Draft::Draft4,
        Some("draft-06/schema") => Draft::Draft6,
        Some("draft/2019-09/schema") => Draft::Draft201909,
        Some("draft/2020-12/schema") => Draft::Draft202012,
        _ => Draft::Draft7,
    }
}

/// The full validator of a document: formats are checked in every draft, with the same words as the fast one's.
pub(crate) fn validator(json: &Json) -> Result<jsonschema::Validator, jsonschema::ValidationError<'static>> {
    jsonschema::options()
        .with_draft(draft_of(json))
        .should_validate_formats(true)
        .with_format("date", format::is_date)
        .with_format("time", format::is_time)
        .with_format("date-time", format::is_date_time)
        .build(json)
}

/// One step of a JSON pointer as it was before escaping.
pub(crate) fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

fn sorted(json: &Json) -> Json {
    match json {
        Json::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            Json::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Json::Array(list) => Json::Array(list.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// What a `$ref` inside the document points at.
pub(crate) fn resolve<'a>(root: &'a Json, reference: &str) -> Option<&'a Json> {
    let pointer = reference.strip_prefix('#')?;
    if pointer.is_empty() || pointer.starts_with('/') {
        return root.pointer(pointer);
    }
    ["$defs", "definitions"].iter().find_map(|holder| {
        let definitions = root.get(holder)?.as_object()?;
        definitions.values().find(|schema| {
            schema.get("$anchor").and_then(Json::as_str) == Some(pointer)
                || schema.get("$id").and_then(Json::as_str) == Some(reference)
        })
    })
}

/// The members of a schema that is an object; none for `true` and `false`.
pub(crate) fn members(json: &Json) -> Option<&Map<String, Json>> {
    json.as_object()
}

#[cfg(test)]
mod tests;

//! JSON Schema to the row model, as Confluent's `JsonSchemaData.toConnectSchema` maps it.
//!
//! integer is int64 unless `connect.type` narrows it, number float64, title the name (and so the logical type), a `null` among
//! the types makes it optional, other unions a struct `io.confluent.connect.json.OneOf`. Fields stand in the document's
//! order, or by `connect.index`. A schema that accepts anything has no row and is refused.

use std::sync::Arc;

use base::{Field, Kind, Schema, Value};
use serde_json::{Map, Value as Json};

use super::{DEPTH_MAX, JsonSchema, members, resolve};
use crate::{
    Error,
    avro::words::{DATE, DECIMAL, TIME, TIMESTAMP},
};

pub(crate) const UNION: &str = "io.confluent.connect.json.OneOf";
const ENUM: &str = "io.confluent.connect.json.Enum";

/// Confluent's converter settings that change the mapping.
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    /// `use.optional.for.nonrequired`: a property that is not in `required` becomes an optional field.
    pub optional_when_not_required: bool,
}

impl Default for Mapping {
    fn default() -> Self {
        Self { optional_when_not_required: true }
    }
}

/// The row model of a document. TM0507 where it has none.
pub fn schema_of(path: &str, document: &JsonSchema, mapping: Mapping) -> Result<Schema, Error> {
    Mapper { root: &document.json, path, mapping, at: Vec::new() }.schema(&document.json)
}

struct Mapper<'a> {
    root: &'a Json,
    path: &'a str,
    mapping: Mapping,
    at: Vec<String>,
}

impl Mapper<'_> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, Error> {
        let place = if self.at.is_empty() { "its root".to_owned() } else { self.at.join(".") };
        Err(Error::Shape { path: self.path.into(), place, reason: reason.into() })
    }

    fn within<T>(&mut self, step: &str, map: impl FnOnce(&mut Self) -> T) -> T {
        self.at.push(step.to_owned());
        let result = map(self);
        self.at.pop();
        result
    }

    fn schema(&mut self, json: &Json) -> Result<Schema, Error> {
        if self.at.len() > DEPTH_MAX {
            return self.fail("it refers to itself, or is nested too deeply");
        }
        let flat;
        let object = match members(json) {
            None => return self.fail("true and false accept anything or nothing, which no row can hold"),
            Some(object) if object.contains_key("allOf") => {
                flat = self.merged(object)?;
                &flat
            }
            Some(object) => object,
        };
        if let Some(reference) = object.get("$ref").and_then(Json::as_str) {
            let Some(target) = resolve(self.root, reference) else {
                return self.fail(format!("{reference:?} is not in this document"));
            };
            return self.within("$ref", |mapper| mapper.schema(target)).map_err(|error| match error {
                Error::Shape { path, place, reason } => {
                    Error::Shape { path, place: place.replace("$ref.", ""), reason }
                }
                other => other,
            });
        }
        let (types, null) = types_of(object);
        let branches = ["oneOf", "anyOf"].iter().find_map(|word| object.get(*word)?.as_array());
        let mut schema = match (&types[..], branches) {
            ([], Some(branches)) => self.union(branches)?,
            ([], None) => self.untyped(object)?,
            ([only], _) => self.typed(only, object)?,
            (several, _) if several.iter().all(|word| matches!(&**word, "integer" | "number")) => {
                self.typed("number", object)?
            }
            (several, _) => self.union_of_types(several, object)?,
        };
        schema.optional |= null;
        describe(object, &mut schema);
        if let Some(default) = object.get("default").filter(|default| !default.is_null()) {
            schema.default = super::decode::from_json(&schema, default).ok();
        }
        Ok(schema)
    }

    /// `allOf` with the schema around it, as one: first type, all properties, all that is required.
    fn merged(&mut self, object: &Map<String, Json>) -> Result<Map<String, Json>, Error> {
        let mut merged = object.clone();
        let Some(Json::Array(parts)) = merged.remove("allOf") else { return Ok(merged) };
        for part in parts {
            let part = match part.get("$ref").and_then(Json::as_str) {
                Some(reference) => match resolve(self.root, reference) {
                    Some(target) => target.clone(),
                    None => return self.fail(format!("{reference:?} is not in this document")),
                },
                None => part,
            };
            let Json::Object(part) = part else { continue };
            let nested;
            let part = if part.contains_key("allOf") {
                nested = self.within("allOf", |mapper| match mapper.at.len() > DEPTH_MAX {
                    true => mapper.fail("it refers to itself, or is nested too deeply"),
                    false => mapper.merged(&part),
                })?;
                nested
            } else {
                part
            };
            for (key, value) in part {
                match (key.as_str(), merged.get_mut(&key), value) {
                    ("properties", Some(Json::Object(all)), Json::Object(more)) => {
                        for (name, schema) in more {
                            all.entry(name).or_insert(schema);
                        }
                    }
                    ("required", Some(Json::Array(all)), Json::Array(more)) => all.extend(more),
                    (_, None, value) => {
                        merged.insert(key, value);
                    }
                    (_, Some(_), _) => {}
                }
            }
        }
        Ok(merged)
    }

    /// The schema names no type: its other words tell, or nothing does.
    fn untyped(&mut self, object: &Map<String, Json>) -> Result<Schema, Error> {
        let single = object.get("const").map(|value| vec![value.clone()]);
        let values = object.get("enum").and_then(Json::as_array).cloned().or(single);
        if let Some(values) = values {
            let null = values.iter().any(Json::is_null);
            let mut words: Vec<&str> =
                values.iter().filter(|value| !value.is_null()).map(type_word).collect();
            words.sort_unstable();
            words.dedup();
            let word = match words[..] {
                [word] => word,
                ["integer", "number"] => "number",
                _ => return self.fail("its values are of several types"),
            };
            let schema = self.typed(word, object)?;
            return Ok(Schema { optional: schema.optional || null, ..schema });
        }
        if object.contains_key("properties") {
            return self.typed("object", object);
        }
        if object.contains_key("items") {
            return self.typed("array", object);
        }
        self.fail("it names no type, so any value fits and no row can hold it")
    }

    fn typed(&mut self, word: &str, object: &Map<String, Json>) -> Result<Schema, Error> {
        let connect = object.get("connect.type").and_then(Json::as_str);
        let title = object.get("title").and_then(Json::as_str);
        let kind = match (word, connect) {
            ("integer" | "number" | "string", _) if title == Some(DECIMAL) => {
                Kind::Decimal { scale: scale(object) }
            }
            ("integer", _) if title == Some(DATE) => Kind::Date,
            ("integer", _) if title == Some(TIME) => Kind::TimeMs,
            ("integer", _) if title == Some(TIMESTAMP) => Kind::TimestampMs,
            ("integer" | "number", Some("int8")) => Kind::Int8,
            ("integer" | "number", Some("int16")) => Kind::Int16,
            ("integer" | "number", Some("int32")) => Kind::Int32,
            ("integer", _) | ("number", Some("int64")) => Kind::Int64,
            ("number", Some("float32")) => Kind::Float32,
            ("number", _) => Kind::Float64,
            ("boolean", _) => Kind::Boolean,
            ("string", Some("bytes")) => Kind::Bytes,
            ("string", _) => Kind::String,
            ("array", _) => self.array(object, connect == Some("map"))?,
            ("object", _) => self.object(object, connect == Some("map"))?,
            ("null", _) => return self.fail("a type that is only null has no values"),
            (word, _) => return self.fail(format!("{word:?} is no type of JSON Schema")),
        };
        let mut schema = Schema::of(kind);
        if let (Kind::String, Some(Json::Array(values))) = (&schema.kind, object.get("enum")) {
            schema.parameters.insert(ENUM.to_owned(), title.unwrap_or("").to_owned());
            let texts = values.iter().filter_map(Json::as_str);
            schema.parameters.extend(texts.map(|text| (format!("{ENUM}.{text}"), text.to_owned())));
            schema.optional = values.iter().any(Json::is_null);
        }
        Ok(schema)
    }

    fn array(&mut self, object: &Map<String, Json>, is_map: bool) -> Result<Kind, Error> {
        let Some(items) = object.get("items").filter(|items| items.is_object()) else {
            return self.fail("an array needs one schema for its \"items\"");
        };
        let item = self.within("[]", |mapper| mapper.schema(items))?;
        match (is_map, item.fields()) {
            (true, [key, value]) if &*key.name == "key" && &*value.name == "value" => {
                Ok(Kind::Map { key: key.schema.clone(), value: value.schema.clone() })
            }
            (true, _) => self.fail("a map written as an array needs items with \"key\" and \"value\""),
            (false, _) => Ok(Kind::Array(Arc::new(item))),
        }
    }

    fn object(&mut self, object: &Map<String, Json>, is_map: bool) -> Result<Kind, Error> {
        let values = object.get("additionalProperties").filter(|values| values.is_object());
        if let Some(values) = values.filter(|_| is_map || !object.contains_key("properties")) {
            let value = self.within("{}", |mapper| mapper.schema(values))?;
            return Ok(Kind::Map { key: Arc::new(Schema::of(Kind::String)), value: Arc::new(value) });
        }
        if is_map {
            return self.fail("a map needs a schema for its \"additionalProperties\"");
        }
        let none = Map::new();
        let properties = object.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let required = object.get("required").and_then(Json::as_array);
        let is_required = |name: &str| required.is_some_and(|list| list.iter().any(|item| item == name));
        let mut fields = Vec::with_capacity(properties.len());
        for (place, (name, json)) in properties.iter().enumerate() {
            let mut schema = self.within(name, |mapper| mapper.schema(json))?;
            schema.optional |= self.mapping.optional_when_not_required && !is_required(name);
            let index = json.get("connect.index").and_then(Json::as_u64);
            fields.push((
                index.unwrap_or(place as u64),
                Field { name: name.as_str().into(), schema: schema.into() },
            ));
        }
        fields.sort_by_key(|(index, _)| *index);
        Ok(Kind::Struct(fields.into_iter().map(|(_, field)| field).collect()))
    }

    fn union(&mut self, branches: &[Json]) -> Result<Schema, Error> {
        let is_null = |branch: &&Json| branch.get("type").and_then(Json::as_str) == Some("null");
        let null = branches.iter().any(|branch| is_null(&branch));
        let others: Vec<&Json> = branches.iter().filter(|branch| !is_null(branch)).collect();
        if let ([only], true) = (&others[..], null) {
            return Ok(Schema { optional: true, ..self.schema(only)? });
        }
        if let [only] = &others[..] {
            return self.schema(only);
        }
        let mut fields = Vec::with_capacity(others.len());
        for (index, branch) in others.into_iter().enumerate() {
            let schema = self.within(&format!("oneOf[{index}]"), |mapper| mapper.schema(branch))?;
            fields.push(union_field(index, schema));
        }
        Ok(Schema { optional: null, ..Schema::of(Kind::Struct(fields.into())).named(UNION) })
    }

    fn union_of_types(&mut self, types: &[Arc<str>], object: &Map<String, Json>) -> Result<Schema, Error> {
        let mut fields = Vec::with_capacity(types.len());
        for (index, word) in types.iter().enumerate() {
            fields.push(union_field(index, self.typed(word, object)?));
        }
        Ok(Schema::of(Kind::Struct(fields.into())).named(UNION))
    }
}

fn union_field(index: usize, schema: Schema) -> Field {
    Field {
        name: format!("{UNION}.field.{index}").into(),
        schema: Schema { optional: true, ..schema }.into(),
    }
}

/// The types besides null, and whether null is one.
fn types_of(object: &Map<String, Json>) -> (Vec<Arc<str>>, bool) {
    let words: Vec<&str> = match object.get("type") {
        Some(Json::String(word)) => vec![word],
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    let null = words.len() > 1 && words.contains(&"null");
    (words.into_iter().filter(|word| !(null && *word == "null")).map(Into::into).collect(), null)
}

fn type_word(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn scale(object: &Map<String, Json>) -> i32 {
    let scale = object.get("connect.parameters").and_then(|parameters| parameters.get("scale"));
    scale.and_then(Json::as_str).and_then(|scale| scale.parse().ok()).unwrap_or(0)
}

fn describe(object: &Map<String, Json>, schema: &mut Schema) {
    let text = |key: &str| object.get(key).and_then(Json::as_str);
    if let Some(title) = text("title") {
        schema.name = Some(title.into());
    }
    if let Some(doc) = text("connect.doc").or(text("description")) {
        schema.doc = Some(doc.into());
    }
    if let Some(version) = object.get("connect.version").and_then(Json::as_i64) {
        schema.version = i32::try_from(version).ok();
    }
    if let Some(Json::Object(given)) = object.get("connect.parameters") {
        let texts = given.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        schema.parameters.extend(texts);
    }
}

/// What a field holds when it is not there.
pub(crate) fn absent(schema: &Schema) -> Option<Value> {
    schema.default.clone().or(schema.optional.then_some(Value::Null))
}

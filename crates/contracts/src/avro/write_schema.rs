//! The row model to an Avro schema, as Confluent's `AvroData.fromConnectSchema` writes it: Connect's names, versions and
//! narrow types as `connect.*` attributes, optional as a union with null, maps with other keys as arrays of entries.

use std::collections::BTreeSet;

use base::{Kind, Schema, Value};
use serde_json::{Value as Json, json};

use super::{
    Avro,
    connect::{DATE, DECIMAL, ENUM, MAP_ENTRY, TIME, TIMESTAMP, UNION},
};
use crate::Error;

/// The name of a record that has none.
const NAMELESS: &str = "ConnectDefault";
const NAMELESS_SPACE: &str = "io.confluent.connect.avro";

/// An Avro schema for rows of `schema`; TM0502 where a name is not one that Avro allows.
pub fn avro_of(schema: &Schema) -> Result<Avro, Error> {
    let json = Writer::default().written(schema);
    Avro::parse(schema.name.as_deref().unwrap_or("the rows"), &json.to_string())
}

#[derive(Default)]
struct Writer {
    /// Full names written so far: Avro declares each once.
    known: BTreeSet<String>,
    nameless: u32,
}

impl Writer {
    fn written(&mut self, schema: &Schema) -> Json {
        let base = self.base(schema);
        if !schema.optional {
            return base;
        }
        match base {
            // A union may not hold another: null joins its branches.
            Json::Array(mut branches) => {
                branches.insert(0, json!("null"));
                Json::Array(branches)
            }
            base if matches!(&schema.default, Some(default) if !default.is_null()) => json!([base, "null"]),
            base => json!(["null", base]),
        }
    }

    fn base(&mut self, schema: &Schema) -> Json {
        let logical =
            |kind: &str, logical: &str| json!({ "type": kind, "connect.version": 1, "logicalType": logical });
        let narrow = |kind: &str| json!({ "type": "int", "connect.type": kind });
        let json = match &schema.kind {
            Kind::Int8 => narrow("int8"),
            Kind::Int16 => narrow("int16"),
            Kind::Int32 => json!({ "type": "int" }),
            Kind::Int64 => json!({ "type": "long" }),
            Kind::Float32 => json!({ "type": "float" }),
            Kind::Float64 => json!({ "type": "double" }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::String => match self.enumeration(schema) {
                Some(enumeration) => return enumeration,
                None => json!({ "type": "string" }),
            },
            Kind::Bytes => json!({ "type": "bytes" }),
            Kind::Date => logical("int", "date"),
            Kind::TimeMs => logical("int", "time-millis"),
            Kind::TimestampMs => logical("long", "timestamp-millis"),
            Kind::Decimal { scale } => {
                let given = schema.parameters.get("connect.decimal.precision");
                let precision = given.and_then(|precision| precision.parse::<u32>().ok()).unwrap_or(64);
                let mut json = logical("bytes", "decimal");
                json["precision"] = json!(precision);
                json["scale"] = json!(scale);
                json
            }
            Kind::Array(item) => json!({ "type": "array", "items": self.written(item) }),
            Kind::Map { key, value } if key.kind == Kind::String && !key.optional => {
                json!({ "type": "map", "values": self.written(value) })
            }
            Kind::Map { key, value } => self.entries(key, value),
            Kind::Struct(fields) if schema.name.as_deref() == Some(UNION) => {
                let branches = fields.iter().map(|field| self.base(&field.schema));
                return Json::Array(branches.collect());
            }
            Kind::Struct(_) => return self.record(schema),
        };
        described(schema, json)
    }

    fn entries(&mut self, key: &Schema, value: &Schema) -> Json {
        let fields = json!([{ "name": "key", "type": self.written(key) }, { "name": "value", "type": self.written(value) }]);
        let (space, name) = MAP_ENTRY.rsplit_once('.').unwrap_or(("", MAP_ENTRY));
        self.nameless += 1;
        let name = if self.nameless == 1 { name.to_owned() } else { format!("{name}{}", self.nameless) };
        let entry = json!({ "type": "record", "name": name, "namespace": space, "fields": fields,
            "connect.internal.type": "MapEntry" });
        json!({ "type": "array", "items": entry })
    }

    fn record(&mut self, schema: &Schema) -> Json {
        let full = match schema.name.as_deref() {
            Some(name) => name.to_owned(),
            None => {
                self.nameless += 1;
                let number = if self.nameless == 1 { String::new() } else { self.nameless.to_string() };
                format!("{NAMELESS_SPACE}.{NAMELESS}{number}")
            }
        };
        if !self.known.insert(full.clone()) {
            return json!(full);
        }
        let fields: Vec<Json> = schema
            .fields()
            .iter()
            .map(|field| {
                let mut json = json!({ "name": &*field.name, "type": self.written(&field.schema) });
                match &field.schema.default {
                    Some(default) => json["default"] = default_json(default),
                    None if field.schema.optional => json["default"] = Json::Null,
                    None => {}
                }
                json
            })
            .collect();
        let mut json = json!({ "type": "record", "name": full, "fields": fields });
        if let Some(doc) = &schema.doc {
            json["doc"] = json!(&**doc);
        }
        described(schema, json)
    }

    /// A text that came from an Avro enum becomes one again; the symbols' order is not kept by the row model.
    fn enumeration(&mut self, schema: &Schema) -> Option<Json> {
        let name = schema.parameters.get(ENUM).filter(|name| !name.is_empty())?;
        if !self.known.insert(name.clone()) {
            return Some(json!(name));
        }
        let prefix = format!("{ENUM}.");
        let symbols: Vec<&str> = schema
            .parameters
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(_, symbol)| &**symbol)
            .collect();
        Some(json!({ "type": "enum", "name": name, "symbols": symbols }))
    }
}

/// Adds what only Connect knows; a type with nothing to add is its bare word.
fn described(schema: &Schema, mut json: Json) -> Json {
    let is_record = matches!(schema.kind, Kind::Struct(_));
    if let Some(name) = schema.name.as_deref().filter(|_| !is_record) {
        json["connect.name"] = json!(name);
    }
    let is_logical = matches!(schema.name.as_deref(), Some(DATE | TIME | TIMESTAMP | DECIMAL));
    if let Some(version) = schema.version.filter(|_| !is_logical) {
        json["connect.version"] = json!(version);
    }
    if let Some(doc) = schema.doc.as_deref().filter(|_| !is_record) {
        json["connect.doc"] = json!(doc);
    }
    if !schema.parameters.is_empty() {
        json["connect.parameters"] = json!(schema.parameters);
    }
    match json.as_object() {
        Some(object) if object.len() == 1 => json["type"].take(),
        _ => json,
    }
}

/// A default as Avro's JSON writes it: bytes as letters of their number.
fn default_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(flag) => json!(flag),
        Value::Int(number) | Value::TimestampMs(number) => json!(number),
        Value::TimestampUs(number) => json!(number.div_euclid(1_000)),
        Value::Tagged { value, .. } => default_json(value),
        Value::Date(number) | Value::TimeMs(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::String(text) => json!(&**text),
        Value::Bytes(bytes) => letters(bytes),
        Value::Decimal { unscaled, .. } => {
            let bytes = unscaled.to_be_bytes();
            let fill = if *unscaled < 0 { 0xff } else { 0 };
            let mut start = bytes.iter().take_while(|byte| **byte == fill).count().min(15);
            if (bytes[start] & 0x80 != 0) != (*unscaled < 0) {
                start -= 1;
            }
            letters(&bytes[start..])
        }
        Value::List(items) => items.iter().map(default_json).collect(),
        Value::Map(entries) => {
            let entries = entries.iter().filter_map(|(key, value)| match key {
                Value::String(key) => Some((key.to_string(), default_json(value))),
                _ => None,
            });
            Json::Object(entries.collect())
        }
        Value::Struct(fields) => {
            Json::Object(fields.iter().map(|(name, value)| (name.to_string(), default_json(value))).collect())
        }
    }
}

fn letters(bytes: &[u8]) -> Json {
    Json::String(bytes.iter().map(|byte| char::from(*byte)).collect())
}

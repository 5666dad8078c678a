//! Our schema as Avro schema JSON, the way Confluent's AvroData writes Connect schemas: logical types, unions with null for
//! what is optional, and `connect.*` properties where Avro alone would lose something.

use std::collections::BTreeSet;

use base::{Kind, Schema, Value};
use serde_json::{Map, Value as Json, json};

use crate::{DecimalAs, Error, json_value};

const NAMESPACE: &str = "io.confluent.connect.avro";
/// `precision` where a decimal tells none, as AvroData has it.
const PRECISION_DEFAULT: u32 = 64;

/// The schema's JSON text; `is_enhanced` also keeps nested versions and parameters (`enhanced.avro.schema.support`).
pub fn avro_schema_text(schema: &Schema, is_enhanced: bool) -> Result<String, Error> {
    let mut names = Names::default();
    let json = of(schema, is_enhanced, &mut names)?;
    Ok(json.to_string())
}

#[derive(Default)]
struct Names {
    taken: BTreeSet<String>,
    unnamed_count: usize,
}

impl Names {
    /// `ConnectDefault`, `ConnectDefault2`, …
    fn unnamed(&mut self) -> String {
        self.unnamed_count += 1;
        let number = if self.unnamed_count == 1 { String::new() } else { self.unnamed_count.to_string() };
        format!("{NAMESPACE}.ConnectDefault{number}")
    }
}

fn of(schema: &Schema, is_enhanced: bool, names: &mut Names) -> Result<Json, Error> {
    let bare = bare(schema, is_enhanced, names)?;
    if !schema.optional {
        return Ok(bare);
    }
    // A union's default belongs to its first branch.
    let null_first = schema.default.as_ref().is_none_or(Value::is_null);
    Ok(if null_first { json!(["null", bare]) } else { json!([bare, "null"]) })
}

fn bare(schema: &Schema, is_enhanced: bool, names: &mut Names) -> Result<Json, Error> {
    let mut json = match &schema.kind {
        Kind::Int8 => object(json!({"type": "int", "connect.type": "int8"})),
        Kind::Int16 => object(json!({"type": "int", "connect.type": "int16"})),
        Kind::Int32 => object(json!({"type": "int"})),
        Kind::Int64 => object(json!({"type": "long"})),
        Kind::Float32 => object(json!({"type": "float"})),
        Kind::Float64 => object(json!({"type": "double"})),
        Kind::Boolean => object(json!({"type": "boolean"})),
        Kind::String => object(json!({"type": "string"})),
        Kind::Bytes => object(json!({"type": "bytes"})),
        Kind::Date => logical("int", "date", "Date"),
        Kind::TimeMs => logical("int", "time-millis", "Time"),
        Kind::TimestampMs => logical("long", "timestamp-millis", "Timestamp"),
        Kind::Decimal { scale } => decimal(schema, *scale),
        Kind::Array(item) => object(json!({"type": "array", "items": of(item, is_enhanced, names)?})),
        Kind::Map { key, value } if key.kind == Kind::String && !key.optional => {
            object(json!({"type": "map", "values": of(value, is_enhanced, names)?}))
        }
        Kind::Map { key, value } => pairs(key, value, is_enhanced, names)?,
        Kind::Struct(_) => return record(schema, is_enhanced, names),
    };
    if let Some(default) = &schema.default
        && !default.is_null()
    {
        json.insert("connect.default".to_owned(), default_json(default));
    }
    if is_plain(&json) { Ok(json.remove("type").unwrap_or_default()) } else { Ok(Json::Object(json)) }
}

fn is_plain(json: &Map<String, Json>) -> bool {
    json.len() == 1 && json.contains_key("type")
}

fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

fn logical(kind: &str, logical_type: &str, connect_name: &str) -> Map<String, Json> {
    object(json!({
        "type": kind,
        "connect.version": 1,
        "connect.name": format!("org.apache.kafka.connect.data.{connect_name}"),
        "logicalType": logical_type,
    }))
}

fn decimal(schema: &Schema, scale: i32) -> Map<String, Json> {
    let precision =
        schema.parameters.get("connect.decimal.precision").and_then(|text| text.parse::<u32>().ok());
    object(json!({
        "type": "bytes",
        "scale": scale,
        "precision": precision.unwrap_or(PRECISION_DEFAULT),
        "connect.version": 1,
        "connect.parameters": {"scale": scale.to_string()},
        "connect.name": "org.apache.kafka.connect.data.Decimal",
        "logicalType": "decimal",
    }))
}

/// A map whose keys are no plain strings: an array of key and value.
fn pairs(
    key: &Schema,
    value: &Schema,
    is_enhanced: bool,
    names: &mut Names,
) -> Result<Map<String, Json>, Error> {
    let name = format!("{NAMESPACE}.MapEntry");
    let items = if names.taken.insert(name.clone()) {
        json!({
            "type": "record", "name": "MapEntry", "namespace": NAMESPACE,
            "fields": [
                {"name": "key", "type": of(key, is_enhanced, names)?},
                {"name": "value", "type": of(value, is_enhanced, names)?},
            ],
            "connect.internal.type": "MapEntry",
        })
    } else {
        Json::String(name)
    };
    Ok(object(json!({"type": "array", "items": items})))
}

fn record(schema: &Schema, is_enhanced: bool, names: &mut Names) -> Result<Json, Error> {
    let full_name = match &schema.name {
        Some(name) => name.to_string(),
        None => names.unnamed(),
    };
    check_name(&full_name)?;
    if !names.taken.insert(full_name.clone()) {
        return Ok(Json::String(full_name));
    }
    let (namespace, name) = match full_name.rsplit_once('.') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, full_name.as_str()),
    };
    let mut json = object(json!({"type": "record", "name": name}));
    if let Some(namespace) = namespace {
        json.insert("namespace".to_owned(), namespace.into());
    }
    if let Some(doc) = &schema.doc {
        json.insert("doc".to_owned(), doc.to_string().into());
    }
    let mut fields = Vec::new();
    for field in schema.fields() {
        check_name(&field.name)?;
        let mut entry = object(json!({"name": &*field.name, "type": of(&field.schema, is_enhanced, names)?}));
        match (&field.schema.default, field.schema.optional) {
            (Some(default), _) if !default.is_null() => {
                entry.insert("default".to_owned(), default_json(default));
            }
            (_, true) => {
                entry.insert("default".to_owned(), Json::Null);
            }
            (_, false) => {}
        }
        if let Some(doc) = &field.schema.doc {
            entry.insert("doc".to_owned(), doc.to_string().into());
        }
        fields.push(Json::Object(entry));
    }
    json.insert("fields".to_owned(), fields.into());
    if let Some(version) = schema.version {
        json.insert("connect.version".to_owned(), version.into());
    }
    if is_enhanced && !schema.parameters.is_empty() {
        json.insert("connect.parameters".to_owned(), json!(schema.parameters));
    }
    if schema.name.is_some() {
        json.insert("connect.name".to_owned(), full_name.into());
    }
    Ok(Json::Object(json))
}

fn default_json(value: &Value) -> Json {
    serde_json::from_str(&json_value(value, None, DecimalAs::Base64)).unwrap_or_default()
}

/// Avro's names: letters, digits and `_`, not beginning with a digit; dots part the namespace.
fn check_name(name: &str) -> Result<(), Error> {
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|letter: char| letter.is_ascii_digit())
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    if name.split('.').all(is_name) {
        return Ok(());
    }
    Err(Error::SchemaUnfit { format: "Avro", what: format!("`{name}` is no Avro name") })
}

//! Which converter a side of the record has, and how its output reaches the format.

use std::sync::Arc;

use base::{Kind, Schema};

use super::Registry;
use crate::config::{Checked, Config};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Key,
    Value,
}

/// A converter with its settings.
#[derive(Clone)]
pub(crate) enum Plan {
    /// The value stays as it is; for a format that needs a schema, as rows of this kind.
    String,
    ByteArray,
    /// JsonConverter with `schemas.enable=false`: checked and rid of white space, it stays raw.
    PlainJson,
    /// JsonConverter with `schemas.enable=true`.
    Envelope {
        nulls_to_defaults: bool,
    },
    Primitive(Kind),
    JsonSchema(Arc<Registry>),
    Avro(Arc<Registry>),
    Protobuf(Arc<Registry>),
}

impl Side {
    pub fn key(self) -> &'static str {
        match self {
            Side::Key => "key.converter",
            Side::Value => "value.converter",
        }
    }

    /// The stage's name in dead letters and errors, as Connect has it.
    pub fn stage(self) -> &'static str {
        match self {
            Side::Key => "KEY_CONVERTER",
            Side::Value => "VALUE_CONVERTER",
        }
    }
}

impl Plan {
    /// The converter of a side. The configuration has been checked: the class is one of ours.
    pub fn read(checked: &Checked, side: Side) -> Self {
        let class = checked.text(side.key()).unwrap_or_default();
        let settings = checked.below(&format!("{}.", side.key()));
        let is_true = |key: &str| settings.get(key).is_none_or(|text| text.eq_ignore_ascii_case("true"));
        let registry = || Arc::new(Registry::of(&settings));
        match class.rsplit('.').next().unwrap_or_default() {
            "StringConverter" => Plan::String,
            "JsonConverter" if is_true("schemas.enable") => {
                Plan::Envelope { nulls_to_defaults: is_true("replace.null.with.default") }
            }
            "JsonConverter" => Plan::PlainJson,
            "JsonSchemaConverter" => Plan::JsonSchema(registry()),
            "AvroConverter" => Plan::Avro(registry()),
            "ProtobufConverter" => Plan::Protobuf(registry()),
            "BooleanConverter" => Plan::Primitive(Kind::Boolean),
            "ShortConverter" => Plan::Primitive(Kind::Int16),
            "IntegerConverter" => Plan::Primitive(Kind::Int32),
            "LongConverter" => Plan::Primitive(Kind::Int64),
            "FloatConverter" => Plan::Primitive(Kind::Float32),
            "DoubleConverter" => Plan::Primitive(Kind::Float64),
            _ => Plan::ByteArray,
        }
    }

    /// The schema that every value of the converter has, where it does not depend on the record.
    pub fn fixed_schema(&self) -> Option<Schema> {
        match self {
            Plan::String => Some(Schema::optional(Kind::String)),
            Plan::ByteArray => Some(Schema::optional(Kind::Bytes)),
            Plan::Primitive(kind) => Some(Schema::optional(kind.clone())),
            Plan::PlainJson
            | Plan::Envelope { .. }
            | Plan::JsonSchema(_)
            | Plan::Avro(_)
            | Plan::Protobuf(_) => None,
        }
    }

    /// The Java class's simple name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Plan::String => "StringConverter",
            Plan::ByteArray => "ByteArrayConverter",
            Plan::PlainJson | Plan::Envelope { .. } => "JsonConverter",
            Plan::Primitive(Kind::Boolean) => "BooleanConverter",
            Plan::Primitive(Kind::Int16) => "ShortConverter",
            Plan::Primitive(Kind::Int32) => "IntegerConverter",
            Plan::Primitive(Kind::Int64) => "LongConverter",
            Plan::Primitive(Kind::Float32) => "FloatConverter",
            Plan::Primitive(_) => "DoubleConverter",
            Plan::JsonSchema(_) => "JsonSchemaConverter",
            Plan::Avro(_) => "AvroConverter",
            Plan::Protobuf(_) => "ProtobufConverter",
        }
    }

    /// The Java class's full name, as dead letters carry it.
    pub fn class(&self) -> String {
        let package = match self {
            Plan::String => "org.apache.kafka.connect.storage",
            Plan::ByteArray | Plan::Primitive(_) => "org.apache.kafka.connect.converters",
            Plan::PlainJson | Plan::Envelope { .. } => "org.apache.kafka.connect.json",
            Plan::JsonSchema(_) => "io.confluent.connect.json",
            Plan::Avro(_) => "io.confluent.connect.avro",
            Plan::Protobuf(_) => "io.confluent.connect.protobuf",
        };
        format!("{package}.{}", self.name())
    }
}

/// Settings of a registry's client as a converter has them.
pub(super) fn registry_urls(settings: &Config) -> Vec<String> {
    let list = settings.get("schema.registry.url").map(String::as_str).unwrap_or_default();
    let urls = list.split(',').map(|url| url.trim().trim_end_matches('/').to_owned());
    urls.filter(|url| !url.is_empty()).collect()
}

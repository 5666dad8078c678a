//! What a record's value looks like: the one schema model that converters, formats and contracts share.
//!
//! It is Kafka Connect's data model (`org.apache.kafka.connect.data.Schema`): kinds, optional, name, default, and the
//! logical types by their Connect names. Reading Avro or JSON Schema text into it is the `contracts` crate's work.

use std::{collections::BTreeMap, sync::Arc};

use crate::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContractKind {
    Avro,
    JsonSchema,
    Protobuf,
}

/// A registered or local schema: its text, its id in the registry if it has one, and its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    pub kind: ContractKind,
    pub subject: Arc<str>,
    pub id: Option<i32>,
    pub text: Arc<str>,
    pub schema: Arc<Schema>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    pub kind: Kind,
    pub optional: bool,
    /// A record's name, or the logical type's: `org.apache.kafka.connect.data.Timestamp`.
    pub name: Option<Arc<str>>,
    pub version: Option<i32>,
    pub doc: Option<Arc<str>>,
    pub default: Option<Value>,
    pub parameters: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Milliseconds since midnight.
    TimeMs,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    TimestampMs,
    Decimal {
        scale: i32,
    },
    Array(Arc<Schema>),
    Map {
        key: Arc<Schema>,
        value: Arc<Schema>,
    },
    Struct(Arc<[Field]>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub schema: Arc<Schema>,
}

impl Schema {
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            optional: false,
            name: None,
            version: None,
            doc: None,
            default: None,
            parameters: BTreeMap::new(),
        }
    }

    pub fn optional(kind: Kind) -> Self {
        Self { optional: true, ..Self::of(kind) }
    }

    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The fields of a struct; none for any other kind.
    pub fn fields(&self) -> &[Field] {
        match &self.kind {
            Kind::Struct(fields) => fields,
            _ => &[],
        }
    }

    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| &*field.name == name)
    }
}

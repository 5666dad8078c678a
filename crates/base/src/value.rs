//! One parsed value. Its width (int8 … int64, float32) is the schema's to say; a value carries the widest.

use std::sync::Arc;

use bytes::Bytes;

#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    /// `unscaled * 10^-scale`; 128 bits hold Decimal128 and every precision up to 38.
    Decimal {
        unscaled: i128,
        scale: i32,
    },
    String(Arc<str>),
    Bytes(Bytes),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since midnight.
    TimeMs(i32),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    TimestampMs(i64),
    /// Microseconds since 1970-01-01T00:00:00Z, where a store keeps more than milliseconds.
    TimestampUs(i64),
    List(Vec<Value>),
    /// Keys in their order; a map with keys that are not strings is a list of pairs.
    Map(Vec<(Value, Value)>),
    /// Fields in their order, named; names are shared between the rows of a batch.
    Struct(Vec<(Arc<str>, Value)>),
    /// A type that only one store has (an ObjectId, a set of numbers, a reference), over the plain value nearest to it.
    /// The store that gave it takes it back as it was; everyone else sees through it by [`Value::plain`].
    Tagged {
        /// The store's own word: `objectId`, `NS`, `reference`.
        tag: &'static str,
        value: Box<Value>,
    },
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self.plain(), Value::Null)
    }

    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Value::String(text.into())
    }

    pub fn tagged(tag: &'static str, value: Value) -> Self {
        Value::Tagged { tag, value: Box::new(value) }
    }

    /// The value without its store's tag.
    #[inline]
    pub fn plain(&self) -> &Value {
        match self {
            Value::Tagged { value, .. } => value.plain(),
            other => other,
        }
    }

    /// A field of a struct, or an entry of a map with string keys; dots go down: `customer.address.city`.
    pub fn get(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.child(path) {
            return Some(value);
        }
        let (head, rest) = path.split_once('.')?;
        self.child(head)?.get(rest)
    }

    fn child(&self, name: &str) -> Option<&Value> {
        match self.plain() {
            Value::Struct(fields) => {
                fields.iter().find(|(field, _)| &**field == name).map(|(_, value)| value)
            }
            Value::Map(entries) => entries
                .iter()
                .find(|(key, _)| matches!(key, Value::String(text) if &**text == name))
                .map(|(_, v)| v),
            _ => None,
        }
    }

    /// What kind of value it is, in a word for an error.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Boolean(_) => "boolean",
            Value::Int(_) => "integer",
            Value::Float(_) => "number",
            Value::Decimal { .. } => "decimal",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Date(_) => "date",
            Value::TimeMs(_) => "time",
            Value::TimestampMs(_) | Value::TimestampUs(_) => "timestamp",
            Value::List(_) => "array",
            Value::Map(_) => "map",
            Value::Struct(_) => "struct",
            Value::Tagged { tag, .. } => tag,
        }
    }
}

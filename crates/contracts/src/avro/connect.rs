//! Avro nodes to the row model, as Confluent's `AvroData.toConnectSchema` maps them.
//!
//! `["null", X]` is an optional X; any other union a struct `io.confluent.connect.avro.Union` with one optional field for
//! each branch. A type that refers to itself has no finite row and is refused. Micros and nanos stay plain longs, as there.

use std::{collections::BTreeMap, sync::Arc};

use base::{Field, Kind, Schema, Value};
use serde_json::Value as Json;

use super::{Avro, AvroField, Node, NodeId, Shape};
use crate::Error;

pub(crate) const UNION: &str = "io.confluent.connect.avro.Union";
pub(crate) const ENUM: &str = "io.confluent.connect.avro.Enum";
pub(crate) const MAP_ENTRY: &str = "io.confluent.connect.avro.MapEntry";
const CONNECT_DEFAULT: &str = "ConnectDefault";
pub(crate) const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
pub(crate) const DATE: &str = "org.apache.kafka.connect.data.Date";
pub(crate) const TIME: &str = "org.apache.kafka.connect.data.Time";
pub(crate) const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// The row model of a schema. TM0507 where it has none.
pub fn schema_of(path: &str, avro: &Avro) -> Result<Schema, Error> {
    let mut mapper = Mapper { avro, path, open: Vec::new(), at: Vec::new() };
    mapper.schema(avro.root)
}

struct Mapper<'a> {
    avro: &'a Avro,
    path: &'a str,
    /// Records being mapped: meeting one again is a loop.
    open: Vec<NodeId>,
    at: Vec<String>,
}

impl Mapper<'_> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, Error> {
        let place = if self.at.is_empty() { "its root".to_owned() } else { self.at.join(".") };
        Err(Error::Shape { path: self.path.into(), place, reason: reason.into() })
    }

    fn schema(&mut self, id: NodeId) -> Result<Schema, Error> {
        let node = &self.avro.nodes[id];
        if let Shape::Union(branches) = &node.shape {
            return self.union(branches);
        }
        let mut schema = Schema::of(self.kind(id, node)?);
        self.describe(node, &mut schema);
        if matches!(node.attributes.get("connect.default"), Some(default) if !default.is_null()) {
            schema.default = node.attributes.get("connect.default").and_then(|json| self.default(id, json));
        }
        Ok(schema)
    }

    fn kind(&mut self, id: NodeId, node: &Node) -> Result<Kind, Error> {
        let logical = node.text("logicalType");
        let connect = node.text("connect.type");
        Ok(match &node.shape {
            Shape::Null => return self.fail("a type that is only null has no values"),
            Shape::Boolean => Kind::Boolean,
            Shape::Int => match (logical, connect) {
                (Some("date"), _) => Kind::Date,
                (Some("time-millis"), _) => Kind::TimeMs,
                (_, Some("int8")) => Kind::Int8,
                (_, Some("int16")) => Kind::Int16,
                _ => Kind::Int32,
            },
            Shape::Long if logical == Some("timestamp-millis") => Kind::TimestampMs,
            Shape::Long => Kind::Int64,
            Shape::Float => Kind::Float32,
            Shape::Double => Kind::Float64,
            Shape::Bytes | Shape::Fixed { .. } if logical == Some("decimal") => {
                Kind::Decimal { scale: scale(node) }
            }
            Shape::Bytes | Shape::Fixed { .. } => Kind::Bytes,
            Shape::String | Shape::Enum { .. } => Kind::String,
            Shape::Array(items) => match map_entry(self.avro, node, *items) {
                Some((key, value)) => {
                    Kind::Map { key: Arc::new(self.schema(key)?), value: Arc::new(self.schema(value)?) }
                }
                None => Kind::Array(Arc::new(self.within("[]", |mapper| mapper.schema(*items))?)),
            },
            Shape::Map(values) => {
                let value = self.within("{}", |mapper| mapper.schema(*values))?;
                Kind::Map { key: Arc::new(Schema::of(Kind::String)), value: Arc::new(value) }
            }
            Shape::Record { fields, .. } => {
                if self.open.contains(&id) {
                    return self.fail("the record holds itself, so a row of it has no end");
                }
                self.open.push(id);
                let fields = fields.iter().map(|field| self.field(field)).collect::<Result<Vec<_>, _>>()?;
                self.open.pop();
                Kind::Struct(fields.into())
            }
            Shape::Union(_) => return self.fail("a union may not hold another union"),
        })
    }

    fn field(&mut self, field: &AvroField) -> Result<Field, Error> {
        let mut schema = self.within(&field.name, |mapper| mapper.schema(field.node))?;
        if let Some(default) = &field.default
            && schema.default.is_none()
        {
            schema.default = self.default(field.node, default);
        }
        if schema.doc.is_none() {
            schema.doc = field.doc.as_deref().map(Into::into);
        }
        Ok(Field { name: field.name.as_str().into(), schema: schema.into() })
    }

    fn within<T>(&mut self, step: &str, map: impl FnOnce(&mut Self) -> T) -> T {
        self.at.push(step.to_owned());
        let result = map(self);
        self.at.pop();
        result
    }

    fn union(&mut self, branches: &[NodeId]) -> Result<Schema, Error> {
        let is_null = |id: &&NodeId| matches!(self.avro.shape(**id), Shape::Null);
        let nulls = branches.iter().filter(is_null).count();
        let others: Vec<NodeId> = branches.iter().filter(|id| !is_null(id)).copied().collect();
        if let ([only], 1) = (&others[..], nulls) {
            return Ok(Schema { optional: true, ..self.schema(*only)? });
        }
        let mut fields = Vec::with_capacity(others.len());
        for id in others {
            let name = branch_name(self.avro, id);
            let schema = self.within(&name, |mapper| mapper.schema(id))?;
            fields.push(Field { name: name.into(), schema: Schema { optional: true, ..schema }.into() });
        }
        if fields.is_empty() {
            return self.fail("a union needs a branch besides null");
        }
        let kind = Kind::Struct(fields.into());
        Ok(Schema { optional: nulls > 0, ..Schema::of(kind).named(UNION) })
    }

    /// Name, version, doc and parameters, each from Connect's own attribute before Avro's.
    fn describe(&self, node: &Node, schema: &mut Schema) {
        let logical = match &schema.kind {
            Kind::Date => Some(DATE),
            Kind::TimeMs => Some(TIME),
            Kind::TimestampMs => Some(TIMESTAMP),
            Kind::Decimal { .. } => Some(DECIMAL),
            _ => None,
        };
        schema.parameters = parameters(node, &schema.kind);
        let own = match &node.shape {
            Shape::Record { name, .. } | Shape::Enum { name, .. } => Some(name.full()),
            _ => None,
        };
        let own = own.filter(|name| name != CONNECT_DEFAULT && !name.ends_with(".ConnectDefault"));
        schema.name = node
            .text("connect.name")
            .map(str::to_owned)
            .or(logical.map(str::to_owned))
            .or(own)
            .map(Into::into);
        let version = node.attributes.get("connect.version").and_then(Json::as_i64);
        schema.version = version.and_then(|version| i32::try_from(version).ok()).or(logical.map(|_| 1));
        schema.doc = node.text("connect.doc").or(node.shape.doc()).map(Into::into);
    }

    /// A default as a value; one that the row model cannot hold (a record's, in part) is left out.
    fn default(&self, id: NodeId, json: &Json) -> Option<Value> {
        let node = &self.avro.nodes[id];
        Some(match (&node.shape, json) {
            (Shape::Union(branches), Json::Null) => {
                return branches.iter().any(|id| *self.avro.shape(*id) == Shape::Null).then_some(Value::Null);
            }
            (Shape::Union(branches), json) => {
                let others: Vec<_> =
                    branches.iter().filter(|id| *self.avro.shape(**id) != Shape::Null).collect();
                let value = others.iter().find_map(|id| Some((**id, self.default(**id, json)?)));
                return match (value, others.len()) {
                    (Some((_, value)), 1) => Some(value),
                    (Some((branch, value)), _) => {
                        let fields = others.iter().map(|id| {
                            let here = **id == branch;
                            (
                                branch_name(self.avro, **id).into(),
                                if here { value.clone() } else { Value::Null },
                            )
                        });
                        Some(Value::Struct(fields.collect()))
                    }
                    (None, _) => None,
                };
            }
            (Shape::Null, Json::Null) => Value::Null,
            (Shape::Boolean, Json::Bool(flag)) => Value::Boolean(*flag),
            (Shape::Int | Shape::Long, Json::Number(number)) => {
                let number = number.as_i64()?;
                match (node.text("logicalType"), &node.shape) {
                    (Some("date"), Shape::Int) => Value::Date(number as i32),
                    (Some("time-millis"), Shape::Int) => Value::TimeMs(number as i32),
                    (Some("timestamp-millis"), Shape::Long) => Value::TimestampMs(number),
                    _ => Value::Int(number),
                }
            }
            (Shape::Float | Shape::Double, Json::Number(number)) => Value::Float(number.as_f64()?),
            (Shape::String | Shape::Enum { .. }, Json::String(text)) => Value::string(text.as_str()),
            (Shape::Bytes | Shape::Fixed { .. }, Json::String(text)) => {
                // Avro writes each byte as the letter of that number.
                let bytes: Option<Vec<u8>> =
                    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
                match node.text("logicalType") {
                    Some("decimal") => Value::Decimal { unscaled: unscaled(&bytes?)?, scale: scale(node) },
                    _ => Value::Bytes(bytes?.into()),
                }
            }
            (Shape::Array(items), Json::Array(list)) => {
                Value::List(list.iter().map(|item| self.default(*items, item)).collect::<Option<_>>()?)
            }
            (Shape::Map(values), Json::Object(map)) => {
                let entries =
                    map.iter().map(|(k, v)| Some((Value::string(k.as_str()), self.default(*values, v)?)));
                Value::Map(entries.collect::<Option<_>>()?)
            }
            (Shape::Record { fields, .. }, Json::Object(object)) => {
                let entries = fields.iter().map(|field| {
                    let json = object.get(&field.name).or(field.default.as_ref())?;
                    Some((Arc::from(field.name.as_str()), self.default(field.node, json)?))
                });
                Value::Struct(entries.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

fn parameters(node: &Node, kind: &Kind) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    if let Some(Json::Object(given)) = node.attributes.get("connect.parameters") {
        let texts = given.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        parameters.extend(texts);
    }
    if let Kind::Decimal { scale } = kind {
        parameters.insert("scale".to_owned(), scale.to_string());
        if let Some(precision) = node.attributes.get("precision").and_then(Json::as_i64)
            && precision != 64
        {
            parameters.insert("connect.decimal.precision".to_owned(), precision.to_string());
        }
    }
    match &node.shape {
        Shape::Enum { name, symbols, .. } => {
            parameters.insert(ENUM.to_owned(), name.full());
            parameters.extend(symbols.iter().map(|symbol| (format!("{ENUM}.{symbol}"), symbol.clone())));
        }
        Shape::Fixed { size, .. } => {
            parameters.insert("connect.fixed.size".to_owned(), size.to_string());
        }
        _ => {}
    }
    parameters
}

pub(crate) fn scale(node: &Node) -> i32 {
    let scale = node.attributes.get("scale").and_then(Json::as_i64).unwrap_or(0);
    i32::try_from(scale).unwrap_or(0)
}

/// What a branch of a general union is called in its struct: simple names, as without `enhanced.avro.schema.support`.
pub(crate) fn branch_name(avro: &Avro, id: NodeId) -> String {
    let shape = avro.shape(id);
    shape.name().map_or_else(|| shape.word().to_owned(), |name| name.name.clone())
}

/// Connect writes a map whose keys are no strings as an array of entries.
pub(crate) fn map_entry(avro: &Avro, array: &Node, items: NodeId) -> Option<(NodeId, NodeId)> {
    let item = &avro.nodes[items];
    let Shape::Record { name, fields, .. } = &item.shape else { return None };
    let marked = array.text("connect.internal.type") == Some("MapEntry")
        || item.text("connect.internal.type") == Some("MapEntry")
        || name.full() == MAP_ENTRY;
    match (&fields[..], marked) {
        ([key, value], true) if key.name == "key" && value.name == "value" => Some((key.node, value.node)),
        _ => None,
    }
}

/// Two's complement, big endian; `None` beyond 128 bits.
pub fn unscaled(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let significant = bytes.len() - bytes.iter().take_while(|byte| **byte == fill).count();
    if significant > 16 {
        return None;
    }
    let mut wide = [fill; 16];
    wide[16 - significant..].copy_from_slice(&bytes[bytes.len() - significant..]);
    let number = i128::from_be_bytes(wide);
    // Sixteen significant bytes may have flipped the sign.
    ((number < 0) == negative).then_some(number)
}

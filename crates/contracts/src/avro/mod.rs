//! Avro schemas as a graph of nodes: parsed, printed in Java's canonical order, compared, mapped to rows.
//!
//! Our own light model, because Connect's attributes (`connect.type`, `connect.name`, …) may stand on any type and have
//! to survive, and because errors need the place. It holds no codec of container files; that is `formats`.

pub mod compatibility;
mod connect;
mod decode;
mod encode;
mod json;
mod parse;
mod print;
mod tags;
mod texts;
mod write_schema;

/// Connect's names of its logical types.
pub(crate) mod words {
    pub(crate) use super::connect::{DATE, DECIMAL, TIME, TIMESTAMP};
}

pub use connect::schema_of;
pub use connect::unscaled;
pub use decode::{Decoder, Input, Step, Wrong, read_next};
pub use encode::Encoder;
pub(crate) use encode::{found, rescaled, shortest, written};
pub(crate) use parse::is_name;
pub(crate) use texts::TextRow;
pub use write_schema::avro_of;

use serde_json::{Map, Value as Json};

/// An index into `Avro::nodes`: a type that refers to itself is a loop of indexes, not of pointers.
pub type NodeId = usize;

/// A parsed Avro schema.
#[derive(Debug, Clone)]
pub struct Avro {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: NodeId,
    /// The nodes before this one come from other schemas that this one refers to.
    pub(crate) own_from: NodeId,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) shape: Shape,
    /// Everything the specification does not reserve, in its order: logical types, Connect's words, people's own.
    pub(crate) attributes: Map<String, Json>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record {
        name: Name,
        doc: Option<String>,
        aliases: Vec<String>,
        fields: Vec<AvroField>,
        is_error: bool,
    },
    Enum {
        name: Name,
        doc: Option<String>,
        aliases: Vec<String>,
        symbols: Vec<String>,
        default: Option<String>,
    },
    Fixed {
        name: Name,
        doc: Option<String>,
        aliases: Vec<String>,
        size: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AvroField {
    pub(crate) name: String,
    pub(crate) node: NodeId,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Json>,
    pub(crate) order: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) attributes: Map<String, Json>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) space: Option<String>,
}

impl Name {
    pub(crate) fn full(&self) -> String {
        match &self.space {
            Some(space) => format!("{space}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Shape {
    /// The type's word as a schema writes it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Shape::Null => "null",
            Shape::Boolean => "boolean",
            Shape::Int => "int",
            Shape::Long => "long",
            Shape::Float => "float",
            Shape::Double => "double",
            Shape::Bytes => "bytes",
            Shape::String => "string",
            Shape::Array(_) => "array",
            Shape::Map(_) => "map",
            Shape::Union(_) => "union",
            Shape::Record { .. } => "record",
            Shape::Enum { .. } => "enum",
            Shape::Fixed { .. } => "fixed",
        }
    }

    pub(crate) fn name(&self) -> Option<&Name> {
        match self {
            Shape::Record { name, .. } | Shape::Enum { name, .. } | Shape::Fixed { name, .. } => Some(name),
            _ => None,
        }
    }

    pub(crate) fn aliases(&self) -> &[String] {
        match self {
            Shape::Record { aliases, .. } | Shape::Enum { aliases, .. } | Shape::Fixed { aliases, .. } => {
                aliases
            }
            _ => &[],
        }
    }

    pub(crate) fn doc(&self) -> Option<&str> {
        match self {
            Shape::Record { doc, .. } | Shape::Enum { doc, .. } | Shape::Fixed { doc, .. } => doc.as_deref(),
            _ => None,
        }
    }
}

impl Node {
    pub(crate) fn text(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).and_then(Json::as_str)
    }
}

impl Avro {
    pub(crate) fn shape(&self, id: NodeId) -> &Shape {
        &self.nodes[id].shape
    }

    pub(crate) fn has_field(&self, name: &str) -> bool {
        match self.shape(self.root) {
            Shape::Record { fields, .. } => fields.iter().any(|field| field.name == name),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;

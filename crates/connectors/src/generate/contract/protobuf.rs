//! Protobuf as a recipe: messages in Protobuf's own JSON, names in camel case, well-known types in their own forms.

use std::collections::HashMap;

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::{
    avro::{integer, map, number, word_text},
    names,
    number::NumberWish,
    recipe::{Field, List, Node, NodeId, Object, Shape},
    text::{Format, Make, Text},
};

const ENTRIES_COUNT: usize = 8;

struct Reader {
    nodes: Vec<Node>,
    messages: HashMap<String, NodeId>,
}

/// The nodes, and which is the whole.
pub(super) fn compile(message: &MessageDescriptor) -> (Vec<Node>, NodeId) {
    let mut reader = Reader { nodes: Vec::new(), messages: HashMap::new() };
    let root = reader.message(message);
    (reader.nodes, root)
}

impl Reader {
    fn add(&mut self, shape: Shape, at: &str) -> NodeId {
        self.nodes.push(Node { shape, at: at.into() });
        self.nodes.len() - 1
    }

    /// Each message once; those that lie in it refer to it.
    fn message(&mut self, message: &MessageDescriptor) -> NodeId {
        if let Some(id) = self.messages.get(message.full_name()) {
            return *id;
        }
        let node = self.add(Shape::Open, message.name());
        self.messages.insert(message.full_name().to_owned(), node);
        let shape = match self.well_known(message) {
            Some(shape) => shape,
            None => self.fields(message),
        };
        self.nodes[node].shape = shape;
        node
    }

    /// Of a `oneof` there is one field: as many objects as the largest has fields show each of them.
    fn fields(&mut self, message: &MessageDescriptor) -> Shape {
        let fields: Vec<(FieldDescriptor, NodeId)> = message
            .fields()
            .map(|field| {
                let node = self.field(&field);
                (field, node)
            })
            .collect();
        let ways = message
            .oneofs()
            .filter(|one| !one.is_synthetic())
            .map(|one| one.fields().count())
            .max()
            .unwrap_or(1);
        let mut objects = (0..ways.max(1)).map(|way| {
            let is_there =
                |field: &FieldDescriptor| match field.containing_oneof().filter(|one| !one.is_synthetic()) {
                    Some(one) => {
                        let chosen = way % one.fields().count().max(1);
                        one.fields().nth(chosen).is_some_and(|chosen| chosen.number() == field.number())
                    }
                    None => true,
                };
            let fields = fields.iter().filter(|(field, _)| is_there(field)).map(|(field, node)| {
                // What has its default when it is absent is always there; a message or an `optional` one is not.
                let is_required = field.cardinality() == Cardinality::Required || !field.supports_presence();
                Field::new(field.json_name(), *node, is_required && !field.is_list() && !field.is_map())
            });
            Shape::Object(Object {
                fields: fields.collect(),
                extras: Vec::new(),
                is_map: false,
                count_min: 0,
                count_max: usize::MAX,
                needs: Vec::new(),
            })
        });
        match (objects.next(), ways) {
            (Some(only), 0 | 1) => only,
            (first, _) => {
                let all: Vec<Shape> = first.into_iter().chain(objects).collect();
                Shape::Choice(all.into_iter().map(|shape| (1, self.add(shape, message.name()))).collect())
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor) -> NodeId {
        let kind = field.kind();
        if field.is_map()
            && let Kind::Message(entry) = &kind
        {
            let value = entry.map_entry_value_field();
            let node = self.value(&value.kind(), field.name());
            let shape = match entry.map_entry_key_field().kind() {
                Kind::String => map(node, &names::THINGS[..ENTRIES_COUNT]),
                Kind::Bool => map(node, &["true", "false"]),
                _ => map(node, &["1", "2", "3", "5", "8", "13", "21", "34"]),
            };
            return self.add(shape, field.name());
        }
        if !field.is_list() {
            return self.value(&kind, field.name());
        }
        let name = field.name();
        let rest = Some(self.value(&kind, name.strip_suffix('s').unwrap_or(name)));
        self.add(Shape::List(List::of(rest)), name)
    }

    fn value(&mut self, kind: &Kind, name: &str) -> NodeId {
        let shape = match kind {
            Kind::Message(message) => return self.message(message),
            Kind::Enum(of) => enumeration(of),
            scalar => scalar_shape(scalar, name),
        };
        self.add(shape, name)
    }

    /// Types whose JSON is not that of their fields.
    fn well_known(&mut self, message: &MessageDescriptor) -> Option<Shape> {
        let text = |format| Shape::Text(Box::new(Text::of(Make::Format(format))));
        Some(match message.full_name().strip_prefix("google.protobuf.")? {
            "Timestamp" => text(Format::DateTime),
            "Duration" => text(Format::Seconds),
            "FieldMask" => text(Format::FieldMask),
            "DoubleValue" | "FloatValue" => scalar_shape(&Kind::Double, ""),
            "Int64Value" | "Int32Value" | "UInt64Value" | "UInt32Value" => scalar_shape(&Kind::Uint32, ""),
            "BoolValue" => Shape::Boolean,
            "StringValue" => word_text(""),
            "BytesValue" => scalar_shape(&Kind::Bytes, ""),
            "Value" => {
                let [text, number] = [Kind::String, Kind::Double].map(|kind| scalar_shape(&kind, ""));
                Shape::Choice(vec![(1, self.add(text, "Value")), (1, self.add(number, "Value"))])
            }
            "Struct" => {
                let node = self.add(word_text(""), "Struct");
                map(node, &names::THINGS[..ENTRIES_COUNT])
            }
            "ListValue" => {
                let rest = Some(self.add(word_text(""), "ListValue"));
                Shape::List(List::of(rest))
            }
            "Any" => Shape::Impossible("an Any may hold every message there is".to_owned()),
            _ => return None,
        })
    }
}

fn enumeration(of: &EnumDescriptor) -> Shape {
    if of.full_name() == "google.protobuf.NullValue" {
        return Shape::Known(vec![b"null".to_vec().into()]);
    }
    let names = of.values().map(|value| format!("\"{}\"", value.name()).into_bytes().into());
    Shape::Known(names.collect())
}

fn scalar_shape(kind: &Kind, name: &str) -> Shape {
    match kind {
        Kind::Double | Kind::Float => number(&NumberWish::default(), names::expected(name, false)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(name, i32::MIN.into(), i32::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => integer(name, 0, u32::MAX.into()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer(name, i64::MIN, i64::MAX),
        Kind::Uint64 | Kind::Fixed64 => integer(name, 0, i64::MAX),
        Kind::Bool => Shape::Boolean,
        Kind::String => word_text(name),
        Kind::Bytes => Shape::Text(Box::new(Text::of(Make::Base64))),
        Kind::Message(_) | Kind::Enum(_) => Shape::Impossible("it is no scalar".to_owned()),
    }
}

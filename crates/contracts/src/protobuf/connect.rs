//! Messages to the row model, as Confluent's `ProtobufConverter` maps them (`ProtobufData.toConnectSchema`).
//!
//! Every field is optional unless the mapping says otherwise. A message that holds itself has no finite row and is refused.

use std::{collections::BTreeMap, sync::Arc};

use base::{Field, Kind, Schema};
use prost_reflect::{FieldDescriptor, Kind as FieldKind, Value as Reflected};

use super::decode::{Member, MessageReader, Step};
use crate::{
    Error,
    avro::words::{DATE, DECIMAL, TIME, TIMESTAMP},
};

const UNION: &str = "io.confluent.connect.protobuf.Union.";
const ENUM: &str = "io.confluent.connect.protobuf.Enum";
const TAG: &str = "io.confluent.connect.protobuf.Tag";
const TYPE: &str = "protobuf.type";
const SCALE: &str = "scale";
const PRECISION: &str = "precision";

pub(super) fn schema_of(path: &str, reader: &MessageReader, number: usize) -> Result<Schema, Error> {
    Mapper { path, reader, open: Vec::new(), at: Vec::new() }.message(number)
}

/// What `[(confluent.field_meta).params = …]` says of a field.
pub(super) fn parameters(field: &FieldDescriptor) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(meta) = field.parent_pool().get_extension_by_name("confluent.field_meta") else { return found };
    let options = field.options();
    let meta = options.get_extension(&meta);
    let params = meta.as_message().and_then(|meta| meta.get_field_by_name("params"));
    for (key, value) in params.as_deref().and_then(Reflected::as_map).into_iter().flatten() {
        if let (Some(key), Some(value)) = (key.as_str(), value.as_str()) {
            found.insert(key.to_owned(), value.to_owned());
        }
    }
    found
}

struct Mapper<'a> {
    path: &'a str,
    reader: &'a MessageReader,
    /// Messages being mapped: meeting one again is a loop.
    open: Vec<usize>,
    at: Vec<String>,
}

impl Mapper<'_> {
    fn message(&mut self, number: usize) -> Result<Schema, Error> {
        if self.open.contains(&number) {
            let place = if self.at.is_empty() { "its root".to_owned() } else { self.at.join(".") };
            let reason = "the message holds itself, so a row of it has no end".to_owned();
            return Err(Error::Shape { path: self.path.into(), place, reason });
        }
        self.open.push(number);
        let message = &self.reader.messages[number];
        let fields = message.members.iter().map(|member| self.member(member)).collect::<Result<Vec<_>, _>>();
        self.open.pop();
        Ok(Schema::of(Kind::Struct(fields?.into())).named(message.descriptor.name()))
    }

    fn member(&mut self, member: &Member) -> Result<Field, Error> {
        match member {
            Member::Field { name, field, step, .. } => {
                Ok(Field { name: name.clone(), schema: Arc::new(self.field(name, field, step)?) })
            }
            Member::Union { name, oneof, branches } => {
                // All but one are null.
                let branch = |(name, field, step): &(Arc<str>, FieldDescriptor, Step)| {
                    let schema = Schema { optional: true, ..self.field(name, field, step)? };
                    Ok(Field { name: name.clone(), schema: Arc::new(schema) })
                };
                let branches = branches.iter().map(branch).collect::<Result<Vec<_>, Error>>()?;
                let schema = Schema::optional(Kind::Struct(branches.into()));
                let schema = schema.named(format!("{UNION}{}", oneof.name()));
                Ok(Field { name: name.clone(), schema: Arc::new(schema) })
            }
        }
    }

    fn field(&mut self, name: &str, field: &FieldDescriptor, step: &Step) -> Result<Schema, Error> {
        self.at.push(name.to_owned());
        let mut schema = self.one(field, step)?;
        self.at.pop();
        if field.is_list() {
            schema.optional = true;
            schema = Schema::optional(Kind::Array(Arc::new(schema)));
        }
        let mapping = self.reader.mapping;
        let is_marked = field.field_descriptor_proto().proto3_optional()
            || (field.supports_presence() && !field.is_required() && field.containing_oneof().is_none());
        schema.optional |= match (mapping.only_optional_is_null, mapping.unwraps) {
            (true, _) => is_marked,
            (false, unwraps) => !unwraps,
        };
        schema.parameters.insert(TAG.to_owned(), field.number().to_string());
        Ok(schema)
    }

    fn one(&mut self, field: &FieldDescriptor, step: &Step) -> Result<Schema, Error> {
        let logical = |kind, name: &str| Schema { version: Some(1), ..Schema::optional(kind).named(name) };
        Ok(match step {
            Step::Scalar => scalar(field),
            Step::Enum(kind) => {
                let mut schema = Schema::optional(Kind::String).named(kind.name());
                schema.parameters.insert(ENUM.to_owned(), kind.name().to_owned());
                for value in kind.values() {
                    schema.parameters.insert(format!("{ENUM}.{}", value.name()), value.number().to_string());
                }
                schema
            }
            Step::Message(number) => Schema { optional: true, ..self.message(*number)? },
            Step::Map(step) => {
                let FieldKind::Message(entry) = field.kind() else { return Ok(scalar(field)) };
                let key = self.field("key", &entry.map_entry_key_field(), &Step::Scalar)?;
                let value = self.field("value", &entry.map_entry_value_field(), step)?;
                Schema::optional(Kind::Map { key: Arc::new(key), value: Arc::new(value) })
            }
            Step::Timestamp => logical(Kind::TimestampMs, TIMESTAMP),
            Step::Date => logical(Kind::Date, DATE),
            Step::TimeOfDay => logical(Kind::TimeMs, TIME),
            Step::Decimal { scale } => {
                let scale = scale.unwrap_or(0);
                let mut schema = logical(Kind::Decimal { scale }, DECIMAL);
                schema.parameters.insert(SCALE.to_owned(), scale.to_string());
                if let Some(precision) = parameters(field).remove(PRECISION) {
                    schema.parameters.insert("connect.decimal.precision".to_owned(), precision);
                }
                schema
            }
            Step::Wrapper => {
                let FieldKind::Message(wrapper) = field.kind() else { return Ok(scalar(field)) };
                let value = wrapper.get_field_by_name("value").map(|value| kind_of(&value.kind()));
                Schema::optional(value.unwrap_or(Kind::String))
            }
            Step::Json => Schema::optional(Kind::String),
        })
    }
}

fn scalar(field: &FieldDescriptor) -> Schema {
    let kind = match (kind_of(&field.kind()), parameters(field).get("connect.type").map(String::as_str)) {
        (Kind::Int32, Some("int8")) => Kind::Int8,
        (Kind::Int32, Some("int16")) => Kind::Int16,
        (kind, _) => kind,
    };
    let mut schema = Schema::of(kind);
    let written = match field.kind() {
        FieldKind::Sint32 => "sint32",
        FieldKind::Sfixed32 => "sfixed32",
        FieldKind::Uint32 => "uint32",
        FieldKind::Fixed32 => "fixed32",
        FieldKind::Uint64 => "uint64",
        FieldKind::Sint64 => "sint64",
        FieldKind::Fixed64 => "fixed64",
        FieldKind::Sfixed64 => "sfixed64",
        _ => return schema,
    };
    schema.parameters.insert(TYPE.to_owned(), written.to_owned());
    schema
}

fn kind_of(kind: &FieldKind) -> Kind {
    match kind {
        FieldKind::Int32 | FieldKind::Sint32 | FieldKind::Sfixed32 => Kind::Int32,
        FieldKind::Uint32
        | FieldKind::Fixed32
        | FieldKind::Int64
        | FieldKind::Uint64
        | FieldKind::Sint64
        | FieldKind::Fixed64
        | FieldKind::Sfixed64 => Kind::Int64,
        FieldKind::Float => Kind::Float32,
        FieldKind::Double => Kind::Float64,
        FieldKind::Bool => Kind::Boolean,
        FieldKind::Bytes => Kind::Bytes,
        FieldKind::String | FieldKind::Enum(_) | FieldKind::Message(_) => Kind::String,
    }
}

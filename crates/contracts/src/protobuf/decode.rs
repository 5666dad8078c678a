//! Messages to the values of rows, by a plan that is compiled once a file. `connect.rs` has the schema of the same rows.
//!
//! Fields have the names of the file, a moment is a timestamp, `confluent.type.Decimal` a decimal. What a `oneof` becomes, a
//! wrapper, and a field that nobody set, is said by a [`Mapping`].

use std::{collections::HashMap, sync::Arc};

use base::{ContractKind, Value};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, OneofDescriptor,
    ReflectMessage, SerializeOptions, Value as Reflected,
};
use serde_json::{Value as Json, value::Serializer};

use super::{MAIN, Protobuf, connect};
use crate::{Error, avro, framing, validate::format};

/// What of a message has several ways to be a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The fields of a `oneof` stand in a struct of their own; else beside the others.
    pub has_unions: bool,
    /// That struct is called by the `oneof` and its number in the message: `choice_0`.
    pub numbers_unions: bool,
    /// `google.protobuf.Int64Value` and its like are their values, and null where they are not there.
    pub unwraps: bool,
    /// Only what is marked `optional` may be null, and messages.
    pub only_optional_is_null: bool,
    /// What the kinds of a schema cannot tell is kept: microseconds, numbers above 2^63, what was never set.
    pub keeps_all: bool,
}

impl Mapping {
    /// As a record is read where nobody asks for its schema.
    pub const PLAIN: Mapping = Mapping {
        has_unions: false,
        numbers_unions: false,
        unwraps: true,
        only_optional_is_null: false,
        keeps_all: true,
    };
    /// What Confluent's `ProtobufConverter` makes where nothing is set.
    pub const CONNECT: Mapping = Mapping {
        has_unions: true,
        numbers_unions: true,
        unwraps: false,
        only_optional_is_null: false,
        keeps_all: false,
    };
}

/// Reads the messages of one file.
#[derive(Debug)]
pub struct MessageReader {
    pub(super) mapping: Mapping,
    pub(super) messages: Vec<Message>,
    /// Which of them an index means.
    by_index: HashMap<Vec<i32>, usize>,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) descriptor: MessageDescriptor,
    pub(super) members: Vec<Member>,
}

#[derive(Debug)]
pub(super) enum Member {
    Field { name: Arc<str>, field: FieldDescriptor, may_be_null: bool, step: Step },
    Union { name: Arc<str>, oneof: OneofDescriptor, branches: Vec<(Arc<str>, FieldDescriptor, Step)> },
}

/// How a field's value is read; of a repeated one, each.
#[derive(Debug)]
pub(super) enum Step {
    Scalar,
    Enum(EnumDescriptor),
    /// Its place in `messages`: a message may hold itself.
    Message(usize),
    Map(Box<Step>),
    Timestamp,
    Date,
    TimeOfDay,
    /// As many digits behind the point as the field says, else as the value has.
    Decimal {
        scale: Option<i32>,
    },
    Wrapper,
    /// As ProtoJSON has it: a duration is a text, a `google.protobuf.Struct` an object.
    Json,
}

impl Protobuf {
    /// Reads messages of this file as rows.
    pub fn reader(&self, mapping: Mapping) -> Result<MessageReader, Error> {
        let pool = self.pool()?;
        let mut compiler = Compiler { mapping, messages: Vec::new(), known: HashMap::new() };
        let mut by_index = HashMap::new();
        for file in pool.get_file_by_name(MAIN).iter() {
            for (number, message) in file.messages().enumerate() {
                compiler.index(&message, vec![number as i32], &mut by_index);
            }
        }
        let messages = compiler.messages.into_iter().flatten().collect();
        Ok(MessageReader { mapping, messages, by_index })
    }
}

impl MessageReader {
    /// What follows the schema's id: which message it is, by a number that `schema` knows, and its row.
    pub fn read(&self, bytes: &[u8]) -> Result<(usize, Value), Error> {
        let (index, payload) = framing::unframe_message_index(bytes)?;
        let number = *self
            .by_index
            .get(&index)
            .ok_or_else(|| wrong("the message", format!("the file has none with the index {index:?}")))?;
        let decoded = DynamicMessage::decode(self.messages[number].descriptor.clone(), payload)
            .map_err(|error| wrong("the record", error.to_string()))?;
        Ok((number, self.row(number, &decoded).map_err(|reason| wrong("the record", reason))?))
    }

    /// The row model of one of the file's messages. TM0507 where it has none.
    pub fn schema(&self, path: &str, number: usize) -> Result<base::Schema, Error> {
        connect::schema_of(path, self, number)
    }

    fn row(&self, number: usize, message: &DynamicMessage) -> Result<Value, String> {
        let members = &self.messages[number].members;
        let member = |member: &Member| match member {
            Member::Field { name, field, may_be_null, step } => {
                let is_null = *may_be_null && !message.has_field(field);
                let value = if is_null { Value::Null } else { self.value(step, &message.get_field(field))? };
                Ok((name.clone(), value))
            }
            Member::Union { name, branches, .. } => {
                if !branches.iter().any(|(_, field, _)| message.has_field(field)) {
                    return Ok((name.clone(), Value::Null));
                }
                let branch = |(name, field, step): &(Arc<str>, FieldDescriptor, Step)| {
                    let value = match message.has_field(field) {
                        true => self.value(step, &message.get_field(field))?,
                        false => Value::Null,
                    };
                    Ok::<_, String>((name.clone(), value))
                };
                let branches = branches.iter().map(branch).collect::<Result<_, _>>()?;
                Ok((name.clone(), Value::Struct(branches)))
            }
        };
        members.iter().map(member).collect::<Result<_, String>>().map(Value::Struct)
    }

    fn value(&self, step: &Step, value: &Reflected) -> Result<Value, String> {
        Ok(match value {
            Reflected::Bool(flag) => Value::Boolean(*flag),
            Reflected::I32(number) => Value::Int((*number).into()),
            Reflected::I64(number) => Value::Int(*number),
            Reflected::U32(number) => Value::Int((*number).into()),
            Reflected::U64(number) => match i64::try_from(*number) {
                Ok(number) => Value::Int(number),
                Err(_) if self.mapping.keeps_all => Value::Decimal { unscaled: (*number).into(), scale: 0 },
                // Java has no other.
                Err(_) => Value::Int(*number as i64),
            },
            Reflected::F32(number) => Value::Float((*number).into()),
            Reflected::F64(number) => Value::Float(*number),
            Reflected::String(text) => Value::string(text.as_str()),
            Reflected::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Reflected::EnumNumber(number) => Value::String(symbol(step, *number)),
            Reflected::List(items) => {
                Value::List(items.iter().map(|item| self.value(step, item)).collect::<Result<_, _>>()?)
            }
            Reflected::Map(entries) => {
                let Step::Map(step) = step else { return Err("a map where none should be".to_owned()) };
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                let entry = |(key, value): (&MapKey, &Reflected)| {
                    Ok::<_, String>((
                        self.value(&Step::Scalar, &key.clone().into())?,
                        self.value(step, value)?,
                    ))
                };
                Value::Map(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
            }
            Reflected::Message(message) => self.message(step, message)?,
        })
    }

    fn message(&self, step: &Step, message: &DynamicMessage) -> Result<Value, String> {
        let integer = |name: &str| {
            let value = message.get_field_by_name(name);
            value.and_then(|value| value.as_i64().or(value.as_i32().map(i64::from))).unwrap_or(0)
        };
        match step {
            Step::Message(number) => self.row(*number, message),
            Step::Timestamp => timestamp(integer("seconds"), integer("nanos"), self.mapping.keeps_all)
                .ok_or_else(|| format!("{} seconds are no moment", integer("seconds"))),
            Step::Date => {
                let (year, month, day) = (integer("year"), integer("month"), integer("day"));
                format::days(&format!("{year:04}-{month:02}-{day:02}"))
                    .map(Value::Date)
                    .ok_or_else(|| format!("{year}-{month}-{day} is no date"))
            }
            Step::TimeOfDay => {
                let seconds = integer("hours") * 3_600 + integer("minutes") * 60 + integer("seconds");
                let ms = i32::try_from(seconds * 1_000 + integer("nanos") / 1_000_000);
                ms.map(Value::TimeMs).map_err(|_| "a time of day beyond the day".to_owned())
            }
            Step::Decimal { scale } => {
                let bytes = message.get_field_by_name("value");
                let bytes = bytes.as_deref().and_then(Reflected::as_bytes).cloned().unwrap_or_default();
                let own = i32::try_from(integer("scale")).unwrap_or(0);
                let unscaled = avro::unscaled(&bytes).ok_or("a decimal of more than 128 bits")?;
                let scale = scale.unwrap_or(own);
                avro::rescaled(unscaled, own, scale)
                    .map(|unscaled| Value::Decimal { unscaled, scale })
                    .ok_or_else(|| format!("a decimal of scale {own} where the field's is {scale}"))
            }
            Step::Wrapper => match message.get_field_by_name("value") {
                Some(value) => self.value(&Step::Scalar, &value),
                None => Ok(Value::Null),
            },
            Step::Json => {
                let options = SerializeOptions::new();
                let json = message.serialize_with_options(Serializer, &options);
                json.map(of_json).map_err(|error| error.to_string())
            }
            Step::Scalar | Step::Enum(_) | Step::Map(_) => {
                Err(format!("{} where none should be", message.descriptor().full_name()))
            }
        }
    }
}

pub(super) fn wrong(field: &str, reason: String) -> Error {
    Error::Decode { kind: ContractKind::Protobuf, field: field.to_owned(), reason }
}

/// A number that the file has no name for is called as Java's library calls it.
fn symbol(step: &Step, number: i32) -> Arc<str> {
    let Step::Enum(kind) = step else { return number.to_string().into() };
    match kind.get_value(number) {
        Some(value) => value.name().into(),
        None => format!("UNKNOWN_ENUM_VALUE_{}_{number}", kind.name()).into(),
    }
}

fn timestamp(seconds: i64, nanos: i64, keeps_all: bool) -> Option<Value> {
    let micros = seconds.checked_mul(1_000_000)?.checked_add(nanos.div_euclid(1_000))?;
    Some(match micros.rem_euclid(1_000) {
        0 => Value::TimestampMs(micros.div_euclid(1_000)),
        _ if keeps_all => Value::TimestampUs(micros),
        _ => Value::TimestampMs(micros.div_euclid(1_000)),
    })
}

pub(super) fn of_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Boolean(flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::string(text),
        Json::Array(items) => Value::List(items.into_iter().map(of_json).collect()),
        Json::Object(fields) => {
            Value::Struct(fields.into_iter().map(|(name, value)| (name.into(), of_json(value))).collect())
        }
    }
}

struct Compiler {
    mapping: Mapping,
    /// `None` while it is being compiled.
    messages: Vec<Option<Message>>,
    known: HashMap<String, usize>,
}

impl Compiler {
    /// A message of the file with those within it.
    fn index(
        &mut self,
        message: &MessageDescriptor,
        index: Vec<i32>,
        by_index: &mut HashMap<Vec<i32>, usize>,
    ) {
        let number = self.message(message);
        for (at, inner) in message.child_messages().enumerate() {
            let index = index.iter().copied().chain([at as i32]).collect();
            self.index(&inner, index, by_index);
        }
        by_index.insert(index, number);
    }

    fn message(&mut self, descriptor: &MessageDescriptor) -> usize {
        if let Some(number) = self.known.get(descriptor.full_name()) {
            return *number;
        }
        let number = self.messages.len();
        self.messages.push(None);
        self.known.insert(descriptor.full_name().to_owned(), number);
        let mut members = Vec::new();
        let is_union = |oneof: &OneofDescriptor| self.mapping.has_unions && !oneof.is_synthetic();
        let unions: Vec<OneofDescriptor> = descriptor.oneofs().filter(is_union).collect();
        for (at, oneof) in unions.into_iter().enumerate() {
            let name = if self.mapping.numbers_unions {
                format!("{}_{at}", oneof.name())
            } else {
                oneof.name().to_owned()
            };
            let branches =
                oneof.fields().map(|field| (field.name().into(), field.clone(), self.field(&field)));
            members.push(Member::Union { name: name.into(), branches: branches.collect(), oneof });
        }
        // As they stand in the file, and not by their numbers.
        for written in &descriptor.descriptor_proto().field {
            let Some(field) = descriptor.get_field_by_name(written.name()) else { continue };
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            if self.mapping.has_unions && oneof.is_some() {
                continue;
            }
            let step = self.field(&field);
            let is_message = matches!(field.kind(), Kind::Message(_));
            let may_be_null = match field.is_list() || field.is_map() {
                true => false,
                false if is_message || self.mapping.keeps_all => field.supports_presence(),
                false => written.proto3_optional(),
            };
            members.push(Member::Field { name: field.name().into(), field, may_be_null, step });
        }
        self.messages[number] = Some(Message { descriptor: descriptor.clone(), members });
        number
    }

    fn field(&mut self, field: &FieldDescriptor) -> Step {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                Step::Map(Box::new(self.field(&entry.map_entry_value_field())))
            }
            Kind::Message(message) => self.step(field, &message),
            Kind::Enum(kind) => Step::Enum(kind),
            _ => Step::Scalar,
        }
    }

    fn step(&mut self, field: &FieldDescriptor, message: &MessageDescriptor) -> Step {
        let (unwraps, keeps_all) = (self.mapping.unwraps, self.mapping.keeps_all);
        match message.full_name() {
            "google.protobuf.Timestamp" => Step::Timestamp,
            "google.type.Date" => Step::Date,
            "google.type.TimeOfDay" => Step::TimeOfDay,
            "confluent.type.Decimal" => {
                let scale = connect::parameters(field).get("scale").and_then(|text| text.parse().ok());
                // A schema has one scale for all values; without one, Confluent's has none behind the point.
                Step::Decimal { scale: if keeps_all { scale } else { Some(scale.unwrap_or(0)) } }
            }
            name if unwraps && is_wrapper(name) => Step::Wrapper,
            "google.protobuf.Duration"
            | "google.protobuf.FieldMask"
            | "google.protobuf.Struct"
            | "google.protobuf.Value"
            | "google.protobuf.ListValue"
                if keeps_all =>
            {
                Step::Json
            }
            _ => Step::Message(self.message(message)),
        }
    }
}

pub(super) fn is_wrapper(name: &str) -> bool {
    let kinds = ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"];
    let kind = name.strip_prefix("google.protobuf.").and_then(|name| name.strip_suffix("Value"));
    kind.is_some_and(|kind| kinds.contains(&kind))
}

#[cfg(test)]
mod tests;

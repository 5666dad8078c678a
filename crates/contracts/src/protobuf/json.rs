//! Messages as JSON and back, by Protobuf's own mapping ("ProtoJSON"): names in camel case, 64-bit numbers as texts, what has
//! its default written out. `prost-reflect` has the mapping; here is which message of the file is meant.

use base::Value;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use prost_types::FileDescriptorSet;
use serde_json::{Value as Json, value::Serializer};

use super::{
    MAIN, Protobuf,
    decode::{of_json, wrong},
    encode,
};
use crate::{Error, Violation, errors::shorten, framing};

/// The messages of one file.
#[derive(Debug, Clone)]
pub struct Messages {
    /// Each with those within it.
    of_file: Vec<MessageDescriptor>,
}

impl Protobuf {
    pub fn messages(&self) -> Result<Messages, Error> {
        let pool = self.pool()?;
        let file = pool.get_file_by_name(MAIN);
        let of_file: Vec<_> = file.iter().flat_map(|file| file.messages()).collect();
        match of_file.is_empty() {
            true => Err(wrong("the schema", "it has no message".to_owned())),
            false => Ok(Messages { of_file }),
        }
    }

    /// All files with their options, those too that only its imports explain.
    pub(super) fn pool(&self) -> Result<DescriptorPool, Error> {
        let (main, imports) = self.files.split_last().expect("the file itself is among them");
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_set(FileDescriptorSet { file: imports.to_vec() })
            .and_then(|()| match self.encoded.is_empty() {
                true => pool.add_file_descriptor_proto(main.clone()),
                false => pool.decode_file_descriptor_proto(&self.encoded[..]),
            })
            .map_err(|error| wrong("the schema", error.to_string()))?;
        Ok(pool)
    }

    /// The full name of the file's first message, which is what a record is where nobody says another.
    pub fn record_name(&self) -> Option<String> {
        let file = self.main();
        let name = file.message_type.first()?.name().to_owned();
        Some(match file.package() {
            "" => name,
            package => format!("{package}.{name}"),
        })
    }
}

/// Writes messages of one type.
#[derive(Debug, Clone)]
pub struct MessageWriter {
    descriptor: MessageDescriptor,
    index: Vec<i32>,
    /// It has dates, times or decimals of other files than Google's well-known ones, which ProtoJSON has no texts for.
    has_own_types: bool,
}

impl Protobuf {
    /// For the message of this name, with or without its package; for the first one of the file where none is given.
    /// `Ok(None)`: the file has no such message.
    pub fn writer(&self, name: Option<&str>) -> Result<Option<MessageWriter>, Error> {
        let messages = self.messages()?;
        let index = match name {
            None => Some(vec![0]),
            Some(name) => self.message_index(name),
        };
        let writer = |index: Vec<i32>| {
            let descriptor = messages.message(&index)?;
            let has_own_types = encode::has_own_types(&descriptor);
            Some(MessageWriter { descriptor, index, has_own_types })
        };
        Ok(index.and_then(writer))
    }
}

impl MessageWriter {
    pub fn full_name(&self) -> &str {
        self.descriptor.full_name()
    }

    /// Appends the message's index and its bytes, of a record that is JSON. On a violation `out` is as before.
    pub fn write_text(&self, record: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        if self.has_own_types
            && let Ok(json) = serde_json::from_slice(record)
        {
            return self.write_row(&of_json(json), out);
        }
        let mut json = serde_json::Deserializer::from_slice(record);
        let message = DynamicMessage::deserialize(self.descriptor.clone(), &mut json)
            .and_then(|message| json.end().map(|()| message));
        let found = || String::from_utf8_lossy(record).into_owned();
        self.write(message, found, out)
    }

    /// The same of a record whose fields are texts, as those of CSV; `None` where there is no value.
    pub fn write_texts<'a>(
        &self,
        fields: impl Iterator<Item = (&'a str, Option<&'a str>)>,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let mut json = serde_json::Map::new();
        for (name, text) in fields {
            if let Some(text) = text {
                json.insert(name.to_owned(), self.json_of(name, text));
            }
        }
        let json = Json::Object(json);
        if self.has_own_types {
            return self.write_row(&of_json(json), out);
        }
        let message = DynamicMessage::deserialize(self.descriptor.clone(), &json);
        self.write(message, || json.to_string(), out)
    }

    /// The same of a row, whose values have their types.
    pub fn write_row(&self, row: &Value, out: &mut Vec<u8>) -> Result<(), Violation> {
        let message = encode::message(&self.descriptor, row)?;
        framing::frame_message_index(&self.index, out);
        message.encode_raw(out);
        Ok(())
    }

    /// Numbers, names of enums, times and bytes are texts in ProtoJSON as well; what is left is true, false and JSON itself.
    fn json_of(&self, name: &str, text: &str) -> Json {
        let own = || Json::String(text.to_owned());
        let field = self.descriptor.get_field_by_name(name);
        let Some(field) = field.or_else(|| self.descriptor.get_field_by_json_name(name)) else {
            return own();
        };
        match field.kind() {
            _ if field.is_list() || field.is_map() => serde_json::from_str(text).unwrap_or_else(|_| own()),
            Kind::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Json::Bool(true),
                "false" | "0" => Json::Bool(false),
                _ => own(),
            },
            Kind::Message(_) if text.starts_with('{') => serde_json::from_str(text).unwrap_or_else(|_| own()),
            Kind::Enum(_) => text.parse::<i32>().map_or_else(|_| own(), Json::from),
            _ => own(),
        }
    }

    fn write<E: std::fmt::Display>(
        &self,
        message: Result<DynamicMessage, E>,
        found: impl Fn() -> String,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let message = message.map_err(|error| {
            let text = error.to_string();
            // The place stands before the reason already, counted in the file.
            let reason = text.split(" at line ").next().unwrap_or(&text);
            Violation {
                field: String::new(),
                expected: format!("{} ({reason})", self.descriptor.full_name()),
                found: shorten(&found(), 60),
            }
        })?;
        framing::frame_message_index(&self.index, out);
        message.encode_raw(out);
        Ok(())
    }
}

impl Messages {
    /// The one that a record is where nobody says another.
    pub fn first(&self) -> &MessageDescriptor {
        &self.of_file[0]
    }

    /// Appends the message's index and its bytes: the first of the file. On a violation `out` is as before.
    pub fn write_json(&self, json: &Json, out: &mut Vec<u8>) -> Result<(), Violation> {
        let message =
            DynamicMessage::deserialize(self.of_file[0].clone(), json).map_err(|error| Violation {
                field: String::new(),
                expected: format!("{} ({error})", self.of_file[0].full_name()),
                found: shorten(&json.to_string(), 60),
            })?;
        framing::frame_message_index(&[0], out);
        out.extend_from_slice(&message.encode_to_vec());
        Ok(())
    }

    /// What follows the schema's id, as JSON.
    pub fn read_json(&self, bytes: &[u8]) -> Result<Json, Error> {
        let (index, payload) = framing::unframe_message_index(bytes)?;
        let found = self.message(&index);
        let descriptor = found
            .ok_or_else(|| wrong("the message", format!("the file has none with the index {index:?}")))?;
        let message = DynamicMessage::decode(descriptor, payload);
        let message = message.map_err(|error| wrong("the record", error.to_string()))?;
        let options = SerializeOptions::new().skip_default_fields(false);
        let json = message.serialize_with_options(Serializer, &options);
        json.map_err(|error| wrong("the record", error.to_string()))
    }

    fn message(&self, index: &[i32]) -> Option<MessageDescriptor> {
        let (first, rest) = index.split_first()?;
        let mut found = self.of_file.get(usize::try_from(*first).ok()?)?.clone();
        for step in rest {
            let inner = found.child_messages().nth(usize::try_from(*step).ok()?)?;
            found = inner;
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = r#"syntax = "proto3"; package shop; import "google/protobuf/timestamp.proto";
        message Order { int64 order_id = 1; repeated Line lines = 2; google.protobuf.Timestamp at = 3; bool paid = 4;
          message Line { string name = 1; int32 count = 2; } }"#;

    fn messages() -> Messages {
        Protobuf::parse_with("order.proto", FILE, &[]).unwrap().messages().unwrap()
    }

    #[test]
    fn messages_come_back_in_camel_case_with_their_defaults() {
        let given = json!({ "order_id": 7, "lines": [{ "name": "bread" }], "at": "2023-11-14T22:13:20Z" });
        let mut bytes = Vec::new();
        messages().write_json(&given, &mut bytes).unwrap();
        assert_eq!(bytes[..3], [0, 8, 7]);
        let expected = json!({ "orderId": "7", "lines": [{ "name": "bread", "count": 0 }],
            "at": "2023-11-14T22:13:20Z", "paid": false });
        assert_eq!(messages().read_json(&bytes).unwrap(), expected);
        // A message within the first one.
        assert_eq!(messages().read_json(&[4, 0, 0, 16, 3]).unwrap(), json!({ "name": "", "count": 3 }));
        let name = Protobuf::parse_with("order.proto", FILE, &[]).unwrap().record_name();
        assert_eq!(name.as_deref(), Some("shop.Order"));
    }

    #[test]
    fn a_message_is_found_by_its_name_and_written_from_texts() {
        let file = Protobuf::parse_with("order.proto", FILE, &[]).unwrap();
        let mut bytes = Vec::new();
        let line = file.writer(Some("shop.Order.Line")).unwrap().unwrap();
        assert_eq!(line.full_name(), "shop.Order.Line");
        line.write_texts([("name", Some("bread")), ("count", Some("3"))].into_iter(), &mut bytes).unwrap();
        assert_eq!(messages().read_json(&bytes).unwrap(), json!({ "name": "bread", "count": 3 }));
        let order = file.writer(None).unwrap().unwrap();
        let fields = [("order_id", Some("7")), ("paid", Some("TRUE")), ("at", None), ("lines", Some("[]"))];
        let (mut texts, mut json) = (Vec::new(), Vec::new());
        order.write_texts(fields.into_iter(), &mut texts).unwrap();
        order.write_text(br#"{"orderId": 7, "paid": true}"#, &mut json).unwrap();
        assert_eq!(texts, json);
        let violation = order.write_text(br#"{"price": 1}"#, &mut json).unwrap_err().to_string();
        assert!(violation.contains("price") && !violation.contains("line 1"), "{violation}");
        assert_eq!(texts, json);
        assert!(order.write_texts([("order_id", Some("seven"))].into_iter(), &mut json).is_err());
        assert!(file.writer(Some("Nothing")).unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let mut bytes = vec![9];
        let text = messages().write_json(&json!({ "price": 1 }), &mut bytes).unwrap_err().to_string();
        assert!(text.contains("shop.Order") && text.contains("price"), "{text}");
        assert_eq!(bytes, [9]);
        assert!(messages().read_json(&[2, 2]).unwrap_err().to_string().contains("[1]"));
        assert!(messages().read_json(&[0, 8]).is_err());
    }
}

//! Records as JSON: what somebody who has only JSON gives, to the bytes behind the schema's id; and back.

use serde_json::Value as Json;

use crate::{
    Document, Error, Violation, avro::Avro, errors::shorten, json_schema, protobuf::Messages, validate,
};

/// Reads and writes the records of one schema.
#[derive(Debug)]
pub enum Transcoder {
    Avro(Avro),
    JsonSchema(Box<jsonschema::Validator>),
    Protobuf(Messages),
}

impl Transcoder {
    pub fn of(document: &Document) -> Result<Self, Error> {
        Ok(match document {
            Document::Avro(avro) => Transcoder::Avro(avro.clone()),
            Document::JsonSchema(json) => {
                let validator =
                    json_schema::validator(&json.json).expect("parsing has built this validator once");
                Transcoder::JsonSchema(Box::new(validator))
            }
            Document::Protobuf(protobuf) => Transcoder::Protobuf(protobuf.messages()?),
        })
    }

    /// Appends what comes after the schema's id; on a violation `out` is as before.
    pub fn write(&self, json: &Json, out: &mut Vec<u8>) -> Result<(), Violation> {
        match self {
            Transcoder::Avro(avro) => avro.write_json(json, out),
            Transcoder::JsonSchema(validator) => {
                validator.validate(json).map_err(|error| validate::violation(&error))?;
                out.extend_from_slice(json.to_string().as_bytes());
                Ok(())
            }
            Transcoder::Protobuf(messages) => messages.write_json(json, out),
        }
    }

    /// What came after the schema's id.
    pub fn read(&self, bytes: &[u8]) -> Result<Json, Error> {
        match self {
            Transcoder::Avro(avro) => avro.read_json(bytes),
            Transcoder::JsonSchema(_) => serde_json::from_slice(bytes).map_err(|error| Error::Decode {
                kind: base::ContractKind::JsonSchema,
                field: "the record".to_owned(),
                reason: shorten(&error.to_string(), 160),
            }),
            Transcoder::Protobuf(messages) => messages.read_json(bytes),
        }
    }
}

impl Document {
    /// What the record is called: Avro's full name, JSON Schema's title, the first message of a Protobuf file.
    pub fn record_name(&self) -> Option<String> {
        match self {
            Document::Avro(avro) => Some(avro.record_name()),
            Document::JsonSchema(json) => json.title(),
            Document::Protobuf(protobuf) => protobuf.record_name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::ContractKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_records_are_checked_and_stay_what_they_are() {
        let schema =
            r#"{"title": "Flight", "type": "object", "properties": {"number": {"type": "integer"}}}"#;
        let document = Document::parse(ContractKind::JsonSchema, "flights", schema).unwrap();
        let transcoder = Transcoder::of(&document).unwrap();
        let mut bytes = Vec::new();
        transcoder.write(&json!({ "number": 7, "more": [1] }), &mut bytes).unwrap();
        assert_eq!(bytes, br#"{"number":7,"more":[1]}"#);
        assert_eq!(transcoder.read(&bytes).unwrap(), json!({ "number": 7, "more": [1] }));
        assert!(transcoder.read(b"{").is_err());
        let violation = transcoder.write(&json!({ "number": "seven" }), &mut bytes).unwrap_err();
        assert_eq!(violation.field, "number");
        assert_eq!(document.record_name().as_deref(), Some("Flight"));
    }
}

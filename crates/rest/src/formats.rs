//! The formats that records have in requests and answers, and those of them that need no schema. What has a schema is read and
//! written by `schemas`.

use base::ContractKind;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value as Json;

use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Binary,
    Json,
    /// Only v3 has it.
    String,
    Avro,
    JsonSchema,
    Protobuf,
}

impl Format {
    const ALL: [Format; 6] =
        [Format::Binary, Format::Json, Format::String, Format::Avro, Format::JsonSchema, Format::Protobuf];

    /// The word of v3's `type`.
    pub fn word(self) -> &'static str {
        match self {
            Format::Binary => "BINARY",
            Format::Json => "JSON",
            Format::String => "STRING",
            Format::Avro => "AVRO",
            Format::JsonSchema => "JSONSCHEMA",
            Format::Protobuf => "PROTOBUF",
        }
    }

    pub fn of_word(word: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.word().eq_ignore_ascii_case(word))
    }

    /// v2's, by the word of a media type: `application/vnd.kafka.avro.v2+json`.
    pub fn embedded(word: &str) -> Option<Format> {
        Format::of_word(word).filter(|format| *format != Format::String)
    }

    /// The kind of its schemas, where it needs one.
    pub fn kind(self) -> Option<ContractKind> {
        match self {
            Format::Binary | Format::Json | Format::String => None,
            Format::Avro => Some(ContractKind::Avro),
            Format::JsonSchema => Some(ContractKind::JsonSchema),
            Format::Protobuf => Some(ContractKind::Protobuf),
        }
    }

    pub fn of_kind(kind: ContractKind) -> Format {
        match kind {
            ContractKind::Avro => Format::Avro,
            ContractKind::JsonSchema => Format::JsonSchema,
            ContractKind::Protobuf => Format::Protobuf,
        }
    }
}

/// The bytes of a key or value without a schema; null is none.
pub(crate) fn write(format: Format, json: &Json) -> Result<Option<Vec<u8>>, Error> {
    let refused = |reason: String| Err(Error::Conversion { reason });
    match (format, json) {
        (_, Json::Null) => Ok(None),
        (Format::Binary, Json::String(text)) => match BASE64.decode(text) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => refused(format!("the data is not base64: {error}")),
        },
        (Format::Binary, _) => refused("the data is not a string of base64".to_owned()),
        (Format::String, Json::String(text)) => Ok(Some(text.clone().into_bytes())),
        (Format::String, _) => refused("the data is not a string".to_owned()),
        (_, json) => Ok(Some(json.to_string().into_bytes())),
    }
}

/// The same back. `place` is what an error calls the record.
pub(crate) fn read(format: Format, bytes: Option<&[u8]>, place: &str) -> Result<Json, Error> {
    let Some(bytes) = bytes else { return Ok(Json::Null) };
    match format {
        Format::Binary => Ok(BASE64.encode(bytes).into()),
        Format::String => Ok(String::from_utf8_lossy(bytes).into()),
        _ => serde_json::from_slice(bytes)
            .map_err(|error| Error::Serialization { reason: format!("{place} is not JSON: {error}") }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_without_schemas_come_back() {
        for (format, json, bytes) in [
            (Format::Binary, json!("AAH/"), &[0, 1, 255][..]),
            (Format::Json, json!({ "b": 1, "a": [true, null] }), br#"{"b":1,"a":[true,null]}"#),
            (Format::Json, json!("text"), br#""text""#),
            (Format::String, json!("text"), b"text"),
        ] {
            assert_eq!(write(format, &json).unwrap().as_deref(), Some(bytes), "{format:?}");
            assert_eq!(read(format, Some(bytes), "the value").unwrap(), json, "{format:?}");
            assert_eq!(write(format, &Json::Null).unwrap(), None);
            assert_eq!(read(format, None, "the value").unwrap(), Json::Null);
        }
        for (format, json) in
            [(Format::Binary, json!("not base64!")), (Format::Binary, json!(1)), (Format::String, json!(1))]
        {
            assert!(matches!(write(format, &json), Err(Error::Conversion { .. })), "{format:?} {json}");
        }
        assert!(matches!(read(Format::Json, Some(b"{"), "the value"), Err(Error::Serialization { .. })));
        assert_eq!(Format::embedded("jsonschema"), Some(Format::JsonSchema));
        assert_eq!(Format::embedded("string"), None);
    }
}

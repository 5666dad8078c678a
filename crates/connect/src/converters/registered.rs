//! Records framed with a schema's id: Avro and JSON Schema.

use std::sync::Arc;

use base::{Contract, ContractKind, Fault, Value};

use super::{Converted, Refusal, Registry};

/// How to read records of one registered schema.
pub(crate) struct Reader {
    pub contract: Arc<Contract>,
    decoder: Decoder,
}

enum Decoder {
    Avro(contracts::avro::Decoder),
    JsonSchema(contracts::json_schema::Decoder),
}

impl Reader {
    pub fn new(kind: ContractKind, id: i32, text: &str) -> Result<Self, String> {
        let subject = format!("schema {id}");
        let contract = contracts::contract(kind, &subject, Some(id), text).map_err(told)?;
        let decoder = match kind {
            ContractKind::Avro => Decoder::Avro(contracts::avro::Decoder::new(&subject, text).map_err(told)?),
            ContractKind::JsonSchema | ContractKind::Protobuf => {
                Decoder::JsonSchema(contracts::json_schema::Decoder::of(contract.schema.clone()))
            }
        };
        Ok(Self { contract: Arc::new(contract), decoder })
    }

    fn read(&self, payload: &[u8]) -> Result<Value, String> {
        match &self.decoder {
            Decoder::Avro(decoder) => decoder.decode(payload).map_err(told),
            Decoder::JsonSchema(decoder) => decoder.decode(payload).map_err(told),
        }
    }
}

fn told(error: contracts::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Converts one framed record.
pub(super) fn convert(bytes: &[u8], kind: ContractKind, registry: &Registry) -> Result<Converted, Fault> {
    let (id, payload) = match unframe(bytes) {
        Ok(framed) => framed,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let reader = match registry.reader(id, kind)? {
        Ok(reader) => reader,
        Err(reason) => return Ok(Err(Refusal::schema(&*reason))),
    };
    Ok(match reader.read(payload) {
        Ok(value) => Ok((Some(reader.contract.clone()), value)),
        Err(reason) => Err(Refusal::bytes(format!("the bytes do not match schema {id}: {reason}"))),
    })
}

fn unframe(bytes: &[u8]) -> Result<(i32, &[u8]), Refusal> {
    contracts::unframe(bytes).map_err(|_| Refusal::bytes(format!("the bytes {}", unframed(bytes))))
}

/// Why bytes are not framed, and which converter would read them.
fn unframed(bytes: &[u8]) -> String {
    match bytes {
        [] => "are empty: a Confluent serializer writes at least 5".to_owned(),
        [0, ..] => format!("are only {}: a Confluent serializer writes at least 5", bytes.len()),
        _ => {
            let start = "do not start with the magic byte 0: they were not written by a Confluent serializer";
            match bytes.trim_ascii_start().first() {
                Some(b'{' | b'[' | b'"') => {
                    format!(
                        "{start}; they look like plain JSON: use org.apache.kafka.connect.json.JsonConverter"
                    )
                }
                _ if std::str::from_utf8(bytes)
                    .is_ok_and(|text| !text.contains(|c: char| c.is_control())) =>
                {
                    format!(
                        "{start}; they look like plain text: use org.apache.kafka.connect.storage.StringConverter"
                    )
                }
                _ => start.to_owned(),
            }
        }
    }
}

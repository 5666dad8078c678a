//! Records framed with a schema's id: Avro, JSON Schema and Protobuf.

use std::{collections::HashMap, sync::Arc};

use base::{Contract, ContractKind, Fault, Value, problem::line};
use contracts::{
    Document, Referenced,
    protobuf::{Mapping, MessageReader},
};
use parking_lot::Mutex;

use super::{Converted, Refusal, Registry};

/// How to read records of one registered schema.
pub(crate) struct Reader {
    decoder: Decoder,
}

enum Decoder {
    Avro(Arc<Contract>, contracts::avro::Decoder),
    JsonSchema(Arc<Contract>, contracts::json_schema::Decoder),
    /// A file has several messages, and each is a schema of its own.
    Protobuf {
        id: i32,
        text: Arc<str>,
        reader: MessageReader,
        contracts: Mutex<HashMap<usize, Arc<Contract>>>,
    },
}

impl Reader {
    pub fn new(
        kind: ContractKind,
        id: i32,
        schema: cloud::registry::Schema,
        mapping: Mapping,
    ) -> Result<Self, String> {
        let subject = subject(id);
        let referenced = |(name, text)| Referenced { name, text };
        let references: Vec<Referenced> = schema.references.into_iter().map(referenced).collect();
        let document = Document::parse_with(kind, &subject, &schema.text, &references).map_err(told)?;
        let text: Arc<str> = schema.text.into();
        let contract = |document: &Document| {
            let schema = Arc::new(document.schema(&subject).map_err(told)?);
            let (subject, text) = (subject.as_str().into(), text.clone());
            Ok::<_, String>(Arc::new(Contract { kind, subject, id: Some(id), text, schema }))
        };
        let decoder = match &document {
            Document::Avro(avro) => {
                let decoder = contracts::avro::Decoder::of(&subject, avro).map_err(told)?;
                Decoder::Avro(contract(&document)?, decoder)
            }
            Document::JsonSchema(_) => {
                let contract = contract(&document)?;
                let decoder = contracts::json_schema::Decoder::of(contract.schema.clone());
                Decoder::JsonSchema(contract, decoder)
            }
            Document::Protobuf(file) => {
                let reader = file.reader(mapping).map_err(told)?;
                Decoder::Protobuf { id, text, reader, contracts: Mutex::default() }
            }
        };
        Ok(Self { decoder })
    }

    fn read(&self, payload: &[u8]) -> Result<(Arc<Contract>, Value), Refusal> {
        let id = self.id();
        let bytes = |error| Refusal::bytes(format!("the bytes do not match schema {id}: {}", told(error)));
        match &self.decoder {
            Decoder::Avro(contract, decoder) => {
                decoder.decode(payload).map(|value| (contract.clone(), value)).map_err(bytes)
            }
            Decoder::JsonSchema(contract, decoder) => {
                decoder.decode(payload).map(|value| (contract.clone(), value)).map_err(bytes)
            }
            Decoder::Protobuf { id, text, reader, contracts } => {
                let (number, value) = reader.read(payload).map_err(bytes)?;
                let mut contracts = contracts.lock();
                if let Some(contract) = contracts.get(&number) {
                    return Ok((contract.clone(), value));
                }
                let subject = subject(*id);
                let schema = reader.schema(&subject, number).map_err(|error| Refusal::schema(told(error)))?;
                let (kind, subject, text) = (ContractKind::Protobuf, subject.into(), text.clone());
                let contract = Contract { kind, subject, id: Some(*id), text, schema: Arc::new(schema) };
                let contract = contracts.entry(number).or_insert(Arc::new(contract));
                Ok((contract.clone(), value))
            }
        }
    }

    fn id(&self) -> i32 {
        match &self.decoder {
            Decoder::Avro(contract, _) | Decoder::JsonSchema(contract, _) => contract.id.unwrap_or_default(),
            Decoder::Protobuf { id, .. } => *id,
        }
    }
}

/// What errors call a schema.
fn subject(id: i32) -> String {
    format!("schema {id}")
}

fn told(error: contracts::Error) -> String {
    line(&error)
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
    Ok(reader.read(payload).map(|(contract, value)| (Some(contract), value)))
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

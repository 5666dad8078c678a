//! Records of files to the bytes that a topic takes: typed, held against the contract and framed in one pass.
//!
//! A stage of `tidemill load`: it knows records' text (CSV, JSON) and the Confluent wire format, and no store.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow_array::Array;
use base::{
    Batch, Body, BoxError, Code, Contract, ContractKind, Envelope, Fault, Place, Problem, Rejects, code,
};
use contracts::{
    framing,
    validate::{RecordEncoder, RowEncoder, Validator},
};
use engine::Stage;
use serde_json::value::RawValue;

use crate::{
    column::Column,
    files,
    record::{self, Refusal, Shape, broken, find_field, malformed},
};

/// How the values of a topic are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serializer {
    /// Confluent's: five bytes of magic and schema id, then JSON that keeps the contract.
    JsonSchema,
    /// Confluent's: five bytes of magic and schema id, then Avro.
    Avro,
    /// JSON; held against the contract where there is one.
    Json,
    /// The record's text as it stands in the file.
    String,
}

/// What to make of records.
#[derive(Debug, Clone)]
pub struct Plan {
    pub serializer: Serializer,
    /// With its id in the registry, where the serializer frames.
    pub contract: Option<Arc<Contract>>,
    /// The field whose text is the record's key.
    pub key: Option<String>,
    /// Texts of CSV that stand for no value.
    pub nulls: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} has no column {key}; it has {columns}")]
    NoKeyColumn { path: String, key: String, columns: String },
    #[error("the serializer needs a contract")]
    NoContract,
}

impl Problem for Error {
    fn code(&self) -> Code {
        code::TM1020
    }

    fn help(&self) -> String {
        match self {
            Error::NoKeyColumn { .. } => "name one of these columns, or load without --key".to_owned(),
            Error::NoContract => "name one with --contract, or write without: --serializer json".to_owned(),
        }
    }
}

/// The stage: one encoder for each file.
pub struct Serialize {
    plan: Plan,
    files: HashMap<Arc<str>, File>,
}

struct File {
    shape: Shape,
    key: Option<usize>,
    encode: Encode,
}

enum Encode {
    Rows(RowEncoder),
    /// CSV as JSON objects of texts.
    Texts(Vec<Vec<u8>>),
    Checked(Box<Validator>),
    Record(RecordEncoder),
    /// As it stands; `true`: it has to be JSON.
    Verbatim {
        is_json: bool,
    },
}

impl Serialize {
    /// # Errors
    /// A contract that does not compile, a key that no column has, a serializer without its contract.
    pub fn new(plan: Plan, shapes: Vec<(Arc<str>, Shape)>) -> Result<Self, BoxError> {
        let mut files = HashMap::new();
        for (path, shape) in shapes {
            let key = match (&plan.key, &shape) {
                (Some(key), Shape::Csv { header, .. }) => {
                    let place = header.iter().position(|name| name == key);
                    let columns = header.join(", ");
                    let missing = || Error::NoKeyColumn { path: path.to_string(), key: key.clone(), columns };
                    Some(place.ok_or_else(missing)?)
                }
                _ => None,
            };
            let encode = Encode::new(&plan, &shape)?;
            files.insert(path, File { shape, key, encode });
        }
        Ok(Self { plan, files })
    }

    fn frame(&self, out: &mut Vec<u8>) {
        if let (Serializer::JsonSchema | Serializer::Avro, Some(Contract { id: Some(id), .. })) =
            (self.plan.serializer, self.plan.contract.as_deref())
        {
            framing::frame(*id, out);
        }
    }

    /// Writes the value of one record and gives its key.
    fn record<'a>(
        &self,
        file: &File,
        record: &'a [u8],
        fields: &mut Vec<Cow<'a, [u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        self.frame(out);
        match &file.shape {
            Shape::Csv { header, delimiter } => {
                record::split(record, *delimiter, header.len(), fields)?;
                self.csv(file, record, *delimiter, header, fields, out)?;
                Ok(file.key.and_then(|key| {
                    let text = std::mem::take(&mut fields[key]);
                    let is_null = self.plan.nulls.iter().any(|null| null.as_bytes() == &*text);
                    (!is_null).then_some(text)
                }))
            }
            Shape::Json => {
                self.json(file, record, out)?;
                match &self.plan.key {
                    Some(key) => json_key(record, key),
                    None => Ok(None),
                }
            }
        }
    }

    fn csv(
        &self,
        file: &File,
        record: &[u8],
        delimiter: u8,
        header: &[String],
        fields: &[Cow<'_, [u8]>],
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        match &file.encode {
            Encode::Rows(encoder) => {
                encoder.encode(fields.iter().map(|field| &**field), out).map_err(|violation| {
                    let number = header.iter().position(|name| *name == violation.field).unwrap_or(0);
                    broken(files::field_start(record, delimiter, number), &violation)
                })
            }
            Encode::Texts(heads) => self.texts(record, delimiter, heads, fields, out),
            Encode::Checked(_) | Encode::Record(_) | Encode::Verbatim { .. } => {
                out.extend_from_slice(record);
                Ok(())
            }
        }
    }

    /// A JSON object of texts, null where the text is a null marker.
    fn texts(
        &self,
        record: &[u8],
        delimiter: u8,
        heads: &[Vec<u8>],
        fields: &[Cow<'_, [u8]>],
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        out.push(b'{');
        for (number, (head, field)) in heads.iter().zip(fields).enumerate() {
            if number > 0 {
                out.push(b',');
            }
            out.extend_from_slice(head);
            if self.plan.nulls.iter().any(|null| null.as_bytes() == &**field) {
                out.extend_from_slice(b"null");
                continue;
            }
            let text = std::str::from_utf8(field).map_err(|_| Refusal {
                at: files::field_start(record, delimiter, number),
                code: code::TM0725,
                reason: "the text is not UTF-8".to_owned(),
            })?;
            serde_json::to_writer(&mut *out, text).expect("a text is always JSON, and a vector takes it");
        }
        out.push(b'}');
        Ok(())
    }

    fn json(&self, file: &File, record: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        match &file.encode {
            Encode::Checked(validator) => {
                validator.check_json(record).map_err(|violation| {
                    let at = find_field(record, &violation.field);
                    broken(at, &violation)
                })?;
                out.extend_from_slice(record);
            }
            Encode::Record(encoder) => {
                let json: serde_json::Value =
                    serde_json::from_slice(record).map_err(|error| malformed(&error))?;
                encoder.encode(&record::json_value(json), out).map_err(|violation| broken(0, &violation))?;
            }
            Encode::Verbatim { is_json } => {
                if *is_json {
                    serde_json::from_slice::<serde::de::IgnoredAny>(record)
                        .map_err(|error| malformed(&error))?;
                }
                out.extend_from_slice(record);
            }
            Encode::Rows(_) | Encode::Texts(_) => out.extend_from_slice(record),
        }
        Ok(())
    }
}

impl Encode {
    fn new(plan: &Plan, shape: &Shape) -> Result<Self, BoxError> {
        let contract = plan.contract.as_deref();
        let nulls: Vec<&str> = plan.nulls.iter().map(String::as_str).collect();
        Ok(match (plan.serializer, shape, contract) {
            (Serializer::JsonSchema | Serializer::Avro, _, None) => return Err(Error::NoContract.into()),
            (Serializer::String, _, _) => Encode::Verbatim { is_json: false },
            (Serializer::Json, Shape::Csv { header, .. }, None) => {
                Encode::Texts(header.iter().map(head).collect())
            }
            (_, Shape::Csv { header, .. }, Some(contract)) => {
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                Encode::Rows(RowEncoder::compile(contract, &header, &nulls)?)
            }
            (Serializer::Json, Shape::Json, None) => Encode::Verbatim { is_json: true },
            (_, Shape::Json, Some(contract)) if contract.kind == ContractKind::Avro => {
                Encode::Record(RecordEncoder::compile(contract)?)
            }
            (_, Shape::Json, Some(contract)) => Encode::Checked(Box::new(Validator::compile(contract)?)),
        })
    }
}

fn head(name: &String) -> Vec<u8> {
    let mut head = serde_json::to_vec(name).expect("a text is always JSON");
    head.push(b':');
    head
}

/// The text of a field of the top level; other JSON than a text as it is written.
fn json_key<'a>(record: &'a [u8], key: &str) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
    let fields: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(record).map_err(|error| malformed(&error))?;
    let Some(raw) = fields.get(key).map(|raw| raw.get()).filter(|raw| *raw != "null") else {
        return Ok(None);
    };
    if !raw.starts_with('"') {
        return Ok(Some(Cow::Owned(raw.as_bytes().to_vec())));
    }
    let text: String = serde_json::from_str(raw).map_err(|error| malformed(&error))?;
    Ok(Some(Cow::Owned(text.into_bytes())))
}

impl Stage for Serialize {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let Body::Raw(records) = &batch.body else {
            return Err(Fault::Fatal("the serializer takes records as received".into()));
        };
        let file = match &*batch.place {
            Place::File { path: name } | Place::Made { name } => self.files.get(name),
            Place::Topic { .. } | Place::Collection { .. } => None,
        };
        let Some(file) = file else {
            return Err(Fault::Fatal(format!("{} was not planned for", batch.place).into()));
        };
        let (mut values, mut keys, mut rejects) = (Column::default(), Column::default(), Rejects::default());
        let mut kept = Vec::with_capacity(records.len());
        let (mut out, mut fields) = (Vec::with_capacity(1_024), Vec::new());
        for row in 0..records.len() {
            out.clear();
            fields.clear();
            match self.record(file, records.value(row), &mut fields, &mut out) {
                Ok(key) => {
                    values.push(Some(&out));
                    keys.push(key.as_deref());
                    kept.push(row);
                }
                Err(refusal) => rejects.0.push(refusal.reject(&batch, row, records.value(row))),
            }
        }
        let marks = batch.envelope.marks.as_ref().map(|marks| kept.iter().map(|row| marks[*row]).collect());
        let keys = if keys.is_all_null() { None } else { Some(keys.finish().map_err(Fault::Fatal)?) };
        let envelope = Envelope { keys, marks, ..Envelope::default() };
        let body = Body::Raw(values.finish().map_err(Fault::Fatal)?);
        let contract = self.plan.contract.clone();
        Ok((vec![Batch { body, envelope, contract, ..batch }], rejects))
    }
}

#[cfg(test)]
mod tests;

//! Records of files to the bytes that a topic takes: typed, held against the contract and framed in one pass.
//!
//! A stage of `tidemill load`: it knows records' text (CSV, JSON) and the Confluent wire format, and no store. What else a record
//! says (its key, headers, time, partition) is read by `serialize/envelope.rs`.

mod envelope;
mod expression;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use arrow_array::Array;
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use base::{
    Batch, Body, BoxError, Code, Contract, ContractKind, Envelope, Fault, Headers, Place, Problem, Rejects,
    Shared, Value, code,
};
use contracts::{
    framing,
    protobuf::MessageWriter,
    validate::{RecordEncoder, RowEncoder, Validator, write_json},
};
use engine::Stage;
pub use envelope::{EnvelopePlan, HeaderText, Key, Tombstones};
use envelope::{Teller, Told, View};
pub use expression::Expression;

use crate::{
    column::Column,
    mapping::{Cells, Type},
    record::{self, Refusal, Shape, broken, find_field, malformed},
};

/// How the values of a topic are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serializer {
    /// Confluent's: five bytes of magic and schema id, then JSON that keeps the contract.
    JsonSchema,
    /// Confluent's: five bytes of magic and schema id, then Avro.
    Avro,
    /// Confluent's: five bytes of magic and schema id, the message's index, then the message.
    Protobuf,
    /// JSON; held against the contract where there is one.
    Json,
    /// The record's text as it stands in the file.
    String,
}

/// A batch of fewer rows says nothing of the next one.
const LEARN_ROWS_MIN: usize = 1_000;
/// More room is made as it is needed.
const GROWTH_PERCENT_MAX: usize = 500;

/// What to make of records.
#[derive(Debug, Clone)]
pub struct Plan {
    pub serializer: Serializer,
    /// With its id in the registry, where the serializer frames.
    pub contract: Option<Arc<Contract>>,
    /// Writes the contract's messages, where it is Protobuf.
    pub message: Option<Arc<MessageWriter>>,
    pub envelope: EnvelopePlan,
    /// Texts of CSV that stand for no value.
    pub nulls: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} has no column {key}; it has {columns}")]
    NoKeyColumn { path: String, key: String, columns: String },
    #[error("the serializer needs a contract")]
    NoContract,
    #[error("a delete needs a key, and none is named")]
    KeylessTombstones,
    #[error("{option} is no expression: {reason}")]
    Expression { option: &'static str, text: String, reason: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoKeyColumn { .. } | Error::NoContract => code::TM1020,
            Error::KeylessTombstones => code::TM1476,
            Error::Expression { .. } => code::TM1475,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoKeyColumn { .. } => "name one of these columns, or load without --key".to_owned(),
            Error::KeylessTombstones => "name the key's fields: --key FIELD".to_owned(),
            Error::Expression { text, .. } => {
                format!("correct {text:?}; fields stand in braces: {{{{ region }}}}-{{{{ id % 8 }}}}")
            }
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
    /// How many fields a record of CSV has.
    width: usize,
    teller: Teller,
    encode: Encode,
    /// What values were of their records in the batch before: room for those of the next one is made at once.
    growth_percent: AtomicUsize,
}

enum Encode {
    Rows(RowEncoder),
    /// CSV as JSON objects of texts.
    Texts(Vec<Vec<u8>>),
    Checked(Box<Validator>),
    Record(RecordEncoder),
    Message(Arc<MessageWriter>),
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
            let teller = Teller::new(&plan.envelope, &path, &shape)?;
            let width = match &shape {
                Shape::Csv { header, .. } => header.len(),
                Shape::Json | Shape::Document | Shape::Rows => 0,
            };
            let shape = match (shape, &plan.contract) {
                (Shape::Csv { header, cells }, Some(contract)) => {
                    Shape::Csv { header, cells: Arc::new(cells.for_schema(&contract.schema)) }
                }
                (shape, _) => shape,
            };
            let encode = Encode::new(&plan, &shape)?;
            files.insert(path, File { shape, width, teller, encode, growth_percent: AtomicUsize::new(0) });
        }
        Ok(Self { plan, files })
    }

    fn frame(&self, out: &mut Vec<u8>) {
        if let (
            Serializer::JsonSchema | Serializer::Avro | Serializer::Protobuf,
            Some(Contract { id: Some(id), .. }),
        ) = (self.plan.serializer, self.plan.contract.as_deref())
        {
            framing::frame(*id, out);
        }
    }

    /// Writes the value of one record and gives what else it says.
    fn record<'a, 'b: 'a>(
        &'a self,
        file: &File,
        record: &'b [u8],
        fields: &'a mut Vec<Cow<'b, [u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<Told<'a>, Refusal> {
        fields.clear();
        if let Shape::Csv { cells, .. } = &file.shape {
            cells.split(record, fields)?;
        }
        let fields: &'a [Cow<'a, [u8]>] = fields;
        if file.teller.has_tombstones() {
            let told = self.tell(file, record, fields)?;
            if told.is_tombstone {
                return Ok(told);
            }
        }
        self.frame(out);
        match &file.shape {
            Shape::Csv { header, cells } => self.csv(file, record, cells, header, fields, out)?,
            Shape::Json | Shape::Document | Shape::Rows => self.json(file, record, out)?,
        }
        self.tell(file, record, fields)
    }

    fn tell<'a>(
        &'a self,
        file: &File,
        record: &'a [u8],
        fields: &'a [Cow<'a, [u8]>],
    ) -> Result<Told<'a>, Refusal> {
        if file.teller.is_silent() {
            return Ok(Told::default());
        }
        let view = match &file.shape {
            Shape::Csv { .. } => View::Csv { fields, nulls: &self.plan.nulls },
            Shape::Json | Shape::Document | Shape::Rows => View::of_json(record)?,
        };
        file.teller.tell(&view)
    }

    fn csv(
        &self,
        file: &File,
        record: &[u8],
        cells: &Cells,
        header: &[String],
        fields: &[Cow<'_, [u8]>],
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        match &file.encode {
            Encode::Rows(encoder) => encoder.encode(fields, out).map_err(|violation| {
                let number = header.iter().position(|name| *name == violation.field).unwrap_or(0);
                broken(cells.start(record, number), &violation)
            }),
            Encode::Texts(heads) => self.texts(record, cells, heads, fields, out),
            Encode::Message(writer) => {
                let mut texts = Vec::with_capacity(fields.len());
                for (number, (name, field)) in header.iter().zip(fields).enumerate() {
                    let text = utf8(record, cells, number, field)?;
                    let is_null = self.plan.nulls.iter().any(|null| null == text);
                    texts.push((name.as_str(), (!is_null).then_some(text)));
                }
                writer.write_texts(texts.into_iter(), out).map_err(|violation| broken(0, &violation))
            }
            Encode::Checked(_) | Encode::Record(_) | Encode::Verbatim { .. } => {
                out.extend_from_slice(record);
                Ok(())
            }
        }
    }

    /// A JSON object of texts, null where the text is a null marker; of a column with a type, the value of that type.
    fn texts(
        &self,
        record: &[u8],
        cells: &Cells,
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
            if let Some(kind) = cells.declared(number) {
                let value = cells.cast(number, &kind.kind(), field);
                let value = value.ok_or_else(|| cells.unlike(record, number, field))?;
                match kind {
                    Type::Date | Type::Timestamp => write_json(&record::time_text(&value), out),
                    _ => write_json(&value, out),
                }
                continue;
            }
            let text = utf8(record, cells, number, field)?;
            serde_json::to_writer(&mut *out, text).expect("a text is always JSON, and a vector takes it");
        }
        out.push(b'}');
        Ok(())
    }

    /// The same of a row that was typed before; `json`: its text.
    fn row<'a>(
        &'a self,
        file: &File,
        row: &Value,
        json: &'a [u8],
        out: &mut Vec<u8>,
    ) -> Result<Told<'a>, Refusal> {
        if file.teller.has_tombstones() {
            let told = self.tell(file, json, &[])?;
            if told.is_tombstone {
                return Ok(told);
            }
        }
        self.frame(out);
        match &file.encode {
            Encode::Record(encoder) => {
                encoder.encode(row, out).map_err(|violation| broken(0, &violation))?;
            }
            Encode::Message(writer) => {
                writer
                    .write_row(row, out)
                    .map_err(|violation| broken(find_field(json, &violation.field), &violation))?;
            }
            Encode::Rows(_) | Encode::Texts(_) | Encode::Checked(_) | Encode::Verbatim { .. } => {
                self.json(file, json, out)?
            }
        }
        self.tell(file, json, &[])
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
            Encode::Message(writer) => {
                writer.write_text(record, out).map_err(|violation| broken(0, &violation))?;
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
            (Serializer::JsonSchema | Serializer::Avro | Serializer::Protobuf, _, None) => {
                return Err(Error::NoContract.into());
            }
            (Serializer::Protobuf, _, Some(_)) => {
                Encode::Message(plan.message.clone().ok_or(Error::NoContract)?)
            }
            (Serializer::String, _, _) => Encode::Verbatim { is_json: false },
            (Serializer::Json, Shape::Csv { header, .. }, None) => {
                Encode::Texts(header.iter().map(head).collect())
            }
            (_, Shape::Csv { header, .. }, Some(contract)) => {
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                Encode::Rows(RowEncoder::compile(contract, &header, &nulls)?)
            }
            (Serializer::Json, _, None) => Encode::Verbatim { is_json: true },
            (_, _, Some(contract)) if contract.kind == ContractKind::Avro => {
                Encode::Record(RecordEncoder::compile(contract)?)
            }
            (_, _, Some(contract)) => Encode::Checked(Box::new(Validator::compile(contract)?)),
        })
    }
}

fn head(name: &String) -> Vec<u8> {
    let mut head = serde_json::to_vec(name).expect("a text is always JSON");
    head.push(b':');
    head
}

fn utf8<'a>(record: &[u8], cells: &Cells, number: usize, field: &'a [u8]) -> Result<&'a str, Refusal> {
    std::str::from_utf8(field).map_err(|_| Refusal {
        at: cells.start(record, number),
        code: code::TM0725,
        reason: "the text is not UTF-8".to_owned(),
    })
}

/// The columns of a batch that is being made.
#[derive(Default)]
struct Columns {
    values: Column,
    keys: Column,
    headers: Vec<Headers>,
    /// -1: whenever it is sent.
    timestamps_ms: Vec<i64>,
    partitions: Vec<i32>,
    tombstones: Vec<bool>,
    kept: Vec<usize>,
}

impl Columns {
    /// Keeps the record that `write` writes; what it refuses leaves nothing.
    fn write<'a>(
        &mut self,
        row: usize,
        teller: &Teller,
        write: impl FnOnce(&mut Vec<u8>) -> Result<Told<'a>, Refusal>,
    ) -> Result<(), Refusal> {
        let told = self.values.write(write, |told| told.is_tombstone)?;
        self.keys.push(told.key.as_deref());
        self.kept.push(row);
        if teller.says_more_than_a_key() {
            self.headers.push(told.headers);
            self.timestamps_ms.push(told.timestamp_ms.unwrap_or(-1));
            self.partitions.extend(told.partition);
            self.tombstones.push(told.is_tombstone);
        }
        Ok(())
    }

    fn finish(self, batch: &Batch) -> Result<(Body, Envelope), BoxError> {
        let is_some = |is: bool| is.then_some(());
        let marks = batch.envelope.marks.as_ref().map(|marks| match self.kept.len() == batch.len() {
            true => marks.clone(),
            false => self.kept.iter().map(|row| marks[*row]).collect(),
        });
        let came_as =
            batch.envelope.came_as.as_ref().map(|rows| self.kept.iter().map(|row| rows[*row]).collect());
        let envelope = Envelope {
            keys: if self.keys.is_all_null() { None } else { Some(self.keys.finish()?) },
            headers: is_some(self.headers.iter().any(|headers| !headers.is_empty()))
                .map(|()| Shared::from(self.headers)),
            timestamps_ms: is_some(self.timestamps_ms.iter().any(|time_ms| *time_ms >= 0))
                .map(|()| ScalarBuffer::from(self.timestamps_ms)),
            tombstones: is_some(self.tombstones.contains(&true))
                .map(|()| BooleanBuffer::from(self.tombstones)),
            partitions: is_some(!self.partitions.is_empty()).map(|()| ScalarBuffer::from(self.partitions)),
            marks,
            came_as,
        };
        Ok((Body::Raw(self.values.finish()?), envelope))
    }
}

impl Stage for Serialize {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let file = match &*batch.place {
            Place::File { path: name } | Place::Made { name } => self.files.get(name),
            Place::Topic { .. } | Place::Collection { .. } => None,
        };
        let Some(file) = file else {
            return Err(Fault::Fatal(format!("{} was not planned for", batch.place).into()));
        };
        let (mut columns, mut rejects) = (Columns::default(), Rejects::default());
        let bytes_in = engine::body_bytes(&batch.body) as usize;
        columns.values.reserve(batch.len(), bytes_in / 100 * file.growth_percent.load(Relaxed));
        match &batch.body {
            Body::Raw(records) => {
                let mut fields = Vec::with_capacity(file.width);
                for row in 0..records.len() {
                    let record = records.value(row);
                    let fields = &mut fields;
                    let written =
                        columns.write(row, &file.teller, move |out| self.record(file, record, fields, out));
                    if let Err(refusal) = written {
                        rejects.0.push(refusal.reject(&batch, row, record, &file.shape));
                    }
                }
            }
            Body::Rows(rows) => {
                for (row, value) in rows.iter().enumerate() {
                    let mut json = Vec::new();
                    write_json(&record::with_texts(value, self.plan.contract.as_deref()), &mut json);
                    let written = columns.write(row, &file.teller, |out| self.row(file, value, &json, out));
                    if let Err(refusal) = written {
                        rejects.0.push(refusal.reject(&batch, row, &json, &file.shape));
                    }
                }
            }
            Body::Columns(_) => return Err(Fault::Fatal("the serializer takes records, not columns".into())),
        }
        if batch.len() >= LEARN_ROWS_MIN {
            // With the bytes of the views, so that it is a little more than the values.
            let percent = columns.values.bytes() * 100 / bytes_in.max(1);
            file.growth_percent.store(percent.min(GROWTH_PERCENT_MAX), Relaxed);
        }
        let (body, envelope) = columns.finish(&batch).map_err(Fault::Fatal)?;
        let contract = self.plan.contract.clone();
        Ok((vec![Batch { body, envelope, contract, ..batch }], rejects))
    }
}

#[cfg(test)]
mod tests;

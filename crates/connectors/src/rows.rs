//! Records of files to rows of values, which is what document stores take: typed by a contract, else by what the rows have in
//! common, as `tidemill contract infer` decides it.
//!
//! A stage of `tidemill load`: it knows records' text (CSV, JSON) and contracts, and no store. A row's key is the text of the
//! field that `--key` names, a JSON array of several. Without one a row has no key: a store's sink then tells rows by their place.

pub(crate) mod json;
pub mod seen;

pub use json::read as json_value;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow_array::{Array, BinaryViewArray};
use base::{
    Batch, Body, BoxError, Code, Contract, Envelope, Fault, Kind, Place, Problem, Rejects, Shared, Value,
    code,
};
use contracts::{
    Document, Validator,
    avro::Decoder,
    validate::{RecordEncoder, RowEncoder, cast_word, write_json},
};
use engine::Stage;

use crate::{
    column::Column,
    mapping::Cells,
    names::Names,
    record::{self, Refusal, Shape, broken, find_field, malformed},
};

/// What to make of records.
#[derive(Debug, Clone)]
pub struct Plan {
    pub contract: Option<Arc<Contract>>,
    /// The fields whose values are the key.
    pub keys: Vec<String>,
    /// Texts of CSV that stand for no value.
    pub nulls: Vec<String>,
    /// A field that every row gets besides its own, and its value: when it was loaded, for a pipeline's cursor.
    pub stamp: Option<(Arc<str>, Value)>,
    /// The store reads JSON itself: records that nothing has to be told of go on as they are written.
    pub keeps_json: bool,
}

/// A file's shape, and the types of its columns where no contract says them.
#[derive(Debug, Clone)]
pub struct Planned {
    pub path: Arc<str>,
    pub shape: Shape,
    pub kinds: Vec<Kind>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} has no column {key}; it has {columns}")]
    NoKeyColumn { path: String, key: String, columns: String },
    #[error("the columns of {path} cannot be told")]
    NotInferred { path: String, source: BoxError },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoKeyColumn { .. } => code::TM0770,
            Error::NotInferred { .. } => code::TM0771,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoKeyColumn { .. } => "name one of these columns with --key".to_owned(),
            Error::NotInferred { .. } => "mend the file, or say its types: --contract NAME".to_owned(),
        }
    }
}

/// The stage: a reader for each file.
pub struct Rows {
    plan: Plan,
    files: HashMap<Arc<str>, File>,
}

struct File {
    shape: Shape,
    names: Vec<Arc<str>>,
    key: Vec<usize>,
    typing: Typing,
}

enum Typing {
    /// A column of CSV each, as it was seen.
    Seen(Vec<Kind>),
    /// CSV to the contract's bytes, which hold only what keeps it, and back.
    Coded { encoder: Box<RowEncoder>, decode: Decode },
    /// JSON as it is, held against its contract where there is one.
    Json { validator: Option<Box<Validator>>, floats: Vec<Arc<str>> },
    /// JSON with the types of an Avro contract.
    Record { encoder: Box<RecordEncoder>, decoder: Box<Decoder> },
}

enum Decode {
    Avro(Box<Decoder>),
    Json { floats: Vec<Arc<str>> },
}

impl Rows {
    /// # Errors
    /// A contract that does not compile, a key that no column has.
    pub fn new(plan: Plan, files: Vec<Planned>) -> Result<Self, BoxError> {
        let mut planned = HashMap::with_capacity(files.len());
        for Planned { path, shape, kinds } in files {
            let header: &[String] = match &shape {
                Shape::Csv { header, .. } => header,
                Shape::Json | Shape::Document | Shape::Rows => &[],
            };
            let place = |key: &String| {
                let columns = || header.join(", ");
                let missing =
                    || Error::NoKeyColumn { path: path.to_string(), key: key.clone(), columns: columns() };
                header.iter().position(|name| name == key).ok_or_else(missing)
            };
            let key = match shape {
                Shape::Csv { .. } => plan.keys.iter().map(place).collect::<Result<_, _>>()?,
                Shape::Json | Shape::Document | Shape::Rows => Vec::new(),
            };
            let names = header.iter().map(|name| name.as_str().into()).collect();
            let shape = match shape {
                Shape::Csv { header, cells } => {
                    let cells = match &plan.contract {
                        Some(contract) => cells.for_schema(&contract.schema),
                        None => cells.for_kinds(&kinds),
                    };
                    Shape::Csv { header, cells: Arc::new(cells) }
                }
                other => other,
            };
            let typing = Typing::new(&plan, &shape, kinds)?;
            planned.insert(path, File { shape, names, key, typing });
        }
        Ok(Self { plan, files: planned })
    }

    /// Whether the store is given this file's records as they are written.
    fn passes(&self, file: &File) -> bool {
        self.plan.keeps_json
            && self.plan.stamp.is_none()
            && matches!(file.typing, Typing::Json { validator: None, .. })
    }

    /// The records that are objects of JSON, as they are written, with their keys.
    fn pass(
        &self,
        records: &BinaryViewArray,
        batch: &Batch,
        shape: &Shape,
    ) -> Result<(Vec<Batch>, Rejects), Fault> {
        let (names, has_keys) = (Names::default(), !self.plan.keys.is_empty());
        let (mut kept, mut rejects) = (Vec::with_capacity(records.len()), Rejects::default());
        let (mut key, mut keys) = (Vec::new(), Column::default());
        for row in 0..records.len() {
            let record = records.value(row);
            let told = match has_keys {
                true => json::object(record, &names)
                    .and_then(|value| self.json_key(record, &value, &mut key))
                    .map(|()| keys.push(Some(&key))),
                false => json::expect_object(record),
            };
            match told {
                Ok(()) => kept.push(row),
                Err(refusal) => rejects.0.push(refusal.reject(batch, row, record, shape)),
            }
        }
        let marks = batch.envelope.marks.as_ref();
        let marks = marks.map(|marks| kept.iter().map(|row| marks[*row]).collect());
        let mut records = records.clone();
        if !rejects.0.is_empty() {
            let mut column = Column::default();
            kept.iter().for_each(|row| column.push(Some(records.value(*row))));
            records = column.finish().map_err(Fault::Fatal)?;
        }
        let keys = if has_keys { Some(keys.finish().map_err(Fault::Fatal)?) } else { None };
        let envelope = Envelope { keys, marks, ..Envelope::default() };
        Ok((vec![Batch { body: Body::Raw(records), envelope, contract: None, ..batch.clone() }], rejects))
    }

    fn row<'a>(
        &self,
        file: &File,
        record: &'a [u8],
        names: &Names,
        work: &mut Work<'a>,
    ) -> Result<Value, Refusal> {
        work.out.clear();
        work.fields.clear();
        match &file.shape {
            Shape::Csv { cells, .. } => {
                cells.split(record, &mut work.fields)?;
                let value = self.cells(file, record, cells, names, work)?;
                self.csv_key(file, record, cells, work)?;
                Ok(value)
            }
            Shape::Json | Shape::Document | Shape::Rows => {
                let row = json::read(record, names).map_err(|error| malformed(&error))?;
                let value = checked(file, row, record, &mut work.out)?;
                self.json_key(record, &value, &mut work.key)?;
                Ok(value)
            }
        }
    }

    /// A row that was typed before.
    fn typed(&self, file: &File, row: &Value, work: &mut Work<'_>) -> Result<Value, Refusal> {
        let mut json = Vec::new();
        if matches!(file.typing, Typing::Json { validator: Some(_), .. }) {
            let texts = record::with_texts(row, self.plan.contract.as_deref());
            write_json(&texts, &mut json);
        }
        work.out.clear();
        let value = checked(file, row.clone(), &json, &mut work.out)?;
        self.json_key(&json, &value, &mut work.key)?;
        Ok(value)
    }

    fn cells(
        &self,
        file: &File,
        record: &[u8],
        cells: &Cells,
        names: &Names,
        work: &mut Work<'_>,
    ) -> Result<Value, Refusal> {
        match &file.typing {
            Typing::Seen(kinds) => {
                let mut row = Vec::with_capacity(kinds.len());
                for (number, (kind, text)) in kinds.iter().zip(&work.fields).enumerate() {
                    let is_null = self.is_null(text);
                    let value = if is_null { Some(Value::Null) } else { cells.cast(number, kind, text) };
                    let value = value.ok_or_else(|| match cells.declared(number) {
                        Some(_) => cells.unlike(record, number, text),
                        None => Refusal {
                            at: cells.start(record, number),
                            code: code::TM0772,
                            reason: unlike(&file.names[number], kind, text),
                        },
                    })?;
                    row.push((file.names[number].clone(), value));
                }
                Ok(Value::Struct(row))
            }
            Typing::Coded { encoder, decode } => {
                encoder.encode(&work.fields, &mut work.out).map_err(|violation| {
                    let number = file.names.iter().position(|name| **name == *violation.field);
                    broken(cells.start(record, number.unwrap_or(0)), &violation)
                })?;
                match decode {
                    Decode::Avro(decoder) => decoder.decode(&work.out).map_err(undecoded),
                    Decode::Json { floats } => json::read(&work.out, names)
                        .map(|row| widened(row, floats))
                        .map_err(|e| malformed(&e)),
                }
            }
            Typing::Json { .. } | Typing::Record { .. } => unreachable!("a CSV file is planned as CSV"),
        }
    }

    fn stamped(&self, mut row: Value) -> Value {
        if let (Some((name, stamp)), Value::Struct(fields)) = (&self.plan.stamp, &mut row) {
            fields.retain(|(field, _)| field != name);
            fields.push((name.clone(), stamp.clone()));
        }
        row
    }

    fn is_null(&self, text: &[u8]) -> bool {
        self.plan.nulls.iter().any(|null| null.as_bytes() == text)
    }

    fn csv_key(&self, file: &File, record: &[u8], cells: &Cells, work: &mut Work<'_>) -> Result<(), Refusal> {
        work.key.clear();
        for &number in &file.key {
            let text = &work.fields[number];
            if self.is_null(text) {
                return Err(keyless(cells.start(record, number), &file.names[number]));
            }
            let text = String::from_utf8_lossy(text);
            push_key(&mut work.key, self.plan.keys.len(), &text);
        }
        end_key(&mut work.key, self.plan.keys.len());
        Ok(())
    }

    fn json_key(&self, record: &[u8], row: &Value, out: &mut Vec<u8>) -> Result<(), Refusal> {
        out.clear();
        for name in &self.plan.keys {
            let value = row.get(name).filter(|value| !value.is_null());
            let value = value.ok_or_else(|| keyless(find_field(record, name), name))?;
            match value.plain() {
                Value::String(text) => push_key(out, self.plan.keys.len(), text),
                other => {
                    let mut text = Vec::new();
                    write_json(other, &mut text);
                    push_key(out, self.plan.keys.len(), &String::from_utf8_lossy(&text));
                }
            }
        }
        end_key(out, self.plan.keys.len());
        Ok(())
    }
}

/// What one record needs while it is read, kept for the next.
#[derive(Default)]
struct Work<'a> {
    fields: Vec<Cow<'a, [u8]>>,
    out: Vec<u8>,
    key: Vec<u8>,
}

impl Typing {
    fn new(plan: &Plan, shape: &Shape, kinds: Vec<Kind>) -> Result<Self, BoxError> {
        let Some(contract) = &plan.contract else {
            return Ok(match shape {
                Shape::Csv { .. } => Typing::Seen(kinds),
                Shape::Json | Shape::Document | Shape::Rows => {
                    Typing::Json { validator: None, floats: Vec::new() }
                }
            });
        };
        let avro = match Document::parse(contract.kind, &contract.subject, &contract.text)? {
            Document::Avro(avro) => Some(Box::new(Decoder::of(&contract.subject, &avro)?)),
            Document::JsonSchema(_) | Document::Protobuf(_) => None,
        };
        Ok(match (shape, avro) {
            (Shape::Csv { header, .. }, avro) => {
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                let nulls: Vec<&str> = plan.nulls.iter().map(String::as_str).collect();
                let encoder = Box::new(RowEncoder::compile(contract, &header, &nulls)?);
                let decode = avro.map_or_else(|| Decode::Json { floats: floats(contract) }, Decode::Avro);
                Typing::Coded { encoder, decode }
            }
            (Shape::Json | Shape::Document | Shape::Rows, Some(decoder)) => {
                Typing::Record { encoder: Box::new(RecordEncoder::compile(contract)?), decoder }
            }
            (Shape::Json | Shape::Document | Shape::Rows, None) => {
                let validator = Some(Box::new(Validator::compile(contract)?));
                Typing::Json { validator, floats: floats(contract) }
            }
        })
    }
}

/// The fields that a contract calls numbers: JSON may write a whole one without a point.
fn floats(contract: &Contract) -> Vec<Arc<str>> {
    let is_float = |kind: &Kind| matches!(kind, Kind::Float32 | Kind::Float64);
    let fields = contract.schema.fields().iter();
    fields.filter(|field| is_float(&field.schema.kind)).map(|field| field.name.clone()).collect()
}

fn widened(mut row: Value, floats: &[Arc<str>]) -> Value {
    if let Value::Struct(fields) = &mut row {
        for (name, value) in fields {
            if let Value::Int(number) = value
                && floats.contains(name)
            {
                *value = Value::Float(*number as f64);
            }
        }
    }
    row
}

/// A row held against its contract, with the contract's types. `record`: the row as JSON.
fn checked(file: &File, row: Value, record: &[u8], out: &mut Vec<u8>) -> Result<Value, Refusal> {
    if !matches!(row, Value::Struct(_)) {
        return Err(json::no_object(row.kind_name()));
    }
    match &file.typing {
        Typing::Json { validator: None, .. } => Ok(row),
        Typing::Json { validator: Some(validator), floats } => {
            validator
                .check_json(record)
                .map_err(|violation| broken(find_field(record, &violation.field), &violation))?;
            Ok(widened(row, floats))
        }
        Typing::Record { encoder, decoder } => {
            encoder.encode(&row, out).map_err(|violation| broken(0, &violation))?;
            decoder.decode(out).map_err(undecoded)
        }
        Typing::Seen(_) | Typing::Coded { .. } => unreachable!("a JSON file is planned as JSON"),
    }
}

fn undecoded(error: contracts::Error) -> Refusal {
    Refusal { at: 0, code: error.code(), reason: error.to_string() }
}

fn unlike(name: &str, kind: &Kind, text: &[u8]) -> String {
    let text = contracts::shorten(&String::from_utf8_lossy(text), 60);
    let word = if *kind == Kind::Int64 { "an integer" } else { cast_word(kind) };
    format!("{name}: expected {word} as in the rows before, found {text:?}")
}

fn keyless(at: usize, name: &str) -> Refusal {
    Refusal { at, code: code::TM0774, reason: format!("{name}, the key, has no value") }
}

/// A text alone is the key as it is; of several each is a JSON text.
fn push_key(out: &mut Vec<u8>, count: usize, text: &str) {
    if count == 1 {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(if out.is_empty() { b'[' } else { b',' });
    serde_json::to_writer(&mut *out, text).expect("a text is always JSON, and a vector takes it");
}

fn end_key(out: &mut Vec<u8>, count: usize) {
    if count > 1 {
        out.push(b']');
    }
}

/// What has been made of a batch so far.
struct Made {
    rows: Vec<Value>,
    keys: Column,
    /// The places of the rows in their batch.
    kept: Vec<usize>,
    rejects: Rejects,
}

impl Made {
    fn with_capacity(count: usize) -> Self {
        let (rows, kept) = (Vec::with_capacity(count), Vec::with_capacity(count));
        Self { rows, keys: Column::default(), kept, rejects: Rejects::default() }
    }

    fn keep(&mut self, row: usize, value: Value, key: Option<&[u8]>) {
        self.rows.push(value);
        self.keys.push(key);
        self.kept.push(row);
    }
}

impl Stage for Rows {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let (Place::File { path } | Place::Made { name: path }) = &*batch.place else {
            return Err(Fault::Fatal(format!("{} is no file", batch.place).into()));
        };
        let file =
            self.files.get(path).ok_or_else(|| Fault::Fatal(format!("{path} was not planned").into()))?;
        if let (Body::Raw(records), true) = (&batch.body, self.passes(file)) {
            return self.pass(records, &batch, &file.shape);
        }
        let (names, mut work, has_keys) = (Names::default(), Work::default(), !self.plan.keys.is_empty());
        let mut made = Made::with_capacity(batch.len());
        match &batch.body {
            Body::Raw(records) => {
                for row in 0..records.len() {
                    match self.row(file, records.value(row), &names, &mut work) {
                        Ok(value) => {
                            made.keep(row, self.stamped(value), has_keys.then_some(work.key.as_slice()));
                        }
                        Err(refusal) => {
                            made.rejects.0.push(refusal.reject(&batch, row, records.value(row), &file.shape));
                        }
                    }
                }
            }
            Body::Rows(given) => {
                for (row, value) in given.iter().enumerate() {
                    match self.typed(file, value, &mut work) {
                        Ok(value) => {
                            made.keep(row, self.stamped(value), has_keys.then_some(work.key.as_slice()));
                        }
                        Err(refusal) => {
                            let mut record = Vec::new();
                            write_json(value, &mut record);
                            made.rejects.0.push(refusal.reject(&batch, row, &record, &file.shape));
                        }
                    }
                }
            }
            Body::Columns(_) => return Err(Fault::Fatal("rows are made of records, not of columns".into())),
        }
        let Made { rows, keys, kept, rejects } = made;
        let marks = batch.envelope.marks.as_ref().map(|marks| kept.iter().map(|row| marks[*row]).collect());
        let keys = if has_keys { Some(keys.finish().map_err(Fault::Fatal)?) } else { None };
        let envelope = Envelope { keys, marks, ..Envelope::default() };
        let (body, contract) = (Body::Rows(Shared::from(rows)), self.plan.contract.clone());
        Ok((vec![Batch { body, envelope, contract, ..batch }], rejects))
    }

    /// A cell of two bytes of text is a name and a value: fifty bytes and more. What passes is written once more, by the sink.
    fn growth(&self) -> u64 {
        if self.files.values().all(|file| self.passes(file)) { 2 } else { 16 }
    }
}

#[cfg(test)]
mod tests;

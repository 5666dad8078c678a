//! Records of files as rows: JSON as it is, CSV with what its texts plainly are.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow_array::Array;
use base::{Batch, Body, Envelope, Fault, Place, Reject, Rejects, Value, code};
use bytes::Bytes;
use connectors::{
    files::{self, Dialect},
    record::{Shape, json_value},
};
use engine::Stage;

/// The stage of a file source.
pub(crate) struct ParseRows {
    files: HashMap<Arc<str>, File>,
}

enum File {
    Csv { header: Vec<Arc<str>>, dialect: Dialect },
    Json,
}

/// A parsed record is so many times its text.
const GROWTH: u64 = 4;

impl ParseRows {
    pub(crate) fn new(shapes: Vec<(Arc<str>, Shape)>) -> Self {
        let file = |shape| match shape {
            Shape::Csv { header, cells } => File::Csv {
                header: header.iter().map(|name| name.as_str().into()).collect(),
                dialect: cells.dialect(),
            },
            Shape::Json | Shape::Document | Shape::Rows => File::Json,
        };
        Self { files: shapes.into_iter().map(|(path, shape)| (path, file(shape))).collect() }
    }
}

impl Stage for ParseRows {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let Body::Raw(records) = &batch.body else { return Ok((vec![batch], Rejects::default())) };
        let file = match &*batch.place {
            Place::File { path } => self.files.get(path),
            Place::Topic { .. } | Place::Collection { .. } | Place::Made { .. } => None,
        };
        let Some(file) = file else {
            return Err(Fault::Fatal(format!("{} was not planned for", batch.place).into()));
        };
        let (mut rows, mut kept) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
        let mut rejects = Rejects::default();
        let mut fields = Vec::new();
        for row in 0..records.len() {
            fields.clear();
            match file.parse(records.value(row), &mut fields) {
                Ok(value) => {
                    rows.push(value);
                    kept.push(row);
                }
                Err(reason) => rejects.0.push(Reject {
                    origin: batch.origin(row),
                    code: code::TM0725,
                    reason,
                    stage: "VALUE_CONVERTER",
                    key: None,
                    value: Some(Bytes::copy_from_slice(records.value(row))),
                    headers: Vec::new(),
                    timestamp_ms: None,
                }),
            }
        }
        let marks = batch.envelope.marks.as_ref().map(|marks| kept.iter().map(|row| marks[*row]).collect());
        let envelope = Envelope { marks, ..Envelope::default() };
        Ok((vec![Batch { body: Body::Rows(rows.into()), envelope, ..batch }], rejects))
    }

    fn growth(&self) -> u64 {
        GROWTH
    }
}

impl File {
    fn parse<'a>(&self, record: &'a [u8], fields: &mut Vec<Cow<'a, [u8]>>) -> Result<Value, String> {
        match self {
            File::Json => {
                let json: serde_json::Value =
                    serde_json::from_slice(record).map_err(|error| format!("not JSON: {error}"))?;
                match json_value(json) {
                    row @ Value::Struct(_) => Ok(row),
                    other => Err(format!("a record is an object, and not a {}", other.kind_name())),
                }
            }
            File::Csv { header, dialect } => {
                files::split(record, *dialect, fields).map_err(|bad| bad.reason)?;
                if fields.len() != header.len() {
                    return Err(format!(
                        "the header has {} fields, this record {}",
                        header.len(),
                        fields.len()
                    ));
                }
                let field = |(name, field): (&Arc<str>, &Cow<'_, [u8]>)| {
                    let text = std::str::from_utf8(field).map_err(|_| format!("{name} is not UTF-8"))?;
                    Ok((name.clone(), typed(text)))
                };
                header.iter().zip(fields.iter()).map(field).collect::<Result<_, String>>().map(Value::Struct)
            }
        }
    }
}

/// A number where it is written as one, nothing for nothing, else a text. `007` and `1e5` are texts.
fn typed(text: &str) -> Value {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && (digits.len() == 1 || !digits.starts_with('0') || digits.starts_with("0."));
    match text {
        "" | "NA" => Value::Null,
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ if !is_number => Value::string(text),
        _ => match (text.parse(), text.parse()) {
            (Ok(number), _) => Value::Int(number),
            (_, Ok(number)) if !text.ends_with('.') => Value::Float(number),
            _ => Value::string(text),
        },
    }
}

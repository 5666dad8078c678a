//! Records of files as stages take them: what they look like, how a CSV record comes apart, and how one is refused with the
//! line and column of what is wrong in it.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use base::{Batch, Code, Reject, Value, code};
use bytes::Bytes;
use contracts::Violation;
use memchr::{memchr_iter, memrchr};

use crate::files::{self, FileSource, Format};

/// What the records of one file look like.
#[derive(Debug, Clone)]
pub enum Shape {
    Csv { header: Vec<String>, delimiter: u8 },
    Json,
}

/// The shape of each file of a source, by its name in records' places.
///
/// # Errors
/// A file whose format is not known, or whose header cannot be read.
pub fn shapes(source: &FileSource, config: &files::Config) -> Result<Vec<(Arc<str>, Shape)>, files::Error> {
    let shape = |path: &PathBuf| {
        let shape = match config.format_of(path)? {
            Format::Csv => {
                Shape::Csv { header: source.csv_header(path)?, delimiter: config.delimiter_of(path) }
            }
            Format::JsonLines | Format::Json => Shape::Json,
        };
        Ok((path.to_string_lossy().into(), shape))
    };
    config.paths.iter().map(shape).collect()
}

/// A JSON document as values: whole numbers that fit are integers, all others floats.
pub fn json_value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(is) => Value::Boolean(is),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::string(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(json_value).collect()),
        serde_json::Value::Object(fields) => {
            Value::Struct(fields.into_iter().map(|(name, field)| (name.into(), json_value(field))).collect())
        }
    }
}

/// Why one record is refused, and where in it.
pub(crate) struct Refusal {
    pub(crate) at: usize,
    pub(crate) code: Code,
    pub(crate) reason: String,
}

impl Refusal {
    /// `file:line:column` stands in the reason: a record may have several lines.
    pub(crate) fn reject(self, batch: &Batch, row: usize, record: &[u8]) -> Reject {
        let before = &record[..self.at.min(record.len())];
        let lines = memchr_iter(b'\n', before).count() as i64;
        let column = before.len() - memrchr(b'\n', before).map_or(0, |at| at + 1) + 1;
        let origin = batch.origin(row);
        let line = origin.mark.unwrap_or(0) + lines;
        Reject {
            reason: format!("{}:{line}:{column}: {}", origin.place, self.reason),
            origin,
            code: self.code,
            stage: "VALUE_CONVERTER",
            key: None,
            value: Some(Bytes::copy_from_slice(record)),
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }
}

/// The fields of a CSV record, as many as the header has.
pub(crate) fn split<'a>(
    record: &'a [u8],
    delimiter: u8,
    count: usize,
    fields: &mut Vec<Cow<'a, [u8]>>,
) -> Result<(), Refusal> {
    let refuse = |at, reason| Refusal { at, code: code::TM0725, reason };
    files::split(record, delimiter, fields).map_err(|bad| refuse(bad.at, bad.reason))?;
    if fields.len() == count {
        return Ok(());
    }
    let at = files::field_start(record, delimiter, count);
    let at = if fields.len() < count { record.len() } else { at };
    Err(refuse(at, format!("the header has {count} fields, this record {}", fields.len())))
}

pub(crate) fn broken(at: usize, violation: &Violation) -> Refusal {
    Refusal { at, code: violation.code(), reason: violation.to_string() }
}

pub(crate) fn malformed(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    // The place stands before the reason already, counted in the file.
    let reason = text.split(" at line ").next().unwrap_or(&text);
    Refusal {
        at: error.column().saturating_sub(1),
        code: code::TM0725,
        reason: format!("not JSON: {reason}"),
    }
}

/// Where a field's name stands in a record of JSON; its start when it is not there.
pub(crate) fn find_field(record: &[u8], field: &str) -> usize {
    let name = field.trim_start_matches('/').split('/').next().unwrap_or_default();
    let quoted = format!("\"{name}\"");
    memchr::memmem::find(record, quoted.as_bytes()).filter(|_| !name.is_empty()).unwrap_or(0)
}

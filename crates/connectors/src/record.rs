//! Records of files as stages take them: what they look like, how a CSV record comes apart, and how one is refused with the
//! line and column of what is wrong in it.

use std::{borrow::Cow, sync::Arc};

use base::{Batch, BoxError, Code, Contract, Kind, Reject, Schema, Value, code};
use bytes::Bytes;
use contracts::Violation;
use memchr::{memchr_iter, memrchr};

use crate::{
    files::{self, FileSource, Format},
    mapping::{self, Cells, Mapping},
};

/// What the records of one file look like.
#[derive(Debug, Clone)]
pub enum Shape {
    Csv {
        header: Vec<String>,
        cells: Arc<Cells>,
    },
    /// JSON texts, a line each.
    Json,
    /// JSON texts that are known by their number.
    Document,
    /// Typed values that are known by their number.
    Rows,
}

impl Shape {
    /// Its marks are numbers of records, and not lines.
    pub fn is_numbered(&self) -> bool {
        matches!(self, Shape::Document | Shape::Rows)
    }

    /// What the records look like once the mapping has been applied.
    pub fn mapped(self, mapping: &Mapping) -> Self {
        match self {
            Shape::Json | Shape::Document if !mapping.is_empty() => Shape::Rows,
            other => other,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] files::Error),
    #[error(transparent)]
    Mapping(#[from] mapping::Error),
}

impl Error {
    /// The one that says what is wrong.
    pub fn into_problem(self) -> Box<dyn base::Problem> {
        match self {
            Error::File(error) => Box::new(error),
            Error::Mapping(error) => Box::new(error),
        }
    }

    /// The same as a cause.
    pub fn into_cause(self) -> BoxError {
        match self {
            Error::File(error) => Box::new(error),
            Error::Mapping(error) => Box::new(error),
        }
    }
}

/// The shape of each file of a source, by its name in records' places.
///
/// # Errors
/// A file whose header cannot be read, a mapping that does not fit it.
pub fn shapes(
    source: &FileSource,
    config: &files::Config,
    mapping: &Mapping,
) -> Result<Vec<(Arc<str>, Shape)>, Error> {
    let shape = |input: &files::Input| {
        let name = input.name();
        let format = source.format(name)?;
        let shape = match format {
            Format::Csv | Format::Excel => {
                let columns = source.columns(name)?;
                let dialect = source.dialect(name)?;
                let (header, mut cells) = Cells::new(mapping, dialect, name, &columns, config.has_header)?;
                cells.is_sheet = format == Format::Excel;
                Shape::Csv { header, cells: Arc::new(cells) }
            }
            Format::JsonLines => Shape::Json,
            Format::Json => Shape::Document,
            Format::Avro | Format::Parquet => Shape::Rows,
        };
        Ok((name.clone(), shape))
    };
    config.inputs.iter().map(shape).collect()
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
    /// `file:line:column` stands in the reason, as a record may have several lines; or the record's number, where that is known.
    pub(crate) fn reject(self, batch: &Batch, row: usize, record: &[u8], shape: &Shape) -> Reject {
        let origin = batch.origin(row);
        let mark = origin.mark.unwrap_or(0);
        let reason = if shape.is_numbered() {
            format!("{}: record {mark}: {}", origin.place, self.reason)
        } else {
            let before = &record[..self.at.min(record.len())];
            let lines = memchr_iter(b'\n', before).count() as i64;
            let column = before.len() - memrchr(b'\n', before).map_or(0, |at| at + 1) + 1;
            format!("{}:{}:{column}: {}", origin.place, mark + lines, self.reason)
        };
        Reject {
            reason,
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

/// Dates and times as the texts that JSON has for them, at any depth, where the contract does not want their numbers.
pub(crate) fn with_texts<'a>(row: &'a Value, contract: Option<&Contract>) -> Cow<'a, Value> {
    match has_times(row) {
        true => Cow::Owned(texts(row, contract.map(|contract| &*contract.schema))),
        false => Cow::Borrowed(row),
    }
}

fn is_time(value: &Value) -> bool {
    matches!(value, Value::Date(_) | Value::TimestampMs(_) | Value::TimestampUs(_))
}

fn has_times(value: &Value) -> bool {
    match value {
        Value::Struct(fields) => fields.iter().any(|(_, value)| has_times(value)),
        Value::List(items) => items.iter().any(has_times),
        Value::Map(entries) => entries.iter().any(|(_, value)| has_times(value)),
        value => is_time(value),
    }
}

fn texts(value: &Value, schema: Option<&Schema>) -> Value {
    let kind = schema.map(|schema| &schema.kind);
    let within = match kind {
        Some(Kind::Array(items) | Kind::Map { value: items, .. }) => Some(&**items),
        _ => None,
    };
    let field = |name: &str| schema.and_then(|schema| schema.field(name)).map(|field| &*field.schema);
    match value {
        value if is_time(value) && matches!(kind, None | Some(Kind::String)) => time_text(value),
        Value::Struct(fields) => Value::Struct(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), texts(value, within.or_else(|| field(name)))))
                .collect(),
        ),
        Value::List(items) => Value::List(items.iter().map(|item| texts(item, within)).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), texts(value, within))).collect())
        }
        value => value.clone(),
    }
}

/// `2013-01-31`, `2013-01-31T10:00:00Z`, with a fraction where there is one.
pub fn time_text(value: &Value) -> Value {
    use chrono::{DateTime, Days, NaiveDate, SecondsFormat};
    let epoch = NaiveDate::default();
    let moment = match value {
        Value::Date(days) if *days >= 0 => {
            return epoch
                .checked_add_days(Days::new(u64::from(days.unsigned_abs())))
                .map_or(value.clone(), |date| Value::string(date.to_string()));
        }
        Value::Date(days) => {
            return epoch
                .checked_sub_days(Days::new(u64::from(days.unsigned_abs())))
                .map_or(value.clone(), |date| Value::string(date.to_string()));
        }
        Value::TimestampMs(ms) => DateTime::from_timestamp_millis(*ms),
        Value::TimestampUs(us) => DateTime::from_timestamp_micros(*us),
        _ => None,
    };
    moment.map_or(value.clone(), |moment| Value::string(moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
}

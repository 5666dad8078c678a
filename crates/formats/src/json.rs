//! JSON Lines as Confluent's JsonFormat writes them: Kafka Connect's JsonConverter with `schemas.enable=false`.
//!
//! Raw JSON is checked and passed through, without the white space between its tokens; everything else is built from
//! values. With a schema, fields come in its order and missing ones as null.

mod compact;
mod name;
pub(crate) mod times;
mod value;

use std::ops::Range;

use arrow_array::Array;
use base::{Batch, Body, Rejects, code};

use crate::{
    Encoder, Error, RawAs,
    columns::{schema_of_columns, views},
    reject,
};

pub use compact::append as compact_json;
pub use name::Name;
pub use times::time_text;
pub use value::json_value;
pub(crate) use value::{append_base64, append_cell, append_plain, unscaled_bytes};

/// How a decimal looks: `decimal.format` of JsonConverter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecimalAs {
    /// The unscaled number's big-endian bytes, in base64 text.
    #[default]
    Base64,
    Number,
}

/// How dates and times look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimesAs {
    /// JsonConverter's: days, or milliseconds.
    #[default]
    Number,
    /// As RFC 3339 writes them: `2013-01-31`, `2013-01-31T10:00:00Z`.
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JsonSettings {
    pub raw: RawAs,
    pub decimal: DecimalAs,
    pub times: TimesAs,
}

impl JsonSettings {
    /// For people and other programs: decimals are numbers, times are texts.
    pub fn plain() -> Self {
        Self { raw: RawAs::Json, decimal: DecimalAs::Number, times: TimesAs::Text }
    }
}

/// What of the settings concerns a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    decimal: DecimalAs,
    times: TimesAs,
}

impl Style {
    pub(crate) const PLAIN: Style = Style { decimal: DecimalAs::Number, times: TimesAs::Text };
}

impl From<DecimalAs> for Style {
    fn from(decimal: DecimalAs) -> Self {
        Self { decimal, times: TimesAs::Number }
    }
}

pub(crate) struct JsonEncoder {
    settings: JsonSettings,
}

impl JsonEncoder {
    pub(crate) fn new(settings: JsonSettings) -> Self {
        Self { settings }
    }

    fn append_raw(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self.settings.raw {
            RawAs::Json => compact::append(bytes, out),
            RawAs::CompactJson => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            RawAs::Text => {
                let text =
                    std::str::from_utf8(bytes).map_err(|error| format!("the text is not UTF-8: {error}"))?;
                value::append_string(text, out);
                Ok(())
            }
            RawAs::Bytes => {
                value::append_base64(bytes, out);
                Ok(())
            }
        }
    }
}

impl Encoder for JsonEncoder {
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error> {
        let mut rejects = Rejects::default();
        let style = Style { decimal: self.settings.decimal, times: self.settings.times };
        let mut line =
            |row: usize, written: Result<(), String>, start: usize, out: &mut Vec<u8>| match written {
                Ok(()) => out.push(b'\n'),
                Err(reason) => {
                    out.truncate(start);
                    rejects.0.push(reject(batch, row, code::TM0601, "TASK_PUT", reason));
                }
            };
        match &batch.body {
            Body::Raw(values) => {
                for row in rows {
                    let start = out.len();
                    let written = if values.is_valid(row) {
                        self.append_raw(values.value(row), out)
                    } else {
                        out.extend_from_slice(b"null");
                        Ok(())
                    };
                    line(row, written, start, out);
                }
            }
            Body::Rows(values) => {
                let schema = batch.contract.as_ref().map(|contract| &*contract.schema);
                for row in rows {
                    let start = out.len();
                    let written = value::append(&values[row], schema, style, out);
                    line(row, written, start, out);
                }
            }
            Body::Columns(columns) => {
                let columns = columns.slice(rows.start, rows.len());
                let schema = schema_of_columns(columns.schema_ref())?;
                let (views, fields) = (views(&columns)?, schema.fields());
                let heads: Vec<Vec<u8>> = fields.iter().map(|field| value::head(&field.name)).collect();
                for row in rows.clone() {
                    let start = out.len();
                    let cells = views.iter().map(|view| view.cell(row - rows.start));
                    let mut written = Ok(());
                    out.push(b'{');
                    for ((head, field), cell) in heads.iter().zip(fields).zip(cells) {
                        if out.len() > start + 1 {
                            out.push(b',');
                        }
                        out.extend_from_slice(head);
                        written = written.and_then(|()| append_cell(cell, &field.schema, style, out));
                    }
                    out.push(b'}');
                    line(row, written, start, out);
                }
            }
        }
        Ok(rejects)
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

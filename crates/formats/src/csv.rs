//! CSV: a header line of the schema's fields, then a line for each record; nested values are JSON text (RFC 4180 quotes),
//! times are RFC 3339's.

use std::{ops::Range, sync::Arc};

use base::{Batch, Body, Rejects, Schema, Value, code};

use crate::{
    Encoder, Error, columns,
    json::{Style, append_value, times},
    reject,
};

pub(crate) struct CsvEncoder {
    schema: Arc<Schema>,
    delimiter: u8,
    is_begun: bool,
    /// The text of a cell that is none yet.
    cell: Vec<u8>,
}

impl CsvEncoder {
    pub(crate) fn new(schema: Arc<Schema>, delimiter: u8) -> Self {
        Self { schema, delimiter, is_begun: false, cell: Vec::new() }
    }

    /// For what follows another part of the same file.
    pub(crate) fn without_header(schema: Arc<Schema>, delimiter: u8) -> Self {
        Self { is_begun: true, ..Self::new(schema, delimiter) }
    }

    fn header(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_begun, true) {
            for (place, field) in self.schema.fields().iter().enumerate() {
                if place > 0 {
                    out.push(self.delimiter);
                }
                append_cell(field.name.as_bytes(), self.delimiter, out);
            }
            out.push(b'\n');
        }
    }

    fn line(&mut self, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
        for (place, field) in self.schema.fields().iter().enumerate() {
            if place > 0 {
                out.push(self.delimiter);
            }
            match value.get(&field.name).map(Value::plain) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => append_cell(text.as_bytes(), self.delimiter, out),
                Some(
                    time
                    @ (Value::Date(_) | Value::TimeMs(_) | Value::TimestampMs(_) | Value::TimestampUs(_)),
                ) => {
                    times::append(time, out);
                }
                Some(other) => {
                    self.cell.clear();
                    append_value(other, Some(&field.schema), Style::PLAIN, &mut self.cell)?;
                    match other {
                        // Bytes are base64 text, without the quotes of JSON.
                        Value::Bytes(_) => out.extend_from_slice(&self.cell[1..self.cell.len() - 1]),
                        _ => append_cell(&self.cell, self.delimiter, out),
                    }
                }
            }
        }
        // A line that is empty would be passed over by whoever reads it.
        if self.schema.fields().len() == 1 && out.last().is_none_or(|byte| *byte == b'\n') {
            out.extend_from_slice(b"\"\"");
        }
        out.push(b'\n');
        Ok(())
    }
}

impl Encoder for CsvEncoder {
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error> {
        let made;
        let values: &[Value] = match &batch.body {
            Body::Rows(values) => &values[rows.clone()],
            Body::Columns(record_batch) => {
                made = columns::values(&record_batch.slice(rows.start, rows.len()))?;
                &made
            }
            Body::Raw(_) => return Err(Error::Form { format: "CSV", form: "raw bytes" }),
        };
        self.header(out);
        let mut rejects = Rejects::default();
        for (row, value) in rows.zip(values) {
            let start = out.len();
            let written = if matches!(value.plain(), Value::Struct(_) | Value::Map(_)) {
                self.line(value, out)
            } else {
                Err(format!("expected a record with fields, found {}", value.kind_name()))
            };
            if let Err(reason) = written {
                out.truncate(start);
                rejects.0.push(reject(batch, row, code::TM0601, "TASK_PUT", reason));
            }
        }
        Ok(rejects)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.header(out);
        Ok(())
    }
}

fn append_cell(cell: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let needs_quotes = cell.iter().any(|byte| matches!(byte, b'"' | b'\n' | b'\r') || *byte == delimiter);
    if !needs_quotes {
        return out.extend_from_slice(cell);
    }
    out.push(b'"');
    for byte in cell {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

//! CSV: a header line of the schema's fields, then a line for each record; nested values are JSON text (RFC 4180 quotes),
//! times are RFC 3339's.

use std::{ops::Range, sync::Arc};

use base::{Batch, Body, Field, Rejects, Schema, Value, code};

use crate::{
    Encoder, Error,
    columns::{Cell, views},
    json::{Style, append_cell, times},
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
                append_text(field.name.as_bytes(), self.delimiter, out);
            }
            out.push(b'\n');
        }
    }

    fn line<'a>(&mut self, cells: impl Iterator<Item = Cell<'a>>, out: &mut Vec<u8>) -> Result<(), String> {
        let Self { schema, delimiter, cell: text, .. } = self;
        for (place, (field, cell)) in schema.fields().iter().zip(cells).enumerate() {
            if place > 0 {
                out.push(*delimiter);
            }
            match cell {
                Cell::Null => {}
                Cell::Text(text) => append_text(text.as_bytes(), *delimiter, out),
                Cell::Date(_) | Cell::TimeMs(_) | Cell::TimestampMs(_) | Cell::TimestampUs(_) => {
                    times::append(cell, out);
                }
                other => {
                    text.clear();
                    append_cell(other, &field.schema, Style::PLAIN, text)?;
                    match other {
                        // Bytes are base64 text, without the quotes of JSON.
                        Cell::Bytes(_) => out.extend_from_slice(&text[1..text.len() - 1]),
                        _ => append_text(text, *delimiter, out),
                    }
                }
            }
        }
        // A line that is empty would be passed over by whoever reads it.
        if schema.fields().len() == 1 && out.last().is_none_or(|byte| *byte == b'\n') {
            out.extend_from_slice(b"\"\"");
        }
        out.push(b'\n');
        Ok(())
    }

    fn row(&mut self, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
        if !matches!(value.plain(), Value::Struct(_) | Value::Map(_)) {
            return Err(format!("expected a record with fields, found {}", value.kind_name()));
        }
        let schema = self.schema.clone();
        let cell = |field: &Field| value.get(&field.name).map_or(Cell::Null, Cell::of);
        self.line(schema.fields().iter().map(cell), out)
    }
}

impl Encoder for CsvEncoder {
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error> {
        self.header(out);
        let mut rejects = Rejects::default();
        let mut keep = |row: usize, written: Result<(), String>, start: usize, out: &mut Vec<u8>| {
            if let Err(reason) = written {
                out.truncate(start);
                rejects.0.push(reject(batch, row, code::TM0601, "TASK_PUT", reason));
            }
        };
        match &batch.body {
            Body::Rows(values) => {
                for row in rows {
                    let start = out.len();
                    let written = self.row(&values[row], out);
                    keep(row, written, start, out);
                }
            }
            Body::Columns(columns) => {
                let views = views(columns)?;
                for row in rows {
                    let start = out.len();
                    let written = self.line(views.iter().map(|view| view.cell(row)), out);
                    keep(row, written, start, out);
                }
            }
            Body::Raw(_) => return Err(Error::Form { format: "CSV", form: "raw bytes" }),
        }
        Ok(rejects)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.header(out);
        Ok(())
    }
}

fn append_text(cell: &[u8], delimiter: u8, out: &mut Vec<u8>) {
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

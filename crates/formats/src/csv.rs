//! CSV: a header line of the schema's fields, then a line for each record; nested values are JSON text (RFC 4180 quotes).

use std::{ops::Range, sync::Arc};

use base::{Batch, Body, Rejects, Schema, Value, code};

use crate::{DecimalAs, Encoder, Error, json_value, reject};

pub(crate) struct CsvEncoder {
    schema: Arc<Schema>,
    delimiter: u8,
    is_begun: bool,
}

impl CsvEncoder {
    pub(crate) fn new(schema: Arc<Schema>, delimiter: u8) -> Self {
        Self { schema, delimiter, is_begun: false }
    }

    fn header(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_begun, true) {
            let names = self.schema.fields().iter().map(|field| field.name.to_string());
            line(names, self.delimiter, out);
        }
    }
}

impl Encoder for CsvEncoder {
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error> {
        let Body::Rows(values) = &batch.body else {
            return Err(Error::Form { format: "CSV", form: "raw bytes or columns" });
        };
        self.header(out);
        let mut rejects = Rejects::default();
        for row in rows {
            let value = &values[row];
            if !matches!(value, Value::Struct(_) | Value::Map(_)) {
                let reason = format!("expected a record with fields, found {}", value.kind_name());
                rejects.0.push(reject(batch, row, code::TM0601, "TASK_PUT", reason));
                continue;
            }
            let cells = self.schema.fields().iter().map(|field| match value.get(&field.name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.to_string(),
                Some(other) => json_value(other, Some(&field.schema), DecimalAs::Number),
            });
            line(cells, self.delimiter, out);
        }
        Ok(rejects)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.header(out);
        Ok(())
    }
}

fn line(cells: impl Iterator<Item = String>, delimiter: u8, out: &mut Vec<u8>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(delimiter);
        }
        let needs_quotes = cell.bytes().any(|byte| matches!(byte, b'"' | b'\n' | b'\r') || byte == delimiter);
        if needs_quotes {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.push(b'\n');
}

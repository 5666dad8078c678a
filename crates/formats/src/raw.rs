//! Values as they are, each followed by a separator: Confluent's ByteArrayFormat.

use std::{ops::Range, sync::Arc};

use arrow_array::Array;
use base::{Batch, Body, Rejects, Value, code};

use crate::{Encoder, Error, reject};

pub(crate) struct RawEncoder {
    separator: Arc<[u8]>,
}

impl RawEncoder {
    pub(crate) fn new(separator: Arc<[u8]>) -> Self {
        Self { separator }
    }
}

impl Encoder for RawEncoder {
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error> {
        let mut rejects = Rejects::default();
        match &batch.body {
            Body::Raw(values) => {
                for row in rows {
                    if values.is_valid(row) {
                        out.extend_from_slice(values.value(row));
                    }
                    out.extend_from_slice(&self.separator);
                }
            }
            Body::Rows(values) => {
                for row in rows {
                    match &values[row] {
                        Value::Bytes(bytes) => out.extend_from_slice(bytes),
                        Value::String(text) => out.extend_from_slice(text.as_bytes()),
                        other => {
                            let reason = format!("expected bytes, found {}", other.kind_name());
                            rejects.0.push(reject(batch, row, code::TM0601, "TASK_PUT", reason));
                            continue;
                        }
                    }
                    out.extend_from_slice(&self.separator);
                }
            }
            Body::Columns(_) => return Err(Error::Form { format: "raw bytes", form: "columns" }),
        }
        Ok(rejects)
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

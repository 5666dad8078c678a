//! Parquet from values by their schema, or from columns as they are.
//!
//! Rows are turned to columns in blocks of one size and row groups end by what they hold, so that the file does not depend
//! on how records were batched; the file names its maker without a version and carries no time.

use std::{mem, ops::Range, sync::Arc};

use arrow_schema::SchemaRef;
use base::{Batch, Body, Rejects, Schema, Value, code};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, GzipLevel, ZstdLevel},
    file::properties::{WriterProperties, WriterPropertiesBuilder},
};

use crate::{Encoder, Error, ParquetCodec, columns, reject};

/// Rows that become columns together.
const BLOCK_ROWS_COUNT: usize = 4_096;
/// A row group is held in memory until it is written: small ones let many files be open at once.
const ROW_GROUP_BYTES_MAX: usize = 16 << 20;
const ROW_GROUP_ROWS_COUNT_MAX: usize = 1 << 20;

pub(crate) struct ParquetEncoder {
    schema: Arc<Schema>,
    arrow: SchemaRef,
    rows: Vec<Value>,
    /// `None` once finished.
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl ParquetEncoder {
    pub(crate) fn new(schema: Arc<Schema>, codec: ParquetCodec) -> Result<Self, Error> {
        let arrow = columns::arrow_schema(&schema)?;
        let properties = properties(codec)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_COUNT_MAX))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), arrow.clone(), Some(properties)).map_err(failed)?;
        Ok(Self { schema, arrow, rows: Vec::new(), writer: Some(writer) })
    }

    fn write_rows(&mut self, count: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let batch = columns::record_batch(&self.rows[..count], &self.schema, &self.arrow)
            .map_err(|source| Error::Encoder { format: "Parquet", source: source.into() })?;
        self.rows.drain(..count);
        if let Some(writer) = &mut self.writer {
            writer.write(&batch).map_err(failed)?;
            out.append(writer.inner_mut());
        }
        Ok(())
    }
}

impl Encoder for ParquetEncoder {
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error> {
        let mut rejects = Rejects::default();
        match &batch.body {
            Body::Rows(values) => {
                for row in rows {
                    match columns::check(&values[row], &self.schema) {
                        Ok(()) => self.rows.push(values[row].clone()),
                        Err(reason) => rejects.0.push(reject(batch, row, code::TM0601, "TASK_PUT", reason)),
                    }
                    if self.rows.len() == BLOCK_ROWS_COUNT {
                        self.write_rows(BLOCK_ROWS_COUNT, out)?;
                    }
                }
            }
            Body::Raw(_) => return Err(Error::Form { format: "Parquet", form: "raw bytes" }),
            Body::Columns(columns) => {
                let values = columns::values(&columns.slice(rows.start, rows.len()))?;
                let envelope = batch.envelope.slice(rows);
                let batch = Batch { body: Body::Rows(values.into()), envelope, ..batch.clone() };
                return self.append(&batch, 0..batch.len(), out);
            }
        }
        Ok(rejects)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if !self.rows.is_empty() {
            self.write_rows(self.rows.len(), out)?;
        }
        let Some(mut writer) = mem::take(&mut self.writer) else { return Ok(()) };
        writer.finish().map_err(failed)?;
        out.append(writer.inner_mut());
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        // A row that waits is at least its fields' values; a word each is a fair guess.
        let row_bytes = self.schema.fields().len() * mem::size_of::<Value>();
        self.writer.as_ref().map_or(0, ArrowWriter::memory_size) + self.rows.len() * row_bytes
    }
}

pub(crate) fn properties(codec: ParquetCodec) -> WriterPropertiesBuilder {
    WriterProperties::builder().set_created_by("tidemill".to_owned()).set_compression(match codec {
        ParquetCodec::None => Compression::UNCOMPRESSED,
        ParquetCodec::Snappy => Compression::SNAPPY,
        ParquetCodec::Gzip => Compression::GZIP(GzipLevel::default()),
        ParquetCodec::Zstd => Compression::ZSTD(ZstdLevel::default()),
    })
}

pub(crate) fn failed(source: parquet::errors::ParquetError) -> Error {
    Error::Encoder { format: "Parquet", source: source.into() }
}

#[cfg(test)]
mod tests;

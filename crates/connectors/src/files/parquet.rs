//! Parquet files: row groups, read as columns or as rows; those before the position are never unpacked.

use std::{fs::File, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use base::{Body, Lease, Read, panics::contained};
use parquet::{
    arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    file::reader::ChunkReader,
};

use super::{Error, remote::Parts, rows::Rows};

/// Rows that are unpacked together.
const BATCH_ROWS_COUNT_MAX: usize = 4_096;
const BATCH_ROWS_COUNT_MIN: usize = 16;
const BATCH_BYTES: usize = 1 << 20;

pub(super) struct ParquetReader {
    reader: ParquetRecordBatchReader,
    rows: Rows,
    row_bytes: usize,
    pub(super) in_columns: bool,
    /// Unpacked and not yet given.
    pending: Option<RecordBatch>,
}

/// A file, or parts of an object as they are asked for.
pub(super) enum Bytes {
    File(File),
    Parts(Box<Parts>),
}

impl ParquetReader {
    pub(super) fn open(bytes: Bytes, mut rows: Rows) -> Result<Self, Error> {
        let path = rows.path.clone();
        let opened = sound(&path, 1, || match bytes {
            Bytes::File(file) => open(file, &mut rows),
            Bytes::Parts(parts) => open(*parts, &mut rows),
        });
        let (reader, row_bytes) = opened?;
        Ok(Self { reader, rows, row_bytes, in_columns: false, pending: None })
    }

    /// What its columns are.
    pub(super) fn schema(&self) -> SchemaRef {
        arrow_array::RecordBatchReader::schema(&self.reader)
    }

    pub(super) fn read(
        &mut self,
        bytes_max: usize,
        records_max: usize,
        lease: &Arc<Lease>,
    ) -> Result<Read, Error> {
        let left = usize::try_from(self.rows.left_count).unwrap_or(usize::MAX);
        let count = (bytes_max / self.row_bytes).clamp(1, records_max.max(1)).min(left);
        if count == 0 {
            return Ok(Read::End);
        }
        let (path, number) = (self.rows.path.clone(), self.rows.number);
        let batch = match self.pending.take() {
            Some(batch) => batch,
            None => match sound(&path, number, || self.reader.next().transpose())? {
                Some(batch) => batch,
                None => return Ok(Read::End),
            },
        };
        let count = count.min(batch.num_rows());
        if count < batch.num_rows() {
            self.pending = Some(batch.slice(count, batch.num_rows() - count));
        }
        let batch = batch.slice(0, count);
        let body = match self.in_columns {
            true => Body::Columns(batch),
            false => {
                let rows =
                    formats::values(&batch).map_err(|error| broken(&path, number, error.to_string()))?;
                Body::Rows(rows.into())
            }
        };
        self.rows.pass(count as u64);
        Ok(self.rows.batch(body, lease))
    }
}

/// Calls the library. It checks most of what a file says, and takes the rest for granted: of a damaged file it may panic, where
/// arrow's buffers find that they were promised more. That is no mistake of ours, but a broken file as all others.
fn sound<T, E: ToString>(
    path: &Arc<str>,
    record: u64,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, Error> {
    let called = contained(call).map_err(|words| format!("its reader gave up: {words}"));
    called
        .and_then(|called| called.map_err(|error| error.to_string()))
        .map_err(|reason| broken(path, record, reason))
}

fn broken(path: &Arc<str>, record: u64, reason: String) -> Error {
    // parquet puts its own word before it.
    let reason = reason
        .trim_start_matches("Parquet error: ")
        .trim_start_matches("Parquet argument error: ")
        .to_owned();
    Error::Broken { path: path.clone(), record, format: "Parquet", reason }
}

/// Skips what lies before the position: whole row groups by the footer, the rest by rows. Gives the bytes of a row, about.
fn open<R: ChunkReader + 'static>(
    bytes: R,
    rows: &mut Rows,
) -> parquet::errors::Result<(ParquetRecordBatchReader, usize)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let groups = builder.metadata().row_groups();
    let mut passed = 0u64;
    let mut first = 0;
    let wanted = rows.from.saturating_sub(1);
    for group in groups {
        let count = u64::try_from(group.num_rows()).unwrap_or(0);
        if passed + count > wanted {
            break;
        }
        passed += count;
        first += 1;
    }
    let unpacked: i64 =
        groups.iter().map(|group| group.total_byte_size().max(0)).fold(0, i64::saturating_add);
    let count = builder.metadata().file_metadata().num_rows().max(1);
    let row_bytes = usize::try_from(unpacked / count).unwrap_or(usize::MAX).max(1);
    let batch_rows = (BATCH_BYTES / row_bytes).clamp(BATCH_ROWS_COUNT_MIN, BATCH_ROWS_COUNT_MAX);
    let groups = (first..groups.len()).collect();
    let skipped = wanted.max(passed) - passed;
    rows.number = passed + skipped + 1;
    rows.left_count = rows.left_count.saturating_sub(passed + skipped);
    let builder = builder.with_row_groups(groups).with_batch_size(batch_rows);
    let reader = builder.with_offset(usize::try_from(skipped).unwrap_or(usize::MAX)).build()?;
    Ok((reader, row_bytes))
}

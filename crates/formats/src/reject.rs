//! A row that cannot be written, made into a `Reject` that has kept everything of the record.

use arrow_array::Array;
use base::{Batch, Body, Code, Reject};
use bytes::Bytes;

/// Row `row` of `batch`, refused by `stage` (Connect's word, such as `TASK_PUT`) because of `reason`.
pub fn reject(
    batch: &Batch,
    row: usize,
    code: Code,
    stage: &'static str,
    reason: impl Into<String>,
) -> Reject {
    let value = match &batch.body {
        Body::Raw(values) if values.is_valid(row) => Some(Bytes::copy_from_slice(values.value(row))),
        Body::Raw(_) | Body::Rows(_) | Body::Columns(_) => None,
    };
    Reject {
        origin: batch.origin(row),
        code,
        reason: reason.into(),
        stage,
        key: batch.envelope.key(row).map(Bytes::copy_from_slice),
        value,
        headers: batch.envelope.headers.as_ref().map(|headers| headers[row].clone()).unwrap_or_default(),
        timestamp_ms: batch.envelope.timestamp_ms(row),
    }
}

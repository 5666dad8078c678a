//! Whether the values of a column all differ, told by some of them.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{
        Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    },
};
use arrow_schema::{DataType, TimeUnit};

/// So many values are looked at. Of 33,000 different ones, equally often, as many as 97 % of these differ.
const SAMPLE_COUNT: usize = 2_048;
const SHARE_MIN: f64 = 0.97;
/// Fewer rows than this make no difference.
const ROWS_COUNT_MIN: usize = 8_192;

/// The same blocks always give the same answer. Nested columns, and kinds of few values, are never said to be so.
pub(super) fn is_distinct(blocks: &[RecordBatch], column: usize) -> bool {
    let rows: usize = blocks.iter().map(RecordBatch::num_rows).sum();
    if rows < ROWS_COUNT_MIN {
        return false;
    }
    let step = rows / SAMPLE_COUNT;
    let (mut seen, mut count) = (HashSet::with_capacity(SAMPLE_COUNT), 0);
    for block in blocks {
        let array = block.column(column);
        for row in (0..array.len()).step_by(step).filter(|row| array.is_valid(*row)) {
            let Some(mark) = mark(array, row) else { return false };
            seen.insert(mark);
            count += 1;
        }
    }
    seen.len() as f64 >= count as f64 * SHARE_MIN && count > 0
}

/// What tells one value from another; `None` for a kind that is not looked at.
fn mark(array: &dyn Array, row: usize) -> Option<u64> {
    Some(match array.data_type() {
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row) as u64,
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row) as u64,
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_bits(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row) as u64,
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().value(row) as u64
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().value(row) as u64
        }
        DataType::Utf8 => {
            let mut hasher = DefaultHasher::new();
            array.as_string::<i32>().value(row).hash(&mut hasher);
            hasher.finish()
        }
        _ => return None,
    })
}

//! Which columns a dictionary does not pay for, told by the first rows of a file.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use arrow_array::Array;

use crate::encode::column::{Item, Values};

/// More values than this tell nothing new.
const SAMPLE_COUNT_MAX: usize = 1_024;

/// Whether a dictionary of such values would grow beyond `bytes_max`: the writer would fill it, find that out, and begin to
/// write the values themselves, in each row group anew.
pub(super) fn outgrows(values: &dyn Array, bytes_max: usize) -> bool {
    let Some(column) = Values::of(values) else { return false };
    let (mut seen, mut bytes, mut again_count) = (HashSet::new(), 0, 0);
    let mut count: usize = 0;
    for row in (0..values.len()).filter(|row| values.is_valid(*row)).take(SAMPLE_COUNT_MAX) {
        let mut hasher = DefaultHasher::new();
        bytes += match column.item(row) {
            Item::Bool(_) => return false,
            Item::Text(text) => hashed(text.as_bytes(), &mut hasher),
            Item::Bytes(value) => hashed(value, &mut hasher),
            Item::Int(number) | Item::TimeUs(number) | Item::TimestampUs(number, _) => {
                hashed(&number.to_le_bytes(), &mut hasher)
            }
            Item::Float(number) => hashed(&number.to_le_bytes(), &mut hasher),
            Item::Decimal(unscaled, _) => hashed(&unscaled.to_le_bytes(), &mut hasher),
            Item::Date(days) => hashed(&days.to_le_bytes(), &mut hasher),
        };
        count += 1;
        again_count += usize::from(!seen.insert(hasher.finish()));
    }
    // Of `n` values out of `k` that are equally frequent, n * n / 2k were there before. Half a value more than were: where
    // none was, the likeliest k has no bound.
    let kinds_count = count * count / (2 * again_count + 1);
    count > 0 && kinds_count * bytes / count > bytes_max
}

fn hashed(bytes: &[u8], hasher: &mut DefaultHasher) -> usize {
    bytes.hash(hasher);
    bytes.len()
}

#[cfg(test)]
mod tests;

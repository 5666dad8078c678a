//! Document ids: from a key, from a field, or from where a record stands in its source.

use base::Position;
use sha2::{Digest, Sha256};

const ID_BYTES_MAX: usize = 1_500;

/// Why Firestore would not take an id of a document or collection.
pub(super) fn check(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("an id is empty".to_owned());
    }
    if id.len() > ID_BYTES_MAX {
        return Err(format!("an id has {} bytes, more than {ID_BYTES_MAX}", id.len()));
    }
    if matches!(id, "." | "..") || id.contains('/') || super::types::is_reserved(id) {
        return Err(format!("`{id}` cannot be an id"));
    }
    Ok(())
}

/// The path of a key: an id of the collection, or a path below one (`ada/orders/7`).
pub(super) fn path(collection: &str, key: &str) -> Result<String, String> {
    key.split('/').try_for_each(check)?;
    if key.split('/').count().is_multiple_of(2) {
        return Err(format!("`{key}` is neither an id nor the path of a document below one"));
    }
    Ok(format!("{collection}/{key}"))
}

/// The id of a record without key, the same in every life: of its mark, or of the extent's start and its number in it.
/// Hashed, as Firestore slows down where ids rise.
pub(super) fn of_position(split: &str, mark: Option<i64>, start: &Position, number: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(split.as_bytes());
    match mark {
        Some(mark) => {
            hash.update([0]);
            hash.update(mark.to_be_bytes());
        }
        None => {
            hash.update([1]);
            hash.update(start.to_string().as_bytes());
            hash.update(number.to_be_bytes());
        }
    }
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

//! `_dlt_id` of rows: 14 characters of base64, as dlt's are. Theirs are random for root rows; ours come from where the
//! record lies, so that a second life of a load writes the same. Ids of child rows are dlt's own hash.

use base::{Batch, Place};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::{RowPlace, naming::shake128};

const ID_BYTES: usize = 10;
const ID_LENGTH: usize = 14;

/// The id of a row: made by us, or as the document brought it along.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowId<'a> {
    Made([u8; ID_LENGTH]),
    Given(&'a str),
}

impl RowId<'_> {
    pub(super) fn text(&self) -> &str {
        match self {
            RowId::Made(text) => std::str::from_utf8(text).unwrap_or_default(),
            RowId::Given(text) => text,
        }
    }
}

fn made<'a>(parts: &[&[u8]]) -> RowId<'a> {
    encoded(&shake128::<ID_BYTES>(parts))
}

fn encoded<'a>(digest: &[u8]) -> RowId<'a> {
    let mut text = [0; ID_LENGTH];
    // Ten bytes are fourteen characters.
    STANDARD_NO_PAD.encode_slice(digest, &mut text).ok();
    RowId::Made(text)
}

/// Of a root row: no one but us makes it again, so the hash is the one that processors have in hardware.
fn made_root<'a>(parts: &[&[u8]]) -> RowId<'a> {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    encoded(&hash.finalize()[..ID_BYTES])
}

/// Of the document `row` of a batch.
pub(super) fn root<'a>(table: &str, place: &RowPlace, batch: &Batch, row: usize) -> RowId<'a> {
    let (load, split, table) = (place.load_id.as_bytes(), place.split.as_bytes(), table.as_bytes());
    let is_collection = matches!(*batch.place, Place::Collection { .. });
    match (batch.envelope.key(row).filter(|_| is_collection), batch.envelope.mark(row)) {
        (Some(key), _) => made_root(&[load, b"\0key\0", table, b"\0", key]),
        (None, Some(mark)) => {
            made_root(&[load, b"\0mark\0", table, b"\0", split, b"\0", &mark.to_be_bytes()])
        }
        (None, None) => {
            let number = (place.first_row + row as u64).to_be_bytes();
            made_root(&[load, b"\0row\0", table, b"\0", split, b"\0", place.start.as_bytes(), b"\0", &number])
        }
    }
}

/// Of a record by its key's JSON: dlt's `key_hash`.
pub(super) fn keyed<'a>(key_json: &[u8]) -> RowId<'a> {
    made(&[key_json])
}

/// Of a row in a child table, by dlt's hash of parent, table and position.
pub(super) fn child<'a>(parent: &RowId, table: &str, index: usize) -> RowId<'a> {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = index;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    made(&[parent.text().as_bytes(), b"_", table.as_bytes(), b"_", &digits[at..]])
}

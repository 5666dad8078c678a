//! `_dlt_id` of rows: 14 characters of base64, as dlt's are. Theirs are random for root rows; ours come from where the
//! record lies, so that a second life of a load writes the same. Below a root row whose id anyone can make again (it is the
//! key's, or the document's own), ids of child rows are dlt's own hash; below one of ours nobody could tell, and there are
//! several for each document, so they take the hash that is fastest.

use base::{Batch, Place};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};
use twox_hash::XxHash3_128;

use crate::{RowPlace, naming::shake128};

const ID_BYTES: usize = 10;
const ID_LENGTH: usize = 14;
/// What the parts of a child row's id take together, unless its table has a very long name.
const PARTS_BYTES: usize = 160;

/// The id of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowId<'a> {
    /// From where its document lies. No one but us makes it again, so the hash is the one that processors have in hardware.
    Placed([u8; ID_LENGTH]),
    /// By dlt's hash.
    Hashed([u8; ID_LENGTH]),
    /// As the document brought it along.
    Given(&'a str),
}

impl RowId<'_> {
    pub(super) fn text(&self) -> &str {
        match self {
            RowId::Placed(text) | RowId::Hashed(text) => std::str::from_utf8(text).unwrap_or_default(),
            RowId::Given(text) => text,
        }
    }
}

fn hashed<'a>(parts: &[&[u8]]) -> RowId<'a> {
    RowId::Hashed(text_of(&shake128::<ID_BYTES>(parts)))
}

fn placed<'a>(parts: &[&[u8]]) -> RowId<'a> {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    RowId::Placed(text_of(&hash.finalize()[..ID_BYTES]))
}

/// No secret is in it: who could choose a document's parts cannot choose its id, which all below come from.
fn below<'a>(parts: &[&[u8]; 5]) -> RowId<'a> {
    let mut room = [0; PARTS_BYTES];
    let mut rest = &mut room[..];
    for part in parts {
        match std::mem::take(&mut rest).split_at_mut_checked(part.len()) {
            Some((own, behind)) => {
                own.copy_from_slice(part);
                rest = behind;
            }
            None => return RowId::Placed(text_of(&digest(&parts.concat()))),
        }
    }
    let length = PARTS_BYTES - rest.len();
    RowId::Placed(text_of(&digest(&room[..length])))
}

fn digest(bytes: &[u8]) -> [u8; ID_BYTES] {
    let mut digest = [0; ID_BYTES];
    digest.copy_from_slice(&XxHash3_128::oneshot(bytes).to_be_bytes()[..ID_BYTES]);
    digest
}

fn text_of(digest: &[u8]) -> [u8; ID_LENGTH] {
    let mut text = [0; ID_LENGTH];
    // Ten bytes are fourteen characters.
    STANDARD_NO_PAD.encode_slice(digest, &mut text).ok();
    text
}

/// Of the document `row` of a batch.
pub(super) fn root<'a>(table: &str, place: &RowPlace, batch: &Batch, row: usize) -> RowId<'a> {
    let (load, split, table) = (place.load_id.as_bytes(), place.split.as_bytes(), table.as_bytes());
    let is_collection = matches!(*batch.place, Place::Collection { .. });
    match (batch.envelope.key(row).filter(|_| is_collection), batch.envelope.mark(row)) {
        (Some(key), _) => placed(&[load, b"\0key\0", table, b"\0", key]),
        (None, Some(mark)) => placed(&[load, b"\0mark\0", table, b"\0", split, b"\0", &mark.to_be_bytes()]),
        (None, None) => {
            let number = (place.first_row + row as u64).to_be_bytes();
            placed(&[load, b"\0row\0", table, b"\0", split, b"\0", place.start.as_bytes(), b"\0", &number])
        }
    }
}

/// Of a record by its key's JSON: dlt's `key_hash`.
pub(super) fn keyed<'a>(key_json: &[u8]) -> RowId<'a> {
    hashed(&[key_json])
}

/// Of a row in a child table, from parent, table and position.
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
    let parts: [&[u8]; 5] = [parent.text().as_bytes(), b"_", table.as_bytes(), b"_", &digits[at..]];
    match parent {
        RowId::Placed(_) => below(&parts),
        RowId::Hashed(_) | RowId::Given(_) => hashed(&parts),
    }
}

#[cfg(test)]
mod tests;

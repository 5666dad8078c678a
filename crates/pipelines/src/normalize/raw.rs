//! JSON documents as text into values. Names of fields are shared between the documents of a batch.

use arrow_array::{Array as _, BinaryViewArray};
use base::{Batch, Rejects, Value, code};
use connectors::{names::Names, rows::json_value};

use super::STAGE;

/// The values of a batch, and which of its texts could be read; the others are rejects.
pub(super) fn values(
    batch: &Batch,
    texts: &BinaryViewArray,
    rejects: &mut Rejects,
) -> (Vec<Value>, Vec<bool>) {
    let names = Names::default();
    let read = (0..texts.len()).map(|row| {
        if texts.is_null(row) {
            return (Value::Null, false);
        }
        match json_value(texts.value(row), &names) {
            Ok(value) => (value, true),
            Err(error) => {
                let reason = format!("not a JSON document: {error}");
                rejects.0.push(formats::reject(batch, row, code::TM1207, STAGE, reason));
                (Value::Null, false)
            }
        }
    });
    read.unzip()
}

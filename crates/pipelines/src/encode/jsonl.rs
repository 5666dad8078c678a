//! JSON Lines.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    column::{Item, Values, decimal_text},
    json,
};
use crate::{DataType, TableRows};

/// JSON Lines: columns in the order of the schema, nulls left out, `json` columns as objects, times as ISO text.
pub fn jsonl(rows: &TableRows, out: &mut Vec<u8>) {
    let keys: Vec<Vec<u8>> = rows.table.columns.iter().map(|column| key(&column.name)).collect();
    let columns: Vec<_> = rows
        .columns
        .columns()
        .iter()
        .zip(&rows.table.columns)
        .zip(&keys)
        .filter(|((array, _), _)| array.null_count() < array.len())
        .filter_map(|((array, column), key)| {
            Some((array, Values::of(array)?, column.data_type == DataType::Json, key))
        })
        .collect();
    for row in 0..rows.columns.num_rows() {
        let start = out.len();
        for (array, values, is_json, key) in &columns {
            if array.is_null(row) {
                continue;
            }
            out.extend_from_slice(key);
            value(&values.item(row), *is_json, out);
        }
        match out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => out.push(b'{'),
        }
        out.extend_from_slice(b"}\n");
    }
}

/// `,"name":`
fn key(name: &str) -> Vec<u8> {
    let mut key = vec![b','];
    json::string(name, &mut key);
    key.push(b':');
    key
}

fn value(item: &Item, is_json: bool, out: &mut Vec<u8>) {
    match item {
        Item::Text(text) if is_json => out.extend_from_slice(text.as_bytes()),
        Item::Text(text) => json::string(text, out),
        Item::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Item::Int(number) => json::integer(*number, out),
        Item::Float(number) => json::float(*number, out),
        Item::Bytes(bytes) => json::string(&STANDARD.encode(bytes), out),
        Item::Decimal(unscaled, scale) => json::string(&decimal_text(*unscaled, *scale), out),
        Item::Date(days) => json::quoted(out, |out| json::date(*days, out)),
        Item::TimeUs(us) => json::quoted(out, |out| json::time(*us, out)),
        Item::TimestampUs(us, zone) => json::quoted(out, |out| json::timestamp(*us, *zone, out)),
    }
}

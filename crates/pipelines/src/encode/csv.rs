//! CSV as Python's `csv` writes it with `QUOTE_NONNUMERIC`: numbers bare, everything else in quotes, null as `""`.

use arrow_array::Array as _;

use super::{
    column::{Item, Values, decimal_text},
    json,
};
use crate::{Table, TableRows, types::python};

/// The header line of a CSV file.
pub fn csv_header(table: &Table, out: &mut Vec<u8>) {
    for (place, column) in table.columns.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        quoted(&column.name, out);
    }
    out.push(b'\n');
}

/// A line for each row. Bytes that are no UTF-8 are written as `\x` and hexadecimal digits.
pub fn csv(rows: &TableRows, out: &mut Vec<u8>) {
    let columns: Vec<_> = rows.columns.columns().iter().map(|array| (array, Values::of(array))).collect();
    for row in 0..rows.columns.num_rows() {
        for (place, (array, values)) in columns.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            match values {
                Some(values) if array.is_valid(row) => cell(&values.item(row), out),
                _ => quoted("", out),
            }
        }
        out.push(b'\n');
    }
}

fn cell(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Bool(flag) => out.extend_from_slice(if *flag { b"True" } else { b"False" }),
        Item::Int(number) => json::integer(*number, out),
        Item::Float(number) => out.extend_from_slice(python::float_text(*number).as_bytes()),
        Item::Decimal(unscaled, scale) => out.extend_from_slice(decimal_text(*unscaled, *scale).as_bytes()),
        Item::Text(text) => quoted(text, out),
        Item::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => quoted(text, out),
            Err(_) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                quoted(&format!("\\x{digits}"), out);
            }
        },
        Item::Date(days) => json::quoted(out, |out| json::date(*days, out)),
        Item::TimeUs(us) => json::quoted(out, |out| json::time(*us, out)),
        Item::TimestampUs(us, zone) => json::quoted(out, |out| json::timestamp_with(*us, *zone, b' ', out)),
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for (place, part) in text.split('"').enumerate() {
        if place > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

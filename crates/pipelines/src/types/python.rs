//! Values as text and text as values, in the forms that Python's own constructors and printers have: dlt relies on them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Cell, decimal};
use crate::encode::json;

/// `float(text)`, with dlt's `0x` before it.
pub(super) fn float(text: &str) -> Option<f64> {
    let trimmed = text.trim();
    if let Some(digits) = trimmed.strip_prefix("0x") {
        return i128::from_str_radix(digits, 16).ok().map(|number| number as f64);
    }
    let plain = without_underscores(trimmed)?;
    let unsigned = plain.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let is_number = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte));
    let is_named = matches!(unsigned.as_str(), "nan" | "inf" | "infinity");
    if is_number || is_named { plain.parse().ok() } else { None }
}

/// `int(text)`, with dlt's `0x` before it; `None` also where it does not fit 64 bits.
pub(super) fn integer(text: &str) -> Option<i64> {
    let trimmed = text.trim();
    if let Some(digits) = trimmed.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok();
    }
    without_underscores(trimmed)?.parse().ok()
}

/// One underscore may stand between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_lawful = (0..bytes.len())
        .filter(|at| bytes[*at] == b'_')
        .all(|at| at > 0 && is_digit(at - 1) && is_digit(at + 1));
    is_lawful.then(|| text.replace('_', ""))
}

pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" | "true" | "t" | "y" | "1" => Some(true),
        "no" | "false" | "f" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// `0x` and hexadecimal digits, or strict base64.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix("0x") else { return STANDARD.decode(text).ok() };
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

/// What stands in a text column for a value of another type.
pub(super) fn text(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Bool(true) => "True".to_owned(),
        Cell::Bool(false) => "False".to_owned(),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => float_text(*number),
        Cell::Text(text) | Cell::JsonText(text) => text.to_string(),
        Cell::Bytes(bytes) => STANDARD.encode(bytes),
        Cell::Decimal { unscaled, scale } => decimal::text(*unscaled, *scale),
        Cell::Date(days) => ascii(|out| json::date(*days, out)),
        Cell::TimeUs(us) => ascii(|out| json::time(*us, out)),
        Cell::TimestampUs(us) => ascii(|out| json::timestamp(*us, true, out)),
        Cell::Json(value) => ascii(|out| json::value(value, out)),
    })
}

fn ascii(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// `repr(number)`: the shortest digits that give the number back, with an exponent from 1e16 on and below 1e-4.
pub(crate) fn float_text(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return if number == 0.0 { format!("{number:.1}") } else { number.to_string().to_lowercase() };
    }
    if (1e-4..1e16).contains(&number.abs()) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

//! Rows of texts (CSV) to the contract's bytes: typed by the contract, held against it and written, in one pass.
//!
//! A text is null where it is one of the null markers and the field may be null or left out. `12.0` passes for an integer
//! because spreadsheets write whole columns so; nothing else is repaired.

use base::{Contract, Kind, Value};
use serde_json::Value as Json;

use super::{
    Validator,
    flat::Flat,
    format,
    json::{write_integer, write_text},
    rule::{Rule, Types},
    verbatim::Verbatim,
};
use crate::{Document, Error, Violation, avro, errors::shorten, protobuf};

/// Encodes rows whose columns are in the order of one header.
#[derive(Debug)]
pub struct RowEncoder {
    plan: Plan,
    nulls: Nulls,
    unmatched: Vec<String>,
}

/// Texts that stand for no value. Asked of every field of every row: the first byte tells nearly always.
#[derive(Debug)]
struct Nulls {
    texts: Box<[Box<[u8]>]>,
    has_empty: bool,
    /// The first bytes of the others.
    firsts: Box<[bool; 256]>,
}

impl Nulls {
    fn new(texts: &[&str]) -> Self {
        let mut firsts = Box::new([false; 256]);
        for first in texts.iter().filter_map(|text| text.bytes().next()) {
            firsts[usize::from(first)] = true;
        }
        let has_empty = texts.contains(&"");
        Self { texts: texts.iter().map(|text| text.as_bytes().into()).collect(), has_empty, firsts }
    }

    fn has(&self, text: &[u8]) -> bool {
        match text.first() {
            None => self.has_empty,
            Some(first) => self.firsts[usize::from(*first)] && self.texts.iter().any(|null| **null == *text),
        }
    }
}

#[derive(Debug)]
enum Plan {
    Json { columns: Vec<Column>, missing: Option<Violation>, rest: Option<Box<Validator>> },
    Avro { width: usize, row: avro::TextRow, encoder: avro::Encoder },
}

#[derive(Debug)]
struct Column {
    /// `,"name":`, escaped once.
    head: Box<[u8]>,
    rule: Rule,
    /// `None`: the rule has to be asked.
    verbatim: Option<Verbatim>,
    /// The schema allows no such member.
    refused: bool,
}

impl RowEncoder {
    /// `header`: the columns' names. `nulls`: the texts that stand for no value, such as `NA` and the empty one.
    pub fn compile(contract: &Contract, header: &[&str], nulls: &[&str]) -> Result<Self, Error> {
        let nulls = Nulls::new(nulls);
        let (plan, unmatched) = match Document::parse(contract.kind, &contract.subject, &contract.text)? {
            Document::Avro(avro) => avro_plan(contract, &avro, header)?,
            Document::JsonSchema(document) => json_plan(contract, &document.json, header)?,
            Document::Protobuf(_) => return Err(protobuf::no_rows()),
        };
        Ok(Self { plan, nulls, unmatched })
    }

    /// Columns that the contract does not name: they are sent as texts where it is open, and dropped under Avro.
    pub fn unmatched(&self) -> &[String] {
        &self.unmatched
    }

    /// Appends one row's bytes (without the wire format's five); on a violation `out` is as before.
    pub fn encode<T: AsRef<[u8]>>(&self, row: &[T], out: &mut Vec<u8>) -> Result<(), Violation> {
        let before = out.len();
        let written = match &self.plan {
            Plan::Json { columns, missing, rest } => {
                self.encode_json(columns, row, out).and_then(|()| match (missing, rest) {
                    (Some(missing), _) => Err(missing.clone()),
                    (None, Some(rest)) => rest.check_json(&out[before..]),
                    (None, None) => Ok(()),
                })
            }
            Plan::Avro { width, row: plan, encoder } => short(row.len(), *width)
                .and_then(|()| encoder.encode_texts(plan, row, |text| self.nulls.has(text), out)),
        };
        written.inspect_err(|_| out.truncate(before))
    }

    fn encode_json<T: AsRef<[u8]>>(
        &self,
        columns: &[Column],
        row: &[T],
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        out.push(b'{');
        let start = out.len();
        for (column, text) in columns.iter().zip(row) {
            let text = text.as_ref();
            let rule = &column.rule;
            let before = out.len();
            out.extend_from_slice(&column.head[usize::from(before == start)..]);
            let is_null = self.nulls.has(text);
            if !is_null && column.verbatim.is_some_and(|verbatim| verbatim.write(text, out)) {
                continue;
            }
            if is_null {
                if rule.types.has(Types::NULL) {
                    out.extend_from_slice(b"null");
                    continue;
                }
                if !rule.required {
                    out.truncate(before);
                    continue;
                }
                // An empty text is a text where the field has to be there and is one.
                if !(text.is_empty() && rule.takes_text("")) {
                    return Err(refuse(rule, text));
                }
            }
            if column.refused {
                let name = rule.name.to_string();
                return Err(Violation {
                    field: name,
                    expected: "no such field".to_owned(),
                    found: "one".to_owned(),
                });
            }
            write_cell(rule, text, out)?;
        }
        out.push(b'}');
        short(row.len(), columns.len())
    }
}

fn short(count: usize, columns: usize) -> Result<(), Violation> {
    if count == columns {
        return Ok(());
    }
    let found = format!("{count}");
    Err(Violation { field: String::new(), expected: format!("{columns} columns, as the header has"), found })
}

fn json_plan(contract: &Contract, json: &Json, header: &[&str]) -> Result<(Plan, Vec<String>), Error> {
    let validator = Validator::compile(contract)?;
    let flat = validator.flat();
    let find = |name: &str| flat.and_then(|flat: &Flat| flat.rules.iter().find(|rule| *rule.name == *name));
    let property = |name: &str| json.get("properties").and_then(|properties| properties.get(name));
    let required = |name: &str| {
        json.get("required").and_then(Json::as_array).is_some_and(|list| list.iter().any(|item| item == name))
    };
    let closed = flat.is_some_and(|flat| flat.closed);
    let mut unmatched = Vec::new();
    let columns: Vec<Column> = header
        .iter()
        .map(|name| {
            let mut head = vec![b','];
            write_text(name, &mut head);
            head.push(b':');
            let known = property(name);
            if known.is_none() {
                unmatched.push((*name).to_owned());
            }
            let rule = match find(name) {
                Some(rule) => rule.clone(),
                None => Rule::loose(name, known.unwrap_or(&Json::Null), required(name)),
            };
            let refused = closed && known.is_none();
            let verbatim = Verbatim::of(&rule).filter(|_| !refused);
            Column { head: head.into(), rule, verbatim, refused }
        })
        .collect();
    let missing = flat.and_then(|flat| {
        let seen = flat.rules.iter().enumerate().filter(|(_, rule)| header.contains(&&*rule.name));
        flat.missing(seen.fold(0, |bits, (at, _)| bits | 1u128 << at))
    });
    let missing = missing.map(|missing| Violation { found: "no column of that name".to_owned(), ..missing });
    let rest = if flat.is_some() { None } else { Some(Box::new(validator)) };
    Ok((Plan::Json { columns, missing, rest }, unmatched))
}

fn avro_plan(contract: &Contract, avro: &avro::Avro, header: &[&str]) -> Result<(Plan, Vec<String>), Error> {
    let encoder = avro::Encoder::of(&contract.subject, avro)?;
    let (row, unmatched) = encoder.text_row(header);
    Ok((Plan::Avro { width: header.len(), row, encoder }, unmatched))
}

/// Writes a text as the first of the rule's types that it can be.
pub(super) fn write_cell(rule: &Rule, text: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
    let types = rule.types;
    if types.has(Types::INTEGER) || types.has(Types::NUMBER) {
        if let Some(number) = integer(text) {
            if rule.takes_integer(number.into()) {
                write_integer(number, out);
                return Ok(());
            }
        } else if let Some(number) = float(text) {
            // The verdict on the text written below: a whole float under `integer` is written as an integer.
            if types.has(Types::NUMBER) && rule.takes_float(number) {
                write_float(text, number, out);
                return Ok(());
            }
            const EXACT: f64 = 9_007_199_254_740_992.0;
            if number.fract() == 0.0 && number.abs() < EXACT && rule.takes_integer(number as i128) {
                write_integer(number as i64, out);
                return Ok(());
            }
        }
    }
    if types.has(Types::BOOLEAN)
        && let Some(flag) = boolean(text)
    {
        out.extend_from_slice(if flag { b"true" } else { b"false" });
        return Ok(());
    }
    if types.has(Types::STRING)
        && let Ok(text) = std::str::from_utf8(text)
        && rule.takes_text(text)
    {
        write_text(text, out);
        return Ok(());
    }
    Err(refuse(rule, text))
}

fn refuse(rule: &Rule, text: &[u8]) -> Violation {
    Violation { field: rule.name.to_string(), expected: rule.expected(), found: shown(text) }
}

pub(crate) fn shown(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) => format!("{:?}", shorten(text, 60)),
        Err(_) => format!("bytes that are not UTF-8 ({:?})", shorten(&String::from_utf8_lossy(text), 40)),
    }
}

/// A whole number of 64 bits: digits with at most a sign.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut number = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    match negative {
        true => 0i64.checked_sub_unsigned(number),
        false => i64::try_from(number).ok(),
    }
}

/// A finite number that begins with a sign, a digit or a point (so no `inf`, no `NaN`).
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    if !matches!(text.first(), Some(b'0'..=b'9' | b'-' | b'+' | b'.')) {
        return None;
    }
    if let Some(number) = short_decimal(text) {
        return Some(number);
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// `-12.50`, as amounts are written: of at most 15 digits, so that what stands before the division is exact as a float, and
/// the quotient is the nearest one.
fn short_decimal(text: &[u8]) -> Option<f64> {
    const DIGITS_MAX: usize = 15;
    const POWERS: [f64; DIGITS_MAX] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let whole = digits.iter().position(|byte| *byte == b'.')?;
    if whole == 0 || digits.len() > DIGITS_MAX + 1 {
        return None;
    }
    let mut number = 0u64;
    for byte in digits[..whole].iter().chain(&digits[whole + 1..]) {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(byte - b'0');
    }
    let number = number as f64 / POWERS[digits.len() - 1 - whole];
    Some(if is_negative { -number } else { number })
}

pub(crate) fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"TRUE" | b"True" => Some(true),
        b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

/// The text itself where JSON writes it so, else the shortest that reads back the same.
fn write_float(text: &[u8], number: f64, out: &mut Vec<u8>) {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = &unsigned[whole..];
    let plain = (whole == 1 || (whole > 1 && unsigned[0] != b'0'))
        && matches!(rest, [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    match plain {
        true => out.extend_from_slice(text),
        false => serde_json::to_writer(out, &number).expect("a Vec takes everything"),
    }
}

/// A text as a value of this kind; `None` where it is none.
pub fn cast_text(kind: &Kind, text: &[u8]) -> Option<Value> {
    let narrow = |min: i64, max: i64| {
        let whole = || {
            float(text)
                .filter(|number| number.fract() == 0.0 && number.abs() < 9e15)
                .map(|number| number as i64)
        };
        integer(text).or_else(whole).filter(|number| (min..=max).contains(number))
    };
    let utf8 = || std::str::from_utf8(text).ok();
    Some(match kind {
        Kind::Int8 => Value::Int(narrow(i8::MIN.into(), i8::MAX.into())?),
        Kind::Int16 => Value::Int(narrow(i16::MIN.into(), i16::MAX.into())?),
        Kind::Int32 => Value::Int(narrow(i32::MIN.into(), i32::MAX.into())?),
        Kind::Int64 => Value::Int(narrow(i64::MIN, i64::MAX)?),
        Kind::Float32 | Kind::Float64 => Value::Float(float(text)?),
        Kind::Boolean => Value::Boolean(boolean(text)?),
        Kind::String => Value::string(utf8()?),
        Kind::Bytes => Value::Bytes(bytes::Bytes::copy_from_slice(text)),
        Kind::Date => match integer(text) {
            Some(days) => Value::Date(i32::try_from(days).ok()?),
            None => Value::Date(format::days(utf8()?)?),
        },
        Kind::TimeMs => Value::TimeMs(i32::try_from(integer(text)?).ok()?),
        Kind::TimestampMs => match integer(text) {
            Some(number) => Value::TimestampMs(number),
            None => Value::TimestampMs(format::timestamp_ms(utf8()?)?),
        },
        Kind::Decimal { scale } => crate::json_schema::decimal(utf8()?, *scale)?,
        Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => return None,
    })
}

/// What a kind's texts look like, for `expected …`.
pub fn cast_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Int8 => "an 8 bit integer",
        Kind::Int16 => "a 16 bit integer",
        Kind::Int32 => "int",
        Kind::Int64 => "long",
        Kind::Float32 | Kind::Float64 => "a number",
        Kind::Boolean => "true or false",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Date => "a date such as 2013-01-31",
        Kind::TimeMs => "milliseconds since midnight",
        Kind::TimestampMs => "a time such as 2013-01-31T10:00:00Z",
        Kind::Decimal { .. } => "a decimal that the scale can hold",
        Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => {
            "a plain value: a column cannot hold this field"
        }
    }
}

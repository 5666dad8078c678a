//! Values to Avro's binary encoding, by a plan compiled once a schema.
//!
//! A value fits where nothing is lost: integers go into longer ones and into floats, any text into a string. A moment goes into the
//! unit of its field, and so does its text; a number is that already. A struct is read by field name; a missing field takes its
//! default, and null where the union has it.

use std::sync::Arc;

use base::{Schema, Value};

use super::{
    Avro, Node, NodeId, Shape,
    connect::{branch_name, map_entry, scale, schema_of},
};
use crate::{Error, Violation, errors::shorten, validate::format};

/// Encodes records of one schema.
#[derive(Debug)]
pub struct Encoder {
    schema: Arc<Schema>,
    step: Step,
}

#[derive(Debug)]
pub(super) enum Step {
    Null,
    Boolean,
    Int,
    Long,
    Date,
    /// So many of them are a second.
    Moment {
        per_second: i64,
    },
    /// Of the day; as an int, or as a long.
    TimeOfDay {
        per_second: i64,
    },
    Float,
    Double,
    Bytes,
    String,
    Decimal {
        scale: i32,
        size: Option<usize>,
    },
    Fixed(usize),
    Enum(Vec<String>),
    Array(Box<Step>),
    Map(Box<Step>),
    Entries(Box<Step>, Box<Step>),
    Record(Vec<FieldStep>),
    Union(Vec<(String, Step)>),
}

/// Seven bits each.
const LONG_BYTES_MAX: usize = 10;

/// A field's name, how it is written, and the bytes of its default.
pub(super) type FieldStep = (Arc<str>, Step, Option<Vec<u8>>);

impl Encoder {
    pub fn new(path: &str, text: &str) -> Result<Self, Error> {
        Self::of(path, &Avro::parse(path, text)?)
    }

    pub fn of(path: &str, avro: &Avro) -> Result<Self, Error> {
        let schema = Arc::new(schema_of(path, avro)?);
        let step = compile(avro, avro.root, &schema);
        Ok(Self { schema, step })
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The fields of the record, where the schema is one.
    pub(super) fn fields(&self) -> Option<&[FieldStep]> {
        match &self.step {
            Step::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// Appends one record's bytes; on an error `out` is as before.
    pub fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), Violation> {
        let before = out.len();
        self.step.write(value, out).inspect_err(|_| out.truncate(before))
    }
}

fn compile(avro: &Avro, id: NodeId, schema: &Schema) -> Step {
    let node: &Node = &avro.nodes[id];
    let decimal = node.text("logicalType") == Some("decimal");
    let item = |schema: &Schema| match &schema.kind {
        base::Kind::Array(item) | base::Kind::Map { value: item, .. } => item.clone(),
        _ => Arc::new(Schema::of(base::Kind::Bytes)),
    };
    match &node.shape {
        Shape::Null => Step::Null,
        Shape::Boolean => Step::Boolean,
        Shape::Int => match node.text("logicalType") {
            Some("date") => Step::Date,
            Some("time-millis") => Step::TimeOfDay { per_second: 1_000 },
            _ => Step::Int,
        },
        Shape::Long => match node.text("logicalType") {
            Some("timestamp-millis" | "local-timestamp-millis") => Step::Moment { per_second: 1_000 },
            Some("timestamp-micros" | "local-timestamp-micros") => Step::Moment { per_second: 1_000_000 },
            Some("timestamp-nanos" | "local-timestamp-nanos") => Step::Moment { per_second: 1_000_000_000 },
            Some("time-micros") => Step::TimeOfDay { per_second: 1_000_000 },
            _ => Step::Long,
        },
        Shape::Float => Step::Float,
        Shape::Double => Step::Double,
        Shape::Bytes if decimal => Step::Decimal { scale: scale(node), size: None },
        Shape::Fixed { size, .. } if decimal => Step::Decimal { scale: scale(node), size: Some(*size) },
        Shape::Bytes => Step::Bytes,
        Shape::Fixed { size, .. } => Step::Fixed(*size),
        Shape::String => Step::String,
        Shape::Enum { symbols, .. } => Step::Enum(symbols.clone()),
        Shape::Array(items) => match map_entry(avro, node, *items) {
            Some((key, value)) => {
                let value = compile(avro, value, &item(schema));
                Step::Entries(Box::new(compile(avro, key, &Schema::of(base::Kind::String))), Box::new(value))
            }
            None => Step::Array(Box::new(compile(avro, *items, &item(schema)))),
        },
        Shape::Map(values) => Step::Map(Box::new(compile(avro, *values, &item(schema)))),
        Shape::Record { fields, .. } => {
            let fields = fields.iter().map(|field| {
                let mapped = schema.field(&field.name).map(|field| &*field.schema);
                let empty = Schema::of(base::Kind::Bytes);
                let step = compile(avro, field.node, mapped.unwrap_or(&empty));
                let default = mapped.and_then(|schema| schema.default.as_ref()).and_then(|default| {
                    let mut bytes = Vec::new();
                    step.write(default, &mut bytes).ok().map(|()| bytes)
                });
                (field.name.as_str().into(), step, default)
            });
            Step::Record(fields.collect())
        }
        Shape::Union(branches) => {
            let general = schema.name.as_deref() == Some(super::connect::UNION);
            let branches = branches.iter().map(|id| {
                let name = branch_name(avro, *id);
                let inner = if general { schema.field(&name).map(|field| &*field.schema) } else { None };
                let step = compile(avro, *id, inner.unwrap_or(schema));
                (name, step)
            });
            Step::Union(branches.collect())
        }
    }
}

impl Step {
    /// Whether it is a moment, whatever the row model makes of its unit.
    pub(super) fn takes_moments(&self) -> bool {
        match self {
            Step::Moment { .. } => true,
            Step::Union(branches) => branches.iter().any(|(_, step)| matches!(step, Step::Moment { .. })),
            _ => false,
        }
    }

    /// What is written where there is a value, and which branch that is of a union with null; `None`: of another union.
    pub(super) fn alone_or_with_null(&self) -> Option<(Option<u8>, &Step)> {
        match self {
            Step::Union(branches) => match branches.as_slice() {
                [(_, Step::Null), (_, step)] => Some((Some(1), step)),
                [(_, step), (_, Step::Null)] => Some((Some(0), step)),
                _ => None,
            },
            step => Some((None, step)),
        }
    }

    pub(super) fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), Violation> {
        match (self, value) {
            (Step::Null, Value::Null) => {}
            (Step::Boolean, Value::Boolean(flag)) => out.push((*flag).into()),
            (Step::Int, value) => match integer(value).filter(|number| i32::try_from(*number).is_ok()) {
                Some(number) => long(number, out),
                None => return Err(self.refuse(value)),
            },
            (Step::Long, value) => long(integer(value).ok_or_else(|| self.refuse(value))?, out),
            (Step::Date, value) => long(date(value).ok_or_else(|| self.refuse(value))?, out),
            (Step::Moment { per_second }, value) => {
                long(moment(value, *per_second).ok_or_else(|| self.refuse(value))?, out);
            }
            (Step::TimeOfDay { per_second }, value) => {
                long(time_of_day(value, *per_second).ok_or_else(|| self.refuse(value))?, out);
            }
            (Step::Float, value) => {
                let number = float(value).ok_or_else(|| self.refuse(value))?;
                out.extend_from_slice(&(number as f32).to_le_bytes());
            }
            (Step::Double, value) => {
                out.extend_from_slice(&float(value).ok_or_else(|| self.refuse(value))?.to_le_bytes());
            }
            (Step::Bytes, Value::Bytes(bytes)) => sized(bytes, out),
            (Step::Bytes, Value::String(text)) | (Step::String, Value::String(text)) => {
                sized(text.as_bytes(), out)
            }
            (Step::Fixed(size), Value::Bytes(bytes)) if bytes.len() == *size => out.extend_from_slice(bytes),
            // JSON has no bytes: as Avro's own encoding of it, a letter of that number stands for each.
            (Step::Fixed(size), Value::String(text)) if text.chars().count() == *size => {
                let before = out.len();
                out.extend(text.chars().filter_map(|letter| u8::try_from(letter).ok()));
                if out.len() - before < *size {
                    return Err(self.refuse(value));
                }
            }
            (Step::Decimal { scale, size }, value) => {
                let (unscaled, given) = written(value).ok_or_else(|| self.refuse(value))?;
                let number = rescaled(unscaled, given, *scale).ok_or_else(|| self.refuse(value))?;
                decimal(number, *size, out).ok_or_else(|| self.refuse(value))?;
            }
            (Step::Enum(symbols), Value::String(text)) => {
                let index =
                    symbols.iter().position(|symbol| **symbol == **text).ok_or_else(|| self.refuse(value))?;
                long(index as i64, out);
            }
            (Step::Array(items), Value::List(list)) => {
                blocks(list, out, |item, out| items.write(item, out))?;
            }
            (Step::Map(values), Value::Map(entries)) => blocks(entries, out, |(key, value), out| {
                let Value::String(key) = key else { return Err(self.refuse(key)) };
                sized(key.as_bytes(), out);
                values.write(value, out)
            })?,
            (Step::Map(values), Value::Struct(fields)) => blocks(fields, out, |(name, value), out| {
                sized(name.as_bytes(), out);
                values.write(value, out)
            })?,
            (Step::Entries(key, value), Value::Map(entries)) => blocks(entries, out, |(k, v), out| {
                key.write(k, out)?;
                value.write(v, out)
            })?,
            (Step::Record(fields), Value::Struct(row)) => write_record(fields, row, out)?,
            (Step::Union(branches), value) => self.write_union(branches, value, out)?,
            _ => return Err(self.refuse(value)),
        }
        Ok(())
    }

    fn write_union(
        &self,
        branches: &[(String, Step)],
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let before = out.len();
        // A struct made for a general union: the one field that is set names the branch.
        if let Value::Struct(fields) = value {
            let mut set = fields.iter().filter(|(_, value)| !value.is_null());
            if let (Some((name, inner)), None) = (set.next(), set.next())
                && fields.iter().all(|(field, _)| branches.iter().any(|(branch, _)| **branch == **field))
                && let Some(index) = branches.iter().position(|(branch, _)| **branch == **name)
            {
                long(index as i64, out);
                return branches[index].1.write(inner, out);
            }
        }
        let mut deepest: Option<Violation> = None;
        let is_text = matches!(value, Value::String(_))
            && branches.iter().any(|(_, step)| matches!(step, Step::String));
        for (index, (_, step)) in branches.iter().enumerate() {
            // A text that may be one stays one.
            let is_other = match step {
                Step::Null => !value.is_null(),
                Step::Date | Step::Moment { .. } => is_text,
                _ => false,
            };
            if is_other {
                continue;
            }
            long(index as i64, out);
            match step.write(value, out) {
                Ok(()) => return Ok(()),
                Err(violation) => {
                    out.truncate(before);
                    if !violation.field.is_empty() || (branches.len() == 2 && !matches!(step, Step::Null)) {
                        deepest = Some(violation);
                    }
                }
            }
        }
        Err(deepest.unwrap_or_else(|| self.refuse(value)))
    }

    fn refuse(&self, value: &Value) -> Violation {
        Violation { field: String::new(), expected: self.expected(), found: found(value) }
    }

    fn expected(&self) -> String {
        match self {
            Step::Null => "null".to_owned(),
            Step::Boolean => "boolean".to_owned(),
            Step::Int => "int".to_owned(),
            Step::Long => "long".to_owned(),
            Step::Date => "a date".to_owned(),
            Step::Moment { .. } => "a moment".to_owned(),
            Step::TimeOfDay { .. } => "a time of day".to_owned(),
            Step::Float => "float".to_owned(),
            Step::Double => "double".to_owned(),
            Step::Bytes => "bytes".to_owned(),
            Step::String => "string".to_owned(),
            Step::Decimal { scale, size: None } => format!("a decimal of scale {scale}"),
            Step::Decimal { scale, size: Some(size) } => {
                format!("a decimal of scale {scale} in {size} bytes")
            }
            Step::Fixed(size) => format!("{size} bytes"),
            Step::Enum(symbols) => format!("one of {}", shorten(&symbols.join(", "), 120)),
            Step::Array(_) => "an array".to_owned(),
            Step::Map(_) | Step::Entries(..) => "a map".to_owned(),
            Step::Record(_) => "a record".to_owned(),
            Step::Union(branches) => {
                let words: Vec<String> = branches.iter().map(|(_, step)| step.expected()).collect();
                words.join(" or ")
            }
        }
    }
}

fn write_record(fields: &[FieldStep], row: &[(Arc<str>, Value)], out: &mut Vec<u8>) -> Result<(), Violation> {
    for (place, (name, step, default)) in fields.iter().enumerate() {
        // Rows made by this schema have its order; others are searched.
        let given =
            row.get(place).filter(|(field, _)| field == name).or_else(|| row.iter().find(|(f, _)| f == name));
        let written = match given {
            Some((_, value)) => step.write(value, out),
            None => missing(step, default.as_deref(), out),
        };
        written.map_err(|violation| violation.under(name))?;
    }
    Ok(())
}

/// A field that nobody gives: its default, else null.
pub(super) fn missing(step: &Step, default: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Violation> {
    match default {
        Some(default) => {
            out.extend_from_slice(default);
            Ok(())
        }
        None => step
            .write(&Value::Null, out)
            .map_err(|violation| Violation { found: "nothing".to_owned(), ..violation }),
    }
}

/// A value as an error shows it: its kind, and what it is where that is short.
pub(crate) fn found(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", shorten(text, 60)),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        other => other.kind_name().to_owned(),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value.plain() {
        Value::Int(number) | Value::TimestampMs(number) => Some(*number),
        Value::TimestampUs(number) => Some(number.div_euclid(1_000)),
        Value::Date(number) | Value::TimeMs(number) => Some((*number).into()),
        _ => None,
    }
}

/// Days since 1970-01-01.
fn date(value: &Value) -> Option<i64> {
    match value.plain() {
        Value::Date(days) => Some((*days).into()),
        Value::Int(days) => i32::try_from(*days).ok().map(i64::from),
        Value::String(text) => format::days(text).map(i64::from),
        _ => None,
    }
}

/// A moment in units of which so many are a second; what is finer is cut off.
fn moment(value: &Value, per_second: i64) -> Option<i64> {
    let scaled = |number: i64, own: i64| match per_second >= own {
        true => number.checked_mul(per_second / own),
        false => Some(number.div_euclid(own / per_second)),
    };
    match value.plain() {
        Value::TimestampMs(ms) => scaled(*ms, 1_000),
        Value::TimestampUs(us) => scaled(*us, 1_000_000),
        Value::Date(days) => scaled(i64::from(*days) * 86_400, 1),
        Value::Int(number) => Some(*number),
        Value::String(text) => scaled(format::timestamp_us(text)?, 1_000_000),
        _ => None,
    }
}

fn time_of_day(value: &Value, per_second: i64) -> Option<i64> {
    let number = match value.plain() {
        Value::TimeMs(ms) => i64::from(*ms) * (per_second / 1_000),
        Value::Int(number) => *number,
        _ => return None,
    };
    (0..=86_400 * per_second).contains(&number).then_some(number)
}

fn float(value: &Value) -> Option<f64> {
    match value.plain() {
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        _ => None,
    }
}

/// A decimal, or what a number's or a text's digits say.
pub(crate) fn written(value: &Value) -> Option<(i128, i32)> {
    let text = match value.plain() {
        Value::Decimal { unscaled, scale } => return Some((*unscaled, *scale)),
        Value::Int(number) => return Some((i128::from(*number), 0)),
        Value::Float(number) => number.to_string(),
        Value::String(text) => text.to_string(),
        _ => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let scale = i32::try_from(fraction.len()).ok().filter(|_| is_number && !["", "-"].contains(&whole))?;
    Some((format!("{whole}{fraction}").parse().ok()?, scale))
}

pub(crate) fn long(number: i64, out: &mut Vec<u8>) {
    let mut raw = (number << 1 ^ number >> 63) as u64;
    let (mut bytes, mut count) = ([0; LONG_BYTES_MAX], 0);
    while raw >= 0x80 {
        bytes[count] = raw as u8 | 0x80;
        raw >>= 7;
        count += 1;
    }
    bytes[count] = raw as u8;
    out.extend_from_slice(&bytes[..=count]);
}

pub(super) fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn blocks<T>(
    items: &[T],
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<(), Violation>,
) -> Result<(), Violation> {
    if !items.is_empty() {
        long(items.len() as i64, out);
        for (index, item) in items.iter().enumerate() {
            write(item, out).map_err(|violation| {
                let rest =
                    if violation.field.is_empty() { String::new() } else { format!(".{}", violation.field) };
                Violation { field: format!("[{index}]{rest}"), ..violation }
            })?;
        }
    }
    out.push(0);
    Ok(())
}

pub(crate) fn rescaled(unscaled: i128, from: i32, to: i32) -> Option<i128> {
    let power = |digits: i32| 10i128.checked_pow(u32::try_from(digits).ok()?);
    match to.checked_sub(from)? {
        0 => Some(unscaled),
        more if more > 0 => unscaled.checked_mul(power(more)?),
        less => {
            let divisor = power(-less)?;
            (unscaled % divisor == 0).then(|| unscaled / divisor)
        }
    }
}

/// Shortest two's complement, or sign-extended to the fixed's size.
fn decimal(number: i128, size: Option<usize>, out: &mut Vec<u8>) -> Option<()> {
    let wide = number.to_be_bytes();
    let shortest = shortest(&wide);
    match size {
        None => sized(shortest, out),
        Some(size) => {
            let missing = size.checked_sub(shortest.len())?;
            out.resize(out.len() + missing, if number < 0 { 0xff } else { 0 });
            out.extend_from_slice(shortest);
        }
    }
    Some(())
}

/// A number's two's complement without what its sign says already.
pub(crate) fn shortest(wide: &[u8; 16]) -> &[u8] {
    let is_negative = wide[0] & 0x80 != 0;
    let fill = if is_negative { 0xff } else { 0 };
    let mut start = wide.iter().take_while(|byte| **byte == fill).count().min(15);
    if (wide[start] & 0x80 != 0) != is_negative {
        start -= 1;
    }
    &wide[start..]
}

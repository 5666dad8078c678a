//! Avro's binary encoding to values, by a plan compiled once a schema. No reader's schema: rows are as they were written.
//!
//! Source: Avro 1.12 specification, "Binary encoding". Sizes and counts from the bytes are checked before use.

use std::sync::Arc;

use base::{ContractKind, Schema, Value};
use bytes::Bytes;

use super::{
    Avro, Node, NodeId, Shape,
    connect::{branch_name, map_entry, scale, schema_of, unscaled},
};
use crate::Error;

/// Items that take no bytes (nulls, empty records) may be this many in one array.
const EMPTY_ITEMS_COUNT_MAX: usize = 4_096;

/// Decodes records of one schema.
#[derive(Debug)]
pub struct Decoder {
    schema: Arc<Schema>,
    step: Step,
}

/// How the bytes of one type are read.
#[derive(Debug)]
pub enum Step {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Date,
    TimeMs,
    TimestampMs,
    /// Finer than a millisecond: so many of them are a microsecond.
    TimeUs,
    TimestampUs {
        divisor: i64,
    },
    Decimal {
        scale: i32,
        size: Option<usize>,
    },
    Fixed(usize),
    Enum(Arc<[Arc<str>]>),
    Array(Box<Step>),
    Map(Box<Step>),
    Entries(Box<Step>, Box<Step>),
    Record(Box<[(Arc<str>, Step)]>),
    Optional {
        null_branch: i64,
        inner: Box<Step>,
    },
    /// For each branch its place in the struct and how to read it; `None` is the null branch.
    Union {
        names: Arc<[Arc<str>]>,
        branches: Box<[Option<(usize, Step)>]>,
    },
    /// The value of whichever branch it is, by itself.
    Bare(Box<[Option<Step>]>),
}

/// What values are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// As Connect's converter has them: what it does not know is a plain number, a union a struct of its branches.
    Connect,
    /// As the schema says: every logical type that a value can be, and a union's value by itself.
    File,
}

/// What went wrong and the fields down to it; made an `Error` at the top.
pub struct Wrong {
    reason: String,
    field: Vec<Arc<str>>,
}

impl Wrong {
    fn into_error(self) -> Error {
        let Wrong { reason, mut field } = self;
        field.reverse();
        let field = if field.is_empty() { "the record".to_owned() } else { field.join(".") };
        Error::Decode { kind: ContractKind::Avro, field, reason }
    }

    /// The same, seen from one level above.
    pub fn within(mut self, field: &str) -> Self {
        self.field.push(field.into());
        self
    }
}

impl From<&str> for Wrong {
    fn from(reason: &str) -> Self {
        Wrong { reason: reason.to_owned(), field: Vec::new() }
    }
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Wrong { reason, field: Vec::new() }
    }
}

impl Decoder {
    /// Parses and compiles; `path` is what errors call the schema.
    pub fn new(path: &str, text: &str) -> Result<Self, Error> {
        Self::of(path, &Avro::parse(path, text)?)
    }

    pub fn of(path: &str, avro: &Avro) -> Result<Self, Error> {
        // The mapping refuses loops, so compiling below ends.
        let schema = Arc::new(schema_of(path, avro)?);
        Ok(Self { schema, step: compile(avro, avro.root, For::Connect) })
    }

    /// For the records of a container file, by the schema at its head.
    pub fn of_file(path: &str, text: &str) -> Result<Self, Error> {
        let avro = Avro::parse(path, text)?;
        let schema = Arc::new(schema_of(path, &avro)?);
        Ok(Self { schema, step: compile(&avro, avro.root, For::File) })
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// For who makes something else than values of the bytes.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// One record's bytes, without the five of the wire format. TM0506 where they do not match; all must be used.
    pub fn decode(&self, bytes: &[u8]) -> Result<Value, Error> {
        decoded(bytes, |input| self.step.read(input))
    }

    /// The record that `bytes` begin with; they begin behind it afterwards.
    pub fn decode_next(&self, bytes: &mut &[u8]) -> Result<Value, Error> {
        read_next(bytes, |input| self.step.read(input))
    }
}

/// Reads what `bytes` begin with; they begin behind it afterwards.
pub fn read_next<'a, T>(
    bytes: &mut &'a [u8],
    read: impl FnOnce(&mut Input<'a>) -> Result<T, Wrong>,
) -> Result<T, Error> {
    let mut input = Input { rest: bytes };
    let read = read(&mut input).map_err(Wrong::into_error);
    *bytes = input.rest;
    read
}

/// Reads all of the bytes; what is wrong with them is told with the fields down to it.
pub(super) fn decoded<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Input<'_>) -> Result<T, Wrong>,
) -> Result<T, Error> {
    let mut input = Input { rest: bytes };
    let read = read(&mut input).and_then(|value| match input.rest.len() {
        0 => Ok(value),
        left => Err(format!("{left} bytes are left over at the end").into()),
    });
    read.map_err(Wrong::into_error)
}

fn compile(avro: &Avro, id: NodeId, made: For) -> Step {
    let node: &Node = &avro.nodes[id];
    let logical = node.text("logicalType");
    match &node.shape {
        Shape::Null => Step::Optional { null_branch: -1, inner: Box::new(Step::Fixed(0)) },
        Shape::Boolean => Step::Boolean,
        Shape::Int => match logical {
            Some("date") => Step::Date,
            Some("time-millis") => Step::TimeMs,
            _ => Step::Int,
        },
        Shape::Long if logical == Some("timestamp-millis") => Step::TimestampMs,
        Shape::Long if made == For::File => match logical {
            Some("local-timestamp-millis") => Step::TimestampMs,
            Some("timestamp-micros" | "local-timestamp-micros") => Step::TimestampUs { divisor: 1 },
            Some("timestamp-nanos" | "local-timestamp-nanos") => Step::TimestampUs { divisor: 1_000 },
            Some("time-micros") => Step::TimeUs,
            _ => Step::Long,
        },
        Shape::Long => Step::Long,
        Shape::Float => Step::Float,
        Shape::Double => Step::Double,
        Shape::Bytes if logical == Some("decimal") => Step::Decimal { scale: scale(node), size: None },
        Shape::Bytes => Step::Bytes,
        Shape::Fixed { size, .. } if logical == Some("decimal") => {
            Step::Decimal { scale: scale(node), size: Some(*size) }
        }
        Shape::Fixed { size, .. } => Step::Fixed(*size),
        Shape::String => Step::String,
        Shape::Enum { symbols, .. } => {
            Step::Enum(symbols.iter().map(|symbol| symbol.as_str().into()).collect())
        }
        Shape::Array(items) => match map_entry(avro, node, *items) {
            Some((key, value)) => {
                Step::Entries(Box::new(compile(avro, key, made)), Box::new(compile(avro, value, made)))
            }
            None => Step::Array(Box::new(compile(avro, *items, made))),
        },
        Shape::Map(values) => Step::Map(Box::new(compile(avro, *values, made))),
        Shape::Record { fields, .. } => {
            let fields =
                fields.iter().map(|field| (field.name.as_str().into(), compile(avro, field.node, made)));
            Step::Record(fields.collect())
        }
        Shape::Union(branches) => compile_union(avro, branches, made),
    }
}

fn compile_union(avro: &Avro, branches: &[NodeId], made: For) -> Step {
    let null_branch = branches.iter().position(|id| *avro.shape(*id) == Shape::Null);
    if let ([first, second], Some(null)) = (branches, null_branch) {
        let other = if null == 0 { *second } else { *first };
        return Step::Optional { null_branch: null as i64, inner: Box::new(compile(avro, other, made)) };
    }
    if made == For::File {
        let branch = |id: &NodeId| (*avro.shape(*id) != Shape::Null).then(|| compile(avro, *id, made));
        return Step::Bare(branches.iter().map(branch).collect());
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    let branches = branches.iter().map(|id| {
        (*avro.shape(*id) != Shape::Null).then(|| {
            names.push(branch_name(avro, *id).into());
            (names.len() - 1, compile(avro, *id, made))
        })
    });
    let branches = branches.collect();
    Step::Union { names: names.into(), branches }
}

impl Step {
    fn read(&self, input: &mut Input<'_>) -> Result<Value, Wrong> {
        Ok(match self {
            Step::Boolean => match input.take(1)?[0] {
                0 => Value::Boolean(false),
                1 => Value::Boolean(true),
                other => return Err(format!("a boolean is 0 or 1, not {other}").into()),
            },
            Step::Int => Value::Int(input.int()?.into()),
            Step::Long => Value::Int(input.long()?),
            Step::Float => Value::Float(f32::from_le_bytes(input.array()?).into()),
            Step::Double => Value::Float(f64::from_le_bytes(input.array()?)),
            Step::Bytes => Value::Bytes(Bytes::copy_from_slice(input.bytes()?)),
            Step::String => Value::String(input.text()?.into()),
            Step::Date => Value::Date(input.int()?),
            Step::TimeMs => Value::TimeMs(input.int()?),
            Step::TimestampMs => Value::TimestampMs(input.long()?),
            Step::TimeUs => {
                let ms = i32::try_from(input.long()? / 1_000);
                Value::TimeMs(ms.map_err(|_| Wrong::from("a time of day beyond the day"))?)
            }
            Step::TimestampUs { divisor } => Value::TimestampUs(input.long()?.div_euclid(*divisor)),
            Step::Decimal { scale, size } => {
                let bytes = match size {
                    Some(size) => input.take(*size)?,
                    None => input.bytes()?,
                };
                let unscaled = unscaled(bytes).ok_or("a decimal of more than 128 bits")?;
                Value::Decimal { unscaled, scale: *scale }
            }
            Step::Fixed(size) => Value::Bytes(Bytes::copy_from_slice(input.take(*size)?)),
            Step::Enum(symbols) => {
                let index = input.int()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                Value::String(symbol.ok_or_else(|| format!("the enum has no symbol {index}"))?.clone())
            }
            Step::Array(_) | Step::Map(_) | Step::Entries(..) => self.read_blocks(input)?,
            Step::Record(fields) => {
                let mut row = Vec::with_capacity(fields.len());
                for (name, step) in fields {
                    let value = step.read(input).map_err(|wrong| wrong.within(name))?;
                    row.push((name.clone(), value));
                }
                Value::Struct(row)
            }
            Step::Optional { null_branch: -1, .. } => Value::Null,
            Step::Optional { null_branch, inner } => match input.long()? {
                branch if branch == *null_branch => Value::Null,
                0 | 1 => inner.read(input)?,
                branch => return Err(format!("the union has no branch {branch}").into()),
            },
            Step::Bare(_) | Step::Union { .. } => self.read_union(input)?,
        })
    }
}

impl Step {
    fn read_union(&self, input: &mut Input<'_>) -> Result<Value, Wrong> {
        Ok(match self {
            Step::Bare(branches) => {
                let index = input.long()?;
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                match branch.ok_or_else(|| format!("the union has no branch {index}"))? {
                    None => Value::Null,
                    Some(step) => step.read(input)?,
                }
            }
            Step::Union { names, branches } => {
                let index = input.long()?;
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                match branch.ok_or_else(|| format!("the union has no branch {index}"))? {
                    None => Value::Null,
                    Some((place, step)) => {
                        let mut row: Vec<_> = names.iter().map(|name| (name.clone(), Value::Null)).collect();
                        row[*place].1 = step.read(input)?;
                        Value::Struct(row)
                    }
                }
            }
            other => return other.read(input),
        })
    }

    fn read_blocks(&self, input: &mut Input<'_>) -> Result<Value, Wrong> {
        Ok(match self {
            Step::Array(items) => {
                let mut list = Vec::new();
                input.blocks(|input| {
                    list.push(items.read(input)?);
                    Ok(())
                })?;
                Value::List(list)
            }
            Step::Map(values) => {
                let mut entries = Vec::new();
                input.blocks(|input| {
                    let key = Value::String(input.text()?.into());
                    entries.push((key, values.read(input)?));
                    Ok(())
                })?;
                Value::Map(entries)
            }
            Step::Entries(key, value) => {
                let mut entries = Vec::new();
                input.blocks(|input| {
                    entries.push((key.read(input)?, value.read(input)?));
                    Ok(())
                })?;
                Value::Map(entries)
            }
            other => return other.read(input),
        })
    }
}

/// Bytes that are read from their start.
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(format!("{count} bytes are needed, {} are left", self.rest.len()).into()),
        }
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gave N bytes"))
    }

    /// Zig-zag, seven bits a byte, lowest first.
    pub fn long(&mut self) -> Result<i64, Wrong> {
        let mut raw = 0u64;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            raw |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
        }
        Err(if self.rest.len() < 10 {
            "the bytes end inside a number".into()
        } else {
            "a number of over ten bytes".into()
        })
    }

    pub fn int(&mut self) -> Result<i32, Wrong> {
        let number = self.long()?;
        i32::try_from(number).map_err(|_| format!("{number} does not fit an int").into())
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Wrong> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| Wrong::from(format!("a length of {length}")))?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text that is not UTF-8".into())
    }

    /// Blocks of items until an empty one; a negative count comes with the block's size, which is not needed.
    pub fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Wrong>) -> Result<(), Wrong> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                count = count.checked_neg().ok_or("a block of too many items")?;
                self.long()?;
            }
            let possible = self.rest.len() + EMPTY_ITEMS_COUNT_MAX;
            if usize::try_from(count).map_or(true, |count| count > possible) {
                return Err(format!("a block of {count} items in {} bytes", self.rest.len()).into());
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }
}

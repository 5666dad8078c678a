//! BSON to values in one pass over the received bytes, without a document between.
//!
//! Field names come again in nearly the same order with each document, so each name foretells the next one: a name costs a
//! comparison and a shared pointer. So does a text that is the same as that field's last one. The names of a batch are its
//! own: a counter that another thread moves is slow.

use std::{collections::HashMap, sync::Arc};

use base::Value;
use bytes::Bytes;
use memchr::memchr;

use super::{
    decimal,
    types::{self, SUBTYPE_GENERIC, SUBTYPE_OLD, SUBTYPE_UUID, kind, tag},
};

/// What is wrong with bytes that are no BSON.
pub(super) type Malformed = &'static str;

/// mongod takes 100 levels, and a few more of its own.
const DEPTH_MAX: usize = 256;
/// What a field takes besides its text: its name's pointer and its value.
const FIELD_BYTES: usize = size_of::<(Arc<str>, Value)>();
/// The counters and the allocator's share of a text or a boxed value.
const BOX_BYTES: usize = 32;

/// Turns documents into values that share their names.
#[derive(Default)]
pub(super) struct Decoder {
    names: Names,
    /// The memory that the values made so far take.
    pub(super) memory_bytes: usize,
}

#[derive(Default)]
struct Names {
    all: Vec<Name>,
    by_text: HashMap<Arc<str>, usize>,
    /// The name met last.
    last: usize,
}

struct Name {
    text: Arc<str>,
    /// The name that followed it last time.
    next: usize,
    /// How many fields the struct had that it was the first one of.
    fields_count: usize,
    /// The last text under this name.
    value: Option<Arc<str>>,
}

impl Names {
    /// Reads a name: the foretold one, or whichever it is.
    #[inline]
    fn read(&mut self, input: &mut Input<'_>) -> Result<usize, Malformed> {
        let foretold = self.all.get(self.last).map_or(0, |name| name.next);
        if let Some(name) = self.all.get(foretold)
            && let Some(rest) = input.0.strip_prefix(name.text.as_bytes())
            && let Some((0, rest)) = rest.split_first()
        {
            input.0 = rest;
            self.last = foretold;
            return Ok(foretold);
        }
        Ok(self.intern(input.text()?))
    }

    fn intern(&mut self, bytes: &[u8]) -> usize {
        let text = String::from_utf8_lossy(bytes);
        let found = match self.by_text.get(&*text) {
            Some(found) => *found,
            None => {
                let text: Arc<str> = text.into();
                self.by_text.insert(text.clone(), self.all.len());
                self.all.push(Name { text, next: 0, fields_count: 0, value: None });
                self.all.len() - 1
            }
        };
        if let Some(last) = self.all.get_mut(self.last) {
            last.next = found;
        }
        self.last = found;
        found
    }
}

impl Decoder {
    /// A whole document with its length in front.
    pub(super) fn document(&mut self, bytes: &[u8]) -> Result<Value, Malformed> {
        let mut input = Input(bytes);
        let body = input.document()?;
        self.fields(body, 0)
    }

    fn fields(&mut self, mut input: Input<'_>, depth: usize) -> Result<Value, Malformed> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deeply");
        }
        let (mut fields, mut first) = (Vec::new(), None);
        while !input.0.is_empty() {
            let kind = input.byte()?;
            let name = self.names.read(&mut input)?;
            if first.is_none() {
                first = Some(name);
                fields.reserve_exact(self.names.all[name].fields_count.max(1));
            }
            let text = self.names.all[name].text.clone();
            let value = match kind {
                kind::STRING => self.text_of(name, input.string()?),
                kind => self.value(kind, &mut input, depth)?,
            };
            fields.push((text, value));
        }
        if let Some(first) = first {
            self.names.all[first].fields_count = fields.len();
        }
        self.memory_bytes += fields.capacity() * FIELD_BYTES;
        Ok(Value::Struct(fields))
    }

    fn list(&mut self, mut input: Input<'_>, depth: usize) -> Result<Value, Malformed> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deeply");
        }
        let mut values = Vec::new();
        while !input.0.is_empty() {
            let kind = input.byte()?;
            input.text()?;
            values.push(self.value(kind, &mut input, depth)?);
        }
        self.memory_bytes += values.capacity() * size_of::<Value>();
        Ok(Value::List(values))
    }

    #[inline]
    fn value(&mut self, kind: u8, input: &mut Input<'_>, depth: usize) -> Result<Value, Malformed> {
        Ok(match kind {
            kind::DOUBLE => Value::Float(f64::from_le_bytes(input.array()?)),
            kind::STRING => self.text(tag::STRING, input.string()?),
            kind::DOCUMENT => {
                let body = input.document()?;
                self.fields(body, depth + 1)?
            }
            kind::ARRAY => {
                let body = input.document()?;
                self.list(body, depth + 1)?
            }
            kind::BINARY => self.binary(input)?,
            kind::UNDEFINED => self.tagged(tag::UNDEFINED, Value::Null),
            kind::OBJECT_ID => {
                let id = self.object_id(input)?;
                self.tagged(tag::OBJECT_ID, id)
            }
            kind::BOOLEAN => Value::Boolean(input.byte()? != 0),
            kind::DATE => Value::TimestampMs(i64::from_le_bytes(input.array()?)),
            kind::NULL => Value::Null,
            kind::INT32 => Value::Int(i32::from_le_bytes(input.array()?).into()),
            kind::INT64 => match i64::from_le_bytes(input.array()?) {
                small if i32::try_from(small).is_ok() => self.tagged(tag::INT64, Value::Int(small)),
                large => Value::Int(large),
            },
            kind::DECIMAL128 => {
                let bytes: [u8; 16] = input.array()?;
                let value = match decimal::text(bytes) {
                    Some(text) => Value::string(text),
                    None => Value::Bytes(Bytes::copy_from_slice(&bytes)),
                };
                self.tagged(tag::DECIMAL128, value)
            }
            _ => self.rare(kind, input, depth)?,
        })
    }

    /// The types that few documents have.
    fn rare(&mut self, kind: u8, input: &mut Input<'_>, depth: usize) -> Result<Value, Malformed> {
        let (tag, value) = match kind {
            kind::REGEX => {
                let (pattern, options) = (input.text()?, input.text()?);
                let pattern = self.text(tag::STRING, pattern);
                (tag::REGEX, pair(("pattern", pattern), ("options", self.text(tag::STRING, options))))
            }
            kind::DB_POINTER => {
                let namespace = input.string()?;
                let namespace = self.text(tag::STRING, namespace);
                let id = self.object_id(input)?;
                (tag::DB_POINTER, pair(("ns", namespace), ("id", self.tagged(tag::OBJECT_ID, id))))
            }
            kind::JAVASCRIPT => (tag::JAVASCRIPT, self.text(tag::STRING, input.string()?)),
            kind::SYMBOL => (tag::SYMBOL, self.text(tag::STRING, input.string()?)),
            kind::JAVASCRIPT_WITH_SCOPE => {
                input.skip(4)?;
                let code = self.text(tag::STRING, input.string()?);
                let scope = input.document()?;
                (tag::JAVASCRIPT_WITH_SCOPE, pair(("code", code), ("scope", self.fields(scope, depth + 1)?)))
            }
            kind::TIMESTAMP => {
                let (increment, seconds) = (input.array()?, input.array()?);
                let number = |bytes| Value::Int(u32::from_le_bytes(bytes).into());
                (tag::TIMESTAMP, pair(("t", number(seconds)), ("i", number(increment))))
            }
            kind::MIN_KEY => (tag::MIN_KEY, Value::string("MinKey")),
            kind::MAX_KEY => (tag::MAX_KEY, Value::string("MaxKey")),
            _ => return Err("it has a type that BSON does not know"),
        };
        Ok(self.tagged(tag, value))
    }

    fn binary(&mut self, input: &mut Input<'_>) -> Result<Value, Malformed> {
        let length = input.length()?;
        let subtype = input.byte()?;
        let mut bytes = input.take(length)?;
        if subtype == SUBTYPE_UUID && length == 16 {
            let mut text = Vec::with_capacity(36);
            types::append_uuid(bytes, &mut text);
            let text = self.text(tag::UUID, &text);
            return Ok(self.tagged(tag::UUID, text));
        }
        if subtype == SUBTYPE_OLD {
            let mut inner = Input(bytes);
            let inner_length = inner.length()?;
            bytes = inner.take(inner_length)?;
            if !inner.0.is_empty() {
                return Err("the lengths of a binary value do not agree");
            }
        }
        self.memory_bytes += bytes.len() + BOX_BYTES;
        let value = Value::Bytes(Bytes::copy_from_slice(bytes));
        Ok(if subtype == SUBTYPE_GENERIC { value } else { self.tagged(types::binary_tag(subtype), value) })
    }

    #[inline]
    fn object_id(&mut self, input: &mut Input<'_>) -> Result<Value, Malformed> {
        let mut hex = [0; 24];
        types::write_hex(input.take(12)?, &mut hex);
        Ok(self.text(tag::OBJECT_ID, &hex))
    }

    /// The text of a field, shared with the document before where it is the same.
    #[inline]
    fn text_of(&mut self, name: usize, bytes: &[u8]) -> Value {
        if let Some(last) = &self.names.all[name].value
            && last.as_bytes() == bytes
        {
            return Value::String(last.clone());
        }
        let value = self.text(tag::STRING, bytes);
        if let Value::String(text) = &value {
            self.names.all[name].value = Some(text.clone());
        }
        value
    }

    /// Text, or its bytes under `tag` where they are not UTF-8.
    #[inline]
    fn text(&mut self, tag: &'static str, bytes: &[u8]) -> Value {
        self.memory_bytes += bytes.len() + BOX_BYTES;
        match std::str::from_utf8(bytes) {
            Ok(text) => Value::String(Arc::from(text)),
            Err(_) => Value::tagged(tag, Value::Bytes(Bytes::copy_from_slice(bytes))),
        }
    }

    #[inline]
    fn tagged(&mut self, tag: &'static str, value: Value) -> Value {
        self.memory_bytes += size_of::<Value>() + BOX_BYTES;
        Value::tagged(tag, value)
    }
}

fn pair(one: (&str, Value), two: (&str, Value)) -> Value {
    Value::Struct(vec![(one.0.into(), one.1), (two.0.into(), two.1)])
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

const CUT_OFF: Malformed = "its bytes are cut off";

impl<'a> Input<'a> {
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(head)
    }

    #[inline]
    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.take(count).map(|_| ())
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(*head)
    }

    #[inline]
    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(i32::from_le_bytes(self.array()?)).map_err(|_| "a length is negative")
    }

    /// Up to a zero byte.
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let end = memchr(0, self.0).ok_or(CUT_OFF)?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Ok(text)
    }

    /// A length, text, and a zero byte that the length counts.
    #[inline]
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        match self.take(length)?.split_last() {
            Some((0, text)) => Ok(text),
            _ => Err("a text does not end in a zero byte"),
        }
    }

    /// The elements of a document, without its length and its end.
    #[inline]
    pub(super) fn document(&mut self) -> Result<Input<'a>, Malformed> {
        let length = self.length()?;
        match self.take(length.checked_sub(4).ok_or(CUT_OFF)?)?.split_last() {
            Some((0, elements)) => Ok(Input(elements)),
            _ => Err("a document does not end in a zero byte"),
        }
    }

    /// The bytes of a value of this type.
    pub(super) fn value(&mut self, kind: u8) -> Result<&'a [u8], Malformed> {
        let start = self.0;
        match kind {
            kind::NULL | kind::UNDEFINED | kind::MIN_KEY | kind::MAX_KEY => {}
            kind::BOOLEAN => self.skip(1)?,
            kind::INT32 => self.skip(4)?,
            kind::DOUBLE | kind::DATE | kind::TIMESTAMP | kind::INT64 => self.skip(8)?,
            kind::OBJECT_ID => self.skip(12)?,
            kind::DECIMAL128 => self.skip(16)?,
            kind::STRING | kind::JAVASCRIPT | kind::SYMBOL => {
                self.string()?;
            }
            kind::DOCUMENT | kind::ARRAY => {
                self.document()?;
            }
            kind::BINARY => {
                let length = self.length()?;
                self.skip(length + 1)?;
            }
            kind::REGEX => {
                self.text()?;
                self.text()?;
            }
            kind::DB_POINTER => {
                self.string()?;
                self.skip(12)?;
            }
            kind::JAVASCRIPT_WITH_SCOPE => {
                let length = self.length()?;
                self.skip(length.checked_sub(4).ok_or(CUT_OFF)?)?;
            }
            _ => return Err("it has a type that BSON does not know"),
        }
        Ok(&start[..start.len() - self.0.len()])
    }
}

/// One field of a document, as it stands there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) kind: u8,
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

/// The fields of a document's elements, one after the other.
pub(super) fn elements(bytes: &[u8]) -> impl Iterator<Item = Result<Element<'_>, Malformed>> {
    let mut input = Input(bytes);
    std::iter::from_fn(move || {
        if input.0.is_empty() {
            return None;
        }
        let mut next = || {
            let kind = input.byte()?;
            let name = input.text()?;
            Ok(Element { kind, name, value: input.value(kind)? })
        };
        let element = next();
        if element.is_err() {
            input.0 = &[];
        }
        Some(element)
    })
}

/// A field among a document's elements.
pub(super) fn find<'a>(bytes: &'a [u8], name: &str) -> Result<Option<Element<'a>>, Malformed> {
    for element in elements(bytes) {
        let element = element?;
        if element.name == name.as_bytes() {
            return Ok(Some(element));
        }
    }
    Ok(None)
}

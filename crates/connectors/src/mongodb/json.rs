//! JSON to BSON, written where it is needed and once: the short way of records that are made of nothing unusual, and the long way, by
//! `serde_json`, of all others, which also says what is wrong with JSON that is none.

use std::{borrow::Cow, fmt};

use base::eight::{HIGHS, json_specials};
use memchr::memchr2;
use mongodb::bson::Bson;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{
    decimal, decode,
    encode::{Index, Reason, close, fixed, header, integer, string},
    types::kind,
};

/// An object of more fields is read as a tree first, which knows names that come twice.
const FIELDS_MAX: usize = 64;
/// Objects and arrays that are nested more deeply go the long way, which knows where to stop.
const SHORT_DEPTH_MAX: usize = 64;
/// As many digits make no number that is too large for an i64.
const SHORT_DIGITS_MAX: usize = 18;

/// A record of JSON, as the elements of a document. MongoDB's extended JSON (`{"$oid": "…"}`) means what it says; of a name that
/// comes twice the last value counts.
pub(super) fn append_json(json: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    let before = out.len();
    if append_short(json, out).is_some() {
        return Ok(());
    }
    out.truncate(before);
    append_long(json, out)
}

/// `None`, with `out` half written, where something is unusual.
pub(super) fn append_short(json: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut short = Short { json, at: 0, names: Vec::with_capacity(FIELDS_MAX), out };
    short.expect(b'{')?;
    short.fields(0)?;
    short.next_letter().is_none().then_some(())
}

pub(super) fn append_long(json: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    let before = out.len();
    let mut json_to = JsonTo { out, starts: Vec::new(), is_unique: false, is_doubtful: false };
    let written = json_to.append(json);
    if !json_to.is_doubtful {
        return written;
    }
    out.truncate(before);
    let tree: serde_json::Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    JsonTo { out, starts: Vec::new(), is_unique: true, is_doubtful: false }
        .append(tree.to_string().as_bytes())
}

/// The short way. Every `None` means that the long way has to be gone: a name that is escaped, begins with a dollar or comes twice, a
/// number that needs care, what is nested deeply, and all that is no JSON.
struct Short<'a, 'o> {
    json: &'a [u8],
    at: usize,
    /// Of the objects that are being written.
    names: Vec<&'a [u8]>,
    out: &'o mut Vec<u8>,
}

impl<'a> Short<'a, '_> {
    /// The letter that comes next, behind spaces; it is not passed.
    #[inline]
    fn next_letter(&mut self) -> Option<u8> {
        loop {
            let letter = *self.json.get(self.at)?;
            if !matches!(letter, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(letter);
            }
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, letter: u8) -> Option<()> {
        (self.next_letter()? == letter).then(|| self.at += 1)
    }

    /// Passes the comma before another item (true), or the bracket that closes (false).
    #[inline]
    fn has_more(&mut self, close: u8) -> Option<bool> {
        let letter = self.next_letter()?;
        self.at += 1;
        (letter == b',' || letter == close).then_some(letter == b',')
    }

    /// A text in which nothing is escaped, as it stands.
    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let text = plain(&self.json[self.at..])?;
        self.at += text.len() + 1;
        Some(text)
    }

    /// A text, whose quote comes next; what is escaped in it, `serde_json` knows.
    fn any_text(&mut self) -> Option<Cow<'a, [u8]>> {
        let start = self.at;
        if let Some(text) = self.text() {
            return Some(Cow::Borrowed(text));
        }
        let mut end = start + 1;
        loop {
            end += memchr2(b'"', b'\\', self.json.get(end..)?)?;
            if self.json[end] == b'"' {
                break;
            }
            end += 2;
        }
        let text: String = serde_json::from_slice(&self.json[start..=end]).ok()?;
        self.at = end + 1;
        Some(Cow::Owned(text.into_bytes()))
    }

    /// What a bracket that is passed holds: items with commas between them, up to the one that closes it.
    #[inline]
    fn listed(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.next_letter()? == close {
            self.at += 1;
            return Some(());
        }
        loop {
            item(self)?;
            if !self.has_more(close)? {
                return Some(());
            }
        }
    }

    fn fields(&mut self, depth: usize) -> Option<()> {
        let from = self.names.len();
        self.listed(b'}', |short| {
            let name = short.text()?;
            let known = &short.names[from..];
            if name.first() == Some(&b'$') || known.len() == FIELDS_MAX || known.contains(&name) {
                return None;
            }
            short.names.push(name);
            short.expect(b':')?;
            short.value(name, depth)
        })?;
        self.names.truncate(from);
        Some(())
    }

    fn items(&mut self, depth: usize) -> Option<()> {
        let mut index = Index::default();
        self.listed(b']', |short| short.value(index.next(), depth))
    }

    /// An object or an array, whose bracket comes next.
    fn nested(&mut self, kind: u8, name: &[u8], depth: usize) -> Option<()> {
        if depth > SHORT_DEPTH_MAX {
            return None;
        }
        self.at += 1;
        self.element(kind, name, &[0; 4]);
        let start = self.out.len() - 4;
        match kind {
            kind::DOCUMENT => self.fields(depth)?,
            _ => self.items(depth)?,
        }
        close(self.out, start);
        Some(())
    }

    fn value(&mut self, name: &[u8], depth: usize) -> Option<()> {
        match self.next_letter()? {
            b'"' => {
                let text = self.any_text()?;
                let length = u32::try_from(text.len() + 1).ok()?.to_le_bytes();
                self.out.reserve(name.len() + text.len() + 7);
                self.element(kind::STRING, name, &length);
                self.out.extend_from_slice(&text);
                self.out.push(0);
            }
            b'{' => self.nested(kind::DOCUMENT, name, depth + 1)?,
            b'[' => self.nested(kind::ARRAY, name, depth + 1)?,
            b't' => self.word(b"true", kind::BOOLEAN, name, &[1])?,
            b'f' => self.word(b"false", kind::BOOLEAN, name, &[0])?,
            b'n' => self.word(b"null", kind::NULL, name, &[])?,
            _ => self.number(name)?,
        }
        Some(())
    }

    fn word(&mut self, word: &[u8], kind: u8, name: &[u8], value: &[u8]) -> Option<()> {
        self.json[self.at..].starts_with(word).then_some(())?;
        self.at += word.len();
        self.element(kind, name, value);
        Some(())
    }

    fn number(&mut self, name: &[u8]) -> Option<()> {
        let text = &self.json[self.at..];
        let is_negative = text[0] == b'-';
        let digits = &text[usize::from(is_negative)..];
        let (mut number, mut count) = (0_i64, 0);
        while let Some(digit @ b'0'..=b'9') = digits.get(count) {
            count += 1;
            // More digits than these are not looked at below.
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        }
        if count == 0 || count > SHORT_DIGITS_MAX || (digits[0] == b'0' && count > 1) {
            return None;
        }
        let whole_size = usize::from(is_negative) + count;
        if let Some(b'.' | b'e' | b'E') = digits.get(count) {
            let size = whole_size + fraction(&digits[count..])?;
            let number: f64 = std::str::from_utf8(&text[..size]).ok()?.parse().ok()?;
            if number.is_infinite() {
                return None;
            }
            self.element(kind::DOUBLE, name, &number.to_le_bytes());
            self.at += size;
            return Some(());
        }
        if is_negative && number == 0 {
            return None;
        }
        self.at += whole_size;
        integer(self.out, name, if is_negative { -number } else { number }).ok()
    }

    /// A name of this way has no zero byte.
    #[inline]
    fn element(&mut self, kind: u8, name: &[u8], value: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(name);
        self.out.push(0);
        self.out.extend_from_slice(value);
    }
}

/// How many bytes a fraction and an exponent take.
fn fraction(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let count = text.get(from..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let mut size = match text.first() {
        Some(b'.') => digits(1)?,
        _ => 0,
    };
    if let Some(b'e' | b'E') = text.get(size) {
        size += 1;
        size += usize::from(matches!(text.get(size), Some(b'+' | b'-')));
        size = digits(size)?;
    }
    Some(size)
}

/// What stands before the quote that closes a text; `None` where an escape or a control letter comes first, or where it is no
/// UTF-8. Looks at eight bytes at once.
#[inline]
fn plain(text: &[u8]) -> Option<&[u8]> {
    let (words, rest) = text.as_chunks::<8>();
    let mut seen = 0;
    let is_end = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    let end = 'found: {
        for (number, word) in words.iter().enumerate() {
            let (ends, word) = (json_specials(*word), u64::from_le_bytes(*word));
            if ends != 0 {
                let count = ends.trailing_zeros() / 8;
                seen |= word & !(u64::MAX << (8 * count));
                break 'found number * 8 + count as usize;
            }
            seen |= word;
        }
        let end = rest.iter().position(is_end)?;
        seen |= rest[..end].iter().fold(0, |seen, byte| seen | u64::from(*byte));
        words.len() * 8 + end
    };
    let plain = &text[..end];
    let is_text = seen & HIGHS == 0 || std::str::from_utf8(plain).is_ok();
    (text[end] == b'"' && is_text).then_some(plain)
}

/// Where the elements of an object of JSON go.
struct JsonTo<'a> {
    out: &'a mut Vec<u8>,
    /// Where the elements of the objects begin that are being written.
    starts: Vec<usize>,
    /// No name comes twice.
    is_unique: bool,
    /// A name came twice, or there are too many to tell.
    is_doubtful: bool,
}

/// A field's name, where it stands if nothing in it is escaped.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl JsonTo<'_> {
    fn append(&mut self, json: &[u8]) -> Result<(), Reason> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let record = deserializer.deserialize_any(Fields { to: self, first: None });
        record.and_then(|()| deserializer.end()).map_err(|error| error.to_string())
    }

    /// Whether the name is a new one among the elements from the `from`th on.
    fn expect_new<E: serde::de::Error>(&mut self, from: usize, name: &[u8]) -> Result<(), E> {
        if self.is_unique {
            return Ok(());
        }
        let known = &self.starts[from..];
        let is_known = |start: &usize| {
            let element = &self.out[start + 1..];
            element.starts_with(name) && element.get(name.len()) == Some(&0)
        };
        if known.len() >= FIELDS_MAX || known.iter().any(is_known) {
            self.is_doubtful = true;
            return Err(E::custom("names come twice"));
        }
        self.starts.push(self.out.len());
        Ok(())
    }
}

/// An object whose elements go out; `first` is a name that was read already.
struct Fields<'a, 'b, 'de> {
    to: &'a mut JsonTo<'b>,
    first: Option<Name<'de>>,
}

impl<'de> Visitor<'de> for Fields<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let from = self.to.starts.len();
        while let Some(Name(name)) = match self.first.take() {
            Some(first) => Some(first),
            None => map.next_key()?,
        } {
            self.to.expect_new(from, name.as_bytes())?;
            map.next_value_seed(Field { to: self.to, name: name.as_bytes() })?;
        }
        self.to.starts.truncate(from);
        Ok(())
    }
}

/// A value of JSON under its name.
struct Field<'a, 'b> {
    to: &'a mut JsonTo<'b>,
    name: &'a [u8],
}

impl<'de> DeserializeSeed<'de> for Field<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

fn told<E: serde::de::Error>(written: Result<(), Reason>) -> Result<(), E> {
    written.map_err(E::custom)
}

impl<'de> Visitor<'de> for Field<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        told(header(self.to.out, kind::NULL, self.name))
    }

    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<(), E> {
        told(fixed(self.to.out, kind::BOOLEAN, self.name, &[u8::from(truth)]))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        told(integer(self.to.out, self.name, number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => {
                let bytes =
                    decimal::of(number.into(), 0).ok_or_else(|| E::custom("a number is too large"))?;
                told(fixed(self.to.out, kind::DECIMAL128, self.name, &bytes))
            }
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        told(fixed(self.to.out, kind::DOUBLE, self.name, &number.to_le_bytes()))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        told(string(self.to.out, kind::STRING, self.name, text.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        told(header(self.to.out, kind::ARRAY, self.name))?;
        let (start, mut index) = (self.to.out.len(), Index::default());
        self.to.out.extend_from_slice(&[0; 4]);
        while list.next_element_seed(Field { to: self.to, name: index.next() })?.is_some() {}
        close(self.to.out, start);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let first: Option<Name<'de>> = map.next_key()?;
        if let Some(Name(first)) = first.as_ref().filter(|Name(first)| first.starts_with('$')) {
            return self.extended(first.clone().into_owned(), map);
        }
        told(header(self.to.out, kind::DOCUMENT, self.name))?;
        let start = self.to.out.len();
        self.to.out.extend_from_slice(&[0; 4]);
        if first.is_some() {
            Fields { to: self.to, first }.visit_map(map)?;
        }
        close(self.to.out, start);
        Ok(())
    }
}

impl Field<'_, '_> {
    /// `{"$date": …}` and its like, by the driver's reading of them.
    fn extended<'de, A: MapAccess<'de>>(self, first: String, mut map: A) -> Result<(), A::Error> {
        let mut object = serde_json::Map::new();
        object.insert(first, map.next_value()?);
        while let Some((name, value)) = map.next_entry()? {
            object.insert(name, value);
        }
        let value: Bson = serde_json::from_value(object.into()).map_err(A::Error::custom)?;
        let holder = mongodb::bson::doc! { "v": value };
        let bytes = holder.to_vec().map_err(A::Error::custom)?;
        let element = decode::find(&bytes[4..bytes.len() - 1], "v").map_err(A::Error::custom)?;
        let element = element.ok_or_else(|| A::Error::custom("it cannot be written"))?;
        told(fixed(self.to.out, element.kind, self.name, element.value))
    }
}

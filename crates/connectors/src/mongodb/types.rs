//! BSON's types and ours: the tags of those that only MongoDB has, and what each becomes where a table has no such type.
//!
//! | BSON | in a row | in a table | as a key |
//! |---|---|---|---|
//! | double | number | double | digits |
//! | string | text | text | the text |
//! | document | struct | its fields | JSON |
//! | array | list | a child table | - |
//! | binary, subtype 0 | bytes | binary | JSON |
//! | binary, subtype 4 (UUID) | `uuid` over text | text | the text |
//! | binary, other subtypes | `binary.05` over bytes | binary | JSON |
//! | undefined | `undefined` over null | null | JSON |
//! | ObjectId | `objectId` over its 24 hex digits | text | hex digits |
//! | bool | boolean | bool | `true`, `false` |
//! | date | timestamp, milliseconds | timestamp | JSON |
//! | null | null | null | `null` |
//! | regular expression | `regex` over `{pattern, options}` | its pattern | - |
//! | dbPointer | `dbPointer` over `{ns, id}` | its fields | JSON |
//! | JavaScript | `javascript` over text | text | JSON |
//! | JavaScript with scope | `javascriptWithScope` over `{code, scope}` | its code | JSON |
//! | symbol | `symbol` over text | text | JSON |
//! | int32 | integer | bigint | digits |
//! | int64 | integer; `int64` over it where 32 bits would hold it | bigint | digits |
//! | timestamp | `timestamp` over `{t, i}` | its seconds, as a timestamp | JSON |
//! | Decimal128 | `decimal128` over its text | text | JSON |
//! | MinKey, MaxKey | `minKey`, `maxKey` over text | text | JSON |
//!
//! The sink gives each back as it was. Text that is not UTF-8, which mongod does not check, is `string` over its bytes.

use std::sync::LazyLock;

use base::Value;
use mongodb::bson::{Bson, RawDocument};

/// The type bytes of BSON.
pub(super) mod kind {
    pub(crate) const DOUBLE: u8 = 0x01;
    pub(crate) const STRING: u8 = 0x02;
    pub(crate) const DOCUMENT: u8 = 0x03;
    pub(crate) const ARRAY: u8 = 0x04;
    pub(crate) const BINARY: u8 = 0x05;
    pub(crate) const UNDEFINED: u8 = 0x06;
    pub(crate) const OBJECT_ID: u8 = 0x07;
    pub(crate) const BOOLEAN: u8 = 0x08;
    pub(crate) const DATE: u8 = 0x09;
    pub(crate) const NULL: u8 = 0x0a;
    pub(crate) const REGEX: u8 = 0x0b;
    pub(crate) const DB_POINTER: u8 = 0x0c;
    pub(crate) const JAVASCRIPT: u8 = 0x0d;
    pub(crate) const SYMBOL: u8 = 0x0e;
    pub(crate) const JAVASCRIPT_WITH_SCOPE: u8 = 0x0f;
    pub(crate) const INT32: u8 = 0x10;
    pub(crate) const TIMESTAMP: u8 = 0x11;
    pub(crate) const INT64: u8 = 0x12;
    pub(crate) const DECIMAL128: u8 = 0x13;
    pub(crate) const MIN_KEY: u8 = 0xff;
    pub(crate) const MAX_KEY: u8 = 0x7f;
}

/// The tags of values whose type only MongoDB has.
pub mod tag {
    pub const STRING: &str = "string";
    pub const UUID: &str = "uuid";
    pub const UNDEFINED: &str = "undefined";
    pub const OBJECT_ID: &str = "objectId";
    pub const REGEX: &str = "regex";
    pub const DB_POINTER: &str = "dbPointer";
    pub const JAVASCRIPT: &str = "javascript";
    pub const JAVASCRIPT_WITH_SCOPE: &str = "javascriptWithScope";
    pub const SYMBOL: &str = "symbol";
    pub const INT64: &str = "int64";
    pub const TIMESTAMP: &str = "timestamp";
    pub const DECIMAL128: &str = "decimal128";
    pub const MIN_KEY: &str = "minKey";
    pub const MAX_KEY: &str = "maxKey";
}

pub(super) const SUBTYPE_GENERIC: u8 = 0;
pub(super) const SUBTYPE_OLD: u8 = 2;
pub(super) const SUBTYPE_UUID: u8 = 4;

/// `binary.00` to `binary.ff`.
pub(crate) fn binary_tag(subtype: u8) -> &'static str {
    static TAGS: LazyLock<Vec<String>> =
        LazyLock::new(|| (0..=255).map(|subtype| format!("binary.{subtype:02x}")).collect());
    &TAGS[usize::from(subtype)]
}

pub(crate) fn binary_subtype(tag: &str) -> Option<u8> {
    u8::from_str_radix(tag.strip_prefix("binary.")?, 16).ok()
}

/// What a tagged value is in a table, as dlt's MongoDB source has it; `None`: the value under the tag, as it is.
pub fn for_tables(tag: &str, value: &Value) -> Option<Value> {
    match (tag, value) {
        (tag::REGEX, regex) => regex.get("pattern").cloned(),
        (tag::JAVASCRIPT_WITH_SCOPE, code) => code.get("code").cloned(),
        (tag::TIMESTAMP, timestamp) => match timestamp.get("t") {
            Some(Value::Int(seconds)) => Some(Value::TimestampMs(seconds * 1_000)),
            _ => None,
        },
        (tag::STRING, Value::Bytes(bytes)) => Some(Value::string(String::from_utf8_lossy(bytes))),
        _ => None,
    }
}

/// An `_id` as text: what stands behind the slash in `planes/N14228`, and what a record's key is.
pub(super) fn append_id_text(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    match (kind, value) {
        (kind::OBJECT_ID, id) => append_hex(id, out),
        (kind::STRING, text) if text.len() > 4 => out.extend_from_slice(&text[4..text.len() - 1]),
        (kind::BINARY, binary) if binary.len() == 21 && binary[4] == SUBTYPE_UUID => {
            append_uuid(&binary[5..], out)
        }
        (kind, value) => out.extend_from_slice(exotic_text(kind, value).as_bytes()),
    }
}

/// Numbers by their digits, all else as MongoDB's own JSON.
fn exotic_text(kind: u8, value: &[u8]) -> String {
    let single = single(kind, "", value);
    let Some(Ok((_, value))) =
        RawDocument::from_bytes(&single).ok().and_then(|document| document.iter().next())
    else {
        return String::new();
    };
    match Bson::try_from(value) {
        Ok(Bson::Int32(number)) => number.to_string(),
        Ok(Bson::Int64(number)) => number.to_string(),
        Ok(Bson::Double(number)) => number.to_string(),
        Ok(other) => serde_json::to_string(&other).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// A document of one element.
pub(super) fn single(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    let length = (4 + 1 + name.len() + 1 + value.len() + 1) as i32;
    let mut bytes = Vec::with_capacity(length as usize);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(value);
    bytes.push(0);
    bytes
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

pub(super) fn append_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    write_hex(bytes, &mut out[start..]);
}

/// Two digits for each byte, as many as there is room for.
pub(super) fn write_hex(bytes: &[u8], out: &mut [u8]) {
    for (byte, digits) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

pub(super) fn append_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        append_hex(&[*byte], out);
    }
}

/// The bytes of hex digits: `N` of them, or nothing.
pub(super) fn hex_bytes<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |letter: u8| (letter as char).to_digit(16).map(|digit| digit as u8);
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

pub(super) fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let dashes_stand_right =
        text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-');
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    dashes_stand_right.then(|| hex_bytes(&digits)).flatten()
}

//! Confluent's wire format: a zero byte, the schema's id as four bytes big endian, then the record's bytes.
//!
//! Source: Confluent, "Schema Registry Serializer and Deserializer", section "Wire format".

use crate::Error;

/// The first byte of every framed record.
pub const MAGIC: u8 = 0;
/// Bytes before the record's own.
pub const HEADER_BYTES: usize = 5;

/// Puts the five bytes in front of what is written next.
pub fn frame(id: i32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

/// The schema's id and the record's own bytes.
///
/// Fails with TM0505 where the bytes are shorter than the header or do not begin with the magic byte.
pub fn unframe(bytes: &[u8]) -> Result<(i32, &[u8]), Error> {
    match bytes {
        [MAGIC, a, b, c, d, payload @ ..] => Ok((i32::from_be_bytes([*a, *b, *c, *d]), payload)),
        _ => Err(Error::NotFramed { found: describe(bytes) }),
    }
}

/// What the bytes look like instead: most often JSON of a producer without a registry.
fn describe(bytes: &[u8]) -> String {
    match bytes {
        [] => "no bytes at all".to_owned(),
        [MAGIC, ..] => format!("only {} bytes", bytes.len()),
        [b'{' | b'[' | b'"', ..] => "what looks like plain JSON".to_owned(),
        [first, ..] => format!("0x{first:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back() {
        let mut bytes = Vec::new();
        frame(100_001, &mut bytes);
        bytes.extend_from_slice(b"{}");
        assert_eq!(bytes, [0, 0, 1, 134, 161, b'{', b'}']);
        assert_eq!(unframe(&bytes).unwrap(), (100_001, &b"{}"[..]));
    }

    #[test]
    fn what_is_not_framed_is_told() {
        for (bytes, found) in [
            (&b"{\"a\":1}"[..], "what looks like plain JSON"),
            (b"", "no bytes at all"),
            (b"\0\0\0", "only 3 bytes"),
            (b"\x01\0\0\0\x01", "0x01"),
        ] {
            let text = unframe(bytes).unwrap_err().to_string();
            assert!(text.contains(found), "{text}");
        }
    }
}

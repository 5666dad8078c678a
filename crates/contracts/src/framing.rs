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

/// More levels than messages are ever nested; it bounds what is allocated for bytes from outside.
const INDEXES_COUNT_MAX: usize = 64;

/// Protobuf's part of the frame, after the id: which message of the file it is. `[1, 0]` is the first one within the second.
///
/// Numbers are zigzag varints, their count comes first; the first message of a file, which most are, is one zero byte.
pub fn frame_message_index(index: &[i32], out: &mut Vec<u8>) {
    let mut put = |number: i32| {
        let mut rest = ((number << 1) ^ (number >> 31)) as u32;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    };
    match index {
        [] | [0] => put(0),
        index => {
            put(i32::try_from(index.len()).unwrap_or(i32::MAX));
            index.iter().for_each(|number| put(*number));
        }
    }
}

/// The message's index, and the message itself. Fails with TM0505 where the bytes hold none.
pub fn unframe_message_index(bytes: &[u8]) -> Result<(Vec<i32>, &[u8]), Error> {
    let refuse = || Error::NotFramed { found: "a message index that is cut or too long".to_owned() };
    let mut rest = bytes;
    let mut take = || {
        let mut number = 0u32;
        for shift in (0..35).step_by(7) {
            let (byte, after) = rest.split_first()?;
            rest = after;
            number |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some((number >> 1) as i32 ^ -((number & 1) as i32));
            }
        }
        None
    };
    let count = take().and_then(|count| usize::try_from(count).ok()).ok_or_else(refuse)?;
    if count > INDEXES_COUNT_MAX {
        return Err(refuse());
    }
    let index = match count {
        0 => vec![0],
        count => (0..count).map(|_| take()).collect::<Option<Vec<i32>>>().ok_or_else(refuse)?,
    };
    Ok((index, rest))
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
    fn a_message_index_comes_back() {
        for (index, expected) in
            [(&[0][..], &[0][..]), (&[1], &[2, 2]), (&[1, 0], &[4, 2, 0]), (&[100, 3], &[4, 200, 1, 6])]
        {
            let mut bytes = Vec::new();
            frame_message_index(index, &mut bytes);
            assert_eq!(bytes, expected);
            bytes.push(9);
            assert_eq!(unframe_message_index(&bytes).unwrap(), (index.to_vec(), &[9][..]));
        }
        for bytes in [&[][..], &[4, 2], &[255, 255, 255, 255, 15], &[128; 9]] {
            assert!(unframe_message_index(bytes).is_err(), "{bytes:?}");
        }
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

//! JSON objects one after another out of a stream of bytes, each as soon as its last byte has come. Only brackets and strings are
//! looked at: what is within is for a parser.

use bytes::{Buf, Bytes, BytesMut};

use crate::Error;

pub(super) struct Splitter {
    buffer: BytesMut,
    /// What of the buffer is scanned.
    scanned: usize,
    depth: usize,
    is_string: bool,
    is_escaped: bool,
    bytes_max: usize,
}

impl Splitter {
    pub fn new(bytes_max: usize) -> Self {
        let buffer = BytesMut::new();
        Self { buffer, scanned: 0, depth: 0, is_string: false, is_escaped: false, bytes_max }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that are held until their object is whole.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole object; none where more bytes are needed.
    pub fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.scanned == 0 {
            let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.advance(blank);
        }
        while let Some(byte) = self.buffer.get(self.scanned) {
            if self.scanned == 0 && *byte != b'{' {
                let found = char::from(*byte);
                return Err(broken(&format!("a record begins with {{, and there is {found:?}")));
            }
            if self.scanned >= self.bytes_max {
                return Err(Error::TooLarge { bytes_max: self.bytes_max });
            }
            self.scanned += 1;
            match (self.is_string, *byte) {
                (true, _) if self.is_escaped => self.is_escaped = false,
                (true, b'\\') => self.is_escaped = true,
                (true, b'"') => self.is_string = false,
                (true, _) => {}
                (false, b'"') => self.is_string = true,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let whole = self.buffer.split_to(self.scanned).freeze();
                        self.scanned = 0;
                        return Ok(Some(whole));
                    }
                }
                (false, _) => {}
            }
        }
        Ok(None)
    }

    /// An error where the stream ends within an object.
    pub fn end(&self) -> Result<(), Error> {
        match self.buffer.is_empty() {
            true => Ok(()),
            false => Err(broken("the request ends within a record")),
        }
    }
}

fn broken(reason: &str) -> Error {
    Error::Body { reason: format!("Error processing JSON: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(splitter: &mut Splitter) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(object) = splitter.next().unwrap() {
            found.push(String::from_utf8_lossy(&object).into_owned());
        }
        found
    }

    #[test]
    fn objects_come_out_wherever_the_bytes_are_cut() {
        let text = "{\"a\": \"}\\\"{\"} {\"b\":[{},{\"c\":\"\\\\\"}]}\r\n{}";
        let expected = ["{\"a\": \"}\\\"{\"}", "{\"b\":[{},{\"c\":\"\\\\\"}]}", "{}"];
        for size in 1..=text.len() {
            let mut splitter = Splitter::new(1_000);
            let mut found = Vec::new();
            for part in text.as_bytes().chunks(size) {
                splitter.push(part);
                found.extend(all(&mut splitter));
            }
            assert_eq!(found, expected, "{size}");
            splitter.end().unwrap();
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let mut splitter = Splitter::new(1_000);
        splitter.push(b"  [1]");
        assert!(matches!(splitter.next(), Err(Error::Body { .. })));
        let mut splitter = Splitter::new(10);
        splitter.push(b"{\"a\":\"0123456789\"}");
        assert!(matches!(splitter.next(), Err(Error::TooLarge { bytes_max: 10 })));
        let mut splitter = Splitter::new(1_000);
        splitter.push(b"{} {\"a\":");
        assert_eq!(all(&mut splitter), ["{}"]);
        assert!(matches!(splitter.end(), Err(Error::Body { .. })));
    }
}

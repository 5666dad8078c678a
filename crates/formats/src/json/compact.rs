//! A JSON document checked and copied in one pass, without the white space between its tokens.
//!
//! The grammar is RFC 8259; numbers, escapes and key order stay as they were written. Depth is bounded, and bytes that are
//! not UTF-8 are refused.

use memchr::memchr2;

/// Deeper documents are refused; no recursion is used, this only bounds the stack of brackets.
const DEPTH_MAX: usize = 512;

/// Appends `bytes` to `out`; on an error `out` may hold a part of it, which the caller cuts off.
pub fn append(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    out.reserve(bytes.len() + 1);
    Cursor { bytes: text.as_bytes(), at: 0, copied: 0 }.document(out)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Everything before it is in `out` or was white space.
    copied: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Array,
    Object,
}

impl Cursor<'_> {
    fn document(mut self, out: &mut Vec<u8>) -> Result<(), String> {
        // A bit for each open bracket would do; a small vector reads better and is seldom longer than four.
        let mut open: Vec<Open> = Vec::new();
        loop {
            // A value has to come here.
            self.skip_white(out);
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    push(&mut open, Open::Object)?;
                    self.skip_white(out);
                    if self.peek() != Some(b'}') {
                        self.name(out)?;
                        continue;
                    }
                    self.at += 1;
                    open.pop();
                }
                Some(b'[') => {
                    self.at += 1;
                    push(&mut open, Open::Array)?;
                    self.skip_white(out);
                    if self.peek() != Some(b']') {
                        continue;
                    }
                    self.at += 1;
                    open.pop();
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return Err(self.expected("a value")),
            }
            if !self.after_value(&mut open, out)? {
                return Ok(());
            }
        }
    }

    /// What may follow a value: `true` when the next value has to come, `false` at the document's end.
    fn after_value(&mut self, open: &mut Vec<Open>, out: &mut Vec<u8>) -> Result<bool, String> {
        loop {
            self.skip_white(out);
            match (open.last(), self.peek()) {
                (None, None) => {
                    self.copy(out);
                    return Ok(false);
                }
                (None, Some(_)) => return Err(self.expected("the end")),
                (Some(Open::Object), Some(b',')) => {
                    self.at += 1;
                    self.skip_white(out);
                    self.name(out)?;
                    return Ok(true);
                }
                (Some(Open::Array), Some(b',')) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(Open::Object), Some(b'}')) | (Some(Open::Array), Some(b']')) => {
                    self.at += 1;
                    open.pop();
                }
                (Some(Open::Object), _) => return Err(self.expected("`,` or `}`")),
                (Some(Open::Array), _) => return Err(self.expected("`,` or `]`")),
            }
        }
    }

    /// A field's name and its colon.
    fn name(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a field's name"));
        }
        self.string()?;
        self.skip_white(out);
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        let start = self.at + 1;
        self.at = start;
        loop {
            let Some(found) = memchr2(b'"', b'\\', &self.bytes[self.at..]) else {
                self.at = self.bytes.len();
                return Err(self.expected("`\"`"));
            };
            let run = &self.bytes[self.at..self.at + found];
            if let Some(control) = run.iter().position(|&byte| byte < 0x20) {
                self.at += control;
                return Err(self.expected("no control character in a text"));
            }
            self.at += found;
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return Ok(());
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.expected("four hexadecimal digits"));
                }
                self.at += 5;
            }
            _ => return Err(self.expected("an escape")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), String> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), String> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Leaves white space out: what lies before it is copied first.
    fn skip_white(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            return;
        }
        self.copy(out);
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        self.copied = self.at;
    }

    fn copy(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[self.copied..self.at]);
        self.copied = self.at;
    }

    fn expected(&self, what: &str) -> String {
        match std::str::from_utf8(&self.bytes[self.at.min(self.bytes.len())..])
            .ok()
            .and_then(|rest| rest.chars().next())
        {
            Some(found) => format!("not JSON: expected {what} at byte {}, found {found:?}", self.at),
            None => format!("not JSON: expected {what} at byte {}, found the end", self.at),
        }
    }
}

fn push(open: &mut Vec<Open>, bracket: Open) -> Result<(), String> {
    if open.len() == DEPTH_MAX {
        return Err(format!("not JSON that is taken: more than {DEPTH_MAX} brackets deep"));
    }
    open.push(bracket);
    Ok(())
}

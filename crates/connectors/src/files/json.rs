//! Where JSON records begin and end: lines, and the elements of one array.

use memchr::memchr;

use super::source::{Cut, Cutter, Flaw};

/// A value a line; empty lines are passed over.
pub(super) struct Lines;

impl Cutter for Lines {
    fn cut(&mut self, bytes: &[u8], is_end: bool) -> Result<Cut, Flaw> {
        let (line, next) = match memchr(b'\n', bytes) {
            Some(at) => (&bytes[..at], at + 1),
            None if !is_end => return Ok(Cut::More),
            None if bytes.is_empty() => return Ok(Cut::End),
            None => (bytes, bytes.len()),
        };
        let end = line.trim_ascii_end().len();
        let start = end - line[..end].trim_ascii_start().len();
        Ok(if start == end { Cut::Skip { next } } else { Cut::Record { start, end, next } })
    }
}

/// The elements of one array, as they stand in the file.
#[derive(Default)]
pub(super) struct Elements {
    state: State,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    BeforeArray,
    /// An element or `]`.
    First,
    /// `,` or `]`.
    AfterElement,
    Closed,
}

impl Cutter for Elements {
    fn cut(&mut self, bytes: &[u8], is_end: bool) -> Result<Cut, Flaw> {
        let space = bytes.len() - bytes.trim_ascii_start().len();
        let flaw = |reason: &str| Err(Flaw { at: space, reason: reason.to_owned() });
        let Some(&first) = bytes.get(space) else {
            return match (is_end, &self.state) {
                (false, _) => Ok(Cut::More),
                (true, State::Closed) => Ok(Cut::End),
                (true, _) => flaw("the array of records is not closed"),
            };
        };
        match self.state {
            State::BeforeArray if first == b'[' => {
                self.state = State::First;
                Ok(Cut::Skip { next: space + 1 })
            }
            State::BeforeArray => flaw("expected an array of records; for a value a line say --format jsonl"),
            State::Closed => flaw("something follows the array of records"),
            State::First | State::AfterElement if first == b']' => {
                self.state = State::Closed;
                Ok(Cut::Skip { next: space + 1 })
            }
            State::AfterElement if first != b',' => flaw("expected , or ] after a record"),
            State::First | State::AfterElement => {
                let from = if first == b',' { space + 1 } else { space };
                let rest = &bytes[from..];
                let start = from + rest.len() - rest.trim_ascii_start().len();
                match element_length(&bytes[start..]) {
                    Some(0) => Err(Flaw { at: start, reason: "expected a record".to_owned() }),
                    Some(length) => {
                        self.state = State::AfterElement;
                        Ok(Cut::Record { start, end: start + length, next: start + length })
                    }
                    None if is_end => {
                        Err(Flaw { at: start, reason: "the record that begins here does not end".to_owned() })
                    }
                    None => Ok(Cut::More),
                }
            }
        }
    }
}

/// Up to the `,` or `]` behind one value; brackets and strings are counted, the rest is the parser's to judge.
fn element_length(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                loop {
                    let found = memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
                    at += found;
                    if bytes[at] == b'"' {
                        break;
                    }
                    at += 2;
                }
            }
            b'{' | b'[' => depth += 1,
            b',' | b']' | b'}' if depth == 0 => return Some(bytes[..at].trim_ascii_end().len()),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

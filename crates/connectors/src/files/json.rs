//! Where JSON records begin and end: lines, the elements of one array, the entries of one object; at the top of a document or
//! under the names of a path. What is passed over is never held.

use memchr::memchr;

use super::{
    Error,
    cut::{Cut, Cutter, Flaw},
};

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
        Ok(if start == end { Cut::Skip { next } } else { Cut::Record { start, end, next, key: None } })
    }
}

/// The names that lead to the records: `$.target`, `$.response.items[*]`, `$['a b'].c`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl std::str::FromStr for Path {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::RecordsPath { path: text.to_owned() };
        let mut rest = text.strip_prefix('$').ok_or_else(refuse)?;
        rest = rest.strip_suffix("[*]").unwrap_or(rest);
        let mut names = Vec::new();
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("['") {
                let (name, behind) = quoted.split_once("']").ok_or_else(refuse)?;
                names.push(name.to_owned());
                rest = behind;
                continue;
            }
            let bare = rest.strip_prefix('.').ok_or_else(refuse)?;
            let end = bare.find(['.', '[']).unwrap_or(bare.len());
            if end == 0 || bare[..end].contains(['*', ']', '\'']) {
                return Err(refuse());
            }
            names.push(bare[..end].to_owned());
            rest = &bare[end..];
        }
        Ok(Self(names))
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

/// The elements of the array, or the entries of the object, at a path.
pub(super) struct Document {
    path: Path,
    state: State,
    /// Names of the path that have been entered.
    depth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the value at `depth`.
    Value,
    /// Inside the object at `depth`, before a name or its end.
    Names {
        is_first: bool,
    },
    /// Inside a value that is passed over.
    Passing(Passed),
    /// Among the records: before one, or behind one.
    Records {
        is_array: bool,
        is_first: bool,
    },
    Closed,
}

/// How far a value is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Passed {
    depth: u32,
    is_text: bool,
    is_escaped: bool,
}

impl Document {
    pub(super) fn new(path: Path) -> Self {
        Self { path, state: State::Value, depth: 0 }
    }

    fn enter(&mut self, at: usize, first: u8) -> Result<Cut, Flaw> {
        let is_there = self.depth == self.path.0.len();
        self.state = match first {
            b'[' if is_there => State::Records { is_array: true, is_first: true },
            b'{' if is_there => State::Records { is_array: false, is_first: true },
            b'{' => State::Names { is_first: true },
            _ if self.depth == 0 => {
                let reason =
                    "expected an array or an object of records; for a value a line say --format jsonl";
                return Err(Flaw::of(at, reason));
            }
            _ => return Err(self.missing(at, "neither an array nor an object")),
        };
        Ok(Cut::Skip { next: at + 1 })
    }

    fn missing(&self, at: usize, found: &str) -> Flaw {
        let reason = format!("{} is {found}", Path(self.path.0[..self.depth].to_vec()));
        Flaw { at, reason, is_missing: true }
    }

    /// A name of the object that leads on, or its end.
    fn name(&mut self, bytes: &[u8], at: usize, is_first: bool, is_end: bool) -> Result<Cut, Flaw> {
        if bytes[at] == b'}' {
            self.depth += 1;
            return Err(self.missing(at, "not there"));
        }
        let Some(entry) = entry(bytes, at, is_first, is_end)? else { return Ok(Cut::More) };
        let name: Option<String> = serde_json::from_slice(&bytes[entry.key.0..entry.key.1]).ok();
        self.state = match name {
            None => return Err(Flaw::of(entry.key.0, "expected a name in quotes")),
            Some(name) if name == self.path.0[self.depth] => {
                self.depth += 1;
                State::Value
            }
            Some(_) => State::Passing(Passed::default()),
        };
        Ok(Cut::Skip { next: entry.value })
    }

    fn record(
        &mut self,
        bytes: &[u8],
        at: usize,
        is_array: bool,
        is_first: bool,
        is_end: bool,
    ) -> Result<Cut, Flaw> {
        if bytes[at] == if is_array { b']' } else { b'}' } {
            self.state = State::Closed;
            return Ok(Cut::Skip { next: at + 1 });
        }
        let (key, from) = if is_array {
            let from = behind_comma(bytes, at, is_first, b']')?;
            (None, from)
        } else {
            match entry(bytes, at, is_first, is_end)? {
                Some(entry) => (Some(entry.key), entry.value),
                None => return Ok(Cut::More),
            }
        };
        let start = from + spaces(&bytes[from..]);
        match value_length(&bytes[start..]) {
            Some(0) => Err(Flaw::of(start, "expected a record")),
            Some(length) => {
                self.state = State::Records { is_array, is_first: false };
                Ok(Cut::Record { start, end: start + length, next: start + length, key })
            }
            None if is_end => Err(Flaw::of(start, "the record that begins here does not end")),
            None => Ok(Cut::More),
        }
    }
}

impl Cutter for Document {
    fn cut(&mut self, bytes: &[u8], is_end: bool) -> Result<Cut, Flaw> {
        if let State::Passing(passed) = &mut self.state {
            let (next, has_ended) = passed.pass(bytes);
            if has_ended {
                self.state = State::Names { is_first: false };
            } else if is_end {
                return Err(Flaw::of(next, "the document ends inside a value"));
            }
            return Ok(if next == 0 && !has_ended { Cut::More } else { Cut::Skip { next } });
        }
        // Of a path the rest of the document is nobody's concern.
        if self.state == State::Closed && self.depth > 0 {
            return Ok(Cut::End);
        }
        let at = spaces(bytes);
        let Some(&first) = bytes.get(at) else {
            return match (is_end, &self.state) {
                (false, _) if at > 0 => Ok(Cut::Skip { next: at }),
                (false, _) => Ok(Cut::More),
                (true, State::Closed) => Ok(Cut::End),
                (true, State::Records { is_array: true, .. }) => {
                    Err(Flaw::of(at, "the array of records is not closed"))
                }
                (true, _) => Err(Flaw::of(at, "the document ends before its records do")),
            };
        };
        match self.state {
            State::Value => self.enter(at, first),
            State::Names { is_first } => self.name(bytes, at, is_first, is_end),
            State::Records { is_array, is_first } => self.record(bytes, at, is_array, is_first, is_end),
            State::Closed => Err(Flaw::of(at, "something follows the records")),
            State::Passing(_) => unreachable!("passing was handled above"),
        }
    }
}

impl Passed {
    /// Bytes of the value that is passed over, and whether it ended: before the `,` or `}` behind it.
    fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.is_text {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.is_text = false,
                    _ => {
                        at += memchr::memchr2(b'"', b'\\', &bytes[at..]).unwrap_or(bytes.len() - at);
                        continue;
                    }
                }
            } else {
                match byte {
                    b'"' => self.is_text = true,
                    b'{' | b'[' => self.depth += 1,
                    b',' | b'}' | b']' if self.depth == 0 => return (at, true),
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
            }
            at += 1;
        }
        (at, false)
    }
}

/// A name with its quotes, and where its value begins.
struct Entry {
    key: (usize, usize),
    value: usize,
}

/// The entry of an object that begins at `at`, or at the comma there; `None`: more bytes are needed.
fn entry(bytes: &[u8], at: usize, is_first: bool, is_end: bool) -> Result<Option<Entry>, Flaw> {
    let from = behind_comma(bytes, at, is_first, b'}')?;
    let start = from + spaces(&bytes[from..]);
    let more = |flaw: Flaw| if is_end { Err(flaw) } else { Ok(None) };
    match bytes.get(start) {
        None => return more(Flaw::of(start, "expected a name")),
        Some(b'"') => {}
        Some(_) => return Err(Flaw::of(start, "expected a name in quotes")),
    }
    let Some(length) = text_length(&bytes[start..]) else {
        return more(Flaw::of(start, "the name that begins here does not end"));
    };
    let end = start + length;
    let colon = end + spaces(&bytes[end..]);
    match bytes.get(colon) {
        None => more(Flaw::of(colon, "expected : after a name")),
        Some(b':') => Ok(Some(Entry { key: (start, end), value: colon + 1 })),
        Some(_) => Err(Flaw::of(colon, "expected : after a name")),
    }
}

/// Behind the comma that has to stand between two.
fn behind_comma(bytes: &[u8], at: usize, is_first: bool, close: u8) -> Result<usize, Flaw> {
    match (is_first, bytes[at]) {
        (false, b',') => Ok(at + 1),
        (false, _) => Err(Flaw::of(at, format!("expected , or {} after a record", char::from(close)))),
        (true, _) => Ok(at),
    }
}

fn spaces(bytes: &[u8]) -> usize {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    bytes.iter().take_while(|byte| is_space(byte)).count()
}

/// Bytes of a text with its quotes.
fn text_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Up to the `,`, `]` or `}` behind one value; brackets and strings are counted, the rest is the parser's to judge.
fn value_length(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += text_length(&bytes[at..])?;
                continue;
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

//! CSV as RFC 4180 has it: where records end, and what their fields are.

use std::{borrow::Cow, sync::Arc};

use memchr::memchr;

use super::source::{Cut, Cutter, Flaw};

/// Finds the ends of records: line ends that stand outside quotes.
pub(super) struct Lines {
    pub(super) delimiter: u8,
}

/// A quote that is still open after so many bytes is taken for a mistake: its line leaves alone, and is refused later.
const QUOTED_BYTES_MAX: usize = 1 << 20;

impl Cutter for Lines {
    fn cut(&mut self, bytes: &[u8], is_end: bool) -> Result<Cut, Flaw> {
        let newline = match memchr(b'\n', bytes) {
            Some(at) => at,
            None if bytes.is_empty() && is_end => return Ok(Cut::End),
            None if is_end => bytes.len(),
            None => return Ok(Cut::More),
        };
        let end =
            if memchr(b'"', &bytes[..newline]).is_none() { Some(newline) } else { self.quoted_end(bytes) };
        let end = match end {
            Some(end) => end,
            None if is_end || bytes.len() > QUOTED_BYTES_MAX => newline,
            None => return Ok(Cut::More),
        };
        let next = (end + 1).min(bytes.len());
        let end = if end > 0 && bytes[end - 1] == b'\r' { end - 1 } else { end };
        Ok(if end == 0 { Cut::Skip { next } } else { Cut::Record { start: 0, end, next } })
    }
}

impl Lines {
    /// The line end that closes the record, where quotes stand in it; `None` while one is open.
    fn quoted_end(&self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            // At the start of a field.
            if bytes.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    at += memchr(b'"', bytes.get(at..)?)? + 1;
                    if bytes.get(at) != Some(&b'"') {
                        break;
                    }
                    at += 1;
                }
            }
            let rest = bytes.get(at..)?;
            match memchr::memchr2(self.delimiter, b'\n', rest) {
                Some(found) if rest[found] == b'\n' => return Some(at + found),
                Some(found) => at += found + 1,
                None => return Some(bytes.len()),
            }
        }
    }
}

/// Column names; an empty one is named by its place, one that comes twice gets its number.
pub(super) fn header(record: &[u8], delimiter: u8) -> Arc<[Arc<str>]> {
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut fields = Vec::new();
    if split(record, delimiter, &mut fields).is_err() {
        fields = record.split(|byte| *byte == delimiter).map(Cow::Borrowed).collect();
    }
    for (place, field) in fields.iter().enumerate() {
        let text = String::from_utf8_lossy(field).trim().to_owned();
        let name = if text.is_empty() { format!("column_{}", place + 1) } else { text };
        let taken = names.iter().any(|other| **other == *name);
        names.push(if taken { format!("{name}_{}", place + 1).into() } else { name.into() });
    }
    names.into()
}

/// A place in a record that breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// The byte of the record, counted from 0.
    pub at: usize,
    pub reason: String,
}

/// All fields of a record, unquoted, appended to `fields`.
///
/// # Errors
/// `Bad`: a quote that is never closed, or text behind a closing quote.
pub fn split<'a>(record: &'a [u8], delimiter: u8, fields: &mut Vec<Cow<'a, [u8]>>) -> Result<(), Bad> {
    let mut at = 0;
    loop {
        let (field, next) = field(record, at, delimiter)?;
        fields.push(field);
        match next {
            Some(next) => at = next,
            None => return Ok(()),
        }
    }
}

/// The byte of a record at which its field `number` (counted from 0) begins.
pub fn field_start(record: &[u8], delimiter: u8, number: usize) -> usize {
    let mut at = 0;
    for _ in 0..number {
        match field(record, at, delimiter) {
            Ok((_, Some(next))) => at = next,
            _ => return at,
        }
    }
    at
}

/// The field that begins at `at`, and where the next one begins.
fn field(record: &[u8], at: usize, delimiter: u8) -> Result<(Cow<'_, [u8]>, Option<usize>), Bad> {
    if record.get(at) != Some(&b'"') {
        return Ok(match memchr(delimiter, &record[at..]) {
            Some(length) => (Cow::Borrowed(&record[at..at + length]), Some(at + length + 1)),
            None => (Cow::Borrowed(&record[at..]), None),
        });
    }
    let mut unquoted: Option<Vec<u8>> = None;
    let (mut from, mut look) = (at + 1, at + 1);
    loop {
        let Some(found) = memchr(b'"', &record[look..]) else {
            return Err(Bad { at, reason: "the quote that opens here is never closed".to_owned() });
        };
        let quote = look + found;
        if record.get(quote + 1) == Some(&b'"') {
            unquoted.get_or_insert_default().extend_from_slice(&record[from..=quote]);
            from = quote + 2;
            look = from;
            continue;
        }
        let value = match unquoted {
            Some(mut bytes) => {
                bytes.extend_from_slice(&record[from..quote]);
                Cow::Owned(bytes)
            }
            None => Cow::Borrowed(&record[from..quote]),
        };
        return match record.get(quote + 1) {
            None => Ok((value, None)),
            Some(byte) if *byte == delimiter => Ok((value, Some(quote + 2))),
            Some(_) => Err(Bad { at: quote + 1, reason: "text follows the closing quote".to_owned() }),
        };
    }
}

//! CSV as RFC 4180 has it, and as others write it: where records end, and what their fields are.

use std::{borrow::Cow, sync::Arc};

use memchr::{memchr, memchr2, memchr3};

use super::cut::{Cut, Cutter, Flaw};

/// What fields and records stand between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    /// `None`: a quote is a byte like any other.
    pub quote: Option<u8>,
    /// `None`: a quote inside quotes is doubled.
    pub escape: Option<u8>,
    /// Lines that begin so are no records.
    pub comment: Option<u8>,
}

impl Dialect {
    /// RFC 4180 with another delimiter.
    pub const fn of(delimiter: u8) -> Self {
        Self { delimiter, quote: Some(b'"'), escape: None, comment: None }
    }
}

/// Finds the ends of records: line ends that stand outside quotes.
pub(super) struct Lines {
    pub(super) dialect: Dialect,
}

/// A quote that is still open after so many bytes is taken for a mistake: its line leaves alone, and is refused later.
const QUOTED_BYTES_MAX: usize = 1 << 20;

impl Cutter for Lines {
    fn lines(&self) -> Option<Option<u8>> {
        let is_plain = self.dialect.comment.is_none() && self.dialect.escape.is_none();
        is_plain.then_some(self.dialect.quote)
    }

    fn cut(&mut self, bytes: &[u8], is_end: bool) -> Result<Cut, Flaw> {
        let newline = match memchr(b'\n', bytes) {
            Some(at) => at,
            None if bytes.is_empty() && is_end => return Ok(Cut::End),
            None if is_end => bytes.len(),
            None => return Ok(Cut::More),
        };
        if self.dialect.comment.is_some_and(|comment| bytes.first() == Some(&comment)) {
            return Ok(Cut::Skip { next: (newline + 1).min(bytes.len()) });
        }
        let first = &bytes[..newline];
        let end = match (self.dialect.quote, self.dialect.escape) {
            (_, Some(escape)) if memchr(escape, first).is_some() => self.escaped_end(bytes),
            (Some(quote), _) if memchr(quote, first).is_some() => match self.dialect.escape {
                Some(_) => self.escaped_end(bytes),
                None => self.quoted_end(bytes, quote),
            },
            _ => Some(newline),
        };
        let end = match end {
            Some(end) => end,
            None if is_end || bytes.len() > QUOTED_BYTES_MAX => newline,
            None => return Ok(Cut::More),
        };
        let next = (end + 1).min(bytes.len());
        let end = if end > 0 && bytes[end - 1] == b'\r' { end - 1 } else { end };
        Ok(if end == 0 { Cut::Skip { next } } else { Cut::Record { start: 0, end, next, key: None } })
    }
}

impl Lines {
    /// The line end that closes the record, where quotes stand in it; `None` while one is open.
    fn quoted_end(&self, bytes: &[u8], quote: u8) -> Option<usize> {
        let mut at = 0;
        loop {
            // At the start of a field.
            if bytes.get(at) == Some(&quote) {
                at += 1;
                loop {
                    at += memchr(quote, bytes.get(at..)?)? + 1;
                    if bytes.get(at) != Some(&quote) {
                        break;
                    }
                    at += 1;
                }
            }
            let rest = bytes.get(at..)?;
            match memchr2(self.dialect.delimiter, b'\n', rest) {
                Some(found) if rest[found] == b'\n' => return Some(at + found),
                Some(found) => at += found + 1,
                None => return Some(bytes.len()),
            }
        }
    }

    /// The same where a byte may take the next one its meaning.
    fn escaped_end(&self, bytes: &[u8]) -> Option<usize> {
        let (mut at, mut is_start, mut is_open) = (0, true, false);
        while let Some(byte) = bytes.get(at) {
            match *byte {
                byte if Some(byte) == self.dialect.escape && Some(byte) != self.dialect.quote => at += 1,
                byte if is_open && Some(byte) == self.dialect.quote => {
                    if bytes.get(at + 1) == Some(&byte) {
                        at += 1;
                    } else {
                        is_open = false;
                    }
                }
                byte if is_start && Some(byte) == self.dialect.quote => is_open = true,
                b'\n' if !is_open => return Some(at),
                _ => {}
            }
            is_start = !is_open && *byte == self.dialect.delimiter;
            at += 1;
        }
        if is_open || at > bytes.len() { None } else { Some(bytes.len()) }
    }
}

/// Column names; an empty one is named by its place, one that comes twice gets its number.
pub(super) fn header(record: &[u8], dialect: Dialect) -> Arc<[Arc<str>]> {
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut fields = Vec::new();
    if split(record, dialect, &mut fields).is_err() {
        fields = record.split(|byte| *byte == dialect.delimiter).map(Cow::Borrowed).collect();
    }
    for (place, field) in fields.iter().enumerate() {
        let text = String::from_utf8_lossy(field).trim().to_owned();
        let name = if text.is_empty() { column_name(place) } else { text };
        let taken = names.iter().any(|other| **other == *name);
        names.push(if taken { format!("{name}_{}", place + 1).into() } else { name.into() });
    }
    names.into()
}

/// What a column without a name is called.
pub(super) fn column_name(place: usize) -> String {
    format!("column_{}", place + 1)
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
pub fn split<'a>(record: &'a [u8], dialect: Dialect, fields: &mut Vec<Cow<'a, [u8]>>) -> Result<(), Bad> {
    // Most records have no quote at all: one pass finds all that parts their fields.
    let has_quote = dialect.quote.is_some_and(|quote| memchr(quote, record).is_some());
    if dialect.escape.is_none() && !has_quote {
        split_bare(record, dialect.delimiter, fields);
        return Ok(());
    }
    let mut at = 0;
    loop {
        let (field, next) = field(record, at, dialect)?;
        fields.push(field);
        match next {
            Some(next) => at = next,
            None => return Ok(()),
        }
    }
}

/// A record in which each delimiter parts two fields. Fields are a few bytes long, so a search that begins anew behind each of them
/// takes twice as long as to look at eight bytes at a time.
fn split_bare<'a>(record: &'a [u8], delimiter: u8, fields: &mut Vec<Cow<'a, [u8]>>) {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7f; 8]);
    let delimiters = u64::from_ne_bytes([delimiter; 8]);
    let mut start = 0;
    let mut part_at = |end: usize| {
        fields.push(Cow::Borrowed(&record[start..end]));
        start = end + 1;
    };
    let (words, rest) = record.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let unlike = u64::from_le_bytes(*word) ^ delimiters;
        // The high bit of each byte that is a delimiter, and no other: nothing is carried from one byte into the next.
        let mut found = !(((unlike & LOW_BITS) + LOW_BITS) | unlike | LOW_BITS);
        while found != 0 {
            part_at(number * 8 + found.trailing_zeros() as usize / 8);
            found &= found - 1;
        }
    }
    let rest_at = record.len() - rest.len();
    for (number, byte) in rest.iter().enumerate() {
        if *byte == delimiter {
            part_at(rest_at + number);
        }
    }
    part_at(record.len());
}

/// The byte of a record at which its field `number` (counted from 0) begins.
pub fn field_start(record: &[u8], dialect: Dialect, number: usize) -> usize {
    let mut at = 0;
    for _ in 0..number {
        match field(record, at, dialect) {
            Ok((_, Some(next))) => at = next,
            _ => return at,
        }
    }
    at
}

/// The field that begins at `at`, and where the next one begins.
fn field(record: &[u8], at: usize, dialect: Dialect) -> Result<(Cow<'_, [u8]>, Option<usize>), Bad> {
    if let Some(escape) = dialect.escape {
        return escaped_field(record, at, dialect, escape);
    }
    let Some(mark) = dialect.quote.filter(|quote| record.get(at) == Some(quote)) else {
        return Ok(match memchr(dialect.delimiter, &record[at..]) {
            Some(length) => (Cow::Borrowed(&record[at..at + length]), Some(at + length + 1)),
            None => (Cow::Borrowed(&record[at..]), None),
        });
    };
    let mut unquoted: Option<Vec<u8>> = None;
    let (mut from, mut look) = (at + 1, at + 1);
    loop {
        let Some(found) = memchr(mark, &record[look..]) else {
            return Err(Bad { at, reason: "the quote that opens here is never closed".to_owned() });
        };
        let quote = look + found;
        if record.get(quote + 1) == Some(&mark) {
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
        return behind_quote(record, quote + 1, dialect).map(|next| (value, next));
    }
}

/// Where the next field begins behind a closing quote.
fn behind_quote(record: &[u8], at: usize, dialect: Dialect) -> Result<Option<usize>, Bad> {
    match record.get(at) {
        None => Ok(None),
        Some(byte) if *byte == dialect.delimiter => Ok(Some(at + 1)),
        Some(_) => Err(Bad { at, reason: "text follows the closing quote".to_owned() }),
    }
}

/// A field in which `escape` takes the next byte its meaning. `\N` alone stays: it is a mark for no value.
fn escaped_field(
    record: &[u8],
    start: usize,
    dialect: Dialect,
    escape: u8,
) -> Result<(Cow<'_, [u8]>, Option<usize>), Bad> {
    let quote = dialect.quote.filter(|quote| record.get(start) == Some(quote));
    let mut at = start + usize::from(quote.is_some());
    let stop = quote.unwrap_or(dialect.delimiter);
    if quote.is_none() && record[at..].starts_with(&[escape, b'N']) {
        match record.get(at + 2) {
            None => return Ok((Cow::Borrowed(&record[at..]), None)),
            Some(byte) if *byte == dialect.delimiter => {
                return Ok((Cow::Borrowed(&record[at..at + 2]), Some(at + 3)));
            }
            Some(_) => {}
        }
    }
    let (mut from, mut unescaped) = (at, Vec::new());
    loop {
        let rest = record.get(at..).unwrap_or_default();
        let Some(found) = memchr3(escape, stop, stop, rest) else {
            if quote.is_some() {
                let reason = "the quote that opens here is never closed".to_owned();
                return Err(Bad { at: start, reason });
            }
            return Ok((finished(record, from..record.len(), unescaped), None));
        };
        at += found;
        let is_doubled = quote.is_some() && record[at] == stop && record.get(at + 1) == Some(&stop);
        if is_doubled || (record[at] == escape && at + 1 < record.len() && Some(escape) != quote) {
            unescaped.extend_from_slice(&record[from..at]);
            unescaped.push(record[at + 1]);
            at += 2;
            from = at;
        } else if record[at] == stop {
            let value = finished(record, from..at, unescaped);
            let next = if quote.is_some() { behind_quote(record, at + 1, dialect)? } else { Some(at + 1) };
            return Ok((value, next));
        } else {
            at += 1;
        }
    }
}

fn finished(record: &[u8], rest: std::ops::Range<usize>, mut before: Vec<u8>) -> Cow<'_, [u8]> {
    if before.is_empty() {
        return Cow::Borrowed(&record[rest]);
    }
    before.extend_from_slice(&record[rest]);
    Cow::Owned(before)
}

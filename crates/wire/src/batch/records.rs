//! The records inside a batch: decompressed once, then read as slices of that one buffer.

use std::borrow::Cow;

use super::{Batch, BatchError, BatchHeader};
use crate::compression::Compression;

/// A batch's records, decompressed.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    header: BatchHeader,
    body: Cow<'a, [u8]>,
}

/// One record, lying in its batch's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
    pub headers_count: i32,
}

impl<'a> Batch<'a> {
    /// Decompresses the records, to at most `bytes_max` bytes; uncompressed ones are borrowed.
    pub fn records(&self, bytes_max: usize) -> Result<Records<'a>, BatchError> {
        let body = match self.header.compression()? {
            Compression::None => Cow::Borrowed(self.body()),
            _ if self.header.records_count == 0 => Cow::Borrowed(&[][..]),
            codec => Cow::Owned(codec.decompress(self.body(), bytes_max)?),
        };
        Ok(Records { header: self.header, body })
    }
}

impl Records<'_> {
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The uncompressed bytes, into which the records' keys and values point.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter::over(&self.header, &self.body)
    }
}

impl<'a> IntoIterator for &'a Records<'_> {
    type Item = Result<Record<'a>, BatchError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Ends after the batch's count of records, or after the first error.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    header: &'a BatchHeader,
    rest: &'a [u8],
    index: i32,
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.header.records_count {
            return None;
        }
        let record = self.read().map_err(|what| BatchError::Record { index: self.index, what });
        self.index = if record.is_ok() { self.index + 1 } else { i32::MAX };
        Some(record)
    }
}

impl<'a> RecordIter<'a> {
    /// The records of a batch with this header, which lie in `records`.
    pub(super) fn over(header: &'a BatchHeader, records: &'a [u8]) -> Self {
        Self { header, rest: records, index: 0 }
    }

    /// Nothing lies behind the records that have come.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn read(&mut self) -> Result<Record<'a>, &'static str> {
        let size = usize::try_from(varint(&mut self.rest)?).map_err(|_| "its size is negative")?;
        let (mut record, rest) = self.rest.split_at_checked(size).ok_or("it is cut off")?;
        self.rest = rest;
        take(&mut record, 1)?; // attributes, which have no meaning yet
        let timestamp_delta = varlong(&mut record)?;
        let offset_delta = varint(&mut record)?;
        if offset_delta < 0 || offset_delta > self.header.last_offset_delta {
            return Err("its offset is outside the batch");
        }
        let timestamp_ms = match self.header.is_log_append_time() {
            true => self.header.max_timestamp_ms,
            false => self.header.base_timestamp_ms.wrapping_add(timestamp_delta),
        };
        let key = nullable(&mut record)?;
        let value = nullable(&mut record)?;
        let headers_count = varint(&mut record)?;
        if headers_count < 0 || headers_count as usize > record.len() {
            return Err("its count of headers is impossible");
        }
        let headers = HeaderIter { rest: record, left: headers_count };
        if !headers.is_sound() {
            return Err("its headers are malformed");
        }
        let offset = self.header.base_offset.saturating_add(i64::from(offset_delta));
        Ok(Record { offset, timestamp_ms, key, value, headers: record, headers_count })
    }
}

impl<'a> Record<'a> {
    /// Name and value of each header. They were checked when the record was read.
    pub fn headers(&self) -> HeaderIter<'a> {
        HeaderIter { rest: self.headers, left: self.headers_count }
    }
}

#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    rest: &'a [u8],
    left: i32,
}

impl<'a> HeaderIter<'a> {
    /// All headers can be read, and nothing lies behind the last.
    fn is_sound(&self) -> bool {
        let mut all = self.clone();
        while all.left > 0 {
            if all.read().is_err() {
                return false;
            }
        }
        all.rest.is_empty()
    }

    fn read(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>), &'static str> {
        self.left -= 1;
        let name = nullable(&mut self.rest)?.ok_or("a header has no name")?;
        Ok((name, nullable(&mut self.rest)?))
    }
}

impl<'a> Iterator for HeaderIter<'a> {
    /// The name is UTF-8 where the client keeps to the protocol.
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.read().ok()
    }
}

#[inline]
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], &'static str> {
    let (taken, after) = rest.split_at_checked(count).ok_or("it is cut off")?;
    *rest = after;
    Ok(taken)
}

#[inline]
fn nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
    match varint(rest)? {
        -1 => Ok(None),
        length => take(rest, usize::try_from(length).map_err(|_| "a length is negative")?).map(Some),
    }
}

#[inline]
fn varint(rest: &mut &[u8]) -> Result<i32, &'static str> {
    i32::try_from(zigzag(number(rest, 5)?)).map_err(|_| "a number has more than 32 bits")
}

#[inline]
fn varlong(rest: &mut &[u8]) -> Result<i64, &'static str> {
    Ok(zigzag(number(rest, 10)?))
}

/// As `unsigned`; almost all have one byte or two.
#[inline]
fn number(rest: &mut &[u8], bytes_max: usize) -> Result<u64, &'static str> {
    match **rest {
        [first @ ..0x80, ref after @ ..] => {
            *rest = after;
            Ok(u64::from(first))
        }
        [first, second @ ..0x80, ref after @ ..] => {
            *rest = after;
            Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
        }
        _ => unsigned(bytes_max, || next(rest)),
    }
}

fn next(rest: &mut &[u8]) -> Result<u8, &'static str> {
    let (byte, after) = rest.split_first().ok_or("it is cut off")?;
    *rest = after;
    Ok(*byte)
}

/// Small numbers of both signs are small without one.
#[inline]
pub(super) fn zigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
pub(super) fn unsigned<E: From<&'static str>>(
    bytes_max: usize,
    mut next: impl FnMut() -> Result<u8, E>,
) -> Result<u64, E> {
    let mut number = 0_u64;
    for index in 0..bytes_max {
        let byte = next()?;
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err("a number does not end".into())
}

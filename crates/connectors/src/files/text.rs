//! Text files read as streams: records as received, with their line (of a JSON document: their number) as mark.

use std::{io, io::Read as _, sync::Arc};

use arrow_array::{BinaryViewArray, builder::make_view};
use arrow_buffer::{Buffer, ScalarBuffer};
use base::{Batch, Body, Envelope, Lease, Place, Position, Read};
use memchr::{memchr, memchr_iter, memrchr};

use super::{
    Error,
    csv::{self, Dialect},
    cut::{Cut, Cutter},
    stream::Stream,
};

const READ_BYTES: usize = 256 << 10;

/// What a position counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    Lines,
    /// Records of a document, whatever lines they stand on.
    Records,
    /// Rows of a sheet: a line each, though a cell may have several.
    Rows,
}

/// What becomes a batch.
#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    views: Vec<u128>,
    marks: Vec<i64>,
}

pub(super) struct TextReader {
    pub(super) stream: Stream,
    pub(super) cutter: Box<dyn Cutter>,
    pub(super) place: Arc<Place>,
    pub(super) path: Arc<str>,
    pub(super) is_remote: bool,
    pub(super) counts: Counts,
    /// Read and not yet cut: `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    is_end: bool,
    /// The line at `start`, counted from 1.
    line: u64,
    /// Bytes of that line before `start`.
    column: u64,
    /// The number of the next record, counted from 1.
    number: u64,
    /// Records before this one are passed over.
    pub(super) from: u64,
    record_bytes_max: usize,
    left_count: u64,
    composed: Vec<u8>,
}

impl TextReader {
    pub(super) fn new(
        stream: Stream,
        cutter: Box<dyn Cutter>,
        counts: Counts,
        config: &super::Config,
        path: Arc<str>,
    ) -> Self {
        Self {
            stream,
            cutter,
            place: Arc::new(Place::File { path: path.clone() }),
            path,
            is_remote: false,
            counts,
            buffer: Vec::new(),
            start: 0,
            is_end: false,
            line: 1,
            column: 0,
            number: 1,
            from: 0,
            record_bytes_max: config.record_bytes_max,
            left_count: config.records_count_max.unwrap_or(u64::MAX),
            composed: Vec::new(),
        }
    }

    /// Passes so many lines, whatever is in them.
    pub(super) fn skip_lines(&mut self, count: u64) -> Result<(), Error> {
        let mut left = count;
        while left > 0 {
            match memchr(b'\n', &self.buffer[self.start..]) {
                Some(at) => {
                    self.pass(at + 1);
                    left -= 1;
                }
                None if self.is_end => return Ok(()),
                None => {
                    self.pass(self.buffer.len() - self.start);
                    self.fill()?;
                }
            }
        }
        Ok(())
    }

    /// The names in the first record of a CSV file; where it has none, a name for each field, and the record stays.
    pub(super) fn header(&mut self, dialect: Dialect, has_header: bool) -> Result<Arc<[Arc<str>]>, Error> {
        loop {
            match self.cut()? {
                Cut::Record { start, end, next, .. } => {
                    let record = &self.buffer[self.start + start..self.start + end];
                    let names = csv::header(record, dialect);
                    if has_header {
                        self.pass(next);
                        return Ok(names);
                    }
                    return Ok((0..names.len()).map(|place| csv::column_name(place).into()).collect());
                }
                Cut::Skip { next } => self.pass(next),
                Cut::More => self.fill()?,
                Cut::End => return Err(Error::NoHeader { path: self.path.clone() }),
            }
        }
    }

    fn cut(&mut self) -> Result<Cut, Error> {
        let bytes = &self.buffer[self.start..];
        self.cutter.cut(bytes, self.is_end).map_err(|flaw| {
            let before = &bytes[..flaw.at.min(bytes.len())];
            let line = self.line + memchr_iter(b'\n', before).count() as u64;
            let inside = before.iter().rev().take_while(|byte| **byte != b'\n').count() as u64;
            let column = inside + 1 + if line == self.line { self.column } else { 0 };
            let (path, reason) = (self.path.clone(), flaw.reason);
            match flaw.is_missing {
                true => Error::NoRecords { path, line, column, reason },
                false => Error::Malformed { path, line, column, reason },
            }
        })
    }

    fn pass(&mut self, next: usize) {
        let passed = &self.buffer[self.start..self.start + next];
        if self.counts == Counts::Rows {
            self.line += 1;
        } else if passed.last() == Some(&b'\n') {
            self.line += memchr_iter(b'\n', passed).count() as u64;
            self.column = 0;
        } else if let Some(last) = memrchr(b'\n', passed) {
            self.line += memchr_iter(b'\n', passed).count() as u64;
            self.column = (next - last - 1) as u64;
        } else {
            self.column += next as u64;
        }
        self.start += next;
    }

    fn fill(&mut self) -> Result<(), Error> {
        if self.buffer.len() - self.start > self.record_bytes_max {
            let (path, line) = (self.path.clone(), self.line);
            return Err(Error::RecordTooLong { path, line, bytes_max: self.record_bytes_max });
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let have = self.buffer.len();
        // Doubling: a long record is looked at again from its start each time.
        let more = READ_BYTES.max(have);
        self.buffer.resize(have + more, 0);
        let read = loop {
            match self.stream.read(&mut self.buffer[have..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
        self.is_end = read.map_err(|source| self.broken(source))? == 0;
        Ok(())
    }

    fn broken(&self, source: io::Error) -> Error {
        let lines = memchr_iter(b'\n', &self.buffer[self.start..]).count() as u64;
        let (path, line) = (self.path.clone(), self.line + lines);
        match source.kind() {
            io::ErrorKind::InvalidData if source.to_string().starts_with("a text is not") => {
                Error::Encoding { path, line, reason: source.to_string() }
            }
            _ => Error::broken(path, line, source, self.is_remote),
        }
    }

    /// The mark of a record that begins so many bytes behind `start`.
    fn mark(&self, start: usize) -> u64 {
        match self.counts {
            Counts::Records => self.number,
            Counts::Rows => self.line,
            Counts::Lines => {
                let before = &self.buffer[self.start..self.start + start];
                self.line + memchr_iter(b'\n', before).count() as u64
            }
        }
    }

    /// All whole lines at once, where each is a record; up to the first that may be none. `room`: of bytes, and of records.
    fn take_lines(&mut self, room: (usize, usize), taken: &mut Taken) -> bool {
        let is_inside = self.column > 0 || self.line < self.from;
        let Some(quote) = self.cutter.lines().filter(|_| self.counts == Counts::Lines && !is_inside) else {
            return false;
        };
        let rest = &self.buffer[self.start..];
        let rest = &rest[..rest.len().min(room.0)];
        let before_quote = quote.and_then(|quote| memchr(quote, rest)).unwrap_or(rest.len());
        let Some(last) = memrchr(b'\n', &rest[..before_quote]) else { return false };
        let lines = &rest[..=last];
        let records_max = room.1.min(usize::try_from(self.left_count).unwrap_or(usize::MAX));
        let (offset, before_count) = (taken.bytes.len(), taken.views.len());
        let mut at = 0;
        for end in memchr_iter(b'\n', lines) {
            if taken.views.len() - before_count == records_max {
                break;
            }
            let line = &lines[at..end];
            let record = line.strip_suffix(b"\r").unwrap_or(line);
            if !record.is_empty() {
                taken.views.push(make_view(record, 0, (offset + at) as u32));
                taken.marks.push(self.line as i64);
            }
            self.line += 1;
            at = end + 1;
        }
        taken.bytes.extend_from_slice(&lines[..at]);
        self.start += at;
        let records_count = (taken.views.len() - before_count) as u64;
        self.number += records_count;
        self.left_count -= records_count;
        true
    }

    pub(super) fn read(
        &mut self,
        bytes_max: usize,
        records_max: usize,
        lease: &Arc<Lease>,
    ) -> Result<Read, Error> {
        let mut taken = Taken { bytes: Vec::with_capacity(bytes_max.min(4 << 20)), ..Taken::default() };
        let mut has_ended = false;
        while taken.bytes.len() < bytes_max && taken.views.len() < records_max {
            if self.left_count == 0 {
                has_ended = true;
                break;
            }
            let room = (bytes_max - taken.bytes.len(), records_max - taken.views.len());
            if self.take_lines(room, &mut taken) {
                continue;
            }
            match self.cut()? {
                Cut::Record { start, end, next, key } => {
                    let mark = self.mark(start);
                    if mark >= self.from {
                        let key = key.map(|(from, to)| self.start + from..self.start + to);
                        let mut record = &self.buffer[self.start + start..self.start + end];
                        if let Some(key) = key {
                            self.composed.clear();
                            self.composed.extend_from_slice(b"{\"id\":");
                            self.composed.extend_from_slice(&self.buffer[key]);
                            self.composed.extend_from_slice(b",\"value\":");
                            self.composed.extend_from_slice(record);
                            self.composed.push(b'}');
                            record = &self.composed;
                        }
                        taken.views.push(make_view(record, 0, taken.bytes.len() as u32));
                        taken.bytes.extend_from_slice(record);
                        taken.marks.push(mark as i64);
                    }
                    self.left_count -= 1;
                    self.number += 1;
                    self.pass(next);
                }
                Cut::Skip { next } => self.pass(next),
                // What is complete goes on; a slow stream must not hold it back.
                Cut::More if !taken.views.is_empty() && self.start + READ_BYTES / 4 < self.buffer.len() => {
                    break;
                }
                Cut::More => self.fill()?,
                Cut::End => {
                    has_ended = true;
                    break;
                }
            }
        }
        let Taken { bytes, views, marks } = taken;
        if views.is_empty() {
            return Ok(if has_ended { Read::End } else { Read::Idle });
        }
        let values = BinaryViewArray::try_new(ScalarBuffer::from(views), vec![Buffer::from_vec(bytes)], None)
            .expect("the views were made from this buffer");
        let envelope = Envelope { marks: Some(ScalarBuffer::from(marks)), ..Envelope::default() };
        let end = Position::Mark(if self.counts == Counts::Records { self.number } else { self.line } as i64);
        let (place, lease) = (self.place.clone(), lease.clone());
        Ok(Read::Batch(Batch { body: Body::Raw(values), envelope, contract: None, place, end, lease }))
    }
}

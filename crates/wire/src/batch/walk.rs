//! The records of a batch that somebody else wrote, passed by without being kept: what a log has to know before it takes them.
//!
//! A compressed batch is unpacked into its thread's buffer. One that is larger is unpacked some KiB at a time, so one that swells to
//! the bound costs time and no memory.

use std::io::{self, BufRead};

use super::{
    Batch, BatchError, RecordIter,
    records::{unsigned, zigzag},
};
use crate::compression::{Compression, CompressionError};

/// One record as it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Its place in the batch, which is its offset's as well.
    pub index: i32,
    pub timestamp_ms: i64,
    pub has_key: bool,
}

impl Batch<'_> {
    /// Shows every record to `each`, in their order. Their bytes are as many as the batch says, they unpack, and their offsets follow
    /// each other from the batch's first on.
    ///
    /// # Errors
    /// What `each` says, records that are not so, and more than `bytes_max` bytes of them.
    pub fn walk<E: From<BatchError>>(
        &self,
        bytes_max: usize,
        each: impl FnMut(Passed) -> Result<(), E>,
    ) -> Result<(), E> {
        let codec = self.header.compression()?;
        if codec == Compression::None {
            return self.walk_along(self.body(), bytes_max, each);
        }
        codec.unpack(self.body(), bytes_max, |unpacked| match unpacked {
            Some(records) => self.walk_along(records, bytes_max, each),
            None => self.walk_piecewise(bytes_max, each),
        })
    }

    /// All records lie there.
    fn walk_along<E: From<BatchError>>(
        &self,
        records: &[u8],
        bytes_max: usize,
        mut each: impl FnMut(Passed) -> Result<(), E>,
    ) -> Result<(), E> {
        if records.len() > bytes_max {
            let codec = self.header.compression()?;
            return Err(BatchError::from(CompressionError::TooLarge { codec, bytes_max }).into());
        }
        let mut walk = RecordIter::over(&self.header, records);
        for (index, record) in (0..).zip(walk.by_ref()) {
            let record = record?;
            check_place(index, record.offset - self.header.base_offset)?;
            let has_key = record.key.is_some();
            each(Passed { index, timestamp_ms: record.timestamp_ms, has_key })?;
        }
        self.check_end(walk.is_at_end())?;
        Ok(())
    }

    /// As `walk_along`, of what is unpacked meanwhile.
    pub(super) fn walk_piecewise<E: From<BatchError>>(
        &self,
        bytes_max: usize,
        mut each: impl FnMut(Passed) -> Result<(), E>,
    ) -> Result<(), E> {
        let codec = self.header.compression()?;
        let reader = codec.reader(self.body(), bytes_max).map_err(BatchError::from)?;
        let mut walk = Walk { reader, left: 0 };
        let mut room = bytes_max;
        for index in 0..self.header.records_count {
            let failed = |stop: Stop| stop.at(index, codec);
            let (size, bytes) = walk.size().map_err(failed)?;
            room = room
                .checked_sub(bytes.saturating_add(size))
                .ok_or(CompressionError::TooLarge { codec, bytes_max })
                .map_err(BatchError::from)?;
            let read = walk.record(size).map_err(failed)?;
            check_place(index, i64::from(read.offset_delta))?;
            let timestamp_ms = match self.header.is_log_append_time() {
                true => self.header.max_timestamp_ms,
                false => self.header.base_timestamp_ms.wrapping_add(read.timestamp_delta),
            };
            each(Passed { index, timestamp_ms, has_key: read.has_key })?;
        }
        let is_at_end = walk.is_at_end().map_err(|stop| stop.at(self.header.records_count, codec))?;
        self.check_end(is_at_end)?;
        Ok(())
    }

    fn check_end(&self, is_at_end: bool) -> Result<(), BatchError> {
        let (index, what) = (self.header.records_count, "it is one more than the batch counts");
        if is_at_end { Ok(()) } else { Err(BatchError::Record { index, what }) }
    }
}

fn check_place(index: i32, offset_delta: i64) -> Result<(), BatchError> {
    let what = "its offset does not follow the one before";
    if offset_delta == i64::from(index) { Ok(()) } else { Err(BatchError::Record { index, what }) }
}

/// Why a walk ends before the batch does.
enum Stop {
    Malformed(&'static str),
    Unreadable(io::Error),
}

impl Stop {
    fn at(self, index: i32, codec: Compression) -> BatchError {
        match self {
            Stop::Malformed(what) => BatchError::Record { index, what },
            Stop::Unreadable(error) => codec.corrupt(error).into(),
        }
    }
}

impl From<&'static str> for Stop {
    fn from(what: &'static str) -> Self {
        Stop::Malformed(what)
    }
}

/// What is known of a record once it was passed.
struct Read {
    timestamp_delta: i64,
    offset_delta: i32,
    has_key: bool,
}

/// Records that are unpacked while they are read.
struct Walk<R> {
    reader: R,
    /// Bytes of the present record that are still to come.
    left: usize,
}

impl<R: BufRead> Walk<R> {
    /// How many bytes the next record has, and the bytes that said so.
    fn size(&mut self) -> Result<(usize, usize), Stop> {
        self.left = usize::MAX;
        let size = usize::try_from(self.number()?).map_err(|_| "its size is negative")?;
        Ok((size, usize::MAX - self.left))
    }

    fn record(&mut self, size: usize) -> Result<Read, Stop> {
        self.left = size;
        self.byte()?; // attributes, which have no meaning yet
        let timestamp_delta = zigzag(unsigned(10, || self.byte())?);
        let offset_delta = self.number()?;
        let has_key = self.nullable()?;
        self.nullable()?;
        let headers_count = self.number()?;
        if headers_count < 0 || headers_count as usize > self.left {
            return Err("its count of headers is impossible".into());
        }
        for _ in 0..headers_count {
            if !self.nullable()? {
                return Err("a header has no name".into());
            }
            self.nullable()?;
        }
        if self.left > 0 {
            return Err("its headers are malformed".into());
        }
        Ok(Read { timestamp_delta, offset_delta, has_key })
    }

    fn is_at_end(&mut self) -> Result<bool, Stop> {
        Ok(self.reader.fill_buf().map_err(Stop::Unreadable)?.is_empty())
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        self.left = self.left.checked_sub(1).ok_or("it is cut off")?;
        let byte = *self.reader.fill_buf().map_err(Stop::Unreadable)?.first().ok_or("it is cut off")?;
        self.reader.consume(1);
        Ok(byte)
    }

    fn number(&mut self) -> Result<i32, Stop> {
        i32::try_from(zigzag(unsigned(5, || self.byte())?))
            .map_err(|_| "a number has more than 32 bits".into())
    }

    /// Passes bytes that may be null; whether they are not.
    fn nullable(&mut self) -> Result<bool, Stop> {
        let length = self.number()?;
        if length == -1 {
            return Ok(false);
        }
        let mut length = usize::try_from(length).map_err(|_| "a length is negative")?;
        self.left = self.left.checked_sub(length).ok_or("it is cut off")?;
        while length > 0 {
            let here = self.reader.fill_buf().map_err(Stop::Unreadable)?.len().min(length);
            if here == 0 {
                return Err("it is cut off".into());
            }
            self.reader.consume(here);
            length -= here;
        }
        Ok(true)
    }
}

//! The two sparse indices of a segment: offset to position, and time to offset, in Kafka's file formats.
//!
//! `.index` has entries of eight bytes (offset - base, position), `.timeindex` of twelve (time in ms, offset - base), all
//! big-endian and rising. The newest entries stay in memory until there are enough for a write; nothing is mapped.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::files::{self, INDEX, TIME_INDEX, Wait, offset_path};

/// So many entries are written at once: a page of offsets.
const PENDING_COUNT_MAX: usize = 512;
const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;
/// A search stops halving here and reads the rest.
const SEARCH_ENTRIES: u64 = 256;
/// So many entries around a place that was looked for are kept for who goes on from there.
const NEAR_COUNT: u64 = 512;

/// The last offset of a batch, and where that batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: u32,
    pub(crate) position: u32,
}

/// The largest time up to and with this offset; all later times come behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) time_ms: i64,
    pub(crate) offset: u32,
}

pub(crate) trait Entry: Copy {
    const BYTES: usize;
    fn parse(bytes: &[u8]) -> Self;
    fn put(self, buffer: &mut Vec<u8>);
}

impl Entry for OffsetEntry {
    const BYTES: usize = OFFSET_ENTRY_BYTES;
    fn parse(bytes: &[u8]) -> Self {
        Self { offset: u32_at(bytes, 0), position: u32_at(bytes, 4) }
    }
    fn put(self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.offset.to_be_bytes());
        buffer.extend_from_slice(&self.position.to_be_bytes());
    }
}

impl Entry for TimeEntry {
    const BYTES: usize = TIME_ENTRY_BYTES;
    fn parse(bytes: &[u8]) -> Self {
        let time_ms = i64::from(u32_at(bytes, 0) as i32) << 32 | i64::from(u32_at(bytes, 4));
        Self { time_ms, offset: u32_at(bytes, 8) }
    }
    fn put(self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.time_ms.to_be_bytes());
        buffer.extend_from_slice(&self.offset.to_be_bytes());
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Entries in a file, and those that are still to go there.
#[derive(Debug)]
pub(crate) struct Column<E> {
    path: PathBuf,
    written_count: u64,
    last: Option<E>,
    /// The file ended inside an entry: more may be missing.
    torn: bool,
    /// A write failed, and a part of it may be in the file.
    ragged: bool,
    pending: Vec<E>,
}

impl<E: Entry> Column<E> {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let length = match path.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let written_count = length / E::BYTES as u64;
        let torn = length % E::BYTES as u64 != 0;
        let mut column = Self { path, written_count, last: None, torn, ragged: torn, pending: Vec::new() };
        if torn {
            column.mend(&files::open_append(&column.path, false)?)?;
        }
        column.last = column.last_written()?;
        Ok(column)
    }

    /// One whose file is known not to be there.
    pub(crate) fn missing(path: PathBuf) -> Self {
        Self { path, written_count: 0, last: None, torn: false, ragged: false, pending: Vec::new() }
    }

    /// Cuts off what is no whole entry.
    fn mend(&mut self, file: &File) -> io::Result<()> {
        files::cut(file, self.written_count * E::BYTES as u64, &self.path)?;
        self.ragged = false;
        Ok(())
    }

    fn read(&self, file: &File, first: u64, count: u64, wait: Wait) -> io::Result<Vec<E>> {
        let bytes = files::read_at(file, first * E::BYTES as u64, count as usize * E::BYTES, wait)?;
        Ok(bytes.chunks_exact(E::BYTES).map(E::parse).collect())
    }

    pub(crate) fn push(&mut self, entry: E) {
        self.last = Some(entry);
        self.pending.push(entry);
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.pending.len() * E::BYTES);
        self.pending.iter().for_each(|entry| entry.put(&mut bytes));
        let file = files::open_append(&self.path, true)?;
        if self.ragged {
            self.mend(&file)?;
        }
        if let Err(error) = files::append(&file, &bytes, &self.path) {
            self.ragged = true;
            self.mend(&file).ok(); // or before the next write
            return Err(error);
        }
        self.written_count += self.pending.len() as u64;
        self.pending = Vec::new();
        Ok(())
    }

    fn first(&self) -> io::Result<Option<E>> {
        match self.written_count {
            0 => Ok(None),
            1 => Ok(self.last),
            _ => self.written(0),
        }
    }

    fn last_written(&self) -> io::Result<Option<E>> {
        self.written_count.checked_sub(1).map_or(Ok(None), |place| self.written(place))
    }

    fn written(&self, place: u64) -> io::Result<Option<E>> {
        Ok(self.read(&File::open(&self.path)?, place, 1, Wait::ForDisk)?.pop())
    }

    /// The last entry that `is_before`, which is true up to some entry and false from there on.
    fn last_before(&self, is_before: impl Fn(&E) -> bool, wait: Wait) -> io::Result<Option<E>> {
        if self.pending.first().is_some_and(&is_before) {
            let count = self.pending.partition_point(&is_before);
            return Ok(Some(self.pending[count - 1]));
        }
        if self.written_count == 0 {
            return Ok(None);
        }
        let file = File::open(&self.path)?;
        let (low, high) = self.narrow(&file, &is_before, wait)?;
        let entries = self.read(&file, low, high - low, wait)?;
        let count = entries.partition_point(&is_before);
        Ok(count.checked_sub(1).map(|last| entries[last]))
    }

    /// A few entries, among which `is_before` turns false if it does so in the file.
    fn narrow(&self, file: &File, is_before: impl Fn(&E) -> bool, wait: Wait) -> io::Result<(u64, u64)> {
        let (mut low, mut high) = (0, self.written_count);
        while high - low > SEARCH_ENTRIES {
            let middle = low + (high - low) / 2;
            match self.read(file, middle, 1, wait)?.first().is_some_and(&is_before) {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok((low, high))
    }

    /// Written entries, of which the second to last before is the first, and some behind them. Never waits for the disk.
    fn near(&self, is_before: impl Fn(&E) -> bool) -> io::Result<Vec<E>> {
        if self.written_count == 0 {
            return Ok(vec![]);
        }
        let file = File::open(&self.path)?;
        let (low, high) = self.narrow(&file, &is_before, Wait::No)?;
        let count = self.read(&file, low, high - low, Wait::No)?.partition_point(&is_before);
        let first = (low + count as u64).saturating_sub(2);
        self.read(&file, first, NEAR_COUNT.min(self.written_count - first), Wait::No)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Calls `each` with every written entry from the first that is not before, until it says stop (false).
    pub(crate) fn walk(
        &self,
        is_before: impl Fn(&E) -> bool,
        mut each: impl FnMut(E) -> bool,
    ) -> io::Result<()> {
        if self.written_count == 0 {
            return Ok(());
        }
        let file = File::open(&self.path)?;
        let (mut at, _) = self.narrow(&file, &is_before, Wait::ForDisk)?;
        while at < self.written_count {
            let entries = self.read(&file, at, SEARCH_ENTRIES.min(self.written_count - at), Wait::ForDisk)?;
            at += entries.len() as u64;
            if !entries.into_iter().filter(|entry| !is_before(entry)).all(&mut each) {
                break;
            }
        }
        Ok(())
    }

    /// Keeps only what is before.
    pub(crate) fn cut(&mut self, is_before: impl Fn(&E) -> bool) -> io::Result<()> {
        let mut after = 0;
        self.walk(&is_before, |_| {
            after += 1;
            true
        })?;
        if after == 0 {
            return Ok(());
        }
        let file = files::open_append(&self.path, false)?;
        self.written_count -= after;
        self.mend(&file)?;
        self.last = self.last_written()?;
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Index {
    offsets: Column<OffsetEntry>,
    times: Column<TimeEntry>,
    /// Written entries around the place that was looked for last.
    near: Vec<OffsetEntry>,
}

impl Index {
    /// Opens the files as they are; those that are missing are empty. `is_there` knows which are, by their kind.
    pub(crate) fn open(
        dir: &Path,
        base_offset: i64,
        is_there: impl Fn(&'static str) -> bool,
    ) -> io::Result<Self> {
        let offsets = offset_path(dir, base_offset, INDEX);
        let times = offset_path(dir, base_offset, TIME_INDEX);
        Ok(Self {
            near: Vec::new(),
            offsets: if is_there(INDEX) { Column::open(offsets)? } else { Column::missing(offsets) },
            times: if is_there(TIME_INDEX) { Column::open(times)? } else { Column::missing(times) },
        })
    }

    pub(crate) fn at(offsets: PathBuf, times: PathBuf) -> io::Result<Self> {
        Ok(Self { offsets: Column::open(offsets)?, times: Column::open(times)?, near: Vec::new() })
    }

    pub(crate) fn last_offset(&self) -> Option<OffsetEntry> {
        self.offsets.last
    }

    pub(crate) fn last_time(&self) -> Option<TimeEntry> {
        self.times.last
    }

    /// Whether both files can be what was written: whole, rising, and about no more offsets than there are.
    pub(crate) fn is_plausible(&self, span: u32) -> io::Result<bool> {
        if self.offsets.torn || self.times.torn {
            return Ok(false);
        }
        if let (Some(first), Some(last)) = (self.offsets.first()?, self.offsets.last) {
            let rises = self.offsets.written_count == 1
                || (first.offset < last.offset && first.position < last.position);
            // The first batch of a segment is never noted.
            if !rises || first.position == 0 || last.offset >= span {
                return Ok(false);
            }
        }
        if let (Some(first), Some(last)) = (self.times.first()?, self.times.last) {
            let rises = self.times.written_count == 1 || first.time_ms < last.time_ms;
            return Ok(rises && last.time_ms != 0 && last.offset < span);
        }
        Ok(true)
    }

    /// Adds a batch; a time that is not larger than the last is left out.
    pub(crate) fn push(&mut self, offset: OffsetEntry, time: TimeEntry) -> io::Result<()> {
        self.offsets.push(offset);
        self.push_time(time);
        if self.offsets.pending.len() >= PENDING_COUNT_MAX { self.flush() } else { Ok(()) }
    }

    pub(crate) fn push_time(&mut self, time: TimeEntry) {
        if time.time_ms > self.times.last.map_or(-1, |last| last.time_ms) {
            self.times.push(time);
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.times.flush()?;
        self.offsets.flush()
    }

    /// Where to begin looking for an offset: no batch before it reaches that far.
    pub(crate) fn position_before(&self, offset: u32, wait: Wait) -> io::Result<u64> {
        let entry = self.offsets.last_before(|entry| entry.offset <= offset, wait)?;
        Ok(entry.map_or(0, |entry| u64::from(entry.position)))
    }

    /// The second to last of the noted batches that begin no later than `position` and end before `offset`: as the next one does too,
    /// all of it lies before both. Never waits for the disk.
    pub(crate) fn close_to(&mut self, position: u64, offset: u32) -> io::Result<Option<OffsetEntry>> {
        let is_before = |entry: &OffsetEntry| u64::from(entry.position) <= position && entry.offset < offset;
        let entries = if self.offsets.pending.first().is_some_and(is_before) {
            &self.offsets.pending
        } else {
            let is_known = self.near.first().is_some_and(is_before)
                && self.near.last().is_some_and(|last| !is_before(last));
            if !is_known {
                self.near = self.offsets.near(is_before)?;
            }
            &self.near
        };
        let last_but_one = entries.partition_point(is_before).checked_sub(2);
        Ok(last_but_one.map(|at| entries[at]))
    }

    /// Gives the memory back that `close_to` keeps.
    pub(crate) fn forget_near(&mut self) {
        self.near = Vec::new();
    }

    /// The offset from which on a record of this time or later may come first.
    pub(crate) fn offset_before_time(&self, time_ms: i64) -> io::Result<u32> {
        let entry = self.times.last_before(|entry| entry.time_ms < time_ms, Wait::ForDisk)?;
        Ok(entry.map_or(0, |entry| entry.offset))
    }
}

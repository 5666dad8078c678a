//! One segment of a log: a file of batches, its indices, and what is known of its times.

use std::{
    fs::File,
    io::{self, ErrorKind, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use parking_lot::Mutex;
use wire::batch::{Batch, BatchHeader};

use super::{
    aborted::{self, Aborted},
    descriptors::{Descriptors, Slot},
    errors::{LogError, SYNC},
    files::{self, INDEX, LOG, TIME_INDEX, TXN_INDEX, Wait},
    index::{Column, Index, OffsetEntry, TimeEntry},
};

/// Bytes that a walk over a segment reads at once.
const SCAN_BYTES: usize = 256 << 10;

pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) dir: Arc<Path>,
    descriptors: Arc<Descriptors>,
    slot: Arc<Slot>,
    /// How far readers may look.
    pub(crate) visible_bytes: AtomicU64,
    /// -1: no record has a time.
    pub(crate) max_timestamp_ms: AtomicI64,
    /// The last offset of the batch with that time.
    pub(crate) max_timestamp_offset: AtomicI64,
    pub(crate) index: Mutex<Index>,
    pub(crate) aborted: Mutex<Option<Box<Column<Aborted>>>>,
}

impl Segment {
    /// A new one; what an earlier attempt left of it is taken.
    pub(crate) fn make(
        dir: &Arc<Path>,
        base_offset: i64,
        descriptors: &Arc<Descriptors>,
    ) -> Result<Self, LogError> {
        let path = files::offset_path(dir, base_offset, LOG);
        files::open_append(&path, true).map_err(|error| LogError::disk("make", &path, error))?;
        Self::open(dir, base_offset, descriptors, |_| true)
    }

    /// An existing one. `is_there` knows by their kind which of its index files there are, or says so when in doubt.
    pub(crate) fn open(
        dir: &Arc<Path>,
        base_offset: i64,
        descriptors: &Arc<Descriptors>,
        is_there: impl Fn(&'static str) -> bool,
    ) -> Result<Self, LogError> {
        let path = files::offset_path(dir, base_offset, LOG);
        let length = path.metadata().map_err(|error| LogError::disk("open", &path, error))?.len();
        let no_index = |error| LogError::disk("open the index of", &path, error);
        let index = Index::open(dir, base_offset, &is_there).map_err(no_index)?;
        let aborted = match is_there(TXN_INDEX) {
            true => aborted::open(dir, base_offset).map_err(no_index)?,
            false => None,
        };
        let last_time = index.last_time();
        Ok(Self {
            base_offset,
            dir: dir.clone(),
            descriptors: descriptors.clone(),
            slot: Arc::default(),
            visible_bytes: AtomicU64::new(length),
            max_timestamp_ms: AtomicI64::new(last_time.map_or(-1, |entry| entry.time_ms)),
            max_timestamp_offset: AtomicI64::new(
                last_time.map_or(-1, |entry| base_offset + i64::from(entry.offset)),
            ),
            index: Mutex::new(index),
            aborted: Mutex::new(aborted),
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        files::offset_path(&self.dir, self.base_offset, LOG)
    }

    pub(crate) fn visible(&self) -> u64 {
        self.visible_bytes.load(Ordering::Acquire)
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        self.max_timestamp_ms.load(Ordering::Acquire)
    }

    /// The open file. `NotFound` once the segment is retired.
    pub(crate) fn file(&self) -> io::Result<Arc<File>> {
        self.descriptors.get(&self.slot, || files::open_append(&self.path(), false))
    }

    pub(crate) fn retire(&self) {
        self.slot.retire();
    }

    /// Closes the file if nobody asked for it since the last call.
    pub(crate) fn close_if_idle(&self) {
        if self.slot.close_if_idle() {
            self.index.lock().forget_near();
        }
    }

    /// Writes at the file's end. If it fails, a part may be there.
    pub(crate) fn append(&self, slices: &mut [IoSlice<'_>]) -> io::Result<Arc<File>> {
        let file = self.file()?;
        files::append_all(&file, slices, || self.path())?;
        Ok(file)
    }

    pub(crate) fn cut(&self, bytes: u64) -> io::Result<()> {
        files::cut(&*self.file()?, bytes, &self.path())
    }

    pub(crate) fn read_at(&self, position: u64, bytes: usize, wait: Wait) -> io::Result<BytesMut> {
        files::read_at(&*self.file()?, position, bytes, wait)
    }

    /// Brings what lies there into the page cache. Waits for the disk.
    pub(crate) fn bring(&self, position: u64, bytes: u64) {
        // Only a wish: what is wrong with the file, the read that comes says.
        let _ = self.file().and_then(|file| files::bring(&file, position, bytes));
    }

    pub(crate) fn disk(&self, action: &'static str) -> impl Fn(io::Error) -> LogError + use<> {
        let path = self.path();
        move |error| LogError::disk(action, &path, error)
    }

    /// Notes a batch that lies at `position`; every so many bytes it goes into the indices.
    pub(crate) fn note(&self, header: &BatchHeader, position: u64, indexed: bool) -> io::Result<()> {
        let last_offset = header.last_offset();
        if header.max_timestamp_ms > self.max_timestamp() {
            self.max_timestamp_offset.store(last_offset, Ordering::Release);
            self.max_timestamp_ms.store(header.max_timestamp_ms, Ordering::Release);
        }
        if !indexed {
            return Ok(());
        }
        let entry = OffsetEntry { offset: self.relative(last_offset), position: position as u32 };
        self.index.lock().push(entry, self.time_entry())
    }

    fn time_entry(&self) -> TimeEntry {
        let offset = self.relative(self.max_timestamp_offset.load(Ordering::Acquire).max(self.base_offset));
        TimeEntry { time_ms: self.max_timestamp(), offset }
    }

    /// An offset as the indices write it. A segment is rolled before this could overflow.
    pub(crate) fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset.saturating_sub(self.base_offset).max(0)).unwrap_or(u32::MAX)
    }

    /// Writes what the indices still hold in memory, with the largest time last: `open` reads it there.
    pub(crate) fn flush_index(&self) -> Result<(), LogError> {
        let mut index = self.index.lock();
        index.push_time(self.time_entry());
        index.flush().map_err(self.disk("write the index of"))
    }

    pub(crate) fn sync(&self) -> Result<(), LogError> {
        self.sync_file(&*self.file().map_err(self.disk("open"))?)
    }

    pub(crate) fn sync_file(&self, file: &File) -> Result<(), LogError> {
        files::sync(file, || self.path()).map_err(self.disk(SYNC))
    }

    pub(crate) fn sync_index(&self) -> Result<(), LogError> {
        for kind in [INDEX, TIME_INDEX, TXN_INDEX] {
            let path = files::offset_path(&self.dir, self.base_offset, kind);
            match File::open(&path).and_then(|file| files::sync(&file, || path.clone())) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(self.disk("sync the index of")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Calls `each` with every batch from `position` on, until it says stop (false), the end or damage. Gives where the
    /// sound part that was walked ends, and what is wrong there.
    pub(crate) fn walk(
        &self,
        position: u64,
        check_crc: bool,
        mut each: impl FnMut(&Batch<'_>, u64) -> Result<bool, LogError>,
    ) -> Result<(u64, Option<String>), LogError> {
        let (mut position, end) = (position, self.visible());
        let mut want = SCAN_BYTES;
        while position < end {
            let bytes = want.min((end - position) as usize);
            let buffer = self.read_at(position, bytes, Wait::ForDisk).map_err(self.disk("read"))?;
            let mut at = 0;
            loop {
                match Batch::first(&buffer[at..]) {
                    Ok(batch) => {
                        if check_crc && let Err(error) = batch.check_crc() {
                            return Ok((position + at as u64, Some(error.to_string())));
                        }
                        if !each(&batch, position + at as u64)? {
                            return Ok((position + at as u64, None));
                        }
                        at += batch.bytes.len();
                    }
                    // More of the file may make it whole; the size asked for never goes beyond the file.
                    Err(wire::batch::BatchError::Short { needed, .. })
                        if position + at as u64 + needed <= end =>
                    {
                        want = SCAN_BYTES.max(needed as usize);
                        break;
                    }
                    Err(error) => return Ok((position + at as u64, Some(error.to_string()))),
                }
                if at == buffer.len() {
                    want = SCAN_BYTES;
                    break;
                }
            }
            position += at as u64;
        }
        Ok((position, None))
    }
}

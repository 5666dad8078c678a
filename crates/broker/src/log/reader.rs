//! The reading side of a log: by offset, by time, and the start that moves up.

use std::{
    fs::File,
    io::{self, ErrorKind},
    sync::{Arc, Weak, atomic::Ordering},
};

use bytes::Bytes;
use tokio::sync::Semaphore;
use wire::batch::{BATCH_HEADER_BYTES, BatchHeader};

use super::{
    errors::LogError,
    files::{self, Wait},
    partition::Log,
    segment::Segment,
    slice::Slice,
    writer::RECORDS_BYTES_MAX,
};

/// Room behind `bytes_max` for what lies between an index entry and the offset asked for.
const SKIP_BYTES: usize = 8 << 10;
/// What is brought from the disk behind a read that had to wait: the reader goes on there, and the disk works meanwhile. It is
/// twice what a client asks of a partition at once: with four times as much, six partitions were read up to a third slower.
const AHEAD_BYTES: u64 = 2 << 20;
/// More is brought as soon as it is so much, so that the disk never waits for the reader.
const AHEAD_STEP_BYTES: u64 = 1 << 20;
/// So many at once bring something: they wait on threads that others want as well. A reader that finds no place asks again.
static BRINGING: Semaphore = Semaphore::const_new(16);
/// How often a read begins again because compaction or retention took its segment away.
const ATTEMPTS_COUNT_MAX: usize = 8;
/// Read at once when a whole log is.
const REPLAY_BYTES_MAX: usize = 1 << 20;
const HINTS_COUNT: usize = 4;
/// Less is copied sooner than it is looked for; and batches that are small are not looked for one by one.
const LOCATED_BYTES_MIN: u64 = 64 << 10;
const LOCATED_BATCH_BYTES_MIN: usize = 4 << 10;
pub(crate) const START_OFFSET: &str = "start-offset";

/// Bytes of whole record batches as they lie in the file; the first may begin before the offset asked for.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub records: Bytes,
    pub high_watermark: i64,
    pub start_offset: i64,
    /// Behind the last batch; where there is none, the offset asked for.
    pub next_offset: i64,
}

/// Whole record batches that lie in the page cache, to be sent from there.
#[derive(Debug)]
pub struct Located {
    pub slice: Slice,
    pub next_offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    pub bytes_max: usize,
    /// Gives the first batch whole even where it is larger than `bytes_max`, so that a reader gets on.
    pub at_least_one: bool,
    /// Gives no batch that begins here or later: the last stable offset, for a reader of what is committed.
    pub before: i64,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub leader_epoch: i32,
}

/// Where the latest readers stopped. The oldest gives way.
#[derive(Default)]
pub(crate) struct Hints {
    places: [Option<(i64, Weak<Segment>, Stop)>; HINTS_COUNT],
    oldest: usize,
}

/// A place in a segment where a reader stopped.
#[derive(Debug, Clone, Copy, Default)]
struct Stop {
    position: u64,
    /// How far the disk was asked for a reader that had to wait for it; 0: it never had to.
    ahead: u64,
}

impl Hints {
    fn find(&self, offset: i64, segment: &Arc<Segment>) -> Option<Stop> {
        let known = |place: &(i64, Weak<Segment>, Stop)| {
            place.0 == offset && std::ptr::eq(place.1.as_ptr(), Arc::as_ptr(segment))
        };
        self.places.iter().flatten().find(|place| known(place)).map(|place| place.2)
    }

    fn put(&mut self, after: i64, offset: i64, segment: &Arc<Segment>, stop: Stop) {
        // The reader that was at `after` has moved; only without one does another's hint give way.
        let own = self.places.iter().position(|place| place.as_ref().is_some_and(|place| place.0 == after));
        let at = own.unwrap_or(self.oldest);
        if own.is_none() {
            self.oldest = (self.oldest + 1) % HINTS_COUNT;
        }
        self.places[at] = Some((offset, Arc::downgrade(segment), stop));
    }
}

/// What lay in one segment.
enum Found {
    /// Whole batches, and the offset behind them.
    Records(Bytes, i64),
    /// Nothing at or behind the offset: look in the next segment.
    Beyond,
}

impl Log {
    /// Reads from `offset` to at most the end of its segment. Empty at the end of the log. Never waits for new
    /// records; waits for the disk only on a thread made for that.
    pub async fn read(self: &Arc<Self>, offset: i64, limit: ReadLimit) -> Result<Fetched, LogError> {
        match self.read_with(offset, limit, Wait::No) {
            Ok(Some(fetched)) => Ok(fetched),
            Err(error) => Err(error),
            Ok(None) => {
                let log = self.clone();
                let read = tokio::task::spawn_blocking(move || log.read_blocking(offset, limit)).await;
                read.unwrap_or_else(|_| Err(LogError::Closed { log: self.name.clone() }))
            }
        }
    }

    /// Where the records lie that `read` would give, for a reader that goes on where it stopped; what is on the disk alone is brought
    /// first, on a thread made for that. `None`: they are few, or small, and have to be read.
    pub async fn locate(self: &Arc<Self>, offset: i64, limit: ReadLimit) -> Option<Located> {
        match self.locate_with(offset, limit, Wait::No) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let log = self.clone();
                let located = move || log.locate_with(offset, limit, Wait::ForDisk);
                tokio::task::spawn_blocking(located).await.ok()?.ok()?
            }
            // What is wrong with the file, the read that comes says.
            located => located.ok()?,
        }
    }

    /// `WouldBlock`: it would wait for the disk.
    fn locate_with(&self, offset: i64, limit: ReadLimit, wait: Wait) -> io::Result<Option<Located>> {
        let (segments, first) = self.segments_from(offset);
        let Some(segment) = segments.get(first).filter(|_| self.check_range(offset).is_ok()) else {
            return Ok(None);
        };
        let Some(stop) = self.hints.lock().find(offset, segment) else { return Ok(None) };
        let (start, visible) = (stop.position, segment.visible());
        let until = visible.min(start + limit.bytes_max as u64);
        if until.saturating_sub(start) < LOCATED_BYTES_MIN {
            return Ok(None);
        }
        let file = segment.file()?;
        if wait == Wait::ForDisk {
            files::bring(&file, start, until - start)?;
        }
        let skipped = skip(segment, &file, until, limit.before, wait)?.filter(|(end, _)| *end > start);
        let (mut end, mut next_offset) = skipped.unwrap_or((start, offset));
        while end < visible {
            let Some(header) = header_at(&file, end, wait)? else { break };
            let after = end.saturating_add(header.size_bytes() as u64);
            let is_small = header.size_bytes() < LOCATED_BATCH_BYTES_MIN;
            if is_small || after > until || header.base_offset >= limit.before {
                break;
            }
            (end, next_offset) = (after, header.next_offset());
        }
        if end - start < LOCATED_BYTES_MIN {
            return Ok(None);
        }
        // Pages come in their order: with the last one all are there.
        files::read_at(&file, end - 1, 1, wait)?;
        let ahead = read_ahead(segment, end, stop.ahead, wait);
        self.hints.lock().put(offset, next_offset, segment, Stop { position: end, ahead });
        let bytes = usize::try_from(end - start).map_err(io::Error::other)?;
        Ok(Some(Located { slice: Slice::new(file, start, bytes), next_offset }))
    }

    /// Shows `take` all whole batches that there are, about a MiB of them at a time: what is kept in an internal topic is read back so
    /// at start. Blocks on the disk.
    ///
    /// # Errors
    /// The log cannot be read; what `take` refuses.
    pub fn replay<E: From<LogError>>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let limit = ReadLimit { bytes_max: REPLAY_BYTES_MAX, at_least_one: true, before: i64::MAX };
        let mut offset = self.start_offset();
        while offset < self.high_watermark() {
            let fetched = self.read_blocking(offset, limit)?;
            if fetched.next_offset <= offset {
                break; // nothing whole is left
            }
            take(&fetched.records)?;
            offset = fetched.next_offset;
        }
        Ok(())
    }

    /// A read on this thread, which the disk may hold up: for start-up and tests.
    pub fn read_blocking(&self, offset: i64, limit: ReadLimit) -> Result<Fetched, LogError> {
        let read = self.read_with(offset, limit, Wait::ForDisk)?;
        Ok(read.expect("a read that waits for the disk never gives up"))
    }

    /// `None`: it would wait for the disk.
    fn read_with(&self, offset: i64, limit: ReadLimit, wait: Wait) -> Result<Option<Fetched>, LogError> {
        let mut last_error = None;
        for _ in 0..ATTEMPTS_COUNT_MAX {
            self.check_range(offset)?;
            match self.read_once(offset, limit, wait) {
                Ok((records, next_offset)) => {
                    let (high_watermark, start_offset) = (self.high_watermark(), self.start_offset());
                    return Ok(Some(Fetched { records, high_watermark, start_offset, next_offset }));
                }
                Err(Trouble::Disk(_, error)) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(Trouble::Disk(segment, error)) => {
                    let gone = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof);
                    let error = segment.disk("read")(error);
                    if !gone {
                        return Err(error);
                    }
                    last_error = Some(error);
                }
                Err(Trouble::Log(error)) => return Err(error),
            }
        }
        Err(last_error.expect("the loop ends early unless a read failed"))
    }

    fn check_range(&self, offset: i64) -> Result<(), LogError> {
        if self.state.load(Ordering::SeqCst) == super::partition::DELETED {
            return Err(LogError::Deleted { log: self.name.clone() });
        }
        let (start, end) = (self.start_offset(), self.high_watermark());
        if (start..=end).contains(&offset) {
            return Ok(());
        }
        Err(LogError::OffsetOutOfRange { log: self.name.clone(), offset, start, end })
    }

    /// All segments, and the place of the one in which an offset lies, or would.
    fn segments_from(&self, offset: i64) -> (Arc<[Arc<Segment>]>, usize) {
        let segments = self.all_segments();
        let first = segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        (segments, first)
    }

    fn read_once(&self, offset: i64, limit: ReadLimit, wait: Wait) -> Result<(Bytes, i64), Trouble> {
        if offset >= self.high_watermark().min(limit.before) {
            return Ok((Bytes::new(), offset));
        }
        let (segments, first) = self.segments_from(offset);
        for segment in &segments[first..] {
            match self.read_segment(segment, offset, limit, wait)? {
                Found::Records(records, next_offset) => return Ok((records, next_offset)),
                Found::Beyond => {}
            }
        }
        Ok((Bytes::new(), offset))
    }

    fn read_segment(
        &self,
        segment: &Arc<Segment>,
        offset: i64,
        limit: ReadLimit,
        wait: Wait,
    ) -> Result<Found, Trouble> {
        let disk = |error| Trouble::Disk(segment.clone(), error);
        let visible = segment.visible();
        let hint = self.hints.lock().find(offset, segment);
        let mut skip_bytes = if hint.is_some() { 0 } else { SKIP_BYTES };
        let mut position = match hint {
            Some(stop) => stop.position,
            None => segment.index.lock().position_before(segment.relative(offset), wait).map_err(disk)?,
        };
        while position < visible {
            let left = usize::try_from(visible - position).unwrap_or(usize::MAX);
            let want = limit.bytes_max.saturating_add(skip_bytes).max(BATCH_HEADER_BYTES).min(left);
            let buffer = segment.read_at(position, want, wait).map_err(disk)?.freeze();
            let mut at = 0;
            let mut wanted = None;
            while let Ok(header) = BatchHeader::parse(&buffer[at..]) {
                if header.last_offset() >= offset {
                    wanted = Some(header);
                    break;
                }
                at += header.size_bytes();
                if at >= buffer.len() {
                    break;
                }
            }
            let Some(header) = wanted else {
                if at == 0 {
                    let what = format!("no record batch begins at byte {position}");
                    return Err(Trouble::Log(LogError::Damaged { path: segment.path(), what }));
                }
                position += at as u64;
                continue;
            };
            if header.base_offset >= limit.before {
                return Ok(Found::Records(Bytes::new(), offset));
            }
            let start = position + at as u64;
            let (bytes, next_offset) = whole_batches(&buffer[at..], limit);
            if bytes > 0 {
                let position = start + bytes as u64;
                let ahead = read_ahead(segment, position, hint.map_or(0, |stop| stop.ahead), wait);
                self.hints.lock().put(offset, next_offset, segment, Stop { position, ahead });
                return Ok(Found::Records(buffer.slice(at..at + bytes), next_offset));
            }
            let size = header.size_bytes();
            if size > limit.bytes_max {
                if !limit.at_least_one {
                    return Ok(Found::Records(Bytes::new(), offset));
                }
                let records = segment.read_at(start, size, wait).map_err(disk)?.freeze();
                let position = start + size as u64;
                let ahead = read_ahead(segment, position, hint.map_or(0, |stop| stop.ahead), wait);
                self.hints.lock().put(offset, header.next_offset(), segment, Stop { position, ahead });
                return Ok(Found::Records(records, header.next_offset()));
            }
            position = start;
            skip_bytes = 0;
        }
        Ok(Found::Beyond)
    }

    /// The first record at or after this time (ListOffsets). Blocks on the disk.
    pub fn offset_for_time(&self, timestamp_ms: i64) -> Result<Option<TimedOffset>, LogError> {
        let mut attempts_left = ATTEMPTS_COUNT_MAX;
        loop {
            attempts_left -= 1;
            match self.find_time_once(timestamp_ms) {
                // Compaction or retention took the segment away: look again at what is there now.
                Err(LogError::Disk { source, .. })
                    if source.kind() == ErrorKind::NotFound && attempts_left > 0 => {}
                found => return found,
            }
        }
    }

    fn find_time_once(&self, timestamp_ms: i64) -> Result<Option<TimedOffset>, LogError> {
        for segment in self.all_segments().iter().filter(|segment| segment.max_timestamp() >= timestamp_ms) {
            if let Some(found) = self.find_time(segment, timestamp_ms)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_time(&self, segment: &Segment, timestamp_ms: i64) -> Result<Option<TimedOffset>, LogError> {
        let disk = segment.disk("read the index of");
        let position = {
            let index = segment.index.lock();
            let relative = index.offset_before_time(timestamp_ms).map_err(&disk)?;
            index.position_before(relative, Wait::ForDisk).map_err(&disk)?
        };
        let start_offset = self.start_offset();
        let mut found = None;
        segment.walk(position, false, |batch, _| {
            if batch.header.max_timestamp_ms < timestamp_ms || batch.header.last_offset() < start_offset {
                return Ok(true);
            }
            let batch_error = |source| LogError::Batch { log: self.name.clone(), source };
            for record in &batch.records(RECORDS_BYTES_MAX).map_err(batch_error)? {
                let record = record.map_err(batch_error)?;
                if record.timestamp_ms >= timestamp_ms && record.offset >= start_offset {
                    found = Some(TimedOffset {
                        offset: record.offset,
                        timestamp_ms: record.timestamp_ms,
                        leader_epoch: batch.header.leader_epoch,
                    });
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// The record with the largest timestamp (ListOffsets -3, KIP-734). Blocks on the disk.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimedOffset>, LogError> {
        let latest_ms = self.all_segments().iter().map(|segment| segment.max_timestamp()).max().unwrap_or(-1);
        if latest_ms < 0 { Ok(None) } else { self.offset_for_time(latest_ms) }
    }

    /// Makes `offset` the first one (DeleteRecords; -1: the high watermark). Gives the new start. Blocks on the disk.
    pub fn truncate_prefix(&self, offset: i64) -> Result<i64, LogError> {
        let _tending = self.tending.lock();
        let (start, end) = (self.start_offset(), self.high_watermark());
        let offset = if offset == -1 { end } else { offset };
        if offset > end || offset < 0 {
            return Err(LogError::OffsetOutOfRange { log: self.name.clone(), offset, start, end });
        }
        if offset > start {
            files::write_atomically(&self.dir.join(START_OFFSET), offset.to_string().as_bytes(), true)?;
            self.start.fetch_max(offset, Ordering::SeqCst);
            self.drop_before_start()?;
        }
        Ok(self.start_offset())
    }
}

enum Trouble {
    Disk(Arc<Segment>, io::Error),
    Log(LogError),
}

/// Where a batch ends that is close to `until`, by the index, and the offset behind it: what lies before is not looked at.
fn skip(
    segment: &Segment,
    file: &File,
    until: u64,
    before: i64,
    wait: Wait,
) -> io::Result<Option<(u64, i64)>> {
    let known = segment.index.lock().close_to(until, segment.relative(before));
    let Ok(Some(known)) = known else { return Ok(None) };
    let position = u64::from(known.position);
    let Some(header) = header_at(file, position, wait)? else { return Ok(None) };
    let is_it = segment.relative(header.last_offset()) == known.offset;
    Ok(is_it.then(|| (position.saturating_add(header.size_bytes() as u64), header.next_offset())))
}

/// `None`: there is none.
fn header_at(file: &File, position: u64, wait: Wait) -> io::Result<Option<BatchHeader>> {
    match files::read_at(file, position, BATCH_HEADER_BYTES, wait) {
        Ok(header) => Ok(BatchHeader::parse(&header).ok()),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps the disk at work for a reader that had to wait for it once: what lies behind `position` is on its way, up to
/// where this says.
fn read_ahead(segment: &Arc<Segment>, position: u64, ahead: u64, wait: Wait) -> u64 {
    let is_cold = wait == Wait::ForDisk || ahead > 0;
    let (from, to) = (position.max(ahead), position + AHEAD_BYTES);
    if !is_cold || to < from + AHEAD_STEP_BYTES || from >= segment.visible() {
        return ahead;
    }
    // A start, which reads back what is kept, has no threads for it.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return ahead };
    let Ok(place) = BRINGING.try_acquire() else { return ahead };
    let segment = segment.clone();
    runtime.spawn_blocking(move || {
        segment.bring(from, to - from);
        drop(place);
    });
    to
}

/// How many bytes of whole batches lie at the front within the limit, and the offset behind them.
fn whole_batches(buffer: &[u8], limit: ReadLimit) -> (usize, i64) {
    let (mut end, mut next_offset) = (0, 0);
    while let Ok(header) = BatchHeader::parse(&buffer[end..]) {
        let after = end.saturating_add(header.size_bytes());
        if after > limit.bytes_max || after > buffer.len() || header.base_offset >= limit.before {
            break;
        }
        (end, next_offset) = (after, header.next_offset());
    }
    (end, next_offset)
}

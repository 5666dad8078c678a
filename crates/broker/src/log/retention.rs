//! What goes away by age, by size and by DeleteRecords, and the round that sees to it.

use std::sync::{Arc, atomic::Ordering};

use base::crash_point;

use super::{
    errors::LogError,
    files,
    partition::{CLOSED, DELETED, Log, OPEN},
    recovery::{self, RECOVERY_POINT},
    segment::Segment,
    set::Tended,
};

impl Log {
    /// Retention, compaction, syncing of full segments, forgetting of idle producers, closing of idle files.
    pub(crate) fn tend(&self, producer_expiration_ms: i64) -> Result<Tended, LogError> {
        let _tending = self.tending.lock();
        let mut tended = Tended::default();
        if self.state.load(Ordering::SeqCst) != OPEN {
            return Ok(tended);
        }
        let options = self.options();
        tended.segments_deleted = self.drop_before_start()?;
        if options.cleanup.delete {
            tended.segments_deleted += self.drop_old(options.retention_ms)?;
            tended.segments_deleted += self.drop_large(options.retention_bytes)?;
        }
        // After what frees space, as it needs some.
        self.sync_full_segments()?;
        if options.cleanup.compact {
            tended.segments_compacted = self.compact(&options)?;
        }
        let expired_ms = self.clock.steady_ms().saturating_sub(producer_expiration_ms);
        self.tail.lock().producers.expire(expired_ms);
        self.all_segments().iter().for_each(|segment| segment.close_if_idle());
        Ok(tended)
    }

    /// Full segments go to the disk in the background, as in Kafka, so that a power cut costs no more than the last one.
    fn sync_full_segments(&self) -> Result<(), LogError> {
        let full = std::mem::take(&mut self.tail.lock().unsynced);
        let Some(last) = full.last() else { return Ok(()) };
        let synced = full.iter().try_for_each(|segment| {
            match segment.sync().and_then(|()| segment.sync_index()) {
                // Retention has taken it away.
                Err(LogError::Disk { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
                synced => synced,
            }
        });
        let segments = self.all_segments();
        let next = segments.iter().map(|segment| segment.base_offset).find(|&base| base > last.base_offset);
        let point = next.unwrap_or(last.base_offset).to_string();
        let noted = synced
            .and_then(|()| files::sync_dir(&self.dir))
            .and_then(|()| files::write_atomically(&self.dir.join(RECOVERY_POINT), point.as_bytes(), false));
        if let Err(error) = &noted {
            if error.is_final() {
                self.fail(error);
            }
            self.tail.lock().unsynced.splice(0..0, full);
        }
        noted
    }

    fn drop_old(&self, retention_ms: i64) -> Result<usize, LogError> {
        if retention_ms < 0 {
            return Ok(0);
        }
        let before_ms = self.clock.now_ms().saturating_sub(retention_ms);
        let is_old = |segment: &Segment| {
            let time_ms = match segment.max_timestamp() {
                -1 => modified_ms(segment),
                time_ms => Some(time_ms),
            };
            time_ms.is_some_and(|time_ms| time_ms < before_ms)
        };
        let segments = self.all_segments();
        // An empty segment in between is what compaction left; an empty last one is where the log goes on.
        let last = segments.len() - 1;
        let goes = |(place, segment): &(usize, &Arc<Segment>)| match segment.visible() {
            0 => *place < last,
            _ => is_old(segment),
        };
        let count = segments.iter().enumerate().take_while(goes).count();
        self.drop_first(count)
    }

    fn drop_large(&self, retention_bytes: i64) -> Result<usize, LogError> {
        let Ok(bytes_max) = u64::try_from(retention_bytes) else { return Ok(0) };
        let mut excess = self.size_bytes().saturating_sub(bytes_max);
        let mut count = 0;
        for segment in self.all_segments().iter() {
            if segment.visible() > excess || excess == 0 {
                break;
            }
            excess -= segment.visible();
            count += 1;
        }
        self.drop_first(count)
    }

    /// Segments whose every offset is before the log's start.
    pub(crate) fn drop_before_start(&self) -> Result<usize, LogError> {
        let start = self.start_offset();
        let segments = self.all_segments();
        let count = segments.windows(2).take_while(|pair| pair[1].base_offset <= start).count();
        self.drop_first(count)
    }

    /// Drops so many segments from the front. If that is all of them, a new one keeps the log's end.
    fn drop_first(&self, count: usize) -> Result<usize, LogError> {
        if count == 0 {
            return Ok(0);
        }
        let mut tail = self.tail.lock();
        let all = count >= self.segments.read().len();
        // What is written but not shown yet would go too: leave the last segment for the next round.
        if all && self.high_watermark() < tail.next_offset {
            return Ok(0);
        }
        if all {
            self.roll(&mut tail)?;
        }
        let mut segments = self.segments.write();
        let (gone, kept): (Vec<_>, Vec<_>) =
            segments.iter().cloned().enumerate().partition(|(place, _)| *place < count);
        let gone: Vec<Arc<Segment>> = gone.into_iter().map(|(_, segment)| segment).collect();
        *segments = kept.into_iter().map(|(_, segment)| segment).collect();
        let first = segments.first().map_or(tail.next_offset, |segment| segment.base_offset);
        drop(segments);
        self.start.fetch_max(first, Ordering::SeqCst);
        drop(tail);
        for segment in &gone {
            crash_point("broker.log.before_delete_segment");
            segment.retire();
            recovery::remove_segment(&self.dir, segment.base_offset)?;
        }
        tracing::debug!(log = %self.name, segments = gone.len(), start = first, "dropped old segments");
        Ok(gone.len())
    }

    /// After the last append: indices and producers are written down, so that the next start need not read the log.
    /// With `sync` all of it survives a power cut.
    pub(crate) fn close(&self, sync: bool) -> Result<(), LogError> {
        let _tending = self.tending.lock();
        if self.state.load(Ordering::SeqCst) != OPEN {
            return Ok(());
        }
        self.end_with(CLOSED);
        let mut tail = self.tail.lock();
        self.mend(&mut tail)?;
        if tail.next_offset > 0 {
            self.snapshot(&mut tail, sync)?;
        }
        let active = self.active();
        active.flush_index()?;
        if sync {
            let unsynced = std::mem::take(&mut tail.unsynced);
            for segment in unsynced.iter().chain([&active]) {
                segment.sync()?;
                segment.sync_index()?;
            }
            files::sync_dir(&self.dir)?;
        }
        Ok(())
    }

    pub(crate) fn delete(&self) {
        self.end_with(DELETED);
        let _tending = self.tending.lock();
        let _tail = self.tail.lock();
        self.all_segments().iter().for_each(|segment| segment.retire());
    }
}

fn modified_ms(segment: &Segment) -> Option<i64> {
    let modified = segment.path().metadata().and_then(|metadata| metadata.modified()).ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

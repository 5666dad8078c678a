//! `cleanup.policy=compact`: of each key the latest record stays, at its offset; tombstones go after their time.
//!
//! The keys of the dirty part are gathered (as 128 keyed bits, at most so many a pass), then segments before the last are
//! written anew, several small ones into one. A finished file is called `<base>.<next base>.swap`: from then on a crash
//! ends in the new segments, before it in the old ones. Tombstones get their time to go in the batch, as KIP-534 has it.
//!
//! Only what lies below the last stable offset is touched. Records of aborted transactions count for nothing and go; a
//! marker stays as long as it ends something, and then for a tombstone's time.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use base::crash_point;
use wire::batch::{Batch, BatchBuilder, BatchHeader};

use super::{
    aborted::{self, Aborted, AbortedBatches},
    errors::LogError,
    files::{self, CLEANED, INDEX, SWAP, TIME_INDEX, Wait, offset_path},
    index::{Index, OffsetEntry, TimeEntry},
    options::LogOptions,
    partition::Log,
    producers::Producers,
    recovery,
    segment::Segment,
    writer::RECORDS_BYTES_MAX,
};

pub(crate) const CLEANED_TO: &str = "cleaned-to";
/// Keys of one pass: about 14 MB while it lasts. A log with more dirty keys takes several.
#[cfg(not(test))]
const KEYS_COUNT_MAX: usize = 262_144;
#[cfg(test)]
const KEYS_COUNT_MAX: usize = 40;

/// The latest offset of each key, and up to where that is known.
struct Latest {
    seeds: (RandomState, RandomState),
    offsets: HashMap<(u64, u64), i64>,
    upto: i64,
}

impl Latest {
    /// Two independent keyed hashes, so that keys nobody can choose to collide stand for themselves.
    fn hash(&self, key: &[u8]) -> (u64, u64) {
        (self.seeds.0.hash_one(key), self.seeds.1.hash_one(key))
    }

    fn is_latest(&self, key: &[u8], offset: i64) -> bool {
        self.offsets.get(&self.hash(key)).is_none_or(|&latest| offset >= latest)
    }
}

/// What a pass knows of transactions while it goes through the log from its start.
struct Transactions {
    aborted: AbortedBatches,
    /// The producers of which a batch was kept since their last marker.
    kept: HashSet<i64>,
    /// The markers that went, by their offsets.
    dropped: HashSet<i64>,
}

/// The output of one group of segments.
struct Rewrite<'a> {
    log: &'a Log,
    latest: &'a Latest,
    transactions: &'a mut Transactions,
    options: &'a LogOptions,
    producers: Producers,
    now_ms: i64,
    base_offset: i64,
    file: BufWriter<File>,
    index: Index,
    position: u64,
    unindexed_bytes: u64,
    max_timestamp_ms: i64,
    max_timestamp_offset: i64,
    changed: bool,
}

impl Log {
    /// Compacts if enough of the log is dirty. Gives how many segments were written anew. The caller holds `tending`.
    pub(crate) fn compact(&self, options: &LogOptions) -> Result<usize, LogError> {
        let mut compacted = 0;
        while let Some(cleanable) = self.cleanable(options) {
            let aborted = AbortedBatches::of(self)?;
            let latest = self.gather(&cleanable, &aborted)?;
            let (before, upto) = (self.cleaned_to.load(Ordering::SeqCst), latest.upto);
            if upto <= before {
                break;
            }
            let segments: Vec<_> =
                cleanable.into_iter().filter(|segment| segment.base_offset < upto).collect();
            let mut transactions = Transactions { aborted, kept: HashSet::new(), dropped: HashSet::new() };
            for group in groups(&segments, options.segment_bytes) {
                compacted += self.rewrite(group, &latest, &mut transactions, options)?;
            }
            files::write_atomically(&self.dir.join(CLEANED_TO), upto.to_string().as_bytes(), false)?;
            self.cleaned_to.store(upto, Ordering::SeqCst);
        }
        Ok(compacted)
    }

    /// The segments that a pass may touch, or none if it would not be worth it.
    fn cleanable(&self, options: &LogOptions) -> Option<Vec<Arc<Segment>>> {
        let segments = self.all_segments();
        let now_ms = self.clock.now_ms();
        let cleaned_to = self.cleaned_to.load(Ordering::SeqCst).max(self.start_offset());
        let settled_before_ms = now_ms.saturating_sub(options.min_compaction_lag_ms);
        let is_settled = |segment: &&Arc<Segment>| {
            options.min_compaction_lag_ms <= 0 || segment.max_timestamp() <= settled_before_ms
        };
        let (_, full) = segments.split_last()?;
        let next = |place: usize| segments[place + 1].base_offset;
        let stable = self.last_stable_offset();
        let decided = (0..full.len()).take_while(|place| next(*place) <= stable).count();
        let cleanable: Vec<Arc<Segment>> = full[..decided].iter().take_while(is_settled).cloned().collect();
        let is_dirty = |place: &usize| next(*place) > cleaned_to;
        let dirty_bytes: u64 =
            (0..cleanable.len()).filter(is_dirty).map(|place| cleanable[place].visible()).sum();
        let total_bytes: u64 = cleanable.iter().map(|segment| segment.visible()).sum();
        if dirty_bytes == 0 {
            return None;
        }
        let overdue_before_ms = now_ms.saturating_sub(options.max_compaction_lag_ms);
        let overdue = (0..cleanable.len())
            .filter(is_dirty)
            .any(|place| (0..overdue_before_ms).contains(&cleanable[place].max_timestamp()));
        let ratio = dirty_bytes as f64 / total_bytes as f64;
        (overdue || ratio >= options.min_cleanable_dirty_ratio).then_some(cleanable)
    }

    fn gather(&self, segments: &[Arc<Segment>], aborted: &AbortedBatches) -> Result<Latest, LogError> {
        let from = self.cleaned_to.load(Ordering::SeqCst);
        let mut latest =
            Latest { seeds: (RandomState::new(), RandomState::new()), offsets: HashMap::new(), upto: from };
        for segment in segments {
            let disk = segment.disk("read the index of");
            let position =
                segment.index.lock().position_before(segment.relative(from), Wait::ForDisk).map_err(disk)?;
            let mut full = false;
            let (_, damage) = segment.walk(position, false, |batch, _| {
                let header = &batch.header;
                self.queue.check_running(&self.name)?;
                if header.last_offset() < from {
                    return Ok(true);
                }
                // A batch is taken whole or not at all; the first one always.
                let count = latest.offsets.len() + header.records_count as usize;
                full = count > KEYS_COUNT_MAX && !latest.offsets.is_empty();
                if full {
                    return Ok(false);
                }
                if !header.is_control() && !aborted.has(header) {
                    self.gather_batch(batch, &mut latest)?;
                }
                latest.upto = header.next_offset();
                Ok(true)
            })?;
            damaged(segment, damage)?;
            if full {
                return Ok(latest);
            }
        }
        Ok(latest)
    }

    fn gather_batch(&self, batch: &Batch<'_>, latest: &mut Latest) -> Result<(), LogError> {
        let unsound = |source| LogError::Batch { log: self.name.clone(), source };
        for record in &batch.records(RECORDS_BYTES_MAX).map_err(unsound)? {
            let record = record.map_err(unsound)?;
            if let Some(key) = record.key {
                let hash = latest.hash(key);
                latest.offsets.insert(hash, record.offset);
            }
        }
        Ok(())
    }

    /// Writes a group of neighbours into one new segment and swaps that in. A group that loses nothing stays as it is.
    fn rewrite(
        &self,
        group: &[Arc<Segment>],
        latest: &Latest,
        transactions: &mut Transactions,
        options: &LogOptions,
    ) -> Result<usize, LogError> {
        let base_offset = group[0].base_offset;
        let cleaned = |kind: &str| offset_path(&self.dir, base_offset, &format!("{kind}.{CLEANED}"));
        let (log_path, index_path, time_path) = (cleaned("log"), cleaned(INDEX), cleaned(TIME_INDEX));
        for path in [&log_path, &index_path, &time_path] {
            files::remove(path)?;
        }
        let disk = |error| LogError::disk("write", &log_path, error);
        let mut rewrite = Rewrite {
            log: self,
            latest,
            transactions,
            options,
            producers: self.tail.lock().producers.clone(),
            now_ms: self.clock.now_ms(),
            base_offset,
            file: BufWriter::with_capacity(256 << 10, files::create(&log_path).map_err(disk)?),
            index: Index::at(index_path.clone(), time_path.clone()).map_err(disk)?,
            position: 0,
            unindexed_bytes: 0,
            max_timestamp_ms: -1,
            max_timestamp_offset: base_offset,
            changed: group.len() > 1,
        };
        for segment in group {
            let (_, damage) = segment.walk(0, false, |batch, _| {
                self.queue.check_running(&self.name)?;
                rewrite.batch(batch).map(|()| true)
            })?;
            damaged(segment, damage)?;
        }
        crash_point("broker.log.compact.before_finish");
        let changed = rewrite.changed;
        rewrite.finish(&log_path).map_err(disk)?;
        if !changed {
            return [&log_path, &index_path, &time_path]
                .into_iter()
                .try_for_each(|path| files::remove(path))
                .map(|()| 0);
        }
        let mut entries = Vec::new();
        for segment in group {
            entries.extend(segment.all_aborted()?);
        }
        entries.retain(|entry| !transactions.dropped.contains(&entry.last_offset));
        self.swap(group, &entries, &log_path, &index_path, &time_path)?;
        Ok(group.len())
    }

    fn swap(
        &self,
        group: &[Arc<Segment>],
        entries: &[Aborted],
        log: &Path,
        index: &Path,
        time: &Path,
    ) -> Result<(), LogError> {
        let base_offset = group[0].base_offset;
        let last = group.last().expect("a group has at least one segment");
        let segments = self.all_segments();
        let next = segments.iter().map(|segment| segment.base_offset).find(|&base| base > last.base_offset);
        let next = next.expect("the last segment is never compacted");
        let swap: PathBuf = offset_path(&self.dir, base_offset, &format!("{next}.{SWAP}"));
        crash_point("broker.log.compact.before_swap");
        let rename = |from: &Path, to: &Path| {
            files::rename(from, to).map_err(|error| LogError::disk("rename", from, error))
        };
        rename(log, &swap)?;
        files::sync_dir(&self.dir)?;
        crash_point("broker.log.compact.after_swap");
        // The list changes in one step with the files: a reader of the old segments begins again with the new list.
        let tail = self.tail.lock();
        let mut segments = self.segments.write();
        group.iter().for_each(|segment| segment.retire());
        aborted::replace(&self.dir, base_offset, entries)?;
        let replaced: Vec<i64> = group.iter().map(|segment| segment.base_offset).collect();
        recovery::put_in_place(&self.dir, base_offset, &swap, &replaced)?;
        for (cleaned, kind) in [(index, INDEX), (time, TIME_INDEX)] {
            // One without entries was never written.
            if cleaned.exists() {
                rename(cleaned, &offset_path(&self.dir, base_offset, kind))?;
            }
        }
        let fresh = Arc::new(Segment::open(&self.dir, base_offset, &self.descriptors, |_| true)?);
        let first = segments.iter().position(|segment| Arc::ptr_eq(segment, &group[0]));
        let first = first.expect("only who holds `tending` removes segments");
        let (before, after) = (&segments[..first], &segments[first + group.len()..]);
        *segments = before.iter().chain([&fresh]).chain(after).cloned().collect();
        drop((segments, tail));
        crash_point("broker.log.compact.done");
        files::sync_dir(&self.dir)
    }
}

impl Rewrite<'_> {
    fn batch(&mut self, batch: &Batch<'_>) -> Result<(), LogError> {
        let header = &batch.header;
        // What lies beyond the gathered part stays as it is.
        if header.base_offset >= self.latest.upto {
            return self.put(header, batch.bytes);
        }
        if header.is_control() {
            return self.marker(batch);
        }
        let unsound = |source| LogError::Batch { log: self.log.name.clone(), source };
        let records = batch.records(RECORDS_BYTES_MAX).map_err(unsound)?;
        let horizon_passed = header.delete_horizon_ms().is_some_and(|horizon_ms| horizon_ms <= self.now_ms);
        let aborted = self.transactions.aborted.has(header);
        let (mut kept, mut tombstones) = (Vec::with_capacity(header.records_count as usize), false);
        for record in &records {
            let record = record.map_err(unsound)?;
            // A record without a key cannot be compacted; Kafka drops it too.
            let Some(key) = record.key else { continue };
            let tombstone = record.value.is_none();
            if !aborted && self.latest.is_latest(key, record.offset) && !(tombstone && horizon_passed) {
                tombstones |= tombstone;
                kept.push(record);
            }
        }
        let needs_horizon = tombstones && header.delete_horizon_ms().is_none();
        if kept.len() == header.records_count as usize && !needs_horizon {
            let stays = !kept.is_empty() || self.producers.is_last(header);
            self.changed |= !stays;
            return if stays { self.put(header, batch.bytes) } else { Ok(()) };
        }
        self.changed = true;
        if kept.is_empty() && !(header.is_idempotent() && self.producers.is_last(header)) {
            return Ok(());
        }
        let horizon_ms = self.now_ms.saturating_add(self.options.delete_retention_ms);
        let mut builder = BatchBuilder::rewriting(header, needs_horizon.then_some(horizon_ms));
        for record in kept {
            builder.push(record.offset, record.timestamp_ms, record.key, record.value, record.headers());
        }
        self.put_rebuilt(builder)
    }

    /// A marker whose transaction has nothing left here is given a time to go, and then goes.
    fn marker(&mut self, batch: &Batch<'_>) -> Result<(), LogError> {
        let header = &batch.header;
        let needed = self.transactions.kept.remove(&header.producer_id);
        match header.delete_horizon_ms() {
            _ if needed => self.put(header, batch.bytes),
            Some(horizon_ms) if horizon_ms > self.now_ms => self.put(header, batch.bytes),
            Some(_) => {
                self.transactions.dropped.insert(header.last_offset());
                self.changed = true;
                Ok(())
            }
            None => {
                let unsound = |source| LogError::Batch { log: self.log.name.clone(), source };
                let horizon_ms = self.now_ms.saturating_add(self.options.delete_retention_ms);
                let mut builder = BatchBuilder::rewriting(header, Some(horizon_ms));
                for record in &batch.records(RECORDS_BYTES_MAX).map_err(unsound)? {
                    let record = record.map_err(unsound)?;
                    builder.push(record.offset, record.timestamp_ms, record.key, record.value, []);
                }
                self.changed = true;
                self.put_rebuilt(builder)
            }
        }
    }

    fn put_rebuilt(&mut self, builder: BatchBuilder) -> Result<(), LogError> {
        let rebuilt =
            builder.finish().map_err(|error| LogError::disk("compress for", &*self.log.dir, error))?;
        let header = BatchHeader::parse(&rebuilt)
            .map_err(|source| LogError::Batch { log: self.log.name.clone(), source })?;
        self.put(&header, &rebuilt)
    }

    fn put(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<(), LogError> {
        if header.is_transactional() && !header.is_control() {
            self.transactions.kept.insert(header.producer_id);
        }
        let disk = |error| LogError::disk("compact", &*self.log.dir, error);
        self.file.write_all(bytes).map_err(disk)?;
        let relative = |offset: i64| u32::try_from(offset - self.base_offset).unwrap_or(u32::MAX);
        if header.max_timestamp_ms > self.max_timestamp_ms {
            (self.max_timestamp_ms, self.max_timestamp_offset) =
                (header.max_timestamp_ms, header.last_offset());
        }
        if self.unindexed_bytes > self.options.index_interval_bytes {
            self.unindexed_bytes = 0;
            let entry =
                OffsetEntry { offset: relative(header.last_offset()), position: self.position as u32 };
            let time =
                TimeEntry { time_ms: self.max_timestamp_ms, offset: relative(self.max_timestamp_offset) };
            self.index.push(entry, time).map_err(disk)?;
        }
        self.unindexed_bytes += bytes.len() as u64;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self, path: &Path) -> std::io::Result<()> {
        self.file.flush()?;
        files::sync(self.file.get_ref(), || path.to_owned())?;
        let offset = u32::try_from(self.max_timestamp_offset - self.base_offset).unwrap_or(u32::MAX);
        self.index.push_time(TimeEntry { time_ms: self.max_timestamp_ms, offset });
        self.index.flush()
    }
}

/// Neighbours whose bytes together fit one segment.
fn groups(segments: &[Arc<Segment>], bytes_max: u64) -> Vec<&[Arc<Segment>]> {
    let (mut groups, mut start, mut bytes) = (Vec::new(), 0, 0_u64);
    for (place, segment) in segments.iter().enumerate() {
        let spans = segment.base_offset - segments[start].base_offset > i64::from(i32::MAX) / 2;
        if place > start && (bytes + segment.visible() > bytes_max || spans) {
            groups.push(&segments[start..place]);
            (start, bytes) = (place, 0);
        }
        bytes += segment.visible();
    }
    if start < segments.len() {
        groups.push(&segments[start..]);
    }
    groups
}

fn damaged(segment: &Segment, damage: Option<String>) -> Result<(), LogError> {
    damage.map_or(Ok(()), |what| Err(LogError::Damaged { path: segment.path(), what }))
}

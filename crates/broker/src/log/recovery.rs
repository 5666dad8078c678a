//! Opening a log: unfinished work of compaction, torn tails, indices, the producers' state.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use wire::batch::{BATCH_HEADER_BYTES, Batch, BatchHeader};

use super::{
    compaction::CLEANED_TO,
    descriptors::Descriptors,
    errors::LogError,
    files::{self, CLEANED, INDEX, LOG, SNAPSHOT, SWAP, TIME_INDEX, TXN_INDEX, Wait, offset_path},
    options::LogOptions,
    producers::{Ending, Producers},
    reader::START_OFFSET,
    segment::Segment,
    writer::Tail,
};

pub(crate) const RECOVERY_POINT: &str = "recovery-point";

/// How the last life ended, and so what of its files can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is as it was left.
    Clean,
    /// The process died, not the machine: the page cache kept all writes; only the last of them may be torn.
    Killed,
    /// Perhaps a power cut: only what was synced is sure.
    Unknown,
}

pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) tail: Tail,
    pub(crate) start: i64,
    pub(crate) cleaned_to: i64,
    /// Segments from here on may not be on the disk, though they can be read.
    pub(crate) synced_to: i64,
}

/// What a walk over the segments learns.
struct Progress<'a> {
    dir: &'a Arc<Path>,
    descriptors: &'a Arc<Descriptors>,
    listing: Listing,
    options: &'a LogOptions,
    next_offset: i64,
    producers: Producers,
    /// Batches before this are in the snapshot that `producers` came from.
    producers_from: i64,
    now_ms: i64,
}

pub(crate) fn recover(
    dir: &Arc<Path>,
    descriptors: &Arc<Descriptors>,
    ended: Ended,
    options: &LogOptions,
    now_ms: i64,
) -> Result<Recovered, LogError> {
    let mut listing = Listing::of(dir)?;
    if finish_swaps(dir, &listing)? {
        listing = Listing::of(dir)?;
    }
    let bases = listing.offsets(LOG);
    let start = listing.number(dir, START_OFFSET).unwrap_or(0).max(0);
    let synced_to = listing.number(dir, RECOVERY_POINT).unwrap_or(0);
    // What lies behind may be gone, and with it the index of aborted transactions: both are made from the state as of here.
    let snapshot_max = if ended == Ended::Unknown { synced_to } else { i64::MAX };
    let (producers_from, producers) = latest_snapshot(dir, &listing, snapshot_max);
    let next_offset = start;
    let mut progress =
        Progress { dir, descriptors, listing, options, next_offset, producers, producers_from, now_ms };
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    for (place, &base_offset) in bases.iter().enumerate() {
        let next_base = bases.get(place + 1).copied();
        let trusted = match (ended, next_base) {
            (Ended::Clean | Ended::Killed, Some(_)) => true,
            (Ended::Unknown, Some(next)) => next <= synced_to,
            (_, None) => false,
        };
        let (segment, damage) = match next_base {
            Some(next) if trusted => sealed(base_offset, next, &mut progress)?,
            _ if ended == Ended::Unknown => rebuild(base_offset, &mut progress)?,
            _ => last(base_offset, ended, &mut progress)?,
        };
        segments.push(Arc::new(segment));
        if let Some(what) = damage {
            let next_offset = progress.next_offset;
            tracing::warn!(dir = %dir.display(), next_offset, "cut off a torn tail: {what}");
            remove_behind(dir, &bases[place + 1..])?;
            break;
        }
    }
    if segments.is_empty() {
        segments.push(Arc::new(Segment::make(dir, progress.next_offset, descriptors)?));
    }
    finish(segments, progress, start)
}

/// What lay behind the damage. It must not come back after a power cut, among what is written from now on.
fn remove_behind(dir: &Path, bases: &[i64]) -> Result<(), LogError> {
    bases.iter().try_for_each(|&base| remove_segment(dir, base))?;
    if bases.is_empty() { Ok(()) } else { files::sync_dir(dir) }
}

fn finish(
    segments: Vec<Arc<Segment>>,
    mut progress: Progress<'_>,
    start: i64,
) -> Result<Recovered, LogError> {
    let dir = progress.dir;
    let active = segments.last().expect("there is at least the one just made");
    // What a snapshot knows beyond the recovered end did not survive: begin without it.
    let mut snapshots = progress.listing.offsets(SNAPSHOT);
    let sound = snapshots.partition_point(|&at| at <= progress.next_offset);
    for at in snapshots.split_off(sound) {
        files::remove(&offset_path(dir, at, SNAPSHOT))?;
    }
    if progress.producers_from > progress.next_offset {
        (progress.producers_from, progress.producers) =
            latest_snapshot(dir, &progress.listing, progress.next_offset);
        for segment in &segments {
            segment.forget_aborted(progress.producers_from)?;
            segment.walk(0, false, |batch, _| progress.note_producer(segment, batch).map(|()| true))?;
        }
    }
    let rolled_ms = first_time(active)?.unwrap_or(progress.now_ms);
    let first = segments.first().map_or(0, |segment| segment.base_offset);
    let next_offset = progress.next_offset.max(active.base_offset);
    let synced_to = progress.listing.number(dir, RECOVERY_POINT).unwrap_or(0);
    let full = segments[..segments.len() - 1].iter();
    let unsynced = full.filter(|segment| segment.base_offset >= synced_to).cloned().collect();
    let tail = Tail {
        next_offset,
        unsynced,
        position: active.visible(),
        rolled_ms,
        producers: progress.producers,
        snapshot_at: if snapshots.contains(&next_offset) { next_offset } else { -1 },
        ..Tail::default()
    };
    let cleaned_to = progress.listing.number(dir, CLEANED_TO).unwrap_or(0).min(next_offset);
    Ok(Recovered { tail, start: start.max(first).min(next_offset), cleaned_to, synced_to, segments })
}

impl Progress<'_> {
    /// A segment as its files are, without the aborted transactions that the walk over the batches finds again.
    fn open(&self, base_offset: i64) -> Result<Segment, LogError> {
        let is_there = |kind| self.listing.has(base_offset, kind);
        let segment = Segment::open(self.dir, base_offset, self.descriptors, is_there)?;
        segment.forget_aborted(self.producers_from)?;
        Ok(segment)
    }

    fn note_producer(&mut self, segment: &Segment, batch: &Batch<'_>) -> Result<(), LogError> {
        let header = &batch.header;
        if header.is_idempotent() && header.base_offset >= self.producers_from {
            let took = self.producers.took(header, Ending::of(batch), self.now_ms);
            if let Some(entry) = took.aborted {
                segment.note_aborted(entry).map_err(segment.disk("write the index of"))?;
            }
        }
        Ok(())
    }
}

fn first_time(segment: &Segment) -> Result<Option<i64>, LogError> {
    if segment.visible() == 0 {
        return Ok(None);
    }
    let head = segment.read_at(0, BATCH_HEADER_BYTES, Wait::ForDisk).map_err(segment.disk("read"))?;
    let header = BatchHeader::parse(&head).ok();
    Ok(header.map(|header| header.max_timestamp_ms).filter(|&time_ms| time_ms >= 0))
}

/// A full segment whose files are trusted: only its index is looked at, unless producers have to be read from it.
fn sealed(
    base_offset: i64,
    next_base: i64,
    progress: &mut Progress<'_>,
) -> Result<(Segment, Option<String>), LogError> {
    let segment = progress.open(base_offset)?;
    let visible = segment.visible();
    // Also where no record has a time, which is rare enough.
    let missing = visible > 0 && segment.max_timestamp() < 0;
    let small = visible <= progress.options.index_interval_bytes;
    if !has_sound_index(&segment, next_base)? || (missing && !small) {
        drop(segment);
        return rebuild(base_offset, progress);
    }
    if next_base > progress.producers_from || (small && segment.max_timestamp() < 0) {
        segment.walk(0, false, |batch, position| {
            progress.note_producer(&segment, batch)?;
            segment.note(&batch.header, position, false).map_err(segment.disk("index"))?;
            Ok(true)
        })?;
    }
    progress.next_offset = progress.next_offset.max(next_base);
    Ok((segment, None))
}

/// The segment that was growing: from its last index entry on each batch is looked at, with its checksum if the end was
/// not clean, and from the producers' snapshot on for those.
fn last(
    base_offset: i64,
    ended: Ended,
    progress: &mut Progress<'_>,
) -> Result<(Segment, Option<String>), LogError> {
    let segment = progress.open(base_offset)?;
    if !has_sound_index(&segment, i64::MAX)? {
        drop(segment);
        return rebuild(base_offset, progress);
    }
    let entry = segment.index.lock().last_offset();
    let indexed_to = entry.map_or(0, |entry| u64::from(entry.position));
    if progress.producers_from < base_offset + entry.map_or(0, |entry| i64::from(entry.offset)) {
        segment.walk(0, false, |batch, position| {
            progress.note_producer(&segment, batch)?;
            Ok(position < indexed_to)
        })?;
        progress.producers_from =
            progress.producers_from.max(base_offset + entry.map_or(0, |entry| i64::from(entry.offset)) + 1);
    }
    let damage = walk_and_cut(&segment, indexed_to, ended != Ended::Clean, progress)?;
    Ok((segment, damage))
}

/// Whether the ends of the indices say what the log says: a log that is cut off where an index errs loses records.
fn has_sound_index(segment: &Segment, next_base: i64) -> Result<bool, LogError> {
    let index = segment.index.lock();
    let span = u32::try_from(next_base - segment.base_offset).unwrap_or(u32::MAX);
    if !index.is_plausible(span).map_err(segment.disk("read the index of"))? {
        return Ok(false);
    }
    let Some(entry) = index.last_offset() else { return Ok(true) };
    let position = u64::from(entry.position);
    if position + BATCH_HEADER_BYTES as u64 > segment.visible() {
        return Ok(false);
    }
    let head = segment.read_at(position, BATCH_HEADER_BYTES, Wait::ForDisk).map_err(segment.disk("read"))?;
    Ok(BatchHeader::parse(&head).is_ok_and(|header| segment.relative(header.last_offset()) == entry.offset))
}

/// Throws the indices away and makes them anew from the batches, each with its checksum.
fn rebuild(base_offset: i64, progress: &mut Progress<'_>) -> Result<(Segment, Option<String>), LogError> {
    for kind in [INDEX, TIME_INDEX] {
        files::remove(&offset_path(progress.dir, base_offset, kind))?;
    }
    let segment = progress.open(base_offset)?;
    let damage = walk_and_cut(&segment, 0, true, progress)?;
    segment.flush_index()?;
    Ok((segment, damage))
}

fn walk_and_cut(
    segment: &Segment,
    from: u64,
    check_crc: bool,
    progress: &mut Progress<'_>,
) -> Result<Option<String>, LogError> {
    progress.next_offset = progress.next_offset.max(segment.base_offset);
    let mut lowest = segment.base_offset;
    let mut unindexed_bytes = 0;
    let mut wrong = None;
    let (sound_to, damage) = segment.walk(from, check_crc, |batch, position| {
        if batch.header.base_offset < lowest {
            wrong = Some(format!("offset {} comes after {}", batch.header.base_offset, lowest - 1));
            return Ok(false);
        }
        lowest = batch.header.next_offset();
        progress.next_offset = progress.next_offset.max(lowest);
        progress.note_producer(segment, batch)?;
        let indexed = unindexed_bytes > progress.options.index_interval_bytes;
        unindexed_bytes = if indexed { 0 } else { unindexed_bytes } + batch.bytes.len() as u64;
        segment.note(&batch.header, position, indexed).map_err(segment.disk("index"))?;
        Ok(true)
    })?;
    let damage = damage.or(wrong);
    if damage.is_some() {
        segment.cut(sound_to).map_err(segment.disk("cut"))?;
        segment.visible_bytes.store(sound_to, Ordering::Release);
    }
    Ok(damage)
}

/// The names in a log's folder: read once, so that files which are not there cost no look.
struct Listing(Vec<String>);

impl Listing {
    fn of(dir: &Path) -> Result<Self, LogError> {
        let failed = |error| LogError::disk("list", dir, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(Self(names))
    }

    fn has_name(&self, name: &str) -> bool {
        self.0.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    fn has(&self, offset: i64, kind: &str) -> bool {
        self.has_name(&format!("{offset:020}.{kind}"))
    }

    /// The number in a small file.
    fn number(&self, dir: &Path, name: &str) -> Option<i64> {
        if self.has_name(name) { files::read_number(&dir.join(name)) } else { None }
    }

    /// The offsets of the files of a kind, rising.
    fn offsets(&self, wanted: &str) -> Vec<i64> {
        let parsed = self.0.iter().filter_map(|name| files::parse_name(name));
        parsed.filter(|(_, kind)| *kind == wanted).map(|(offset, _)| offset).collect()
    }
}

/// The offsets at which producers' state was written down, rising.
pub(crate) fn snapshot_offsets(dir: &Path) -> Result<Vec<i64>, LogError> {
    Ok(Listing::of(dir)?.offsets(SNAPSHOT))
}

/// The producers' state as of the latest offset up to `offset_max` at which it was written down.
fn latest_snapshot(dir: &Path, listing: &Listing, offset_max: i64) -> (i64, Producers) {
    for at in listing.offsets(SNAPSHOT).into_iter().rev().filter(|&at| at <= offset_max) {
        if let Some(producers) = Producers::read(&offset_path(dir, at, SNAPSHOT)) {
            return (at, producers);
        }
    }
    (0, Producers::default())
}

pub(crate) fn remove_segment(dir: &Path, base_offset: i64) -> Result<(), LogError> {
    [INDEX, TIME_INDEX, TXN_INDEX, LOG]
        .iter()
        .try_for_each(|kind| files::remove(&offset_path(dir, base_offset, kind)))
}

/// Removes what compaction did not finish, and puts into place what it did. Whether there was anything to do.
fn finish_swaps(dir: &Path, listing: &Listing) -> Result<bool, LogError> {
    let (mut swaps, mut removed) = (BTreeMap::new(), false);
    for name in &listing.0 {
        let Some((base_offset, kind)) = files::parse_name(name) else { continue };
        if kind.ends_with(CLEANED) || kind.ends_with("tmp") {
            files::remove(&dir.join(name))?;
            removed = true;
        } else if let Some(next) = kind.strip_suffix(SWAP).and_then(|kind| kind.strip_suffix('.')) {
            swaps.insert(base_offset, (dir.join(name), next.parse::<i64>().ok()));
        }
    }
    let any = removed || !swaps.is_empty();
    for (base_offset, (path, next_base)) in swaps {
        let Some(next_base) = next_base else { continue };
        let mut replaced = Listing::of(dir)?.offsets(LOG);
        replaced.retain(|base| (base_offset..next_base).contains(base));
        put_in_place(dir, base_offset, &path, &replaced)?;
        files::sync_dir(dir)?;
    }
    Ok(any)
}

/// The last step of a swap, which can be repeated after a crash anywhere in it: the finished file takes the place of the
/// segments it replaces. Its indices are made anew when they are missing.
pub(crate) fn put_in_place(
    dir: &Path,
    base_offset: i64,
    swap: &Path,
    replaced: &[i64],
) -> Result<(), LogError> {
    for &base in replaced {
        files::remove(&offset_path(dir, base, INDEX))?;
        files::remove(&offset_path(dir, base, TIME_INDEX))?;
        // The first one's file is replaced by the rename itself, so its offsets are never without one.
        if base != base_offset {
            files::remove(&offset_path(dir, base, TXN_INDEX))?; // what stays of it is in the first one's already
            files::remove(&offset_path(dir, base, LOG))?;
        }
    }
    base::crash_point("broker.log.compact.before_rename");
    let path = offset_path(dir, base_offset, LOG);
    files::rename(swap, &path).map_err(|error| LogError::disk("rename", swap, error))
}

//! The writing side of a log: checks of what clients send, the one write for all that waits, rolling.

use std::{
    fs::File,
    io::IoSlice,
    sync::{Arc, atomic::Ordering},
};

use base::crash_point;
use bytes::Bytes;
use parking_lot::MutexGuard;
use wire::{
    batch::{BATCH_HEADER_BYTES, Batch, BatchError, BatchHeader, Patch, Repacked, batches},
    compression::Packing,
};

use super::{
    aborted::Aborted,
    appender::Append,
    errors::LogError,
    files::{self, SNAPSHOT},
    options::{Durability, LogOptions, TimestampType},
    partition::{Appended, Log, Writer},
    producers::{Ending, Producer, Producers, Verdict},
    segment::Segment,
};

/// Records are decompressed to at most this.
pub(crate) const RECORDS_BYTES_MAX: usize = 256 << 20;
/// A record that has no time.
const NO_TIMESTAMP: i64 = -1;
/// Kafka's bound on offsets within one segment: the indices write four bytes, signed there.
const SEGMENT_OFFSETS_MAX: i64 = i32::MAX as i64;

/// Where the log grows. Only the appender's thread and whoever changes the list of segments lock it.
#[derive(Default)]
pub(crate) struct Tail {
    pub(crate) next_offset: i64,
    /// Bytes in the last segment.
    pub(crate) position: u64,
    pub(crate) unindexed_bytes: u64,
    /// The time of the last segment's first batch, or when it was made.
    pub(crate) rolled_ms: i64,
    pub(crate) producers: Producers,
    /// A write failed, and a part of it lies behind `position`: it must not stay before what comes next.
    pub(crate) ragged: bool,
    /// The last write failed, and the log has said so: clients try again many times a second.
    pub(crate) refuses: bool,
    /// Written, and not shown to readers yet. The file is kept open until it is synced.
    pub(crate) unpublished: Vec<Written>,
    /// Full segments that, with their indices, no fsync has covered yet.
    pub(crate) unsynced: Vec<Arc<Segment>>,
    pub(crate) snapshot_at: i64,
}

/// Where a segment ends after a write.
pub(crate) struct Written {
    segment: Arc<Segment>,
    file: Arc<File>,
    position: u64,
}

/// Batches that the next write takes together, and what is noted once they are written.
#[derive(Default)]
struct Run<'a> {
    heads: Vec<[u8; BATCH_HEADER_BYTES]>,
    bodies: Vec<&'a [u8]>,
    noted: Vec<(BatchHeader, u64)>,
    undo: Vec<(i64, Option<Producer>)>,
    aborted: Vec<Aborted>,
    first_answer: usize,
    bytes: u64,
}

type Answers = Vec<Result<Appended, LogError>>;

impl Log {
    /// What can be refused before queueing, on the caller's thread: gives what is to be stored.
    pub(crate) fn check_records(
        &self,
        records: Bytes,
        writer: Writer,
        options: &LogOptions,
    ) -> Result<Bytes, LogError> {
        let log = || self.name.clone();
        let invalid = |why| Err(LogError::InvalidRecord { log: log(), why });
        let (mut count, mut mended) = (0, None);
        for batch in batches(&records) {
            let batch = batch.map_err(|source| LogError::Batch { log: log(), source })?;
            batch.check_crc().map_err(|source| LogError::Batch { log: log(), source })?;
            let (bytes, bytes_max) = (batch.bytes.len() as u64, u64::from(options.message_bytes_max));
            // What the broker keeps itself is as large as what it is made of: where it could not be written, its group would stand still.
            if writer != Writer::Broker && bytes > bytes_max {
                return Err(LogError::BatchTooLarge { log: log(), bytes, bytes_max });
            }
            count += 1;
            if writer != Writer::Broker {
                self.check_client_batch(&batch, writer)?;
                let latest_ms = self.check_client_records(&batch, options)?;
                // A time that no record has would mislead whoever looks for one: it is put right, as Kafka does.
                mended =
                    (latest_ms != batch.header.max_timestamp_ms).then(|| batch.with_max_timestamp(latest_ms));
            }
        }
        match count {
            0 => invalid("there is no record batch"),
            1 => Ok(mended.unwrap_or(records)),
            _ if writer != Writer::Broker => {
                invalid("a produce request has more than one batch for the partition")
            }
            _ => Ok(records),
        }
    }

    fn check_client_batch(&self, batch: &Batch<'_>, writer: Writer) -> Result<(), LogError> {
        let (log, header) = (|| self.name.clone(), &batch.header);
        let invalid = |why| Err(LogError::InvalidRecord { log: log(), why });
        if header.is_control() {
            return invalid("clients may not write control batches");
        }
        if header.records_count == 0 || header.records_count != header.last_offset_delta + 1 {
            return invalid("the batch's count of records is not its count of offsets");
        }
        if header.is_idempotent() && (header.base_sequence < 0 || header.producer_epoch < 0) {
            return invalid("an idempotent producer's batch has no sequence or epoch");
        }
        if header.is_transactional() && !header.is_idempotent() {
            return invalid("a transactional batch has no producer id");
        }
        if header.is_transactional() && writer != Writer::Transaction {
            return Err(LogError::NoTransaction { log: log(), producer_id: header.producer_id });
        }
        Ok(())
    }

    /// Every record, as Kafka's LogValidator does: they unpack, are as many as the batch says, and fit the topic. What lies in the log
    /// can be read, then, by compaction as by consumers. Gives the latest of their times.
    fn check_client_records(&self, batch: &Batch<'_>, options: &LogOptions) -> Result<i64, LogError> {
        let now_ms = self.clock.now_ms();
        let times = match options.timestamp_type {
            TimestampType::CreateTime => {
                now_ms.saturating_sub(options.timestamp_before_ms_max)
                    ..=now_ms.saturating_add(options.timestamp_after_ms_max)
            }
            TimestampType::LogAppendTime => i64::MIN..=i64::MAX,
        };
        let mut latest_ms = NO_TIMESTAMP;
        let (mut keyless, mut untimely, mut first_ms) = (Vec::new(), Vec::new(), None);
        let walked = batch.walk(RECORDS_BYTES_MAX, |record| {
            latest_ms = latest_ms.max(record.timestamp_ms);
            if options.cleanup.compact && !record.has_key {
                keyless.push(record.index);
            } else if record.timestamp_ms != NO_TIMESTAMP && !times.contains(&record.timestamp_ms) {
                first_ms.get_or_insert(record.timestamp_ms);
                untimely.push(record.index);
            }
            Ok::<_, BatchError>(())
        });
        let log = self.name.clone();
        walked.map_err(|source| LogError::Batch { log: log.clone(), source })?;
        match first_ms {
            // A time that does not fit is what Kafka tells of the two.
            Some(timestamp_ms) => {
                let (from_ms, to_ms) = times.into_inner();
                let records = [keyless, untimely].concat().into();
                Err(LogError::InvalidTimestamp { log, timestamp_ms, from_ms, to_ms, records })
            }
            None if !keyless.is_empty() => Err(LogError::NoKey { log, records: keyless.into() }),
            None => Ok(latest_ms),
        }
    }

    /// A client's batch, which has been checked, packed as the topic has it. That takes a while, and holds up nobody else.
    pub(crate) async fn packed(
        &self,
        records: Bytes,
        packing: Packing,
        bytes_max: u32,
    ) -> Result<Bytes, LogError> {
        let unsound = |source| LogError::Batch { log: self.name.clone(), source };
        let header = BatchHeader::parse(&records).map_err(unsound)?;
        if header.compression().map_err(unsound)? == packing.codec {
            return Ok(records);
        }
        let repacking = tokio::task::spawn_blocking(move || {
            Batch::first(&records)?.repacked(packing, RECORDS_BYTES_MAX, bytes_max as usize)
        });
        let closed = |_| LogError::Closed { log: self.name.clone() };
        match repacking.await.map_err(closed)?.map_err(unsound)? {
            Repacked::Batch(packed) => Ok(packed),
            Repacked::TooLarge { bytes } => Err(LogError::BatchTooLarge {
                log: self.name.clone(),
                bytes: bytes as u64,
                bytes_max: bytes_max.into(),
            }),
        }
    }

    /// Writes appends in their order; nothing is visible before `publish`. One answer for each.
    pub(crate) fn write(&self, appends: &[Append]) -> Answers {
        let mut tail = self.tail.lock();
        if let Err(error) = self.check_state().and_then(|()| self.mend(&mut tail)) {
            return appends.iter().map(|_| Err(error.clone())).collect();
        }
        let options = self.options();
        let mut answers = Vec::with_capacity(appends.len());
        let mut run = Run::default();
        for append in appends {
            let answer = self.place(&mut tail, &mut run, &mut answers, append, &options);
            answers.push(answer);
        }
        self.write_run(&mut tail, &mut run, &mut answers, &options).ok(); // the answers have it
        answers
    }

    fn place<'a>(
        &self,
        tail: &mut Tail,
        run: &mut Run<'a>,
        answers: &mut Answers,
        append: &'a Append,
        options: &LogOptions,
    ) -> Result<Appended, LogError> {
        let now_ms = self.clock.now_ms();
        let stamps = options.timestamp_type == TimestampType::LogAppendTime;
        let append_time_ms = stamps.then_some(now_ms);
        let parsed: Result<Vec<Batch<'a>>, _> = batches(&append.records).collect();
        let parsed = parsed.map_err(|source| LogError::Batch { log: self.name.clone(), source })?;
        // What the broker writes for a producer (markers, offsets) has no sequence.
        for batch in parsed.iter().filter(|_| append.writer != Writer::Broker) {
            if let Some(sent) = self.check_producer(&tail.producers, &batch.header)? {
                return Ok(sent);
            }
        }
        let latest_ms = parsed.iter().map(|batch| batch.header.max_timestamp_ms).max().unwrap_or(-1);
        let offsets: i64 = parsed.iter().map(|batch| i64::from(batch.header.last_offset_delta) + 1).sum();
        if self.must_roll(tail, run, append.records.len() as u64, offsets, latest_ms, options) {
            // What was to come before has failed: so does this, or it would be taken without it.
            self.write_run(tail, run, answers, options)?;
            self.roll(tail)?;
        }
        if tail.position == 0 && run.bytes == 0 {
            tail.rolled_ms = if latest_ms >= 0 { latest_ms } else { now_ms };
        }
        let base_offset = tail.next_offset;
        for batch in parsed {
            let patch =
                Patch { base_offset: tail.next_offset, leader_epoch: append.leader_epoch, append_time_ms };
            let head = patch.header_of(&batch);
            let header = BatchHeader {
                base_offset: tail.next_offset,
                max_timestamp_ms: append_time_ms.unwrap_or(batch.header.max_timestamp_ms),
                ..batch.header
            };
            if header.is_idempotent() {
                let took = tail.producers.took(&header, Ending::of(&batch), self.clock.steady_ms());
                run.undo.push((header.producer_id, took.before));
                run.aborted.extend(took.aborted);
            }
            run.noted.push((header, tail.position + run.bytes));
            run.heads.push(head);
            run.bodies.push(batch.body());
            run.bytes += batch.bytes.len() as u64;
            tail.next_offset = header.next_offset();
        }
        Ok(Appended {
            base_offset,
            last_offset: tail.next_offset - 1,
            log_append_time_ms: append_time_ms.unwrap_or(-1),
            start_offset: self.start_offset(),
            duplicate: false,
        })
    }

    fn check_producer(
        &self,
        producers: &Producers,
        header: &BatchHeader,
    ) -> Result<Option<Appended>, LogError> {
        if !header.is_idempotent() {
            return Ok(None);
        }
        let (log, producer_id) = (self.name.clone(), header.producer_id);
        match producers.check(header) {
            Verdict::Fresh => Ok(None),
            Verdict::Duplicate(sent) => Ok(Some(Appended {
                base_offset: sent.base_offset,
                last_offset: sent.last_offset,
                log_append_time_ms: -1,
                start_offset: self.start_offset(),
                duplicate: true,
            })),
            Verdict::OutOfOrder { expected } => Err(LogError::OutOfOrderSequence {
                log,
                producer_id,
                sequence: header.base_sequence,
                expected,
            }),
            Verdict::Fenced { current } => {
                Err(LogError::ProducerFenced { log, producer_id, epoch: header.producer_epoch, current })
            }
        }
    }

    fn must_roll(
        &self,
        tail: &Tail,
        run: &Run<'_>,
        bytes: u64,
        offsets: i64,
        latest_ms: i64,
        options: &LogOptions,
    ) -> bool {
        let position = tail.position + run.bytes;
        if position == 0 {
            return false;
        }
        let age_ms_max = match options.cleanup.compact {
            true => options.segment_ms.min(options.max_compaction_lag_ms),
            false => options.segment_ms,
        };
        let now_ms = if latest_ms >= 0 { latest_ms } else { self.clock.now_ms() };
        let base_offset = self.segments.read().last().map_or(0, |segment| segment.base_offset);
        position + bytes > options.segment_bytes.min(i32::MAX as u64)
            || now_ms.saturating_sub(tail.rolled_ms) > age_ms_max
            || tail.next_offset + offsets - base_offset > SEGMENT_OFFSETS_MAX
    }

    /// One write for the whole run. If it fails, the file and all that was noted are as before.
    fn write_run(
        &self,
        tail: &mut Tail,
        run: &mut Run<'_>,
        answers: &mut Answers,
        options: &LogOptions,
    ) -> Result<(), LogError> {
        let done = std::mem::take(run);
        run.first_answer = answers.len();
        if done.heads.is_empty() {
            return Ok(());
        }
        let segment = self.active();
        let mut slices = Vec::with_capacity(done.heads.len() * 2);
        for (head, body) in done.heads.iter().zip(&done.bodies) {
            slices.extend([IoSlice::new(head), IoSlice::new(body)]);
        }
        crash_point("broker.log.before_write");
        // Before its marker, an entry harms nothing: the transaction is to be aborted, whatever happens to this write.
        let noted = done.aborted.iter().try_for_each(|entry| {
            self.has_aborted.store(true, Ordering::SeqCst);
            segment.note_aborted(*entry)
        });
        let written = noted.and_then(|()| segment.append(&mut slices));
        crash_point("broker.log.after_write");
        let file = match written {
            Ok(file) => file,
            Err(error) => {
                let error = segment.disk("write")(error);
                if !std::mem::replace(&mut tail.refuses, true) {
                    tracing::error!(log = %self.name, "{}", base::problem::plain(&error));
                }
                self.undo_run(tail, done, answers, &error);
                return Err(error);
            }
        };
        if std::mem::take(&mut tail.refuses) {
            tracing::info!(log = %self.name, "records are taken again");
        }
        for (header, position) in &done.noted {
            let indexed = tail.unindexed_bytes > options.index_interval_bytes;
            tail.unindexed_bytes = if indexed { 0 } else { tail.unindexed_bytes };
            tail.unindexed_bytes += header.size_bytes() as u64;
            if let Err(error) = segment.note(header, *position, indexed) {
                // The index is rebuilt from the log; without this entry a search only begins earlier.
                tracing::warn!(log = %self.name, %error, "cannot write the index");
            }
        }
        tail.position += done.bytes;
        tail.unpublished.push(Written { segment, file, position: tail.position });
        Ok(())
    }

    /// Clients may send it again, and will: what is full now may have room then.
    fn undo_run(&self, tail: &mut Tail, run: Run<'_>, answers: &mut Answers, error: &LogError) {
        for (producer_id, before) in run.undo.into_iter().rev() {
            tail.producers.restore(producer_id, before);
        }
        if let Some((header, _)) = run.noted.first() {
            tail.next_offset = header.base_offset;
        }
        answers.iter_mut().skip(run.first_answer).filter(|answer| answer.is_ok()).for_each(|answer| {
            *answer = Err(error.clone());
        });
        tail.ragged = true;
        self.mend(tail).ok(); // or before the next write
    }

    /// Cuts off what a failed write has left.
    pub(crate) fn mend(&self, tail: &mut Tail) -> Result<(), LogError> {
        if tail.ragged {
            let segment = self.active();
            segment.cut(tail.position).map_err(segment.disk("cut off a failed write from"))?;
            tail.ragged = false;
        }
        Ok(())
    }

    pub(crate) fn active(&self) -> Arc<Segment> {
        self.segments.read().last().expect("a log always has a segment").clone()
    }

    /// Closes the last segment and begins one at the next offset.
    pub(crate) fn roll(&self, tail: &mut Tail) -> Result<(), LogError> {
        crash_point("broker.log.before_roll");
        let full = self.active();
        if full.base_offset == tail.next_offset {
            return Ok(());
        }
        self.mend(tail)?;
        full.flush_index()?;
        self.snapshot(tail, false)?;
        crash_point("broker.log.roll.before_create");
        let fresh = Arc::new(Segment::make(&self.dir, tail.next_offset, &self.descriptors)?);
        if self.durability == Durability::Fsync
            && let Err(error) = files::sync_dir(&self.dir)
        {
            self.fail(&error);
            return Err(error);
        }
        let mut segments = self.segments.write();
        *segments = segments.iter().cloned().chain([fresh]).collect();
        drop(segments);
        tail.position = 0;
        tail.unindexed_bytes = 0;
        tail.rolled_ms = self.clock.now_ms();
        tail.unsynced.push(full);
        crash_point("broker.log.after_roll");
        Ok(())
    }

    /// Writes down the producers' state as of the next offset, and forgets older snapshots that nobody needs.
    pub(crate) fn snapshot(&self, tail: &mut Tail, sync: bool) -> Result<(), LogError> {
        let at = tail.next_offset;
        if tail.snapshot_at == at {
            return Ok(());
        }
        tail.producers.write(&files::offset_path(&self.dir, at, SNAPSHOT), sync)?;
        let mut old = super::recovery::snapshot_offsets(&self.dir)?;
        old.truncate(old.len().saturating_sub(2));
        // After a power cut recovery begins where the log was synced last, and wants the state as of there.
        let unsynced_from = tail.unsynced.first().map_or(i64::MAX, |segment| segment.base_offset);
        old.retain(|&at| at < unsynced_from);
        tail.snapshot_at = at;
        old.iter().try_for_each(|&old| files::remove(&files::offset_path(&self.dir, old, SNAPSHOT)))
    }

    /// Brings what was written to the disk (`Fsync`) and shows it to readers. A failed fsync is final: the pages may be
    /// gone although a second one would say that all is well.
    pub(crate) fn publish(&self) -> Result<(), LogError> {
        let mut tail = self.tail.lock();
        let unpublished = std::mem::take(&mut tail.unpublished);
        if self.durability == Durability::Fsync
            && let Err(error) = self.sync_written(&unpublished)
        {
            self.fail(&error);
            return Err(error);
        }
        self.show(tail, unpublished);
        Ok(())
    }

    fn sync_written(&self, written: &[Written]) -> Result<(), LogError> {
        crash_point("broker.log.before_sync");
        let mut synced: Option<&Arc<Segment>> = None;
        for Written { segment, file, .. } in written {
            if synced.is_none_or(|last| !Arc::ptr_eq(last, segment)) {
                segment.sync_file(file)?;
            }
            synced = Some(segment);
        }
        crash_point("broker.log.after_sync");
        Ok(())
    }

    fn show(&self, tail: MutexGuard<'_, Tail>, written: Vec<Written>) {
        // Lowered before the end rises: who reads the end first is never shown more than is stable.
        self.unstable.store(tail.producers.first_open().unwrap_or(i64::MAX), Ordering::SeqCst);
        let before = self.end.swap(tail.next_offset, Ordering::SeqCst);
        assert!(before <= tail.next_offset, "the end of {} fell from {before}", self.name);
        for Written { segment, position, .. } in written {
            segment.visible_bytes.store(position, Ordering::Release);
        }
        drop(tail);
        self.wake_readers();
    }
}

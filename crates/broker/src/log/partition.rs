//! One partition's log: what readers and writers call.

use std::{
    path::Path,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering},
    },
};

use base::Clock;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot};

use super::{
    appender::{Append, Queue},
    descriptors::Descriptors,
    errors::LogError,
    options::{Durability, LogOptions},
    producers::ProducerState,
    segment::Segment,
    writer::Tail,
};

/// One partition's log. Shared; every call is safe from any thread.
pub struct Log {
    pub(crate) name: Arc<str>,
    pub(crate) dir: Arc<Path>,
    pub(crate) options: RwLock<Arc<LogOptions>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) durability: Durability,
    pub(crate) queue: Queue,
    pub(crate) descriptors: Arc<Descriptors>,
    /// By base offset; the last is the one that grows. Replaced only while `tail` is locked.
    pub(crate) segments: RwLock<Arc<[Arc<Segment>]>>,
    pub(crate) tail: Mutex<Tail>,
    /// Held by whoever removes or rewrites segments.
    pub(crate) tending: Mutex<()>,
    pub(crate) start: AtomicI64,
    pub(crate) end: AtomicI64,
    /// Where the oldest open transaction begins; `i64::MAX` without one.
    pub(crate) unstable: AtomicI64,
    /// Most logs never have an aborted transaction: their readers need not look for any.
    pub(crate) has_aborted: AtomicBool,
    /// Up to here the log is compacted.
    pub(crate) cleaned_to: AtomicI64,
    pub(crate) state: AtomicU8,
    pub(crate) failure: Mutex<Arc<str>>,
    readers: Mutex<Vec<Weak<Notify>>>,
    readers_wait: AtomicBool,
    /// Where recent reads ended, so that the next one need not search.
    pub(crate) hints: Mutex<super::reader::Hints>,
}

pub(crate) const OPEN: u8 = 0;
pub(crate) const CLOSED: u8 = 1;
pub(crate) const DELETED: u8 = 2;
pub(crate) const FAILED: u8 = 3;

/// Who appends: a client's batches are checked more strictly (one batch, no control batch, whole offsets, sequences).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    Client,
    /// A client whose transaction the caller has found open for this partition.
    Transaction,
    Broker,
}

/// Where an append landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
    /// -1 unless the topic stamps records itself (`LogAppendTime`).
    pub log_append_time_ms: i64,
    pub start_offset: i64,
    /// The producer had sent this batch before; the offsets are those of the first time.
    pub duplicate: bool,
}

/// An append that is queued: await it for the answer. Dropping it does not undo the append.
#[must_use = "an append may fail: await its answer"]
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Result<Appended, LogError>>,
    log: Arc<str>,
}

/// What `Recovered` and the folder say about a log that is being opened.
pub(crate) struct Parts {
    pub(crate) name: Arc<str>,
    pub(crate) dir: Arc<Path>,
    pub(crate) options: Arc<LogOptions>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) durability: Durability,
    pub(crate) queue: Queue,
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) tail: Tail,
    pub(crate) start: i64,
    pub(crate) cleaned_to: i64,
}

impl Log {
    pub(crate) fn new(parts: Parts) -> Self {
        let end = parts.tail.next_offset;
        let unstable = parts.tail.producers.first_open().unwrap_or(i64::MAX);
        let has_aborted = parts.segments.iter().any(|segment| segment.aborted.lock().is_some());
        Self {
            name: parts.name,
            dir: parts.dir,
            options: RwLock::new(parts.options),
            clock: parts.clock,
            durability: parts.durability,
            queue: parts.queue,
            descriptors: parts.descriptors,
            segments: RwLock::new(parts.segments.into()),
            tail: Mutex::new(parts.tail),
            tending: Mutex::new(()),
            start: AtomicI64::new(parts.start),
            end: AtomicI64::new(end),
            unstable: AtomicI64::new(unstable),
            has_aborted: AtomicBool::new(has_aborted),
            cleaned_to: AtomicI64::new(parts.cleaned_to),
            state: AtomicU8::new(OPEN),
            failure: Mutex::new("".into()),
            readers: Mutex::new(Vec::new()),
            readers_wait: AtomicBool::new(false),
            hints: Mutex::default(),
        }
    }

    /// `topic-partition`, the folder's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Queues `records` (checked here: CRC, sizes, and a client's record by record), in the order of the calls; waits only while the
    /// queue is full, and where a client's are packed anew.
    pub async fn submit(
        self: &Arc<Self>,
        records: Bytes,
        leader_epoch: i32,
        writer: Writer,
    ) -> Result<Pending, LogError> {
        self.check_state()?;
        let options = self.options();
        let records = self.check_records(records, writer, &options)?;
        let records = match options.compression.filter(|_| writer != Writer::Broker) {
            Some(packing) => self.packed(records, packing, options.message_bytes_max).await?,
            None => records,
        };
        let permit = self.queue.room(records.len()).await;
        let (done, answer) = oneshot::channel();
        let append = Append { log: self.clone(), records, leader_epoch, writer, done, _permit: permit };
        self.queue.send(append).map_err(|_| LogError::Closed { log: self.name.clone() })?;
        Ok(Pending { answer, log: self.name.clone() })
    }

    /// `submit`, and the answer: the records are visible to readers, and on the disk with `Durability::Fsync`.
    pub async fn append(
        self: &Arc<Self>,
        records: Bytes,
        leader_epoch: i32,
        writer: Writer,
    ) -> Result<Appended, LogError> {
        self.submit(records, leader_epoch, writer).await?.answer().await
    }

    /// Notifies `reader` once after the next append that readers can see (or the log's end). Register, then read, then
    /// wait: so nothing is missed. One `Notify` may be registered with many logs; dropping it is enough to leave.
    pub fn wake_on_append(&self, reader: &Arc<Notify>) {
        let mut readers = self.readers.lock();
        if readers.len() >= 8 && readers.len().is_power_of_two() {
            readers.retain(|reader| reader.strong_count() > 0);
        }
        readers.push(Arc::downgrade(reader));
        self.readers_wait.store(true, Ordering::SeqCst);
    }

    pub(crate) fn wake_readers(&self) {
        if self.readers_wait.swap(false, Ordering::SeqCst) {
            let readers = std::mem::take(&mut *self.readers.lock());
            // `notify_one` leaves a permit, so one who registered but does not wait yet is woken too.
            readers.iter().filter_map(Weak::upgrade).for_each(|reader| reader.notify_one());
        }
    }

    /// The first offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.start.load(Ordering::SeqCst)
    }

    /// The offset after the last record that readers see.
    pub fn high_watermark(&self) -> i64 {
        self.end.load(Ordering::SeqCst)
    }

    /// The offset after the last record whose transaction, if it has one, is decided.
    pub fn last_stable_offset(&self) -> i64 {
        let end = self.high_watermark(); // before `unstable`: see `Log::show`
        end.min(self.unstable.load(Ordering::SeqCst)).max(self.start_offset())
    }

    /// The producers that the log remembers.
    pub fn producers(&self) -> Vec<ProducerState> {
        self.tail.lock().producers.states()
    }

    /// Its topic is gone; another log may have its name by now.
    pub fn is_deleted(&self) -> bool {
        self.state.load(Ordering::SeqCst) == DELETED
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.visible()).sum()
    }

    pub fn options(&self) -> Arc<LogOptions> {
        self.options.read().clone()
    }

    /// From the next append and the next round of tending on.
    pub fn set_options(&self, options: impl Into<Arc<LogOptions>>) {
        *self.options.write() = options.into();
    }

    pub(crate) fn all_segments(&self) -> Arc<[Arc<Segment>]> {
        self.segments.read().clone()
    }

    pub(crate) fn check_state(&self) -> Result<(), LogError> {
        let log = self.name.clone();
        match self.state.load(Ordering::SeqCst) {
            OPEN => Ok(()),
            CLOSED => Err(LogError::Closed { log }),
            DELETED => Err(LogError::Deleted { log }),
            _ => Err(LogError::Failed { log, reason: self.failure.lock().clone() }),
        }
    }

    /// No append is taken from here on; what readers saw they still see.
    pub(crate) fn fail(&self, error: &LogError) {
        *self.failure.lock() = base::problem::plain(error).lines().collect::<Vec<_>>().join("; ").into();
        self.state.store(FAILED, Ordering::SeqCst);
        tracing::error!(log = %self.name, "{}", base::problem::plain(error));
        self.wake_readers();
    }

    pub(crate) fn end_with(&self, state: u8) {
        self.state.store(state, Ordering::SeqCst);
        self.wake_readers();
    }
}

impl Pending {
    pub async fn answer(self) -> Result<Appended, LogError> {
        self.answer.await.unwrap_or(Err(LogError::Closed { log: self.log }))
    }
}

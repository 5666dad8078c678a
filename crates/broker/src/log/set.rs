//! All logs under one data folder, and the threads that serve them.

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io::Write,
    ops::Range,
    path::Path,
    sync::{Arc, Weak, mpsc},
    thread,
    time::Duration,
};

use base::Clock;
use parking_lot::{Mutex, RwLock};

use super::{
    appender::{self, Queue},
    clock_watch::ClockWatch,
    descriptors::Descriptors,
    errors::LogError,
    files::{self, DELETED},
    options::{Durability, LogOptions, LogsOptions},
    partition::{Log, Parts},
    recovery::{self, Ended, Recovered},
    segment::Segment,
};

const LOCK: &str = ".lock";
const CLEAN_END: &str = ".clean-end";
/// So many logs are opened before more threads help.
const LOGS_PER_THREAD_MIN: usize = 256;

/// All logs of a broker. Owns the appender's and the tending thread; `close` ends both.
pub struct Logs {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
    _lock: File,
}

type ByPartition = HashMap<(Arc<str>, i32), Arc<Log>>;

struct Shared {
    options: LogsOptions,
    clock: Arc<dyn Clock>,
    queue: Queue,
    descriptors: Arc<Descriptors>,
    clock_watch: ClockWatch,
    ended: Ended,
    logs: RwLock<ByPartition>,
    /// Opening and deleting take their time; one at a time, while others use the open logs.
    opening: Mutex<()>,
}

struct Threads {
    appender: thread::JoinHandle<()>,
    tending: thread::JoinHandle<()>,
    /// Dropping it ends the tending thread.
    _tending_stop: mpsc::Sender<()>,
}

/// What a round of tending did, for tests and the broker's log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tended {
    pub segments_deleted: usize,
    pub segments_compacted: usize,
}

impl Logs {
    /// Locks the folder (made if missing) and starts the threads. No log is open yet.
    pub fn open(options: LogsOptions, clock: Arc<dyn Clock>) -> Result<Logs, LogError> {
        let dir = &options.data_dir;
        fs::create_dir_all(dir).map_err(|error| LogError::disk("make", dir, error))?;
        let (lock, ended) = take_over(dir)?;
        remove_deleted(dir)?;
        let (queue, inbox) = Queue::new(options.queue_bytes_max);
        let shared = Arc::new(Shared {
            clock_watch: ClockWatch::new(&*clock),
            clock,
            queue,
            descriptors: Descriptors::new(options.open_files_count_max as usize),
            ended,
            logs: RwLock::default(),
            opening: Mutex::default(),
            options,
        });
        let no_thread = |error| LogError::disk("start a thread for", &shared.options.data_dir, error);
        let appender = appender::start(inbox).map_err(no_thread)?;
        let (tending_stop, stop) = mpsc::channel();
        let weak = Arc::downgrade(&shared);
        let interval_ms = shared.options.tend_interval_ms;
        let tending = thread::Builder::new().name("broker-tending".into());
        let tending = tending.spawn(move || tend_until(&weak, interval_ms, &stop)).map_err(no_thread)?;
        let threads = Threads { appender, tending, _tending_stop: tending_stop };
        Ok(Logs { shared, threads: Mutex::new(Some(threads)), _lock: lock })
    }

    /// Opens the log, or makes it, or gives the one that is open. Recovers it after an unclean end. Blocks on the disk.
    pub fn log(
        &self,
        topic: &str,
        partition: i32,
        options: impl Into<Arc<LogOptions>>,
    ) -> Result<Arc<Log>, LogError> {
        let options = options.into();
        let mut opened = self.log_each(&[(topic, partition..partition + 1, options)])?;
        Ok(opened.pop().expect("one was asked for"))
    }

    /// The same for all partitions of these ranges, in their order, by as many threads as there are processors.
    pub fn log_each(
        &self,
        wanted: &[(&str, Range<i32>, Arc<LogOptions>)],
    ) -> Result<Vec<Arc<Log>>, LogError> {
        let _opening = self.shared.opening.lock();
        let each: Vec<(&str, i32, &Arc<LogOptions>)> = wanted
            .iter()
            .flat_map(|(topic, range, options)| range.clone().map(move |number| (*topic, number, options)))
            .collect();
        let open_one = |(topic, partition, options): &(&str, i32, &Arc<LogOptions>)| {
            let key = (Arc::from(*topic), *partition);
            if let Some(log) = self.shared.logs.read().get(&key) {
                return Ok(log.clone());
            }
            let log = Arc::new(self.shared.open_log(topic, *partition, (*options).clone())?);
            self.shared.logs.write().insert(key, log.clone());
            Ok(log)
        };
        if each.len() < LOGS_PER_THREAD_MIN {
            return each.iter().map(open_one).collect();
        }
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut opened = Vec::with_capacity(each.len());
        thread::scope(|scope| {
            let shares = each.chunks(each.len().div_ceil(threads));
            let threads: Vec<_> = shares
                .map(|share| scope.spawn(|| share.iter().map(open_one).collect::<Result<Vec<_>, _>>()))
                .collect();
            for thread in threads {
                opened.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(opened)
        })
    }

    /// The partitions that have a folder, by topic and number: what the broker may open at start.
    pub fn found(&self) -> Result<Vec<(String, i32)>, LogError> {
        let dir = &self.shared.options.data_dir;
        let failed = |error| LogError::disk("list", dir, error);
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Some((topic, partition)) = name.rsplit_once('-') else { continue };
            if let Ok(partition) = partition.parse::<i32>()
                && !name.ends_with(DELETED)
                && entry.path().is_dir()
            {
                found.push((topic.to_owned(), partition));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Deletes a log and its files; who still reads or appends gets `Deleted`. Blocks on the disk.
    pub fn delete(&self, topic: &str, partition: i32) -> Result<(), LogError> {
        let _opening = self.shared.opening.lock();
        if let Some(log) = self.shared.logs.write().remove(&(topic.into(), partition)) {
            log.delete();
        }
        let dir = self.shared.options.data_dir.join(format!("{topic}-{partition}"));
        if !dir.exists() {
            return Ok(());
        }
        // Renamed first: a crash in between leaves no half log under the topic's name.
        let gone = self.shared.options.data_dir.join(format!("{topic}-{partition}{DELETED}"));
        if gone.exists() {
            fs::remove_dir_all(&gone).map_err(|error| LogError::disk("delete", &gone, error))?;
        }
        let removed = files::rename(&dir, &gone).and_then(|()| fs::remove_dir_all(&gone));
        removed.map_err(|error| LogError::disk("delete", &dir, error))
    }

    /// One round of retention, compaction, producer expiry and closing of idle files, now. Blocks on the disk.
    pub fn tend(&self) -> Result<Tended, LogError> {
        self.shared.tend()
    }

    /// Bytes of all open logs.
    pub fn size_bytes(&self) -> u64 {
        self.shared.logs.read().values().map(|log| log.size_bytes()).sum()
    }

    pub fn data_dir(&self) -> &Path {
        &self.shared.options.data_dir
    }

    /// Writes what is queued, snapshots producers, syncs as far as needed, leaves the mark of a clean end. Blocks on the
    /// disk. A second call does nothing. Dropping without it is a crash, and recovered as one.
    pub fn close(&self) -> Result<(), LogError> {
        let Some(threads) = self.threads.lock().take() else { return Ok(()) };
        drop(threads._tending_stop);
        self.shared.queue.stop();
        threads.tending.join().ok();
        threads.appender.join().ok();
        let dir = &self.shared.options.data_dir;
        // What lies in the page cache outlives us; the mark is only believed while the machine has not started anew.
        let boot_id = files::boot_id();
        let sync = self.shared.options.durability == Durability::Fsync || boot_id.is_none();
        let logs: Vec<Arc<Log>> = self.shared.logs.read().values().cloned().collect();
        let all_sound = logs.iter().all(|log| log.check_state().is_ok());
        logs.iter().try_for_each(|log| log.close(sync))?;
        base::crash_point("broker.log.before_clean_mark");
        let mark = if sync { "synced".to_owned() } else { boot_id.unwrap_or_default() };
        if all_sound { files::write_atomically(&dir.join(CLEAN_END), mark.as_bytes(), true) } else { Ok(()) }
    }
}

impl Shared {
    fn open_log(&self, topic: &str, partition: i32, options: Arc<LogOptions>) -> Result<Log, LogError> {
        let name: Arc<str> = format!("{topic}-{partition}").into();
        let dir: Arc<Path> = self.options.data_dir.join(&*name).into();
        files::make_dir(&dir).map_err(|error| LogError::disk("make", &*dir, error))?;
        let now_ms = self.clock.now_ms();
        let recovered = recovery::recover(&dir, &self.descriptors, self.ended, &options, now_ms)?;
        if self.options.durability == Durability::Fsync && self.ended != Ended::Clean {
            self.sync_recovered(&dir, &recovered)?;
        } else if self.options.durability == Durability::Fsync && recovered.tail.next_offset == 0 {
            files::sync_dir(&dir)?;
            files::sync_dir(&self.options.data_dir)?;
        }
        Ok(Log::new(Parts {
            name,
            dir,
            options,
            clock: self.clock.clone(),
            durability: self.options.durability,
            queue: self.queue.clone(),
            descriptors: self.descriptors.clone(),
            segments: recovered.segments,
            tail: recovered.tail,
            start: recovered.start,
            cleaned_to: recovered.cleaned_to,
        }))
    }

    /// What an earlier life wrote and had no time to sync is shown to readers, and to producers that ask again: so it is
    /// brought to the disk before that, and the folder itself, whose maker may have been killed.
    fn sync_recovered(&self, dir: &Path, recovered: &Recovered) -> Result<(), LogError> {
        let is_unsure = |segment: &&Arc<Segment>| segment.base_offset >= recovered.synced_to;
        let unsure = recovered.segments.iter().filter(is_unsure).filter(|segment| segment.visible() > 0);
        unsure.into_iter().try_for_each(|segment| segment.sync())?;
        files::sync_dir(dir)?;
        files::sync_dir(&self.options.data_dir)
    }

    fn tend(&self) -> Result<Tended, LogError> {
        let logs: Vec<Arc<Log>> = self.logs.read().values().cloned().collect();
        let mut total = Tended::default();
        let mut failed = None;
        if let Some(jumped) = self.clock_watch.look(&*self.clock) {
            tracing::warn!("{}", base::problem::plain(&jumped));
        }
        for log in logs {
            match log.tend(self.options.producer_expiration_ms) {
                Ok(tended) => {
                    total.segments_deleted += tended.segments_deleted;
                    total.segments_compacted += tended.segments_compacted;
                }
                Err(LogError::Closed { .. }) => return Ok(total),
                Err(error) => {
                    tracing::error!(log = %log.name, "{}", base::problem::plain(&error));
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(total), Err)
    }
}

fn tend_until(shared: &Weak<Shared>, interval_ms: u64, stop: &mpsc::Receiver<()>) {
    let interval = if interval_ms == 0 { Duration::MAX } else { Duration::from_millis(interval_ms) };
    loop {
        let ended = match interval {
            Duration::MAX => stop.recv().is_err(),
            interval => stop.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Disconnected),
        };
        let (false, Some(shared)) = (ended, shared.upgrade()) else { return };
        shared.tend().ok(); // each log's failure was logged where it happened; the next round tries again
    }
}

/// Takes the folder's lock and finds out how its last holder ended. The mark of a clean end is good for one start.
fn take_over(dir: &Path) -> Result<(File, Ended), LogError> {
    let path = dir.join(LOCK);
    let disk = |error| LogError::disk("lock", &path, error);
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut lock = opened.map_err(disk)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LogError::Locked { path }),
        Err(TryLockError::Error(error)) => return Err(disk(error)),
    }
    let boot_id = files::boot_id();
    let same_boot = |text: &str| boot_id.as_deref().is_some_and(|boot_id| boot_id == text.trim());
    let mark_path = dir.join(CLEAN_END);
    let mark = fs::read_to_string(&mark_path).unwrap_or_default();
    let holder = fs::read_to_string(&path).unwrap_or_default();
    let ended = match mark.trim() {
        "synced" => Ended::Clean,
        mark if same_boot(mark) => Ended::Clean,
        _ if same_boot(&holder) => Ended::Killed,
        _ => Ended::Unknown,
    };
    files::remove(&mark_path)?;
    files::sync_dir(dir)?;
    lock.set_len(0).map_err(disk)?;
    lock.write_all(boot_id.unwrap_or_default().as_bytes()).map_err(disk)?;
    Ok((lock, ended))
}

fn remove_deleted(dir: &Path) -> Result<(), LogError> {
    let failed = |error| LogError::disk("list", dir, error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().ends_with(DELETED) {
            fs::remove_dir_all(entry.path())
                .map_err(|error| LogError::disk("delete", entry.path(), error))?;
        }
    }
    Ok(())
}

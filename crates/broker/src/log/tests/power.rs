//! Histories of lives that end by kill -9 or by a power cut, with fsync before each answer: what was acknowledged is there
//! once, at its offset, in order; what was not is there once or not at all; a producer's retry finds out which.
//!
//! Each history follows from the printed seed: `TIDEMILL_SEED=<seed>` repeats the first of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
};

use parking_lot::Mutex;
use testkit::Seeded;
use wire::batch::control_batch;

use super::{layer::Layer, *};

const LIVES: u64 = 6;
const PRODUCER: i64 = 7;
const TRANSACTIONAL: i64 = 8;

struct History {
    random: Seeded,
    world: World,
    log_options: LogOptions,
    /// What is at each offset for good: it was acknowledged, or has been read.
    known: BTreeMap<i64, String>,
    /// Sent without an answer.
    unsure: BTreeSet<String>,
    sent_count: u64,
    /// The next sequence of the idempotent producer, and the batch whose answer it waits for.
    sequence: i32,
    retry: Option<(i32, String)>,
    /// The values of the open transaction, and what is known of those that ended.
    open: Vec<String>,
    aborted: BTreeSet<String>,
    start: i64,
    /// Of each key of a compacted log what its last value may be: what was acknowledged last, or has been sent since.
    keyed: BTreeMap<String, Vec<String>>,
    said: Vec<String>,
}

/// One record of the idempotent producer, or of one without sequences.
fn sent(sequence: Option<i32>, value: &str) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    if let Some(sequence) = sequence {
        builder = builder.producer(PRODUCER, 0, sequence);
    }
    builder.push(0, NOW_MS, Some(b"k"), Some(value.as_bytes()), []);
    builder.finish().unwrap()
}

/// In memory where that can be had: making and removing files is most of the work.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Seeded::new(seed);
        let segment_bytes = random.within(300..1_500);
        Self {
            random,
            world: World { dir: folder(), durability: Durability::Fsync, ..World::new() },
            log_options: LogOptions { segment_bytes, index_interval_bytes: 100, ..LogOptions::default() },
            known: BTreeMap::new(),
            unsure: BTreeSet::new(),
            sent_count: 0,
            sequence: 0,
            retry: None,
            open: Vec::new(),
            aborted: BTreeSet::new(),
            start: 0,
            keyed: BTreeMap::new(),
            said: vec![format!("seed {seed}")],
        }
    }

    fn value(&mut self) -> String {
        self.sent_count += 1;
        format!("value {}", self.sent_count)
    }

    /// One life: opens, checks what is there, writes until it dies.
    fn live(&mut self) {
        let data = self.world.dir.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let layer = Layer::over(&data);
        let ends_by_power = self.random.within(0..3) > 0;
        let steps = self.random.within(1..40);
        if ends_by_power {
            let acts = self.random.within(1..steps * 8);
            layer.power_for(acts);
        }
        if self.open_and_write(&layer, steps).is_err() {
            assert!(layer.is_off(), "only a power cut ends a life with an error: {:?}", self.said);
        }
        if ends_by_power {
            let dir = folder();
            layer.cut_power(&mut self.random, &dir.path().join("data"));
            self.said.push("power cut".to_owned());
            self.world.dir = dir;
            self.world.forget_boot();
        } else {
            self.said.push("killed".to_owned());
        }
    }

    fn open_and_write(&mut self, layer: &Layer, steps: u64) -> Result<(), LogError> {
        let options = LogsOptions {
            tend_interval_ms: 0,
            durability: Durability::Fsync,
            ..LogsOptions::at(self.world.dir.path().join("data"))
        };
        let logs = Logs::open(options, Arc::new(self.world.clock.clone()))?;
        let log = logs.log("t", 0, self.log_options.clone())?;
        let compacting = LogOptions {
            cleanup: Cleanup::COMPACT,
            min_cleanable_dirty_ratio: 0.0,
            ..self.log_options.clone()
        };
        let compacted = logs.log("c", 0, compacting)?;
        self.check(&log);
        self.check_keys(&compacted);
        for _ in 0..steps {
            if layer.is_off() {
                return Ok(());
            }
            match self.random.within(0..4) {
                0 => self.append_keyed(&compacted),
                _ => self.step(&logs, &log),
            }
        }
        if self.random.within(0..4) == 0 && logs.close().is_ok() {
            self.said.push("closed".to_owned());
        }
        Ok(())
    }

    fn step(&mut self, logs: &Logs, log: &Arc<Log>) {
        match self.random.within(0..20) {
            0..8 => {
                let count = self.random.within(1..5);
                self.append_plain(log, count);
            }
            8..13 => self.append_idempotent(log),
            13..16 => self.append_transactional(log),
            16..18 => self.end_transaction(log),
            18 => {
                self.said.push(format!("tend: {:?}", logs.tend().is_ok()));
            }
            _ => {
                let end = log.high_watermark();
                let offset = self.start + self.random.within(0..(end - self.start) as u64 / 3 + 1) as i64;
                if let Ok(start) = log.truncate_prefix(offset) {
                    self.start = start;
                    self.said.push(format!("start {start}"));
                }
            }
        }
    }

    fn append_plain(&mut self, log: &Arc<Log>, count: u64) {
        let values: Vec<String> = (0..count).map(|_| self.value()).collect();
        let answers = wait(async {
            let mut pending = Vec::new();
            for value in &values {
                pending.push(log.submit(sent(None, value), 0, Writer::Client).await);
            }
            let mut answers = Vec::new();
            for pending in pending {
                answers.push(match pending {
                    Ok(pending) => pending.answer().await,
                    Err(error) => Err(error),
                });
            }
            answers
        });
        values.into_iter().zip(answers).for_each(|(value, answer)| self.heard(value, answer));
    }

    fn heard(&mut self, value: String, answer: Result<Appended, LogError>) {
        match answer {
            Ok(appended) => {
                self.said.push(format!("{} = {value}", appended.base_offset));
                self.unsure.remove(&value);
                let before = self.known.insert(appended.base_offset, value.clone());
                assert!(before.is_none_or(|before| before == value), "{:?}", self.said);
            }
            Err(_) => {
                self.said.push(format!("? = {value}"));
                self.unsure.insert(value);
            }
        }
    }

    /// The next batch, or again the one that nobody answered for.
    fn append_idempotent(&mut self, log: &Arc<Log>) {
        let (sequence, value) = self.retry.take().unwrap_or_else(|| (self.sequence, self.value()));
        let records = sent(Some(sequence), &value);
        let answer = wait(log.append(records, 0, Writer::Client));
        match &answer {
            Ok(_) => self.sequence = sequence + 1,
            Err(error) => {
                let is_disk = matches!(error, LogError::Disk { .. } | LogError::Failed { .. });
                assert!(is_disk, "{error}: {:?}", self.said);
                self.retry = Some((sequence, value.clone()));
            }
        }
        self.heard(value, answer);
    }

    fn append_transactional(&mut self, log: &Arc<Log>) {
        let value = self.value();
        let sequence = i32::try_from(self.sent_count).unwrap(); // gaps do not matter to who starts anew each time
        let mut builder = BatchBuilder::new(0).producer(TRANSACTIONAL, i16::try_from(sequence).unwrap(), 0);
        builder = builder.transactional();
        builder.push(0, NOW_MS, Some(b"k"), Some(value.as_bytes()), []);
        let records = builder.finish().unwrap();
        let answer = wait(log.append(records, 0, Writer::Transaction));
        self.open.push(value.clone());
        self.heard(value, answer);
    }

    fn end_transaction(&mut self, log: &Arc<Log>) {
        let commit = self.random.within(0..2) == 0;
        let epoch = i16::try_from(self.sent_count).unwrap();
        let marker = control_batch(TRANSACTIONAL, epoch, commit, 0, NOW_MS).unwrap();
        if wait(log.append(marker, 0, Writer::Broker)).is_ok() {
            self.said.push(format!("commit: {commit}"));
            let ended = std::mem::take(&mut self.open);
            if !commit {
                self.aborted.extend(ended);
            }
        } else {
            // Whether it ended nobody knows: nothing is said of these any more.
            self.open.clear();
        }
    }

    fn append_keyed(&mut self, log: &Arc<Log>) {
        let (key, value) = (format!("key {}", self.random.within(0..5)), self.value());
        let records = batch_at(NOW_MS, &[(&key, Some(&value))]);
        let answer = wait(log.append(records, 0, Writer::Client));
        let values = self.keyed.entry(key).or_default();
        if answer.is_ok() {
            values.clear();
        } else if values.is_empty() {
            values.push("nothing".to_owned());
        }
        values.push(value);
    }

    fn check_keys(&mut self, log: &Log) {
        let rows = read_from(log, log.start_offset(), ALL);
        assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0), "{rows:?}: {:?}", self.said);
        let found: BTreeMap<String, String> =
            rows.into_iter().filter_map(|(_, key, value)| Some((key, value?))).collect();
        for (key, values) in &mut self.keyed {
            let last = found.get(key).map_or("nothing", String::as_str).to_owned();
            assert!(values.contains(&last), "{key} is {last}, not of {values:?}: {:?}", self.said);
            *values = vec![last];
        }
    }

    /// What the life found. From now on it is known: it has been read.
    fn check(&mut self, log: &Log) {
        let said = || format!("{:?}", self.said);
        let (start, end) = (log.start_offset(), log.high_watermark());
        assert!(start >= self.start, "records that were deleted are back: {}", said());
        let rows = read_from(log, start, ALL);
        let markers_too = rows.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(markers_too && rows.last().is_none_or(|row| row.0 < end), "{}", said());
        let found: BTreeMap<i64, String> = rows
            .into_iter()
            .filter_map(|(offset, _, value)| Some((offset, value?)))
            .filter(|(_, value)| value.starts_with("value "))
            .collect();
        let distinct: BTreeSet<&String> = found.values().collect();
        assert_eq!(distinct.len(), found.len(), "a record is there twice: {found:?}: {}", said());
        for (offset, value) in self.known.range(start..) {
            assert_eq!(found.get(offset), Some(value), "at {offset} of {start}..{end}: {}", said());
        }
        for (offset, value) in &found {
            assert!(
                self.known.contains_key(offset) || self.unsure.contains(value),
                "nobody sent {value} at {offset}: {}",
                said()
            );
        }
        let aborted = log.aborted_in(start..end).unwrap();
        for (offset, value) in found.iter().filter(|(_, value)| self.aborted.contains(*value)) {
            let hidden = aborted.iter().any(|entry| (entry.first_offset..entry.last_offset).contains(offset));
            assert!(hidden, "{value} at {offset} was aborted and is shown: {aborted:?}: {}", said());
        }
        self.start = start;
        self.unsure.retain(|value| !distinct.contains(value));
        self.known = found;
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let histories = if testkit::deep() { 20_000 } else { 200 };
    for seed in testkit::seeds(1) {
        eprintln!("seed {seed}");
        let numbers = Mutex::new(0..histories);
        let live = || {
            while let Some(number) = { numbers.lock().next() } {
                let mut history = History::new(seed.wrapping_add(number));
                (0..LIVES).for_each(|_| history.live());
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(live))));
    }
}

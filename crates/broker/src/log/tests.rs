//! The log from outside: what is appended is read back, whatever happens to the process in between.

mod appending;
mod clocks;
#[cfg(target_os = "linux")]
mod cold;
mod compacting;
mod damage;
mod ending;
mod failing;
pub(super) mod layer;
mod power;
mod recovering;
mod transacting;

use std::{future::Future, path::PathBuf, sync::Arc};

use base::ManualClock;
use bytes::Bytes;
use tempfile::TempDir;
use wire::batch::{BatchBuilder, batches};

use super::*;

pub(super) const NOW_MS: i64 = 1_700_000_000_000;
pub(super) const ALL: ReadLimit =
    ReadLimit { bytes_max: usize::MAX >> 8, at_least_one: true, before: i64::MAX };

/// A folder and a clock that outlive the processes that a test plays.
pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) clock: ManualClock,
    pub(super) durability: Durability,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = ManualClock::at(NOW_MS);
        Self { dir: tempfile::tempdir().unwrap(), clock, durability: Durability::PageCache }
    }

    pub(super) fn start(&self) -> Logs {
        let options = LogsOptions {
            tend_interval_ms: 0,
            durability: self.durability,
            ..LogsOptions::at(self.dir.path().join("data"))
        };
        Logs::open(options, Arc::new(self.clock.clone())).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("data/t-0").join(name)
    }

    /// As after a power cut: nothing says that the machine is still the same.
    pub(super) fn forget_boot(&self) {
        std::fs::write(self.dir.path().join("data/.lock"), "another boot").unwrap();
    }

    pub(super) fn files(&self, ending: &str) -> Vec<String> {
        let names = std::fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(ending));
        names.sort();
        names
    }
}

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(super) type Row<'a> = (&'a str, Option<&'a str>);

/// A batch whose records have these keys and values, and times from `time_ms` on.
pub(super) fn batch_at(time_ms: i64, rows: &[Row<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    for (place, (key, value)) in (0..).zip(rows) {
        builder.push(place, time_ms + place, Some(key.as_bytes()), value.map(str::as_bytes), []);
    }
    builder.finish().unwrap()
}

pub(super) fn batch(values: &[&str]) -> Bytes {
    let rows: Vec<Row<'_>> = values.iter().map(|value| ("k", Some(*value))).collect();
    batch_at(NOW_MS, &rows)
}

pub(super) fn append(log: &Arc<Log>, records: Bytes) -> Result<Appended, LogError> {
    wait(log.append(records, 3, Writer::Client))
}

/// Offset, key and value of all records from `from` on, through as many reads as it takes.
pub(super) fn read_from(log: &Log, from: i64, limit: ReadLimit) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut found, mut next) = (Vec::new(), from);
    loop {
        let fetched = log.read_blocking(next, limit).unwrap();
        if fetched.records.is_empty() {
            return found;
        }
        for batch in batches(&fetched.records) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            next = batch.header.next_offset();
            for record in &batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                if record.offset >= from {
                    found.push((record.offset, text(record.key.unwrap_or(b"")), record.value.map(text)));
                }
            }
        }
    }
}

pub(super) fn values(log: &Log) -> Vec<String> {
    let rows = read_from(log, log.start_offset(), ALL);
    rows.into_iter().map(|(_, _, value)| value.unwrap_or_default()).collect()
}

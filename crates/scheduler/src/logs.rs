//! The log of each try, in a file named as Airflow names it, one JSON object a line: written as it comes, read while it grows.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::{
    executor::Mask,
    store::rows::{DagRun, TaskInstance},
};

/// What one answer of the API carries at most; the rest follows by its token.
const READ_BYTES_MAX: u64 = 8 * 1024 * 1024;

#[derive(Debug, Clone)]
pub struct Logs {
    folder: PathBuf,
}

impl Logs {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    pub fn path(&self, run: &DagRun, task_id: &str, map_index: i32, try_number: u32) -> PathBuf {
        let mut path = self.folder.join(part("dag_id", &run.dag_id)).join(part("run_id", &run.run_id));
        path.push(part("task_id", task_id));
        if map_index >= 0 {
            path.push(format!("map_index={map_index}"));
        }
        path.join(format!("attempt={try_number}.log"))
    }

    /// Opens the log of a try, to write at its end: a sensor comes back to the same try.
    pub fn open(&self, run: &DagRun, instance: &TaskInstance, mask: Mask) -> io::Result<Log> {
        let path = self.path(run, &instance.task_id, instance.map_index, instance.try_number);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Log { file: Some(file), mask })
    }

    /// One line into the log of a try that nobody writes now.
    pub fn note(&self, run: &DagRun, instance: &TaskInstance, level: &str, text: &str, now_ms: i64) {
        match self.open(run, instance, Mask::default()) {
            Ok(mut log) => log.write(level, "task", text, now_ms),
            Err(error) => {
                tracing::warn!(%error, task_id = instance.task_id, "a task's log cannot be written")
            }
        }
    }

    /// The entries from a byte on, and where the next ones will begin. A line that is still being written is left for later.
    pub fn read(&self, path: &Path, from: u64) -> io::Result<(Vec<Value>, u64)> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), from)),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let entry = |line: &[u8]| {
            serde_json::from_slice(line)
                .unwrap_or_else(|_cut| json!({ "event": String::from_utf8_lossy(line), "level": "info" }))
        };
        Ok((lines.map(entry).collect(), from + whole as u64))
    }

    /// Removes the logs of a run.
    pub fn remove(&self, run: &DagRun) {
        let folder = self.folder.join(part("dag_id", &run.dag_id)).join(part("run_id", &run.run_id));
        fs::remove_dir_all(folder).ok();
    }
}

/// A folder's name as Airflow makes it; what could lead out of the folder is replaced.
fn part(name: &str, value: &str) -> String {
    format!("{name}={}", value.replace(['/', '\\', '\0'], "_"))
}

/// The log of a running try.
#[derive(Debug)]
pub struct Log {
    /// None once it cannot be written any more; the task goes on.
    file: Option<File>,
    mask: Mask,
}

impl Log {
    /// One that goes nowhere, where the file cannot be opened.
    pub fn nowhere(mask: Mask) -> Self {
        Self { file: None, mask }
    }

    /// The page cache takes a line in microseconds, and whoever follows the log sees it at once.
    pub fn write(&mut self, level: &str, logger: &str, text: &str, now_ms: i64) {
        let Some(file) = &mut self.file else { return };
        let timestamp = DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
        let timestamp = timestamp.to_rfc3339_opts(SecondsFormat::Micros, true);
        let event = self.mask.apply(text);
        let entry = json!({ "timestamp": timestamp, "level": level, "event": event, "logger": logger });
        if let Err(error) = file.write_all(format!("{entry}\n").as_bytes()) {
            tracing::warn!(%error, "a task's log cannot be written");
            self.file = None;
        }
    }
}

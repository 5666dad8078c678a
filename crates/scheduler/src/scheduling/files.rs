//! The DAG folder: looked through every second for files that changed, which alone are read again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Event, Scheduling, Time, run::Run};
use crate::{
    Error, Options, cells,
    dag::Dag,
    files::{self, Reader},
    known::{ImportError, Known},
    state::{RunState, TaskState},
    store::Statement,
};

/// Files of one folder: far above what people keep, so that a wrong folder ends early.
const FILES_COUNT_MAX: usize = 50_000;

/// Files that are new or changed, each with what it holds; and those that are gone.
#[derive(Debug, Default)]
pub struct Scan {
    pub read: Vec<(PathBuf, FileRead)>,
    pub gone: Vec<PathBuf>,
}

#[derive(Debug)]
pub struct FileRead {
    pub fingerprint: String,
    pub dags: Vec<Result<Dag, files::Error>>,
}

/// What tells that a file has changed.
type Stamp = (Option<SystemTime>, u64);

pub struct Scanner {
    options: Arc<Options>,
    seen: BTreeMap<PathBuf, Stamp>,
}

impl Scanner {
    pub fn new(options: Arc<Options>) -> Self {
        Self { options, seen: BTreeMap::new() }
    }

    /// Looks again and again, until it is stopped.
    pub async fn run(mut self, events: mpsc::Sender<Event>, stop: CancellationToken) {
        let interval = Duration::from_millis(self.options.scan_interval_ms);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let looked = tokio::task::spawn_blocking(move || {
                let scan = self.scan();
                (self, scan)
            });
            let Ok((scanner, scan)) = looked.await else { return };
            self = scanner;
            if (!scan.read.is_empty() || !scan.gone.is_empty())
                && events.send(Event::Files(scan)).await.is_err()
            {
                return;
            }
        }
    }

    /// What changed since the last look.
    pub fn scan(&mut self) -> Scan {
        let mut found = BTreeMap::new();
        list(&self.options.dags_folder, &mut found);
        let is_changed = |(path, stamp): &(&PathBuf, &Stamp)| self.seen.get(*path) != Some(*stamp);
        let defaults_changed = found.iter().filter(is_changed).any(|(path, _)| is_defaults(path))
            || self.seen.keys().any(|path| is_defaults(path) && !found.contains_key(path));
        let wanted = found.iter().filter(|entry| defaults_changed || is_changed(entry));
        let read =
            wanted.filter(|(path, _)| !is_defaults(path)).map(|(path, _)| (path.clone(), self.read(path)));
        let read = read.collect();
        let gone = self.seen.keys().filter(|path| !found.contains_key(*path)).cloned().collect();
        self.seen = found;
        Scan { read, gone }
    }

    fn read(&self, path: &Path) -> FileRead {
        let folder = &self.options.dags_folder;
        let shown = folder.strip_prefix(&self.options.project).unwrap_or(folder).display().to_string();
        let environment = |name: &str| self.options.environment.get(name).cloned();
        let reader = Reader { folder, shown: &shown, environment: &environment, clock: &*self.options.clock };
        let digest = Sha256::digest(fs::read(path).unwrap_or_default());
        let fingerprint = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        FileRead { fingerprint, dags: reader.read_file(path) }
    }
}

fn is_defaults(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "defaults")
}

fn list(folder: &Path, found: &mut BTreeMap<PathBuf, Stamp>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if metadata.is_dir() && !hidden {
            list(&path, found);
        } else if path.extension().is_some_and(|it| it == "yml" || it == "yaml")
            && !hidden
            && found.len() < FILES_COUNT_MAX
        {
            found.insert(path, (metadata.modified().ok(), metadata.len()));
        }
    }
}

impl Scheduling {
    /// Takes changed files over: new DAGs, changed ones, those that are gone, and what is wrong with each file.
    pub(super) fn take_files(&mut self, scan: Scan) {
        for path in &scan.gone {
            self.take_file(path, FileRead { fingerprint: String::new(), dags: Vec::new() });
        }
        for (path, read) in scan.read {
            self.take_file(&path, read);
        }
    }

    fn take_file(&mut self, path: &Path, read: FileRead) {
        let now = self.now();
        let before: Vec<String> = {
            let dags = self.dags.read();
            dags.by_id.values().filter(|it| it.dag.file == path).map(|it| it.dag.dag_id.clone()).collect()
        };
        let mut errors = Vec::new();
        let mut there = Vec::new();
        for dag in read.dags {
            match dag {
                Ok(dag) => match self.owner_of(&dag.dag_id, path) {
                    Some(other) => errors.push(format!(
                        "{}: the dag_id {} is taken: {} has it already",
                        dag.file_shown,
                        dag.dag_id,
                        other.display()
                    )),
                    None => {
                        there.push(dag.dag_id.clone());
                        self.take_dag(dag, &read.fingerprint, now);
                    }
                },
                Err(error) => errors.push(base::problem::plain(&error)),
            }
        }
        self.set_import_errors(path, errors, now);
        for dag_id in before.into_iter().filter(|id| !there.contains(id)) {
            self.change_known(&dag_id, |known| known.is_stale = true);
            self.plan_next(&dag_id);
        }
    }

    /// Another file that has this DAG.
    fn owner_of(&self, dag_id: &str, path: &Path) -> Option<PathBuf> {
        let known = self.dags.read().get(dag_id)?;
        (!known.is_stale && known.dag.file != path).then(|| known.dag.file.clone())
    }

    fn set_import_errors(&mut self, path: &Path, errors: Vec<String>, now: Time) {
        let mut dags = self.dags.write();
        let known: Vec<String> =
            dags.import_errors.iter().filter(|it| it.file == path).map(|it| it.text.clone()).collect();
        if known == errors {
            return;
        }
        dags.import_errors.retain(|it| it.file != path);
        for text in errors {
            tracing::warn!(file = %path.display(), "a DAG file cannot be used: {text}");
            dags.import_errors_count += 1;
            let id = dags.import_errors_count;
            dags.import_errors.push(ImportError { id, at: now, file: path.to_path_buf(), text });
        }
    }

    fn take_dag(&mut self, dag: Dag, fingerprint: &str, now: Time) {
        let dag_id = dag.dag_id.clone();
        let before = self.dags.read().get(&dag_id);
        let remembered = self.remembered.remove(&dag_id);
        self.returned |= before.is_none();
        let mut known = Known::new(dag, now);
        known.fingerprint = fingerprint.to_owned();
        match (&before, remembered) {
            (Some(before), _) => {
                known.is_paused = before.is_paused;
                known.next = before.next;
                known.version = before.version + i64::from(before.fingerprint != fingerprint);
                known.version_at = if before.fingerprint == fingerprint { before.version_at } else { now };
            }
            (None, Some(row)) => {
                known.is_paused = row.is_paused;
                known.version = row.version + i64::from(row.fingerprint != fingerprint);
                known.version_at = if row.fingerprint == fingerprint { row.version_at } else { now };
            }
            (None, None) => {
                let paused = known.dag.is_paused_upon_creation;
                known.is_paused = paused.unwrap_or(self.options.dags_are_paused_at_creation);
            }
        }
        self.batch.push(save_dag(&known));
        if let Some(next) = before.and_then(|before| before.next) {
            self.due.remove(&(next.run_after, dag_id.clone()));
        }
        known.next = None;
        let known = Arc::new(known);
        self.dags.write().by_id.insert(dag_id.clone(), known.clone());
        self.renew_runs(&known, now);
        self.plan_next(&dag_id);
        self.queue_changed = true;
    }

    /// Runs at work go on with what the file says now, as in Airflow where the bundle keeps no versions.
    fn renew_runs(&mut self, known: &Arc<Known>, now: Time) {
        let ids: Vec<i64> = self
            .runs
            .values()
            .filter(|run| run.row.dag_id == known.dag.dag_id)
            .map(|run| run.row.id)
            .collect();
        for id in ids {
            let Some(mut run) = self.runs.remove(&id) else { continue };
            run.known = known.clone();
            self.fit_to_dag(&mut run, now);
            self.runs.insert(id, run);
            self.touched.insert(id);
        }
    }

    /// Instances of tasks that are new are made, those of tasks that are gone are removed.
    pub(super) fn fit_to_dag(&mut self, run: &mut Run, now: Time) {
        let dag = run.known.dag.clone();
        for instance in &mut run.instances {
            let there = dag.tasks.contains_key(&instance.task_id);
            let becomes = match instance.state {
                Some(TaskState::Removed) if there => None,
                None | Some(TaskState::Scheduled | TaskState::UpForRetry | TaskState::UpForReschedule)
                    if !there =>
                {
                    Some(TaskState::Removed)
                }
                state => state,
            };
            if becomes != instance.state {
                self.waiting.remove(&super::work::waiting(&run.row.run_after, instance));
                instance.state = becomes;
                instance.updated_at = now;
                self.batch.push(instance.save());
            }
        }
        let count = run.instances.len();
        self.add_missing_instances(run, now);
        for instance in &run.instances[count..] {
            self.save(instance);
        }
        if run.row.version != run.known.version {
            run.row.version = run.known.version;
            self.batch.push(run.row.save());
        }
    }

    /// Changes what is known of a DAG, for the API and for its runs.
    pub(super) fn change_known(
        &mut self,
        dag_id: &str,
        change: impl FnOnce(&mut Known),
    ) -> Option<Arc<Known>> {
        let known = self.dags.write().change(dag_id, change)?;
        for run in self.runs.values_mut().filter(|run| run.row.dag_id == dag_id) {
            run.known = known.clone();
            if run.row.state == RunState::Running {
                self.touched.insert(run.row.id);
            }
        }
        self.queue_changed = true;
        Some(known)
    }
}

pub(super) fn save_dag(known: &Known) -> Statement {
    let sql = "INSERT INTO dag (dag_id, is_paused, fingerprint, version, version_at, last_parsed_at) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (dag_id) DO UPDATE SET is_paused = excluded.is_paused, \
        fingerprint = excluded.fingerprint, version = excluded.version, version_at = excluded.version_at, \
        last_parsed_at = excluded.last_parsed_at";
    let cells = cells![
        &known.dag.dag_id,
        known.is_paused,
        &known.fingerprint,
        known.version,
        known.version_at,
        known.last_parsed_at
    ];
    Statement::new(sql, cells)
}

/// What the database remembers of a DAG whose file was not read yet in this life.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub is_paused: bool,
    pub fingerprint: String,
    pub version: i64,
    pub version_at: Time,
}

impl Remembered {
    pub(super) async fn all(
        database: &crate::store::Database,
    ) -> Result<std::collections::HashMap<String, Self>, Error> {
        let rows = database
            .rows("SELECT dag_id, is_paused, fingerprint, version, version_at FROM dag", cells![])
            .await?;
        let of = |row: &crate::store::Row| {
            let remembered = Remembered {
                is_paused: row[1].int() == Some(1),
                fingerprint: row[2].text().unwrap_or_default().to_owned(),
                version: row[3].int().unwrap_or(1),
                version_at: row[4].time().unwrap_or_default(),
            };
            (row[0].text().unwrap_or_default().to_owned(), remembered)
        };
        Ok(rows.iter().map(of).collect())
    }
}

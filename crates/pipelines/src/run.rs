//! A run: one load of a pipeline, begun or gone on with, to its end.
//!
//! `begin` finds out which load this is, `load` reads stream after stream, each a transfer, and `finish` makes the load
//! true: hidden files are shown, what they replace goes, schema, state and load are told to the target, the cursors move.
//! Each step may be repeated, and the next life repeats what it cannot know to be done.

mod begin;
mod finish;
mod give_up;
mod receipts;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use base::{Backoff, BoxError, Budget, Clock, Fault, Load, Sink};
use connectors::{
    Selection, Settings, TableForm,
    kafka::TopicSource,
    objects::Memory,
    received::{Told, WithColumns},
};
use engine::{
    Cuts, Ended, OnError, Progress, Transfer, checkpoints::FileCheckpoints, dead_letters::FileDeadLetters,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, PipelineFile, Tables,
    file::StreamSpec,
    incremental::{Backfill, Cursor, Tracked, tracked_of},
    letters::Letters,
    source::{Asked, Places},
    state::{CursorText, Finished, Journal, LoadKind, State, StateFolder, StreamDone, TableCount},
    target::{
        Lake,
        encode::extension,
        open_files::of_all_splits,
        sink::{LakeSink, Names, SharedLakeSink, Written},
    },
};
pub use begin::restore;
pub(crate) use begin::schema_name;
pub use give_up::{GivenUp, give_up};
use receipts::RunCheckpoints;

/// What a run is told.
pub struct Options {
    pub file: PipelineFile,
    pub streams: Vec<StreamSpec>,
    pub target: Target,
    pub places: Places,
    pub state: StateFolder,
    /// Dead letters of the load lie below it, by pipeline and load.
    pub dead_letters: PathBuf,
    pub full_refresh: bool,
    pub backfill: Option<Backfill>,
    /// Read instead of the pipeline's source, stream by stream: records that an earlier load refused. No cursor moves, and
    /// nothing is replaced.
    pub letters: Option<BTreeMap<String, Letters>>,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<Progress>,
}

/// Where the rows go.
#[expect(clippy::large_enum_variant, reason = "there is one for each run")]
pub enum Target {
    Lake(Lake),
    /// A store of documents: rows pass through as they are.
    Store {
        scheme: &'static str,
        settings: Settings,
    },
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Report {
    pub ended: Ended,
    pub load_id: String,
    pub tables: BTreeMap<String, TableCount>,
    pub discarded_count: u64,
    /// Where what was discarded lies.
    pub dead_letters: PathBuf,
    /// It went on with a load that an earlier life began.
    pub is_resumed: bool,
    /// The state came from the target.
    pub is_restored: bool,
}

/// Tries after a fault that may pass, in a row without progress.
const RETRIES: (u64, u64, u32) = (200, 5_000, 6);

struct Run {
    options: Options,
    journal: Journal,
    state: State,
    tables: Arc<Tables>,
    saved_revision: Arc<Mutex<u64>>,
    checkpoints: Arc<FileCheckpoints>,
    memory: Arc<Memory>,
    is_resumed: bool,
    is_restored: bool,
}

/// Runs until the load is complete, or until `stop`; a load that is not complete is gone on with by the next run.
///
/// # Errors
/// The first fault that waiting did not mend. It stands in the history too.
pub async fn run(options: Options, stop: CancellationToken) -> Result<Report, BoxError> {
    let mut run = begin::begin(options).await?;
    match run.load(&stop).await {
        Ok(Ended::Finished) => run.finish().await.map_err(Fault::into_inner)?,
        Ok(Ended::Stopped) => run.note("interrupted", None)?,
        Err(fault) => {
            let error = fault.into_inner();
            run.note("failed", Some(error.to_string()))?;
            return Err(error);
        }
    }
    Ok(run.report())
}

impl Run {
    /// Every stream that is not read to its end yet.
    async fn load(&mut self, stop: &CancellationToken) -> Result<Ended, Fault> {
        if let Target::Lake(lake) = &self.options.target {
            lake.check().await?;
            let open = of_all_splits(&self.options.state).map_err(Error::fatal)?;
            lake.tidy(&self.options.file.name, &self.journal.load_id, &open).await?;
            lake.initialize().await?;
        }
        for stream in self.options.streams.clone() {
            if self.journal.done.contains_key(&stream.name) || self.journal.is_finishing() {
                continue;
            }
            let (ended, done) = self.stream(&stream, stop).await?;
            if ended == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
            self.journal.done.insert(stream.name.clone(), done);
            self.options.state.save_journal(&self.journal).map_err(Error::fatal)?;
            base::crash_point("pipelines.stream.after_done");
        }
        Ok(Ended::Finished)
    }

    /// A topic that was deleted and made anew has other records under the same offsets.
    async fn expect_same(
        &mut self,
        stream: &StreamSpec,
        topic: &TopicSource,
        id: Option<String>,
    ) -> Result<(), Fault> {
        let begun = self.journal.topic_ids.get(&stream.name).cloned();
        let Some(now) = topic.same_as(begun.clone().or(id)).await? else { return Ok(()) };
        if begun.is_none() {
            self.journal.topic_ids.insert(stream.name.clone(), now);
            self.options.state.save_journal(&self.journal).map_err(Error::fatal)?;
        }
        Ok(())
    }

    async fn stream(
        &mut self,
        stream: &StreamSpec,
        stop: &CancellationToken,
    ) -> Result<(Ended, StreamDone), Fault> {
        let cursor = self.cursor(stream);
        let topic = self.state.topics.get(&stream.name).filter(|_| !self.journal.is_full_refresh);
        let letters = self.options.letters.as_ref().and_then(|letters| letters.get(&stream.name));
        let asked = Asked { selection: selection(stream, cursor.as_ref()), topic, letters };
        let opened = self.options.file.open_source(stream, &asked, &self.options.places);
        let opened = opened.map_err(Error::fatal)?;
        if let Some((topic, id)) = &opened.topic {
            self.expect_same(stream, topic, id.clone()).await?;
        }
        let checkpoints = Arc::new(RunCheckpoints::new(self.checkpoints.clone(), &stream.name));
        let sink = self.sink(stream, opened.table_form)?;
        let sink: Arc<dyn Sink> = Arc::new(Tracked { inner: sink, cursor: cursor.map(Arc::new) });
        let dead_letters = FileDeadLetters::at(&self.dead_letters().join(&stream.name));
        let dead_letters = Arc::new(dead_letters);
        let (first_ms, most_ms, tries) = RETRIES;
        let transfer = Transfer {
            load: Load {
                id: self.journal.load_id.as_str().into(),
                transfer: self.options.file.name.as_str().into(),
            },
            source: opened.source,
            stages: opened.stages,
            sink,
            cuts: Cuts::records(self.options.file.target.file_records_max),
            budget: Budget::new(u32::try_from(self.options.file.records_bytes_max()).unwrap_or(u32::MAX)),
            checkpoints: checkpoints.clone(),
            dead_letters: Arc::new(WithColumns::new(dead_letters.clone(), move |path| {
                opened.columns.get(path).cloned()
            })),
            progress: self.options.progress.clone(),
            on_error: OnError::DeadLetter,
            clock: self.options.clock.clone(),
            retries: Backoff::new(first_ms, most_ms, tries, 1),
            lanes_count_max: self.options.file.lanes_count_max,
        };
        let summary = transfer.run(stop.clone()).await?;
        // What lies there, and not what this life refused: an earlier one may have done a part of the load.
        let unreadable = |source| Error::StateFile { path: dead_letters.folder().to_owned(), source };
        let discarded_count = dead_letters.count().map_err(unreadable).map_err(Error::fatal)?;
        let offsets = checkpoints.offsets();
        let mut done = StreamDone { discarded_count, offsets, ..StreamDone::default() };
        let mut seen = Vec::new();
        for receipt in checkpoints.receipts() {
            let came = tracked_of(&receipt).map_err(Error::fatal)?;
            seen.extend(came.seen);
            let tables = match self.options.target {
                Target::Lake(_) => Written::of(&came.inner).map_err(Error::fatal)?.tables,
                Target::Store { .. } => {
                    let count = TableCount { rows_count: came.rows_count, ..TableCount::default() };
                    BTreeMap::from([(stream.name.clone(), count)])
                }
            };
            for (table, count) in tables {
                done.tables.entry(table).or_default().add(&count);
            }
        }
        let (last_value, hashes) = crate::incremental::merge(None, seen);
        done.last_value = last_value.as_ref().map(CursorText::from);
        done.hashes = hashes;
        Ok((summary.ended, done))
    }

    fn cursor(&self, stream: &StreamSpec) -> Option<Cursor> {
        let spec = stream.cursor.as_ref()?;
        let state = self.state.streams.get(&stream.name).filter(|state| state.field == spec.field);
        let state = state.filter(|_| !self.journal.is_full_refresh);
        let backfill = match &self.journal.kind {
            LoadKind::Incremental => None,
            LoadKind::Backfill(bounds) => Some(bounds.to_backfill()),
            LoadKind::Letters => return None,
        };
        Some(Cursor::of(&stream.name, spec, &stream.shape.primary_key, state, backfill.as_ref()))
    }

    fn sink(&self, stream: &StreamSpec, table_form: TableForm) -> Result<Arc<dyn Sink>, Fault> {
        let target = &self.options.file.target;
        let lake = match &self.options.target {
            Target::Lake(lake) => lake.clone(),
            Target::Store { scheme, settings } => {
                let sink = self.options.file.open_store_sink(stream, scheme, settings);
                return Ok(Arc::new(Told(sink.map_err(Error::fatal)?)));
            }
        };
        Ok(Arc::new(SharedLakeSink(Arc::new(LakeSink {
            lake,
            tables: self.tables.clone(),
            shape: stream.shape.clone(),
            table_form,
            stream: stream.name.clone(),
            names: names(&self.options.file, &self.journal, &self.tables.name(), stream),
            format: target.format,
            compression: target.compression,
            file_bytes_max: target.file_bytes_max,
            memory: self.memory.clone(),
            state: self.options.state.clone(),
            saved_revision: self.saved_revision.clone(),
        }))))
    }

    fn dead_letters(&self) -> PathBuf {
        self.options.dead_letters.join(&self.options.file.name).join(&self.journal.load_id)
    }

    /// A load that did not come to its end, in the history.
    fn note(&self, status: &str, error: Option<String>) -> Result<(), Error> {
        let now_ms = self.options.clock.now_ms();
        let mut finished = self.finished(status, now_ms);
        finished.error = error;
        self.options.state.add_history(&finished)
    }

    fn finished(&self, status: &str, ended_ms: i64) -> Finished {
        let mut finished = Finished::of(&self.journal, status, ended_ms);
        for done in self.journal.done.values() {
            finished.discarded_count += done.discarded_count;
            for (table, count) in &done.tables {
                finished.tables.entry(table.clone()).or_default().add(count);
            }
        }
        finished
    }

    fn report(self) -> Report {
        let finished = self.finished("", 0);
        let ended = if self.journal.is_finishing() { Ended::Finished } else { Ended::Stopped };
        Report {
            ended,
            dead_letters: self.dead_letters(),
            load_id: self.journal.load_id,
            tables: finished.tables,
            discarded_count: finished.discarded_count,
            is_resumed: self.is_resumed,
            is_restored: self.is_restored,
        }
    }
}

/// How the files of a stream's tables are called in this load.
fn names(file: &PipelineFile, journal: &Journal, schema_name: &str, stream: &StreamSpec) -> Names {
    Names {
        layout: file.target.layout.clone(),
        schema_name: schema_name.to_owned(),
        pipeline: file.name.clone(),
        load_id: journal.load_id.as_str().into(),
        load_ms: journal.began_ms,
        ext: extension(file.target.format, file.target.compression),
        is_staged: begin::is_staged(journal, stream),
    }
}

/// What a connector is asked for.
pub(crate) fn selection(stream: &StreamSpec, cursor: Option<&Cursor>) -> Selection {
    let mut fields = stream.fields.clone();
    if let (Some(cursor), false) = (cursor, fields.is_empty()) {
        // What we look at has to come along.
        let top = |path: &str| path.split('.').next().unwrap_or(path).to_owned();
        let needed = std::iter::once(&cursor.field).chain(&cursor.primary_key).map(|path| top(path));
        fields.extend(needed);
        let mut seen = std::collections::HashSet::new();
        fields.retain(|field| seen.insert(field.clone()));
    }
    Selection { fields, filter: stream.filter.clone(), cursor: cursor.map(Cursor::range), splits_count: None }
}

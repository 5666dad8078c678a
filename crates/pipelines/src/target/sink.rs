//! The sink of a stream: documents become rows of tables, rows become files, and all files of an extent become visible
//! when it is committed.
//!
//! A file's id comes from load, split and the extent's number, so a second life writes the same names; what an earlier
//! life left of the open extent is removed first, as that may have cut its files elsewhere.

use std::{collections::BTreeMap, mem, sync::Arc};

use async_trait::async_trait;
use base::{Batch, Extent, Fault, Load, Position, Receipt, Rejects, Saved, Sink, Split, Writer, crash_point};
use connectors::{
    TableForm,
    objects::{Memory, Upload},
};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Lake, STAGING, encode::TableEncoder, open_files::OpenFiles};
use crate::{
    Error, Normalizer, RowPlace, Shape, TableRows, Tables,
    file::{Compression, Format},
    layout::{FileName, Layout},
    state::{StateFolder, TableCount},
};

/// Files of one extent that are completed at once.
const COMPLETED_AT_ONCE_MAX: usize = 8;
/// Less than this is not worth a trip to the disk.
const SPILL_BYTES_MIN: usize = 64 << 10;
const RECEIPT_VERSION: u32 = 1;
const FILE_ID_DIGITS_COUNT: usize = 10;

/// What all writers of a stream share.
pub(crate) struct LakeSink {
    pub(crate) lake: Lake,
    pub(crate) tables: Arc<Tables>,
    pub(crate) shape: Shape,
    pub(crate) table_form: TableForm,
    pub(crate) stream: String,
    pub(crate) names: Names,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    pub(crate) file_bytes_max: u64,
    pub(crate) memory: Arc<Memory>,
    pub(crate) state: StateFolder,
    /// The schema's revision that is on the disk, for all streams.
    pub(crate) saved_revision: Arc<Mutex<u64>>,
}

/// How the files of a load are called.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) layout: Layout,
    pub(crate) schema_name: String,
    pub(crate) pipeline: String,
    pub(crate) load_id: Arc<str>,
    pub(crate) load_ms: i64,
    pub(crate) ext: &'static str,
    /// They stay hidden until the load is complete.
    pub(crate) is_staged: bool,
}

/// What was committed of a split so far; kept with its checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    version: u32,
    pub(crate) extents_count: u64,
    pub(crate) tables: BTreeMap<String, TableCount>,
}

struct LakeWriter {
    sink: Arc<LakeSink>,
    split: Split,
    written: Written,
    open_files: Arc<OpenFiles>,
    /// Where the open extent began, printed.
    start: Arc<str>,
    /// Records of the open extent so far.
    rows_count: u64,
    /// Taken along to the thread that encodes; `None` only while it is there.
    work: Option<Work>,
}

/// The state of an open extent.
struct Work {
    normalizer: Normalizer,
    open: BTreeMap<Arc<str>, TableFile>,
    /// Complete but for being shown.
    done: Vec<TableFile>,
    files_count: u64,
}

struct TableFile {
    table: Arc<str>,
    columns_count: usize,
    upload: Upload,
    encoder: Option<TableEncoder>,
    rows_count: u64,
}

impl Written {
    pub(crate) fn of(receipt: &Receipt) -> Result<Self, Error> {
        if receipt.0.is_empty() {
            return Ok(Self { version: RECEIPT_VERSION, ..Self::default() });
        }
        let refuse = |reason: String| Error::StateFormat { what: "a receipt of the load".to_owned(), reason };
        let written: Written =
            serde_json::from_slice(&receipt.0).map_err(|error| refuse(error.to_string()))?;
        if written.version != RECEIPT_VERSION {
            return Err(refuse(format!("version {}; this program reads {RECEIPT_VERSION}", written.version)));
        }
        Ok(written)
    }
}

impl Names {
    /// Ten hexadecimal digits, as dlt's file ids are.
    pub(crate) fn file_id(&self, stream: &str, split: &str, extent: u64, file: u64) -> String {
        let digest = Sha256::digest(format!("{}\0{stream}\0{split}\0{extent}\0{file}", self.load_id));
        digest[..5].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The path below the dataset where a file is shown.
    fn path(&self, table: &str, file_id: &str) -> String {
        self.layout.path(&FileName {
            schema_name: &self.schema_name,
            table_name: table,
            load_id: &self.load_id,
            file_id,
            ext: self.ext,
            load_ms: self.load_ms,
        })
    }

    /// The id in the path of a file, if it is one of this load's.
    pub(crate) fn file_id_in<'p>(&self, table: &str, path: &'p str) -> Option<&'p str> {
        let at = self.path(table, "\0").find('\0')?;
        let id = path.get(at..at + FILE_ID_DIGITS_COUNT)?;
        (self.path(table, id) == path).then_some(id)
    }

    /// The folder of what this load keeps hidden.
    pub(crate) fn staging(&self) -> String {
        format!("{STAGING}/{}/{}/", self.pipeline, self.load_id)
    }
}

/// The sink as the engine takes it: writers keep it alive.
pub(crate) struct SharedLakeSink(pub(crate) Arc<LakeSink>);

#[async_trait]
impl Sink for SharedLakeSink {
    /// The run has looked at the target already, for all of its streams.
    async fn begin(&self, _load: &Load) -> Result<(), Fault> {
        Ok(())
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        let sink = self.0.clone();
        let open_files = Arc::new(OpenFiles::of(&sink.state, &sink.stream, split));
        Ok(Box::new(LakeWriter {
            work: Some(Work::new(&sink)?),
            sink,
            split: split.clone(),
            written: Written::of(&Receipt::default()).map_err(Error::fatal)?,
            open_files,
            start: "start".into(),
            rows_count: 0,
        }))
    }

    /// What a load's end is, its run knows: other streams belong to it too.
    async fn finish(&self, _load: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Writer for LakeWriter {
    async fn recover(&mut self, saved: &Saved) -> Result<Option<Position>, Fault> {
        self.written = Written::of(&saved.receipt).map_err(Error::fatal)?;
        self.start = saved.position.to_string().into();
        let (open_files, from) = (self.open_files.clone(), self.written.extents_count);
        let left = blocking(move || open_files.uncovered(from).map_err(Error::fatal)).await?;
        for key in &left {
            self.sink.lake.delete_key(key).await?;
        }
        Ok(None)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let place = RowPlace {
            load_id: self.sink.names.load_id.clone(),
            split: self.split.id.clone(),
            start: self.start.clone(),
            first_row: self.rows_count,
        };
        self.rows_count += batch.len() as u64;
        let (sink, split, batch) = (self.sink.clone(), self.split.id.clone(), batch.clone());
        let extent = self.written.extents_count;
        let mut work = self.take_work()?;
        let (work, rejects) = blocking(move || {
            let rejects = work.write(&sink, &split, extent, &batch, &place)?;
            Ok((work, rejects))
        })
        .await?;
        let work = self.work.insert(work);
        if work.begins_an_upload(self.sink.lake.part_bytes()) {
            let (open_files, keys) = (self.open_files.clone(), work.keys());
            blocking(move || open_files.write(extent, keys).map_err(Error::fatal)).await?;
        }
        work.send(&self.sink).await?;
        Ok(rejects)
    }

    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault> {
        let (sink, mut work) = (self.sink.clone(), self.take_work()?);
        let (open_files, number) = (self.open_files.clone(), self.written.extents_count);
        let work = blocking(move || {
            work.finish()?;
            sink.save_schema().map_err(Error::fatal)?;
            crash_point("pipelines.commit.before_list");
            let keys = work.keys();
            if !keys.is_empty() {
                open_files.write(number, keys).map_err(Error::fatal)?;
            }
            crash_point("pipelines.commit.after_list");
            Ok(work)
        })
        .await?;
        let files = mem::take(&mut self.work.insert(work).done);
        for file in &files {
            let count = self.written.tables.entry(file.table.to_string()).or_default();
            count.add(&TableCount {
                rows_count: file.rows_count,
                files_count: 1,
                bytes: file.upload.bytes(),
            });
        }
        stream::iter(files.into_iter().map(|file| file.upload.complete(&self.sink.lake.target)))
            .buffer_unordered(COMPLETED_AT_ONCE_MAX)
            .try_collect::<()>()
            .await?;
        self.written.extents_count += 1;
        self.rows_count = 0;
        self.start = extent.end.to_string().into();
        let receipt = serde_json::to_vec(&self.written).map_err(|error| Fault::Fatal(Box::new(error)))?;
        Ok(Receipt(receipt.into()))
    }
}

impl LakeWriter {
    fn take_work(&mut self) -> Result<Work, Fault> {
        match self.work.take() {
            Some(work) => Ok(work),
            // A write failed; the lane begins again with another writer.
            None => Err(Fault::Fatal("the writer of a lane went on after a fault".into())),
        }
    }
}

impl LakeSink {
    /// The schema is on the disk before the files that need it are there.
    fn save_schema(&self) -> Result<(), Error> {
        let mut saved = self.saved_revision.lock();
        let revision = self.tables.revision();
        if *saved < revision {
            self.state.save_load_schema(&self.tables.draft())?;
            *saved = revision;
        }
        Ok(())
    }
}

impl Work {
    fn new(sink: &LakeSink) -> Result<Self, Fault> {
        let normalizer =
            sink.tables.normalizer(&sink.shape).map_err(|error| Fault::Fatal(Box::new(error)))?;
        let normalizer = normalizer.with_table_form(sink.table_form);
        Ok(Self { normalizer, open: BTreeMap::new(), done: Vec::new(), files_count: 0 })
    }

    fn write(
        &mut self,
        sink: &LakeSink,
        split: &str,
        extent: u64,
        batch: &Batch,
        place: &RowPlace,
    ) -> Result<Rejects, Fault> {
        let normalized =
            self.normalizer.normalize(batch, place).map_err(|error| Fault::Fatal(Box::new(error)))?;
        for rows in &normalized.tables {
            self.append(sink, split, extent, rows)?;
        }
        let mut rejects = normalized.rejects;
        rejects.append(normalized.discarded.rejects);
        Ok(rejects)
    }

    fn append(&mut self, sink: &LakeSink, split: &str, extent: u64, rows: &TableRows) -> Result<(), Fault> {
        let name = &rows.table.name;
        let is_outgrown = self.open.get(name).is_some_and(|file| file.is_outgrown(rows, sink.file_bytes_max));
        if is_outgrown && let Some(mut file) = self.open.remove(name) {
            file.finish()?;
            self.done.push(file);
        }
        let file = match self.open.get_mut(name) {
            Some(file) => file,
            None => {
                let file_id = sink.names.file_id(&sink.stream, split, extent, self.files_count);
                self.files_count += 1;
                let path = sink.names.path(name, &file_id);
                let path = if sink.names.is_staged { sink.names.staging() + &path } else { path };
                let file = TableFile::new(sink, rows, &sink.lake.key(&path))?;
                self.open.entry(name.clone()).or_insert(file)
            }
        };
        file.append(rows)
    }

    /// Ends every file; their bytes are all in their uploads.
    fn finish(&mut self) -> Result<(), Fault> {
        for (_, mut file) in mem::take(&mut self.open) {
            file.finish()?;
            self.done.push(file);
        }
        self.files_count = 0;
        Ok(())
    }

    /// The files of the extent, sent or not.
    fn keys(&self) -> Vec<String> {
        self.open.values().chain(&self.done).map(|file| file.upload.key().to_string()).collect()
    }

    fn begins_an_upload(&self, part_bytes: usize) -> bool {
        self.open.values().chain(&self.done).any(|file| file.upload.is_about_to_begin(part_bytes))
    }

    /// Full parts go to the store; what is too much for the memory goes to the disk, the largest first.
    async fn send(&mut self, sink: &LakeSink) -> Result<(), Fault> {
        for file in self.open.values_mut().chain(&mut self.done) {
            file.upload.send_full_part(&sink.lake.target, sink.lake.part_bytes()).await?;
            file.count();
        }
        while sink.memory.is_over() {
            let files = self.open.values_mut().chain(&mut self.done);
            let Some(largest) = files.max_by_key(|file| file.upload.spillable_bytes()) else { break };
            if largest.upload.spillable_bytes() < SPILL_BYTES_MIN {
                break;
            }
            largest.upload.spill().await?;
            largest.count();
        }
        Ok(())
    }
}

impl TableFile {
    fn new(sink: &LakeSink, rows: &TableRows, key: &str) -> Result<Self, Fault> {
        let encoder = TableEncoder::new(sink.format, sink.compression, rows).map_err(of_format)?;
        Ok(Self {
            table: rows.table.name.clone(),
            columns_count: rows.table.columns.len(),
            upload: Upload::new(key, &sink.memory)?,
            encoder: Some(encoder),
            rows_count: 0,
        })
    }

    /// Whether these rows need another file.
    fn is_outgrown(&self, rows: &TableRows, file_bytes_max: u64) -> bool {
        let is_fixed = self.encoder.as_ref().is_some_and(TableEncoder::has_fixed_columns);
        (is_fixed && self.columns_count != rows.table.columns.len()) || self.upload.bytes() >= file_bytes_max
    }

    fn append(&mut self, rows: &TableRows) -> Result<(), Fault> {
        if let Some(encoder) = &mut self.encoder {
            encoder.append(rows, self.upload.buffer()).map_err(of_format)?;
        }
        self.rows_count += rows.columns.num_rows() as u64;
        self.count();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        match self.encoder.take() {
            Some(encoder) => encoder.finish(self.upload.buffer()).map_err(of_format),
            None => Ok(()),
        }
    }

    fn count(&mut self) {
        self.upload.count(self.encoder.as_ref().map_or(0, TableEncoder::held_bytes));
    }
}

/// Errors of a format: none of them goes away by trying again.
fn of_format(error: formats::Error) -> Fault {
    Fault::Fatal(error.into())
}

/// On a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panicked| Err(Fault::Fatal(Box::new(panicked))))
}

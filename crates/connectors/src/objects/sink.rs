//! The sink: rows into open objects by folder; all of them become visible when the extent is committed.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::Array;
use async_trait::async_trait;
use base::{
    Batch, Body, Clock, Extent, Fault, Load, Position, Receipt, Rejects, Saved, Sink, Split, Writer, code,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Config, Error, Memory, Names, OnNull, StoreConfig, Target, object::OpenObject, partitioner::Folders,
};

/// Objects of one extent that are completed at once.
const COMPLETED_AT_ONCE_MAX: usize = 8;
/// Less than this is not worth a trip to the disk.
const SPILL_BYTES_MIN: usize = 64 << 10;
const STAGE: &str = "TASK_PUT";

pub struct ObjectSink {
    config: Arc<Config>,
    target: Target,
    memory: Arc<Memory>,
    clock: Arc<dyn Clock>,
}

struct ObjectWriter {
    config: Arc<Config>,
    target: Target,
    memory: Arc<Memory>,
    names: Names,
    folders: Folders,
    /// By folder; in their order, so that commits of two lives go alike.
    open: BTreeMap<Arc<str>, OpenObject>,
}

impl ObjectSink {
    /// Checks the settings and builds the store's client; asks nothing of the network.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        config.check()?;
        let target = match &config.store {
            StoreConfig::S3(s3) => Target::of(cloud::store::s3(s3).map_err(cloud::Error::into_fault)?),
            StoreConfig::Gcs(gcs) => Target::of(cloud::store::gcs(gcs).map_err(cloud::Error::into_fault)?),
            StoreConfig::Folder(path) => {
                let store = cloud::store::folder(path).map_err(cloud::Error::into_fault)?;
                Target { store, bucket: None, place: path.display().to_string().into() }
            }
        };
        let memory = Memory::new(config.memory_bytes_max);
        Ok(Self { config: Arc::new(config), target, memory, clock })
    }
}

#[async_trait]
impl Sink for ObjectSink {
    /// The bucket has to be there. Whether a policy lets us list it is no reason to fail: writing may be allowed.
    async fn begin(&self, _load: &Load) -> Result<(), Fault> {
        let Some(bucket) = &self.target.bucket else { return Ok(()) };
        match bucket.check().await {
            Err(error) if error.is_policy() => {
                tracing::warn!(%error, "the bucket may not be listed; writing to it is tried all the same");
                Ok(())
            }
            checked => checked.map_err(cloud::Error::into_fault),
        }
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        let names = Names::new(&self.config, split)?;
        let Config { partitioner, directory_delim, .. } = &*self.config;
        let folders = Folders::new(partitioner.clone(), directory_delim, names.partition, self.clock.clone());
        Ok(Box::new(ObjectWriter {
            config: self.config.clone(),
            target: self.target.clone(),
            memory: self.memory.clone(),
            names,
            folders,
            open: BTreeMap::new(),
        }))
    }

    async fn finish(&self, _load: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Writer for ObjectWriter {
    /// Objects of an earlier life are replaced by name; its unfinished uploads of this split are given up here, where no
    /// other worker can own them.
    async fn recover(&mut self, _saved: &Saved) -> Result<Option<Position>, Fault> {
        self.open.clear();
        let Some(bucket) = &self.target.bucket else { return Ok(None) };
        let uploads = match bucket.list_uploads(self.names.prefix()).await {
            Ok(uploads) => uploads,
            Err(error) if error.is_policy() => {
                tracing::warn!(%error, "unfinished uploads of an earlier life cannot be listed, so they stay");
                return Ok(None);
            }
            Err(error) => return Err(error.into_fault()),
        };
        for upload in uploads.iter().filter(|upload| self.names.is_ours(&upload.key)) {
            bucket.abort_upload(upload).await.map_err(cloud::Error::into_fault)?;
            tracing::debug!(key = upload.key, "gave up the unfinished upload of an earlier life");
        }
        Ok(None)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let mut rejects = Rejects::default();
        let (target, part_bytes) = (self.target.clone(), self.config.part_bytes);
        for rows in self.rows_with_value(batch, &mut rejects) {
            for run in self.folders.runs(batch, rows) {
                match run.folder {
                    Ok(folder) => {
                        let object = self.object(folder, batch, run.rows.start)?;
                        rejects.append(object.append(batch, run.rows)?);
                        object.send_full_part(&target, part_bytes).await?;
                    }
                    Err(homeless) => {
                        let reject =
                            |row| formats::reject(batch, row, homeless.code, STAGE, homeless.reason.clone());
                        rejects.0.extend(run.rows.map(reject));
                    }
                }
            }
        }
        self.spill_while_over().await?;
        Ok(rejects)
    }

    async fn commit(&mut self, _extent: &Extent) -> Result<Receipt, Fault> {
        let objects = std::mem::take(&mut self.open).into_values();
        stream::iter(objects.map(|object| object.complete(&self.target)))
            .buffer_unordered(COMPLETED_AT_ONCE_MAX)
            .try_collect::<()>()
            .await?;
        Ok(Receipt::default())
    }
}

impl ObjectWriter {
    fn object<'a>(
        &'a mut self,
        folder: Arc<str>,
        batch: &Batch,
        row: usize,
    ) -> Result<&'a mut OpenObject, Fault> {
        use std::collections::btree_map::Entry;
        Ok(match self.open.entry(folder) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let no_mark = || Error::Split { split: batch.place.to_string() };
                let mark = batch.envelope.mark(row).ok_or_else(no_mark)?;
                let encoder = formats::encoder(&self.config.format, batch.contract.as_ref())
                    .map_err(super::errors::of_format)?;
                let key = self.names.key(place.key(), mark);
                place.insert(OpenObject::new(&key, encoder, &self.memory)?)
            }
        })
    }

    /// The rows that have a value, as ranges; the others are skipped or refused, as `behavior.on.null.values` says.
    fn rows_with_value(&self, batch: &Batch, rejects: &mut Rejects) -> Vec<std::ops::Range<usize>> {
        let is_null = |row: usize| {
            batch.envelope.is_tombstone(row)
                || match &batch.body {
                    Body::Raw(values) => values.is_null(row),
                    Body::Rows(values) => values[row].is_null(),
                    Body::Columns(_) => false,
                }
        };
        let mut ranges = Vec::new();
        let mut start = 0;
        for row in (0..batch.len()).filter(|&row| is_null(row)) {
            if start < row {
                ranges.push(start..row);
            }
            start = row + 1;
            if self.config.on_null == OnNull::Fail {
                let reason = "the record has no value (behavior.on.null.values=fail)";
                rejects.0.push(formats::reject(batch, row, code::TM0752, STAGE, reason));
            }
        }
        if start < batch.len() {
            ranges.push(start..batch.len());
        }
        ranges
    }

    /// The largest first; what cannot be moved out (a Parquet row group) is bounded by its format.
    async fn spill_while_over(&mut self) -> Result<(), Fault> {
        while self.memory.is_over() {
            let Some(largest) = self.open.values_mut().max_by_key(|object| object.spillable_bytes()) else {
                break;
            };
            if largest.spillable_bytes() < SPILL_BYTES_MIN {
                break;
            }
            largest.spill().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

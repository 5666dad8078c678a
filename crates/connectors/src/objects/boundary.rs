//! What the engine has to know to cut as Confluent's sinks do: the time and the folder of each record.

use std::sync::Arc;

use arrow_buffer::ScalarBuffer;
use base::{Batch, Clock, Place};
use engine::Boundary;

use super::{Config, Partitioner, partitioner::Folders, time::time_ms};

/// `engine::Boundary` for `rotate.interval.ms`, by the same partitioner as the sink's.
pub struct PartitionBoundary {
    partitioner: Partitioner,
    directory_delim: String,
    clock: Arc<dyn Clock>,
}

impl PartitionBoundary {
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let Config { partitioner, directory_delim, .. } = config;
        Self { partitioner: partitioner.clone(), directory_delim: directory_delim.clone(), clock }
    }
}

impl Boundary for PartitionBoundary {
    /// A record without a time counts as the one before it: the sink refuses it by itself.
    fn times_ms(&self, batch: &Batch) -> ScalarBuffer<i64> {
        let mut last_ms = 0;
        let time = |row| match &self.partitioner {
            Partitioner::Time(rule) => time_ms(batch, row, &rule.extractor, &*self.clock).ok(),
            Partitioner::Default | Partitioner::Field { .. } => batch.envelope.timestamp_ms(row),
        };
        (0..batch.len())
            .map(|row| {
                last_ms = time(row).unwrap_or(last_ms);
                last_ms
            })
            .collect()
    }

    fn group_ids(&self, batch: &Batch) -> Option<Vec<u64>> {
        let partition = match &*batch.place {
            Place::Topic { partition, .. } => *partition,
            Place::File { .. } | Place::Collection { .. } | Place::Made { .. } => 0,
        };
        match self.partitioner {
            Partitioner::Default => return None,
            Partitioner::Field { .. } | Partitioner::Time(_) => {}
        }
        let mut folders =
            Folders::new(self.partitioner.clone(), &self.directory_delim, partition, self.clock.clone());
        let mut ids = Vec::with_capacity(batch.len());
        for run in folders.runs(batch, 0..batch.len()) {
            let id = match &run.folder {
                Ok(folder) => hash(folder),
                // A record that is refused opens no object: it belongs to the group before it.
                Err(_) => ids.last().copied().unwrap_or_default(),
            };
            ids.extend(run.rows.map(|_| id));
        }
        Some(ids)
    }
}

/// FNV-1a: the same in every life, which the standard library's hasher is not.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

//! Where records come from. The engine holds positions, memory, time and stopping; a source reads.

use std::{sync::Arc, time::Duration, time::Instant};

use async_trait::async_trait;

use crate::{Batch, BoxError, Lease, Place, Position};

/// A part of a source that is read in order by one lane: a partition, a shard, a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Stable between lives, unique in its source; checkpoints and object names carry it.
    pub id: Arc<str>,
    pub place: Arc<Place>,
}

/// Bounds of one call: what it may bring, and by when it has to be back.
#[derive(Debug, Clone)]
pub struct Ask {
    pub bytes_max: u64,
    pub records_max: usize,
    pub deadline: Instant,
    /// The memory that the answer may use; a batch carries it on.
    pub lease: Arc<Lease>,
}

impl Ask {
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

#[async_trait]
pub trait Source: Send + Sync {
    /// Splits that came or went: partitions, shards, files. Asked again until it answers `Complete`.
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault>;
    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault>;
    /// The checkpoint is safe up to here: commit the group offset, advance the slot.
    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault>;
}

#[async_trait]
pub trait Reader: Send {
    /// What is there now: at most `ask.bytes_max` and `ask.records_max`, and back by `ask.deadline`.
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault>;
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one for thousands of records, and nearly always a batch")]
pub enum Read {
    Batch(Batch),
    Idle,
    End,
}

#[derive(Debug)]
pub enum Discovery {
    Changed {
        assigned: Vec<Split>,
        revoked: Vec<Split>,
    },
    /// All splits have been told; a bounded source says so once.
    Complete,
}

/// The connector sorts, the engine acts: reopen after a wait, tell the user, or let go of a split taken from us.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Transient(#[source] BoxError),
    #[error("{0}")]
    Denied(#[source] BoxError),
    #[error("{0}")]
    Fatal(#[source] BoxError),
    #[error("{0}")]
    Lost(#[source] BoxError),
}

impl Fault {
    pub fn into_inner(self) -> BoxError {
        match self {
            Fault::Transient(error) | Fault::Denied(error) | Fault::Fatal(error) | Fault::Lost(error) => {
                error
            }
        }
    }
}

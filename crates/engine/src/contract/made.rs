//! What the rules run with: records in memory, checkpoints that outlive a life and may die.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
};

use arrow_array::BinaryViewArray;
use async_trait::async_trait;
use base::{
    Ask, Batch, Body, Contract, Discovery, Envelope, Extent, Fault, Headers, Place, Position, Read, Reader,
    Receipt, Saved, Shared, Source, Split,
};
use parking_lot::Mutex;

use crate::Checkpoints;

/// One record of a made source.
#[derive(Clone, Default)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Headers,
    pub(super) contract: Option<Arc<Contract>>,
}

/// Records of one split; a record's number is its mark.
pub(super) struct Made {
    pub(super) split: Split,
    pub(super) records: Arc<Vec<Record>>,
    pub(super) batch_records: usize,
    pub(super) has_keys: bool,
    /// The life ends by a fault when this mark is to be read; -1: never.
    pub(super) dies_at: AtomicI64,
    /// Waits for ever at its end instead of ending.
    pub(super) is_endless: bool,
    pub(super) told: AtomicBool,
}

#[async_trait]
impl Source for Made {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        if !self.told.swap(true, SeqCst) {
            return Ok(Discovery::Changed { assigned: vec![self.split.clone()], revoked: Vec::new() });
        }
        if self.is_endless {
            tokio::time::sleep(ask.remaining()).await;
            return Ok(Discovery::Changed { assigned: Vec::new(), revoked: Vec::new() });
        }
        Ok(Discovery::Complete)
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        Ok(Box::new(MadeReader {
            place: split.place.clone(),
            records: self.records.clone(),
            at: if let Position::Mark(mark) = from { *mark as usize } else { 0 },
            batch_records: self.batch_records,
            has_keys: self.has_keys,
            dies_at: self.dies_at.load(SeqCst),
            is_endless: self.is_endless,
        }))
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

struct MadeReader {
    place: Arc<Place>,
    records: Arc<Vec<Record>>,
    at: usize,
    batch_records: usize,
    has_keys: bool,
    dies_at: i64,
    is_endless: bool,
}

#[async_trait]
impl Reader for MadeReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        if self.dies_at >= 0 && self.at as i64 >= self.dies_at {
            return Err(Fault::Fatal("killed".into()));
        }
        let rest = &self.records[self.at.min(self.records.len())..];
        let Some(first) = rest.first() else {
            return Ok(if self.is_endless { Read::Idle } else { Read::End });
        };
        // A batch has one contract.
        let same = rest.iter().take_while(|record| record.contract == first.contract).count();
        let records = &rest[..same.min(self.batch_records)];
        let marks: Vec<i64> = (self.at..self.at + records.len()).map(|mark| mark as i64).collect();
        self.at += records.len();
        let values: BinaryViewArray = records.iter().map(|record| record.value.as_deref()).collect();
        let keys: BinaryViewArray = records.iter().map(|record| record.key.as_deref()).collect();
        let has_headers = records.iter().any(|record| !record.headers.is_empty());
        let headers: Vec<Headers> = records.iter().map(|record| record.headers.clone()).collect();
        let has_tombstones = records.iter().any(|record| record.value.is_none());
        let envelope = Envelope {
            keys: self.has_keys.then_some(keys),
            headers: has_headers.then(|| Shared::from(headers)),
            timestamps_ms: Some(marks.iter().map(|mark| 1_700_000_000_000 + mark).collect()),
            tombstones: has_tombstones.then(|| records.iter().map(|record| record.value.is_none()).collect()),
            marks: Some(marks.into()),
            partitions: None,
            came_as: None,
        };
        Ok(Read::Batch(Batch {
            body: Body::Raw(values),
            envelope,
            contract: first.contract.clone(),
            place: self.place.clone(),
            end: Position::Mark(self.at as i64),
            lease: ask.lease.clone(),
        }))
    }
}

/// Outlives the lives of one rule. The save with number `dies_at` never happens: the life ends instead.
#[derive(Default)]
pub(super) struct Kept {
    saved: Mutex<BTreeMap<Arc<str>, Saved>>,
    pub(super) dies_at: AtomicI64,
}

impl Kept {
    pub(super) fn dying_at(save: i64) -> Self {
        Self { saved: Mutex::default(), dies_at: AtomicI64::new(save) }
    }
}

#[async_trait]
impl Checkpoints for Kept {
    async fn load(&self, split: &Split) -> Result<Saved, Fault> {
        Ok(self.saved.lock().get(&split.id).cloned().unwrap_or_default())
    }

    async fn save(&self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault> {
        if self.dies_at.fetch_sub(1, SeqCst) == 1 {
            return Err(Fault::Fatal("killed".into()));
        }
        let saved = Saved { position: extent.end.clone(), receipt: receipt.clone() };
        self.saved.lock().insert(extent.split.id.clone(), saved);
        Ok(())
    }
}

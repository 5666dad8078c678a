//! A source of which only so many records are wanted, all splits together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use base::{Ask, Discovery, Fault, Position, Read, Reader, Source, Split};

pub(super) struct Limited {
    inner: Arc<dyn Source>,
    left: Arc<AtomicU64>,
}

impl Limited {
    pub(super) fn new(inner: Arc<dyn Source>, records_max: u64) -> Self {
        Self { inner, left: Arc::new(AtomicU64::new(records_max)) }
    }
}

#[async_trait]
impl Source for Limited {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        self.inner.discover(ask).await
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let inner = self.inner.open(split, from).await?;
        Ok(Box::new(LimitedReader { inner, left: self.left.clone() }))
    }

    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault> {
        self.inner.covered(split, upto).await
    }
}

struct LimitedReader {
    inner: Box<dyn Reader>,
    left: Arc<AtomicU64>,
}

#[async_trait]
impl Reader for LimitedReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        let left = self.left.load(Relaxed);
        let records_max = ask.records_max.min(usize::try_from(left).unwrap_or(usize::MAX).max(1));
        let ask = Ask { records_max, ..ask.clone() };
        let batch = match self.inner.read(&ask).await? {
            Read::Batch(batch) => batch,
            other => return Ok(other),
        };
        // Without records it tells of other splits, which have to be known even if nothing is wanted of them.
        if batch.is_empty() {
            return Ok(Read::Batch(batch));
        }
        // Another split may have taken some meanwhile.
        let wanted = batch.len() as u64;
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(wanted)));
        let taken = taken.unwrap_or(0).min(wanted) as usize;
        Ok(if taken == 0 { Read::End } else { Read::Batch(batch.slice(0..taken)) })
    }
}

//! Pausing: a source that keeps its partitions and reads nothing while the gate is shut. It also notes which topics are
//! read, for `GET /connectors/NAME/topics`.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Ask, Discovery, Fault, Place, Position, Read, Reader, Source, Split};
use tokio::sync::watch;

use super::Worker;

pub(super) struct Gate {
    pub source: Arc<dyn Source>,
    /// True while it is shut.
    pub paused: watch::Receiver<bool>,
    pub worker: Arc<Worker>,
    pub connector: Arc<str>,
    pub task: usize,
}

struct GateReader {
    reader: Box<dyn Reader>,
    paused: watch::Receiver<bool>,
    /// To be noted with the first record.
    unnoted: Option<(Arc<Worker>, Arc<str>, usize)>,
}

#[async_trait]
impl Source for Gate {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        self.source.discover(ask).await
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let reader = self.source.open(split, from).await?;
        let unnoted = Some((self.worker.clone(), self.connector.clone(), self.task));
        Ok(Box::new(GateReader { reader, paused: self.paused.clone(), unnoted }))
    }

    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault> {
        self.source.covered(split, upto).await
    }
}

#[async_trait]
impl Reader for GateReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        if *self.paused.borrow() {
            let opened = self.paused.wait_for(|paused| !paused);
            // Open again or not: the next call finds out.
            tokio::time::timeout(ask.remaining(), opened).await.ok();
            return Ok(Read::Idle);
        }
        let read = self.reader.read(ask).await?;
        if let Read::Batch(batch) = &read
            && let Place::Topic { topic, .. } = &*batch.place
            && let Some((worker, connector, task)) = self.unnoted.take()
        {
            worker.note_topic(&connector, topic, task).await;
        }
        Ok(read)
    }
}

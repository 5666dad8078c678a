//! The transactional ids of this broker. One task, the coordinator, changes them: requests come to it over a queue, what it
//! decides goes into `__transaction_state`, and only then counts. Whoever writes records looks at the ids directly.

use std::{collections::HashMap, sync::Arc};

use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub mod coordinator;
pub mod records;
pub mod replay;
pub mod transaction;

#[cfg(test)]
mod tests;

use transaction::{Partitions, Producer, Transaction};

pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// The coordinator that this node is has never been another's successor; it stands in the markers.
pub const COORDINATOR_EPOCH: i32 = 0;
/// Requests that wait for the coordinator; more wait at the door.
const QUEUE_COUNT_MAX: usize = 1_024;
/// Ids that one broker keeps; more are refused, so that a client in a loop cannot fill the memory.
const IDS_COUNT_MAX: usize = 100_000;

/// What a request wants of a transactional id.
#[derive(Debug, Clone)]
pub enum Ask {
    Init { claim: Option<Producer>, timeout_ms: i32 },
    Add { claim: Producer, partitions: Partitions, version: i16 },
    End { claim: Producer, commit: bool, raises: bool },
}

#[derive(Debug)]
pub struct Command {
    id: Arc<str>,
    ask: Ask,
    answer: oneshot::Sender<Result<Producer, ResponseError>>,
}

struct Entry {
    transaction: Mutex<Transaction>,
    /// Held for reading while a write of the transaction is brought into its log's queue; the coordinator holds it for
    /// writing before it queues the markers, so that none of them is overtaken.
    gate: Arc<RwLock<()>>,
}

/// Lets its holder's write into the queue before the transaction's markers.
pub struct Pass {
    _held: OwnedRwLockReadGuard<()>,
}

pub struct Transactions {
    entries: Mutex<HashMap<Arc<str>, Arc<Entry>>>,
    queue: mpsc::Sender<Command>,
    /// The coordinator ends once it has answered what is queued.
    finished: CancellationToken,
}

impl Transactions {
    /// The receiver goes to the coordinator, which `Service` runs.
    pub fn new() -> (Transactions, mpsc::Receiver<Command>) {
        let (queue, inbox) = mpsc::channel(QUEUE_COUNT_MAX);
        (Transactions { entries: Mutex::default(), queue, finished: CancellationToken::new() }, inbox)
    }

    /// Asks the coordinator; the answer is who the producer is from now on.
    pub async fn ask(&self, id: &str, ask: Ask) -> Result<Producer, ResponseError> {
        // Its length stands in two bytes in the log.
        if id.is_empty() || id.len() > i16::MAX as usize {
            return Err(ResponseError::InvalidRequest);
        }
        if self.finished.is_cancelled() {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let (answer, answered) = oneshot::channel();
        let command = Command { id: id.into(), ask, answer };
        self.queue.send(command).await.map_err(|_| ResponseError::CoordinatorNotAvailable)?;
        answered.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable))
    }

    /// Whether the producer has this partition in an open transaction; it stays open until the pass is dropped.
    pub async fn admit(
        &self,
        id: &str,
        claim: Producer,
        topic: &str,
        partition: i32,
    ) -> Result<Pass, ResponseError> {
        let entry = self.entry(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let held = entry.gate.clone().read_owned().await;
        entry.transaction.lock().admits(claim, topic, partition)?;
        Ok(Pass { _held: held })
    }

    /// For whoever writes with transactions of version 2: what is not in the transaction yet is added to it.
    pub async fn add_missing(
        &self,
        id: &str,
        claim: Producer,
        partitions: Partitions,
    ) -> Result<(), ResponseError> {
        let known = self.entry(id).is_some_and(|entry| {
            let transaction = entry.transaction.lock();
            partitions
                .iter()
                .flat_map(|(topic, numbers)| numbers.iter().map(move |number| (topic, *number)))
                .all(|(topic, number)| transaction.admits(claim, topic, number).is_ok())
        });
        if known {
            return Ok(());
        }
        let version = transaction::VERSION_2;
        self.ask(id, Ask::Add { claim, partitions, version }).await.map(|_| ())
    }

    /// What is known of an id.
    pub fn get(&self, id: &str) -> Option<Transaction> {
        self.entry(id).map(|entry| entry.transaction.lock().clone())
    }

    pub fn all(&self) -> Vec<(Arc<str>, Transaction)> {
        let entries = self.entries.lock();
        let mut all: Vec<_> =
            entries.iter().map(|(id, entry)| (id.clone(), entry.transaction.lock().clone())).collect();
        drop(entries);
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    fn entry(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries.lock().get(id).cloned()
    }

    fn put(&self, id: &Arc<str>, transaction: Transaction) {
        let mut entries = self.entries.lock();
        match entries.get(id) {
            Some(entry) => *entry.transaction.lock() = transaction,
            None => {
                let gate = Arc::new(RwLock::new(()));
                entries.insert(id.clone(), Arc::new(Entry { transaction: Mutex::new(transaction), gate }));
            }
        }
    }

    fn remove(&self, id: &str) {
        self.entries.lock().remove(id);
    }

    fn is_full(&self) -> bool {
        self.entries.lock().len() >= IDS_COUNT_MAX
    }

    /// The last call: nothing more is taken.
    pub fn finish(&self) {
        self.finished.cancel();
    }
}

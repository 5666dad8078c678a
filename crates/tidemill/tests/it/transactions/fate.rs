//! What becomes of a transaction whose broker may be killed at any moment, as far as its producer is told.

use std::time::{Duration, Instant};

use rdkafka::{
    error::{KafkaError, KafkaResult},
    producer::{BaseProducer, Producer},
};

/// What one call may take, and how long calls are made again.
pub const CALL: Duration = Duration::from_millis(1_000);
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Committed,
    Aborted,
    Unknown,
}

/// Ends the transaction: what became of it, and whether its producer may go on.
pub fn committed(producer: &BaseProducer) -> (Fate, bool) {
    match patiently(|| producer.commit_transaction(CALL)) {
        Ok(()) => (Fate::Committed, true),
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => match aborted(producer) {
            true => (Fate::Aborted, true),
            false => (Fate::Unknown, false),
        },
        Err(_) => (Fate::Unknown, false),
    }
}

/// Whether its producer may go on; if not, the next one aborts what this one leaves.
pub fn aborted(producer: &BaseProducer) -> bool {
    let flushed = || producer.flush(CALL); // whoever aborts has to hear first what became of his records
    patiently(|| flushed().and_then(|()| producer.abort_transaction(CALL))).is_ok()
}

/// Calls again what may be called again.
pub fn patiently(mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    let start = Instant::now();
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && start.elapsed() < PATIENCE => {}
            done => return done,
        }
    }
}

//! Reading `__transaction_state` back at start.

use wire::batch::batches;

use super::{Transactions, records, transaction::Transaction};
use crate::{errors::Error, log::Log, topics::Topic};

/// A batch that a real Kafka compressed is unpacked to at most this.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Reads every id back. Blocks on the disk.
///
/// # Errors
/// The log cannot be read, or says something of an id that is not understood: to go on without it would forget a decision.
pub fn replay(topic: &Topic, transactions: &Transactions) -> Result<(), Error> {
    for log in &topic.partitions {
        log.replay(|bytes| replay_some(log, bytes, transactions))?;
    }
    Ok(())
}

fn replay_some(log: &Log, bytes: &[u8], transactions: &Transactions) -> Result<(), Error> {
    let unreadable = |reason: String| Error::TransactionsUnreadable { log: log.name().clone(), reason };
    for batch in batches(bytes) {
        let batch = batch.map_err(|error| unreadable(error.to_string()))?;
        if batch.header.is_control() {
            continue;
        }
        let records = batch.records(BATCH_BYTES_MAX).map_err(|error| unreadable(error.to_string()))?;
        for record in &records {
            let record = record.map_err(|error| unreadable(error.to_string()))?;
            let Some(id) = record.key.and_then(records::id_of) else { continue };
            match record.value {
                None => transactions.remove(id),
                Some(value) => {
                    let strange = || format!("the record at offset {} is not understood", record.offset);
                    let transaction = Transaction::decode(value).ok_or_else(|| unreadable(strange()))?;
                    transactions.put(&id.into(), transaction);
                }
            }
        }
    }
    Ok(())
}

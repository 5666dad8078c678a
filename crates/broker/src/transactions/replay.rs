//! Reading `__transaction_state` back at start.

use wire::batch::batches;

use super::{Transactions, records, transaction::Transaction};
use crate::{
    errors::Error,
    log::{Log, ReadLimit},
    topics::Topic,
};

const READ_BYTES_MAX: usize = 1 << 20;
/// A batch that a real Kafka compressed is unpacked to at most this.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Reads every id back. Blocks on the disk.
///
/// # Errors
/// The log cannot be read, or says something of an id that is not understood: to go on without it would forget a decision.
pub fn replay(topic: &Topic, transactions: &Transactions) -> Result<(), Error> {
    for log in &topic.partitions {
        let mut offset = log.start_offset();
        while offset < log.high_watermark() {
            let limit = ReadLimit { bytes_max: READ_BYTES_MAX, at_least_one: true, before: i64::MAX };
            let fetched = log.read_blocking(offset, limit)?;
            if fetched.next_offset <= offset {
                break; // nothing whole is left
            }
            replay_some(log, &fetched.records, transactions)?;
            offset = fetched.next_offset;
        }
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

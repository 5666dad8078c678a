//! What stands between source and sink: converters, transforms, contracts. A stage sees batches, never one record.

use std::sync::Arc;

use base::{Batch, Body, Fault, Reject, Rejects};

/// One step of a transfer.
pub trait Stage: Send + Sync {
    /// Turns a batch into what the next stage takes: usually one batch, several where the contract changes inside, none
    /// where nothing is left.
    ///
    /// Runs on a thread that may block (`tokio::runtime::Handle::current().block_on(..)` is fine for a registry call).
    /// Rows keep their order and marks: the `end` of each batch given back lies behind its last row and not behind the
    /// first row of the next one, and the last one's end is that of the batch that came in. Rows that cannot be taken
    /// leave as rejects with their origin. The same batch must give the same rows each time, whatever else is in the stage at that
    /// moment: a second life relies on it, and batches of a lane pass side by side.
    ///
    /// # Errors
    /// A `Fault` is about the stage, not about a record: `Transient` is tried again from the checkpoint.
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault>;

    /// How many bytes of memory a byte that came in may take while it is at work, besides itself. Rows of parsed values are
    /// many times their text; the lane asks its source for so much less.
    fn growth(&self) -> u64 {
        0
    }

    /// What the sink refuses is no longer what came: makes it that again, row `row` of what the first stage was given. Asked of that one.
    fn restore(&self, received: &Batch, row: usize, reject: &mut Reject) {
        if let Body::Raw(_) = &received.body {
            reject.restore(received, row);
        }
    }
}

/// A batch through all stages, one after the other: what is left of it, and what was refused in the order in which it came.
///
/// # Errors
/// The first stage's that fails.
pub fn apply_all(stages: &[Arc<dyn Stage>], batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
    let (mut batches, mut rejects) = (vec![batch], Rejects::default());
    for stage in stages {
        let mut next = Vec::with_capacity(batches.len());
        for batch in batches {
            let (more, refused) = stage.apply(batch)?;
            next.extend(more.into_iter().filter(|batch| !batch.is_empty()));
            rejects.append(refused);
        }
        batches = next;
    }
    rejects.0.sort_by_key(|reject| reject.origin.mark);
    Ok((batches, rejects))
}

/// Makes of what was refused behind these stages what came to the first of them, as far as `received` has it.
pub fn as_received(stages: &[Arc<dyn Stage>], received: &Batch, rejects: &mut Rejects) {
    let Some(first) = stages.first() else { return };
    for reject in &mut rejects.0 {
        if let Some(row) = received.row_of(&reject.origin) {
            first.restore(received, row, reject);
        }
    }
}

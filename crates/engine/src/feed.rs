//! The reading half of a lane: memory, then a batch, then the stages, one batch ahead of the writing half. A batch is read while those
//! before it are in the stages, and two may be there at once: they come out in the order of the source.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use base::{Ask, Batch, Fault, Position, Read, Reader, Rejects};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{OnError, extent::body_bytes, stage::apply_all, transfer::Shared};

/// What the writing half receives, in order.
pub(crate) enum Fed {
    /// `received`: what the stages were given, where dead letters want a record as it came.
    Batches {
        batches: Vec<Batch>,
        rejects: Rejects,
        end: Position,
        received: Option<Box<Batch>>,
    },
    Idle,
    End,
    Fault(Fault),
}

/// Batches that may wait between the halves; each holds its lease.
const AHEAD: usize = 1;
/// Bounds of what one read asks for: below, the call costs more than its records; above, latency and memory do.
const ASK_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(4 << 20);
/// However much the stages need, a read smaller than this costs more than it brings.
const READ_BYTES_MIN: u64 = 16 << 10;
const ASK_RECORDS_MAX: usize = 65_536;
/// How long a source may wait for records in one call; a stop waits at most so long.
const ASK_MS: u64 = 250;
/// A source that is idle before its deadline is asked again after this long.
const IDLE_PAUSE_MS: u64 = 20;

pub(crate) struct Feed {
    ahead: mpsc::Receiver<Next>,
    /// Taken from `ahead` and still in the stages.
    next: Option<Next>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What comes next: known, or what the stages make of a batch.
enum Next {
    Known(Fed),
    Staged(JoinHandle<Fed>),
}

impl Next {
    async fn fed(&mut self) -> Fed {
        match self {
            Next::Known(fed) => std::mem::replace(fed, Fed::Idle),
            Next::Staged(applied) => {
                applied.await.unwrap_or_else(|panicked| Fed::Fault(Fault::Fatal(Box::new(panicked))))
            }
        }
    }
}

impl Feed {
    pub(crate) fn start(reader: Box<dyn Reader>, shared: Arc<Shared>) -> Self {
        let (sender, ahead) = mpsc::channel(AHEAD);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(reader, shared, sender, stop.clone()));
        Self { ahead, next: None, stop, task }
    }

    /// What comes next; `None` after the end. Nothing is lost where the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Fed> {
        if self.next.is_none() {
            self.next = self.ahead.recv().await;
        }
        let fed = self.next.as_mut()?.fed().await;
        self.next = None;
        Some(fed)
    }

    /// Ends the reading half and the stages, and waits for them: no connector's future is dropped halfway.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        self.ahead.close();
        while self.next().await.is_some() {}
        self.task.await.ok();
    }
}

async fn run(
    mut reader: Box<dyn Reader>,
    shared: Arc<Shared>,
    sender: mpsc::Sender<Next>,
    stop: CancellationToken,
) {
    let growth: u64 = shared.stages.iter().map(|stage| stage.growth()).sum();
    loop {
        let lanes = shared.lanes_count.load(Relaxed).max(1) as u64;
        // Three batches of a lane live at once: being read, waiting, being written.
        let share = u64::from(shared.budget.total_bytes()) / (3 * lanes);
        let bytes_max =
            share.clamp(*ASK_BYTES.start(), *ASK_BYTES.end()).min(u64::from(shared.budget.total_bytes()));
        let lease = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            lease = shared.budget.lease(bytes_max as u32) => Arc::new(lease),
        };
        let deadline = Instant::now() + Duration::from_millis(ASK_MS);
        let ask = Ask {
            bytes_max: (bytes_max / (1 + growth)).max(READ_BYTES_MIN),
            records_max: ASK_RECORDS_MAX,
            deadline,
            lease,
        };
        let next = match reader.read(&ask).await {
            Ok(Read::Batch(batch)) => {
                shared.progress.add_records_read(batch.len() as u64);
                shared.progress.add_bytes_read(body_bytes(&batch.body));
                apply(&shared, batch)
            }
            Ok(Read::Idle) => Next::Known(Fed::Idle),
            Ok(Read::End) => Next::Known(Fed::End),
            Err(fault) => Next::Known(Fed::Fault(fault)),
        };
        let pause = if matches!(next, Next::Known(Fed::Idle)) {
            ask.remaining().min(Duration::from_millis(IDLE_PAUSE_MS))
        } else {
            Duration::ZERO
        };
        drop(ask);
        let last = matches!(next, Next::Known(Fed::End | Fed::Fault(_)));
        if let Err(mut unwanted) = sender.send(next).await {
            unwanted.0.fed().await;
            return;
        }
        if last {
            return;
        }
        if !pause.is_zero() {
            tokio::select! { () = stop.cancelled() => return, () = sleep(pause) => {} }
        }
    }
}

/// All stages, one after the other, on a thread that may block.
fn apply(shared: &Arc<Shared>, batch: Batch) -> Next {
    let end = batch.end.clone();
    if shared.stages.is_empty() {
        let batches = vec![batch];
        return Next::Known(Fed::Batches { batches, rejects: Rejects::default(), end, received: None });
    }
    let received = (shared.on_error == OnError::DeadLetter).then(|| Box::new(batch.clone()));
    let shared = shared.clone();
    Next::Staged(tokio::task::spawn_blocking(move || match apply_all(&shared.stages, batch) {
        Ok((batches, rejects)) => Fed::Batches { batches, rejects, end, received },
        Err(fault) => Fed::Fault(fault),
    }))
}

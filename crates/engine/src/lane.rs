//! A lane carries one split. A crash, a fault, a rebalance and a stop all come back in by the first line of `life`.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use base::{
    Backoff, Batch, Fault, Position, Receipt, Reject, Rejects, Split, Writer, crash_point, problem::line,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, OnError,
    extent::{Measured, Open, Taken, body_bytes},
    feed::{Fed, Feed},
    stage::as_received,
    transfer::Shared,
};

/// How a lane ended without a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The split has no more records, and all are committed.
    Finished,
    Stopped,
    /// The split belongs to another one now.
    Lost,
}

/// How often wall time is looked at while nothing arrives.
const DUE_CHECK_MS: u64 = 100;

pub(crate) struct Lane {
    shared: Arc<Shared>,
    split: Split,
    writer: Box<dyn Writer>,
    open: Open,
    receipt: Receipt,
    due_ms: Option<i64>,
    /// Rejects of rows behind the last one taken, in the order of their marks.
    rejects: VecDeque<Reject>,
    /// Rows of the open extent that the sink refused.
    refused_count: u64,
    /// What the rows at hand were before any stage.
    received: Option<Box<Batch>>,
    backoff: Backoff,
}

/// Lives until the split ends, a stop, or a fault that waiting does not mend.
pub(crate) async fn run(
    shared: Arc<Shared>,
    split: Split,
    stop: CancellationToken,
) -> Result<Outcome, Fault> {
    let mut backoff = shared.retries.clone();
    loop {
        let mut position = Position::Start;
        let fault = match life(&shared, &split, &stop, &mut backoff, &mut position).await {
            Ok(outcome) => return Ok(outcome),
            Err(fault) => fault,
        };
        shared.dead_letters.discard(&split).await;
        match fault {
            Fault::Lost(error) => {
                tracing::info!(split = %split.id, %error, "the split was taken over");
                if shared.lost_ends_transfer.load(std::sync::atomic::Ordering::Relaxed) {
                    return Err(Fault::Lost(error));
                }
                return Ok(Outcome::Lost);
            }
            Fault::Transient(source) => {
                let Some(wait) = backoff.next() else {
                    let (place, tries) = (split.place.clone(), backoff.tries());
                    return Err(Error::RetriesSpent { place, tries, source }.fatal());
                };
                let (error, wait_ms) = (line(&*source), wait.as_millis() as u64);
                tracing::warn!(split = %split.id, error, wait_ms, "begins again");
                shared.progress.add_retries(1);
                tokio::select! {
                    () = stop.cancelled() => return Ok(Outcome::Stopped),
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Fault::Denied(source) => return Err(Fault::Denied(context(&split, &position, source))),
            Fault::Fatal(source) => return Err(Fault::Fatal(context(&split, &position, source))),
        }
    }
}

/// Says which split and position a fault belongs to, unless the error says so itself.
fn context(split: &Split, position: &Position, source: base::BoxError) -> base::BoxError {
    if source.is::<Error>() {
        return source;
    }
    Box::new(Error::Lane { place: split.place.clone(), position: position.to_string(), source })
}

/// From the checkpoint to the end of this life.
async fn life(
    shared: &Arc<Shared>,
    split: &Split,
    stop: &CancellationToken,
    backoff: &mut Backoff,
    position: &mut Position,
) -> Result<Outcome, Fault> {
    let saved = shared.checkpoints.load(split).await?;
    let mut writer = shared.sink.writer(split).await?;
    let from = writer.recover(&saved).await?.unwrap_or(saved.position);
    position.clone_from(&from);
    let reader = shared.source.open(split, &from).await?;
    let mut feed = Feed::start(reader, shared.clone());
    let now_ms = shared.clock.now_ms();
    let mut lane = Lane {
        shared: shared.clone(),
        split: split.clone(),
        writer,
        open: Open::at(split, from),
        receipt: saved.receipt,
        due_ms: shared.cuts.schedule.map(|schedule| schedule.next_ms(now_ms)),
        rejects: VecDeque::new(),
        refused_count: 0,
        received: None,
        backoff: backoff.clone(),
    };
    let ended = lane.carry(&mut feed, stop).await;
    feed.close().await;
    *backoff = lane.backoff;
    position.clone_from(&lane.open.upto);
    ended
}

impl Lane {
    async fn carry(&mut self, feed: &mut Feed, stop: &CancellationToken) -> Result<Outcome, Fault> {
        loop {
            let wait = async {
                match self.due_ms {
                    Some(_) => timeout(Duration::from_millis(DUE_CHECK_MS), feed.next())
                        .await
                        .unwrap_or(Some(Fed::Idle)),
                    None => feed.next().await,
                }
            };
            let fed = tokio::select! {
                biased;
                // An open extent is read again next time: a stop must not move a cut.
                () = stop.cancelled() => return Ok(Outcome::Stopped),
                fed = wait => fed,
            };
            self.commit_if_due().await?;
            match fed {
                Some(Fed::Batches { batches, rejects, end, received }) => {
                    self.received = received;
                    self.take_all(batches, rejects, end, stop).await?
                }
                Some(Fed::Idle) => self.save_skipped().await?,
                Some(Fed::End) => {
                    if self.open.records_count > 0 {
                        self.commit().await?
                    } else {
                        self.save_skipped().await?
                    }
                    return Ok(Outcome::Finished);
                }
                Some(Fed::Fault(fault)) => {
                    if self.shared.on_error == OnError::CommitThenStop && self.open.records_count > 0 {
                        self.commit().await?;
                    }
                    return Err(fault);
                }
                None => return Err(Fault::Fatal("the reading half of the lane ended without a word".into())),
            }
        }
    }

    /// Commits by wall time, before anything newer is taken.
    async fn commit_if_due(&mut self) -> Result<(), Fault> {
        let (Some(schedule), Some(due_ms)) = (self.shared.cuts.schedule, self.due_ms) else { return Ok(()) };
        let now_ms = self.shared.clock.now_ms();
        if now_ms < due_ms || self.open.records_count == 0 || !self.open.is_at_place {
            return Ok(());
        }
        self.due_ms = Some(schedule.next_ms(now_ms));
        self.commit().await
    }

    async fn take_all(
        &mut self,
        batches: Vec<Batch>,
        rejects: Rejects,
        end: Position,
        stop: &CancellationToken,
    ) -> Result<(), Fault> {
        self.shared.progress.add_rejected(rejects.0.len() as u64);
        self.rejects.extend(rejects.0);
        for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
            let mut measured = Measured::new(batch, &self.shared.cuts);
            while !measured.is_spent() {
                if stop.is_cancelled() {
                    return Ok(());
                }
                self.take(&mut measured).await?;
            }
        }
        self.put_rejects_before(None).await?;
        if self.open.records_count == 0 {
            // Nothing is open: what left as rejects, or was filtered, belongs to no extent's objects.
            self.open.upto.clone_from(&end);
        } else if self.open.upto != end {
            self.open.upto = end;
        }
        Ok(())
    }

    /// One piece: rows up to the next reject or the next cut.
    async fn take(&mut self, measured: &mut Measured) -> Result<(), Fault> {
        let row = measured.row;
        self.put_rejects_before(measured.batch.envelope.mark(row)).await?;
        let rows_max = self.rows_before_reject(measured);
        match self.open.take(measured, &self.shared.cuts, rows_max) {
            Taken::CutBefore => {
                if let Some(position) = measured.position(row) {
                    self.open.upto = position;
                }
                self.commit().await
            }
            Taken::Rows(rows) => self.write(measured.batch.slice(rows)).await,
            Taken::Last(rows) => {
                self.write(measured.batch.slice(rows)).await?;
                self.end_before_reject();
                self.commit().await
            }
        }
    }

    /// A reject that lies between this extent's last row and the next good one belongs to the next extent: were its
    /// mark passed by this commit, a death before the next one would lose it.
    fn end_before_reject(&mut self) {
        if let (Some(mark), Position::Mark(upto)) =
            (self.rejects.front().and_then(|reject| reject.origin.mark), &self.open.upto)
            && mark < *upto
        {
            self.open.upto = Position::Mark(mark);
        }
    }

    /// How many of the rows to come lie before the first reject that waits.
    fn rows_before_reject(&self, measured: &Measured) -> usize {
        let (Some(mark), Some(marks)) =
            (self.rejects.front().and_then(|reject| reject.origin.mark), &measured.batch.envelope.marks)
        else {
            return usize::MAX;
        };
        marks[measured.row..].partition_point(|row| *row < mark).max(1)
    }

    async fn write(&mut self, batch: Batch) -> Result<(), Fault> {
        crash_point("engine.write.before");
        let mut rejects = self.writer.write(&batch).await?;
        if let Some(received) = &self.received {
            as_received(&self.shared.stages, received, &mut rejects);
        }
        let refused = rejects.0.len() as u64;
        self.shared.progress.add_records_written((batch.len() as u64).saturating_sub(refused));
        self.shared.progress.add_bytes_written(body_bytes(&batch.body));
        self.refused_count += refused;
        if !rejects.is_empty() {
            self.shared.progress.add_rejected(refused);
            self.refuse(rejects).await?;
        }
        crash_point("engine.write.after");
        Ok(())
    }

    /// Lets go of the rejects whose mark is below `mark` (or that have none); of all for `None`.
    async fn put_rejects_before(&mut self, mark: Option<i64>) -> Result<(), Fault> {
        let is_before = |reject: &Reject| match (reject.origin.mark, mark) {
            (Some(own), Some(mark)) => own < mark,
            _ => true,
        };
        let count = self.rejects.iter().take_while(|reject| is_before(reject)).count();
        if count == 0 {
            return Ok(());
        }
        let rejects = Rejects(self.rejects.drain(..count).collect());
        self.refuse(rejects).await
    }

    async fn refuse(&mut self, rejects: Rejects) -> Result<(), Fault> {
        match self.shared.on_error {
            OnError::DeadLetter => return self.shared.dead_letters.put(&self.split, rejects).await,
            OnError::Stop => {}
            OnError::CommitThenStop => {
                if self.open.records_count > 0 {
                    self.commit().await?;
                }
            }
        }
        let Some(reject) = rejects.0.into_iter().next() else { return Ok(()) };
        let committed_count = self.shared.progress.records_committed();
        Err(Error::Rejected { reject: Box::new(reject), committed_count }.fatal())
    }

    /// Dead letters, then the sink, then the checkpoint, then the source: each after the one before is safe.
    async fn commit(&mut self) -> Result<(), Fault> {
        let extent = self.open.closed();
        crash_point("engine.commit.before_write");
        self.shared.dead_letters.flush(&extent).await?;
        crash_point("engine.commit.after_dead_letters");
        let began = Instant::now();
        self.receipt = self.writer.commit(&extent).await?;
        self.shared.progress.commits().note(began.elapsed());
        crash_point("engine.commit.before_checkpoint");
        // Before the next write: so at most one extent lies past the checkpoint, its names come from its start, and a
        // second life overwrites it even where it cuts elsewhere.
        self.shared.checkpoints.save(&extent, &self.receipt).await?;
        crash_point("engine.commit.after_checkpoint");
        self.shared.source.covered(&self.split, &extent.end).await?;
        let taken_count = extent.records_count.saturating_sub(std::mem::take(&mut self.refused_count));
        self.shared.progress.add_records_committed(taken_count);
        self.shared.progress.add_extents_committed(1);
        self.backoff.reset();
        self.open = Open::at(&self.split, extent.end);
        Ok(())
    }

    /// Where all that came left as rejects or was filtered, only the position moves: no object begins or ends.
    async fn save_skipped(&mut self) -> Result<(), Fault> {
        if self.open.records_count > 0 || self.open.upto == self.open.start {
            return Ok(());
        }
        let extent = self.open.closed();
        self.shared.dead_letters.flush(&extent).await?;
        self.shared.checkpoints.save(&extent, &self.receipt).await?;
        self.shared.source.covered(&self.split, &extent.end).await?;
        self.open = Open::at(&self.split, extent.end);
        Ok(())
    }
}

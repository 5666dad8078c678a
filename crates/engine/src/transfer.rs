//! A transfer: asks the source what there is to read, and keeps a lane for each split until all end or a stop.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use base::{
    Ask, Backoff, BoxError, Budget, Clock, Discovery, Fault, Lease, Load, Sink, Source, Split, problem::line,
};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Checkpoints, Cuts, DeadLetters, Error, Progress, Stage,
    lane::{self, Outcome},
};

/// All that a run of a transfer needs, as plain data.
pub struct Transfer {
    pub load: Load,
    pub source: Arc<dyn Source>,
    pub stages: Vec<Arc<dyn Stage>>,
    pub sink: Arc<dyn Sink>,
    pub cuts: Cuts,
    pub budget: Budget,
    pub checkpoints: Arc<dyn Checkpoints>,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub progress: Arc<Progress>,
    pub on_error: OnError,
    pub clock: Arc<dyn Clock>,
    /// How a lane waits after a transient fault; begun anew by each commit.
    pub retries: Backoff,
    /// Lanes at work at once; further splits wait. Give `usize::MAX` to a source whose splits never end.
    pub lanes_count_max: usize,
}

/// What a rejected record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Ends the transfer; the open extent is read again next time.
    Stop,
    /// Ends the transfer after what came before the record is committed: for a target that cannot take back.
    CommitThenStop,
    /// Puts it to the dead letters and goes on.
    DeadLetter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The source said that it has told all, and all of it is committed.
    Finished,
    /// The stop was asked for.
    Stopped,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub ended: Ended,
    pub records_count: u64,
    pub bytes: u64,
    pub rejected_count: u64,
    pub retries_count: u64,
    pub extents_count: u64,
    pub splits_count: u64,
}

/// What the lanes share.
pub(crate) struct Shared {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) stages: Vec<Arc<dyn Stage>>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) cuts: Cuts,
    pub(crate) budget: Budget,
    pub(crate) checkpoints: Arc<dyn Checkpoints>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) on_error: OnError,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retries: Backoff,
    pub(crate) lanes_count: AtomicUsize,
    /// A bounded source gives no split back, so a lane that lost its own has lost it for good.
    pub(crate) lost_ends_transfer: AtomicBool,
}

/// How long a source may take to say what is new.
const DISCOVER_MS: u64 = 500;

/// A split's id and how its lane ended.
type LaneEnd = (Arc<str>, Result<Outcome, Fault>);

struct Lanes {
    shared: Arc<Shared>,
    running: HashMap<Arc<str>, CancellationToken>,
    waiting: VecDeque<Split>,
    tasks: JoinSet<LaneEnd>,
    count_max: usize,
    splits_count: u64,
}

impl Transfer {
    /// Runs until the source has no more, or until `stop`; what is committed stays committed in any case.
    ///
    /// # Errors
    /// The first fault that waiting did not mend, with the split it belongs to ([`Error`] is in the box). The counts of
    /// what was done until then are in `progress`.
    pub async fn run(self, stop: CancellationToken) -> Result<Summary, Fault> {
        let (load, count_max, mut backoff) =
            (self.load.clone(), self.lanes_count_max.max(1), self.retries.clone());
        let shared = Arc::new(self.into_shared());
        loop {
            match shared.sink.begin(&load).await {
                Ok(()) => break,
                Err(fault) => {
                    wait_or_give_up(fault, &mut backoff, &stop, |source| Error::Begin { source }).await?
                }
            }
            if stop.is_cancelled() {
                return Ok(shared.summary(Ended::Stopped, 0));
            }
        }
        let (running, waiting) = (HashMap::new(), VecDeque::new());
        let mut lanes = Lanes {
            shared: shared.clone(),
            running,
            waiting,
            tasks: JoinSet::new(),
            count_max,
            splits_count: 0,
        };
        let ended = lanes.keep(&stop).await;
        lanes.close().await;
        let ended = ended?;
        if ended == Ended::Finished {
            shared
                .sink
                .finish(&load)
                .await
                .map_err(|fault| wrap(fault, |source| Error::Finish { source }))?;
        }
        Ok(shared.summary(ended, lanes.splits_count))
    }

    fn into_shared(self) -> Shared {
        Shared {
            source: self.source,
            stages: self.stages,
            sink: self.sink,
            cuts: self.cuts,
            budget: self.budget,
            checkpoints: self.checkpoints,
            dead_letters: self.dead_letters,
            progress: self.progress,
            on_error: self.on_error,
            clock: self.clock,
            retries: self.retries,
            lanes_count: AtomicUsize::new(1),
            lost_ends_transfer: AtomicBool::new(false),
        }
    }
}

impl Shared {
    fn summary(&self, ended: Ended, splits_count: u64) -> Summary {
        Summary {
            ended,
            records_count: self.progress.records_committed(),
            bytes: self.progress.bytes_written(),
            rejected_count: self.progress.rejected(),
            retries_count: self.progress.retries(),
            extents_count: self.progress.extents_committed(),
            splits_count,
        }
    }
}

impl Lanes {
    /// Asks and joins until all lanes of a complete source have ended, or the stop.
    async fn keep(&mut self, stop: &CancellationToken) -> Result<Ended, Fault> {
        let mut complete = false;
        let mut backoff = self.shared.retries.clone();
        loop {
            self.start_waiting();
            if complete && self.tasks.is_empty() && self.waiting.is_empty() {
                return Ok(Ended::Finished);
            }
            let discovery = self.ask(complete, stop).await?;
            if stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            match discovery {
                None => {}
                Some(Ok(Discovery::Complete)) => {
                    complete = true;
                    self.shared.lost_ends_transfer.store(true, Relaxed);
                }
                Some(Ok(Discovery::Changed { assigned, revoked })) => {
                    backoff.reset();
                    self.let_go(&revoked).await?;
                    self.let_go(&assigned).await?;
                    self.waiting.extend(assigned);
                }
                Some(Err(fault)) => {
                    wait_or_give_up(fault, &mut backoff, stop, |source| Error::Discover { source }).await?;
                }
            }
        }
    }

    /// One call of `discover`, never dropped halfway, while lanes may end; `None` when the source is complete.
    async fn ask(
        &mut self,
        complete: bool,
        stop: &CancellationToken,
    ) -> Result<Option<Result<Discovery, Fault>>, Fault> {
        if complete {
            tokio::select! {
                () = stop.cancelled() => {}
                ended = self.tasks.join_next() => self.note(ended)?,
            }
            return Ok(None);
        }
        let source = self.shared.source.clone();
        let deadline = Instant::now() + Duration::from_millis(DISCOVER_MS);
        let ask = Ask { bytes_max: 0, records_max: 0, deadline, lease: Lease::free() };
        let mut call = Box::pin(async { source.discover(&ask).await });
        loop {
            tokio::select! {
                answer = &mut call => return Ok(Some(answer)),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(fault) = self.note(Some(ended)) {
                        call.await.ok();
                        return Err(fault);
                    }
                    self.start_waiting();
                }
            }
        }
    }

    fn start_waiting(&mut self) {
        while self.tasks.len() < self.count_max
            && let Some(split) = self.waiting.pop_front()
        {
            let stop = CancellationToken::new();
            self.running.insert(split.id.clone(), stop.clone());
            self.splits_count += 1;
            let shared = self.shared.clone();
            self.tasks.spawn(async move { (split.id.clone(), lane::run(shared, split, stop).await) });
        }
        self.tell_count();
    }

    fn tell_count(&self) {
        self.shared.lanes_count.store(self.tasks.len().max(1), Relaxed);
        self.shared.progress.set_lanes(self.tasks.len() as u64);
    }

    fn note(&mut self, ended: Option<Result<LaneEnd, tokio::task::JoinError>>) -> Result<(), Fault> {
        match ended {
            None => Ok(()),
            Some(Err(panicked)) => Err(Fault::Fatal(Box::new(panicked))),
            Some(Ok((id, outcome))) => {
                self.running.remove(&id);
                self.tell_count();
                outcome.map(|_| ())
            }
        }
    }

    /// Stops the lanes of these splits and waits for them; their open extents are dropped.
    async fn let_go(&mut self, splits: &[Split]) -> Result<(), Fault> {
        self.waiting.retain(|waiting| !splits.iter().any(|split| split.id == waiting.id));
        for split in splits {
            if let Some(stop) = self.running.get(&split.id) {
                stop.cancel();
            }
        }
        while splits.iter().any(|split| self.running.contains_key(&split.id)) {
            let ended = self.tasks.join_next().await;
            self.note(ended)?;
        }
        Ok(())
    }

    /// Ends all lanes and waits for them.
    async fn close(&mut self) {
        for stop in self.running.values() {
            stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
        self.running.clear();
        self.tell_count();
    }
}

/// Waits before another try of a transient fault; gives the others, and a spent one, back with their context.
async fn wait_or_give_up(
    fault: Fault,
    backoff: &mut Backoff,
    stop: &CancellationToken,
    context: impl FnOnce(BoxError) -> Error,
) -> Result<(), Fault> {
    match fault {
        Fault::Transient(source) => {
            let Some(wait) = backoff.next() else { return Err(context(source).fatal()) };
            tracing::warn!(error = line(&*source), wait_ms = wait.as_millis() as u64, "tries again");
            tokio::select! { () = stop.cancelled() => {}, () = sleep(wait) => {} }
            Ok(())
        }
        other => Err(wrap(other, context)),
    }
}

fn wrap(fault: Fault, context: impl FnOnce(BoxError) -> Error) -> Fault {
    match fault {
        Fault::Transient(source) | Fault::Fatal(source) => context(source).fatal(),
        Fault::Denied(source) => Fault::Denied(Box::new(context(source))),
        Fault::Lost(source) => Fault::Lost(Box::new(context(source))),
    }
}

#[cfg(test)]
mod tests;

//! One life of a load: target and input made ready, the transfer between them, how it ended, and what is kept of it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use base::{Backoff, Budget, Clock, Load, SystemClock};
use connectors::{
    kafka::{Scope, Transaction},
    received::{Received, Told, WithColumns},
    rows::Planned,
};
use engine::{
    Checkpoints, Cuts, DeadLetters, OnError, Progress, Schedule, Stage, Transfer,
    checkpoints::NoCheckpoints,
    dead_letters::{FileDeadLetters, NoDeadLetters},
};
use tokio_util::sync::CancellationToken;

use super::{
    Args, OnBad, Prepared, Target, dead_letter_folder,
    failure::LoadError,
    hindrance::Hindrance,
    input::{Input, Reading},
    kafka, look, objects,
    pace::{Paced, Plan},
    records,
    show::{Announced, Reporter},
    state::State,
    stores,
    watch::WatchSource,
};
use crate::context::{Context, Failure};

/// Records between two waits for acknowledgements.
const EXTENT_RECORDS: u64 = 250_000;
/// What a second life reads again at most of a load that has all its records at hand, and of a stream.
const COMMIT_MS: i64 = 5_000;
const STREAM_COMMIT_MS: i64 = 1_000;
/// Files that are read at once.
const LANES_MAX: usize = 2;

/// What a load does, however far it comes.
struct Job<'a> {
    args: &'a Args,
    context: &'a Context,
    target: Target,
    plan: Plan,
    transaction: Option<Transaction>,
    /// The load's, in whatever names it.
    id: String,
    /// When it began, in whichever life: a second one must make the same rows.
    began_ms: i64,
}

/// What is left of a life.
struct Ended {
    rejected_count: u64,
    /// Ctrl-C came before its end.
    was_interrupted: bool,
    sent_count: u64,
    is_repeatable: bool,
    /// Of what Kafka remembers of a load that has ended.
    position: Option<(kafka::Topic, Transaction)>,
}

/// `state`: that of a load that goes on.
pub(super) async fn run(
    args: &Args,
    context: &Context,
    state: Option<State>,
    accept_changes: bool,
) -> Result<(), Failure> {
    let (target, sources) = args.paths.split_last().expect("clap asks for one");
    let address = target.clone();
    let target = Target::parse(target, args, context)?;
    if args.pace.watch.is_none() && sources.is_empty() {
        return Err(Box::new(Hindrance::NoSource { target: address }));
    }
    if let Target::Files(files) = &target {
        return objects::run(args, context, files, sources, state).await;
    }
    objects::refuse_flags_of_files(&args.files)?;
    if let (Some(_), [source, ..]) = (&args.pace.watch, sources) {
        return Err(Box::new(Hindrance::WatchBeside { source: source.clone() }));
    }
    if args.reading.infer || args.reading.preview.is_some() {
        return looked_at(args, context, target, sources).await;
    }
    let mut state = match state {
        Some(state) => Some(state),
        None => State::begin(context, target.name(), &address, args.pace.watch.as_deref())?,
    };
    let name = target.name().to_owned();
    let ended = life(args, context, target, sources, &mut state, accept_changes).await;
    let id = state.as_ref().map(|state| state.id().to_owned());
    match ended {
        Ok(ended) if ended.was_interrupted => {
            let resume = kept(state).and(id);
            let Ended { sent_count, is_repeatable, .. } = ended;
            Err(Box::new(LoadError::Interrupted { sent_count, target: name, is_repeatable, resume }))
        }
        Ok(ended) => match state {
            // What it has seen is remembered for the next life.
            Some(_) if args.pace.watch.is_some() => Ok(()),
            state => {
                if let Some(state) = state {
                    state.finish(ended.rejected_count > 0)?;
                }
                // Not before the state is gone: a life that had only one of the two would send all again.
                if let Some((topic, transaction)) = ended.position {
                    kafka::forget(args, context, &topic, transaction).await?;
                }
                Ok(())
            }
        },
        Err(mut failure) => {
            failure.resume = kept(state).and(id);
            Err(failure.into_failure())
        }
    }
}

/// What is shown instead of loading.
async fn looked_at(
    args: &Args,
    context: &Context,
    target: Target,
    sources: &[String],
) -> Result<(), Failure> {
    if args.pace.watch.is_some() {
        let (one, other) = ("--watch", if args.reading.infer { "--infer" } else { "--preview" });
        return Err(Box::new(Hindrance::Contradiction { one, other }));
    }
    let input = records::open(args, context, sources).await?;
    let Some(count) = args.reading.preview else { return look::infer(&input, args, context).await };
    let plan = Plan::of(&args.pace, args.limit, input.is_counted(), 0);
    let plan = plan.map_err(|error| Box::new(error) as Failure)?;
    let began_ms = SystemClock.now_ms();
    let job = Job { args, context, target, plan, transaction: None, id: String::new(), began_ms };
    let prepared = job.prepare(&input).await?;
    let topic = matches!(job.target, Target::Kafka(_)).then_some(&args.topics);
    look::preview(&input, &job.stages(&input, prepared.stage)?, count, topic, context).await
}

/// What ended a life: an error of the load's own, or one from below.
struct Failed {
    failure: Result<Box<LoadError>, Failure>,
    resume: Option<String>,
}

impl Failed {
    fn into_failure(self) -> Failure {
        match self.failure {
            Ok(mut error) => {
                error.set_resume(self.resume);
                error
            }
            Err(failure) => failure,
        }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure: Err(failure), resume: None }
    }
}

impl From<Box<LoadError>> for Failed {
    fn from(error: Box<LoadError>) -> Self {
        Self { failure: Ok(error), resume: None }
    }
}

/// The state, where a second life has something of it; nothing is left of one that has not begun.
fn kept(state: Option<State>) -> Option<()> {
    let state = state?;
    if state.is_worth_keeping() {
        return Some(());
    }
    if let Err(error) = state.remove() {
        tracing::warn!(%error, "the state of a load stays where it is");
    }
    None
}

async fn life(
    args: &Args,
    context: &Context,
    target: Target,
    sources: &[String],
    state: &mut Option<State>,
    accept_changes: bool,
) -> Result<Ended, Failed> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let input = match &args.pace.watch {
        Some(folder) => watched(args, context, folder, clock.clone(), state.as_ref())?,
        None => records::open(args, context, sources).await?,
    };
    let seed = clock.now_ms().unsigned_abs();
    let plan = Plan::of(&args.pace, args.limit, input.is_counted(), seed)
        .map_err(|error| Box::new(error) as Failure)?;
    if plan.rounds() != 1 && input.paths().iter().any(|path| path.as_os_str() == "-") {
        let (one, other) = ("--loop", "standard input, which can be read once");
        return Err(Failed::from(Box::new(Hindrance::Contradiction { one, other }) as Failure));
    }
    if let Some(state) = state {
        state.compare(&input, accept_changes).await?;
    }
    let id = match state {
        Some(state) => state.id().to_owned(),
        None => format!("{}-{}-{seed}", target.name(), std::process::id()),
    };
    let transaction = args.topics.transaction(&id, plan.has_end());
    let began_ms = state.as_ref().map_or_else(|| clock.now_ms(), |state| state.manifest.began_ms);
    let job = Job { args, context, target, plan, transaction, id, began_ms };
    let letters: Option<Arc<dyn DeadLetters>> = match args.on_error {
        OnBad::Stop => None,
        OnBad::DeadLetter => {
            let folder = dead_letter_folder(args, context, job.target.name())?;
            Some(Arc::new(FileDeadLetters::of_load(&folder, job.id.as_str().into())))
        }
    };
    job.run(input, state.as_ref(), letters, clock).await
}

/// The source of `--watch`.
fn watched(
    args: &Args,
    context: &Context,
    folder: &std::path::Path,
    clock: Arc<dyn Clock>,
    state: Option<&State>,
) -> Result<Input, Failure> {
    let read = Reading::of(args, Vec::new())?;
    let kept = state.map(|state| (state.folder(), state.checkpoints.clone()));
    let source = WatchSource::open(context.path(folder)?, read.config.clone(), clock, kept);
    let source = source.map_err(|error| Box::new(error) as Failure)?;
    Ok(Input::Watched { source: Arc::new(source), read })
}

impl Job<'_> {
    async fn prepare(&self, input: &Input) -> Result<Prepared, Failure> {
        match &self.target {
            Target::Kafka(topic) => {
                kafka::prepare(self.args, self.context, topic, input, self.transaction.clone()).await
            }
            Target::Store(store) => {
                stores::prepare(self.args, self.context, store, input, self.began_ms).await
            }
            Target::Files(files) => Err(Box::new(LoadError::Target { target: files.shown().to_owned() })),
        }
    }

    /// All that records pass, around the stage that the target's kind has made.
    fn stages(&self, input: &Input, stage: Arc<dyn Stage>) -> Result<Vec<Arc<dyn Stage>>, Failure> {
        if let Input::Records(records) = input {
            return records.stages(self.args, self.context, &self.target, stage);
        }
        let mut stages = input.mapped();
        stages.push(stage);
        Ok(vec![Arc::new(Received::new(stages))])
    }

    /// Refused records of CSV have their columns with them.
    fn with_columns(
        &self,
        letters: Arc<dyn DeadLetters>,
        input: &Input,
        planned: Vec<Planned>,
    ) -> Arc<dyn DeadLetters> {
        let are_typed = matches!(self.target, Target::Store(_)) && self.args.contract.is_none();
        match input.columns(planned, are_typed) {
            Some(find) => Arc::new(WithColumns::new(letters, find)),
            None => letters,
        }
    }

    fn cuts(&self) -> Cuts {
        let records = self.args.topics.transaction_records.unwrap_or(EXTENT_RECORDS).max(1);
        let every_ms = if self.plan.is_stream() { STREAM_COMMIT_MS } else { COMMIT_MS };
        let is_by_count = self.args.topics.transaction_records.is_some() && !self.plan.is_stream();
        // Extents are no objects here: where they end is nobody's business.
        let may_cut = matches!(self.target, Target::Kafka(_) | Target::Store(_)) && !is_by_count;
        Cuts { schedule: may_cut.then(|| Schedule::every(every_ms)), ..Cuts::records(records) }
    }

    fn checkpoints(&self, state: Option<&State>) -> Arc<dyn Checkpoints> {
        let is_whole = self.transaction.as_ref().is_some_and(|one| one.scope == Scope::Transfer);
        match state {
            // One transaction is there or is not; a loop without an end would remember every round.
            Some(state) if !is_whole && self.plan.rounds() != 0 => state.checkpoints.clone(),
            _ => Arc::new(NoCheckpoints::default()),
        }
    }

    async fn run(
        self,
        input: Input,
        state: Option<&State>,
        letters: Option<Arc<dyn DeadLetters>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Ended, Failed> {
        let Prepared { stage, sink, name, told, is_repeatable, budget_bytes, planned } =
            self.prepare(&input).await?;
        let stages = self.stages(&input, stage)?;
        let letters = letters.map(|letters| self.with_columns(letters, &input, planned));
        let progress = Arc::new(Progress::default());
        let reporter = Reporter::new(self.context, &name, &self.id, told, input.bytes());
        let in_order = self.transaction.is_some() || self.plan.is_in_order();
        let (cuts, checkpoints) = (self.cuts(), self.checkpoints(state));
        let (has_end, duration) = (self.plan.has_end(), self.plan.duration);
        let (stop, ending) = (CancellationToken::new(), CancellationToken::new());
        let on_error = if letters.is_some() { OnError::DeadLetter } else { OnError::CommitThenStop };
        let transfer = Transfer {
            load: Load { id: self.id.as_str().into(), transfer: format!("load-{name}").into() },
            source: Arc::new(Paced::new(input.source(), self.plan, clock.clone(), ending.clone())),
            stages,
            sink: Arc::new(Told(sink)),
            cuts,
            budget: Budget::new(budget_bytes),
            checkpoints,
            dead_letters: match letters {
                Some(letters) => Arc::new(Announced::new(letters, self.context)),
                None => Arc::new(NoDeadLetters),
            },
            progress: progress.clone(),
            on_error,
            clock,
            // Sending again what may have been acknowledged would double a topic's records: a load that fails says so and ends.
            retries: Backoff::new(100, 1_000, 0, 1),
            lanes_count_max: if in_order { 1 } else { LANES_MAX },
        };
        // Half a load must not become visible where all of it was to be one transaction.
        let is_whole = self.transaction.as_ref().is_some_and(|one| one.scope == Scope::Transfer);
        let interrupted = end_on_signals(stop.clone(), ending.clone(), is_whole && has_end);
        if let Some(duration) = duration {
            let ending = ending.clone();
            tokio::spawn(async move {
                tokio::time::sleep(duration).await;
                ending.cancel();
            });
        }
        let summary = reporter.until(transfer.run(stop), &progress).await;
        // Of a transaction that did not end nothing is there.
        let sent_count = |count: u64, has_ended: bool| if is_whole && !has_ended { 0 } else { count };
        let mut summary = summary
            .map_err(|fault| LoadError::of(fault, sent_count(progress.records_committed(), false), &name))?;
        // A stream has no other end.
        let was_interrupted =
            (interrupted.is_cancelled() && has_end) || summary.ended == engine::Ended::Stopped;
        summary.records_count = sent_count(summary.records_count, !was_interrupted);
        let folder = refused_folder(self.args, self.context, &name, summary.rejected_count)?;
        reporter.finished(&summary, progress.commits(), folder.as_deref(), was_interrupted);
        let position = match (self.target, self.transaction) {
            (Target::Kafka(topic), Some(transaction)) if has_end && !was_interrupted => {
                Some((topic, transaction))
            }
            _ => None,
        };
        let (rejected_count, sent_count) = (summary.rejected_count, summary.records_count);
        Ok(Ended { rejected_count, was_interrupted, sent_count, is_repeatable, position })
    }
}

/// Where refused records lie, if there are any and they were put aside.
fn refused_folder(
    args: &Args,
    context: &Context,
    name: &str,
    rejected_count: u64,
) -> Result<Option<PathBuf>, Failure> {
    match args.on_error {
        OnBad::DeadLetter if rejected_count > 0 => dead_letter_folder(args, context, name).map(Some),
        OnBad::DeadLetter | OnBad::Stop => Ok(None),
    }
}

/// The first Ctrl-C (or a polite `kill`) ends the load with what was read; the second one at once, as does the first where
/// half of it is worth nothing. Gives what tells that one came.
fn end_on_signals(stop: CancellationToken, ending: CancellationToken, at_once: bool) -> CancellationToken {
    let interrupted = CancellationToken::new();
    let note = interrupted.clone();
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        for count in 1.. {
            tokio::select! {
                pressed = tokio::signal::ctrl_c() => if pressed.is_err() { return },
                _ = terminate.recv() => {}
            }
            note.cancel();
            ending.cancel();
            if at_once || count > 1 {
                stop.cancel();
            }
        }
    });
    interrupted
}

/// For the time that a summary tells.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

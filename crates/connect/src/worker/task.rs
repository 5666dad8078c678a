//! One task: an engine transfer from the topics of a consumer group, through the converters, into objects.

use std::{error::Error as StdError, sync::Arc};

use base::{Backoff, Budget, Clock, Fault, Load, Problem, SystemClock, problem::chain};
use cloud::store::Credentials;
use connectors::{
    kafka::{GroupCheckpoints, KafkaSource},
    objects::{ObjectSink, StoreConfig},
};
use engine::{OnError, Progress, Stage, Transfer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Worker,
    gate::Gate,
    settings::{Identity, Settings},
};
use crate::{converters::Conversion, dead_letters::TopicDeadLetters};

/// The most bytes that a task's batches and open objects may hold together, whatever the worker's setting says.
const BUDGET_BYTES_MAX: u64 = u32::MAX as u64;

/// Runs until `stop`, or until a failure that waiting does not mend: the trace that status shows.
pub(super) async fn run(
    worker: &Arc<Worker>,
    settings: Settings,
    paused: watch::Receiver<bool>,
    stop: CancellationToken,
) -> Result<(), String> {
    let transfer = match build(worker, settings, paused).await {
        Ok(transfer) => transfer,
        Err(fault) => return Err(trace(fault)),
    };
    transfer.run(stop).await.map(|_| ()).map_err(trace)
}

async fn build(
    worker: &Arc<Worker>,
    mut settings: Settings,
    paused: watch::Receiver<bool>,
) -> Result<Transfer, Fault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if let StoreConfig::S3(s3) = &mut settings.objects.store {
        s3.credentials = match std::mem::replace(&mut settings.identity, Identity::Chain) {
            Identity::Keys { access_key, secret_key } => {
                Credentials::Keys { access_key, secret_key, session_token: None }
            }
            Identity::Chain => Credentials::Identity(cloud::aws::Identity::load(None).await),
        };
    }
    let value_class = settings.value.class();
    let stage = Conversion::new(
        settings.key.clone(),
        settings.value.clone(),
        settings.objects.format.format.needs_schema(),
    );
    let stages: Vec<Arc<dyn Stage>> = vec![Arc::new(stage)];
    let dead_letters = TopicDeadLetters::open(worker, &settings, value_class).await?;
    let sink = ObjectSink::new(settings.objects, clock.clone())?;
    let source = Arc::new(KafkaSource::join(settings.source).map_err(|error| Fault::Fatal(error.into()))?);
    let checkpoints = Arc::new(GroupCheckpoints::of(&source));
    let gate = Gate {
        source,
        paused,
        worker: worker.clone(),
        connector: settings.name.clone(),
        task: settings.number,
    };
    let budget_bytes = (settings.memory_bytes_max / 2).min(BUDGET_BYTES_MAX);
    Ok(Transfer {
        load: Load { id: settings.name.clone(), transfer: settings.name.clone() },
        source: Arc::new(gate),
        stages,
        sink: Arc::new(sink),
        cuts: settings.cuts,
        budget: Budget::new(u32::try_from(budget_bytes).unwrap_or(u32::MAX)),
        checkpoints,
        dead_letters: Arc::new(dead_letters),
        progress: Arc::new(Progress::default()),
        on_error: if settings.errors.tolerates_all { OnError::DeadLetter } else { OnError::Stop },
        retries: Backoff::new(
            settings.retry_backoff_ms,
            settings.retry_wait_ms_max,
            u32::MAX,
            clock.now_ms().unsigned_abs(),
        ),
        clock,
        lanes_count_max: usize::MAX,
    })
}

/// What status shows of a failure: what happened, the causes, and code and help of the innermost error that has them.
fn trace(fault: Fault) -> String {
    let error = fault.into_inner();
    let problem = chain(error.as_ref()).filter_map(as_problem).last();
    let mut causes: Vec<String> = chain(error.as_ref()).map(ToString::to_string).collect();
    // An error that only carries another one says the same words.
    causes.dedup();
    let mut text = match problem {
        Some(problem) => format!("{} × ", problem.code().id),
        None => String::new(),
    };
    text += &causes.join("\n  because ");
    if let Some(spot) = problem.and_then(|problem| problem.spot()) {
        text += &format!("\n  at {spot}");
    }
    if let Some(problem) = problem {
        text += &format!("\n  help: {}", problem.help());
    }
    text
}

fn as_problem<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a dyn Problem> {
    fn cast<'a, E: Problem>(error: &'a (dyn StdError + 'static)) -> Option<&'a dyn Problem> {
        error.downcast_ref::<E>().map(|error| error as &dyn Problem)
    }
    cast::<engine::Error>(error)
        .or_else(|| cast::<crate::Error>(error))
        .or_else(|| cast::<cloud::Error>(error))
        .or_else(|| cast::<formats::Error>(error))
        .or_else(|| cast::<contracts::Error>(error))
        .or_else(|| cast::<connectors::kafka::Error>(error))
        .or_else(|| cast::<connectors::objects::Error>(error))
}

//! The one task that changes transactional ids. It takes all that waits, writes what is decided as one batch a partition of
//! `__transaction_state`, then the markers of the transactions that ended, then that they are complete.
//!
//! A decision that is in the log is carried out, whatever happens: markers that could not be written are tried again at the
//! next tick, and those that an earlier life left at start.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use base::crash_point;
use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use tokio::{
    sync::{mpsc, oneshot},
    time::{self, Instant, MissedTickBehavior},
};
use wire::batch::{BatchBuilder, control_batch};

use super::{
    Ask, COORDINATOR_EPOCH, Command, records,
    transaction::{Change, Producer, State, Transaction},
};
use crate::{
    broker::Broker,
    cluster::LEADER_EPOCH,
    groups::journal::{OFFSETS_TOPIC, partition_for},
    log::{self, Ending, Log, LogError, Writer},
};

/// Requests that share a write.
const COMMANDS_PER_ROUND_MAX: usize = 256;
/// How often time-outs are looked for, and markers that could not be written, while there is any such transaction.
const TICK: Duration = Duration::from_millis(500);
/// How often ids are looked for that nobody has used for their time.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);

type Answer = oneshot::Sender<Result<Producer, ResponseError>>;

/// What follows once an id's new state is in the log.
enum Then {
    Tell(Answer),
    /// Its transaction had to be aborted first.
    AskAgain(Command),
    /// Nobody waits: a time-out.
    Nothing,
}

struct Staged {
    id: Arc<str>,
    next: Transaction,
    then: Then,
}

struct Coordinator {
    broker: Arc<Broker>,
    /// Ids whose transaction is open or not complete.
    open: HashSet<Arc<str>>,
}

/// Decides until the broker has stopped and all that was asked is answered.
pub async fn run(broker: Arc<Broker>, mut inbox: mpsc::Receiver<Command>) {
    let finished = broker.transactions.finished.clone();
    let open = broker.transactions.all().into_iter().filter(|(_, known)| known.is_open());
    let mut coordinator = Coordinator { open: open.map(|(id, _)| id).collect(), broker };
    let mut tick = time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut expiry = time::interval_at(Instant::now() + EXPIRY_INTERVAL, EXPIRY_INTERVAL);
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = inbox.recv_many(&mut waiting, COMMANDS_PER_ROUND_MAX) => if count == 0 { return },
            () = finished.cancelled() => return,
            _ = tick.tick(), if !coordinator.open.is_empty() => coordinator.look_after_open().await,
            _ = expiry.tick() => coordinator.expire().await,
        }
        while !waiting.is_empty() {
            waiting = coordinator.round(std::mem::take(&mut waiting)).await;
        }
    }
}

impl Coordinator {
    /// Works on the requests that do not depend on each other, and gives those that have to wait for them.
    async fn round(&mut self, commands: Vec<Command>) -> Vec<Command> {
        let (mut staged, mut touched, mut later) = (Vec::new(), HashSet::new(), Vec::new());
        for command in commands {
            if touched.contains(&command.id) {
                later.push(command);
                continue;
            }
            match self.decide(&command).await {
                Err(error) => {
                    command.answer.send(Err(error)).ok(); // a client that left is no error
                }
                Ok((Change::Nothing, producer)) => {
                    command.answer.send(Ok(producer)).ok(); // a client that left is no error
                }
                Ok((Change::To(next), _)) => {
                    touched.insert(command.id.clone());
                    staged.push(Staged { id: command.id, next, then: Then::Tell(command.answer) });
                }
                Ok((Change::First(next), _)) => {
                    touched.insert(command.id.clone());
                    staged.push(Staged { id: command.id.clone(), next, then: Then::AskAgain(command) });
                }
            }
        }
        later.extend(self.carry_out(staged).await);
        later
    }

    /// What the request makes of its id, and who its producer is if that is nothing.
    async fn decide(&self, command: &Command) -> Result<(Change, Producer), ResponseError> {
        let transactions = &self.broker.transactions;
        let now_ms = self.broker.steady_ms();
        let known = transactions.get(&command.id);
        let is_init = matches!(command.ask, Ask::Init { .. });
        let fresh_id = match &known {
            None if is_init && transactions.is_full() => return Err(ResponseError::CoordinatorNotAvailable),
            None if is_init => Some(self.fresh_id().await?),
            Some(known) if known.is_exhausted() => Some(self.fresh_id().await?),
            None | Some(_) => None,
        };
        let known = match (known, fresh_id) {
            (Some(known), _) => known,
            (None, Some(id)) => Transaction::new(id, now_ms),
            (None, None) => return Err(ResponseError::InvalidProducerIdMapping),
        };
        let change = match &command.ask {
            Ask::Init { claim, timeout_ms } => known.init(*claim, *timeout_ms, fresh_id, now_ms),
            Ask::Add { claim, partitions, version } => known.add(*claim, partitions, *version, now_ms),
            Ask::End { claim, commit, raises: false } => known.end(*claim, *commit, now_ms),
            Ask::End { claim, commit, raises: true } => known.end_raising(*claim, *commit, fresh_id, now_ms),
        };
        Ok((change?, known.producer))
    }

    async fn fresh_id(&self) -> Result<i64, ResponseError> {
        let next = self.broker.blocking(|broker| broker.producers.next()).await;
        next.map_err(|error| {
            tracing::error!(%error, "no producer id can be given");
            ResponseError::CoordinatorNotAvailable
        })
    }

    /// Writes the new states; ends what is decided; answers. Gives what has to be asked again.
    async fn carry_out(&mut self, staged: Vec<Staged>) -> Vec<Command> {
        if staged.is_empty() {
            return vec![];
        }
        crash_point("broker.transaction.before_decision");
        let states: Vec<_> = staged.iter().map(|one| (one.id.clone(), Some(one.next.encode()))).collect();
        let outcomes = self.write(states).await;
        let mut ended = Vec::new();
        let mut answers = Vec::new();
        for (one, outcome) in staged.into_iter().zip(outcomes) {
            if outcome.is_ok() {
                self.put(&one.id, one.next.clone());
                if one.next.state.is_prepared() {
                    ended.push((one.id.clone(), one.next.clone()));
                }
            }
            answers.push((one, outcome));
        }
        if !ended.is_empty() {
            crash_point("broker.transaction.after_decision");
            self.end(ended).await;
        }
        let mut again = Vec::new();
        for (Staged { next, then, .. }, outcome) in answers {
            match (then, outcome) {
                (Then::Tell(answer), Ok(())) => {
                    answer.send(Ok(after(&next))).ok(); // a client that left is no error
                }
                (Then::Tell(answer), Err(error)) => {
                    answer.send(Err(error)).ok(); // a client that left is no error
                }
                (Then::AskAgain(command), Ok(())) => again.push(command),
                (Then::AskAgain(command), Err(error)) => {
                    command.answer.send(Err(error)).ok(); // a client that left is no error
                }
                (Then::Nothing, _) => {}
            }
        }
        again
    }

    fn put(&mut self, id: &Arc<str>, transaction: Transaction) {
        if transaction.is_open() {
            self.open.insert(id.clone());
        } else {
            self.open.remove(id);
        }
        self.broker.transactions.put(id, transaction);
    }

    /// Writes the markers of these transactions, and then that they are complete.
    async fn end(&mut self, ended: Vec<(Arc<str>, Transaction)>) {
        let mut markers = Vec::new();
        for (place, (id, transaction)) in ended.iter().enumerate() {
            // Whatever entered before the decision is in its log's queue before the markers are.
            if let Some(entry) = self.broker.transactions.entry(id) {
                drop(entry.gate.write().await);
            }
            for (topic, partitions) in &transaction.partitions {
                for partition in partitions {
                    let queued = self.queue_marker(transaction, topic, *partition).await;
                    markers.push((place, topic, *partition, queued));
                    crash_point("broker.transaction.between_markers");
                }
            }
        }
        let mut missing = HashSet::new();
        for (place, topic, partition, queued) in markers {
            let (id, transaction) = &ended[place];
            let written = match queued {
                Ok(Some(pending)) => pending.answer().await.map(|_| ()),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            match written {
                Ok(()) | Err(LogError::Deleted { .. }) if **topic == *OFFSETS_TOPIC => {
                    let ending = ending(transaction);
                    self.broker.groups.settle(partition as usize, transaction.producer.id, ending);
                }
                Ok(()) | Err(LogError::Deleted { .. }) => {}
                Err(error) => {
                    tracing::error!(%error, transactional_id = %id, "a marker cannot be written yet");
                    missing.insert(place);
                }
            }
        }
        crash_point("broker.transaction.after_markers");
        let now_ms = self.broker.steady_ms();
        let whole = (0..ended.len()).filter(|place| !missing.contains(place));
        let complete: Vec<_> =
            whole.map(|place| (ended[place].0.clone(), ended[place].1.completed(now_ms))).collect();
        let states = complete.iter().map(|(id, next)| (id.clone(), Some(next.encode()))).collect();
        let outcomes = self.write(states).await;
        for ((id, next), outcome) in complete.into_iter().zip(outcomes) {
            if outcome.is_ok() {
                self.put(&id, next);
            }
        }
        crash_point("broker.transaction.after_complete");
    }

    /// `None`: the topic is gone, and what was written to it.
    async fn queue_marker(
        &self,
        transaction: &Transaction,
        topic: &str,
        partition: i32,
    ) -> Result<Option<log::Pending>, LogError> {
        let Ok(log) = self.broker.topics.partition(topic, partition) else { return Ok(None) };
        let Producer { id, epoch } = transaction.producer;
        let commit = ending(transaction) == Ending::Commit;
        let marker = control_batch(id, epoch, commit, COORDINATOR_EPOCH, self.broker.now_ms())
            .expect("a marker is small and not compressed");
        log.submit(marker, LEADER_EPOCH, Writer::Broker).await.map(Some)
    }

    /// Aborts what takes too long, and writes markers that are still missing.
    async fn look_after_open(&mut self) {
        let now_ms = self.broker.steady_ms();
        let (mut late, mut prepared) = (Vec::new(), Vec::new());
        for id in &self.open {
            let Some(known) = self.broker.transactions.get(id) else { continue };
            if known.state.is_prepared() {
                prepared.push((id.clone(), known));
            } else if let Some(next) = known.timed_out(now_ms) {
                tracing::warn!(transactional_id = %id, timeout_ms = known.timeout_ms, "a transaction took too long: it is aborted");
                late.push(Staged { id: id.clone(), next, then: Then::Nothing });
            }
        }
        if !prepared.is_empty() {
            self.end(prepared).await;
        }
        self.carry_out(late).await;
    }

    /// Forgets ids that nobody has used for their time.
    async fn expire(&self) {
        let (now_ms, kept_ms) = (self.broker.steady_ms(), self.broker.options.transactional_id_retention_ms);
        let all = self.broker.transactions.all().into_iter();
        let expired: Vec<_> =
            all.filter(|(_, known)| known.is_expired(now_ms, kept_ms)).map(|(id, _)| id).collect();
        let outcomes = self.write(expired.iter().map(|id| (id.clone(), None)).collect()).await;
        for (id, outcome) in expired.iter().zip(outcomes) {
            if outcome.is_ok() {
                self.broker.transactions.remove(id);
            }
        }
    }

    /// Appends these states (`None`: the id is forgotten), one batch a partition; one outcome for each.
    async fn write(&self, states: Vec<(Arc<str>, Option<Bytes>)>) -> Vec<Result<(), ResponseError>> {
        if states.is_empty() {
            return vec![];
        }
        let topic = match self.broker.transactions_topic().await {
            Ok(topic) => topic,
            Err(error) => return vec![Err(error); states.len()],
        };
        let now_ms = self.broker.now_ms();
        let mut batches: IndexMap<usize, BatchBuilder> = IndexMap::new();
        let mut partitions = Vec::with_capacity(states.len());
        for (id, state) in &states {
            let partition = partition_for(id, topic.partitions.len());
            partitions.push(partition);
            let batch = batches.entry(partition).or_insert_with(|| BatchBuilder::new(0));
            let place = i64::from(batch.records_count());
            batch.push(place, now_ms, Some(&records::key(id)), state.as_deref(), []);
        }
        let mut queued = Vec::with_capacity(batches.len());
        for (partition, batch) in batches {
            queued.push((partition, queue(&topic.partitions[partition], batch).await));
        }
        let mut outcomes = BTreeMap::new();
        for (partition, queued) in queued {
            let written = match queued {
                Ok(pending) => pending.answer().await.map(|_| ()),
                Err(error) => Err(error),
            };
            outcomes.insert(
                partition,
                written.map_err(|error| {
                    tracing::error!(%error, "the state of transactions cannot be written");
                    ResponseError::CoordinatorNotAvailable
                }),
            );
        }
        partitions.iter().map(|partition| outcomes[partition]).collect()
    }
}

async fn queue(log: &Arc<Log>, batch: BatchBuilder) -> Result<log::Pending, LogError> {
    let batch = batch.finish().expect("a batch without compression cannot fail");
    log.submit(batch, LEADER_EPOCH, Writer::Broker).await
}

fn ending(transaction: &Transaction) -> Ending {
    match transaction.state {
        State::PrepareCommit | State::CompleteCommit => Ending::Commit,
        State::Empty | State::Ongoing | State::PrepareAbort | State::CompleteAbort => Ending::Abort,
    }
}

/// Who the producer is once the transaction is complete.
fn after(transaction: &Transaction) -> Producer {
    match transaction.state.is_prepared() {
        true => transaction.completed(transaction.updated_ms).producer,
        false => transaction.producer,
    }
}

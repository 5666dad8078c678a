//! One transactional id: its state machine, without I/O and without a lock of its own. Each method says what the id becomes;
//! it is that only once it is in the log.
//!
//! It follows Kafka's TransactionMetadata and TransactionCoordinator: KIP-98, KIP-360 (a producer may come back with its id and
//! epoch), KIP-890 (with transactions of version 2 every end raises the epoch, so that nothing late can enter the next one).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kafka_protocol::ResponseError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl State {
    pub const ALL: [State; 6] = [
        State::Empty,
        State::Ongoing,
        State::PrepareCommit,
        State::PrepareAbort,
        State::CompleteCommit,
        State::CompleteAbort,
    ];

    /// Kafka's word for it, as DescribeTransactions and ListTransactions answer.
    pub fn word(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::PrepareCommit => "PrepareCommit",
            State::PrepareAbort => "PrepareAbort",
            State::CompleteCommit => "CompleteCommit",
            State::CompleteAbort => "CompleteAbort",
        }
    }

    /// A decision is in the log, its markers may not be.
    pub fn is_prepared(self) -> bool {
        matches!(self, State::PrepareCommit | State::PrepareAbort)
    }
}

/// The version of an id whose epoch rises with every end (KIP-890); 0 is every earlier one.
pub const VERSION_2: i16 = 2;
/// The last epoch that a producer is given; markers may have one more.
const EPOCH_MAX: i16 = i16::MAX - 1;

/// Who a request says it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

/// Topics and their partitions.
pub type Partitions = BTreeMap<Arc<str>, BTreeSet<i32>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub producer: Producer,
    pub state: State,
    pub timeout_ms: i32,
    pub partitions: Partitions,
    /// -1: none has begun yet.
    pub started_ms: i64,
    pub updated_ms: i64,
    /// The producer id before this one, and the one that takes over when the running end is complete; -1: none.
    pub previous_id: i64,
    pub next_id: i64,
    /// `VERSION_2` where the last end raised the epoch.
    pub version: i16,
    /// The epoch whose owner was given the present one, and may ask again; -1: nobody.
    pub last_epoch: i16,
}

/// What a request makes of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was done before, or there is nothing to do.
    Nothing,
    To(Transaction),
    /// An open transaction has to be aborted; then the request is asked again.
    First(Transaction),
}

impl Transaction {
    /// An id that nobody had; its first producer gets epoch 0.
    pub fn new(producer_id: i64, now_ms: i64) -> Self {
        Self {
            producer: Producer { id: producer_id, epoch: -1 },
            state: State::Empty,
            timeout_ms: 0,
            partitions: Partitions::new(),
            started_ms: -1,
            updated_ms: now_ms,
            previous_id: -1,
            next_id: -1,
            version: 0,
            last_epoch: -1,
        }
    }

    /// Whether the next epoch needs another producer id.
    pub fn is_exhausted(&self) -> bool {
        self.producer.epoch >= EPOCH_MAX
    }

    /// InitProducerId. `claim` is what a producer that comes back had; `fresh_id` is there if the id is exhausted.
    pub fn init(
        &self,
        claim: Option<Producer>,
        timeout_ms: i32,
        fresh_id: Option<i64>,
        now_ms: i64,
    ) -> Result<Change, ResponseError> {
        let claim = claim.filter(|_| self.producer.epoch >= 0);
        let asks_again = claim.is_some_and(|claim| {
            claim.epoch == self.last_epoch && [self.producer.id, self.previous_id].contains(&claim.id)
        });
        if !asks_again && claim.is_some_and(|claim| claim != self.producer) {
            return Err(ResponseError::ProducerFenced);
        }
        match self.state {
            State::PrepareCommit | State::PrepareAbort => Err(ResponseError::ConcurrentTransactions),
            State::Ongoing => Ok(Change::First(self.fenced(claim, now_ms))),
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                let mut next = Transaction { timeout_ms, updated_ms: now_ms, ..self.clone() };
                if asks_again {
                    return Ok(Change::To(next));
                }
                (next.state, next.started_ms, next.version) = (State::Empty, -1, 0);
                next.partitions.clear();
                next.last_epoch = claim.map_or(-1, |claim| claim.epoch);
                match fresh_id.filter(|_| self.is_exhausted()) {
                    Some(id) => {
                        next.previous_id = self.producer.id;
                        next.producer = Producer { id, epoch: 0 };
                    }
                    None => next.producer.epoch = self.producer.epoch.saturating_add(1),
                }
                Ok(Change::To(next))
            }
        }
    }

    /// The open transaction is aborted with an epoch that nobody has: its owner, if he lives, is locked out.
    fn fenced(&self, claim: Option<Producer>, now_ms: i64) -> Transaction {
        let epoch = self.producer.epoch.saturating_add(1);
        Transaction {
            producer: Producer { epoch, ..self.producer },
            state: State::PrepareAbort,
            updated_ms: now_ms,
            version: 0,
            last_epoch: claim.map_or(-1, |claim| claim.epoch),
            ..self.clone()
        }
    }

    /// The abort that is due when the owner takes longer than he said.
    pub fn timed_out(&self, now_ms: i64) -> Option<Transaction> {
        let is_late = now_ms.saturating_sub(self.started_ms) > i64::from(self.timeout_ms);
        (self.state == State::Ongoing && is_late).then(|| self.fenced(None, now_ms))
    }

    fn check(&self, claim: Producer) -> Result<(), ResponseError> {
        if claim.id != self.producer.id {
            Err(ResponseError::InvalidProducerIdMapping)
        } else if claim.epoch != self.producer.epoch {
            Err(ResponseError::ProducerFenced)
        } else {
            Ok(())
        }
    }

    fn has(&self, partitions: &Partitions) -> bool {
        partitions
            .iter()
            .all(|(topic, wanted)| self.partitions.get(topic).is_some_and(|known| wanted.is_subset(known)))
    }

    /// Whether the claimant has this partition in a transaction that is open.
    pub fn admits(&self, claim: Producer, topic: &str, partition: i32) -> Result<(), ResponseError> {
        self.check(claim)?;
        match self.state {
            State::PrepareCommit | State::PrepareAbort => Err(ResponseError::ConcurrentTransactions),
            State::Ongoing if self.partitions.get(topic).is_some_and(|known| known.contains(&partition)) => {
                Ok(())
            }
            State::Ongoing | State::Empty | State::CompleteCommit | State::CompleteAbort => {
                Err(ResponseError::InvalidTxnState)
            }
        }
    }

    /// AddPartitionsToTxn, AddOffsetsToTxn, and what a producer of version 2 adds by writing.
    pub fn add(
        &self,
        claim: Producer,
        partitions: &Partitions,
        version: i16,
        now_ms: i64,
    ) -> Result<Change, ResponseError> {
        self.check(claim)?;
        let begins = match self.state {
            State::PrepareCommit | State::PrepareAbort => return Err(ResponseError::ConcurrentTransactions),
            State::Ongoing if self.has(partitions) => return Ok(Change::Nothing),
            State::Ongoing => false,
            State::Empty | State::CompleteCommit | State::CompleteAbort => true,
        };
        let mut next = Transaction { state: State::Ongoing, updated_ms: now_ms, version, ..self.clone() };
        next.last_epoch = -1;
        if begins {
            next.started_ms = now_ms;
            next.partitions.clear();
        }
        for (topic, added) in partitions {
            next.partitions.entry(topic.clone()).or_default().extend(added);
        }
        Ok(Change::To(next))
    }

    /// EndTxn of version 4 and earlier.
    pub fn end(&self, claim: Producer, commit: bool, now_ms: i64) -> Result<Change, ResponseError> {
        self.check(claim)?;
        match (self.state, commit) {
            (State::Ongoing, _) => Ok(Change::To(self.prepared(commit, now_ms))),
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(Change::Nothing),
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
                Err(ResponseError::ConcurrentTransactions)
            }
            (State::Empty | State::PrepareCommit | State::CompleteCommit, _)
            | (State::PrepareAbort | State::CompleteAbort, _) => Err(ResponseError::InvalidTxnState),
        }
    }

    /// EndTxn of version 5 (KIP-890): the epoch rises, and an abort is possible where nothing was written.
    pub fn end_raising(
        &self,
        claim: Producer,
        commit: bool,
        fresh_id: Option<i64>,
        now_ms: i64,
    ) -> Result<Change, ResponseError> {
        let asks_again = self.version == VERSION_2 && self.was_raised_from(claim);
        if !asks_again {
            self.check(claim)?;
        }
        match (self.state, commit) {
            (State::Ongoing, _) if !asks_again => Ok(Change::To(self.raised(commit, fresh_id, now_ms))),
            (State::Empty | State::CompleteCommit | State::CompleteAbort, false) if !asks_again => {
                Ok(Change::To(self.raised(false, fresh_id, now_ms)))
            }
            (State::CompleteCommit, true) | (State::CompleteAbort, false) if asks_again => {
                Ok(Change::Nothing)
            }
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
                Err(ResponseError::ConcurrentTransactions)
            }
            (State::Empty | State::Ongoing | State::PrepareCommit, _)
            | (State::PrepareAbort | State::CompleteCommit | State::CompleteAbort, _) => {
                Err(ResponseError::InvalidTxnState)
            }
        }
    }

    fn was_raised_from(&self, claim: Producer) -> bool {
        match self.state {
            State::Empty | State::Ongoing => false,
            State::PrepareCommit | State::PrepareAbort | State::CompleteCommit | State::CompleteAbort => {
                let raised = Producer { epoch: claim.epoch.saturating_add(1), ..claim };
                raised == self.producer
                    || (claim == Producer { id: self.previous_id, epoch: EPOCH_MAX }
                        && self.producer.epoch == 0)
            }
        }
    }

    fn prepared(&self, commit: bool, now_ms: i64) -> Transaction {
        let state = if commit { State::PrepareCommit } else { State::PrepareAbort };
        Transaction { state, updated_ms: now_ms, version: 0, ..self.clone() }
    }

    fn raised(&self, commit: bool, fresh_id: Option<i64>, now_ms: i64) -> Transaction {
        let mut next = Transaction { version: VERSION_2, last_epoch: -1, ..self.prepared(commit, now_ms) };
        if self.state != State::Ongoing {
            next.partitions.clear();
        }
        if self.is_exhausted() {
            next.next_id = fresh_id.unwrap_or(-1);
        }
        next.producer.epoch = self.producer.epoch.saturating_add(1);
        next
    }

    /// All markers are written.
    pub fn completed(&self, now_ms: i64) -> Transaction {
        let state =
            if self.state == State::PrepareCommit { State::CompleteCommit } else { State::CompleteAbort };
        let mut next = Transaction { state, updated_ms: now_ms, ..self.clone() };
        next.partitions.clear();
        if next.next_id >= 0 {
            next.previous_id = next.producer.id;
            next.producer = Producer { id: next.next_id, epoch: 0 };
            next.next_id = -1;
        }
        next
    }

    /// Nobody has used it for its time (KIP-98's `transactional.id.expiration.ms`).
    pub fn is_expired(&self, now_ms: i64, retention_ms: i64) -> bool {
        match self.state {
            State::Ongoing | State::PrepareCommit | State::PrepareAbort => false,
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                now_ms.saturating_sub(self.updated_ms) >= retention_ms
            }
        }
    }

    pub fn is_open(&self) -> bool {
        self.state == State::Ongoing || self.state.is_prepared()
    }
}

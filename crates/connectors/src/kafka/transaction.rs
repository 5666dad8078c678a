//! Records and the position behind them in one transaction. The position is a committed offset of a group that the transfer
//! has for itself, on partition 0 of its topic: mark and split stand in the commit's metadata.
//!
//! Transactions follow each other (a transfer with them has one lane), so the last position alone is ever in doubt: those of
//! splits before it were saved by the engine after their commit.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use base::{Fault, Position};
use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    producer::{BaseProducer, Producer, ProducerContext, PurgeConfig},
    types::RDKafkaErrorCode as Kafka,
};
use sha2::{Digest, Sha256};

use super::{Error, Scope, SinkConfig, Transaction, errors::fault};

const PREFIX: &str = "tidemill-load:1:";
const FINISHED: &str = "finished";
/// A longer split id is told by its digest: a broker takes 4,096 bytes of metadata.
const SPLIT_BYTES_MAX: usize = 512;
const CALL: Duration = Duration::from_secs(30);
/// At a transfer's end nobody waits longer for the records of a transaction to be taken back.
const ABORT: Duration = Duration::from_secs(5);
const TRIES_MAX: u32 = 5;

/// What the group's offset says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stored {
    At { split: String, position: Position },
    Finished,
}

pub(super) struct Transactions {
    config: Transaction,
    topic: String,
    /// Never joins its group: it names it, and reads its offsets.
    group: BaseConsumer,
    is_begun: AtomicBool,
    is_open: AtomicBool,
    stored: Mutex<Option<Stored>>,
}

impl Transactions {
    pub(super) fn new(config: &SinkConfig, transaction: &Transaction) -> Result<Self, Error> {
        let mut client = SinkConfig { transaction: None, ..config.clone() }.plain_client();
        client.set("group.id", &transaction.group).set("isolation.level", "read_committed");
        let bootstrap = config.bootstrap.clone();
        let group = client.create().map_err(|source| Error::Client { bootstrap, source })?;
        Ok(Self {
            config: transaction.clone(),
            topic: config.topic.clone(),
            group,
            is_begun: AtomicBool::new(false),
            is_open: AtomicBool::new(false),
            stored: Mutex::default(),
        })
    }

    /// Takes back what an earlier life left open, and reads how far it came.
    pub(super) fn begin<C: ProducerContext>(&self, producer: &BaseProducer<C>) -> Result<(), Fault> {
        if self.is_begun.load(SeqCst) {
            self.abort(producer);
        } else {
            self.tried("begin", || producer.init_transactions(CALL))?;
            self.is_begun.store(true, SeqCst);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0);
        let list = self.tried("read its position", || self.group.committed_offsets(list.clone(), CALL))?;
        *self.stored.lock() = list.elements().first().and_then(|one| read(one.metadata()));
        Ok(())
    }

    pub(super) fn open<C: ProducerContext>(&self, producer: &BaseProducer<C>) -> Result<(), Fault> {
        if !self.is_open.load(SeqCst) {
            self.tried("begin", || producer.begin_transaction())?;
            self.is_open.store(true, SeqCst);
        }
        Ok(())
    }

    /// Where this split goes on; `None`: as the engine saved it.
    pub(super) fn position(&self, split: &str) -> Option<Position> {
        match (&*self.stored.lock(), self.config.scope) {
            (Some(Stored::Finished), _) => Some(Position::Mark(i64::MAX)),
            (Some(Stored::At { split: stored, position }), Scope::Extent) if *stored == name(split) => {
                Some(position.clone())
            }
            (_, Scope::Extent) => None,
            (_, Scope::Transfer) => Some(Position::Start),
        }
    }

    /// After all records are acknowledged: with `Scope::Transfer` they wait for `finish`.
    pub(super) fn commit<C: ProducerContext>(
        &self,
        producer: &BaseProducer<C>,
        split: &str,
        end: &Position,
    ) -> Result<(), Fault> {
        match self.config.scope {
            Scope::Extent => self.close(producer, Stored::At { split: name(split), position: end.clone() }),
            Scope::Transfer => Ok(()),
        }
    }

    pub(super) fn finish<C: ProducerContext>(&self, producer: &BaseProducer<C>) -> Result<(), Fault> {
        match self.config.scope {
            Scope::Transfer => self.close(producer, Stored::Finished),
            Scope::Extent => Ok(()),
        }
    }

    fn close<C: ProducerContext>(&self, producer: &BaseProducer<C>, stored: Stored) -> Result<(), Fault> {
        if !self.is_open.load(SeqCst) {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        let at = match &stored {
            Stored::At { position: Position::Mark(mark), .. } => (*mark).max(0),
            Stored::At { .. } | Stored::Finished => 0,
        };
        let added = list.add_partition_offset(&self.topic, 0, Offset::Offset(at));
        added.map_err(|source| self.failed("take its position", source))?;
        if let Some(mut one) = list.find_partition(&self.topic, 0) {
            one.set_metadata(text(&stored));
        }
        let group = self.group.group_metadata();
        let group = group.ok_or_else(|| Fault::Fatal("a client with a group has its metadata".into()))?;
        self.tried("take its position", || producer.send_offsets_to_transaction(&list, &group, CALL))?;
        base::crash_point("kafka.transaction.before_commit");
        self.tried("commit", || producer.commit_transaction(CALL))?;
        self.is_open.store(false, SeqCst);
        base::crash_point("kafka.transaction.after_commit");
        *self.stored.lock() = Some(stored);
        Ok(())
    }

    /// What is open is taken back at once, so that readers need not wait for its timeout.
    pub(super) fn abort<C: ProducerContext>(&self, producer: &BaseProducer<C>) {
        if !self.is_open.swap(false, SeqCst) {
            return;
        }
        producer.purge(PurgeConfig::default().queue().inflight());
        producer.flush(ABORT).ok();
        if let Err(error) = producer.abort_transaction(ABORT) {
            tracing::warn!(%error, id = %self.config.id, "the transaction is left to its timeout");
        }
    }

    fn tried<T>(&self, step: &'static str, call: impl Fn() -> KafkaResult<T>) -> Result<T, Fault> {
        for _ in 1..TRIES_MAX {
            match call() {
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                    tracing::debug!(%error, step, "a step of a transaction is tried again");
                }
                Err(source) => return Err(self.failed(step, source)),
                Ok(done) => return Ok(done),
            }
        }
        call().map_err(|source| self.failed(step, source))
    }

    fn failed(&self, step: &'static str, source: KafkaError) -> Fault {
        let code = source.clone();
        let error = Error::Transaction { id: self.config.id.clone(), step, source: Box::new(source) };
        match fault(&code, error) {
            // How the commit ended is known to the next life alone.
            Fault::Transient(error) => Fault::Fatal(error),
            other => other,
        }
    }
}

/// The group is of no more use: the transfer has ended and will not be asked for again.
///
/// # Errors
/// What keeps the cluster from removing it; it removes such a group by itself after `offsets.retention.minutes`.
pub async fn forget(config: &SinkConfig) -> Result<(), KafkaError> {
    let Some(transaction) = &config.transaction else { return Ok(()) };
    let client = SinkConfig { transaction: None, ..config.clone() }.plain_client();
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let options = AdminOptions::new().operation_timeout(Some(ABORT)).request_timeout(Some(ABORT));
    for answer in admin.delete_groups(&[&transaction.group], &options).await? {
        match answer {
            Ok(_) | Err((_, Kafka::GroupIdNotFound)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    Ok(())
}

fn name(split: &str) -> String {
    if split.len() <= SPLIT_BYTES_MAX {
        return split.to_owned();
    }
    hexadecimal(&Sha256::digest(split))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn text(stored: &Stored) -> String {
    match stored {
        Stored::Finished => format!("{PREFIX}{FINISHED}"),
        Stored::At { split, position } => match position {
            Position::Start => format!("{PREFIX}start:{split}"),
            Position::Mark(mark) => format!("{PREFIX}mark={mark}:{split}"),
            Position::Token(token) => format!("{PREFIX}token={}:{split}", hexadecimal(token)),
        },
    }
}

/// `None` where the metadata is empty or another program's.
fn read(metadata: &str) -> Option<Stored> {
    let rest = metadata.strip_prefix(PREFIX)?;
    if rest == FINISHED {
        return Some(Stored::Finished);
    }
    let (position, split) = rest.split_once(':')?;
    let position = match position.split_once('=') {
        None if position == "start" => Position::Start,
        Some(("mark", mark)) => Position::Mark(mark.parse().ok()?),
        Some(("token", digits)) => {
            let pairs = digits.as_bytes().chunks(2);
            let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            Position::Token(Bytes::from(bytes.collect::<Option<Vec<u8>>>()?))
        }
        _ => return None,
    };
    Some(Stored::At { split: split.to_owned(), position })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_the_metadata() {
        let token = Position::Token(Bytes::from_static(b"\x00\xff:"));
        for position in [Position::Start, Position::Mark(250_001), Position::Mark(-1), token] {
            let stored = Stored::At { split: "data/a:b.csv#2".to_owned(), position };
            assert_eq!(read(&text(&stored)), Some(stored));
        }
        assert_eq!(read(&text(&Stored::Finished)), Some(Stored::Finished));
        for other in ["", "tidemill:1:00", "tidemill-load:1:", "tidemill-load:1:mark=x:a"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!((name("a.csv"), name(&"x".repeat(600)).len()), ("a.csv".to_owned(), 64));
    }
}

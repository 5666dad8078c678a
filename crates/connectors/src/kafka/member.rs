//! A consumer in its group: what the group assigns and revokes is kept until the engine asks for it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    bindings::rd_kafka_resp_err_t as Response,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::KafkaError,
};

use super::{Error, SourceConfig};

pub(super) type Partition = (Arc<str>, i32);

/// What the group said, in its order.
pub(super) enum Event {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
}

/// librdkafka calls it from `poll`; it only takes notes. The assignment is answered by `Member::answer`.
pub(super) struct Notes {
    events: Mutex<VecDeque<Event>>,
    /// Set when the consumer closes: nobody asks for notes any more, so it has to answer at once.
    is_closing: AtomicBool,
}

impl ClientContext for Notes {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, message, "librdkafka");
            }
            _ => tracing::debug!(facility, message, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // It goes on trying by itself; what it gives up comes back from the call.
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Notes {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, response: Response, list: &mut TopicPartitionList) {
        if self.is_closing.load(SeqCst) {
            let left = match consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
                _ => consumer.unassign(),
            };
            if let Err(error) = left {
                tracing::debug!(%error, "leaving the group");
            }
            return;
        }
        let partitions =
            list.elements().iter().map(|one| (Arc::from(one.topic()), one.partition())).collect();
        self.events.lock().push_back(match response {
            Response::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Event::Assigned(partitions),
            _ => Event::Revoked(partitions),
        });
    }
}

/// Owns the consumer. The last owner's drop leaves the group, on a thread of its own since that waits for the broker.
pub(super) struct Member {
    consumer: Option<BaseConsumer<Notes>>,
    pub(super) config: SourceConfig,
    /// What the group's offsets said when a partition came, until its first load asks.
    committed: Mutex<HashMap<Partition, (Option<i64>, String)>>,
}

pub(super) const CALL_MS: u64 = 10_000;

impl Member {
    pub(super) fn join(config: SourceConfig) -> Result<Self, Error> {
        let notes = Notes { events: Mutex::default(), is_closing: AtomicBool::new(false) };
        let bootstrap = &config.bootstrap;
        let created: Result<BaseConsumer<Notes>, KafkaError> = config.client().create_with_context(notes);
        let refuse = |source| Error::Client { bootstrap: bootstrap.clone(), source };
        let consumer = created.map_err(refuse)?;
        Ok(Self { consumer: Some(consumer), config, committed: Mutex::default() })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Notes> {
        self.consumer.as_ref().expect("it is taken by drop alone")
    }

    pub(super) fn next_event(&self) -> Option<Event> {
        self.consumer().context().events.lock().pop_front()
    }

    fn is_cooperative(&self) -> bool {
        matches!(self.consumer().rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    /// Takes an assignment: reads what the group has committed, then begins to fetch there. May block.
    pub(super) fn take(&self, partitions: &[Partition]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        let committed = if partitions.is_empty() {
            list
        } else {
            self.consumer().committed_offsets(list, Duration::from_millis(CALL_MS))?
        };
        let mut begin = TopicPartitionList::with_capacity(partitions.len());
        {
            let mut known = self.committed.lock();
            for one in committed.elements() {
                one.error()?;
                let offset = match one.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                };
                known.insert((Arc::from(one.topic()), one.partition()), (offset, one.metadata().to_owned()));
                // Without a committed offset `auto.offset.reset` decides, as it does for every other consumer.
                begin.add_partition_offset(
                    one.topic(),
                    one.partition(),
                    offset.map_or(Offset::Invalid, Offset::Offset),
                )?;
            }
        }
        // An empty assignment wants its answer too: the group waits for it.
        if self.is_cooperative() {
            self.consumer().incremental_assign(&begin)
        } else {
            self.consumer().assign(&begin)
        }
    }

    /// Gives partitions back, so that the group may go on.
    pub(super) fn give_back(&self, partitions: &[Partition]) -> Result<(), KafkaError> {
        let mut known = self.committed.lock();
        for partition in partitions {
            known.remove(partition);
        }
        drop(known);
        if !self.is_cooperative() {
            return self.consumer().unassign();
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        self.consumer().incremental_unassign(&list)
    }

    /// The committed offset and its metadata: as read with the assignment for the first caller, else asked anew.
    pub(super) fn committed(&self, partition: &Partition) -> Result<(Option<i64>, String), KafkaError> {
        if let Some(known) = self.committed.lock().remove(partition) {
            return Ok(known);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(&partition.0, partition.1);
        let list = self.consumer().committed_offsets(list, Duration::from_millis(CALL_MS))?;
        let Some(one) = list.elements().into_iter().next() else { return Ok((None, String::new())) };
        one.error()?;
        let offset = match one.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        Ok((offset, one.metadata().to_owned()))
    }

    /// Commits one partition's offset, and waits for the group's word.
    pub(super) fn commit(
        &self,
        partition: &Partition,
        offset: i64,
        metadata: &str,
    ) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.0, partition.1, Offset::Offset(offset))?;
        if let Some(mut one) = list.find_partition(&partition.0, partition.1) {
            one.set_metadata(metadata);
        }
        self.consumer().commit(&list, rdkafka::consumer::CommitMode::Sync)
    }

    /// Listed topics that the cluster does not have.
    pub(super) fn missing_topics(&self, topics: &[String]) -> Result<Vec<String>, KafkaError> {
        let metadata = self.consumer().fetch_metadata(None, Duration::from_millis(CALL_MS))?;
        let known: BTreeMap<&str, ()> = metadata.topics().iter().map(|topic| (topic.name(), ())).collect();
        Ok(topics.iter().filter(|topic| !known.contains_key(topic.as_str())).cloned().collect())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Some(consumer) = self.consumer.take() else { return };
        consumer.context().is_closing.store(true, SeqCst);
        // A revocation that was noted but never answered would keep the close waiting.
        let leave = move || {
            consumer.unassign().ok();
            drop(consumer);
        };
        if let Err(error) = thread::Builder::new().name("kafka-leave".to_owned()).spawn(leave) {
            tracing::warn!(%error, "no thread to leave the group on; its session will time out");
        }
    }
}

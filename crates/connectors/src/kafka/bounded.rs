//! A topic from its beginning, or from where an earlier reading has ended, to where it ended when the reading began: what a load of a
//! topic reads, and a pipeline.
//!
//! No group takes part and no offset is committed: the topic looks afterwards as it did before. Records are as they were received, with
//! key, headers, timestamp and offset.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use base::{
    Ask, Batch, Body, Discovery, Fault, Header, Headers, Place, Position, Read, Reader, Source, Split,
};
use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers as _,
};

use super::{
    Error, SourceConfig, Topics,
    errors::{expect_anybody, fault, is_denied, is_transient},
    identity::topic_id,
    member::Partition,
    queue::Taken,
    source::{blocking, partition_of, split_of},
};

/// One topic, read once.
pub struct TopicSource {
    shared: Arc<Shared>,
}

/// Where reading begins; a partition that nothing is said of, at its first record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beginning {
    /// The next record of each partition that was read before.
    pub offsets: BTreeMap<i32, i64>,
    /// Of the others: the first record with this time, or a later one.
    pub from_ms: Option<i64>,
}

struct Shared {
    config: SourceConfig,
    topic: Arc<str>,
    beginning: Beginning,
    /// Of each partition; `None` until it was asked for.
    ends: Mutex<Option<HashMap<i32, Ends>>>,
    is_told: Mutex<bool>,
    /// Of each partition.
    records_count_max: Option<u64>,
}

/// What there is of a partition.
#[derive(Debug, Clone, Copy)]
struct Ends {
    /// Its first record that is still there.
    low: i64,
    /// The one that reading begins with.
    begin: i64,
    /// Behind its last one.
    high: i64,
}

const CALL: Duration = Duration::from_secs(10);
/// One wait for the next record.
const POLL: Duration = Duration::from_millis(50);

impl TopicSource {
    /// Asks nothing of the cluster yet.
    ///
    /// # Errors
    /// `Error::Setting`: a pattern, or more than one topic.
    pub fn new(config: SourceConfig, records_count_max: Option<u64>) -> Result<Self, Error> {
        Self::open(config, Beginning::default(), records_count_max)
    }

    /// The same from there on.
    ///
    /// # Errors
    /// As those of [`Self::new`].
    pub fn from(config: SourceConfig, beginning: Beginning) -> Result<Self, Error> {
        Self::open(config, beginning, None)
    }

    /// Which topic of that name it is, by the id that its cluster has given it; `None` where clusters give none. `was`: the one that was
    /// read before.
    ///
    /// # Errors
    /// `Error::Replaced`: it is another one. `Error::Unreachable`, `Error::Denied`.
    pub async fn same_as(&self, was: Option<String>) -> Result<Option<String>, Fault> {
        let shared = self.shared.clone();
        blocking(move || {
            let consumer = shared.first_consumer()?;
            let now = topic_id(&consumer, &shared.topic, CALL).map_err(|error| shared.fault(error))?;
            match (was, now) {
                (Some(was), Some(now)) if was != now => {
                    let topic = shared.topic.to_string();
                    Err(Fault::Fatal(Box::new(Error::Replaced { topic, was, now })))
                }
                (_, now) => Ok(now),
            }
        })
        .await
    }

    fn open(
        config: SourceConfig,
        beginning: Beginning,
        records_count_max: Option<u64>,
    ) -> Result<Self, Error> {
        let topic: Arc<str> = match &config.topics {
            Topics::List(topics) if topics.len() == 1 => topics[0].as_str().into(),
            Topics::List(_) | Topics::Pattern(_) => {
                return Err(Error::setting("topics", "", "one topic"));
            }
        };
        let (ends, is_told) = (Mutex::new(None), Mutex::new(false));
        Ok(Self { shared: Arc::new(Shared { config, topic, beginning, ends, is_told, records_count_max }) })
    }
}

impl Shared {
    fn client(&self) -> ClientConfig {
        let mut client = self.config.client();
        client.set("enable.partition.eof", "true");
        client
    }

    fn consumer(&self) -> Result<BaseConsumer, Fault> {
        let bootstrap = self.config.bootstrap.clone();
        let refused = |source| Fault::Fatal(Box::new(Error::Client { bootstrap, source }) as base::BoxError);
        self.client().create().map_err(refused)
    }

    fn fault(&self, source: KafkaError) -> Fault {
        let code = source.clone();
        let error = match source.rdkafka_error_code() {
            Some(denied) if is_denied(denied) => {
                Error::Denied { subject: format!("topic {}", self.topic), source }
            }
            _ => Error::Unreachable { bootstrap: self.config.bootstrap.clone(), source },
        };
        fault(&code, error)
    }

    /// For the first question of all.
    fn first_consumer(&self) -> Result<BaseConsumer, Fault> {
        expect_anybody(&self.config.bootstrap).map_err(|error| Fault::Transient(Box::new(error)))?;
        self.consumer()
    }

    /// Where each partition begins and ends, as it is when this is first asked for.
    fn ends(&self) -> Result<HashMap<i32, Ends>, Fault> {
        if let Some(ends) = &*self.ends.lock() {
            return Ok(ends.clone());
        }
        let consumer = self.first_consumer()?;
        // All topics: to ask for one may make it.
        let metadata = consumer.fetch_metadata(None, CALL).map_err(|error| self.fault(error))?;
        let found = metadata.topics().iter().find(|topic| topic.name() == &*self.topic);
        let Some(found) = found else {
            let (topic, bootstrap) = (self.topic.to_string(), self.config.bootstrap.clone());
            return Err(Fault::Fatal(Box::new(Error::TopicMissing { topic, bootstrap })));
        };
        let partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
        let at_time = self.at_time(&consumer, &partitions).map_err(|error| self.fault(error))?;
        let mut ends = HashMap::new();
        for id in partitions {
            let (low, high) =
                consumer.fetch_watermarks(&self.topic, id, CALL).map_err(|error| self.fault(error))?;
            let begin = match (self.beginning.offsets.get(&id), at_time.get(&id)) {
                (Some(offset), _) => self.still_there(id, *offset, low, high)?,
                (None, Some(Some(offset))) => *offset,
                // No record is as young.
                (None, Some(None)) => high,
                (None, None) => low,
            };
            ends.insert(id, Ends { low, begin, high });
        }
        *self.ends.lock() = Some(ends.clone());
        Ok(ends)
    }

    /// Of each partition that was not read before, its first record with the time that reading begins at.
    fn at_time(
        &self,
        consumer: &BaseConsumer,
        partitions: &[i32],
    ) -> Result<HashMap<i32, Option<i64>>, KafkaError> {
        let Some(from_ms) = self.beginning.from_ms else { return Ok(HashMap::new()) };
        let mut asked = TopicPartitionList::new();
        for id in partitions.iter().filter(|id| !self.beginning.offsets.contains_key(id)) {
            asked.add_partition_offset(&self.topic, *id, Offset::Offset(from_ms))?;
        }
        if asked.count() == 0 {
            return Ok(HashMap::new());
        }
        let answer = consumer.offsets_for_times(asked, CALL)?;
        let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        answer.elements().iter().try_for_each(|one| one.error())?;
        Ok(answer.elements().iter().map(|one| (one.partition(), offset(one.offset()))).collect())
    }

    /// The record to go on with. Those that went meanwhile are told of; a partition that ends before it is another one by now.
    fn still_there(&self, partition: i32, offset: i64, low: i64, high: i64) -> Result<i64, Fault> {
        let topic = &self.topic;
        if offset > high {
            let topic = topic.to_string();
            return Err(Fault::Fatal(Box::new(Error::Remade { topic, partition, offset, end: high })));
        }
        if offset < low {
            let gone_count = low - offset;
            tracing::warn!(%topic, partition, "{gone_count} records went before they were read: the topic keeps them for less long");
        }
        Ok(offset.max(low))
    }

    fn open(&self, partition: &Partition, from: i64) -> Result<BaseConsumer, Fault> {
        let consumer = self.consumer()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.0, partition.1, Offset::Offset(from))
            .and_then(|()| consumer.assign(&list))
            .map_err(|error| self.fault(error))?;
        Ok(consumer)
    }
}

#[async_trait]
impl Source for TopicSource {
    async fn discover(&self, _: &Ask) -> Result<Discovery, Fault> {
        if *self.shared.is_told.lock() {
            return Ok(Discovery::Complete);
        }
        let shared = self.shared.clone();
        let ends = blocking(move || shared.ends()).await?;
        let mut partitions: Vec<i32> = ends.into_keys().collect();
        partitions.sort_unstable();
        *self.shared.is_told.lock() = true;
        let split = |partition| split_of(&(self.shared.topic.clone(), partition));
        Ok(Discovery::Changed { assigned: partitions.into_iter().map(split).collect(), revoked: Vec::new() })
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let partition = partition_of(split)?;
        let (shared, from, place) = (self.shared.clone(), from.clone(), split.place.clone());
        blocking(move || {
            let nothing = Ends { low: 0, begin: 0, high: 0 };
            let Ends { low, begin, high } = shared.ends()?.get(&partition.1).copied().unwrap_or(nothing);
            let next = match from {
                Position::Start => begin,
                Position::Mark(mark) => shared.still_there(partition.1, mark, low, high)?,
                Position::Token(_) => return Err(Fault::Fatal(format!("{from} is no offset").into())),
            };
            let left = shared.records_count_max.unwrap_or(u64::MAX);
            let consumer = if next < high { Some(shared.open(&partition, next)?) } else { None };
            Ok(Box::new(BoundedReader { partition, place, consumer, next, end: high, left })
                as Box<dyn Reader>)
        })
        .await
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

struct BoundedReader {
    partition: Partition,
    place: Arc<Place>,
    /// `None` at the end, and while a thread has it.
    consumer: Option<BaseConsumer>,
    next: i64,
    end: i64,
    left: u64,
}

/// What a thread brings back.
struct Polled {
    consumer: BaseConsumer,
    taken: Taken,
    next: i64,
    has_ended: bool,
}

impl BoundedReader {
    fn fault(&self, source: KafkaError) -> Fault {
        let code = source.clone();
        let (topic, partition) = (self.partition.0.to_string(), self.partition.1);
        let error = match source.rdkafka_error_code() {
            Some(denied) if is_denied(denied) => Error::Denied { subject: format!("topic {topic}"), source },
            _ => Error::Consume { topic, partition, source },
        };
        fault(&code, error)
    }
}

#[async_trait]
impl Reader for BoundedReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        if self.next >= self.end || self.left == 0 {
            self.consumer = None;
        }
        let Some(consumer) = self.consumer.take() else { return Ok(Read::End) };
        let (next, end) = (self.next, self.end);
        let records_max = ask.records_max.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let (bytes_max, deadline) = (usize::try_from(ask.bytes_max).unwrap_or(usize::MAX), ask.deadline);
        let polled = blocking(move || {
            let bounds = Bounds { next, end, records_max, bytes_max, deadline };
            Ok(poll(consumer, &bounds))
        });
        let polled = polled.await?.map_err(|error| self.fault(error))?;
        self.next = polled.next;
        // What lies between the last record and the end is of transactions: no record comes any more.
        self.consumer = (!polled.has_ended).then_some(polled.consumer);
        if polled.taken.len() == 0 {
            return Ok(if self.consumer.is_none() { Read::End } else { Read::Idle });
        }
        self.left = self.left.saturating_sub(polled.taken.len() as u64);
        let (values, envelope) = polled.taken.into_columns().map_err(Fault::Fatal)?;
        let (place, end, lease) = (self.place.clone(), Position::Mark(self.next), ask.lease.clone());
        Ok(Read::Batch(Batch { body: Body::Raw(values), envelope, contract: None, place, end, lease }))
    }
}

struct Bounds {
    next: i64,
    end: i64,
    records_max: usize,
    bytes_max: usize,
    deadline: Instant,
}

/// Records that are there, up to the bounds; waits for the first one only.
fn poll(consumer: BaseConsumer, bounds: &Bounds) -> Result<Polled, KafkaError> {
    let (mut taken, mut next, mut has_ended) = (Taken::default(), bounds.next, false);
    while taken.len() < bounds.records_max && taken.bytes() < bounds.bytes_max {
        let wait = if taken.len() == 0 { POLL } else { Duration::ZERO };
        match consumer.poll(wait) {
            Some(Ok(message)) if message.offset() >= bounds.end => {
                has_ended = true;
                break;
            }
            Some(Ok(message)) => {
                next = message.offset() + 1;
                take(&message, &mut taken);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                has_ended = true;
                break;
            }
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_transient) => {
                tracing::debug!(%error, "librdkafka goes on trying");
            }
            Some(Err(error)) => return Err(error),
            None if taken.len() > 0 || Instant::now() >= bounds.deadline => break,
            None => {}
        }
        if next >= bounds.end {
            has_ended = true;
            break;
        }
    }
    Ok(Polled { consumer, taken, next, has_ended })
}

fn take(message: &rdkafka::message::BorrowedMessage<'_>, taken: &mut Taken) {
    if let Some(headers) = message.headers().filter(|headers| headers.count() > 0) {
        taken.headers.resize(taken.marks.len(), Headers::new());
        let header = |header: rdkafka::message::Header<'_, &[u8]>| Header {
            name: header.key.into(),
            value: header.value.map(Bytes::copy_from_slice),
        };
        taken.headers.push(headers.iter().map(header).collect());
    }
    taken.values.push(message.payload());
    taken.keys.push(message.key());
    taken.timestamps_ms.push(message.timestamp().to_millis().unwrap_or(-1));
    taken.marks.push(message.offset());
}

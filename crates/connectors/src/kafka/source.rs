//! The partitions that the group assigns, each read by a lane of its own.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use base::{Ask, Batch, Body, Discovery, Fault, Place, Position, Read, Reader, Source, Split};
use parking_lot::Mutex;
use rdkafka::{
    Offset, TopicPartitionList, consumer::Consumer, error::KafkaError, types::RDKafkaErrorCode as Kafka,
};
use tokio::task::spawn_blocking;

use super::{
    Error, SourceConfig, Topics,
    errors::{fault, is_transient},
    member::{CALL_MS, Event, Member, Partition},
    queue::Queue,
};

/// A member of a group, and the queues of the partitions it has.
pub struct KafkaSource {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) member: Arc<Member>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_checked: bool,
    /// Told as revoked; the engine's lanes have ended when it asks again, and then the group gets them.
    leaving: Option<Vec<Partition>>,
    /// Queues of assigned partitions; a reader takes its queue and puts it back.
    queues: HashMap<Partition, Slot>,
}

struct Slot {
    queue: Option<Queue>,
    /// Where the next record of the queue lies, if that is known without a seek.
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The committed offset, or what `auto.offset.reset` says: nothing has been read yet.
    Fresh(Option<i64>),
    At(i64),
}

impl KafkaSource {
    /// Subscribes. Nothing is read before the first `discover`.
    ///
    /// # Errors
    /// `Error::Client`: a setting that librdkafka does not take.
    pub fn join(config: SourceConfig) -> Result<Self, Error> {
        let member = Arc::new(Member::join(config)?);
        let topics: Vec<String> = match &member.config.topics {
            Topics::List(topics) => topics.clone(),
            Topics::Pattern(pattern) if pattern.starts_with('^') => vec![pattern.clone()],
            Topics::Pattern(pattern) => vec![format!("^({pattern})$")],
        };
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let bootstrap = member.config.bootstrap.clone();
        member.consumer().subscribe(&names).map_err(|source| Error::Client { bootstrap, source })?;
        Ok(Self { inner: Arc::new(Inner { member, state: Mutex::default() }) })
    }
}

pub(super) fn split_of(partition: &Partition) -> Split {
    let (topic, partition) = partition;
    Split {
        id: format!("{topic}-{partition}").into(),
        place: Arc::new(Place::Topic { topic: topic.clone(), partition: *partition }),
    }
}

pub(super) fn partition_of(split: &Split) -> Result<Partition, Fault> {
    match &*split.place {
        Place::Topic { topic, partition } => Ok((topic.clone(), *partition)),
        Place::File { .. } | Place::Collection { .. } | Place::Made { .. } => {
            Err(Fault::Fatal(format!("{} is no partition of a topic", split.id).into()))
        }
    }
}

impl Inner {
    /// Blocks until the group says something, or until the deadline.
    fn discover(&self, deadline: Instant) -> Result<Discovery, Fault> {
        self.check_topics()?;
        let leaving = self.state.lock().leaving.take();
        if let Some(partitions) = leaving {
            self.forget(&partitions);
            self.member.give_back(&partitions).map_err(|error| self.client_fault(error))?;
        }
        loop {
            if let Some(event) = self.member.next_event() {
                return self.tell(event);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(polled) = self.member.consumer().poll(left.min(Duration::from_millis(100))) {
                match polled {
                    Ok(_) => tracing::debug!("a record came by the common queue"),
                    Err(error) => self.sort(error)?,
                }
            }
            if left.is_zero() {
                return Ok(Discovery::Changed { assigned: Vec::new(), revoked: Vec::new() });
            }
        }
    }

    fn tell(&self, event: Event) -> Result<Discovery, Fault> {
        match event {
            Event::Assigned(partitions) => {
                let queues: Vec<Option<Queue>> =
                    partitions.iter().map(|partition| Queue::split(&self.member, partition)).collect();
                self.member.take(&partitions).map_err(|error| self.client_fault(error))?;
                let mut state = self.state.lock();
                for (partition, queue) in partitions.iter().zip(queues) {
                    state.queues.insert(partition.clone(), Slot { queue, next: Next::Fresh(None) });
                }
                Ok(Discovery::Changed {
                    assigned: partitions.iter().map(split_of).collect(),
                    revoked: Vec::new(),
                })
            }
            Event::Revoked(partitions) => {
                let revoked = partitions.iter().map(split_of).collect();
                self.state.lock().leaving = Some(partitions);
                Ok(Discovery::Changed { assigned: Vec::new(), revoked })
            }
        }
    }

    fn forget(&self, partitions: &[Partition]) {
        let mut state = self.state.lock();
        for partition in partitions {
            state.queues.remove(partition);
        }
    }

    fn check_topics(&self) -> Result<(), Fault> {
        if self.state.lock().is_checked {
            return Ok(());
        }
        if let (Topics::List(topics), true) =
            (&self.member.config.topics, self.member.config.topics_must_exist)
        {
            let missing = self.member.missing_topics(topics).map_err(|error| self.client_fault(error))?;
            if let Some(topic) = missing.into_iter().next() {
                let bootstrap = self.member.config.bootstrap.clone();
                return Err(Fault::Fatal(Box::new(Error::TopicMissing { topic, bootstrap })));
            }
        }
        self.state.lock().is_checked = true;
        Ok(())
    }

    /// Errors of the whole client: librdkafka mends connections by itself; rights and bad settings it does not.
    fn sort(&self, error: KafkaError) -> Result<(), Fault> {
        match error.rdkafka_error_code() {
            Some(Kafka::UnknownTopicOrPartition | Kafka::UnknownTopic | Kafka::UnknownPartition) => {
                tracing::debug!(%error, "a topic of the subscription is not there yet");
                Ok(())
            }
            Some(code) if is_transient(code) => {
                tracing::debug!(%error, "the Kafka client goes on trying");
                Ok(())
            }
            Some(Kafka::PollExceeded) => Ok(()),
            _ => Err(self.client_fault(error)),
        }
    }

    fn client_fault(&self, source: KafkaError) -> Fault {
        let code = source.clone();
        let group = &self.member.config.group_id;
        let error = match source.rdkafka_error_code() {
            Some(code) if super::errors::is_denied(code) => {
                Error::Denied { subject: format!("group {group}"), source }
            }
            _ => Error::Unreachable { bootstrap: self.member.config.bootstrap.clone(), source },
        };
        fault(&code, error)
    }

    /// The partition's queue, standing at `from`. Blocks where it has to seek.
    fn open(&self, partition: &Partition, from: &Position) -> Result<(Queue, i64), Fault> {
        let slot = self
            .state
            .lock()
            .queues
            .get_mut(partition)
            .and_then(|slot| slot.queue.take().map(|queue| (queue, slot.next)));
        let Some((mut queue, next)) = slot else {
            let gone = format!("{}/{} is not assigned to this member", partition.0, partition.1);
            return Err(Fault::Lost(gone.into()));
        };
        let wanted = match from {
            Position::Mark(mark) => Some(*mark),
            Position::Start => None,
            Position::Token(_) => return Err(Fault::Fatal(format!("position {from} is no offset").into())),
        };
        let stands = matches!((next, wanted), (Next::Fresh(None), None))
            || matches!((next, wanted), (Next::Fresh(Some(at)) | Next::At(at), Some(mark)) if at == mark);
        if !stands {
            if let Err(fault) = self.seek(partition, wanted) {
                self.put_back(partition, queue, next);
                return Err(fault);
            }
            queue.forget();
        }
        Ok((queue, wanted.unwrap_or(i64::MIN)))
    }

    /// Where a fresh queue stands; told by the checkpoint's first load.
    pub(super) fn stands_at(&self, partition: &Partition, offset: Option<i64>) {
        if let Some(slot) = self.state.lock().queues.get_mut(partition)
            && slot.next == Next::Fresh(None)
        {
            slot.next = Next::Fresh(offset);
        }
    }

    fn put_back(&self, partition: &Partition, queue: Queue, next: Next) {
        // A partition that went and came again has a new queue already.
        if let Some(slot) = self.state.lock().queues.get_mut(partition)
            && slot.queue.is_none()
        {
            slot.queue = Some(queue);
            slot.next = next;
        }
    }

    fn seek(&self, partition: &Partition, wanted: Option<i64>) -> Result<(), Fault> {
        let until = Instant::now() + Duration::from_millis(CALL_MS);
        loop {
            match self.try_seek(partition, wanted) {
                Ok(()) => return Ok(()),
                // Right after an assignment the fetcher may not have begun; it does within milliseconds.
                Err(error)
                    if Instant::now() < until && error.rdkafka_error_code().is_some_and(is_transient) =>
                {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(source) => {
                    let code = source.clone();
                    let (topic, partition) = (partition.0.to_string(), partition.1);
                    return Err(fault(&code, Error::Consume { topic, partition, source }));
                }
            }
        }
    }

    fn try_seek(&self, partition: &Partition, wanted: Option<i64>) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        let offset = wanted.map_or(Offset::Beginning, Offset::Offset);
        list.add_partition_offset(&partition.0, partition.1, offset)?;
        let answer = self.member.consumer().seek_partitions(list, Duration::from_millis(CALL_MS))?;
        answer.elements().iter().try_for_each(|one| one.error())
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        let (inner, deadline) = (self.inner.clone(), ask.deadline);
        blocking(move || inner.discover(deadline)).await
    }

    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        let partition = partition_of(split)?;
        let (inner, from, place) = (self.inner.clone(), from.clone(), split.place.clone());
        blocking(move || {
            let (queue, next) = inner.open(&partition, &from)?;
            Ok(Box::new(PartitionReader { inner, partition, queue: Some(queue), next, place })
                as Box<dyn Reader>)
        })
        .await
    }

    async fn covered(&self, _: &Split, _: &Position) -> Result<(), Fault> {
        Ok(()) // the group's offset is the checkpoint: `GroupCheckpoints` has committed it
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    spawn_blocking(call).await.unwrap_or_else(|panicked| Err(Fault::Fatal(Box::new(panicked))))
}

struct PartitionReader {
    inner: Arc<Inner>,
    partition: Partition,
    queue: Option<Queue>,
    next: i64,
    place: Arc<Place>,
}

#[async_trait]
impl Reader for PartitionReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        let queue = self.queue.as_mut().expect("it is taken by drop alone");
        let bytes_max = usize::try_from(ask.bytes_max).unwrap_or(usize::MAX);
        let taken = queue.take(self.next, bytes_max, ask.records_max, ask.remaining()).await;
        if let Some(last) = taken.marks.last() {
            self.next = last + 1;
            let end = Position::Mark(self.next);
            let (values, envelope) = taken.into_columns().map_err(Fault::Fatal)?;
            let (place, lease) = (self.place.clone(), ask.lease.clone());
            return Ok(Read::Batch(Batch {
                body: Body::Raw(values),
                envelope,
                contract: None,
                place,
                end,
                lease,
            }));
        }
        match taken.error {
            None => Ok(Read::Idle),
            Some(source) => {
                let code = source.clone();
                let (topic, partition) = (self.partition.0.to_string(), self.partition.1);
                let error = match source.rdkafka_error_code() {
                    Some(code) if super::errors::is_denied(code) => {
                        Error::Denied { subject: format!("topic {topic}"), source }
                    }
                    _ => Error::Consume { topic, partition, source },
                };
                Err(fault(&code, error))
            }
        }
    }
}

impl Drop for PartitionReader {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            let next = if self.next == i64::MIN { Next::Fresh(None) } else { Next::At(self.next) };
            self.inner.put_back(&self.partition, queue, next);
        }
    }
}

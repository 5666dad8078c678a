//! Which of several registries on one topic writes: the one to which a consumer group gives the topic's partition.
//!
//! The group is joined with the first write, so a registry that is only read is no member of it. Who leads says where it
//! answers in the metadata of the group's committed offset: a commit of a registry that is no member any more is refused,
//! so the address is the leader's. Confluent's registry and Karapace elect in a group of another kind, and by default in one
//! of this name: Kafka lets no two kinds into one group, and that is told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base::BoxError;
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// How long a write waits until somebody leads: longer than a crashed leader keeps its place.
const LEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How often the leader's address is looked up meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A leader that Kafka has not heard for so long is none. Confluent's `kafkagroup.session.timeout.ms`.
const SESSION_TIMEOUT_MS: &str = "10000";
const HEARTBEAT_INTERVAL_MS: &str = "3000";
/// How long the leader may take its place for granted; well within the session.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
const KAFKA_TIMEOUT: Duration = Duration::from_secs(5);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
const PARTITION: i32 = 0;

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leader {
    /// This registry, for the so-manieth time.
    Me { term: u64 },
    /// The one that answers there.
    Other { url: String },
}

/// What the group said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    None,
    Leading {
        term: u64,
    },
    OtherKind,
}

pub(crate) struct Election {
    topic: String,
    group: String,
    /// Where this registry answers.
    url: String,
    config: ClientConfig,
    wanted: Notify,
    place: Arc<watch::Sender<Place>>,
    member: Mutex<Option<Arc<StreamConsumer<Member>>>>,
    /// Which term was confirmed last, and when.
    renewed: Mutex<Option<(u64, Instant)>>,
    /// How far the topic is read here, which is what the group's offset says.
    next: watch::Receiver<i64>,
}

/// Takes what the group gives and takes away.
struct Member {
    place: Arc<watch::Sender<Place>>,
}

impl ClientContext for Member {}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(_) = rebalance {
            self.place.send_replace(Place::None);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(partitions) = rebalance else { return };
        if partitions.count() == 0 {
            return;
        }
        // The topic is read elsewhere: of the partition only the name counts here.
        if let Err(error) = consumer.pause(partitions) {
            tracing::debug!(%error, "the election's partition is not paused");
        }
        let term = TERMS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.place.send_replace(Place::Leading { term });
    }
}

/// Each time that a registry of this process begins to lead has a number of its own.
static TERMS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl Election {
    pub(crate) fn new(
        config: &ClientConfig,
        topic: &str,
        group: &str,
        url: String,
        next: watch::Receiver<i64>,
    ) -> Self {
        let mut config = config.clone();
        for (key, value) in [
            ("group.id", group),
            ("session.timeout.ms", SESSION_TIMEOUT_MS),
            ("heartbeat.interval.ms", HEARTBEAT_INTERVAL_MS),
            // A member that comes takes nothing from the one that leads.
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "false"),
            ("auto.offset.reset", "latest"),
        ] {
            config.set(key, value);
        }
        Self {
            topic: topic.to_owned(),
            group: group.to_owned(),
            url,
            config,
            wanted: Notify::new(),
            place: Arc::default(),
            member: Mutex::new(None),
            renewed: Mutex::new(None),
            next,
        }
    }

    /// The name that registries on one topic share.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// Takes part once somebody wants to know who leads, until asked to stop.
    pub(crate) async fn run(&self, stop: CancellationToken) -> Result<(), BoxError> {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = self.wanted.notified() => {}
        }
        let context = Member { place: self.place.clone() };
        let member: Arc<StreamConsumer<Member>> = Arc::new(self.config.create_with_context(context)?);
        member.subscribe(&[&self.topic])?;
        *self.member.lock() = Some(member.clone());
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => break,
                event = member.recv() => event.map(drop),
            };
            match event {
                Ok(()) => {}
                Err(KafkaError::MessageConsumption(RDKafkaErrorCode::InconsistentGroupProtocol)) => {
                    self.place.send_replace(Place::OtherKind);
                }
                // librdkafka tries again by itself.
                Err(error) => {
                    tracing::warn!(%error, group = self.group, "the registry's election has trouble")
                }
            }
        }
        self.place.send_replace(Place::None);
        *self.member.lock() = None;
        // The last owner leaves the group, which takes an answer of Kafka's: on a thread of its own, so that nothing waits
        // for a Kafka that is gone.
        let (left, leaving) = oneshot::channel();
        std::thread::spawn(move || {
            drop(member);
            let _ = left.send(());
        });
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, leaving).await;
        Ok(())
    }

    /// Who leads, waiting until somebody does.
    pub(crate) async fn leader(&self) -> Result<Leader, Error> {
        self.wanted.notify_one();
        let began = Instant::now();
        let mut place = self.place.subscribe();
        loop {
            let now = *place.borrow_and_update();
            match now {
                Place::Leading { term } if self.renew(term).await => return Ok(Leader::Me { term }),
                Place::OtherKind => {
                    let (group, topic) = (self.group.clone(), self.topic.clone());
                    return Err(Error::OtherKind { group, topic });
                }
                Place::Leading { .. } => {}
                Place::None => {
                    if let Some(url) = self.address().await.filter(|url| *url != self.url) {
                        return Ok(Leader::Other { url });
                    }
                }
            }
            if began.elapsed() > LEADER_TIMEOUT {
                let reason = format!("the group {} has no member that leads", self.group);
                return Err(Error::NoLeader { reason });
            }
            // A change wakes it; what another one commits does not.
            let _ = tokio::time::timeout(LOOK_INTERVAL, place.changed()).await;
        }
    }

    /// The topic's end, as Kafka has it now.
    pub(crate) async fn topic_end(&self) -> Option<i64> {
        let member = self.member.lock().clone()?;
        let topic = self.topic.clone();
        let asking =
            tokio::task::spawn_blocking(move || member.fetch_watermarks(&topic, PARTITION, KAFKA_TIMEOUT));
        asking.await.ok()?.ok().map(|(_, high)| high)
    }

    fn partition(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, PARTITION);
        list
    }

    /// Says where the leader answers; whether Kafka still takes this registry for it.
    async fn renew(&self, term: u64) -> bool {
        let is_fresh = |(known, at): (u64, Instant)| known == term && at.elapsed() < RENEWAL_INTERVAL;
        if self.renewed.lock().is_some_and(is_fresh) {
            return true;
        }
        let Some(member) = self.member.lock().clone() else { return false };
        let list = self.partition();
        let (url, next) = (self.url.clone(), *self.next.borrow());
        let committing = tokio::task::spawn_blocking(move || {
            for mut partition in list.elements() {
                partition.set_offset(Offset::Offset(next))?;
                partition.set_metadata(&url);
            }
            member.commit(&list, CommitMode::Sync)
        });
        let committed = committing.await.is_ok_and(|committed| {
            committed.inspect_err(|error| tracing::info!(%error, "the registry does not lead")).is_ok()
        });
        *self.renewed.lock() = committed.then(|| (term, Instant::now()));
        committed
    }

    /// Where the one that leads, or led last, answers.
    async fn address(&self) -> Option<String> {
        let member = self.member.lock().clone()?;
        let list = self.partition();
        let asking = tokio::task::spawn_blocking(move || member.committed_offsets(list, KAFKA_TIMEOUT));
        let committed = asking.await.ok()?.ok()?;
        let url = committed.elements().first().map(|partition| partition.metadata().to_owned())?;
        Some(url).filter(|url| !url.is_empty())
    }
}

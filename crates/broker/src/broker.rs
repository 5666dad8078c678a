//! What all requests share: the topics, the groups, the logs, who may use them, and who this node says it is.

use std::sync::Arc;

use base::Clock;
use kafka_protocol::{ResponseError, protocol::StrBytes};
use tokio::task;
use tokio_util::sync::CancellationToken;

use crate::{
    errors::Error,
    groups::{Groups, journal::OFFSETS_TOPIC},
    limits::Limits,
    log::Logs,
    options::Options,
    producers::ProducerIds,
    quotas::Quotas,
    security::{Security, listeners::Listener},
    sessions::Sessions,
    shares::{STATE_TOPIC, Shares},
    topics::{Refusal, Topic, Topics, settings::Settings},
    transactions::{TRANSACTIONS_TOPIC, Transactions},
};

/// Settings of the internal topics.
const COMPACTED: [(&str, Option<&str>); 2] =
    [("cleanup.policy", Some("compact")), ("segment.bytes", Some("104857600"))];
const KEPT: [(&str, Option<&str>); 3] =
    [("cleanup.policy", Some("delete")), ("segment.bytes", Some("104857600")), ("retention.ms", Some("-1"))];

pub struct Broker {
    pub options: Arc<Options>,
    pub limits: Limits,
    pub cluster_id: StrBytes,
    /// Where it listens; the first is the one of `listen`.
    pub listeners: Vec<Arc<Listener>>,
    pub security: Security,
    pub quotas: Quotas,
    pub topics: Arc<Topics>,
    pub groups: Groups,
    pub shares: Arc<Shares>,
    pub producers: Arc<ProducerIds>,
    pub transactions: Transactions,
    pub sessions: Sessions,
    pub logs: Arc<Logs>,
    pub clock: Arc<dyn Clock>,
    /// Requests that wait for records or members give up when it is cancelled.
    pub stop: CancellationToken,
}

impl Broker {
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// For time-outs, which a clock that is set does not move.
    pub fn steady_ms(&self) -> i64 {
        self.clock.steady_ms()
    }

    /// The topic, created if it is missing and the settings allow it.
    pub async fn topic_or_create(self: &Arc<Self>, name: &str) -> Result<Arc<Topic>, ResponseError> {
        match self.topics.get(name) {
            Some(topic) => Ok(topic),
            None if name == OFFSETS_TOPIC => self.offsets_topic().await,
            None if name == TRANSACTIONS_TOPIC => self.transactions_topic().await,
            None if name == STATE_TOPIC => self.share_state_topic().await,
            None => {
                let partitions = self.options.partitions_default;
                self.create_topic(name, partitions, Settings::default())
                    .await
                    .map_err(|refusal| refusal.error)
            }
        }
    }

    /// `__consumer_offsets`, made when the first group needs it.
    pub async fn offsets_topic(self: &Arc<Self>) -> Result<Arc<Topic>, ResponseError> {
        self.internal_topic(OFFSETS_TOPIC, self.options.offsets_partitions, &COMPACTED).await
    }

    /// `__transaction_state`, made when the first transactional id needs it.
    pub async fn transactions_topic(self: &Arc<Self>) -> Result<Arc<Topic>, ResponseError> {
        self.internal_topic(TRANSACTIONS_TOPIC, self.options.transactions_partitions, &COMPACTED).await
    }

    /// `__share_group_state`, made when a share group first reads. Its writer lets go of what is no longer needed.
    pub async fn share_state_topic(self: &Arc<Self>) -> Result<Arc<Topic>, ResponseError> {
        self.internal_topic(STATE_TOPIC, self.options.share_state_partitions, &KEPT).await
    }

    async fn internal_topic(
        self: &Arc<Self>,
        name: &str,
        partitions: i32,
        settings: &[(&str, Option<&str>)],
    ) -> Result<Arc<Topic>, ResponseError> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic);
        }
        let settings = Settings::from_pairs(settings.iter().copied()).map_err(|refusal| refusal.error)?;
        let made = self.create_topic(name, partitions, settings).await;
        made.map_err(|_| ResponseError::CoordinatorNotAvailable)
    }

    /// Creates a topic on a thread that may block; one that was created meanwhile is as good.
    pub async fn create_topic(
        self: &Arc<Self>,
        name: &str,
        partitions: i32,
        settings: Settings,
    ) -> Result<Arc<Topic>, Refusal> {
        let name = name.to_owned();
        let made = self.blocking(move |broker| match broker.topics.create(&name, partitions, settings) {
            Err(refusal) if refusal.error == ResponseError::TopicAlreadyExists => {
                broker.topics.get(&name).ok_or(refusal)
            }
            made => made,
        });
        made.await
    }

    /// Runs what blocks on the disk where it holds nobody up.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Arc<Broker>) -> T + Send + 'static,
    ) -> T {
        let broker = self.clone();
        match task::spawn_blocking(move || act(&broker)).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await, // the runtime ends, and this task with it
            },
        }
    }
}

/// `host:port`, with an IPv6 address in brackets.
pub fn host_and_port(text: &str) -> Result<(StrBytes, i32), Error> {
    let wrong = || Error::Advertised { advertised: text.to_owned() };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if host.is_empty() { Err(wrong()) } else { Ok((StrBytes::from_string(host.to_owned()), i32::from(port))) }
}

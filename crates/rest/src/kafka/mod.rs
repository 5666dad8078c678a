//! What is asked of a Kafka cluster by its protocol: one file for each noun. librdkafka has no call for half of it, so these
//! requests are made here, over a few connections that are opened when they are needed.
//!
//! Records are not sent or read here: that is librdkafka's (`produce`, `consumers`), by the properties of `client`.

pub(crate) mod acls;
pub(crate) mod configs;
pub(crate) mod groups;
mod link;
mod scram;
mod security;
pub(crate) mod topics;

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use kafka_protocol::{
    messages::{BrokerId, FindCoordinatorRequest, GroupId, TopicName},
    protocol::{Request, StrBytes},
};
use parking_lot::Mutex;
use rdkafka::ClientConfig;

use crate::{Error, Options};
use link::{Fault, Pool};
use security::Security;

/// How long a broker has for what changes the cluster.
pub(crate) const CHANGE_TIMEOUT_MS: i32 = 15_000;
/// How long a coordinator that is moving is waited for.
const COORDINATOR_TRIES: u32 = 40;
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The properties that every librdkafka client of the proxy has.
pub(crate) fn client(options: &Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("client.id", "tidemill-rest"),
        ("socket.nagle.disable", "true"),
        ("log.connection.close", "false"),
        ("reconnect.backoff.ms", "20"),
        ("reconnect.backoff.max.ms", "1000"),
        ("topic.metadata.refresh.fast.interval.ms", "50"),
        ("log_level", "3"),
    ] {
        config.set(key, value);
    }
    for (key, value) in &options.kafka_properties {
        config.set(key, value);
    }
    config.set("bootstrap.servers", &options.kafka);
    config
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(crate) fn group_id(name: &str) -> GroupId {
    GroupId(text(name))
}

/// A cluster, asked over its protocol.
pub(crate) struct Kafka {
    servers: String,
    pool: Pool,
    /// By their ids, as the last metadata had them.
    brokers: Mutex<BTreeMap<i32, String>>,
}

/// Who is asked.
pub(crate) enum Whom<'a> {
    Any,
    Broker(i32),
    Coordinator(&'a str),
}

impl Kafka {
    pub fn new(options: &Options) -> Self {
        let security = Security::from_properties(&options.kafka_properties);
        Self { servers: options.kafka.clone(), pool: Pool::new(security), brokers: Mutex::default() }
    }

    /// Asks in the highest version that both sides have within `versions`.
    pub async fn ask<R: Request>(
        &self,
        whom: Whom<'_>,
        versions: RangeInclusive<i16>,
        request: &R,
    ) -> Result<R::Response, Error> {
        match whom {
            Whom::Any => self.ask_any(&versions, request).await,
            Whom::Broker(id) => {
                let address = self.address(id).await?;
                self.pool.ask(&address, &versions, request).await.map_err(|fault| self.failed(fault))
            }
            Whom::Coordinator(group) => {
                let address = self.coordinator(group).await?.1;
                self.pool.ask(&address, &versions, request).await.map_err(|fault| self.failed(fault))
            }
        }
    }

    async fn ask_any<R: Request>(
        &self,
        versions: &RangeInclusive<i16>,
        request: &R,
    ) -> Result<R::Response, Error> {
        let mut addresses: Vec<String> = self.brokers.lock().values().cloned().collect();
        let given = self.servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        addresses.extend(given.map(str::to_owned));
        let mut last = Fault::Lost("no address is known".to_owned());
        for address in addresses {
            match self.pool.ask(&address, versions, request).await {
                Err(fault @ Fault::Lost(_)) => last = fault,
                answered => return answered.map_err(|fault| self.failed(fault)),
            }
        }
        Err(self.failed(last))
    }

    fn failed(&self, fault: Fault) -> Error {
        match fault {
            Fault::Lost(reason) => Error::Kafka { kafka: self.servers.clone(), reason },
            Fault::Slow(error) | Fault::Other(error) => error,
        }
    }

    /// Where a broker answers; one that is not known is looked for again.
    async fn address(&self, id: i32) -> Result<String, Error> {
        let known = |kafka: &Self| kafka.brokers.lock().get(&id).cloned();
        if let Some(address) = known(self) {
            return Ok(address);
        }
        self.metadata(topics::Asked::None).await?;
        known(self).ok_or_else(|| Error::NotFound { what: format!("Broker {id}") })
    }

    /// The broker that keeps a group: its id, and where it answers.
    pub async fn coordinator(&self, group: &str) -> Result<(i32, String), Error> {
        let request = FindCoordinatorRequest::default().with_key(text(group));
        let mut last = 0;
        for _ in 0..COORDINATOR_TRIES {
            // Version 3 is the last one that asks for a single key.
            let found = self.ask_any(&(0..=3), &request).await?;
            if found.error_code == 0 {
                let BrokerId(id) = found.node_id;
                return Ok((id, format!("{}:{}", found.host, found.port)));
            }
            last = found.error_code;
            let moving = Error::refused(last, None).answer() == (500, 50003);
            if !moving {
                break;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        Err(Error::refused(last, None))
    }
}

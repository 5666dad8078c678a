//! Records out of an instance: as many as there are, until the answer is full, the time is over, or enough is there.

use std::time::{Duration, Instant};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedMessage,
};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use super::{
    Instance,
    instance::{State, place_of},
};
use crate::{Error, formats, produce::client_error, room::Share, schemas::Schemas};

/// More records than this are not one answer, however small they are.
const RECORDS_COUNT_MAX: usize = 50_000;

impl Instance {
    /// `wait` and `bytes_max` only make the instance's own bounds smaller; so does what memory there is for `share`.
    pub async fn records(
        &self,
        schemas: &Schemas,
        wait: Option<Duration>,
        bytes_max: Option<usize>,
        share: &mut Share,
    ) -> Result<Vec<Json>, Error> {
        let mut state = self.state.lock().await;
        let consumer = self.consumer()?;
        let wait = wait.map_or(self.config.request_timeout, |wait| wait.min(self.config.request_timeout));
        let bytes_max = bytes_max.map_or(self.bytes_max, |bytes| bytes.min(self.bytes_max));
        let mut fetched = self.fetched(&consumer, &mut state, wait, bytes_max, share).await?;
        let mut records = Vec::with_capacity(fetched.len());
        for message in &fetched {
            match self.shown(schemas, message).await {
                Ok(record) => records.push(record),
                // What is good comes out first; the bad one is told when it stands in front.
                Err(_) if !records.is_empty() => break,
                Err(error) => {
                    put_back(&mut state, fetched);
                    return Err(error);
                }
            }
            state.read.insert(place_of(message), message.offset() + 1);
        }
        put_back(&mut state, fetched.split_off(records.len()));
        if self.config.auto_commit {
            let mut next = TopicPartitionList::new();
            for ((topic, partition), offset) in &state.read {
                next.add_partition_offset(topic, *partition, Offset::Offset(*offset)).ok();
            }
            // A partition that was taken away meanwhile is another member's now.
            if let Err(error) = consumer.store_offsets(&next) {
                tracing::debug!(%error, "offsets of a consumer instance are not stored");
            }
        }
        self.touch();
        Ok(records)
    }

    async fn fetched(
        &self,
        consumer: &StreamConsumer,
        state: &mut State,
        wait: Duration,
        bytes_max: usize,
        share: &mut Share,
    ) -> Result<Vec<OwnedMessage>, Error> {
        let deadline = Instant::now() + wait;
        let (mut fetched, mut bytes) = (Vec::new(), 0);
        let mut trouble = None;
        while fetched.len() < RECORDS_COUNT_MAX {
            let message = match state.held.pop_front() {
                Some(message) => message,
                None => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    // Enough is there: only what has come already is taken with it.
                    let left = if bytes >= self.config.fetch_bytes_min { Duration::ZERO } else { left };
                    let received = tokio::select! {
                        received = timeout(left, consumer.recv()) => received,
                        () = self.closing.cancelled() => break,
                    };
                    match received {
                        Ok(Ok(message)) => message.detach(),
                        Ok(Err(error)) if is_passing(&error) => {
                            trouble = Some(error);
                            continue;
                        }
                        Ok(Err(error)) => return Err(client_error(&error)),
                        Err(_) => break,
                    }
                }
            };
            let size = message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len);
            if !fetched.is_empty() && bytes + size > bytes_max {
                state.held.push_front(message);
                break;
            }
            if let Err(error) = share.hold(bytes + size) {
                state.held.push_front(message);
                match fetched.is_empty() {
                    true => return Err(error),
                    false => break,
                }
            }
            bytes += size;
            fetched.push(message);
            if bytes >= bytes_max {
                break;
            }
        }
        match trouble {
            Some(error) if fetched.is_empty() && is_distance(&error) => Err(client_error(&error)),
            _ => Ok(fetched),
        }
    }

    async fn shown(&self, schemas: &Schemas, message: &OwnedMessage) -> Result<Json, Error> {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let key_place = format!("the key of {topic}/{partition}/{offset}");
        let value_place = format!("the value of {topic}/{partition}/{offset}");
        let (key, value) = match self.format.kind() {
            None => (
                formats::read(self.format, message.key(), &key_place)?,
                formats::read(self.format, message.payload(), &value_place)?,
            ),
            Some(_) => (
                schemas.read(message.key(), &key_place).await?,
                schemas.read(message.payload(), &value_place).await?,
            ),
        };
        Ok(json!({ "topic": topic, "key": key, "value": value, "partition": partition, "offset": offset }))
    }
}

fn put_back(state: &mut State, fetched: Vec<OwnedMessage>) {
    for message in fetched.into_iter().rev() {
        state.held.push_front(message);
    }
}

/// What librdkafka mends by itself, or what a later look mends: Java's consumer says nothing of it either.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::PartitionEOF
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::WaitingForCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::RebalanceInProgress
            | Code::PollExceeded,
        ) => true,
        _ => is_distance(error),
    }
}

fn is_distance(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::OperationTimedOut)
    )
}

//! Produce (key 0), versions 3-13.
//! v3 record batches of magic 2 and transactional ids; v5 log start offset; v7 zstd (KIP-110); v8 errors of single records (KIP-467); v9
//! flexible; v10 new leaders in the answer (KIP-951; never needed here); v11 TRANSACTION_ABORTABLE; v12 transactions of
//! version 2 (KIP-890): what a transactional producer writes to is added to its transaction; v13 topics by their ids (KIP-516).
//!
//! Batches are checked (CRC, sizes, counts) and queued in the order of the requests; the answer waits for the log's thread.
//! Version 3 is also the first that Kafka 4 speaks. A transactional batch is only taken while its transaction is open for the
//! partition, and is in the queue before the transaction's marker can be.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::{
    ResponseError,
    messages::{
        ProduceRequest, ProduceResponse, TopicName, TransactionalId,
        produce_request::TopicProduceData,
        produce_response::{BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::{Request, StrBytes},
};
use wire::{batch::BatchHeader, compression::Compression};

use super::{Caller, Frame, Handler, Pending, Reply, Step, shapes, shapes::Malformed};
use crate::{
    broker::Broker,
    cluster::LEADER_EPOCH,
    log::{self, Log, LogError, Writer},
    quotas::Limit,
    security::{access::Resource, acl::Operation},
    topics::is_internal,
    transactions::transaction::{Partitions, Producer},
};

pub const HANDLER: Handler = Handler {
    key: ProduceRequest::KEY,
    name: "Produce",
    versions: 3..=13,
    shape: &shapes::PRODUCE,
    pipelined: true,
    call: |broker, call| {
        Box::pin(async move {
            let (request, caller) = call.decode::<ProduceRequest>()?;
            Ok(Step::Queued(queue(broker, request, caller).await))
        })
    },
    notes: "acks 0, 1 and all (one replica: 1 and all are the same); idempotent and transactional; batches of \
            magic 2, stored as received or packed as `compression.type` says",
};

/// From this version on a transactional producer adds what it writes to (KIP-890).
const ADDS_PARTITIONS_SINCE: i16 = 12;

/// From this version on an answer names the records that are to blame (KIP-467).
const RECORD_ERRORS_SINCE: i16 = 8;

/// From this version on a client may pack in zstd (KIP-110).
const ZSTD_SINCE: i16 = 7;

/// From this version on topics are named by their ids.
const IDS_SINCE: i16 = 13;

/// One partition's records: queued in its log, or refused.
struct Queued {
    index: i32,
    outcome: Result<log::Pending, Refused>,
}

struct Refused {
    error: ResponseError,
    reason: String,
    /// Those that are to blame, where it is not the whole batch.
    records: Vec<i32>,
}

impl Refused {
    fn new(error: ResponseError) -> Self {
        Self { error, reason: error.to_string(), records: Vec::new() }
    }

    /// From version 8 on clients tell the records that are to blame from those that came with them.
    fn told(self, version: i16) -> PartitionProduceResponse {
        let reason = StrBytes::from_string(self.reason);
        let each = |index| {
            let message = Some(reason.clone());
            BatchIndexAndErrorMessage::default()
                .with_batch_index(index)
                .with_batch_index_error_message(message)
        };
        let records = self.records.into_iter().filter(|_| version >= RECORD_ERRORS_SINCE);
        PartitionProduceResponse::default()
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_error_code(self.error.code())
            .with_record_errors(records.map(each).collect())
            .with_error_message(Some(reason))
    }
}

impl From<LogError> for Refused {
    fn from(error: LogError) -> Self {
        Self { error: error.answer(), reason: error.to_string(), records: error.records().to_vec() }
    }
}

/// Whose transaction a request's records belong to.
struct Transactional {
    id: TransactionalId,
    version: i16,
}

/// Queues every batch, and gives what waits for the outcome.
async fn queue(broker: Arc<Broker>, mut request: ProduceRequest, caller: Caller) -> Pending {
    if caller.version >= IDS_SINCE {
        for topic in &mut request.topic_data {
            // A topic that is not found keeps its empty name.
            let name = broker.topics.by_id(topic.topic_id).map(|found| found.name.to_string());
            topic.name = TopicName(StrBytes::from_string(name.unwrap_or_default()));
        }
    }
    let refused = (!matches!(request.acks, -1..=1)).then_some(ResponseError::InvalidRequiredAcks);
    let id = request.transactional_id.as_deref();
    let may_write =
        id.map_or(Ok(()), |id| broker.check(&caller, Operation::Write, Resource::TransactionalId(id)));
    let refused = refused.or(may_write.err());
    let transactional = request.transactional_id.map(|id| Transactional { id, version: caller.version });
    let refused = match (&transactional, refused) {
        (Some(transactional), None) if caller.version >= ADDS_PARTITIONS_SINCE => {
            transactional.add_missing(&broker, &request.topic_data, &caller).await.err()
        }
        (_, refused) => refused,
    };
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let bytes: usize = partitions.filter_map(|data| data.records.as_ref()).map(Bytes::len).sum();
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let id = topic.topic_id;
        let (name, partitions) = queue_topic(&broker, topic, refused, transactional.as_ref(), &caller).await;
        let answered = match caller.version >= IDS_SINCE {
            true => TopicProduceResponse::default().with_topic_id(id),
            false => TopicProduceResponse::default().with_name(name),
        };
        topics.push((answered, partitions));
    }
    let throttle_ms = match broker.quotas.limits(Limit::Produced) {
        true => {
            broker.quotas.record(Limit::Produced, &caller.peer.principal(), &caller.client_id, bytes as f64)
        }
        false => 0,
    };
    Box::pin(answer(topics, throttle_ms, request.acks, caller))
}

async fn queue_topic(
    broker: &Arc<Broker>,
    topic: TopicProduceData,
    refused: Option<ResponseError>,
    transactional: Option<&Transactional>,
    caller: &Caller,
) -> (TopicName, Vec<Queued>) {
    let may_write = broker.check(caller, Operation::Write, Resource::Topic(&topic.name));
    let found = match (refused.or(may_write.err()), broker.topics.get(&topic.name)) {
        (Some(error), _) => Err(error),
        (None, _) if topic.name.is_empty() => Err(ResponseError::UnknownTopicId),
        (None, _) if is_internal(&topic.name) => Err(ResponseError::InvalidTopicException),
        (None, None) => Err(ResponseError::UnknownTopicOrPartition),
        (None, Some(found)) => Ok(found),
    };
    let mut partitions = Vec::with_capacity(topic.partition_data.len());
    for data in topic.partition_data {
        let log = found.as_ref().map_err(|error| *error).and_then(|topic| topic.partition(data.index));
        let outcome = match (log, data.records) {
            (Err(error), _) => Err(Refused::new(error)),
            (Ok(_), None) => Err(Refused::new(ResponseError::InvalidRecord)),
            (Ok(_), Some(records)) if caller.version < ZSTD_SINCE && is_zstd(&records) => {
                Err(Refused::new(ResponseError::UnsupportedCompressionType))
            }
            (Ok(log), Some(records)) => match transactional {
                None => log.submit(records, LEADER_EPOCH, Writer::Client).await.map_err(Refused::from),
                Some(transactional) => {
                    transactional.submit(broker, log, &topic.name, data.index, records).await
                }
            },
        };
        partitions.push(Queued { index: data.index, outcome });
    }
    (topic.name, partitions)
}

fn is_zstd(records: &[u8]) -> bool {
    BatchHeader::parse(records).is_ok_and(|header| header.compression() == Ok(Compression::Zstd))
}

impl Transactional {
    /// The producer of a transactional batch; what else is wrong with it is the log's to say.
    fn producer_of(records: &[u8]) -> Option<Producer> {
        let header = BatchHeader::parse(records).ok()?;
        let producer = Producer { id: header.producer_id, epoch: header.producer_epoch };
        header.is_transactional().then_some(producer)
    }

    /// Adds all partitions of the request at once.
    async fn add_missing(
        &self,
        broker: &Broker,
        topics: &[TopicProduceData],
        caller: &Caller,
    ) -> Result<(), ResponseError> {
        let (mut producer, mut partitions) = (None, Partitions::new());
        let may_write =
            |topic: &&TopicProduceData| broker.allows(caller, Operation::Write, Resource::Topic(&topic.name));
        for topic in topics.iter().filter(may_write) {
            for data in &topic.partition_data {
                let found = data.records.as_deref().and_then(Self::producer_of);
                if found.is_some() && broker.topics.partition(&topic.name, data.index).is_ok() {
                    producer = found;
                    partitions.entry(topic.name.as_str().into()).or_default().insert(data.index);
                }
            }
        }
        let Some(producer) = producer else { return Ok(()) };
        let added = broker.transactions.add_missing(&self.id, producer, partitions).await;
        added.map_err(|error| self.told(error))
    }

    async fn submit(
        &self,
        broker: &Broker,
        log: &Arc<Log>,
        topic: &str,
        index: i32,
        records: Bytes,
    ) -> Result<log::Pending, Refused> {
        let Some(producer) = Self::producer_of(&records) else {
            return log.submit(records, LEADER_EPOCH, Writer::Client).await.map_err(Refused::from);
        };
        let pass = broker.transactions.admit(&self.id, producer, topic, index).await;
        let _pass = pass.map_err(|error| Refused::new(self.told(error)))?;
        log.submit(records, LEADER_EPOCH, Writer::Transaction).await.map_err(Refused::from)
    }

    /// What clients of this version act on as they should.
    fn told(&self, error: ResponseError) -> ResponseError {
        match error {
            ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
            ResponseError::InvalidTxnState if self.version >= 11 => ResponseError::TransactionAbortable,
            // Older ones know no such answer here; this one they try again.
            ResponseError::ConcurrentTransactions if self.version < ADDS_PARTITIONS_SINCE => {
                ResponseError::NotEnoughReplicas
            }
            error => error,
        }
    }
}

async fn answer(
    topics: Vec<(TopicProduceResponse, Vec<Queued>)>,
    throttle_ms: u32,
    acks: i16,
    caller: Caller,
) -> Result<Step, Malformed> {
    let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
    let mut response = ProduceResponse::default().with_throttle_time_ms(throttle_ms as i32);
    let mut failed = None;
    for (mut answered, partitions) in topics {
        for Queued { index, outcome } in partitions {
            let outcome = match outcome {
                Ok(pending) => pending.answer().await.map_err(Refused::from),
                Err(refused) => Err(refused),
            };
            let partition = match outcome {
                Ok(appended) => PartitionProduceResponse::default()
                    .with_base_offset(appended.base_offset)
                    .with_log_append_time_ms(appended.log_append_time_ms)
                    .with_log_start_offset(appended.start_offset),
                Err(refused) => {
                    failed = Some(refused.error);
                    refused.told(caller.version)
                }
            };
            answered.partition_responses.push(partition.with_index(index));
        }
        response.responses.push(answered);
    }
    match (acks, failed) {
        (0, None) if throttle_ms > 0 => Ok(Step::answer(Frame { chunks: vec![], throttle_ms })),
        (0, None) => Ok(Step::Answer(None)),
        (0, Some(error)) => {
            // As Kafka does: who wants no answer learns of a refusal by the connection's end.
            tracing::warn!(client = %&*caller.client_id, %error, "records sent with acks=0 are refused");
            Err(Malformed::Unanswerable)
        }
        _ => Ok(Step::answer(Frame { throttle_ms, ..reply.encode(&response)? })),
    }
}

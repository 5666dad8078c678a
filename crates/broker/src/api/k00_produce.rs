//! Produce (key 0), versions 3-11.
//! v3 record batches of magic 2 and transactional ids; v5 log start offset; v8 errors of single records (KIP-467); v9
//! flexible; v10 new leaders in the answer (KIP-951; never needed here); v11 as v10. v12 belongs to transactions of version 2.
//!
//! Batches are checked (CRC, sizes, counts) and queued in the order of the requests; the answer waits for the log's thread.
//! Version 3 is also the first that Kafka 4 speaks.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        ProduceRequest, ProduceResponse, TopicName,
        produce_request::TopicProduceData,
        produce_response::{PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, Pending, Reply, Step, shapes, shapes::Malformed};
use crate::{
    broker::Broker,
    cluster::LEADER_EPOCH,
    log::{self, LogError, Writer},
    topics::is_internal,
};

pub const HANDLER: Handler = Handler {
    key: ProduceRequest::KEY,
    name: "Produce",
    versions: 3..=11,
    shape: &shapes::PRODUCE,
    pipelined: true,
    call: |broker, call| {
        Box::pin(async move {
            let (request, caller) = call.decode::<ProduceRequest>()?;
            Ok(Step::Queued(queue(broker, request, caller).await))
        })
    },
    notes: "acks 0, 1 and all (one replica: 1 and all are the same); idempotent; batches of magic 2, stored as received; \
            transactional batches are refused with INVALID_TXN_STATE",
};

/// One partition's records: queued in its log, or refused.
struct Queued {
    index: i32,
    outcome: Result<log::Pending, Refused>,
}

struct Refused {
    error: ResponseError,
    reason: String,
}

impl Refused {
    fn new(error: ResponseError) -> Self {
        Self { error, reason: error.to_string() }
    }
}

impl From<LogError> for Refused {
    fn from(error: LogError) -> Self {
        Self { error: error.answer(), reason: error.to_string() }
    }
}

/// Queues every batch, and gives what waits for the outcome.
async fn queue(broker: Arc<Broker>, request: ProduceRequest, caller: Caller) -> Pending {
    let refused = if !matches!(request.acks, -1..=1) {
        Some(ResponseError::InvalidRequiredAcks)
    } else if request.transactional_id.is_some() {
        Some(ResponseError::InvalidTxnState)
    } else {
        None
    };
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        topics.push(queue_topic(&broker, topic, refused).await);
    }
    let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
    Box::pin(answer(topics, reply, request.acks, caller))
}

async fn queue_topic(
    broker: &Arc<Broker>,
    topic: TopicProduceData,
    refused: Option<ResponseError>,
) -> (TopicName, Vec<Queued>) {
    let found = match (refused, broker.topics.get(&topic.name)) {
        (Some(error), _) => Err(error),
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
            (Ok(log), Some(records)) => {
                log.submit(records, LEADER_EPOCH, Writer::Client).await.map_err(Refused::from)
            }
        };
        partitions.push(Queued { index: data.index, outcome });
    }
    (topic.name, partitions)
}

async fn answer(
    topics: Vec<(TopicName, Vec<Queued>)>,
    reply: Reply,
    acks: i16,
    caller: Caller,
) -> Result<Step, Malformed> {
    let mut response = ProduceResponse::default();
    let mut failed = None;
    for (name, partitions) in topics {
        let mut answered = TopicProduceResponse::default().with_name(name);
        for Queued { index, outcome } in partitions {
            let outcome = match outcome {
                Ok(pending) => pending.answer().await.map_err(Refused::from),
                Err(refused) => Err(refused),
            };
            let partition = PartitionProduceResponse::default().with_index(index);
            answered.partition_responses.push(match outcome {
                Ok(appended) => partition
                    .with_base_offset(appended.base_offset)
                    .with_log_append_time_ms(appended.log_append_time_ms)
                    .with_log_start_offset(appended.start_offset),
                Err(refused) => {
                    failed = Some(refused.error);
                    partition
                        .with_base_offset(-1)
                        .with_log_append_time_ms(-1)
                        .with_error_code(refused.error.code())
                        .with_error_message(Some(StrBytes::from_string(refused.reason)))
                }
            });
        }
        response.responses.push(answered);
    }
    match (acks, failed) {
        (0, None) => Ok(Step::Answer(None)),
        (0, Some(error)) => {
            // As Kafka does: who wants no answer learns of a refusal by the connection's end.
            tracing::warn!(client = %&*caller.client_id, %error, "records sent with acks=0 are refused");
            Err(Malformed::Unanswerable)
        }
        _ => reply.encode(&response).map(Step::answer),
    }
}

//! ListOffsets (key 2), versions 0-10.
//! v0 a list of offsets: neither the codec nor Kafka 4 knows it, and librdkafka before 1.8 asks in it where a partition begins
//! and ends; v2 isolation level; v4 leader epochs; v6 flexible; v7 the record with the largest timestamp (-3, KIP-734); v8 the local
//! log's start (-4, KIP-405); v9 the end of what lies in remote storage (-5, KIP-1005): nothing does; v10 a time-out (KIP-1075). A timestamp gives the first record at or after it, -1 as offset where there is none.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{
        ListOffsetsRequest, ListOffsetsResponse,
        list_offsets_request::ListOffsetsPartition,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    },
    protocol::Request,
};

use super::{
    Call, Caller, Frame, Handler, Pending, Reply, Step, handmade,
    k01_fetch::{READ_COMMITTED, check_epoch},
    shapes,
    shapes::Malformed,
};
use crate::{
    broker::Broker,
    cluster::LEADER_EPOCH,
    log::{Log, TimedOffset},
    security::{access::Resource, acl::Operation},
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

pub const HANDLER: Handler = Handler {
    key: ListOffsetsRequest::KEY,
    name: "ListOffsets",
    versions: 0..=10,
    shape: &shapes::LIST_OFFSETS,
    pipelined: false,
    call: |broker, call| match call.caller.version {
        0 => first_version(broker, call),
        _ => call.answer(move |request, caller| act(broker, request, caller)),
    },
    notes: "v0 for old clients, with one offset in its list; earliest, latest, by time, largest timestamp (v7), local earliest (v8: the same as earliest), latest in remote storage (v9: none); \
            read_committed: nothing from the last stable offset on",
};

fn first_version(broker: Arc<Broker>, call: Call) -> Pending {
    Box::pin(async move {
        let caller = call.caller;
        let reply = Reply { version: 0, correlation_id: caller.correlation_id };
        let request = handmade::list_offsets(call.body)?;
        write_first_version(act(broker, request, caller).await, reply).map(Step::answer)
    })
}

fn write_first_version(response: ListOffsetsResponse, reply: Reply) -> Result<Frame, Malformed> {
    let count = |count: usize| i32::try_from(count).map_err(|_| Malformed::Length);
    let mut body = BytesMut::new();
    body.put_i32(reply.correlation_id);
    body.put_i32(count(response.topics.len())?);
    for topic in response.topics {
        body.put_i16(i16::try_from(topic.name.len()).map_err(|_| Malformed::Length)?);
        body.put_slice(topic.name.as_bytes());
        body.put_i32(count(topic.partitions.len())?);
        for partition in topic.partitions {
            body.put_i32(partition.partition_index);
            body.put_i16(partition.error_code);
            let found = (partition.offset >= 0).then_some(partition.offset);
            body.put_i32(count(found.iter().len())?);
            found.into_iter().for_each(|offset| body.put_i64(offset));
        }
    }
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_i32(count(body.len())?);
    frame.put_slice(&body);
    Ok(Frame::of(frame))
}

async fn act(broker: Arc<Broker>, request: ListOffsetsRequest, caller: Caller) -> ListOffsetsResponse {
    let committed = request.isolation_level == READ_COMMITTED;
    let mut response = ListOffsetsResponse::default();
    for topic in request.topics {
        let allowed = broker.check(&caller, Operation::Describe, Resource::Topic(&topic.name));
        let mut answered = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
        for asked in topic.partitions {
            let index = asked.partition_index;
            let found = match allowed.and_then(|()| broker.topics.partition(&topic.name, index)) {
                Ok(log) => find(&broker, log, asked, committed).await,
                Err(error) => Err(error),
            };
            let partition = ListOffsetsPartitionResponse::default().with_partition_index(index);
            answered.partitions.push(match found {
                Ok(found) => partition
                    .with_offset(found.offset)
                    .with_timestamp(found.timestamp_ms)
                    .with_leader_epoch(if caller.version >= 4 { found.leader_epoch } else { -1 }),
                Err(error) => partition.with_error_code(error.code()).with_offset(-1).with_timestamp(-1),
            });
        }
        response.topics.push(answered);
    }
    response
}

async fn find(
    broker: &Arc<Broker>,
    log: Arc<Log>,
    asked: ListOffsetsPartition,
    committed: bool,
) -> Result<TimedOffset, ResponseError> {
    check_epoch(asked.current_leader_epoch)?;
    let plain = |offset| TimedOffset { offset, timestamp_ms: -1, leader_epoch: LEADER_EPOCH };
    let nowhere = TimedOffset { offset: -1, timestamp_ms: -1, leader_epoch: -1 };
    let end = if committed { log.last_stable_offset() } else { log.high_watermark() };
    match asked.timestamp {
        LATEST => Ok(plain(end)),
        EARLIEST | EARLIEST_LOCAL => Ok(plain(log.start_offset())),
        LATEST_TIERED => Ok(nowhere),
        time_ms if time_ms < MAX_TIMESTAMP => Err(ResponseError::UnsupportedForMessageFormat),
        time_ms => {
            let found = broker.blocking(move |_| match time_ms {
                MAX_TIMESTAMP => log.offset_of_max_timestamp(),
                time_ms => log.offset_for_time(time_ms),
            });
            let found = found.await.map_err(|error| error.answer())?;
            Ok(found.filter(|found| found.offset < end).unwrap_or(nowhere))
        }
    }
}

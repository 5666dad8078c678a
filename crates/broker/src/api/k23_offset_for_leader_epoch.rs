//! OffsetForLeaderEpoch (key 23), versions 2-4.
//! v3 replica id; v4 flexible. There has only ever been one epoch, so its end is the end of the log (KIP-320).

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        offset_for_leader_epoch_request::OffsetForLeaderPartition,
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
    protocol::Request,
};

use super::{Caller, Handler, k01_fetch::check_epoch, shapes};
use crate::{
    broker::Broker,
    cluster::LEADER_EPOCH,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: OffsetForLeaderEpochRequest::KEY,
    name: "OffsetForLeaderEpoch",
    versions: 2..=4,
    shape: &shapes::OFFSET_FOR_LEADER_EPOCH,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "the one epoch is 0",
};

fn act(
    broker: &Arc<Broker>,
    request: OffsetForLeaderEpochRequest,
    caller: &Caller,
) -> OffsetForLeaderEpochResponse {
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in request.topics {
        let mut answered = OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone());
        let allowed = broker.check(caller, Operation::Describe, Resource::Topic(&topic.topic));
        for partition in topic.partitions {
            let end = EpochEndOffset::default().with_partition(partition.partition);
            answered.partitions.push(match allowed.and_then(|()| find(broker, &topic.topic, &partition)) {
                Ok((epoch, offset)) => end.with_leader_epoch(epoch).with_end_offset(offset),
                Err(error) => end.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1),
            });
        }
        response.topics.push(answered);
    }
    response
}

fn find(broker: &Broker, topic: &str, asked: &OffsetForLeaderPartition) -> Result<(i32, i64), ResponseError> {
    let log = broker.topics.partition(topic, asked.partition)?;
    check_epoch(asked.current_leader_epoch)?;
    Ok(if asked.leader_epoch == LEADER_EPOCH { (LEADER_EPOCH, log.high_watermark()) } else { (-1, -1) })
}

//! ShareAcknowledge (key 79), versions 1-2 (KIP-932): takes what a member says of records it has, and may end its session.
//! v0 was Kafka 4.0's early access; v2 more time for records, and how much that is (KIP-1222). Answered when it is in the log.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{
        ShareAcknowledgeRequest, ShareAcknowledgeResponse,
        share_acknowledge_response::{PartitionData, ShareAcknowledgeTopicResponse},
    },
    protocol::{Encodable, Request},
};

use super::{
    Call, Caller, Frame, Handler, Reply, Step,
    handmade::{self, SHARE_KNOWN},
    k78_share_fetch::{Said, acknowledge, leave, may, said_of},
    shapes,
    shapes::Malformed,
};
use crate::{broker::Broker, shares::sessions::FINAL_EPOCH};

/// The throttle time, the error, and no message.
const HEAD_BYTES: usize = 4 + 2 + 1;

pub const HANDLER: Handler = Handler {
    key: ShareAcknowledgeRequest::KEY,
    name: "ShareAcknowledge",
    versions: 1..=2,
    shape: &shapes::SHARE_ACKNOWLEDGE,
    pipelined: false,
    call: |broker, Call { caller, body }| {
        Box::pin(async move {
            let (request, renews) = handmade::share_acknowledge(body, caller.version)?;
            let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
            let group = request.group_id.as_ref().map(|id| id.to_string()).unwrap_or_default();
            let lock_ms = broker.groups.manner(&group).limits.lock_ms;
            let response = act(broker, request, renews, caller).await;
            encode(reply, &response, i32::try_from(lock_ms).unwrap_or(i32::MAX)).map(Step::answer)
        })
    },
    notes: "",
};

async fn act(
    broker: Arc<Broker>,
    request: ShareAcknowledgeRequest,
    renews: bool,
    caller: Caller,
) -> ShareAcknowledgeResponse {
    let group = request.group_id.as_ref().map(|id| id.to_string()).unwrap_or_default();
    let member = request.member_id.as_deref().unwrap_or_default().to_owned();
    let epoch = request.share_session_epoch;
    let sessions = &broker.shares.sessions;
    let step = |()| match epoch {
        FINAL_EPOCH => sessions.end(&group, &member),
        epoch => sessions.acknowledge(&group, &member, epoch),
    };
    if let Err(error) = may(&broker, &caller, &group, &member).and_then(step) {
        return ShareAcknowledgeResponse::default().with_error_code(error.code()).with_error_message(None);
    }
    let mut said = Said::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let batches = partition.acknowledgement_batches.iter();
            let each =
                batches.map(|batch| (batch.first_offset, batch.last_offset, &*batch.acknowledge_types));
            said.insert((topic.topic_id, partition.partition_index), said_of(each, renews));
        }
    }
    let outcomes = acknowledge(&broker, &caller, (&group, &member), said).await;
    if epoch == FINAL_EPOCH {
        leave(&broker, &group, &member).await;
    }
    let mut response = ShareAcknowledgeResponse::default().with_error_message(None);
    for ((topic, number), outcome) in outcomes {
        let code = outcome.map_or_else(|error: ResponseError| error.code(), |()| 0);
        let data = PartitionData::default().with_partition_index(number).with_error_code(code);
        if response.responses.last().is_none_or(|last| last.topic_id != topic) {
            response.responses.push(ShareAcknowledgeTopicResponse::default().with_topic_id(topic));
        }
        if let Some(last) = response.responses.last_mut() {
            last.partitions.push(data.with_error_message(None));
        }
    }
    response
}

/// v2 has the time of a lock behind the error and its message, which is none; the codec does not know that.
fn encode(reply: Reply, response: &ShareAcknowledgeResponse, lock_ms: i32) -> Result<Frame, Malformed> {
    if reply.version <= SHARE_KNOWN {
        return reply.encode(response);
    }
    let mut body = BytesMut::new();
    response.encode(&mut body, SHARE_KNOWN).map_err(|_| Malformed::Codec)?;
    let (head, rest) = body.split_at_checked(HEAD_BYTES).ok_or(Malformed::Codec)?;
    let mut frame = BytesMut::with_capacity(13 + body.len());
    frame.put_u32(u32::try_from(9 + body.len()).map_err(|_| Malformed::Length)?);
    frame.put_i32(reply.correlation_id);
    frame.put_u8(0); // no tagged fields
    frame.put_slice(head);
    frame.put_i32(lock_ms);
    frame.put_slice(rest);
    Ok(Frame::of(frame))
}

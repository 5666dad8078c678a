//! DeleteRecords (key 21), versions 0-2.
//! v2 flexible. Moves the first offset of a partition; -1 means up to the high watermark.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteRecordsRequest, DeleteRecordsResponse,
        delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
    },
    protocol::Request,
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
    topics::is_internal,
};

pub const HANDLER: Handler = Handler {
    key: DeleteRecordsRequest::KEY,
    name: "DeleteRecords",
    versions: 0..=2,
    shape: &shapes::DELETE_RECORDS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "refused for topics that are compacted only",
};

async fn act(broker: Arc<Broker>, request: DeleteRecordsRequest, caller: Caller) -> DeleteRecordsResponse {
    let mut response = DeleteRecordsResponse::default();
    for topic in request.topics {
        let mut answered = DeleteRecordsTopicResult::default().with_name(topic.name.clone());
        let allowed = broker.check(&caller, Operation::Delete, Resource::Topic(&topic.name));
        for partition in topic.partitions {
            let deleted = match allowed {
                Ok(()) => delete(&broker, &topic.name, partition.partition_index, partition.offset).await,
                Err(error) => Err(error),
            };
            let result =
                DeleteRecordsPartitionResult::default().with_partition_index(partition.partition_index);
            answered.partitions.push(match deleted {
                Ok(low_watermark) => result.with_low_watermark(low_watermark),
                Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
            });
        }
        response.topics.push(answered);
    }
    response
}

async fn delete(broker: &Arc<Broker>, topic: &str, index: i32, offset: i64) -> Result<i64, ResponseError> {
    let log = broker.topics.partition(topic, index)?;
    if is_internal(topic) {
        return Err(ResponseError::InvalidTopicException);
    }
    if !log.options().cleanup.delete {
        return Err(ResponseError::PolicyViolation);
    }
    broker.blocking(move |_| log.truncate_prefix(offset)).await.map_err(|error| error.answer())
}

//! WriteTxnMarkers (key 27), version 1: ends what a producer has left open in a partition.
//! It is what a coordinator sends to the leaders of a cluster, which here is one node that writes its markers itself; and
//! what `kafka-transactions.sh abort` sends to end a transaction that no coordinator knows of (KIP-664).
//! Where nothing of the producer is open, nothing is written.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        WriteTxnMarkersRequest, WriteTxnMarkersResponse,
        write_txn_markers_request::WritableTxnMarker,
        write_txn_markers_response::{
            WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
        },
    },
    protocol::Request,
};
use wire::batch::control_batch;

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    cluster::LEADER_EPOCH,
    groups::journal::OFFSETS_TOPIC,
    log::{Ending, Writer},
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: WriteTxnMarkersRequest::KEY,
    name: "WriteTxnMarkers",
    versions: 1..=1,
    shape: &shapes::WRITE_TXN_MARKERS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "for `kafka-transactions.sh abort`: the node's own coordinator needs it not",
};

async fn act(
    broker: Arc<Broker>,
    request: WriteTxnMarkersRequest,
    caller: Caller,
) -> WriteTxnMarkersResponse {
    let may = |operation| broker.allows(&caller, operation, Resource::Cluster);
    let allowed = if may(Operation::Alter) || may(Operation::ClusterAction) {
        Ok(())
    } else {
        Err(ResponseError::ClusterAuthorizationFailed)
    };
    let mut response = WriteTxnMarkersResponse::default();
    for marker in request.markers {
        let mut answered = WritableTxnMarkerResult::default().with_producer_id(marker.producer_id);
        for topic in &marker.topics {
            let mut ended = WritableTxnMarkerTopicResult::default().with_name(topic.name.clone());
            for index in &topic.partition_indexes {
                let outcome = match allowed {
                    Ok(()) => end(&broker, &marker, &topic.name, *index).await,
                    Err(error) => Err(error),
                };
                ended.partitions.push(
                    WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(*index)
                        .with_error_code(outcome.map_or_else(|error| error.code(), |()| 0)),
                );
            }
            answered.topics.push(ended);
        }
        response.markers.push(answered);
    }
    response
}

async fn end(
    broker: &Arc<Broker>,
    marker: &WritableTxnMarker,
    topic: &str,
    index: i32,
) -> Result<(), ResponseError> {
    let log = broker.topics.partition(topic, index)?;
    let producer_id = marker.producer_id.0;
    let known = log.producers().into_iter().find(|producer| producer.producer_id == producer_id);
    let Some(known) = known.filter(|producer| producer.open_from >= 0) else { return Ok(()) };
    if known.epoch > marker.producer_epoch {
        return Err(ResponseError::InvalidProducerEpoch);
    }
    let batch = control_batch(
        producer_id,
        marker.producer_epoch,
        marker.transaction_result,
        marker.coordinator_epoch,
        broker.now_ms(),
    )
    .map_err(|_| ResponseError::UnknownServerError)?;
    log.append(batch, LEADER_EPOCH, Writer::Broker).await.map_err(|error| error.answer())?;
    if topic == OFFSETS_TOPIC {
        let ending = if marker.transaction_result { Ending::Commit } else { Ending::Abort };
        broker.groups.settle(index as usize, producer_id, ending);
    }
    Ok(())
}

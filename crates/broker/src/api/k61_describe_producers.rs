//! DescribeProducers (key 61), version 0 (KIP-664): who has written to a partition, and what of it is not decided.

use std::sync::Arc;

use kafka_protocol::{
    messages::{
        DescribeProducersRequest, DescribeProducersResponse, ProducerId,
        describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    log,
    security::{access::Resource, acl::Operation},
    transactions::COORDINATOR_EPOCH,
};

pub const HANDLER: Handler = Handler {
    key: DescribeProducersRequest::KEY,
    name: "DescribeProducers",
    versions: 0..=0,
    shape: &shapes::DESCRIBE_PRODUCERS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, request, &caller) }),
    notes: "",
};

fn act(
    broker: &Arc<Broker>,
    request: DescribeProducersRequest,
    caller: &Caller,
) -> DescribeProducersResponse {
    let mut response = DescribeProducersResponse::default();
    for topic in request.topics {
        let mut answered = TopicResponse::default().with_name(topic.name.clone());
        let allowed = broker.check(caller, Operation::Read, Resource::Topic(&topic.name));
        for index in topic.partition_indexes {
            let partition = PartitionResponse::default().with_partition_index(index);
            answered.partitions.push(
                match allowed.and_then(|()| broker.topics.partition(&topic.name, index)) {
                    Ok(log) => {
                        partition.with_active_producers(log.producers().into_iter().map(shown).collect())
                    }
                    Err(error) => partition
                        .with_error_code(error.code())
                        .with_error_message(Some(StrBytes::from_string(error.to_string()))),
                },
            );
        }
        response.topics.push(answered);
    }
    response
}

fn shown(producer: log::ProducerState) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp_ms)
        .with_coordinator_epoch(COORDINATOR_EPOCH)
        .with_current_txn_start_offset(producer.open_from)
}

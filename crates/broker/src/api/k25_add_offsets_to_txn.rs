//! AddOffsetsToTxn (key 25), versions 0-4.
//! v2 PRODUCER_FENCED; v3 flexible; v4 TRANSACTION_ABORTABLE (KIP-890). It adds the group's partition of
//! `__consumer_offsets` to the transaction. Clients of transactions of version 2 do not send it.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse},
    protocol::Request,
};

use super::{Caller, Handler, k22_init_producer_id::older, shapes};
use crate::{
    broker::Broker,
    groups::journal::{OFFSETS_TOPIC, partition_for},
    security::{access::Resource, acl::Operation},
    transactions::{
        Ask,
        transaction::{Partitions, Producer},
    },
};

pub const HANDLER: Handler = Handler {
    key: AddOffsetsToTxnRequest::KEY,
    name: "AddOffsetsToTxn",
    versions: 0..=4,
    shape: &shapes::ADD_OFFSETS_TO_TXN,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(
    broker: Arc<Broker>,
    request: AddOffsetsToTxnRequest,
    caller: Caller,
) -> AddOffsetsToTxnResponse {
    let added = add(&broker, &request, &caller).await.map_err(|error| older(error, caller.version, 2));
    AddOffsetsToTxnResponse::default().with_error_code(added.map_or_else(|error| error.code(), |()| 0))
}

async fn add(
    broker: &Arc<Broker>,
    request: &AddOffsetsToTxnRequest,
    caller: &Caller,
) -> Result<(), ResponseError> {
    let id = Resource::TransactionalId(&request.transactional_id);
    broker.check(caller, Operation::Write, id)?;
    broker.check(caller, Operation::Read, Resource::Group(&request.group_id))?;
    let claim = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let partitions = offsets(offsets_partition(broker, &request.group_id).await?);
    let ask = Ask::Add { claim, partitions, version: 0 };
    broker.transactions.ask(&request.transactional_id, ask).await.map(|_| ())
}

/// Where what a group commits is written.
pub async fn offsets_partition(broker: &Arc<Broker>, group_id: &str) -> Result<i32, ResponseError> {
    if group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let topic = broker.offsets_topic().await?;
    Ok(partition_for(group_id, topic.partitions.len()) as i32)
}

/// That partition as a transaction has it.
pub fn offsets(partition: i32) -> Partitions {
    Partitions::from([(Arc::from(OFFSETS_TOPIC), [partition].into())])
}

//! InitProducerId (key 22), versions 0-5.
//! v2 flexible; v3 a producer may come back with its id and epoch to get the next (KIP-360); v4 PRODUCER_FENCED; v5
//! TRANSACTION_ABORTABLE (KIP-890), which is never needed here. What an earlier producer of the transactional id left open
//! is aborted before the answer, and he is locked out.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId},
    protocol::Request,
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
    transactions::{Ask, transaction::Producer},
};

pub const HANDLER: Handler = Handler {
    key: InitProducerIdRequest::KEY,
    name: "InitProducerId",
    versions: 0..=5,
    shape: &shapes::INIT_PRODUCER_ID,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "transaction time-outs up to `transaction_timeout_ms_max` (15 min)",
};

async fn act(broker: Arc<Broker>, request: InitProducerIdRequest, caller: Caller) -> InitProducerIdResponse {
    match give(&broker, &request, &caller).await {
        Ok(Producer { id, epoch }) => {
            InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        }
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(older(error, caller.version, 4).code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

async fn give(
    broker: &Arc<Broker>,
    request: &InitProducerIdRequest,
    caller: &Caller,
) -> Result<Producer, ResponseError> {
    if let Some(id) = &request.transactional_id {
        broker.check(caller, Operation::Write, Resource::TransactionalId(id))?;
        let timeout_ms = request.transaction_timeout_ms;
        if timeout_ms <= 0 || timeout_ms > broker.options.transaction_timeout_ms_max {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let claim = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
        let claim = Some(claim).filter(|claim| claim.id >= 0);
        return broker.transactions.ask(id, Ask::Init { claim, timeout_ms }).await;
    }
    if !broker.allows_writing_somewhere(caller) {
        broker.check(caller, Operation::IdempotentWrite, Resource::Cluster)?;
    }
    // Without a transactional id Kafka gives a new id each time, whatever the producer had before.
    let next = broker.blocking(|broker| broker.producers.next()).await;
    next.map(|id| Producer { id, epoch: 0 }).map_err(|error| {
        tracing::error!(%error, "no producer id can be given");
        ResponseError::CoordinatorNotAvailable
    })
}

/// Before `since` a request's clients know PRODUCER_FENCED by its older name.
pub fn older(error: ResponseError, version: i16, since: i16) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if version < since => ResponseError::InvalidProducerEpoch,
        error => error,
    }
}

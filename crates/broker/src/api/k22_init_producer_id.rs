//! InitProducerId (key 22), versions 0-4.
//! v2 flexible; v3 an idempotent producer may come back with its id to get the next epoch (KIP-360); v4 new errors.
//! A transactional id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED: the one fatal error that every client shows
//! at once, instead of trying again for ever. Transactions are a later part.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId},
    protocol::Request,
};

use super::{Handler, shapes};
use crate::broker::Broker;

pub const HANDLER: Handler = Handler {
    key: InitProducerIdRequest::KEY,
    name: "InitProducerId",
    versions: 0..=4,
    shape: &shapes::INIT_PRODUCER_ID,
    pipelined: false,
    call: |broker, call| call.answer(move |request, _| act(broker, request)),
    notes: "idempotent producers; a transactional id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
};

async fn act(broker: Arc<Broker>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let given = give(&broker, &request).await;
    match given {
        Ok((id, epoch)) => {
            InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        }
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

async fn give(broker: &Arc<Broker>, request: &InitProducerIdRequest) -> Result<(i64, i16), ResponseError> {
    if let Some(id) = &request.transactional_id {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        tracing::warn!(transactional_id = %&***id, "a producer asks for transactions, which this broker does not have");
        return Err(ResponseError::TransactionalIdAuthorizationFailed);
    }
    // Without a transactional id Kafka gives a new id each time, whatever the producer had before.
    let next = broker.blocking(|broker| broker.producers.next()).await;
    next.map(|id| (id, 0)).map_err(|error| {
        tracing::error!(%error, "no producer id can be given");
        ResponseError::CoordinatorNotAvailable
    })
}

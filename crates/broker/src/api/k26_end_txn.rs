//! EndTxn (key 26), versions 0-5.
//! v2 PRODUCER_FENCED; v3 flexible; v4 TRANSACTION_ABORTABLE; v5 transactions of version 2 (KIP-890): the answer has the
//! epoch to go on with. Kafka answers when the decision is in its log; here the markers are written too, so that what is
//! committed can be read at once.

use std::sync::Arc;

use kafka_protocol::{
    messages::{EndTxnRequest, EndTxnResponse, ProducerId},
    protocol::Request,
};

use super::{Caller, Handler, k22_init_producer_id::older, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
    transactions::{Ask, transaction::Producer},
};

pub const HANDLER: Handler = Handler {
    key: EndTxnRequest::KEY,
    name: "EndTxn",
    versions: 0..=5,
    shape: &shapes::END_TXN,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "answered when the markers are written",
};

async fn act(broker: Arc<Broker>, request: EndTxnRequest, caller: Caller) -> EndTxnResponse {
    let version = caller.version;
    let claim = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let ask = Ask::End { claim, commit: request.committed, raises: version >= 5 };
    let response = EndTxnResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
    let id = Resource::TransactionalId(&request.transactional_id);
    if let Err(error) = broker.check(&caller, Operation::Write, id) {
        return response.with_error_code(error.code());
    }
    match broker.transactions.ask(&request.transactional_id, ask).await {
        Ok(Producer { id, epoch }) if version >= 5 => {
            response.with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        }
        Ok(_) => response,
        Err(error) => response.with_error_code(older(error, version, 2).code()),
    }
}

//! ExpireDelegationToken (key 40), versions 1-2 (KIP-48): a token ends at once, or at another time.
//! v2 flexible. Who has logged in by it stays until the time that it had then.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{ExpireDelegationTokenRequest, ExpireDelegationTokenResponse},
    protocol::Request,
};

use super::{
    Caller, Handler,
    k38_create_delegation_token::{ask, check_connection},
    shapes,
};
use crate::broker::Broker;

pub const HANDLER: Handler = Handler {
    key: ExpireDelegationTokenRequest::KEY,
    name: "ExpireDelegationToken",
    versions: 1..=2,
    shape: &shapes::EXPIRE_DELEGATION_TOKEN,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "its owner, who asked for it, and its renewers may; a connection that came by it stays as long as it was to hold",
};

async fn act(
    broker: Arc<Broker>,
    request: ExpireDelegationTokenRequest,
    caller: Caller,
) -> ExpireDelegationTokenResponse {
    let response = ExpireDelegationTokenResponse::default();
    match expire(&broker, request, &caller).await {
        Ok(expires_ms) => response.with_expiry_timestamp_ms(expires_ms),
        Err(error) => response.with_expiry_timestamp_ms(-1).with_error_code(error.code()),
    }
}

async fn expire(
    broker: &Arc<Broker>,
    request: ExpireDelegationTokenRequest,
    caller: &Caller,
) -> Result<i64, ResponseError> {
    check_connection(broker, caller)?;
    let principal = caller.peer.principal();
    ask(broker, move |delegation, now_ms| {
        delegation.expire(&request.hmac, &principal, request.expiry_time_period_ms, now_ms)
    })
    .await
}

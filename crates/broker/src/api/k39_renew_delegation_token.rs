//! RenewDelegationToken (key 39), versions 1-2 (KIP-48): a token holds longer, but not beyond its latest end.
//! v2 flexible.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{RenewDelegationTokenRequest, RenewDelegationTokenResponse},
    protocol::Request,
};

use super::{
    Caller, Handler,
    k38_create_delegation_token::{ask, check_connection},
    shapes,
};
use crate::broker::Broker;

pub const HANDLER: Handler = Handler {
    key: RenewDelegationTokenRequest::KEY,
    name: "RenewDelegationToken",
    versions: 1..=2,
    shape: &shapes::RENEW_DELEGATION_TOKEN,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "its owner, who asked for it, and its renewers may",
};

async fn act(
    broker: Arc<Broker>,
    request: RenewDelegationTokenRequest,
    caller: Caller,
) -> RenewDelegationTokenResponse {
    let response = RenewDelegationTokenResponse::default();
    match renew(&broker, request, &caller).await {
        Ok(expires_ms) => response.with_expiry_timestamp_ms(expires_ms),
        Err(error) => response.with_expiry_timestamp_ms(-1).with_error_code(error.code()),
    }
}

async fn renew(
    broker: &Arc<Broker>,
    request: RenewDelegationTokenRequest,
    caller: &Caller,
) -> Result<i64, ResponseError> {
    check_connection(broker, caller)?;
    let principal = caller.peer.principal();
    ask(broker, move |delegation, now_ms| {
        delegation.renew(&request.hmac, &principal, request.renew_period_ms, now_ms)
    })
    .await
}

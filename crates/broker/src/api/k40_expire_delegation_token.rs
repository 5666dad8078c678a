//! ExpireDelegationToken (key 40), versions 1-2 (KIP-48): a token ends at once, or at another time.
//! v2 flexible. Who has logged in by it stays until the time that it had then.

use std::sync::Arc;

use kafka_protocol::{
    messages::{ExpireDelegationTokenRequest, ExpireDelegationTokenResponse},
    protocol::Request,
};

use super::{Caller, Handler, k38_create_delegation_token::change_end, shapes};
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
    let changed = change_end(&broker, &caller, move |delegation, principal, now_ms| {
        delegation.expire(&request.hmac, principal, request.expiry_time_period_ms, now_ms)
    });
    let (expires_ms, error_code) = changed.await;
    ExpireDelegationTokenResponse::default().with_expiry_timestamp_ms(expires_ms).with_error_code(error_code)
}

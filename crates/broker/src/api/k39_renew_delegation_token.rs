//! RenewDelegationToken (key 39), versions 1-2 (KIP-48): a token holds longer, but not beyond its latest end.
//! v2 flexible.

use std::sync::Arc;

use kafka_protocol::{
    messages::{RenewDelegationTokenRequest, RenewDelegationTokenResponse},
    protocol::Request,
};

use super::{Caller, Handler, k38_create_delegation_token::change_end, shapes};
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
    let changed = change_end(&broker, &caller, move |delegation, principal, now_ms| {
        delegation.renew(&request.hmac, principal, request.renew_period_ms, now_ms)
    });
    let (expires_ms, error_code) = changed.await;
    RenewDelegationTokenResponse::default().with_expiry_timestamp_ms(expires_ms).with_error_code(error_code)
}

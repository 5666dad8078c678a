//! SaslHandshake (key 17), versions 0-1.
//! After v1 tokens come in SaslAuthenticate, after v0 as frames without headers. It begins to authenticate on a SASL listener,
//! and again where what was proven ends after a time (KIP-368). Anywhere else it is ILLEGAL_SASL_STATE.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{SaslHandshakeRequest, SaslHandshakeResponse},
    protocol::{Request, StrBytes},
};

use super::{Call, Handler, Reply, Step, shapes, shapes::Malformed};
use crate::{
    broker::Broker,
    security::{peer::Handshake, sasl::Mechanism},
};

pub const HANDLER: Handler = Handler {
    key: SaslHandshakeRequest::KEY,
    name: "SaslHandshake",
    versions: 0..=1,
    shape: &shapes::SASL_HANDSHAKE,
    pipelined: false,
    call: |broker, call| Box::pin(async move { act(&broker, call) }),
    notes: "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER; on SASL listeners",
};

fn act(broker: &Arc<Broker>, call: Call) -> Result<Step, Malformed> {
    let (request, caller) = call.decode::<SaslHandshakeRequest>()?;
    let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
    let begun = caller.peer.handshake(&broker.security, &request.mechanism, caller.version);
    let enabled = |mechanism: &Mechanism| StrBytes::from_static_str(mechanism.word());
    let enabled = broker.security.mechanisms.iter().map(enabled).collect();
    let (error, mechanisms, closes) = match begun {
        Handshake::Begun => (None, enabled, false),
        Handshake::Unsupported => (Some(ResponseError::UnsupportedSaslMechanism), enabled, true),
        Handshake::Illegal { closes } => (Some(ResponseError::IllegalSaslState), vec![], closes),
    };
    if let Some(error) = error {
        tracing::info!(peer = %caller.host, mechanism = %&*request.mechanism, %error, "not authenticated");
    }
    let response = SaslHandshakeResponse::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_mechanisms(mechanisms);
    let frame = reply.encode(&response)?;
    Ok(if closes { Step::Farewell(frame) } else { Step::answer(frame) })
}

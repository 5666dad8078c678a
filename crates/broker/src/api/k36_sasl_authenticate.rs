//! SaslAuthenticate (key 36), versions 0-2.
//! v1 how long what is proven holds (KIP-368); v2 flexible. Who fails is told after a moment, so that guessing takes its
//! time, and the connection is closed.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{SaslAuthenticateRequest, SaslAuthenticateResponse},
    protocol::{Request, StrBytes},
};

use super::{Chunk, Frame, Handler, Pending, Reply, Step, shapes, shapes::Malformed};
use crate::{
    broker::Broker,
    security::peer::{FAILURE_DELAY, Peer, Proof},
};

pub const HANDLER: Handler = Handler {
    key: SaslAuthenticateRequest::KEY,
    name: "SaslAuthenticate",
    versions: 0..=2,
    shape: &shapes::SASL_AUTHENTICATE,
    pipelined: false,
    call: |broker, call| {
        Box::pin(async move {
            let (request, caller) = call.decode::<SaslAuthenticateRequest>()?;
            let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
            act(&broker, &request.auth_bytes, &caller.peer, reply).await
        })
    },
    notes: "who fails is told after 100 ms, and the connection is closed",
};

async fn act(broker: &Arc<Broker>, token: &[u8], peer: &Arc<Peer>, reply: Reply) -> Result<Step, Malformed> {
    let response = SaslAuthenticateResponse::default();
    let refused = |error: ResponseError, message: String| {
        SaslAuthenticateResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)))
    };
    peer.prepare(&broker.security, token).await;
    match peer.prove(&broker.security, token, broker.now_ms()) {
        Proof::More(answer) => reply.encode(&response.with_auth_bytes(answer)).map(Step::answer),
        Proof::Proven { answer, lifetime_ms } => {
            tracing::debug!(peer = %peer.host, principal = %peer.principal(), "authenticated");
            let response = response.with_auth_bytes(answer);
            let lifetime_ms = if reply.version >= 1 { lifetime_ms } else { 0 };
            reply.encode(&response.with_session_lifetime_ms(lifetime_ms)).map(Step::answer)
        }
        Proof::Refused { message, reason } => {
            tracing::info!(peer = %peer.host, reason, "not authenticated");
            tokio::time::sleep(FAILURE_DELAY).await;
            let response = refused(ResponseError::SaslAuthenticationFailed, message);
            reply.encode(&response).map(Step::Farewell)
        }
        Proof::Illegal => {
            let message = "SaslAuthenticate request received after successful authentication".to_owned();
            reply.encode(&refused(ResponseError::IllegalSaslState, message)).map(Step::answer)
        }
    }
}

/// A token that is a frame of its own, as after SaslHandshake v0; so is the answer. Who fails is told nothing.
pub fn bare(broker: Arc<Broker>, token: Bytes, peer: Arc<Peer>) -> Pending {
    Box::pin(async move {
        peer.prepare(&broker.security, &token).await;
        match peer.prove(&broker.security, &token, broker.now_ms()) {
            Proof::More(answer) | Proof::Proven { answer, .. } => {
                let mut length = BytesMut::with_capacity(4);
                length.put_u32(answer.len() as u32);
                Ok(Step::answer(Frame {
                    chunks: vec![Chunk::Memory(length.freeze()), Chunk::Memory(answer)],
                    throttle_ms: 0,
                }))
            }
            Proof::Refused { reason, .. } => {
                tracing::info!(peer = %peer.host, reason, "not authenticated");
                tokio::time::sleep(FAILURE_DELAY).await;
                Err(Malformed::Unproven)
            }
            Proof::Illegal => Err(Malformed::Unproven),
        }
    })
}

//! FindCoordinator (key 10), versions 0-6.
//! v1 key type and error message; v3 flexible; v4 several keys at once (KIP-699); v5 and v6 new errors and share groups
//! (KIP-890, KIP-932), of which there are none here. Every coordinator is this node; `__consumer_offsets` and
//! `__transaction_state` are made when the first one is asked for, as Kafka does.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, find_coordinator_response::Coordinator,
    },
    protocol::{Request, StrBytes},
};

use super::{Handler, shapes};
use crate::{broker::Broker, cluster::NODE_ID};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub const HANDLER: Handler = Handler {
    key: FindCoordinatorRequest::KEY,
    name: "FindCoordinator",
    versions: 0..=6,
    shape: &shapes::FIND_COORDINATOR,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller.version)),
    notes: "groups and transactional ids",
};

async fn act(broker: Arc<Broker>, request: FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
    let outcome = find(&broker, request.key_type).await;
    let (code, message) = match outcome {
        Ok(()) => (0, None),
        Err(error) => (error.code(), Some(StrBytes::from_string(error.to_string()))),
    };
    let node = if code == 0 { NODE_ID } else { -1 };
    let host = if code == 0 { broker.host.clone() } else { StrBytes::default() };
    let port = if code == 0 { broker.port } else { -1 };
    let response = FindCoordinatorResponse::default();
    if version < 4 {
        let response =
            response.with_error_code(code).with_node_id(BrokerId(node)).with_host(host).with_port(port);
        return if version >= 1 { response.with_error_message(message) } else { response };
    }
    let each = |key: StrBytes| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(node))
            .with_host(host.clone())
            .with_port(port)
            .with_error_code(code)
            .with_error_message(message.clone())
    };
    response.with_coordinators(request.coordinator_keys.into_iter().map(each).collect())
}

async fn find(broker: &Arc<Broker>, key_type: i8) -> Result<(), ResponseError> {
    match key_type {
        GROUP => broker.offsets_topic().await.map(|_| ()),
        TRANSACTION => broker.transactions_topic().await.map(|_| ()),
        _ => Err(ResponseError::InvalidRequest),
    }
}

//! FindCoordinator (key 10), versions 0-6.
//! v1 key type and error message; v3 flexible; v4 several keys at once (KIP-699); v5 and v6 new errors and share groups
//! (KIP-890, KIP-932), whose coordinators only brokers ask for. Every coordinator is this node; `__consumer_offsets` and
//! `__transaction_state` are made when the first one is asked for, as Kafka does.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, find_coordinator_response::Coordinator,
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    cluster::NODE_ID,
    security::{access::Resource, acl::Operation},
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub const HANDLER: Handler = Handler {
    key: FindCoordinatorRequest::KEY,
    name: "FindCoordinator",
    versions: 0..=6,
    shape: &shapes::FIND_COORDINATOR,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "groups and transactional ids",
};

async fn act(
    broker: Arc<Broker>,
    request: FindCoordinatorRequest,
    caller: Caller,
) -> FindCoordinatorResponse {
    let response = FindCoordinatorResponse::default();
    let made = make(&broker, request.key_type).await;
    let find = |key: StrBytes| {
        let found = check(&broker, &caller, request.key_type, &key).and(made);
        let coordinator = Coordinator::default().with_key(key);
        match found {
            Ok(()) => coordinator
                .with_node_id(BrokerId(NODE_ID))
                .with_host(caller.peer.listener.host.clone())
                .with_port(caller.peer.listener.port)
                .with_error_message(None),
            Err(error) => coordinator
                .with_node_id(BrokerId(-1))
                .with_port(-1)
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(error.to_string()))),
        }
    };
    if caller.version >= 4 {
        return response.with_coordinators(request.coordinator_keys.into_iter().map(find).collect());
    }
    let found = find(request.key);
    let response = response
        .with_error_code(found.error_code)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    if caller.version >= 1 { response.with_error_message(found.error_message) } else { response }
}

fn check(broker: &Broker, caller: &Caller, key_type: i8, key: &str) -> Result<(), ResponseError> {
    let resource = match key_type {
        GROUP => Resource::Group(key),
        TRANSACTION => Resource::TransactionalId(key),
        _ => return Ok(()), // refused for what it is
    };
    broker.check(caller, Operation::Describe, resource)
}

/// The topic that the coordinator keeps its state in.
async fn make(broker: &Arc<Broker>, key_type: i8) -> Result<(), ResponseError> {
    match key_type {
        GROUP => broker.offsets_topic().await.map(|_| ()),
        TRANSACTION => broker.transactions_topic().await.map(|_| ()),
        _ => Err(ResponseError::InvalidRequest),
    }
}

//! SyncGroup (key 14), versions 0-5.
//! v3 static members (KIP-345); v4 flexible; v5 protocol type and name, checked (KIP-559). Members wait here until the
//! leader's assignments are stored.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::{
    messages::{SyncGroupRequest, SyncGroupResponse},
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    groups::group::Claim,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: SyncGroupRequest::KEY,
    name: "SyncGroup",
    versions: 0..=5,
    shape: &shapes::SYNC_GROUP,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(broker: Arc<Broker>, request: SyncGroupRequest, caller: Caller) -> SyncGroupResponse {
    if let Err(error) = broker.check(&caller, Operation::Read, Resource::Group(&request.group_id)) {
        return SyncGroupResponse::default().with_error_code(error.code());
    }
    let claim = Claim {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation_id: request.generation_id,
    };
    // Copies: what a group keeps must not hold on to the frame it came in.
    let assignments: Vec<(String, Bytes)> = request
        .assignments
        .iter()
        .map(|each| (each.member_id.to_string(), Bytes::copy_from_slice(&each.assignment)))
        .collect();
    let protocol = (request.protocol_type.as_deref(), request.protocol_name.as_deref());
    let synced = broker.groups.sync(&request.group_id, claim, protocol, &assignments).await;
    let response = SyncGroupResponse::default()
        .with_error_code(synced.error.map_or(0, |error| error.code()))
        .with_assignment(synced.assignment);
    if caller.version < 5 {
        return response;
    }
    response
        .with_protocol_type(synced.protocol_type.map(StrBytes::from_string))
        .with_protocol_name(synced.protocol.map(StrBytes::from_string))
}

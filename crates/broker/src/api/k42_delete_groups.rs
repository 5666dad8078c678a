//! DeleteGroups (key 42), versions 0-2.
//! v2 flexible. Only a group without members can be deleted; its committed offsets go with it.

use std::sync::Arc;

use kafka_protocol::{
    messages::{DeleteGroupsRequest, DeleteGroupsResponse, delete_groups_response::DeletableGroupResult},
    protocol::Request,
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: DeleteGroupsRequest::KEY,
    name: "DeleteGroups",
    versions: 0..=2,
    shape: &shapes::DELETE_GROUPS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "",
};

async fn act(broker: Arc<Broker>, request: DeleteGroupsRequest, caller: Caller) -> DeleteGroupsResponse {
    let mut response = DeleteGroupsResponse::default();
    for group_id in request.groups_names {
        let deleted = match broker.check(&caller, Operation::Delete, Resource::Group(&group_id)) {
            Ok(()) => broker.groups.delete(&group_id).await,
            Err(error) => Err(error),
        };
        let code = deleted.map_or_else(|error| error.code(), |()| 0);
        response.results.push(DeletableGroupResult::default().with_group_id(group_id).with_error_code(code));
    }
    response
}

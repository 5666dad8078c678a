//! ListGroups (key 16), versions 0-5.
//! v3 flexible; v4 states, asked and answered (KIP-518); v5 types, classic, consumer (KIP-848) and share (KIP-932).

use std::sync::Arc;

use kafka_protocol::{
    messages::{GroupId, ListGroupsRequest, ListGroupsResponse, list_groups_response::ListedGroup},
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{access::Resource, acl::Operation},
};

pub const HANDLER: Handler = Handler {
    key: ListGroupsRequest::KEY,
    name: "ListGroups",
    versions: 0..=5,
    shape: &shapes::LIST_GROUPS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "",
};

fn act(broker: &Arc<Broker>, request: &ListGroupsRequest, caller: &Caller) -> ListGroupsResponse {
    let wanted = |filter: &[StrBytes], word: &str| {
        filter.is_empty() || filter.iter().any(|text| text.eq_ignore_ascii_case(word))
    };
    let version = caller.version;
    let sees_all = broker.allows(caller, Operation::Describe, Resource::Cluster);
    let is_hidden = |id: &str| !sees_all && !broker.allows(caller, Operation::Describe, Resource::Group(id));
    let mut response = ListGroupsResponse::default();
    for group in broker.groups.all() {
        let group = group.lock();
        let (state, kind) = (group.word(), group.kind());
        if !wanted(&request.states_filter, state)
            || !wanted(&request.types_filter, kind)
            || is_hidden(&group.id)
        {
            continue;
        }
        let mut listed = ListedGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(group.id.to_string())))
            .with_protocol_type(StrBytes::from_string(group.speaks().to_owned()));
        if version >= 4 {
            listed.group_state = StrBytes::from_static_str(state);
        }
        if version >= 5 {
            listed.group_type = StrBytes::from_static_str(kind);
        }
        response.groups.push(listed);
    }
    response
}

//! CreateAcls (key 30), versions 1-3.
//! v1 kinds of patterns (KIP-290); v2 flexible; v3 the resource USER (KIP-373). One that is wrong does not keep the others
//! from being added; all that are added are on the disk before the answer.

use std::sync::Arc;

use kafka_protocol::{
    messages::{
        CreateAclsRequest, CreateAclsResponse, create_acls_request::AclCreation,
        create_acls_response::AclCreationResult,
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, k29_describe_acls::authorizer_for, shapes};
use crate::{
    broker::Broker,
    security::acl::{Acl, Numbers, Operation},
    topics::Refusal,
};

pub const HANDLER: Handler = Handler {
    key: CreateAclsRequest::KEY,
    name: "CreateAcls",
    versions: 1..=3,
    shape: &shapes::CREATE_ACLS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "SECURITY_DISABLED where no authorizer is configured",
};

async fn act(broker: Arc<Broker>, request: CreateAclsRequest, caller: Caller) -> CreateAclsResponse {
    let wanted: Vec<Result<Acl, Refusal>> = request.creations.iter().map(checked).collect();
    let good: Vec<Acl> = wanted.iter().filter_map(|acl| acl.as_ref().ok()).cloned().collect();
    let added =
        broker.blocking(move |broker| authorizer_for(broker, &caller, Operation::Alter)?.add(good)).await;
    let each = |acl: Result<Acl, Refusal>| match added.clone().and(acl) {
        Ok(_) => AclCreationResult::default(),
        Err(refusal) => AclCreationResult::default()
            .with_error_code(refusal.error.code())
            .with_error_message(Some(StrBytes::from_string(refusal.reason))),
    };
    CreateAclsResponse::default().with_results(wanted.into_iter().map(each).collect())
}

fn checked(wanted: &AclCreation) -> Result<Acl, Refusal> {
    Acl::checked(&Numbers {
        resource: wanted.resource_type,
        name: &wanted.resource_name,
        pattern: wanted.resource_pattern_type,
        principal: &wanted.principal,
        host: &wanted.host,
        operation: wanted.operation,
        permission: wanted.permission_type,
    })
}

//! DescribeAcls (key 29), versions 1-3.
//! v1 kinds of patterns (KIP-290); v2 flexible; v3 the resource USER (KIP-373).

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeAclsRequest, DescribeAclsResponse,
        describe_acls_response::{AclDescription, DescribeAclsResource},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, shapes};
use crate::{
    broker::Broker,
    security::{
        access::Resource,
        acl::{Acl, Filter, Operation},
        rules::Authorizer,
    },
    topics::Refusal,
};

pub const HANDLER: Handler = Handler {
    key: DescribeAclsRequest::KEY,
    name: "DescribeAcls",
    versions: 1..=3,
    shape: &shapes::DESCRIBE_ACLS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| async move { act(&broker, &request, &caller) }),
    notes: "SECURITY_DISABLED where no authorizer is configured",
};

fn act(broker: &Arc<Broker>, request: &DescribeAclsRequest, caller: &Caller) -> DescribeAclsResponse {
    match find(broker, request, caller) {
        Ok(acls) => DescribeAclsResponse::default().with_resources(by_resource(acls)),
        Err(refusal) => DescribeAclsResponse::default()
            .with_error_code(refusal.error.code())
            .with_error_message(Some(StrBytes::from_string(refusal.reason))),
    }
}

fn find(broker: &Broker, request: &DescribeAclsRequest, caller: &Caller) -> Result<Vec<Acl>, Refusal> {
    let authorizer = authorizer_for(broker, caller, Operation::Describe)?;
    let filter = Filter {
        resource: request.resource_type_filter,
        name: request.resource_name_filter.as_deref(),
        pattern: request.pattern_type_filter,
        principal: request.principal_filter.as_deref(),
        host: request.host_filter.as_deref(),
        operation: request.operation,
        permission: request.permission_type,
    };
    filter.check()?;
    Ok(authorizer.list(&filter))
}

/// The authorizer, if there is one and the caller may do this to the cluster.
pub fn authorizer_for<'a>(
    broker: &'a Broker,
    caller: &Caller,
    operation: Operation,
) -> Result<&'a Authorizer, Refusal> {
    let disabled = || Refusal::new(ResponseError::SecurityDisabled, "No Authorizer is configured.");
    let authorizer = broker.security.authorizer.as_ref().ok_or_else(disabled)?;
    broker.check(caller, operation, Resource::Cluster).map_err(denied)?;
    Ok(authorizer)
}

/// What Kafka says of who may not.
pub fn denied(error: ResponseError) -> Refusal {
    Refusal::new(error, error.to_string())
}

/// They come in order, so those about one resource stand together.
fn by_resource(acls: Vec<Acl>) -> Vec<DescribeAclsResource> {
    let text = StrBytes::from_string;
    let is_same = |one: &Acl, other: &Acl| {
        (one.resource, one.pattern, &one.name) == (other.resource, other.pattern, &other.name)
    };
    let each = |acl: &Acl| {
        AclDescription::default()
            .with_principal(text(acl.principal.clone()))
            .with_host(text(acl.host.clone()))
            .with_operation(acl.operation.number())
            .with_permission_type(acl.permission.number())
    };
    let about = |acls: &[Acl]| {
        DescribeAclsResource::default()
            .with_resource_type(acls[0].resource.number())
            .with_resource_name(text(acls[0].name.clone()))
            .with_pattern_type(acls[0].pattern.number())
            .with_acls(acls.iter().map(each).collect())
    };
    acls.chunk_by(is_same).map(about).collect()
}

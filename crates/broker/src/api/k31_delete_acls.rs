//! DeleteAcls (key 31), versions 1-3.
//! v1 kinds of patterns (KIP-290); v2 flexible; v3 the resource USER (KIP-373). The answer names what each filter meant; it is
//! gone from the disk before.

use std::sync::Arc;

use kafka_protocol::{
    messages::{
        DeleteAclsRequest, DeleteAclsResponse,
        delete_acls_request::DeleteAclsFilter,
        delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl},
    },
    protocol::{Request, StrBytes},
};

use super::{Caller, Handler, k29_describe_acls::authorizer_for, shapes};
use crate::{
    broker::Broker,
    security::acl::{Acl, Filter, Operation},
    topics::Refusal,
};

pub const HANDLER: Handler = Handler {
    key: DeleteAclsRequest::KEY,
    name: "DeleteAcls",
    versions: 1..=3,
    shape: &shapes::DELETE_ACLS,
    pipelined: false,
    call: |broker, call| call.answer(move |request, caller| act(broker, request, caller)),
    notes: "SECURITY_DISABLED where no authorizer is configured",
};

/// For each filter what it removed, or why it is refused.
type Removed = Vec<Result<Vec<Acl>, Refusal>>;

async fn act(broker: Arc<Broker>, request: DeleteAclsRequest, caller: Caller) -> DeleteAclsResponse {
    let count = request.filters.len();
    let removed = broker.blocking(move |broker| remove(broker, &request.filters, &caller)).await;
    let removed = removed.unwrap_or_else(|refusal| vec![Err(refusal); count]);
    DeleteAclsResponse::default().with_filter_results(removed.into_iter().map(answered).collect())
}

fn remove(broker: &Broker, filters: &[DeleteAclsFilter], caller: &Caller) -> Result<Removed, Refusal> {
    let authorizer = authorizer_for(broker, caller, Operation::Alter)?;
    let filters: Vec<Filter<'_>> = filters.iter().map(filter).collect();
    let verdicts: Vec<Result<(), Refusal>> = filters.iter().map(Filter::check).collect();
    let good: Vec<Filter<'_>> = filters
        .into_iter()
        .zip(&verdicts)
        .filter_map(|(filter, verdict)| verdict.is_ok().then_some(filter))
        .collect();
    let mut removed = authorizer.remove(&good)?.into_iter();
    Ok(verdicts.into_iter().map(|verdict| verdict.map(|()| removed.next().unwrap_or_default())).collect())
}

fn filter(wanted: &DeleteAclsFilter) -> Filter<'_> {
    Filter {
        resource: wanted.resource_type_filter,
        name: wanted.resource_name_filter.as_deref(),
        pattern: wanted.pattern_type_filter,
        principal: wanted.principal_filter.as_deref(),
        host: wanted.host_filter.as_deref(),
        operation: wanted.operation,
        permission: wanted.permission_type,
    }
}

fn answered(removed: Result<Vec<Acl>, Refusal>) -> DeleteAclsFilterResult {
    let text = StrBytes::from_string;
    let each = |acl: Acl| {
        DeleteAclsMatchingAcl::default()
            .with_resource_type(acl.resource.number())
            .with_resource_name(text(acl.name))
            .with_pattern_type(acl.pattern.number())
            .with_principal(text(acl.principal))
            .with_host(text(acl.host))
            .with_operation(acl.operation.number())
            .with_permission_type(acl.permission.number())
    };
    match removed {
        Ok(acls) => {
            DeleteAclsFilterResult::default().with_matching_acls(acls.into_iter().map(each).collect())
        }
        Err(refusal) => DeleteAclsFilterResult::default()
            .with_error_code(refusal.error.code())
            .with_error_message(Some(text(refusal.reason))),
    }
}

//! Asking whether a caller may do something. Without an authorizer the answer is yes, at the cost of looking whether there is
//! one.

use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::{
    acl::{CLUSTER_NAME, Operation, ResourceType},
    rules::{Act, Authorizer},
};
use crate::{api::Caller, broker::Broker, groups::consumer::layout::Sight};

/// The keys whose files ask before they act, or need not ask. A test holds all keys against it: who adds one says here that
/// he has thought of it.
#[cfg(test)]
pub const GUARDED: &[i16] = &[
    0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 61, 65, 66, 68, 69,
    74, 75, 76, 77, 78, 79, 88, 89, 90, 91, 92,
];

/// What something is done to.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    Topic(&'a str),
    Group(&'a str),
    TransactionalId(&'a str),
    Cluster,
    /// By its id.
    DelegationToken(&'a str),
    /// As `User:alice`.
    User(&'a str),
}

impl<'a> Resource<'a> {
    fn named(self) -> (ResourceType, &'a str) {
        match self {
            Resource::Topic(name) => (ResourceType::Topic, name),
            Resource::Group(id) => (ResourceType::Group, id),
            Resource::TransactionalId(id) => (ResourceType::TransactionalId, id),
            Resource::Cluster => (ResourceType::Cluster, CLUSTER_NAME),
            Resource::DelegationToken(id) => (ResourceType::DelegationToken, id),
            Resource::User(principal) => (ResourceType::User, principal),
        }
    }

    fn refusal(self) -> ResponseError {
        match self {
            Resource::Topic(_) => ResponseError::TopicAuthorizationFailed,
            Resource::Group(_) => ResponseError::GroupAuthorizationFailed,
            Resource::TransactionalId(_) => ResponseError::TransactionalIdAuthorizationFailed,
            Resource::Cluster => ResponseError::ClusterAuthorizationFailed,
            Resource::DelegationToken(_) | Resource::User(_) => {
                ResponseError::DelegationTokenAuthorizationFailed
            }
        }
    }

    /// What can be done to it at all.
    fn operations(self) -> &'static [Operation] {
        use Operation::{
            Alter, AlterConfigs, ClusterAction, Create, CreateTokens, Delete, Describe, DescribeConfigs,
            DescribeTokens, IdempotentWrite, Read, TwoPhaseCommit, Write,
        };
        match self {
            Resource::Topic(_) => {
                &[Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs]
            }
            Resource::Group(_) => &[Read, Delete, Describe, DescribeConfigs, AlterConfigs],
            Resource::TransactionalId(_) => &[Write, Describe, TwoPhaseCommit],
            Resource::Cluster => {
                &[Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite]
            }
            Resource::DelegationToken(_) => &[Describe],
            Resource::User(_) => &[CreateTokens, DescribeTokens],
        }
    }
}

impl Broker {
    fn authorizer(&self) -> Option<&Authorizer> {
        self.security.authorizer.as_ref()
    }

    /// Whether anybody is refused anything.
    pub fn has_authorizer(&self) -> bool {
        self.authorizer().is_some()
    }

    pub fn allows(&self, caller: &Caller, operation: Operation, resource: Resource<'_>) -> bool {
        let Some(authorizer) = self.authorizer() else { return true };
        let (kind, name) = resource.named();
        let allowed = asked(caller, operation, |act| authorizer.allows(act, kind, name));
        if !allowed {
            tracing::debug!(principal = %caller.peer.principal(), ?operation, ?resource, "denied");
        }
        allowed
    }

    /// As `allows`, with Kafka's error for what it is refused to.
    pub fn check(
        &self,
        caller: &Caller,
        operation: Operation,
        resource: Resource<'_>,
    ) -> Result<(), ResponseError> {
        if self.allows(caller, operation, resource) { Ok(()) } else { Err(resource.refusal()) }
    }

    /// The topics that the caller may describe, for what asks about them later and knows no callers.
    pub fn sight(self: &Arc<Self>, caller: &Caller) -> Sight {
        if !self.has_authorizer() {
            return Sight::default();
        }
        let (broker, caller) = (self.clone(), caller.clone());
        Sight::of(move |topic| broker.allows(&caller, Operation::Describe, Resource::Topic(topic)))
    }

    /// Whether the caller may write to the one topic or another: who may can also write idempotently.
    pub fn allows_writing_somewhere(&self, caller: &Caller) -> bool {
        let Some(authorizer) = self.authorizer() else { return true };
        asked(caller, Operation::Write, |act| authorizer.allows_any(act, ResourceType::Topic))
    }

    /// Whether he may create this topic: by an ACL for the cluster, or one for its name.
    pub fn allows_creating(&self, caller: &Caller, topic: &str) -> bool {
        !self.has_authorizer()
            || self.allows(caller, Operation::Create, Resource::Cluster)
            || self.allows(caller, Operation::Create, Resource::Topic(topic))
    }

    /// What the caller may do, as the bits of Kafka's `authorized_operations`; where nobody asks for them, that they are
    /// not told.
    pub fn operations(&self, caller: &Caller, wanted: bool, resource: Resource<'_>) -> i32 {
        if !wanted {
            return i32::MIN;
        }
        let allowed =
            resource.operations().iter().filter(|operation| self.allows(caller, **operation, resource));
        allowed.fold(0, |bits, operation| bits | 1 << operation.number())
    }
}

fn asked(caller: &Caller, operation: Operation, ask: impl FnOnce(Act<'_>) -> bool) -> bool {
    let (principal, host) = (caller.peer.principal(), caller.host.to_string());
    ask(Act { principal: &principal, host: &host, operation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HANDLERS;

    #[test]
    fn every_key_asks_or_need_not() {
        let open: Vec<&str> = HANDLERS
            .iter()
            .filter(|handler| !GUARDED.contains(&handler.key))
            .map(|handler| handler.name)
            .collect();
        assert!(open.is_empty(), "these ask nobody whether the caller may: {open:?}");
    }
}

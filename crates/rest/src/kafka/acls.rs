//! Access control lists: searched, made and deleted. Words are Confluent's, numbers Kafka's.

use kafka_protocol::messages::{
    CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, create_acls_request::AclCreation,
    delete_acls_request::DeleteAclsFilter,
};

use super::{Kafka, Whom, text, topics::outcome};
use crate::Error;

/// A word for each of Kafka's numbers, by its number.
type Words = &'static [&'static str];

pub(crate) const RESOURCE_TYPES: Words =
    &["UNKNOWN", "ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER"];
pub(crate) const PATTERN_TYPES: Words = &["UNKNOWN", "ANY", "MATCH", "LITERAL", "PREFIXED"];
pub(crate) const OPERATIONS: Words = &[
    "UNKNOWN",
    "ANY",
    "ALL",
    "READ",
    "WRITE",
    "CREATE",
    "DELETE",
    "ALTER",
    "DESCRIBE",
    "CLUSTER_ACTION",
    "DESCRIBE_CONFIGS",
    "ALTER_CONFIGS",
    "IDEMPOTENT_WRITE",
    "CREATE_TOKENS",
    "DESCRIBE_TOKENS",
    "TWO_PHASE_COMMIT",
];
pub(crate) const PERMISSIONS: Words = &["UNKNOWN", "ANY", "DENY", "ALLOW"];

/// The number of a word, in whatever case it is written.
pub(crate) fn number(words: Words, word: &str) -> Option<i8> {
    let at = words.iter().position(|known| known.eq_ignore_ascii_case(word))?;
    i8::try_from(at).ok()
}

pub(crate) fn word(words: Words, number: i8) -> &'static str {
    usize::try_from(number).ok().and_then(|at| words.get(at)).copied().unwrap_or("UNKNOWN")
}

/// One entry; in the order in which lists are sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acl {
    pub resource_type: i8,
    pub resource_name: String,
    pub pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission: i8,
}

/// What entries have to match; numbers may be ANY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub resource_type: i8,
    pub resource_name: Option<String>,
    pub pattern_type: i8,
    pub principal: Option<String>,
    pub host: Option<String>,
    pub operation: i8,
    pub permission: i8,
}

impl Kafka {
    pub async fn acls(&self, filter: &Filter) -> Result<Vec<Acl>, Error> {
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(filter.resource_type)
            .with_resource_name_filter(filter.resource_name.as_deref().map(text))
            .with_pattern_type_filter(filter.pattern_type)
            .with_principal_filter(filter.principal.as_deref().map(text))
            .with_host_filter(filter.host.as_deref().map(text))
            .with_operation(filter.operation)
            .with_permission_type(filter.permission);
        let answer = self.ask(Whom::Any, 1..=3, &request).await?;
        outcome(Some((answer.error_code, answer.error_message.as_deref())))?;
        let mut found = Vec::new();
        for resource in answer.resources {
            for acl in resource.acls {
                found.push(Acl {
                    resource_type: resource.resource_type,
                    resource_name: resource.resource_name.to_string(),
                    pattern_type: resource.pattern_type,
                    principal: acl.principal.to_string(),
                    host: acl.host.to_string(),
                    operation: acl.operation,
                    permission: acl.permission_type,
                });
            }
        }
        found.sort();
        Ok(found)
    }

    pub async fn create_acls(&self, acls: &[Acl]) -> Result<(), Error> {
        let creations = acls.iter().map(|acl| {
            AclCreation::default()
                .with_resource_type(acl.resource_type)
                .with_resource_name(text(&acl.resource_name))
                .with_resource_pattern_type(acl.pattern_type)
                .with_principal(text(&acl.principal))
                .with_host(text(&acl.host))
                .with_operation(acl.operation)
                .with_permission_type(acl.permission)
        });
        let request = CreateAclsRequest::default().with_creations(creations.collect());
        let answer = self.ask(Whom::Any, 1..=3, &request).await?;
        answer
            .results
            .iter()
            .try_for_each(|made| outcome(Some((made.error_code, made.error_message.as_deref()))))
    }

    /// Deletes what matches, and says what that was.
    pub async fn delete_acls(&self, filter: &Filter) -> Result<Vec<Acl>, Error> {
        let asked = DeleteAclsFilter::default()
            .with_resource_type_filter(filter.resource_type)
            .with_resource_name_filter(filter.resource_name.as_deref().map(text))
            .with_pattern_type_filter(filter.pattern_type)
            .with_principal_filter(filter.principal.as_deref().map(text))
            .with_host_filter(filter.host.as_deref().map(text))
            .with_operation(filter.operation)
            .with_permission_type(filter.permission);
        let request = DeleteAclsRequest::default().with_filters(vec![asked]);
        let answer = self.ask(Whom::Any, 1..=3, &request).await?;
        let mut deleted = Vec::new();
        for result in answer.filter_results {
            outcome(Some((result.error_code, result.error_message.as_deref())))?;
            for acl in result.matching_acls {
                outcome(Some((acl.error_code, acl.error_message.as_deref())))?;
                deleted.push(Acl {
                    resource_type: acl.resource_type,
                    resource_name: acl.resource_name.to_string(),
                    pattern_type: acl.pattern_type,
                    principal: acl.principal.to_string(),
                    host: acl.host.to_string(),
                    operation: acl.operation,
                    permission: acl.permission_type,
                });
            }
        }
        deleted.sort();
        Ok(deleted)
    }
}

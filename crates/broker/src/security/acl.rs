//! Kafka's access control lists: what one says, and which of them a filter means. Numbers and words are Kafka's.

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::topics::Refusal;

/// Of ACLs about every name, every principal and every host.
pub const WILDCARD: &str = "*";
pub const ANY_PRINCIPAL: &str = "User:*";
/// The one name that the resource CLUSTER has.
pub const CLUSTER_NAME: &str = "kafka-cluster";
/// In filters: all of them; for the kind of pattern also: those that apply to a name.
const ANY: i8 = 1;
const MATCH: i8 = 2;

macro_rules! words {
    ($(#[$doc:meta])* $kind:ident { $($name:ident = $number:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $kind {
            $(#[serde(rename = $word)] $name,)*
        }

        impl $kind {
            pub const ALL: &[$kind] = &[$($kind::$name,)*];

            /// As requests write it.
            pub fn number(self) -> i8 {
                match self { $($kind::$name => $number,)* }
            }

            pub fn numbered(number: i8) -> Option<$kind> {
                $kind::ALL.iter().copied().find(|each| each.number() == number)
            }
        }
    };
}

words! {
    ResourceType {
        Topic = 2 "TOPIC",
        Group = 3 "GROUP",
        Cluster = 4 "CLUSTER",
        TransactionalId = 5 "TRANSACTIONAL_ID",
        DelegationToken = 6 "DELEGATION_TOKEN",
        User = 7 "USER",
    }
}

words! {
    Pattern {
        Literal = 3 "LITERAL",
        Prefixed = 4 "PREFIXED",
    }
}

words! {
    Operation {
        All = 2 "ALL",
        Read = 3 "READ",
        Write = 4 "WRITE",
        Create = 5 "CREATE",
        Delete = 6 "DELETE",
        Alter = 7 "ALTER",
        Describe = 8 "DESCRIBE",
        ClusterAction = 9 "CLUSTER_ACTION",
        DescribeConfigs = 10 "DESCRIBE_CONFIGS",
        AlterConfigs = 11 "ALTER_CONFIGS",
        IdempotentWrite = 12 "IDEMPOTENT_WRITE",
        CreateTokens = 13 "CREATE_TOKENS",
        DescribeTokens = 14 "DESCRIBE_TOKENS",
        TwoPhaseCommit = 15 "TWO_PHASE_COMMIT",
    }
}

words! {
    Permission {
        Deny = 2 "DENY",
        Allow = 3 "ALLOW",
    }
}

impl Operation {
    /// Whether who may do this may do `wanted`: who reads, writes, deletes or alters may also look.
    pub fn implies(self, wanted: Operation) -> bool {
        use Operation::{All, Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
        match wanted {
            _ if self == wanted || self == All => true,
            Describe => matches!(self, Read | Write | Delete | Alter),
            DescribeConfigs => self == AlterConfigs,
            _ => false,
        }
    }
}

/// One entry, in the order in which lists show them. The file has it in this form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Acl {
    pub resource: ResourceType,
    pub name: String,
    pub pattern: Pattern,
    pub principal: String,
    pub host: String,
    pub operation: Operation,
    pub permission: Permission,
}

/// The fields of an ACL as requests have them.
pub struct Numbers<'a> {
    pub resource: i8,
    pub name: &'a str,
    pub pattern: i8,
    pub principal: &'a str,
    pub host: &'a str,
    pub operation: i8,
    pub permission: i8,
}

impl Acl {
    /// What a client wants added; Kafka's reasons where it cannot be.
    pub fn checked(numbers: &Numbers<'_>) -> Result<Acl, Refusal> {
        let refuse = |reason: String| Refusal::new(ResponseError::InvalidRequest, reason);
        let resource = ResourceType::numbered(numbers.resource)
            .ok_or_else(|| refuse(format!("Invalid resourceType {}", numbers.resource)))?;
        let pattern = Pattern::numbered(numbers.pattern)
            .ok_or_else(|| refuse(format!("Invalid patternType {}", numbers.pattern)))?;
        let operation = Operation::numbered(numbers.operation)
            .ok_or_else(|| refuse(format!("Invalid operation {}", numbers.operation)))?;
        let permission = Permission::numbered(numbers.permission)
            .ok_or_else(|| refuse(format!("Invalid permissionType {}", numbers.permission)))?;
        if numbers.name.is_empty() {
            return Err(refuse("Resource name should not be empty".to_owned()));
        }
        if resource == ResourceType::Cluster && numbers.name != CLUSTER_NAME {
            return Err(refuse(format!("The only valid name for the CLUSTER resource is {CLUSTER_NAME}")));
        }
        if !numbers.principal.contains(':') {
            let reason = format!(
                "Could not parse principal from `{}` (no colon is present separating the principal type from the principal name)",
                numbers.principal
            );
            return Err(refuse(reason));
        }
        Ok(Acl {
            resource,
            name: numbers.name.to_owned(),
            pattern,
            principal: numbers.principal.to_owned(),
            host: numbers.host.to_owned(),
            operation,
            permission,
        })
    }
}

/// Which ACLs are meant; `None` and ANY mean all.
pub struct Filter<'a> {
    pub resource: i8,
    pub name: Option<&'a str>,
    pub pattern: i8,
    pub principal: Option<&'a str>,
    pub host: Option<&'a str>,
    pub operation: i8,
    pub permission: i8,
}

impl Filter<'_> {
    /// Numbers that stand for nothing are refused, before anything is deleted by mistake.
    pub fn check(&self) -> Result<(), Refusal> {
        let known = [
            self.resource == ANY || ResourceType::numbered(self.resource).is_some(),
            self.pattern == ANY || self.pattern == MATCH || Pattern::numbered(self.pattern).is_some(),
            self.operation == ANY || Operation::numbered(self.operation).is_some(),
            self.permission == ANY || Permission::numbered(self.permission).is_some(),
        ];
        if known.iter().all(|known| *known) {
            return Ok(());
        }
        Err(Refusal::new(ResponseError::InvalidRequest, "The filter contains UNKNOWN elements."))
    }

    pub fn means(&self, acl: &Acl) -> bool {
        let is = |wanted: i8, number: i8| wanted == ANY || wanted == number;
        let is_text = |wanted: Option<&str>, text: &str| wanted.is_none_or(|wanted| wanted == text);
        is(self.resource, acl.resource.number())
            && self.means_name(acl)
            && is_text(self.principal, &acl.principal)
            && is_text(self.host, &acl.host)
            && is(self.operation, acl.operation.number())
            && is(self.permission, acl.permission.number())
    }

    fn means_name(&self, acl: &Acl) -> bool {
        let is_exact = self.pattern == ANY || self.pattern == acl.pattern.number();
        match self.name {
            None => is_exact || self.pattern == MATCH,
            Some(name) if is_exact => name == acl.name,
            Some(name) if self.pattern == MATCH => match acl.pattern {
                Pattern::Literal => name == acl.name || acl.name == WILDCARD,
                Pattern::Prefixed => name.starts_with(&acl.name),
            },
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(name: &str, pattern: Pattern) -> Acl {
        Acl {
            resource: ResourceType::Topic,
            name: name.to_owned(),
            pattern,
            principal: "User:alice".to_owned(),
            host: WILDCARD.to_owned(),
            operation: Operation::Read,
            permission: Permission::Allow,
        }
    }

    #[test]
    fn filters_mean_what_kafkas_do() {
        let all = [
            acl("flights", Pattern::Literal),
            acl("*", Pattern::Literal),
            acl("fl", Pattern::Prefixed),
            acl("other", Pattern::Literal),
        ];
        let check = |pattern: i8, name: Option<&str>, expected: &[&str]| {
            let filter = Filter {
                resource: 2,
                name,
                pattern,
                principal: None,
                host: None,
                operation: ANY,
                permission: ANY,
            };
            let meant: Vec<&str> =
                all.iter().filter(|acl| filter.means(acl)).map(|acl| acl.name.as_str()).collect();
            assert_eq!(meant, expected);
        };
        check(ANY, None, &["flights", "*", "fl", "other"]);
        check(MATCH, None, &["flights", "*", "fl", "other"]);
        check(MATCH, Some("flights"), &["flights", "*", "fl"]);
        check(ANY, Some("fl"), &["fl"]);
        check(3, Some("*"), &["*"]);
        check(4, None, &["fl"]);
        check(4, Some("flights"), &[]);
    }

    #[test]
    fn what_is_implied() {
        let implied = |wanted: Operation| {
            let by = Operation::ALL.iter().filter(|each| each.implies(wanted));
            by.map(|each| format!("{each:?}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(implied(Operation::Describe), "All Read Write Delete Alter Describe");
        assert_eq!(implied(Operation::DescribeConfigs), "All DescribeConfigs AlterConfigs");
        assert_eq!(implied(Operation::Read), "All Read");
    }

    #[test]
    fn an_acl_that_cannot_be_is_refused_in_kafkas_words() {
        let good = || Numbers {
            resource: 4,
            name: CLUSTER_NAME,
            pattern: 3,
            principal: "User:alice",
            host: "*",
            operation: 3,
            permission: 3,
        };
        let reason = |numbers: Numbers<'_>| Acl::checked(&numbers).unwrap_err().reason;
        assert!(Acl::checked(&good()).is_ok());
        assert_eq!(reason(Numbers { resource: ANY, ..good() }), "Invalid resourceType 1");
        assert_eq!(reason(Numbers { pattern: MATCH, ..good() }), "Invalid patternType 2");
        assert_eq!(reason(Numbers { operation: ANY, ..good() }), "Invalid operation 1");
        assert_eq!(reason(Numbers { name: "", ..good() }), "Resource name should not be empty");
        assert_eq!(
            reason(Numbers { name: "x", ..good() }),
            "The only valid name for the CLUSTER resource is kafka-cluster"
        );
        assert!(
            reason(Numbers { principal: "alice", ..good() })
                .starts_with("Could not parse principal from `alice`")
        );
    }
}

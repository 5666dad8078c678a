//! What the ACLs allow, by the rules of Kafka's StandardAuthorizer: super users may everything; an ACL that denies wins; what
//! no ACL allows is denied, unless there is none about the resource and the settings say that it is everybody's then.
//!
//! They are kept in `acls.json`. Readers share one set of rules that never changes; a change puts another in its place.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::{
    acl::{ANY_PRINCIPAL, Acl, Filter, Operation, Pattern, Permission, ResourceType, WILDCARD},
    kept::Kept,
    options::AuthorizerOptions,
};
use crate::{errors::Error, topics::Refusal};

const FILE_NAME: &str = "acls.json";
const VERSION: u32 = 1;
/// More are refused: every change writes all of them.
const ACLS_COUNT_MAX: usize = 50_000;

/// Who wants to do what.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    pub principal: &'a str,
    /// His address, as ACLs write it.
    pub host: &'a str,
    pub operation: Operation,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    acls: BTreeSet<Acl>,
}

pub struct Authorizer {
    super_users: BTreeSet<String>,
    allows_what_no_acl_is_about: bool,
    rules: RwLock<Arc<Rules>>,
    /// Held for the whole of a change, on a thread that may block.
    kept: Mutex<Kept>,
}

/// All ACLs, and where to find those about a name.
#[derive(Default)]
struct Rules {
    all: BTreeSet<Acl>,
    literal: HashMap<ResourceType, ByName>,
    prefixed: HashMap<ResourceType, ByName>,
}

type ByName = HashMap<String, Vec<Acl>>;

impl Rules {
    fn of(all: BTreeSet<Acl>) -> Rules {
        let mut rules = Rules::default();
        for acl in &all {
            let by_type = match acl.pattern {
                Pattern::Literal => &mut rules.literal,
                Pattern::Prefixed => &mut rules.prefixed,
            };
            by_type.entry(acl.resource).or_default().entry(acl.name.clone()).or_default().push(acl.clone());
        }
        rules.all = all;
        rules
    }

    fn about(&self, resource: ResourceType, name: &str) -> impl Iterator<Item = &Acl> {
        let literal = self.literal.get(&resource).into_iter();
        let literal = literal.flat_map(move |by_name| [by_name.get(name), by_name.get(WILDCARD)]);
        let prefixed = self.prefixed.get(&resource).into_iter();
        let prefixed = prefixed.flat_map(move |by_name| {
            let ends = name.char_indices().map(|(at, first)| at + first.len_utf8());
            ends.map(move |end| by_name.get(&name[..end]))
        });
        literal.chain(prefixed).flatten().flatten()
    }
}

impl Act<'_> {
    fn is_meant_by(&self, acl: &Acl) -> bool {
        let is_his = acl.principal == self.principal || acl.principal == ANY_PRINCIPAL;
        is_his && (acl.host == WILDCARD || acl.host == self.host)
    }

    fn is_denied_by(&self, acl: &Acl) -> bool {
        acl.permission == Permission::Deny
            && matches!(acl.operation, denied if denied == self.operation || denied == Operation::All)
            && self.is_meant_by(acl)
    }

    fn is_allowed_by(&self, acl: &Acl) -> bool {
        acl.permission == Permission::Allow && acl.operation.implies(self.operation) && self.is_meant_by(acl)
    }
}

impl Authorizer {
    /// Blocks on the disk.
    pub fn open(data_dir: &Path, options: &AuthorizerOptions) -> Result<Authorizer, Error> {
        if let Some(wrong) = options.super_users.iter().find(|user| !user.contains(':')) {
            return Err(Error::SuperUser { user: wrong.clone() });
        }
        let kept = Kept::at(data_dir, FILE_NAME);
        let stored: Option<Stored> = kept.read()?;
        let all = match stored {
            Some(stored) if stored.version != VERSION => {
                let reason = format!("its version is {}, this broker knows {VERSION}", stored.version);
                return Err(kept.unreadable(reason));
            }
            stored => stored.map(|stored| stored.acls).unwrap_or_default(),
        };
        Ok(Authorizer {
            super_users: options.super_users.iter().cloned().collect(),
            allows_what_no_acl_is_about: options.allow_everyone_if_no_acl_found,
            rules: RwLock::new(Arc::new(Rules::of(all))),
            kept: Mutex::new(kept),
        })
    }

    pub fn allows(&self, act: Act<'_>, resource: ResourceType, name: &str) -> bool {
        if self.super_users.contains(act.principal) {
            return true;
        }
        let rules = self.rules.read().clone();
        let (mut is_known, mut is_allowed) = (false, false);
        for acl in rules.about(resource, name) {
            if act.is_denied_by(acl) {
                return false;
            }
            is_known = true;
            is_allowed |= act.is_allowed_by(acl);
        }
        is_allowed || (!is_known && self.allows_what_no_acl_is_about)
    }

    /// Whether there is any name of this kind with which it is allowed (Kafka's `authorizeByResourceType`).
    pub fn allows_any(&self, act: Act<'_>, resource: ResourceType) -> bool {
        if self.super_users.contains(act.principal) {
            return true;
        }
        let rules = self.rules.read().clone();
        let of_kind = || rules.all.iter().filter(move |acl| acl.resource == resource);
        let denied: Vec<&Acl> = of_kind().filter(|acl| act.is_denied_by(acl)).collect();
        let denies = |name: &str, pattern: Pattern| {
            denied.iter().any(|acl| match acl.pattern {
                Pattern::Literal => acl.name == WILDCARD || (pattern == Pattern::Literal && acl.name == name),
                Pattern::Prefixed => name.starts_with(&acl.name),
            })
        };
        let everything_is_denied =
            denied.iter().any(|acl| acl.pattern == Pattern::Literal && acl.name == WILDCARD);
        if everything_is_denied {
            return false;
        }
        self.allows_what_no_acl_is_about
            || of_kind().any(|acl| act.is_allowed_by(acl) && !denies(&acl.name, acl.pattern))
    }

    pub fn list(&self, filter: &Filter<'_>) -> Vec<Acl> {
        self.rules.read().all.iter().filter(|acl| filter.means(acl)).cloned().collect()
    }

    /// Adds them all; one that is there is as good. Durable when it returns; blocks on the disk.
    pub fn add(&self, acls: Vec<Acl>) -> Result<(), Refusal> {
        self.change(|all| {
            all.extend(acls);
            if all.len() > ACLS_COUNT_MAX {
                let reason = format!("The number of ACLs cannot exceed {ACLS_COUNT_MAX}");
                return Err(Refusal::new(ResponseError::PolicyViolation, reason));
            }
            Ok(())
        })
    }

    /// Removes what each filter means, and gives it. Durable when it returns; blocks on the disk.
    pub fn remove(&self, filters: &[Filter<'_>]) -> Result<Vec<Vec<Acl>>, Refusal> {
        let mut removed = Vec::new();
        self.change(|all| {
            let meant = |filter: &Filter<'_>| all.iter().filter(|acl| filter.means(acl)).cloned().collect();
            removed = filters.iter().map(meant).collect();
            all.retain(|acl| !filters.iter().any(|filter| filter.means(acl)));
            Ok(())
        })?;
        Ok(removed)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<Acl>) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let kept = self.kept.lock();
        let before = self.rules.read().clone();
        let mut all = before.all.clone();
        change(&mut all)?;
        if all == before.all {
            return Ok(());
        }
        let stored = Stored { version: VERSION, acls: all };
        kept.write(&stored).map_err(|error| {
            tracing::error!(%error, "ACLs cannot be kept");
            Refusal::new(ResponseError::KafkaStorageError, error.to_string())
        })?;
        *self.rules.write() = Arc::new(Rules::of(stored.acls));
        Ok(())
    }
}

#[cfg(test)]
mod tests;

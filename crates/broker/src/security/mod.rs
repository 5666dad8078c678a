//! Who may connect, who he is, and what he may do: listeners, TLS, SASL, users, ACLs.
//!
//! `listeners` says where the broker listens and as what, `tls` and `distinguished` read certificates, `mapping` says who their
//! owners are, `peer` is what is
//! known of the other end of a connection, `sasl` how it proves it, `users` whom it can prove to be, `delegation` as whom it
//! may come by a token; `acl` and `rules` are
//! Kafka's access control lists, `access` asks them. What it keeps is in the data folder, through `kept`.
//!
//! It answers no request itself: that is `api`'s. Without an authorizer every question is answered with yes, without a look.

pub mod access;
pub mod acl;
pub mod delegation;
pub mod distinguished;
pub mod kept;
pub mod listeners;
pub mod mapping;
pub mod options;
pub mod peer;
pub mod rules;
pub mod sasl;
pub mod tls;
pub mod users;

use std::sync::Arc;

use crate::{errors::Error, options::Options};

use delegation::Delegation;
use rules::Authorizer;
use sasl::{Mechanism, oauth::Tokens};
use users::Users;

/// What all connections share.
pub struct Security {
    pub users: Users,
    /// What a SASL listener offers, in the order of the settings.
    pub mechanisms: Vec<Mechanism>,
    pub tokens: Option<Tokens>,
    pub delegation: Option<Delegation>,
    /// Who the owners of certificates are.
    pub mapping: mapping::Rules,
    /// After so long a client has to authenticate again; `None`: never.
    pub reauth_ms_max: Option<i64>,
    /// `None`: everybody may do everything.
    pub authorizer: Option<Authorizer>,
}

impl Security {
    /// Reads back what is kept. Blocks on the disk.
    pub fn open(options: &Arc<Options>, tokens: Option<Tokens>) -> Result<Security, Error> {
        let sasl = &options.security.sasl;
        let mechanisms = sasl::mechanisms(options)?;
        let authorizer = match &options.security.authorizer {
            Some(settings) => Some(Authorizer::open(&options.data_dir, settings)?),
            None => None,
        };
        let with_scram = mechanisms.iter().any(|mechanism| mechanism.scram().is_some());
        let users = Users::open(&options.data_dir, &sasl.users, with_scram)?;
        let rules = options.security.tls.principal_mapping_rules.as_deref();
        let mapping = mapping::Rules::read(rules.unwrap_or("DEFAULT"))?;
        let reauth_ms_max = Some(sasl.reauth_ms_max).filter(|ms| *ms > 0);
        let delegation = Delegation::open(&options.data_dir, &sasl.delegation)?;
        Ok(Security { users, mechanisms, tokens, delegation, mapping, reauth_ms_max, authorizer })
    }
}

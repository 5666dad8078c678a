//! The settings of security: plain data. Without any of them there is one listener, PLAINTEXT, and nobody is asked who he is.

use std::{collections::BTreeMap, path::PathBuf};

use base::Secret;

/// What is spoken on a listener, under Kafka's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

#[derive(Debug, Clone, Default)]
pub struct SecurityOptions {
    /// What is spoken on the first listener, that of `listen`.
    pub protocol: Protocol,
    /// More listeners, as in Kafka's `listeners`: `NAME://host:port`. A name is a protocol, or stands in `protocol_map`.
    pub listeners: Vec<String>,
    /// As in `listener.security.protocol.map`: `NAME:PROTOCOL`.
    pub protocol_map: Vec<String>,
    /// As in `advertised.listeners`, for those of `listeners`: `NAME://host:port`.
    pub advertised_listeners: Vec<String>,
    pub tls: TlsOptions,
    pub sasl: SaslOptions,
    /// `None`: everybody may do everything.
    pub authorizer: Option<AuthorizerOptions>,
}

/// What listeners with TLS show, and whom they ask; all files are PEM.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The certificate, and those that signed it (`ssl.keystore.certificate.chain`).
    pub certificate_chain: Option<PathBuf>,
    /// Its key, not encrypted (`ssl.keystore.key`).
    pub key: Option<PathBuf>,
    /// Whether clients of SSL listeners show a certificate (`ssl.client.auth`).
    pub client_auth: ClientAuth,
    /// Who may have signed it (`ssl.truststore.certificates`).
    pub client_authorities: Option<PathBuf>,
    /// Who the owner of a certificate is (`ssl.principal.mapping.rules`); `None`: its subject.
    pub principal_mapping_rules: Option<String>,
}

/// Kafka's `ssl.client.auth`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAuth {
    #[default]
    None,
    Requested,
    Required,
}

#[derive(Debug, Clone, Default)]
pub struct SaslOptions {
    /// Kafka's `sasl.enabled.mechanisms`.
    pub mechanisms: Vec<String>,
    /// Users with their passwords, for PLAIN and SCRAM; more SCRAM users are made by `kafka-configs`.
    pub users: BTreeMap<String, Secret>,
    pub oauth: OauthOptions,
    pub delegation: DelegationOptions,
    /// Kafka's `connections.max.reauth.ms`; 0: a client authenticates once.
    pub reauth_ms_max: i64,
}

/// The tokens that clients are given to hand on.
#[derive(Debug, Clone)]
pub struct DelegationOptions {
    /// What makes their secrets (`delegation.token.secret.key`); `None`: there are none.
    pub secret_key: Option<Secret>,
    /// How long one can be renewed (`delegation.token.max.lifetime.ms`).
    pub lifetime_ms_max: i64,
    /// How long one holds without that (`delegation.token.expiry.time.ms`).
    pub expiry_ms: i64,
}

impl Default for DelegationOptions {
    /// Kafka's defaults.
    fn default() -> Self {
        Self { secret_key: None, lifetime_ms_max: 7 * 24 * 60 * 60 * 1_000, expiry_ms: 24 * 60 * 60 * 1_000 }
    }
}

/// Whose tokens are taken.
#[derive(Debug, Clone)]
pub struct OauthOptions {
    /// Takes tokens that nobody has signed: for trying things out.
    pub unsecured: bool,
    /// The keys of who signs tokens (JWKS): a file, or an http(s) address (`sasl.oauthbearer.jwks.endpoint.url`).
    pub jwks: Option<String>,
    /// How often they are read anew (`sasl.oauthbearer.jwks.endpoint.refresh.ms`).
    pub jwks_refresh_ms: u64,
    /// The `iss` that a token must have (`sasl.oauthbearer.expected.issuer`); `None`: any.
    pub issuer: Option<String>,
    /// One of these must be among its `aud` (`sasl.oauthbearer.expected.audience`); empty: any.
    pub audience: Vec<String>,
    /// How far the clocks of who issues tokens and of this machine may be apart (`sasl.oauthbearer.clock.skew.seconds`).
    pub clock_skew_ms: i64,
    /// The claim that names the user (`sasl.oauthbearer.sub.claim.name`).
    pub subject_claim: String,
    /// The claim of what the token is good for (`sasl.oauthbearer.scope.claim.name`): it is looked at for its form alone.
    pub scope_claim: String,
}

impl Default for OauthOptions {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            unsecured: false,
            jwks: None,
            jwks_refresh_ms: 60 * 60 * 1_000,
            issuer: None,
            audience: vec![],
            clock_skew_ms: 30_000,
            subject_claim: "sub".to_owned(),
            scope_claim: "scope".to_owned(),
        }
    }
}

/// Kafka's StandardAuthorizer.
#[derive(Debug, Clone, Default)]
pub struct AuthorizerOptions {
    /// `User:NAME`: they may do everything.
    pub super_users: Vec<String>,
    /// Whether a resource that no ACL is about is everybody's.
    pub allow_everyone_if_no_acl_found: bool,
}

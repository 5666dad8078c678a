//! The embedded Kafka broker: one node that speaks Kafka's protocol, keeps its logs on the disk in Kafka's format, and
//! coordinates consumer groups.
//!
//! `Service::start(Options)` binds the port, reads everything back, and returns a `Handle`. Inside: `connection` reads
//! frames, `api` has one file for each API key, `topics`, `groups`, `shares` and `transactions` hold the nouns, `security` says who
//! may do what with them, `log` is the disk.
//!
//! It knows no other room: no registry, no connector, no client library, no settings file.

pub mod api;
mod broker;
mod cluster;
mod connection;
mod errors;
mod groups;
mod limits;
pub mod log;
mod options;
mod producers;
mod quotas;
mod security;
mod service;
mod sessions;
mod shares;
mod topics;
mod transactions;

#[cfg(test)]
mod tests;

pub use errors::Error;
pub use options::{Durability, MigrationPolicy, Options};
pub use security::options::{
    AuthorizerOptions, ClientAuth, DelegationOptions, OauthOptions, Protocol, SaslOptions, SecurityOptions,
    TlsOptions,
};
pub use service::Service;

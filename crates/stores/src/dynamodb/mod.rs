//! The DynamoDB endpoint: `dynoxide-rs` over one SQLite file, so that tables outlive the process.
//!
//! `options` what it is told, `service` start and stop, `front` what it adds, `errors` what keeps it from starting. The API, its expressions and
//! its error texts are dynoxide's; whose signature a request carries is not checked, as DynamoDB Local does not.

mod errors;
mod front;
mod options;
mod service;

pub use errors::Error;
pub use options::Options;
pub use service::Service;

#[cfg(test)]
mod tests;

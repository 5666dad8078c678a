//! The embedded S3 endpoint: buckets are folders on the local disk, every request is signed and checked.
//!
//! It knows no other part: `up` hands it a folder, an address and keys, and everyone else reaches it over HTTP as they
//! would reach AWS. `options` what it is told, `service` start and stop, `disk` where objects lie, `errors` what fails.

mod errors;
mod options;
mod service;

pub use errors::Error;
pub use options::Options;
pub use service::Service;

//! The S3 endpoint: buckets are folders on the local disk, every request is signed and checked.
//!
//! `options` what it is told, `service` start and stop, `api` the S3 calls, `receive` a body, `disk` where objects lie,
//! `keys` and `listing` names, `errors` what keeps it from starting.
//!
//! `s3s` does HTTP, XML and signatures. Its own `s3s-fs` is not used: it cannot list multipart uploads, shows a body before
//! its checksum is checked, and keeps names of attributes that long keys do not fit into.

mod api;
mod disk;
mod errors;
mod keys;
mod listing;
mod options;
mod receive;
mod service;

pub use errors::Error;
pub use options::Options;
pub use service::Service;

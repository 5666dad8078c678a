//! Identity in the clouds, signing in to them, and object stores built from it: who we are, until when, signed calls to S3
//! and Google Cloud Storage.
//!
//! It knows no format and no connector; the rooms above get an `Arc<dyn ObjectStore>` and never see a key.

pub mod answers;
pub mod aws;
mod calls;
mod environment;
mod errors;
pub mod gcp;
mod gcs;
pub mod http;
mod kept;
mod pkce;
pub mod reach;
mod reason;
pub mod registry;
pub mod store;
pub mod sts;

pub use calls::Upload;
pub use environment::Environment;
pub use errors::{Error, UNTRUSTED};
pub use reason::Reason;

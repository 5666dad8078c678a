//! Identity in the clouds and object stores built from it: who we are, until when, and signed calls to S3.
//!
//! It knows no format and no connector; the rooms above get an `Arc<dyn ObjectStore>` and never see a key.

pub mod http;

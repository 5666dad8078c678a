//! The embedded endpoints of AWS's stores, on the local disk: S3 and DynamoDB, a folder each with its own `Options`,
//! `Service` and `Error`.
//!
//! They know no other part and not each other: `up` hands each a folder and an address, and everyone else reaches it over
//! HTTP as they would reach AWS.

pub mod dynamodb;
pub mod s3;

//! Tests of `aws.rs`.

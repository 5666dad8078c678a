//! Tests of `errors.rs`.

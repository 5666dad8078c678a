//! Tests of `names.rs`.

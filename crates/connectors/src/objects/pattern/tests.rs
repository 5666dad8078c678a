//! Tests of `pattern.rs`.

//! Tests of `store.rs`.

//! Tests of `json.rs`.

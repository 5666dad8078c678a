//! Tests of `encoder.rs`.

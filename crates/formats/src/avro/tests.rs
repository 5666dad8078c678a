//! Tests of `avro.rs`.

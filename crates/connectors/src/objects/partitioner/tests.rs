//! Tests of `partitioner.rs`.

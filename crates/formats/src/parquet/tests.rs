//! Tests of `parquet.rs`.

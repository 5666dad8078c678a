//! Rows of a table as text, as dlt's writers write them.

pub(crate) mod column;
mod csv;
pub(crate) mod json;
mod jsonl;

pub use csv::{csv, csv_header};
pub use jsonl::jsonl;

#[cfg(test)]
mod tests;

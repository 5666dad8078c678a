//! Pipelines: a transfer from a store to the tables of a lake, incrementally, in dlt's words and with dlt's result.
//!
//! Documents into tables: `shape` is what a stream asks for; `tables` the schema that all lanes share, stored by
//! `schema/`; `normalize/` turns documents into rows, by the rules of `naming`, `types` and `contract`; `encode/` writes
//! rows as text; `ledger` makes the rows of dlt's own tables.
//!
//! A load: `file/` reads `pipelines/*.yaml`, `source` opens what it names, `topic` topics of Kafka, `letters` refused records in its place, `incremental` says what is new, `run/` carries
//! the load to its end, `target/` writes files and what dlt keeps beside them, `state/` is what outlives a run, `plan` tells
//! what a run would do. It knows no credentials: whoever runs a pipeline opens its target.

mod contract;
mod encode;
mod errors;
pub mod file;
mod incremental;
mod iso;
mod layout;
mod ledger;
mod letters;
mod naming;
mod normalize;
pub mod plan;
mod rows;
mod run;
mod schema;
mod shape;
mod source;
pub mod state;
mod tables;
mod tables_errors;
mod target;
mod topic;
mod types;

pub use contract::{Mode, SchemaContract};
pub use encode::{csv, csv_header, jsonl};
pub use errors::Error;
pub use file::{PipelineFile, StreamSpec};
pub use incremental::{Backfill, CursorValue, scalar_value};
pub use layout::Layout;
pub use ledger::{LOADS, STATE, StateRow, VERSION, hash_in_name, load_row, version_row};
pub use letters::Letters;
pub use naming::Naming;
pub use normalize::{Discarded, Normalized, Normalizer, PART, TableRows};
pub use run::{GivenUp, Options, Report, Target, give_up, restore, run};
pub use schema::{Column, Stored, Table};
pub use shape::{ColumnHint, MergeStrategy, Nested, RowPlace, Shape, WriteDisposition};
pub use source::{Buckets, Places, Reached, TargetAddress};
pub use tables::Tables;
pub use tables_errors::TablesError;
pub use target::Lake;
pub use types::DataType;

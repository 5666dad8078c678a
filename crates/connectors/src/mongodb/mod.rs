//! MongoDB as a source and as a sink.
//!
//! Source: bounded; a collection is read by `_id`, in ranges beside each other where it is large. A position is the last
//! `_id` of a batch, so a second life goes on behind it; documents that are written while it reads are seen or not, as
//! with any cursor, and none is seen twice. All BSON types are kept (`types.rs` has the table).
//! Sink: each record has an `_id` that is the same in every life (its own, its key, or where it lies), so a record that
//! comes again changes nothing. What is written is visible before its extent is committed, and durable when `write`
//! returns. It does not know transactions.

mod bulk;
mod client;
mod collections;
mod config;
mod decimal;
mod decode;
mod encode;
mod errors;
mod json;
mod plan;
mod query;
mod reader;
mod sink;
mod source;
pub mod types;

pub use collections::Collections;
pub use config::{Index, SinkConfig, SourceConfig, Write};
pub use errors::Error;
pub use sink::MongoSink;
pub use source::MongoSource;

use std::sync::Arc;

use base::BoxError;

use crate::{Connector, Selection, Settings, Spec};

pub const CONNECTOR: Connector = Connector {
    name: "mongodb",
    spec: Spec {
        scheme: "mongodb",
        is_bounded: true,
        takes_tombstones: true,
        has_keys: true,
        has_headers: false,
        takes_json: true,
    },
    source: Some(source),
    sink: Some(sink),
    table_form: types::for_tables,
};

fn source(settings: &Settings, selection: &Selection) -> Result<Arc<dyn base::Source>, BoxError> {
    Ok(Arc::new(MongoSource::open(SourceConfig::read(settings)?, selection)?))
}

fn sink(settings: &Settings) -> Result<Arc<dyn base::Sink>, BoxError> {
    Ok(Arc::new(MongoSink::new(SinkConfig::read(settings)?)))
}

#[cfg(test)]
mod tests;

//! DynamoDB as a source and as a sink, over its JSON API.
//!
//! Source: a segment of a parallel Scan is a split, or the one Query that a filter on the partition key allows; a page is a
//! batch, and the last key of a page is the position behind it. A scan shows a table that changes meanwhile as DynamoDB
//! does: each item that was there all the time comes once, others may or may not. Sink: an item replaces the one of its key,
//! so a second life leaves what the first would have left; everything of a batch is there when `write` returns.

mod batch;
mod client;
mod config;
mod errors;
mod expression;
mod sink;
mod source;
pub mod tables;
mod types;

pub use config::{Access, AccessKeys, Billing, Create, SinkConfig, SourceConfig, Write};
pub use errors::{Error, Refusal};
pub use sink::DynamoSink;
pub use source::DynamoSource;

use std::sync::Arc;

use base::BoxError;

use crate::{Connector, Selection, Settings, Spec};

pub const CONNECTOR: Connector = Connector {
    name: "dynamodb",
    spec: Spec {
        scheme: "dynamodb",
        is_bounded: true,
        takes_tombstones: true,
        has_keys: true,
        has_headers: false,
        takes_json: false,
    },
    source: Some(source),
    sink: Some(sink),
    table_form: crate::plain_form,
};

fn source(settings: &Settings, selection: &Selection) -> Result<Arc<dyn base::Source>, BoxError> {
    Ok(Arc::new(DynamoSource::open(SourceConfig::read(settings)?, selection)?))
}

fn sink(settings: &Settings) -> Result<Arc<dyn base::Sink>, BoxError> {
    Ok(Arc::new(DynamoSink::connect(SinkConfig::read(settings)?)?))
}

#[cfg(test)]
mod tests;

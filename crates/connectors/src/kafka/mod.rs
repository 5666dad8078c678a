//! Kafka as a source and as a sink, over librdkafka.
//!
//! Source: a member of a consumer group; a partition is a split, offsets are marks. The group's committed offsets are the
//! checkpoint ([`GroupCheckpoints`]), the receipt lies in the commit's metadata, and the group's generation fences a
//! member that the group has given up. Sink: an idempotent producer with `acks=all`; an extent is committed when all its
//! records are acknowledged. A second life sends the open extent again, so delivery to a topic is at least once; with
//! [`Transaction`] the position is committed with the records, and a second life goes on behind them.

mod bounded;
mod checkpoints;
mod config;
mod enqueue;
mod errors;
mod identity;
mod member;
mod metadata;
mod queue;
mod sink;
mod source;
mod transaction;

pub use bounded::{Beginning, TopicSource};
pub use checkpoints::GroupCheckpoints;
pub use config::{
    Create, Partitioner, Scope, SinkConfig, SourceConfig, Topics, Transaction, is_of_any_client,
};
pub use errors::Error;
pub use metadata::TopicRows;
pub use sink::KafkaSink;
pub use source::KafkaSource;
pub use transaction::forget;

use std::sync::Arc;

use base::BoxError;

use crate::{Connector, Selection, Settings, Spec};

pub const CONNECTOR: Connector = Connector {
    name: "kafka",
    spec: Spec {
        scheme: "kafka",
        is_bounded: false,
        takes_tombstones: true,
        has_keys: true,
        has_headers: true,
        takes_json: true,
    },
    source: Some(source),
    sink: Some(sink),
    table_form: crate::plain_form,
};

fn source(settings: &Settings, selection: &Selection) -> Result<Arc<dyn base::Source>, BoxError> {
    selection.expect_everything(CONNECTOR.name)?;
    Ok(Arc::new(KafkaSource::join(SourceConfig::read(settings)?)?))
}

fn sink(settings: &Settings) -> Result<Arc<dyn base::Sink>, BoxError> {
    Ok(Arc::new(KafkaSink::connect(SinkConfig::read(settings)?)?))
}

#[cfg(test)]
mod tests;

//! Firestore: documents of a collection, of all collections of one id, or of a whole tree, read in parts and written in
//! batches, over gRPC.
//!
//! Promised: what is read and written again is the same to the last bit, whatever its type (`types`). A source resumes
//! behind any document. A sink that upserts or merges may be given an extent again. Not promised: one moment for all
//! documents that are read; that a sink that inserts by key tells its own documents of an earlier life from others' (both
//! are rejects); any order between documents.

mod client;
mod config;
mod errors;
mod filter;
mod id;
mod json;
mod ramp;
mod reader;
mod sink;
mod source;
mod split;
mod types;

use std::sync::Arc;

use base::{BoxError, Sink, Source, SystemClock};

pub use client::{collections, empty};
pub use config::{Connection, SinkConfig, SourceConfig, Subcollections, WriteMode};
pub use errors::Error;
pub use sink::FirestoreSink;
pub use source::FirestoreSource;

use crate::{Connector, Selection, Settings, Spec};

pub const CONNECTOR: Connector = Connector {
    name: "firestore",
    spec: Spec {
        scheme: "firestore",
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

fn source(settings: &Settings, selection: &Selection) -> Result<Arc<dyn Source>, BoxError> {
    Ok(Arc::new(FirestoreSource::new(SourceConfig::read(settings)?, selection)?))
}

fn sink(settings: &Settings) -> Result<Arc<dyn Sink>, BoxError> {
    Ok(Arc::new(FirestoreSink::new(SinkConfig::read(settings)?, Arc::new(SystemClock))?))
}

#[cfg(test)]
mod tests;

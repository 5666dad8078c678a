//! Files and standard input as a source: CSV, JSON Lines, a JSON array; plain, gzip or zstd.
//!
//! A file is a split, read as a stream of any length in bounded memory. Records leave as received ([`Body::Raw`]) with
//! their line as mark; [`split`] takes a CSV record apart. Compressed files and standard input cannot be
//! read from the middle: a second life reads them again up to its position.
//!
//! [`Body::Raw`]: base::Body::Raw

mod config;
mod csv;
mod errors;
mod json;
mod source;

pub use config::{Config, Format};
pub use csv::{Bad, field_start, split};
pub use errors::Error;
pub use source::FileSource;

use std::sync::Arc;

use base::BoxError;

use crate::{Connector, Selection, Settings, Spec};

pub const CONNECTOR: Connector = Connector {
    name: "files",
    spec: Spec {
        scheme: "file",
        is_bounded: true,
        takes_tombstones: false,
        has_keys: false,
        has_headers: false,
    },
    source: Some(source),
    sink: None,
    table_form: crate::plain_form,
};

fn source(settings: &Settings, selection: &Selection) -> Result<Arc<dyn base::Source>, BoxError> {
    selection.expect_everything(CONNECTOR.name)?;
    Ok(Arc::new(FileSource::open(Config::read(settings)?)?))
}

#[cfg(test)]
mod tests;

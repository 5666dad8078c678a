//! Files, standard input, objects and addresses of the web as a source: CSV, JSON Lines, a JSON array or object, Avro, Parquet
//! and sheets of Excel; plain, or packed by gzip, zstd, bzip2 or snappy.
//!
//! A file is a split, read as a stream of any length in bounded memory. Records of text leave as received ([`Body::Raw`]) with
//! their line as mark, those of a JSON document with their number; typed ones leave as rows with their number. [`split`] takes a
//! CSV record apart. Packed files and standard input cannot be read from the middle: a second life reads them again up to its position.
//!
//! Map: `input.rs` what can be read; `stream.rs` and `remote.rs` its bytes; `cut.rs`, `csv.rs` and `json.rs` where records of text end,
//! `text.rs` their reader; `avro.rs`, `parquet.rs` (with `columns.rs`) and `excel.rs` the other formats.
//!
//! [`Body::Raw`]: base::Body::Raw

mod avro;
mod config;
mod csv;
mod cut;
mod errors;
mod excel;
mod input;
mod json;
mod parquet;
mod remote;
mod rows;
mod source;
mod stream;
mod text;
mod version;

pub use config::{Config, Format, Packing};
pub use csv::{Bad, Dialect, field_start, split};
pub use encoding_rs::Encoding;
pub use errors::Error;
pub use input::Input;
pub use json::Path as RecordsPath;
pub use source::FileSource;
pub use version::Version;

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
        takes_json: false,
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

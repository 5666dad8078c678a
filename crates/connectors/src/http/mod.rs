//! HTTP interfaces that answer JSON, page by page, as a source: `https://randomuser.me/api?results=100`.
//!
//! Pages are told by a number, an offset, a cursor of the answer, an address in the answer, or the `Link` header, and are read one
//! after the other: one split. A number or an offset is known without the page before it, so each record has a mark and a second life
//! goes on at any record; elsewhere the token of a page and how much of it was taken is the position. What changes meanwhile on the
//! server moves its pages: then records come twice or not at all, as for every client of such an interface.
//!
//! Answers that pass (429, 5xx, broken connections) are asked for again, after what `Retry-After` says; others end the load.

mod client;
mod config;
mod errors;
mod page;
mod paging;
mod source;

pub use config::{Config, Paging};
pub use errors::Error;
pub use source::HttpSource;

use std::sync::Arc;

use base::BoxError;

use crate::{Connector, Selection, Settings, Spec};

pub const CONNECTOR: Connector = Connector {
    name: "http",
    spec: Spec {
        scheme: "http",
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
    Ok(Arc::new(HttpSource::open(Config::read(settings)?)))
}

#[cfg(test)]
mod tests;

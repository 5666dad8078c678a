//! Made-up data as a source: people, the cards, transactions and fraud of a bank, and whatever a contract says. Nothing is fetched.
//!
//! A record is a function of the seed, its table and its number, and of nothing else: the same command makes the same bytes,
//! a second life goes on at any number, and tables refer to each other without one knowing the other's rows. Records leave
//! as JSON ([`Body::Raw`]) with their number as mark; payments also as columns, for a target that takes those.
//!
//! [`Body::Raw`]: base::Body::Raw

mod columns;
mod config;
mod contract;
mod dice;
mod errors;
mod finance;
mod inline;
mod source;
mod users;
mod words;

pub use config::{Config, Table};
pub use contract::Recipe;
pub use errors::Error;
pub use source::GeneratedSource;

use std::sync::Arc;

use base::BoxError;

use crate::{Connector, Selection, Settings, Spec};

pub const CONNECTOR: Connector = Connector {
    name: "generate",
    spec: Spec {
        scheme: "generate",
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
    Ok(Arc::new(GeneratedSource::new(Config::read(settings)?)))
}

#[cfg(test)]
mod tests;

//! The stores that records come from and go to: one folder each, with the same files in the same order, and one line in
//! [`CONNECTORS`]. A connector turns a store's words into `Source` and `Sink`; positions, memory, time, cuts and
//! checkpoints are the engine's.
//!
//! Connectors do not know each other.

mod column;
pub mod crossing;
pub mod dynamodb;
pub mod files;
pub mod firestore;
pub mod generate;
pub mod http;
pub mod kafka;
pub mod mapping;
pub mod mongodb;
pub mod names;
pub mod objects;
pub mod output;
pub mod received;
pub mod record;
pub mod rows;
mod selection;
pub mod serialize;

use std::{collections::BTreeMap, sync::Arc};

use base::{BoxError, Sink, Source, Value};

pub use selection::{CursorRange, Selection};

/// Every connector there is.
pub const CONNECTORS: &[Connector] = &[
    dynamodb::CONNECTOR,
    files::CONNECTOR,
    firestore::CONNECTOR,
    generate::CONNECTOR,
    http::CONNECTOR,
    kafka::CONNECTOR,
    mongodb::CONNECTOR,
];

/// A connector's settings as text, as a Connect JSON or a command line gives them.
pub type Settings = BTreeMap<String, String>;

/// Opens a source or a sink from its settings; nothing is read or written before the engine asks.
pub type OpenSource = fn(&Settings, &Selection) -> Result<Arc<dyn Source>, BoxError>;
pub type OpenSink = fn(&Settings) -> Result<Arc<dyn Sink>, BoxError>;

/// What a store is called, what it can do, and how to open it.
pub struct Connector {
    pub name: &'static str,
    pub spec: Spec,
    pub source: Option<OpenSource>,
    pub sink: Option<OpenSink>,
    /// What the store's own types are in a table.
    pub table_form: TableForm,
}

/// What a value that only one store has is in a table; `None`: the plain value under its tag.
pub type TableForm = fn(&str, &Value) -> Option<Value>;

/// For a store whose plain values are what tables want.
pub fn plain_form(_tag: &str, _value: &Value) -> Option<Value> {
    None
}

/// What a store promises and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// The scheme of its addresses: `kafka://host:port/topic`.
    pub scheme: &'static str,
    /// Its source comes to an end.
    pub is_bounded: bool,
    /// Its sink does something of its own with a record that has no value.
    pub takes_tombstones: bool,
    pub has_keys: bool,
    pub has_headers: bool,
    /// Its sink takes records of JSON as they are written; in MongoDB's extended JSON `{"$oid": …}` is an id.
    pub takes_json: bool,
}

/// The connector of an address's scheme.
pub fn by_scheme(scheme: &str) -> Option<&'static Connector> {
    CONNECTORS.iter().find(|connector| connector.spec.scheme == scheme)
}

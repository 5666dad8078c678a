//! Settings of the status page: plain data.

use std::{collections::BTreeMap, net::SocketAddr};

/// One part of the environment, as the page lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `broker`, `registry`, `rest`, `connect`, `s3`, `dynamodb`, `console`; any other is asked over HTTP.
    pub name: String,
    /// `host:port`, a bootstrap list, or a URL.
    pub address: String,
    pub external: bool,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 takes a free one; the handle tells which.
    pub listen: SocketAddr,
    /// What the page lists besides itself.
    pub parts: Vec<Part>,
    /// Client properties for the broker: `security.protocol`, `sasl.username` …
    pub kafka_properties: BTreeMap<String, String>,
}

impl Options {
    pub fn at(listen: SocketAddr) -> Self {
        Self { listen, parts: Vec::new(), kafka_properties: BTreeMap::new() }
    }

    pub(crate) fn address(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|part| part.name == name).map(|part| part.address.as_str())
    }
}

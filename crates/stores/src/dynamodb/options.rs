//! Settings of the embedded DynamoDB endpoint: plain data.

use std::{net::SocketAddr, path::PathBuf};

/// Where it listens and where its tables lie. It answers in any region and to any keys.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 takes a free one; the handle tells which.
    pub listen: SocketAddr,
    /// Holds the one file with all tables; made when it is not there.
    pub data_dir: PathBuf,
}

impl Options {
    pub fn at(data_dir: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self { listen, data_dir: data_dir.into() }
    }
}

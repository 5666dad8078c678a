//! Settings of the embedded S3 endpoint: plain data.

use std::{net::SocketAddr, path::PathBuf};

use base::Secret;

/// Where it listens, where objects lie, and whose signature it takes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 takes a free one; the handle tells which.
    pub listen: SocketAddr,
    /// Holds one folder for each bucket; made when it is not there.
    pub data_dir: PathBuf,
    pub access_key: String,
    pub secret_key: Secret,
    /// What GetBucketLocation answers; any region is taken in a signature.
    pub region: String,
    /// Buckets that exist when it is ready.
    pub buckets: Vec<String>,
    /// Waits for the disk at each write. Without it an answered write survives the death of the process, as in the
    /// broker's default, but perhaps not a power cut.
    pub is_synced: bool,
}

impl Options {
    /// Loopback, `us-east-1`, no bucket.
    pub fn at(
        data_dir: impl Into<PathBuf>,
        listen: SocketAddr,
        access_key: &str,
        secret_key: Secret,
    ) -> Self {
        Self {
            listen,
            data_dir: data_dir.into(),
            access_key: access_key.to_owned(),
            secret_key,
            region: "us-east-1".to_owned(),
            buckets: Vec::new(),
            is_synced: false,
        }
    }
}

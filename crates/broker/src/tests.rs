//! A real broker on a port of its own, and real clients against it.

use std::{net::SocketAddr, path::Path, sync::Arc};

use base::{Clock, Handle};
use bytes::Bytes;
use rdkafka::ClientConfig;
use tempfile::TempDir;

use crate::{Options, Service};

mod admin;
mod clock;
mod consumers;
mod delegation;
mod limits;
mod produce;
mod restart;
mod security;
mod sessions;
mod shares;
mod transactions;

/// A broker with a folder of its own; both go when it is dropped.
pub(crate) struct Server {
    handle: Handle,
    folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), |_| {}).await
    }

    pub(crate) async fn start_in(folder: TempDir, change: impl FnOnce(&mut Options)) -> Server {
        let mut options = Options::at(folder.path(), ([127, 0, 0, 1], 0).into());
        change(&mut options);
        Server { handle: Service::start(options).await.unwrap(), folder }
    }

    /// One whose time somebody sets.
    pub(crate) async fn start_by(clock: Arc<dyn Clock>) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::at(folder.path(), ([127, 0, 0, 1], 0).into());
        Server { handle: Service::start_with(options, clock).await.unwrap(), folder }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.handle.addr
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.handle.stop(5_000).await.unwrap();
        self.folder
    }

    /// A client's settings, with more of them.
    pub(crate) fn client(&self, more: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.addr().to_string());
        for (name, value) in more {
            config.set(*name, *value);
        }
        config
    }
}

/// A record batch as a client would send it.
pub(crate) fn batch_of(records: &[(&str, &str)]) -> Bytes {
    let mut builder = wire::batch::BatchBuilder::new(0);
    for (place, (key, value)) in records.iter().enumerate() {
        builder.push(place as i64, 1_700_000_000_000, Some(key.as_bytes()), Some(value.as_bytes()), []);
    }
    builder.finish().unwrap()
}

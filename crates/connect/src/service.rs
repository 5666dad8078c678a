//! Starts a worker, serves until it is asked to stop, and drains.

use std::{net::SocketAddr, sync::Arc};

use base::{BoxError, Handle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Error, Options, http, store::Journal, worker::Worker};

/// A Connect worker.
pub struct Service {
    listener: TcpListener,
    worker: Arc<Worker>,
}

impl Service {
    /// Ready means: the port is bound, the internal topics are there and `connect-configs` has been read to its end.
    /// Connectors that were running start again; their tasks come up by themselves.
    ///
    /// # Errors
    /// `Error::Bind`, `Error::Kafka`, `Error::InternalTopic`.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        let bind = |source| Error::Bind { listen: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(bind)?;
        let addr: SocketAddr = listener.local_addr().map_err(bind)?;
        let (journal, remembered) = Journal::open(&options).await?;
        let worker = Worker::new(options, addr, journal, remembered);
        worker.resume_all();
        Ok(Handle::spawn("connect", addr, move |stop| Service { listener, worker }.run(stop)))
    }

    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        let router = http::router(self.worker.clone());
        let stopped = stop.clone();
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned());
        // A client that keeps its connection open must not keep the tasks from stopping.
        let served = tokio::spawn(served.into_future());
        stopped.cancelled().await;
        self.worker.stop_all().await;
        served.abort();
        Ok(())
    }
}

#[cfg(test)]
mod tests;

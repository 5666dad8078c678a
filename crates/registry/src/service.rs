//! Starting, serving and stopping the registry; owns every task of the crate.

use std::{net::SocketAddr, sync::Arc};

use base::{BoxError, Handle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Options, http,
    journal::{Journal, Reader},
};

pub struct Service {
    listener: TcpListener,
    journal: Arc<Journal>,
    reader: Reader,
}

impl Service {
    /// Ready means: the port is bound and the topic is read to its end.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        let (listener, addr) = bind(options.listen).await?;
        let url = options.advertised.clone().unwrap_or_else(|| format!("http://{addr}"));
        let (journal, reader) = Journal::open(&options, url).await?;
        let service = Service { listener, journal: Arc::new(journal), reader };
        Ok(Handle::spawn("registry", addr, |stop| service.run(stop)))
    }

    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        // Requests that are being answered still need the reader: it stops after the last one.
        let drained = CancellationToken::new();
        let reading = tokio::spawn(self.reader.run(drained.clone()));
        let (election, ended) = (self.journal.election().clone(), drained.clone());
        let electing = tokio::spawn(async move { election.run(ended).await });
        let stop_reading = drained.drop_guard();
        let server = axum::serve(self.listener, http::router(self.journal));
        server.with_graceful_shutdown(stop.cancelled_owned()).await?;
        drop(stop_reading);
        electing.await??;
        reading.await?
    }
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |source| Error::Bind { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    Ok((listener, addr))
}

#[cfg(test)]
mod tests;

//! Starting, serving and stopping the REST proxy; owns every task of the crate.

use std::{net::SocketAddr, sync::Arc};

use base::{BoxError, Handle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Options, consumers::Consumers, http, kafka::Kafka, produce::Producer, room::Room, schemas::Schemas,
};

/// What every request needs.
pub(crate) struct Proxy {
    pub options: Options,
    pub kafka: Kafka,
    pub producer: Producer,
    pub schemas: Schemas,
    pub consumers: Consumers,
    pub room: Room,
}

pub struct Service {
    listener: TcpListener,
    proxy: Arc<Proxy>,
}

impl Service {
    /// Ready means: the port is bound. Kafka and the registry are asked when a request needs them, and told of where they
    /// do not answer.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        let (listener, addr) = bind(options.listen).await?;
        let proxy = Proxy {
            kafka: Kafka::new(&options),
            producer: Producer::new(&options),
            schemas: Schemas::new(&options),
            consumers: Consumers::new(&options),
            room: Room::new(&options),
            options,
        };
        let service = Service { listener, proxy: Arc::new(proxy) };
        Ok(Handle::spawn("rest", addr, |stop| service.run(stop)))
    }

    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        let (proxy, ended) = (self.proxy.clone(), stop.clone());
        let expiring = tokio::spawn(async move { proxy.consumers.expire(ended).await });
        let server = axum::serve(self.listener, http::router(self.proxy.clone()));
        // Who waits for records is told that there are none.
        let (proxy, asked) = (self.proxy.clone(), stop.clone());
        let closing = tokio::spawn(async move {
            asked.cancelled().await;
            proxy.consumers.close().await;
        });
        server.with_graceful_shutdown(stop.cancelled_owned()).await?;
        expiring.await?;
        closing.await?;
        self.proxy.producer.flush().await;
        Ok(())
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

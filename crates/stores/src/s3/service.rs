//! Starting, serving and stopping the S3 endpoint; owns every task of the crate.

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use base::{BoxError, Handle};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::{
    S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::s3::{Error, Options, api::Api, disk::Disk};

/// Connections held at once: more than any local client opens, fewer than a default file limit of 1,024.
const CONNECTIONS_COUNT_MAX: usize = 512;
/// How long a client may take to send its headers.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The one pair of keys there is. `s3s` compares the signatures.
struct Keys {
    access_key: String,
    secret_key: SecretKey,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        // AWS's own answer, which SDKs explain to their users.
        if access_key == self.access_key {
            Ok(self.secret_key.clone())
        } else {
            Err(s3_error!(InvalidAccessKeyId))
        }
    }
}

pub struct Service {
    listener: TcpListener,
    s3: S3Service,
}

impl Service {
    /// Ready means: the port is bound, the folder is usable and the wanted buckets exist.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        let folder_fault = |source| Error::Folder { folder: options.data_dir.clone(), source };
        let disk = Disk::open(&options.data_dir, options.is_synced).map_err(folder_fault)?;
        for bucket in &options.buckets {
            if !s3s::path::check_bucket_name(bucket) {
                return Err(Error::BucketName { name: bucket.clone() });
            }
            fs::create_dir_all(options.data_dir.join(bucket)).map_err(folder_fault)?;
        }
        let mut builder = S3ServiceBuilder::new(Api { disk: Arc::new(disk), region: options.region.clone() });
        builder.set_auth(Keys {
            access_key: options.access_key.clone(),
            secret_key: options.secret_key.reveal().into(),
        });
        let (listener, addr) = bind(options.listen).await?;
        let service = Service { listener, s3: builder.build() };
        Ok(Handle::spawn("s3", addr, |stop| service.run(stop)))
    }

    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_COUNT_MAX => match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(serve(socket, self.s3.clone(), stop.clone()));
                    }
                    // Out of file handles, or a peer that left already: the next accept may well succeed.
                    Err(error) => {
                        tracing::warn!(%error, "the S3 endpoint could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let fault = |source| Error::Bind { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(fault)?;
    let addr = listener.local_addr().map_err(fault)?;
    Ok((listener, addr))
}

/// One connection, until the client closes it; a stop lets the running request end.
async fn serve(socket: TcpStream, s3: S3Service, stop: CancellationToken) {
    socket.set_nodelay(true).ok();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .serve_connection(TokioIo::new(socket), s3);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an S3 connection broke");
    }
}

//! Starting, serving and stopping the DynamoDB endpoint.
//!
//! It runs on two threads of its own: dynoxide works on the thread that took the request, behind one lock, and would hold
//! up every other part of the process there. Dynoxide itself listens on a loopback port that only `front` knows.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use axum::serve::ListenerExt;
use base::{BoxError, Handle};
use dynoxide::Database;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::{Error, Options, front};

/// One request reads or writes JSON while another has the lock; a third would only wait.
const THREADS_COUNT: usize = 2;
const FILE: &str = "tables.sqlite";

pub struct Service {
    listener: TcpListener,
    inner: TcpListener,
    database: Database,
    threads: Threads,
}

/// A runtime that may be dropped inside another one.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

impl Service {
    /// Ready means: the port is bound and the tables are open.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        let folder = options.data_dir;
        fs::create_dir_all(&folder).map_err(|source| Error::Folder { folder: folder.clone(), source })?;
        let file = folder.join(FILE);
        let (path, unopened) = (file.clone(), |source: BoxError| Error::Tables { file, source });
        let opened = tokio::task::spawn_blocking(move || open(&path)).await;
        let database = opened.unwrap_or_else(|panicked| Err(panicked.into())).map_err(unopened)?;
        let bind = |source| Error::Bind { listen: options.listen, source };
        let (listener, addr) = bound(options.listen).map_err(bind)?;
        let (inner, _) = bound((Ipv4Addr::LOCALHOST, 0).into()).map_err(bind)?;
        let threads = Builder::new_multi_thread()
            .worker_threads(THREADS_COUNT)
            .thread_name("dynamodb")
            .enable_all()
            .build()
            .map_err(|source| Error::Threads { source })?;
        let service = Service { listener, inner, database, threads: Threads(Some(threads)) };
        Ok(Handle::spawn("dynamodb", addr, |stop| service.run(stop)))
    }

    /// Until the stop; requests that run then are answered, and dynoxide ends after its front.
    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        let Service { listener, inner, database, threads } = self;
        let Some(runtime) = &threads.0 else { return Ok(()) };
        let served = runtime.spawn(async move {
            let inner_addr = inner.local_addr()?;
            let (listener, inner) =
                (tokio::net::TcpListener::from_std(listener)?, tokio::net::TcpListener::from_std(inner)?);
            let front_ended = CancellationToken::new();
            let front = async {
                let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
                let served = axum::serve(listener, front::router(inner_addr));
                let ended = served.with_graceful_shutdown(stop.cancelled_owned()).await;
                front_ended.cancel();
                Ok::<_, BoxError>(ended?)
            };
            let ended = front_ended.clone().cancelled_owned();
            let behind = async {
                Ok::<_, BoxError>(dynoxide::server::serve_with_shutdown(inner, database, ended).await?)
            };
            tokio::try_join!(front, behind).map(|_| ())
        });
        served.await?
    }
}

fn bound(listen: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

fn open(file: &Path) -> Result<Database, BoxError> {
    let path = file.to_str().ok_or("its path is not UTF-8")?;
    let database = Database::new(path).map_err(|error| error.to_string())?;
    // `synchronous = NORMAL`: an answered write survives the death of the process, as in the broker's default, but perhaps
    // not a power cut; and no wait for the disk at each write.
    database.disable_bulk_loading().map_err(|error| error.to_string())?;
    Ok(database)
}

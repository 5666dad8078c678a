//! Starting, serving and stopping the status page.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use base::{BoxError, Handle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Error, Options, Part, page, snapshot::Watch};

/// What a browser may do with the page: show it. There is no script and nothing from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

pub struct Service {
    listener: TcpListener,
    watch: Arc<Watch>,
}

impl Service {
    /// Ready means: the port is bound. The parts are asked when somebody looks.
    pub async fn start(mut options: Options) -> Result<Handle, Error> {
        let listen = options.listen;
        let bind = |source| Error::Bind { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        options.parts.push(Part { name: "console".to_owned(), address: addr.to_string(), external: false });
        let service = Service { listener, watch: Arc::new(Watch::new(options)) };
        Ok(Handle::spawn("console", addr, |stop| service.run(stop)))
    }

    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        let router = Router::new()
            .route("/", get(index))
            .route("/health", get(async || "ok\n"))
            .route("/api/status", get(status))
            .with_state(self.watch);
        axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
        Ok(())
    }
}

async fn index(State(watch): State<Arc<Watch>>) -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page::page(&*watch.snapshot().await)))
}

async fn status(State(watch): State<Arc<Watch>>) -> impl IntoResponse {
    Json(watch.snapshot().await.as_ref().clone())
}

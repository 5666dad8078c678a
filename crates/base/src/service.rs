//! The handle that every part's `start` returns. What a part does is its own crate's.

use std::{error::Error, future::Future, net::SocketAddr, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// A part that is ready: its port is bound and its state is read back.
#[derive(Debug)]
pub struct Handle {
    pub name: &'static str,
    /// The one in use: port 0 in the options has become a real one here.
    pub addr: SocketAddr,
    /// Dropping a handle asks its part to stop.
    stop: DropGuard,
    main: JoinHandle<Result<(), BoxError>>,
}

#[derive(Debug, thiserror::Error)]
#[error("{name} did not stop within {grace_ms} ms and was cut off; what it acknowledged is safe")]
pub struct StopTimedOut {
    pub name: &'static str,
    pub grace_ms: u64,
}

impl Handle {
    pub fn spawn<F: Future<Output = Result<(), BoxError>> + Send + 'static>(
        name: &'static str,
        addr: SocketAddr,
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Handle {
        let stop = CancellationToken::new();
        Handle { name, addr, main: tokio::spawn(run(stop.clone())), stop: stop.drop_guard() }
    }

    /// Asks, waits `grace_ms`, then cuts off. What was acknowledged survives either way.
    pub async fn stop(mut self, grace_ms: u64) -> Result<(), BoxError> {
        drop(self.stop);
        let Ok(joined) = timeout(Duration::from_millis(grace_ms), &mut self.main).await else {
            self.main.abort();
            return Err(StopTimedOut { name: self.name, grace_ms }.into());
        };
        joined?
    }

    /// Whether the part has ended by itself, which only a failure makes it do.
    pub fn is_finished(&self) -> bool {
        self.main.is_finished()
    }

    /// Waits until the part ends by itself: the failure, with nobody having asked it to stop.
    pub async fn ended(&mut self) -> Result<(), BoxError> {
        (&mut self.main).await?
    }
}

//! The keys of who signs tokens: a JWKS document in a file or at an address, as in Kafka's `sasl.oauthbearer.jwks.endpoint.url`.
//! It is read when the broker starts, again every so often, and once more where a token names a key that is not among them.
//!
//! Who is let in is not decided here. A document that cannot be had or understood leaves the keys as they were.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use base::problem::line;
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use super::key::{self, Key};
use crate::{errors::Error, security::options::OauthOptions};

/// A provider's document has some keys of some hundred bytes each.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Kafka's `sasl.oauthbearer.jwks.endpoint.retry.backoff.ms` and `….max.ms`: the pause after a failure, doubled up to the
/// second, which is also how long one goes on.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

pub struct Keys {
    source: Source,
    refresh: Duration,
    current: RwLock<Arc<Vec<Key>>>,
    /// Held while the document is read: who waits for it takes what the other has got.
    reading: tokio::sync::Mutex<()>,
    asking: Mutex<Asking>,
}

enum Source {
    File(PathBuf),
    Address { url: String, client: reqwest::Client },
}

/// When a token's unknown key may be asked for: anybody can name one, and the provider is not to be flooded.
#[derive(Debug, Default)]
struct Asking {
    not_before: Option<Instant>,
    backoff: Option<Duration>,
}

impl Asking {
    /// Whether now; the next one waits longer unless this one turns out well.
    fn may(&mut self, now: Instant) -> bool {
        if self.not_before.is_some_and(|time| now < time) {
            return false;
        }
        let backoff = self.backoff.map_or(BACKOFF, |last| (last * 2).min(BACKOFF_MAX));
        (self.backoff, self.not_before) = (Some(backoff), Some(now + backoff));
        true
    }
}

impl Keys {
    /// Reads them for the first time; an address is tried for a while.
    pub async fn open(place: &str, options: &OauthOptions) -> Result<Keys, Error> {
        let keys = Keys {
            source: Source::at(place)?,
            refresh: Duration::from_millis(options.jwks_refresh_ms.max(1)),
            current: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
            asking: Mutex::default(),
        };
        keys.read_with_patience().await?;
        Ok(keys)
    }

    pub fn current(&self) -> Arc<Vec<Key>> {
        self.current.read().clone()
    }

    fn has(&self, id: &str) -> bool {
        self.current().iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Looks for a key that a token names, where there is none of that name and it is not too soon to ask again.
    pub async fn look_for(&self, id: &str) {
        if self.has(id) {
            return;
        }
        let may_ask = self.asking.lock().may(Instant::now());
        let _reading = self.reading.lock().await; // whoever is reading may find it
        if self.has(id) || !may_ask {
            return;
        }
        match self.read().await {
            Ok(()) if self.has(id) => *self.asking.lock() = Asking::default(),
            Ok(()) => tracing::info!(id, "a token names a key that its issuer does not publish"),
            Err(error) => tracing::warn!("{}", base::problem::plain(&error)),
        }
    }

    /// Reads them anew every so often.
    pub async fn refresh_until(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.refresh) => {}
            }
            let refreshed = async {
                let _reading = self.reading.lock().await;
                self.read_with_patience().await
            };
            tokio::select! {
                () = stop.cancelled() => return,
                refreshed = refreshed => if let Err(error) = refreshed {
                    tracing::warn!("{}", base::problem::plain(&error));
                }
            }
        }
    }

    /// An address is tried again for a while.
    async fn read_with_patience(&self) -> Result<(), Error> {
        let patience = BACKOFF_MAX.min(self.refresh);
        let begun = Instant::now();
        let mut backoff = BACKOFF;
        loop {
            match self.read().await {
                Err(error @ Error::Keys { .. }) if begun.elapsed() + backoff <= patience => {
                    tracing::debug!(%error, "is tried again");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                done => return done,
            }
        }
    }

    async fn read(&self) -> Result<(), Error> {
        let keys = self.source.read().await?;
        *self.current.write() = Arc::new(keys);
        Ok(())
    }
}

impl Source {
    fn at(place: &str) -> Result<Source, Error> {
        if !(place.starts_with("http://") || place.starts_with("https://")) {
            return Ok(Source::File(place.into()));
        }
        let client = cloud::http::client_builder().timeout(REQUEST_TIMEOUT).build();
        let client =
            client.map_err(|error| Error::Keys { address: place.to_owned(), reason: line(&error) })?;
        Ok(Source::Address { url: place.to_owned(), client })
    }

    async fn read(&self) -> Result<Vec<Key>, Error> {
        match self {
            Source::File(path) => {
                let read = tokio::fs::read(path).await.map_err(|error| error.to_string());
                read.and_then(|text| key::read_all(&text)).map_err(|reason| Error::Sasl {
                    reason: format!("{} holds no keys: {reason}", path.display()),
                })
            }
            Source::Address { url, client } => {
                let fetched = fetch(client, url).await.and_then(|document| key::read_all(&document));
                fetched.map_err(|reason| Error::Keys { address: url.clone(), reason })
            }
        }
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        line(&error)
    };
    let mut answer = client.get(url).header("accept", "application/json").send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let mut document = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if document.len() + chunk.len() > DOCUMENT_BYTES_MAX {
            return Err(format!("it answers more than {DOCUMENT_BYTES_MAX} bytes"));
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_asked_for_less_and_less_often() {
        let mut asking = Asking::default();
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let asked: Vec<u64> = (0..60_000).step_by(50).filter(|ms| asking.may(at(*ms))).collect();
        assert_eq!(asked, [0, 100, 300, 700, 1_500, 3_100, 6_300, 12_700, 22_700, 32_700, 42_700, 52_700]);
    }
}

//! Objects and addresses of the web as streams of bytes: what breaks off is asked for again from there on, and one that has
//! changed meanwhile is no longer read.
//!
//! Threads read here, not tasks: each call waits on the runtime that the source was opened on.

use std::{
    io::{self, Read},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use base::problem::line;
use bytes::Bytes;
use cloud::{Reason, http};
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectStore, path::Path};
use reqwest::{StatusCode, header};
use tokio::runtime::Handle;

use super::{Error, input::Kind};

/// Requests in a row that may bring nothing.
const TRIES_COUNT_MAX: u32 = 6;
const WAIT_MIN: Duration = Duration::from_millis(200);
/// A connection that brings nothing for so long is given up, and opened again.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An object or an address.
#[derive(Clone)]
pub(super) struct Remote {
    name: Arc<str>,
    kind: Kind,
    handle: Handle,
    known: Arc<OnceLock<Known>>,
}

/// What the first answer said.
#[derive(Debug, Clone, Default)]
struct Known {
    size: Option<u64>,
    /// The entity tag: the bytes are the same as long as it is.
    version: Option<String>,
    takes_ranges: bool,
}

type Bodies = BoxStream<'static, io::Result<Bytes>>;

/// An answer: what it says of the whole, where its bytes begin, and the bytes.
struct Answer {
    known: Known,
    start: u64,
    bodies: Bodies,
}

/// What cannot be mended by asking again.
enum Failure {
    Again(io::Error),
    Never(io::Error),
}

impl Remote {
    pub(super) fn new(name: Arc<str>, kind: Kind) -> Result<Self, Error> {
        let handle = Handle::try_current()
            .map_err(|source| Error::Fetch { name: name.clone(), source: Box::new(source) })?;
        Ok(Self { name, kind, handle, known: Arc::default() })
    }

    /// All bytes from `start` on.
    pub(super) fn stream(&self, start: u64) -> RangeStream {
        RangeStream {
            remote: self.clone(),
            at: start,
            end: None,
            bodies: None,
            rest: Bytes::new(),
            failed_count: 0,
        }
    }

    /// The size, and whether parts can be asked for: what reading from the end needs.
    pub(super) fn size_for_parts(&self) -> io::Result<Option<u64>> {
        if self.known.get().is_none() {
            // Any answer says it, that of an empty object too.
            let _count = self.stream(0).read(&mut [0])?;
        }
        Ok(self.known.get().filter(|known| known.takes_ranges).and_then(|known| known.size))
    }

    pub(super) fn part(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = Vec::with_capacity(length);
        let mut stream = RangeStream { end: Some(start + length as u64), ..self.stream(start) };
        Read::by_ref(&mut stream).take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    async fn ask(&self, start: u64, end: Option<u64>) -> Result<Answer, Failure> {
        let version = self.known.get().and_then(|known| known.version.clone());
        match &self.kind {
            Kind::Object { bucket, key } => {
                let path = Path::parse(key).map_err(|error| Failure::Never(io::Error::other(error)))?;
                let range = match (start, end) {
                    (0, None) => None,
                    (start, None) => Some(GetRange::Offset(start)),
                    (start, Some(end)) => Some(GetRange::Bounded(start..end)),
                };
                let options = GetOptions { range, if_match: version, ..GetOptions::default() };
                let got = bucket.store.get_opts(&path, options).await.map_err(|error| {
                    let is_over = matches!(error, object_store::Error::Precondition { .. });
                    let error = bucket.error(error, key);
                    // Where somebody has answered before, that nobody is there passes.
                    let is_nowhere =
                        matches!(error, cloud::Error::Unreachable { .. }) && !bucket.has_answered();
                    match error.is_passing() && !is_nowhere {
                        _ if is_over => Failure::Never(changed()),
                        true => Failure::Again(io::Error::other(error)),
                        false => Failure::Never(io::Error::other(error)),
                    }
                })?;
                let known =
                    Known { size: Some(got.meta.size), version: got.meta.e_tag.clone(), takes_ranges: true };
                let (bucket, key) = (bucket.clone(), key.clone());
                let broken = move |error| io::Error::other(bucket.error(error, &key));
                let bodies = got.into_stream().map_err(broken).boxed();
                Ok(Answer { known, start, bodies })
            }
            Kind::Web(url) => fetch(url, start, end, self.known.get()).await,
            Kind::File(_) | Kind::Stdin => Err(Failure::Never(io::ErrorKind::Unsupported.into())),
        }
    }
}

fn changed() -> io::Error {
    io::Error::other("it changed while it was read")
}

async fn fetch(
    url: &url::Url,
    start: u64,
    end: Option<u64>,
    known: Option<&Known>,
) -> Result<Answer, Failure> {
    let version = known.and_then(|known| known.version.clone());
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(http::client);
    let mut request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
    if start > 0 || end.is_some() {
        let last = end.map_or_else(String::new, |end| (end - 1).to_string());
        request = request.header(header::RANGE, format!("bytes={start}-{last}"));
        if let Some(version) = version.as_deref().filter(|version| !version.starts_with("W/")) {
            request = request.header(header::IF_RANGE, version);
        }
    }
    let place = url.origin().ascii_serialization();
    let answer = request.send().await.map_err(|error| {
        let error = error.without_url();
        // Where somebody has answered before, that nobody is there passes.
        match http::is_untrusted(&error) || (known.is_none() && http::is_nowhere(&error)) {
            true => Failure::Never(io::Error::other(cloud::Error::unreachable(&place, error))),
            false => Failure::Again(io::Error::other(Reason::of(error))),
        }
    })?;
    let status = answer.status();
    let text = |name: header::HeaderName| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let said = || io::Error::other(format!("HTTP {status}"));
    let is_partial = status == StatusCode::PARTIAL_CONTENT;
    if !status.is_success() {
        let is_passing = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        return Err(if is_passing { Failure::Again(said()) } else { Failure::Never(said()) });
    }
    let now = text(header::ETAG).or_else(|| text(header::LAST_MODIFIED));
    if version.is_some() && now != version {
        return Err(Failure::Never(changed()));
    }
    let size = if is_partial {
        text(header::CONTENT_RANGE).and_then(|range| range.rsplit_once('/')?.1.parse().ok())
    } else {
        answer.content_length()
    };
    let takes_ranges = is_partial || text(header::ACCEPT_RANGES).is_some_and(|unit| unit == "bytes");
    let known = Known { size, version: now, takes_ranges };
    let broken = |error: reqwest::Error| io::Error::other(Reason::of(error.without_url()));
    let bodies = answer.bytes_stream().map_err(broken).boxed();
    // A server that knows no ranges sends everything again.
    Ok(Answer { known, start: if is_partial { start } else { 0 }, bodies })
}

/// Bytes from one place on, whatever becomes of the connection.
pub(super) struct RangeStream {
    remote: Remote,
    /// The byte after the last one that was given.
    at: u64,
    end: Option<u64>,
    bodies: Option<Bodies>,
    rest: Bytes,
    failed_count: u32,
}

impl RangeStream {
    /// Asks from where we are on.
    async fn open(&mut self) -> Result<Bodies, Failure> {
        let asked = tokio::time::timeout(SILENCE_MAX, self.remote.ask(self.at, self.end)).await;
        let answer = asked.map_err(|_| Failure::Again(io::ErrorKind::TimedOut.into()))??;
        self.remote.known.set(answer.known).ok();
        let mut bodies = answer.bodies;
        let mut behind = self.at - answer.start;
        while behind > 0 {
            let Some(body) = next(&mut bodies).await.map_err(Failure::Again)? else { break };
            let skipped = behind.min(body.len() as u64);
            behind -= skipped;
            if skipped < body.len() as u64 {
                self.rest = body.slice(skipped as usize..);
            }
        }
        Ok(bodies)
    }

    async fn more(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut bodies = match self.bodies.take() {
            Some(bodies) => bodies,
            None => self.open().await?,
        };
        if !self.rest.is_empty() {
            self.bodies = Some(bodies);
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        let body = next(&mut bodies).await.map_err(Failure::Again)?;
        let size = self.end.or(self.remote.known.get().and_then(|known| known.size));
        match (&body, size) {
            // A body may end early without a word.
            (None, Some(size)) if self.at < size => Err(Failure::Again(io::ErrorKind::UnexpectedEof.into())),
            _ => {
                self.bodies = Some(bodies);
                Ok(body)
            }
        }
    }
}

async fn next(bodies: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin)) -> io::Result<Option<Bytes>> {
    loop {
        match tokio::time::timeout(SILENCE_MAX, bodies.next()).await {
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(None) => return Ok(None),
            Ok(Some(Ok(body))) if body.is_empty() => {}
            Ok(Some(body)) => return body.map(Some),
        }
    }
}

impl Read for RangeStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let handle = self.remote.handle.clone();
            match handle.block_on(self.more()) {
                Ok(None) => return Ok(0),
                Ok(Some(body)) => self.rest = body,
                Err(Failure::Never(error)) => return Err(error),
                Err(Failure::Again(error)) if self.failed_count + 1 == TRIES_COUNT_MAX => return Err(error),
                Err(Failure::Again(error)) => {
                    let wait = WAIT_MIN * 2u32.pow(self.failed_count);
                    let (name, why, wait_ms) = (&self.remote.name, line(&error), wait.as_millis() as u64);
                    tracing::warn!(%name, why, wait_ms, "asks for what is behind byte {} again", self.at);
                    thread::sleep(wait);
                    self.failed_count += 1;
                    self.bodies = None;
                }
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        self.at += count as u64;
        self.failed_count = 0;
        Ok(count)
    }
}

/// What reading from the end needs of an object or an address.
pub(super) struct Parts {
    remote: Remote,
    size: u64,
}

impl Parts {
    /// `None` where only the whole can be had.
    pub(super) fn of(remote: Remote) -> io::Result<Option<Self>> {
        Ok(remote.size_for_parts()?.map(|size| Self { remote, size }))
    }
}

impl parquet::file::reader::Length for Parts {
    fn len(&self) -> u64 {
        self.size
    }
}

impl parquet::file::reader::ChunkReader for Parts {
    type T = RangeStream;

    fn get_read(&self, start: u64) -> parquet::errors::Result<RangeStream> {
        Ok(self.remote.stream(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.remote.part(start, length)?;
        if bytes.len() < length {
            return Err(parquet::errors::ParquetError::EOF(format!("{} of {length} bytes", bytes.len())));
        }
        Ok(bytes)
    }
}

//! Google Cloud Storage: written through its JSON API, read through `object_store`.
//!
//! What goes in parts is a resumable upload: a session that a killed life leaves behind is no object, costs nothing and
//! ends by itself after a week, so there is nothing to list or to abort. Its chunks are sent in order, in multiples of
//! 256 KiB, and after a failure the service says how much it has.
//!
//! API: Objects.insert (media and resumable), Objects.rewrite, Objects.list, Buckets.insert of the JSON API, v1.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use base::Backoff;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart, gcp::GoogleCloudStorage,
    path::Path,
};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use url::Url;

use crate::{Error, errors::at, gcp::Identity, http::Answered};

/// A chunk of a resumable upload is a multiple of this, but the last.
const CHUNK_BYTES: usize = 256 << 10;
/// Tries after the first of one call; longer outages are the engine's to wait for.
const TRIES_COUNT_MAX: u32 = 5;
const WAIT_FIRST_MS: u64 = 200;
const WAIT_MS_MAX: u64 = 5_000;
const STORE: &str = "GCS";

/// A bucket as an object store, and the calls that `ObjectStore` has not.
#[derive(Debug, Clone)]
pub(crate) struct GcsStore {
    pub(crate) reads: GoogleCloudStorage,
    pub(crate) calls: Arc<GcsCalls>,
}

#[derive(Debug)]
pub(crate) struct GcsCalls {
    pub(crate) client: Client,
    pub(crate) answered: Answered,
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    pub(crate) project: Option<String>,
    pub(crate) identity: Option<Arc<Identity>>,
}

impl GcsCalls {
    fn address(&self) -> String {
        format!("gs://{}", self.bucket)
    }

    fn unreachable(&self, source: reqwest::Error) -> Error {
        Error::unreachable(&at(&self.address(), &self.endpoint), source)
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
        let refuse = |what: String| Error::Settings { what, help: "correct the endpoint".to_owned() };
        let mut url =
            Url::parse(&self.endpoint).map_err(|error| refuse(format!("{}: {error}", self.endpoint)))?;
        url.path_segments_mut()
            .map_err(|()| refuse(format!("{} cannot have a path", self.endpoint)))?
            .pop_if_empty()
            .extend(path);
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// Sends it, with a token; tries again where the service is busy or does not answer.
    async fn send(
        &self,
        method: Method,
        url: Url,
        build: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let mut backoff =
            Backoff::new(WAIT_FIRST_MS, WAIT_MS_MAX, TRIES_COUNT_MAX, u64::from(std::process::id()));
        loop {
            let failure = match self.send_once(method.clone(), url.clone(), &build).await {
                Ok(response) if !is_passing(response.status()) => return Ok(response),
                Ok(response) => self.refusal(response).await,
                Err(error) if error.is_passing() && !self.answered.is_final(&error) => error,
                Err(error) => return Err(error),
            };
            match backoff.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failure),
            }
        }
    }

    async fn send_once(
        &self,
        method: Method,
        url: Url,
        build: &impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let mut request = build(self.client.request(method, url));
        if let Some(identity) = &self.identity {
            request = request.bearer_auth(identity.token().await?.reveal());
        }
        let unreachable = |source: reqwest::Error| self.unreachable(source);
        let response = request.send().await.map_err(unreachable)?;
        self.answered.note();
        Ok(response)
    }

    /// What an answer other than success means.
    async fn refusal(&self, response: Response) -> Error {
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        let error = &serde_json::from_str::<Value>(&text).unwrap_or_default()["error"];
        let reason =
            error["errors"][0]["reason"].as_str().unwrap_or(status.canonical_reason().unwrap_or("refused"));
        let message = error["message"].as_str().unwrap_or(&text);
        let source = format!("{reason}: {message}").into();
        let place = self.address();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Denied { place, source },
            StatusCode::NOT_FOUND => Error::NoBucket { bucket: place, endpoint: self.endpoint.clone() },
            StatusCode::BAD_REQUEST => Error::Settings {
                what: format!("{place}: {reason}: {message}"),
                help: "correct the bucket's or the object's name".to_owned(),
            },
            _ => Error::Store { place, source },
        }
    }

    async fn expect_success(&self, response: Response) -> Result<Response, Error> {
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// Whether the bucket is there and we may list it.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let url = self.url(&["storage", "v1", "b", &self.bucket, "o"], &[("maxResults", "1")])?;
        let response = self.send(Method::GET, url, |request| request).await?;
        self.expect_success(response).await.map(drop)
    }

    /// Creates the bucket; one that is there and open to us already is as good.
    pub(crate) async fn create(&self) -> Result<(), Error> {
        let own = self.identity.as_deref().and_then(Identity::project);
        let Some(project) = self.project.as_deref().or(own) else {
            return Err(Error::Settings {
                what: format!("no project is named for the new bucket {}", self.bucket),
                help: "set GOOGLE_CLOUD_PROJECT".to_owned(),
            });
        };
        let url = self.url(&["storage", "v1", "b"], &[("project", project)])?;
        let body = json!({ "name": self.bucket });
        let response = self.send(Method::POST, url, |request| request.json(&body)).await?;
        if response.status() == StatusCode::CONFLICT {
            return self.check().await;
        }
        self.expect_success(response).await.map(drop)
    }

    async fn insert(&self, key: &Path, body: Bytes) -> Result<PutResult, Error> {
        let query = [("uploadType", "media"), ("name", key.as_ref())];
        let url = self.url(&["upload", "storage", "v1", "b", &self.bucket, "o"], &query)?;
        let octets = "application/octet-stream";
        let build = |request: RequestBuilder| request.header(header::CONTENT_TYPE, octets).body(body.clone());
        let response = self.send(Method::POST, url, build).await?;
        let response = self.expect_success(response).await?;
        self.stored(response).await
    }

    async fn stored(&self, response: Response) -> Result<PutResult, Error> {
        let text = response.text().await.map_err(|source| self.unreachable(source))?;
        let object: Value = serde_json::from_str(&text).unwrap_or_default();
        let word = |name: &str| object[name].as_str().map(str::to_owned);
        Ok(PutResult { e_tag: word("etag"), version: word("generation"), extensions: Default::default() })
    }

    /// Within the bucket; a large object may take several calls.
    async fn rewrite(&self, from: &Path, to: &Path) -> object_store::Result<()> {
        let bucket = self.bucket.as_str();
        let path =
            ["storage", "v1", "b", bucket, "o", from.as_ref(), "rewriteTo", "b", bucket, "o", to.as_ref()];
        let mut token = String::new();
        loop {
            let query = [("rewriteToken", token.as_str())];
            let url = self.url(&path, if token.is_empty() { &[] } else { &query }).map_err(generic)?;
            let response = self.send(Method::POST, url, |request| request.json(&json!({}))).await;
            let response = response.map_err(generic)?;
            if response.status() == StatusCode::NOT_FOUND {
                let source = self.refusal(response).await.into();
                return Err(object_store::Error::NotFound { path: from.to_string(), source });
            }
            let response = self.expect_success(response).await.map_err(generic)?;
            let unreachable = |source: reqwest::Error| self.unreachable(source);
            let text = response.text().await.map_err(unreachable).map_err(generic)?;
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            match answer["rewriteToken"].as_str().filter(|_| answer["done"] != true) {
                Some(next) => next.clone_into(&mut token),
                None => return Ok(()),
            }
        }
    }

    async fn begin_upload(&self, key: &Path) -> Result<Url, Error> {
        let query = [("uploadType", "resumable"), ("name", key.as_ref())];
        let url = self.url(&["upload", "storage", "v1", "b", &self.bucket, "o"], &query)?;
        let response = self.send(Method::POST, url, |request| request.json(&json!({}))).await?;
        let response = self.expect_success(response).await?;
        let session = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        session.and_then(|session| Url::parse(session).ok()).ok_or_else(|| Error::Store {
            place: self.address(),
            source: "a resumable upload was begun without a session".into(),
        })
    }
}

/// Worth another try by itself.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn generic(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: STORE, source: Box::new(error) }
}

/// One resumable upload. Parts may be sent from several tasks; each waits for its turn.
#[derive(Debug)]
struct Upload {
    session: Arc<Session>,
    parts_count: usize,
}

#[derive(Debug)]
struct Session {
    calls: Arc<GcsCalls>,
    url: Url,
    turn: watch::Sender<usize>,
    sent: Mutex<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    /// What the service has.
    bytes: u64,
    /// What waits for more, or for the end: less than a chunk and a byte.
    rest: Vec<Bytes>,
    is_broken: bool,
}

impl Session {
    async fn part(&self, number: usize, payload: PutPayload) -> Result<(), Error> {
        let mut turn = self.turn.subscribe();
        turn.wait_for(|turn| *turn == number).await.expect("the session holds the sender");
        let mut sent = self.sent.lock().await;
        let pushed = self.push(&mut sent, payload).await;
        sent.is_broken |= pushed.is_err();
        self.turn.send_replace(number + 1);
        pushed
    }

    /// Sends the whole chunks of what there is; the end, never empty, waits.
    async fn push(&self, sent: &mut Sent, payload: PutPayload) -> Result<(), Error> {
        self.expect_whole(sent)?;
        sent.rest.extend(payload.into_iter().filter(|piece| !piece.is_empty()));
        let held: usize = sent.rest.iter().map(Bytes::len).sum();
        let ready = held.saturating_sub(1) / CHUNK_BYTES * CHUNK_BYTES;
        if ready == 0 {
            return Ok(());
        }
        let chunk = take(&mut sent.rest, ready);
        self.send(sent.bytes, chunk, None).await?;
        sent.bytes += ready as u64;
        Ok(())
    }

    async fn finish(&self) -> Result<PutResult, Error> {
        let mut sent = self.sent.lock().await;
        self.expect_whole(&sent)?;
        let rest = std::mem::take(&mut sent.rest);
        let total = sent.bytes + rest.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let answer = self.send(sent.bytes, rest, Some(total)).await?;
        let answer = answer.ok_or_else(|| self.failed("the service waits for more than all bytes"))?;
        self.calls.stored(answer).await
    }

    fn expect_whole(&self, sent: &Sent) -> Result<(), Error> {
        if sent.is_broken { Err(self.failed("an earlier part was not sent")) } else { Ok(()) }
    }

    fn failed(&self, what: &'static str) -> Error {
        Error::Store { place: self.calls.address(), source: what.into() }
    }

    /// Sends `pieces`, which begin at byte `start`; goes on from where the service says it is. `None`: it wants more.
    async fn send(
        &self,
        mut start: u64,
        mut pieces: Vec<Bytes>,
        total: Option<u64>,
    ) -> Result<Option<Response>, Error> {
        let mut backoff = Backoff::new(WAIT_FIRST_MS, WAIT_MS_MAX, TRIES_COUNT_MAX, start);
        let mut is_asking = false;
        loop {
            let asked = if is_asking { Vec::new() } else { pieces.clone() };
            let failure = match self.put(start, asked, total, is_asking).await {
                Ok(response) if response.status().is_success() => return Ok(Some(response)),
                Ok(response) if response.status() == StatusCode::PERMANENT_REDIRECT => {
                    let have = stored_bytes(&response);
                    let end = start + pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
                    if have < start || have > end {
                        return Err(self.failed("the service lost bytes that it had"));
                    }
                    if have == end && total.is_none() {
                        return Ok(None);
                    }
                    let went_on = have > start || is_asking;
                    take(&mut pieces, (have - start) as usize);
                    start = have;
                    is_asking = false;
                    if went_on {
                        continue;
                    }
                    self.failed("the service took no bytes")
                }
                Ok(response) if is_passing(response.status()) => self.calls.refusal(response).await,
                Ok(response) => return Err(self.calls.refusal(response).await),
                Err(error) if error.is_passing() => error,
                Err(error) => return Err(error),
            };
            is_asking = true;
            match backoff.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failure),
            }
        }
    }

    async fn put(
        &self,
        start: u64,
        pieces: Vec<Bytes>,
        total: Option<u64>,
        is_asking: bool,
    ) -> Result<Response, Error> {
        let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let all = total.map_or("*".to_owned(), |total| total.to_string());
        let range = match (is_asking, bytes) {
            (true, _) | (_, 0) => format!("bytes */{all}"),
            (false, _) => format!("bytes {start}-{}/{all}", start + bytes - 1),
        };
        let build = |request: RequestBuilder| {
            let pieces = futures::stream::iter(pieces.clone().into_iter().map(Ok::<_, std::io::Error>));
            request
                .header(header::CONTENT_RANGE, &range)
                .header(header::CONTENT_LENGTH, bytes)
                .body(Body::wrap_stream(pieces))
        };
        self.calls.send_once(Method::PUT, self.url.clone(), &build).await
    }
}

/// `Range: bytes=0-524287` says that 524,288 bytes are there; no header: none.
fn stored_bytes(response: &Response) -> u64 {
    let range = response.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
    let last = range.and_then(|range| range.rsplit('-').next()?.parse::<u64>().ok());
    last.map_or(0, |last| last + 1)
}

/// The first `count` bytes, without copying.
fn take(pieces: &mut Vec<Bytes>, mut count: usize) -> Vec<Bytes> {
    let mut taken = Vec::new();
    while count > 0 && !pieces.is_empty() {
        let whole = pieces[0].len();
        let piece = if whole <= count { pieces.remove(0) } else { pieces[0].split_to(count) };
        count -= piece.len();
        taken.push(piece);
    }
    taken
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (session, number) = (self.session.clone(), self.parts_count);
        self.parts_count += 1;
        Box::pin(async move { session.part(number, payload).await.map_err(generic) })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        self.session.finish().await.map_err(generic)
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        let Session { calls, url, .. } = &*self.session;
        // The service answers 499 to a session that is given up; that it ended is all that counts.
        calls.send_once(Method::DELETE, url.clone(), &|request| request).await.map(drop).map_err(generic)
    }
}

#[async_trait]
impl ObjectStore for GcsStore {
    async fn put_opts(
        &self,
        key: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if options.mode != PutMode::Overwrite || !options.attributes.is_empty() {
            return Err(not_implemented("a conditional write, or one with attributes"));
        }
        self.calls.insert(key, payload.into()).await.map_err(generic)
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        if !options.attributes.is_empty() {
            return Err(not_implemented("an object's attributes"));
        }
        let url = self.calls.begin_upload(key).await.map_err(generic)?;
        let (turn, _) = watch::channel(0);
        let session = Session { calls: self.calls.clone(), url, turn, sent: Mutex::default() };
        Ok(Box::new(Upload { session: Arc::new(session), parts_count: 0 }))
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.reads.get_opts(key, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.reads.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.reads.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.reads.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        if options.mode != CopyMode::Overwrite {
            return Err(not_implemented("a conditional copy"));
        }
        self.calls.rewrite(from, to).await
    }
}

fn not_implemented(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() }
}

impl fmt::Display for GcsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.calls.address())
    }
}

#[cfg(test)]
mod tests;

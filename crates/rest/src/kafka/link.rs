//! Connections to brokers: opened when one is needed, kept for a while, bounded in their number. One request at a time on each.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use kafka_protocol::{
    messages::{ApiVersionsRequest, RequestHeader, ResponseHeader},
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};
use wire::frame::{FRAME_BYTES_MAX, LENGTH_BYTES, frame_length, put_frame};

use super::security::Security;
use crate::Error;

/// Connections at once, to all brokers; who comes later waits.
const LINKS_COUNT_MAX: usize = 16;
/// Those that are kept for the next request, to one broker.
const IDLE_COUNT_MAX: usize = 2;
/// Brokers close what is idle for longer than some minutes: before that, we do.
const IDLE_TIME: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CLIENT_ID: &str = "tidemill-rest";

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Why there is no answer.
pub(super) enum Fault {
    /// The connection is gone, or never was: another broker may be asked.
    Lost(String),
    /// The connection waits for an answer that nobody waits for any more.
    Slow(Error),
    Other(Error),
}

pub(super) struct Pool {
    /// What it says where the properties cannot be used; only then, as records go over librdkafka.
    security: Result<Security, (String, String)>,
    idle: Mutex<HashMap<String, Vec<Link>>>,
    places: Semaphore,
}

impl Pool {
    pub fn new(security: Result<Security, (String, String)>) -> Self {
        Self { security, idle: Mutex::default(), places: Semaphore::new(LINKS_COUNT_MAX) }
    }

    pub async fn ask<R: Request>(
        &self,
        address: &str,
        versions: &RangeInclusive<i16>,
        request: &R,
    ) -> Result<R::Response, Fault> {
        let security = self.security.as_ref().map_err(|(name, reason)| {
            Fault::Other(Error::Property { name: name.clone(), reason: reason.clone() })
        })?;
        let closed = |_| Fault::Lost("the proxy is stopping".to_owned());
        let _place = self.places.acquire().await.map_err(closed)?;
        if let Some(mut link) = self.kept(address) {
            match link.ask(versions, request).await {
                // It was closed meanwhile: a new one is tried below.
                Err(Fault::Lost(_)) => {}
                Err(Fault::Slow(error)) => return Err(Fault::Slow(error)),
                answered => {
                    self.keep(address, link);
                    return answered;
                }
            }
        }
        let opened = timeout(CONNECT_TIMEOUT, Link::open(address, security)).await;
        let mut link = opened.map_err(|_| Fault::Lost(format!("no connection to {address} in time")))??;
        let answered = link.ask(versions, request).await;
        if !matches!(answered, Err(Fault::Lost(_) | Fault::Slow(_))) {
            self.keep(address, link);
        }
        answered
    }

    fn kept(&self, address: &str) -> Option<Link> {
        let mut idle = self.idle.lock();
        let links = idle.get_mut(address)?;
        links.retain(|link| link.used.elapsed() < IDLE_TIME);
        links.pop()
    }

    fn keep(&self, address: &str, mut link: Link) {
        link.used = Instant::now();
        let mut idle = self.idle.lock();
        let links = idle.entry(address.to_owned()).or_default();
        if links.len() < IDLE_COUNT_MAX {
            links.push(link);
        }
    }
}

/// One connection, its handshakes done.
pub(super) struct Link {
    stream: Box<dyn Duplex>,
    /// What the broker has, by API key.
    versions: HashMap<i16, RangeInclusive<i16>>,
    next_id: i32,
    used: Instant,
}

impl Link {
    pub async fn open(address: &str, security: &Security) -> Result<Link, Fault> {
        let lost = |error: std::io::Error| Fault::Lost(format!("{address}: {error}"));
        let plain = TcpStream::connect(address).await.map_err(lost)?;
        plain.set_nodelay(true).map_err(lost)?;
        let stream = security.secured(address, plain).await?;
        let mut link = Link { stream, versions: HashMap::new(), next_id: 0, used: Instant::now() };
        // Every broker answers version 0.
        let told = link.exchange(0, &ApiVersionsRequest::default()).await?;
        let ranges = told.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        link.versions = ranges.collect();
        security.authenticate(&mut link).await?;
        Ok(link)
    }

    pub async fn ask<R: Request>(
        &mut self,
        versions: &RangeInclusive<i16>,
        request: &R,
    ) -> Result<R::Response, Fault> {
        // 35 is Kafka's UNSUPPORTED_VERSION.
        let unsupported = |reason: &str| Fault::Other(Error::Refused { code: 35, reason: reason.to_owned() });
        let known = self.versions.get(&R::KEY);
        let known = known.ok_or_else(|| unsupported("The broker does not have this request."))?;
        let version = *versions.end().min(known.end());
        if version < *versions.start().max(known.start()) {
            return Err(unsupported("The broker has other versions of this request only."));
        }
        self.exchange(version, request).await
    }

    async fn exchange<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Fault> {
        match timeout(ANSWER_TIMEOUT, self.send_and_read(version, request)).await {
            Ok(answered) => answered,
            // It may have been done: it is not asked of another broker.
            Err(_) => {
                let reason = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
                Err(Fault::Slow(Error::Client { reason, retriable: true }))
            }
        }
    }

    async fn send_and_read<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Fault> {
        let lost = |error: std::io::Error| Fault::Lost(error.to_string());
        let ours = |reason: String| Fault::Other(Error::Body { reason });
        self.next_id = self.next_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.next_id)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut frame = BytesMut::new();
        let written = put_frame(&mut frame, |frame| {
            header.encode(frame, R::header_version(version))?;
            request.encode(frame, version)
        });
        written.map_err(|error| ours(error.to_string()))?.map_err(|error| ours(error.to_string()))?;
        self.stream.write_all(&frame).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)?;
        let mut prefix = [0; LENGTH_BYTES];
        self.stream.read_exact(&mut prefix).await.map_err(lost)?;
        let length =
            frame_length(&prefix, FRAME_BYTES_MAX).map_err(|error| Fault::Lost(error.to_string()))?;
        let mut answer = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut answer).await.map_err(lost)?;
        let mut answer = bytes::Bytes::from(answer);
        let unreadable = |error: String| Fault::Lost(format!("an answer cannot be read: {error}"));
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version));
        let header = header.map_err(|error| unreadable(error.to_string()))?;
        if header.correlation_id != self.next_id {
            return Err(unreadable("it is the answer to another request".to_owned()));
        }
        let response = R::Response::decode(&mut answer, version);
        debug_assert!(response.is_err() || !answer.has_remaining(), "an answer is read to its end");
        response.map_err(|error| unreadable(error.to_string()))
    }
}

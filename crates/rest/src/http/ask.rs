//! What a request asks for: the names in its path, its query, its headers and its body, all of it within the bounds.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request},
    http::{header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use cloud::answers::Refused;
use futures::StreamExt;
use serde_json::Value as Json;

use super::Answer;
use crate::{Error, Options, consumers::Place, room::Share, service::Proxy};

/// Path, query and headers.
pub(super) struct Asked {
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
    /// What links begin with: `http://host:port`.
    pub base: String,
    pub accept: Option<String>,
    pub content_type: Option<String>,
}

/// The same with the body.
pub(super) struct Ask {
    pub asked: Asked,
    pub body: Bytes,
    /// The memory that the body has, and that more may be taken of.
    pub share: Share,
}

impl std::ops::Deref for Ask {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

impl Asked {
    pub async fn of(parts: &mut Parts, options: &Options) -> Result<Self, Error> {
        let path = match RawPathParams::from_request_parts(parts, &()).await {
            Ok(path) => path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            Err(_) => Vec::new(),
        };
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(query) = query.map_err(|error| Error::Body { reason: error.to_string() })?;
        let text = |name: header::HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let base = options.advertised.clone().unwrap_or_else(|| {
            let host = text(header::HOST).unwrap_or_else(|| options.listen.to_string());
            format!("http://{host}")
        });
        let (accept, content_type) = (text(header::ACCEPT), text(header::CONTENT_TYPE));
        Ok(Self { path, query, base, accept, content_type })
    }

    pub fn named(&self, name: &str) -> &str {
        self.path.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A number in the path; what is none names nothing.
    pub fn number(&self, name: &str) -> Result<i32, Error> {
        self.named(name).parse().map_err(|_| Error::Http(Refused::Page))
    }

    /// A positive number of the query; any other counts for nothing, as for Confluent's.
    pub fn positive(&self, name: &str) -> Result<Option<u64>, Error> {
        let Some(text) = self.param(name) else { return Ok(None) };
        let number: i64 = text.parse().map_err(|_| Error::Http(Refused::Page))?;
        Ok(u64::try_from(number).ok().filter(|number| *number > 0))
    }
}

impl FromRequest<Arc<Proxy>> for Ask {
    type Rejection = Answer;

    async fn from_request(request: Request, proxy: &Arc<Proxy>) -> Result<Self, Answer> {
        let (mut parts, body) = request.into_parts();
        let asked = Asked::of(&mut parts, &proxy.options).await.map_err(|error| Answer(Err(error)))?;
        let mut share = proxy.room.share();
        let read = read(body, proxy.options.request_bytes_max, &mut share).await;
        let body = read.map_err(|error| Answer(Err(error)))?;
        Ok(Self { asked, body, share })
    }
}

async fn read(body: Body, bytes_max: usize, share: &mut Share) -> Result<Bytes, Error> {
    let (mut chunks, mut whole) = (body.into_data_stream(), BytesMut::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Error::Body { reason: error.to_string() })?;
        let bytes = whole.len() + chunk.len();
        if bytes > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        share.hold(bytes)?;
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

impl Ask {
    /// The body as JSON; none where there is no body.
    pub fn json(&self) -> Result<Option<Json>, Error> {
        if self.body.trim_ascii().is_empty() {
            return Ok(None);
        }
        let read = serde_json::from_slice(&self.body);
        read.map(Some).map_err(|error| Error::Body { reason: format!("Error processing JSON: {error}") })
    }

    /// The body as a JSON object that has to be there, with these members at most.
    pub fn object(&self, known: &[&str]) -> Result<Json, Error> {
        let body =
            self.json()?.ok_or_else(|| Error::Unprocessable { reason: "the body is missing".to_owned() })?;
        only(&body, known)?;
        Ok(body)
    }
}

/// Refuses members that nobody knows: mistakes in their names would pass silently.
pub(super) fn only(json: &Json, known: &[&str]) -> Result<(), Error> {
    let Json::Object(members) = json else {
        return Err(Error::Unprocessable { reason: "a JSON object is expected".to_owned() });
    };
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Error::Unprocessable { reason: format!("Unrecognized field: {name}") }),
        None => Ok(()),
    }
}

/// A member that may be missing or null, read by `read`.
pub(super) fn member<'a, T>(
    json: &'a Json,
    name: &str,
    read: impl FnOnce(&'a Json) -> Option<T>,
) -> Result<Option<T>, Error> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => match read(value) {
            Some(value) => Ok(Some(value)),
            None => {
                let found = contracts::shorten(&value.to_string(), 60);
                Err(Error::Unprocessable { reason: format!("{name} cannot be {found}") })
            }
        },
    }
}

/// A member that has to be there.
pub(super) fn needed<'a, T>(
    json: &'a Json,
    name: &str,
    read: impl FnOnce(&'a Json) -> Option<T>,
) -> Result<T, Error> {
    member(json, name, read)?
        .ok_or_else(|| Error::Unprocessable { reason: format!("{name} may not be null") })
}

pub(super) fn integer(json: &Json) -> Option<i32> {
    json.as_i64().and_then(|number| i32::try_from(number).ok())
}

/// `{"topic": …, "partition": …}`
pub(super) fn place(json: &Json) -> Result<Place, Error> {
    let topic = needed(json, "topic", Json::as_str)?;
    Ok((topic.to_owned(), needed(json, "partition", integer)?))
}

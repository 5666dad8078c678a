//! What stands before dynoxide: a Scan or Query without a bound gets one.
//!
//! Dynoxide reads all that is left of a table into memory for each page of 1 MB, unless the request has a `Limit`: a client
//! that walks through half a million items would take minutes and hundreds of megabytes. With the bound a page ends after
//! so many items or 1 MB, whichever comes first, and tells where to go on, as DynamoDB's pages do. All else passes as it is.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, Response, StatusCode, Uri, header},
};
use serde::de::IgnoredAny;

/// Items of 100 bytes fill 1 MB so; smaller ones make shorter pages.
const PAGE_ITEMS_COUNT: usize = 10_000;
/// DynamoDB's own bound is 16 MB; what is longer is dynoxide's to refuse.
const BODY_BYTES_MAX: usize = 17 << 20;

#[derive(Clone)]
struct Inner {
    url: String,
    /// Made by the first request: it takes longer than all of the start.
    http: Arc<OnceLock<reqwest::Client>>,
}

/// Answers with what dynoxide at `inner` answers.
pub(super) fn router(inner: SocketAddr) -> Router {
    let inner = Inner { url: format!("http://{inner}"), http: Arc::default() };
    Router::new().fallback(forward).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(inner)
}

async fn forward(
    State(inner): State<Inner>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let body = if is_paged(&headers) { bounded(body) } else { body };
    let http = inner.http.get_or_init(cloud::http::client);
    let request = http.request(method, format!("{}{path}", inner.url));
    let request = request.headers(carried(headers)).body(body);
    let answer = async {
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), carried(answer.headers().clone()));
        Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
    };
    let (status, headers, body) = answer.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the DynamoDB endpoint did not answer itself");
        (StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new(), Bytes::new()) // SDKs try again
    });
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Headers without those that belong to one connection.
fn carried(mut headers: HeaderMap) -> HeaderMap {
    for own in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING] {
        headers.remove(own);
    }
    headers
}

fn is_paged(headers: &HeaderMap) -> bool {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    matches!(target.rsplit('.').next(), Some("Scan" | "Query"))
}

/// The request with a `Limit`; one that has its own, or is no object of JSON, as it is.
fn bounded(body: Bytes) -> Bytes {
    let Ok(members) = serde_json::from_slice::<HashMap<String, IgnoredAny>>(&body) else { return body };
    if members.is_empty() || members.contains_key("Limit") {
        return body;
    }
    let Some(start) = body.iter().position(|byte| *byte == b'{') else { return body };
    let limit = format!("{{\"Limit\":{PAGE_ITEMS_COUNT},");
    [limit.as_bytes(), &body[start + 1..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_without_a_limit_gets_one() {
        let bounded = |text: &'static str| bounded(Bytes::from_static(text.as_bytes()));
        assert_eq!(bounded(" {\"TableName\":\"a\"}"), "{\"Limit\":10000,\"TableName\":\"a\"}");
        for same in
            ["{\"TableName\":\"a\",\"Limit\":5}", "{\"Limit\":null,\"a\":1}", "{}", "[1]", "", "{\"a\":"]
        {
            assert_eq!(bounded(same), same);
        }
    }
}

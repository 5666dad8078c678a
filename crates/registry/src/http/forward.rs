//! Passing on what another registry has to write: the whole request, and its answer back.

use std::time::{Duration, Instant};

use axum::{
    body::to_bytes,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use super::{Answer, BODY_BYTES_MAX, Shared, ask::text};
use crate::{Error, election::Leader, journal::Journal};

/// Confluent's mark of a request that was passed on, which is not passed on again.
const FORWARD_HEADER: &str = "x-forward";
/// Until the leader is given up, or another one leads.
const LEADER_TIMEOUT: Duration = Duration::from_secs(15);
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Lets through what is only read and what this registry may write; the rest goes to the one that leads.
pub(super) async fn writes(State(journal): Shared, request: Request, next: Next) -> Response {
    if !is_write(&request) {
        return next.run(request).await;
    }
    match journal.election().leader().await {
        Ok(Leader::Me { .. }) => next.run(request).await,
        Ok(Leader::Other { .. }) if request.headers().contains_key(FORWARD_HEADER) => {
            let reason = "it was passed on to this registry, which does not lead any more".to_owned();
            Answer(Err(Error::NoLeader { reason })).into_response()
        }
        Ok(Leader::Other { .. }) => pass_on(&journal, request, next).await,
        Err(error) => Answer(Err(error)).into_response(),
    }
}

fn is_write(request: &Request) -> bool {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    match *request.method() {
        Method::PUT | Method::DELETE => !path.is_empty(),
        Method::POST => {
            let ends =
                ["/subjects/{subject}/versions", "/tags", "/associations", "/associations:batchMutate"];
            ends.iter().any(|end| path.ends_with(end)) && !path.contains("/compatibility/")
        }
        _ => false,
    }
}

async fn pass_on(journal: &Journal, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Answer(Err(Error::Body { reason: "it is too large, or was cut".to_owned() })).into_response();
    };
    let began = Instant::now();
    loop {
        let (leader, reason) = match journal.election().leader().await {
            // The other one has gone meanwhile.
            Ok(Leader::Me { .. }) => return next.run(Request::from_parts(parts, body.into())).await,
            Ok(Leader::Other { url }) => match send(&url, &parts, body.clone()).await {
                Ok(response) => {
                    // Whoever asks here next finds what was written there.
                    journal.catch_up().await;
                    return response;
                }
                Err(error) => (url, error.to_string()),
            },
            Err(error) => return Answer(Err(error)).into_response(),
        };
        if began.elapsed() > LEADER_TIMEOUT {
            return Answer(Err(Error::Forward { leader, reason })).into_response();
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn send(leader: &str, parts: &Parts, body: Bytes) -> Result<Response, reqwest::Error> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", leader.trim_end_matches('/'));
    let mut request =
        cloud::http::client().request(parts.method.clone(), url).timeout(ANSWER_TIMEOUT).body(body);
    for name in [header::CONTENT_TYPE, header::ACCEPT, header::AUTHORIZATION] {
        if let Some(value) = parts.headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let answer = request.header(FORWARD_HEADER, "false").send().await?;
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = text(answer.bytes().await?);
    *response.status_mut() = status;
    Ok(response)
}

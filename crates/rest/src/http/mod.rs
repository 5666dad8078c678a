//! The two APIs: what a request asks for, what it is answered with, and the media types. One folder for each version.

mod ask;
mod v2;
mod v3;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value as Json, json};

use crate::{Error, service::Proxy};
use ask::Ask;

type Shared = axum::extract::State<Arc<Proxy>>;

pub(crate) fn router(proxy: Arc<Proxy>) -> Router {
    Router::new()
        .route("/", get(async || Answer::of(json!({}))))
        .merge(v2::router())
        .nest("/v3", v3::router())
        .fallback(async || Answer(Err(Error::NoSuchPage)))
        .method_not_allowed_fallback(async || Answer(Err(Error::NoSuchMethod)))
        .with_state(proxy)
}

/// What a request is answered with where nothing went wrong.
struct Reply {
    status: StatusCode,
    body: Option<Json>,
    location: Option<String>,
}

impl From<Json> for Reply {
    fn from(body: Json) -> Self {
        Self { status: StatusCode::OK, body: Some(body), location: None }
    }
}

impl Reply {
    fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, location: None }
    }

    fn created(body: Option<Json>, location: String) -> Self {
        Self { status: StatusCode::CREATED, body, location: Some(location) }
    }
}

/// What every handler gives back.
struct Answer(Result<Reply, Error>);

impl Answer {
    fn of(body: Json) -> Self {
        Answer(Ok(body.into()))
    }
}

impl From<Result<Json, Error>> for Answer {
    fn from(answered: Result<Json, Error>) -> Self {
        Answer(answered.map(Reply::from))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Reply { status, body, location } = match self.0 {
            Ok(reply) => reply,
            Err(error) => {
                let status =
                    StatusCode::from_u16(error.answer().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Reply { status, body: Some(error_body(&error)), location: None }
            }
        };
        let has_body = body.is_some();
        let mut response = Response::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        *response.status_mut() = status;
        if has_body {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

fn error_body(error: &Error) -> Json {
    json!({ "error_code": error.answer().1, "message": error.to_string() })
}

/// The best of `offered` by an Accept header, `a/b;q=0.5, */*`; the first of equals.
fn accepted<'a>(header: Option<&str>, offered: &[&'a str]) -> Option<&'a str> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return offered.first().copied();
    };
    let mut best: Option<(f32, &'a str)> = None;
    for range in header.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        let found = match name {
            "*/*" | "application/*" => offered.first().copied(),
            name => offered.iter().find(|known| known.eq_ignore_ascii_case(name)).copied(),
        };
        if let Some(found) = found.filter(|_| weight > 0.0 && best.is_none_or(|(known, _)| weight > known)) {
            best = Some((weight, found));
        }
    }
    best.map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_the_one_asked_for() {
        const OFFERED: [&str; 3] =
            ["application/vnd.kafka.v2+json", "application/vnd.kafka.avro.v2+json", "application/json"];
        for (header, expected) in [
            (None, Some(OFFERED[0])),
            (Some("*/*"), Some(OFFERED[0])),
            (Some("application/vnd.kafka.avro.v2+json"), Some(OFFERED[1])),
            (Some("text/html, application/json;q=0.9, */*;q=0.8"), Some(OFFERED[2])),
            (Some("application/json; q=0"), None),
            (Some("text/html"), None),
        ] {
            assert_eq!(accepted(header, &OFFERED), expected, "{header:?}");
        }
    }
}

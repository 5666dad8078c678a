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
use cloud::answers::Refused;
use serde_json::{Value as Json, json};

use crate::{Error, service::Proxy};
use ask::Ask;

type Shared = axum::extract::State<Arc<Proxy>>;

pub(crate) fn router(proxy: Arc<Proxy>) -> Router {
    Router::new()
        .route("/", get(async || Answer::of(json!({}))))
        .merge(v2::router())
        .nest("/v3", v3::router())
        .fallback(async || Answer(Err(Error::Http(Refused::Page))))
        .method_not_allowed_fallback(async || Answer(Err(Error::Http(Refused::Method))))
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
        // Who finds no memory left may come again soon; everybody else has to change something first.
        let is_busy = matches!(self.0, Err(Error::Busy { .. }));
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
        if is_busy {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
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

//! Confluent's v2: topics and partitions, records in and out, consumer instances. Media types say how records are written.

mod consumers;
mod produce;
mod topics;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cloud::answers::{Refused, accepted};

use super::{Answer, Ask, Reply, Shared, ask};
use crate::{Error, formats::Format, service::Proxy};

/// What answers come as; `application/json` is for those who ask for nothing else.
const MEDIA_TYPES: [&str; 8] = [
    "application/vnd.kafka.v2+json",
    "application/vnd.kafka+json",
    "application/json",
    "application/vnd.kafka.binary.v2+json",
    "application/vnd.kafka.json.v2+json",
    "application/vnd.kafka.avro.v2+json",
    "application/vnd.kafka.jsonschema.v2+json",
    "application/vnd.kafka.protobuf.v2+json",
];

pub(super) fn router() -> Router<Arc<Proxy>> {
    const INSTANCE: &str = "/consumers/{group}/instances/{instance}";
    let below = |path: &str| format!("{INSTANCE}/{path}");
    Router::new()
        .route("/brokers", get(topics::brokers))
        .route("/topics", get(topics::all))
        .route("/topics/{topic}", get(topics::one).post(produce::to_topic))
        .route("/topics/{topic}/partitions", get(topics::partitions))
        .route("/topics/{topic}/partitions/{partition}", get(topics::partition).post(produce::to_partition))
        .route("/topics/{topic}/partitions/{partition}/offsets", get(topics::offsets))
        .route("/consumers/{group}", post(consumers::create))
        .route(INSTANCE, axum::routing::delete(consumers::delete))
        .route(
            &below("subscription"),
            get(consumers::subscription).post(consumers::subscribe).delete(consumers::unsubscribe),
        )
        .route(&below("assignments"), get(consumers::assignments).post(consumers::assign))
        .route(&below("positions"), post(consumers::seek))
        .route(&below("positions/beginning"), post(consumers::seek_to_beginning))
        .route(&below("positions/end"), post(consumers::seek_to_end))
        .route(&below("offsets"), get(consumers::committed).post(consumers::commit))
        .route(&below("records"), get(consumers::records))
        .layer(middleware::from_fn(negotiate))
}

/// Answers with the media type that was asked for, and takes those that Confluent's takes.
async fn negotiate(request: Request, next: Next) -> Response {
    let media_type = {
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let given =
            text(header::CONTENT_TYPE).map(|value| value.split(';').next().unwrap_or_default().trim());
        let is_taken =
            given.is_none_or(|given| MEDIA_TYPES.iter().any(|known| known.eq_ignore_ascii_case(given)));
        match accepted(text(header::ACCEPT), &MEDIA_TYPES) {
            None => Err(Error::Http(Refused::Accept)),
            Some(_) if !is_taken => Err(Error::Http(Refused::MediaType)),
            Some(media_type) => Ok(media_type),
        }
    };
    let media_type = match media_type {
        Ok(media_type) => media_type,
        Err(error) => return Answer(Err(error)).into_response(),
    };
    let mut response = next.run(request).await;
    if response.headers().contains_key(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    response
}

/// The format that a media type names: `application/vnd.kafka.avro.v2+json`.
fn embedded(media_type: &str) -> Option<Format> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let word = media_type.strip_prefix("application/vnd.kafka.")?.strip_suffix(".v2+json")?;
    Format::embedded(word)
}

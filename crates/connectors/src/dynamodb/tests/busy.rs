//! A DynamoDB that is busy at first, which none of the real ones on this machine can be: it stands before the embedded
//! one, refuses some calls or leaves writes undone, and hands the others on as they are.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};

use super::Peer;

#[derive(Clone)]
pub(super) struct Busy {
    upstream: String,
    http: reqwest::Client,
    /// Data calls still to be refused, in turn: throttled, unprocessed, a fault of the server.
    left: Arc<AtomicU32>,
    pub(super) refused: Arc<AtomicU32>,
}

/// Refuses `count` calls that read or write items.
pub(super) async fn before(peer: &Peer, count: u32) -> (Peer, Busy) {
    let http = cloud::http::client();
    let busy =
        Busy { upstream: peer.endpoint.clone(), http, left: Arc::new(count.into()), refused: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer).with_state(busy.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (Peer { name: "busy", endpoint }, busy)
}

async fn answer(State(busy): State<Busy>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    let is_data = !target.ends_with("Table");
    let left = busy.left.load(SeqCst);
    if is_data && left > 0 && busy.left.compare_exchange(left, left - 1, SeqCst, SeqCst).is_ok() {
        let number = busy.refused.fetch_add(1, SeqCst);
        return refusal(number, &target, &body);
    }
    let mut request = busy.http.post(&busy.upstream).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length") {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.bytes().await.unwrap())
}

fn refusal(number: u32, target: &str, body: &[u8]) -> (StatusCode, Bytes) {
    let told = |kind: &str, message: &str| {
        json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message })
            .to_string()
            .into()
    };
    match number % 3 {
        0 => {
            (StatusCode::BAD_REQUEST, told("ProvisionedThroughputExceededException", "The level is exceeded"))
        }
        1 if target.ends_with("BatchWriteItem") => {
            let body: Value = serde_json::from_slice(body).unwrap();
            (StatusCode::OK, json!({ "UnprocessedItems": body["RequestItems"] }).to_string().into())
        }
        1 => (StatusCode::BAD_REQUEST, told("ThrottlingException", "Rate exceeded")),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, told("InternalServerError", "The server had a fault")),
    }
}

//! An S3 for keys that do not last: it checks the signature of each request by the keys that a portal gave out, refuses those
//! that have ended as AWS does, and passes the rest on to a real S3, signed with that one's own keys.
//!
//! AWS Signature Version 4, with the signature in the Authorization header.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use ring::{digest, hmac};

use super::{
    Portal, now_ms,
    server::{self, Request, Response},
};
use crate::world::{ACCESS_KEY, SECRET_KEY};

/// A running gate.
#[derive(Debug)]
pub struct Gate {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    passed: AtomicUsize,
    ended: AtomicUsize,
    forged: AtomicUsize,
    /// Whose requests were passed on.
    keys: Mutex<BTreeSet<String>>,
}

impl Gate {
    /// Before the S3 at `behind`, which has [`ACCESS_KEY`] and [`SECRET_KEY`].
    pub fn start(portal: &Portal, behind: &str) -> Self {
        let (portal, behind, counts) = (portal.clone(), behind.to_owned(), Arc::new(Counts::default()));
        let counted = counts.clone();
        let endpoint = server::start(move |request| answer(request, &portal, &behind, &counted));
        Self { endpoint, counts }
    }

    /// Requests that were passed on; refused for keys that had ended; refused for a wrong signature.
    pub fn counts(&self) -> (usize, usize, usize) {
        let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (of(&self.counts.passed), of(&self.counts.ended), of(&self.counts.forged))
    }

    /// How many different keys that begin so have come through.
    pub fn keys(&self, start: &str) -> usize {
        let keys = self.counts.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        keys.iter().filter(|key| key.starts_with(start)).count()
    }
}

fn answer(request: &Request, portal: &Portal, behind: &str, counts: &Counts) -> Response {
    let refuse = |code: &str, count: &AtomicUsize| {
        count.fetch_add(1, Ordering::SeqCst);
        let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
        Response {
            status: 403,
            headers: vec![("Content-Type".into(), "application/xml".into())],
            body: body.into(),
        }
    };
    let Some(given) = Authorization::of(request) else { return refuse("AccessDenied", &counts.forged) };
    let Some(key) = portal.key(&given.access_key) else {
        return refuse("InvalidAccessKeyId", &counts.forged);
    };
    let names: Vec<&str> = given.signed.split(';').collect();
    let headers = |name: &str| request.header(name).to_owned();
    let wanted = signature(request, &names, &headers, &given.scope, &key.secret);
    if wanted != given.signature || request.header("x-amz-security-token") != key.token {
        return refuse("SignatureDoesNotMatch", &counts.forged);
    }
    if key.ends_ms <= now_ms() {
        return refuse("ExpiredToken", &counts.ended);
    }
    counts.passed.fetch_add(1, Ordering::SeqCst);
    let mut keys = counts.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    keys.insert(given.access_key);
    drop(keys);
    pass_on(request, behind, &given.scope)
}

struct Authorization {
    access_key: String,
    /// `20260131/eu-west-1/s3/aws4_request`
    scope: String,
    signed: String,
    signature: String,
}

impl Authorization {
    fn of(request: &Request) -> Option<Self> {
        let text = request.header("authorization").strip_prefix("AWS4-HMAC-SHA256 ")?;
        let parts: BTreeMap<&str, &str> =
            text.split(',').filter_map(|part| part.trim().split_once('=')).collect();
        let (access_key, scope) = parts.get("Credential")?.split_once('/')?;
        Some(Self {
            access_key: access_key.to_owned(),
            scope: scope.to_owned(),
            signed: (*parts.get("SignedHeaders")?).to_owned(),
            signature: (*parts.get("Signature")?).to_owned(),
        })
    }
}

fn pass_on(request: &Request, behind: &str, scope: &str) -> Response {
    let host = behind.trim_start_matches("http://").to_owned();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &request.headers {
        let is_kept = name.starts_with("content-") && name != "content-length"
            || name == "range"
            || name == "x-amz-target"
            || name.starts_with("if-");
        if is_kept || name == "x-amz-date" || name == "x-amz-content-sha256" {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert("host".to_owned(), host);
    let names = ["host", "x-amz-content-sha256", "x-amz-date"];
    let of = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let signature = signature(request, &names, &of, scope, SECRET_KEY);
    headers.remove("host");
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={}, Signature={signature}",
        names.join(";")
    );
    headers.insert("authorization".to_owned(), authorization);
    let headers: Vec<(String, String)> = headers.into_iter().collect();
    let url = format!("{behind}{}", request.target);
    match server::send(&request.method, &url, &headers, &request.body) {
        Ok(mut response) => {
            let ours = ["connection", "transfer-encoding"];
            response.headers.retain(|(name, _)| !ours.contains(&name.to_ascii_lowercase().as_str()));
            if request.method != "HEAD" {
                response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
            }
            response
        }
        Err(error) => Response::text(502, &error.to_string()),
    }
}

/// Of a request as it was sent, with these headers of it.
fn signature(
    request: &Request,
    names: &[&str],
    header: &dyn Fn(&str) -> String,
    scope: &str,
    secret: &str,
) -> String {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    let lines: String = names.iter().map(|name| format!("{name}:{}\n", header(name))).collect();
    let canonical = format!(
        "{}\n{path}\n{}\n{lines}\n{}\n{}",
        request.method,
        pairs.join("&"),
        names.join(";"),
        header("x-amz-content-sha256")
    );
    let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hashed}", header("x-amz-date"));
    let sign = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    };
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| sign(&key, part));
    hex(&sign(&key, &text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

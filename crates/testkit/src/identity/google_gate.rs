//! A Google Cloud Storage for tokens that do not last: it lets a request through to an emulator, which asks nobody who he is, where
//! its token is one that our Google gave out and that has not ended, or a service account's own that has not.
//!
//! A service account's own token is a JWT (RFC 7519); its signature is not looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Google, now_ms,
    server::{self, Request, Response},
};

/// A running gate.
#[derive(Debug)]
pub struct GoogleGate {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The tokens that came through, by whose they are.
    tokens: BTreeMap<String, BTreeSet<String>>,
    refused: Vec<String>,
}

impl GoogleGate {
    /// Before the emulator at `behind`.
    pub fn start(google: &Google, behind: &str) -> Self {
        let (google, behind, seen) = (google.clone(), behind.to_owned(), Arc::new(Mutex::default()));
        let noted: Arc<Mutex<Seen>> = seen.clone();
        let endpoint = server::start(move |request| answer(request, &google, &behind, &noted));
        Self { endpoint, seen }
    }

    /// How many different tokens of this account have come through.
    pub fn tokens(&self, account: &str) -> usize {
        self.seen().tokens.get(account).map_or(0, BTreeSet::len)
    }

    /// What was asked without a token that holds.
    pub fn refused(&self) -> Vec<String> {
        self.seen().refused.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(request: &Request, google: &Google, behind: &str, seen: &Mutex<Seen>) -> Response {
    let token = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
    let whose = google.token(token).or_else(|| own(token)).filter(|(_, ends_ms)| *ends_ms > now_ms());
    let mut noted = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((account, _)) = whose else {
        noted.refused.push(format!("{} {} by {token}", request.method, request.target));
        let error =
            json!({ "code": 401, "message": "Invalid Credentials", "errors": [{ "reason": "authError" }] });
        return Response::json(401, &json!({ "error": error }));
    };
    noted.tokens.entry(account).or_default().insert(token.to_owned());
    drop(noted);
    pass_on(request, behind)
}

fn own(token: &str) -> Option<(String, i64)> {
    let [_, claims, _] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    Some((claims["iss"].as_str()?.to_owned(), claims["exp"].as_i64()? * 1_000))
}

fn pass_on(request: &Request, behind: &str) -> Response {
    let ours = ["authorization", "connection", "content-length", "host", "transfer-encoding"];
    let kept = request.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str()));
    let headers: Vec<(String, String)> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let sent = server::send(&request.method, &format!("{behind}{}", request.target), &headers, &request.body);
    let mut response = match sent {
        Ok(response) => response,
        Err(error) => return Response::text(502, &error.to_string()),
    };
    let here = format!("http://{}", request.header("host"));
    for (name, value) in &mut response.headers {
        // The session of an upload is gone on with here.
        if name.eq_ignore_ascii_case("location") {
            *value = value.replace(behind, &here);
        }
    }
    let is_head = request.method == "HEAD";
    response.headers.retain(|(name, _)| {
        let name = name.to_ascii_lowercase();
        name != "connection" && name != "transfer-encoding" && (is_head || name != "content-length")
    });
    response
}

//! Whose an access token is, and until when: by Google's tokeninfo, by the metadata server, or by the token itself where it
//! is a signed JWT.

use std::time::Duration;

use base::{Clock, Secret};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use url::Url;

use crate::http;

const GOOGLE: &str = "https://oauth2.googleapis.com";
/// It is only for showing: nobody should wait long for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Introspected {
    pub account: Option<String>,
    pub ends_ms: Option<i64>,
}

/// Who is asked.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// The origin of the token service.
    TokenInfo(String),
    Metadata(String),
}

impl Asked {
    /// A token service on this machine is asked itself: its tokens are not Google's.
    pub fn of(file: Option<&Value>, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let Some(file) = file else {
            let host =
                environment("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".to_owned());
            return Asked::Metadata(format!("http://{host}"));
        };
        let addresses = [&file["token_uri"], &file["token_url"], &file["source_credentials"]["token_uri"]]
            .map(Value::as_str);
        let ours = addresses.into_iter().flatten().find_map(|address| {
            let url = Url::parse(address).ok()?;
            http::is_loopback(url.host_str()?).then(|| url.origin().ascii_serialization())
        });
        Asked::TokenInfo(ours.unwrap_or_else(|| GOOGLE.to_owned()))
    }

    /// `None` where nobody can tell.
    pub async fn introspect(&self, token: &Secret, clock: &dyn Clock) -> Option<Introspected> {
        match (self, of_jwt(token.reveal())) {
            (_, Some(told)) => Some(told),
            (Asked::TokenInfo(origin), None) => {
                let client = http::client_builder().timeout(ANSWER_TIMEOUT).build().ok()?;
                let call = client.post(format!("{origin}/tokeninfo"));
                // In the body: addresses are logged on their way.
                let body = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("access_token", token.reveal())
                    .finish();
                let call = call.header("content-type", "application/x-www-form-urlencoded").body(body);
                let told: Value = call.send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
                let lasts_s =
                    told["expires_in"].as_i64().or_else(|| told["expires_in"].as_str()?.parse().ok());
                Some(Introspected {
                    account: told["email"].as_str().map(str::to_owned),
                    ends_ms: lasts_s.map(|lasts_s| clock.now_ms() + lasts_s * 1_000),
                })
            }
            (Asked::Metadata(host), None) => {
                let account = format!("{host}/computeMetadata/v1/instance/service-accounts/default");
                let email = metadata(&format!("{account}/email")).await;
                let token: Option<Value> = metadata(&format!("{account}/token"))
                    .await
                    .and_then(|text| serde_json::from_str(&text).ok());
                let lasts_s = token.and_then(|token| token["expires_in"].as_i64());
                Some(Introspected {
                    account: email,
                    ends_ms: lasts_s.map(|lasts_s| clock.now_ms() + lasts_s * 1_000),
                })
            }
        }
    }
}

async fn metadata(address: &str) -> Option<String> {
    let client = http::client_builder().timeout(ANSWER_TIMEOUT).build().ok()?;
    let answer = client.get(address).header("Metadata-Flavor", "Google").send().await.ok()?;
    answer.error_for_status().ok()?.text().await.ok()
}

/// What a service account has signed itself.
fn of_jwt(token: &str) -> Option<Introspected> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = claims(payload)?;
    let ends_ms = claims["exp"].as_i64()?.checked_mul(1_000);
    Some(Introspected {
        account: claims["sub"].as_str().or(claims["iss"].as_str()).map(str::to_owned),
        ends_ms,
    })
}

/// The middle part of a JWT; whoever reads it has it from the service itself.
pub(super) fn claims(payload: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

//! Credentials of `aws login`: a session of AWS's console, kept in `~/.aws/login/cache` and renewed from there.
//!
//! File and call are those of the AWS CLI and of AWS Sign-In's CreateOAuth2Token, 2023-01-01; a renewal is bound to the key
//! in the file by a proof (DPoP, RFC 9449). The sign-in itself is `aws login`'s.

use std::{path::PathBuf, time::Duration};

use aws_credential_types::Credentials;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{provide::Asked, provide::REGION_DEFAULT};
use crate::{Environment, Error, http, kept};

/// As the CLI: what ends sooner is renewed.
const RENEW_BEFORE_MS: i64 = 5 * 60_000;

pub(super) async fn credentials(
    session: &str,
    region: Option<&str>,
    asked: &Asked<'_>,
) -> Result<Credentials, Error> {
    let path = path(session, asked.environment);
    let over = |why: &str| Error::SignInExpired {
        who: format!("the login session {session}"),
        login: "aws login".to_owned(),
        source: why.into(),
    };
    let Some(mut token) = kept::read(&path) else {
        return Err(over(&format!("there is no {}", path.display())));
    };
    let now_ms = asked.clock.now_ms();
    if ends_ms(&token).is_none_or(|ends_ms| ends_ms - now_ms <= RENEW_BEFORE_MS) {
        match renewed(&token, region, asked).await {
            Ok(newer) => {
                token = newer;
                kept::write(&path, &token)?;
            }
            // What still holds is used; what has ended is told.
            Err(why) if ends_ms(&token).is_none_or(|ends_ms| ends_ms <= now_ms) => return Err(over(&why)),
            Err(why) => {
                tracing::warn!(why, "the login session could not be renewed yet; its credentials still hold")
            }
        }
    }
    of_token(&token).ok_or_else(|| over(&format!("{} lacks its credentials", path.display())))
}

/// `~/.aws/login/cache/<sha256 of the session>.json`
fn path(session: &str, environment: &Environment) -> PathBuf {
    let folder = environment.path("AWS_LOGIN_CACHE_DIRECTORY", ".aws/login/cache");
    folder.join(format!(
        "{}.json",
        kept::hex(ring::digest::digest(&ring::digest::SHA256, session.as_bytes()).as_ref())
    ))
}

fn ends_ms(token: &Value) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(token["accessToken"]["expiresAt"].as_str()?).ok()?;
    Some(time.timestamp_millis())
}

fn of_token(token: &Value) -> Option<Credentials> {
    let of = |name: &str| token["accessToken"][name].as_str();
    let ends = ends_ms(token).and_then(|ends_ms| u64::try_from(ends_ms).ok());
    let ends = ends.map(|ends_ms| std::time::UNIX_EPOCH + Duration::from_millis(ends_ms));
    let session_token = of("sessionToken").map(str::to_owned);
    Some(Credentials::new(of("accessKeyId")?, of("secretAccessKey")?, session_token, ends, "Login"))
}

/// The token after a renewal, or why there is none.
async fn renewed(token: &Value, region: Option<&str>, asked: &Asked<'_>) -> Result<Value, String> {
    let text = |name: &str| token[name].as_str().ok_or_else(|| format!("the cache has no {name}"));
    let region = token["signInRegion"].as_str().or(region).unwrap_or(REGION_DEFAULT);
    let url = format!("{}/v1/token", endpoint(asked.environment, region));
    let proof = proof(text("dpopKey")?, &url, asked.clock.now_ms() / 1_000)?;
    let body = json!({
        "clientId": text("clientId")?,
        "grantType": "refresh_token",
        "refreshToken": text("refreshToken")?,
    });
    let answer = http::client().post(&url).header("DPoP", proof).json(&body).send().await;
    let answer = answer.map_err(|error| format!("{url} does not answer: {}", error.without_url()))?;
    let status = answer.status();
    let answer: Value = answer.json().await.map_err(|error| format!("{url}: {}", error.without_url()))?;
    if !status.is_success() {
        let why = answer["error"].as_str().or(answer["message"].as_str()).unwrap_or("no reason");
        return Err(format!("AWS Sign-In refused to renew it: {why} (status {})", status.as_u16()));
    }
    let lasts_s = answer["expiresIn"].as_i64().unwrap_or(0);
    let ends = DateTime::<Utc>::from_timestamp(asked.clock.now_ms() / 1_000 + lasts_s, 0).unwrap_or_default();
    let mut newer = token.clone();
    for name in ["accessKeyId", "secretAccessKey", "sessionToken"] {
        newer["accessToken"][name] = answer["accessToken"][name].clone();
    }
    newer["accessToken"]["expiresAt"] = kept::time_text(ends).into();
    newer["refreshToken"] = answer["refreshToken"].clone();
    Ok(newer)
}

fn endpoint(environment: &Environment, region: &str) -> String {
    let given = environment.get("AWS_ENDPOINT_URL_SIGNIN").or_else(|| environment.get("AWS_ENDPOINT_URL"));
    match given {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None if region.starts_with("cn-") => format!("https://{region}.signin.amazonaws.cn"),
        None if region.starts_with("us-gov-") => format!("https://{region}.signin.amazonaws-us-gov.com"),
        None => format!("https://{region}.signin.aws.amazon.com"),
    }
}

/// A JWT that only who holds the key can make, for this one call.
fn proof(pem: &str, url: &str, now_s: i64) -> Result<String, String> {
    let (private, public) = key(pem).ok_or("the cache's dpopKey is no P-256 key")?;
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &private,
        &public,
        &random,
    );
    let pair = pair.map_err(|error| format!("the cache's dpopKey cannot be used: {error}"))?;
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let jwk = json!({
        "kty": "EC", "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(&public[1..33]), "y": URL_SAFE_NO_PAD.encode(&public[33..]),
    });
    let header = part(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk }));
    let payload = part(json!({ "htm": "POST", "htu": url, "iat": now_s, "jti": crate::pkce::random_text() }));
    let signed = format!("{header}.{payload}");
    let signature = pair.sign(&random, signed.as_bytes()).map_err(|error| error.to_string())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}

/// Both halves of the key in a PEM file `EC PRIVATE KEY` (RFC 5915), which has one shape for this curve: the scalar of 32
/// bytes first, the point as a bit string of 65 last.
fn key(pem: &str) -> Option<(Zeroizing<Vec<u8>>, Vec<u8>)> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let text = Zeroizing::new(lines.collect::<String>());
    let der = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    const SCALAR: &[u8] = &[0x02, 0x01, 0x01, 0x04, 0x20];
    const POINT: &[u8] = &[0x03, 0x42, 0x00, 0x04];
    let after =
        |mark: &[u8]| der.windows(mark.len()).position(|bytes| bytes == mark).map(|at| at + mark.len());
    let scalar = Zeroizing::new(der.get(after(SCALAR)?..)?.get(..32)?.to_vec());
    let point = after(POINT)? - 1;
    Some((scalar, der.get(point..)?.get(..65)?.to_vec()))
}

#[cfg(test)]
mod tests;

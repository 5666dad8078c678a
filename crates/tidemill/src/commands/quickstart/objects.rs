//! A reader of S3 objects that shares no code with the writer: plain HTTP, signed by hand (AWS Signature Version 4).
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

use base::{Clock, SystemClock};
use chrono::DateTime;
use sha2::{Digest, Sha256};

use crate::context::S3Access;

/// Pages of a listing, a thousand names each.
const PAGES_COUNT_MAX: usize = 10_000;

pub(super) struct Objects {
    access: S3Access,
    client: reqwest::Client,
}

impl Objects {
    pub(super) fn new(access: S3Access) -> Self {
        Self { access, client: cloud::http::client() }
    }

    /// Names of the objects that begin with `prefix`, in their order.
    pub(super) async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_COUNT_MAX {
            let mut query = Vec::new();
            if let Some(token) = &token {
                query.push(("continuation-token", token.as_str()));
            }
            query.extend([("list-type", "2"), ("prefix", prefix)]);
            let page = self.get(&format!("/{bucket}"), &query).await?;
            let page = String::from_utf8(page).map_err(|error| error.to_string())?;
            names.extend(elements(&page, "Key"));
            token = elements(&page, "NextContinuationToken").next();
            if token.is_none() {
                return Ok(names);
            }
        }
        Err(format!("more than {PAGES_COUNT_MAX} pages of names"))
    }

    pub(super) async fn object(&self, bucket: &str, name: &str) -> Result<Vec<u8>, String> {
        self.get(&format!("/{bucket}/{name}"), &[]).await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let path = encoded(path, true);
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name, false), encoded(value, false)))
            .collect();
        let query = query.join("&");
        let host = self.access.endpoint.split("://").nth(1).unwrap_or(&self.access.endpoint).to_owned();
        let now = DateTime::from_timestamp_millis(SystemClock.now_ms()).unwrap_or_default();
        let time = now.format("%Y%m%dT%H%M%SZ").to_string();
        let signature = self.authorization(&path, &query, &host, &time);
        let url = format!("{}{path}{}{query}", self.access.endpoint, if query.is_empty() { "" } else { "?" });
        let request = self
            .client
            .get(&url)
            .header("x-amz-date", &time)
            .header("x-amz-content-sha256", hex(&Sha256::digest(b"")))
            .header("authorization", signature);
        let response = request.send().await.map_err(|error| format!("{url}: {error}"))?;
        if !response.status().is_success() {
            return Err(format!("{url}: HTTP {}", response.status().as_u16()));
        }
        Ok(response.bytes().await.map_err(|error| format!("{url}: {error}"))?.to_vec())
    }

    fn authorization(&self, path: &str, query: &str, host: &str, time: &str) -> String {
        let S3Access { access_key, secret_key, region, .. } = &self.access;
        let empty = hex(&Sha256::digest(b""));
        let headers = format!("host:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{time}\n");
        let signed = "host;x-amz-content-sha256;x-amz-date";
        let request = format!("GET\n{path}\n{query}\n{headers}\n{signed}\n{empty}");
        let day = time.get(..8).unwrap_or(time);
        let scope = format!("{day}/{region}/s3/aws4_request");
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
        let mut key = format!("AWS4{}", secret_key.reveal()).into_bytes();
        for part in [day, region, "s3", "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        let signature = hex(&hmac(&key, to_sign.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
    }
}

/// The texts of all elements `<name>…</name>`, with XML's five escapes undone.
fn elements<'a>(xml: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let open = format!("<{name}>");
    let close = format!("</{name}>");
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let length = rest[start..].find(&close)?;
        let text = &rest[start..start + length];
        rest = &rest[start + length + close.len()..];
        let plain =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
        Some(plain.iter().fold(text.to_owned(), |text, (escape, letter)| text.replace(escape, letter)))
    })
}

fn encoded(text: &str, keeps_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b'/' if keeps_slash => out.push('/'),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// HMAC-SHA256, RFC 2104.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner: Vec<u8> = block.iter().map(|byte| byte ^ 0x36).chain(text.iter().copied()).collect();
    let outer = block.iter().map(|byte| byte ^ 0x5c).chain(Sha256::digest(&inner));
    Sha256::digest(outer.collect::<Vec<u8>>()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn names_are_read_from_a_listing() {
        let xml = "<L><Contents><Key>a/b&amp;c.json</Key></Contents><Contents><Key>d</Key></Contents></L>";
        assert_eq!(elements(xml, "Key").collect::<Vec<_>>(), ["a/b&c.json", "d"]);
        assert_eq!(encoded("a/b c+", true), "a/b%20c%2B");
    }
}

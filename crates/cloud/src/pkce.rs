//! The part of a sign-in in the browser that is the same for both clouds: a proof key (PKCE, RFC 7636), and a listener on this
//! machine's loopback to which the browser brings the code (RFC 8252).

use std::{net::Ipv4Addr, time::Duration};

use base::Secret;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

use crate::Error;

/// How long a person has to sign in: as long as the AWS CLI gives.
pub(crate) const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(600);
/// A browser's request line and headers.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// A connection that a browser opens beforehand may never say a word.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// 256 random bits for URLs and file names.
pub(crate) fn random_text() -> String {
    let mut bytes = [0_u8; 32];
    // Where the system has no randomness, nothing that signs in can go on.
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What only who began a sign-in knows, and what may be told of it.
pub(crate) struct Proof {
    pub verifier: Secret,
    pub challenge: String,
}

impl Proof {
    pub fn new() -> Self {
        let verifier = random_text();
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        Self { verifier: Secret::new(verifier), challenge }
    }
}

/// Waits on loopback for the browser to come back.
pub(crate) struct Listener {
    listener: TcpListener,
    path: &'static str,
    /// Where the browser is sent back to.
    pub address: String,
}

impl Listener {
    pub async fn start(path: &'static str) -> Result<Self, Error> {
        let unusable = |source: std::io::Error| Error::SignInUnusable {
            place: "the loopback address of this machine".to_owned(),
            source: source.into(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(unusable)?;
        let port = listener.local_addr().map_err(unusable)?.port();
        Ok(Self { listener, path, address: format!("http://127.0.0.1:{port}{path}") })
    }

    /// The code that the browser brings. Another `state` than ours is somebody else's: it is refused, and waited on.
    pub async fn code(self, state: &str, who: &str) -> Result<Secret, Error> {
        let refused = |why: String| Error::SignInRefused { who: who.to_owned(), source: why.into() };
        let waited = tokio::time::timeout(SIGN_IN_TIMEOUT, async {
            loop {
                let Ok((mut stream, _)) = self.listener.accept().await else { continue };
                let Some(url) = request(&mut stream).await else { continue };
                let of = |name: &str| {
                    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
                };
                if url.path() != self.path || of("state").as_deref() != Some(state) {
                    answer(&mut stream, "404 Not Found", "Nothing waits for this.").await;
                    continue;
                }
                if let Some(error) = of("error") {
                    answer(&mut stream, "200 OK", "The sign-in was refused. You may close this page.").await;
                    let more = of("error_description").map(|text| format!(": {text}")).unwrap_or_default();
                    return Err(refused(format!("{error}{more}")));
                }
                if let Some(code) = of("code") {
                    answer(&mut stream, "200 OK", "You are signed in. You may close this page.").await;
                    return Ok(Secret::new(code));
                }
                answer(&mut stream, "400 Bad Request", "There is no code in this.").await;
            }
        });
        let minutes = SIGN_IN_TIMEOUT.as_secs() / 60;
        waited.await.unwrap_or_else(|_| Err(refused(format!("nobody signed in within {minutes} minutes"))))
    }
}

/// The address of a GET; `None` for anything else.
async fn request(stream: &mut TcpStream) -> Option<Url> {
    let mut bytes = Vec::new();
    let read = async {
        while !bytes.windows(4).any(|window| window == b"\r\n\r\n") && bytes.len() < REQUEST_BYTES_MAX {
            let mut piece = [0; 2_048];
            match stream.read(&mut piece).await {
                Ok(read @ 1..) => bytes.extend_from_slice(&piece[..read]),
                Ok(0) | Err(_) => break,
            }
        }
    };
    tokio::time::timeout(REQUEST_TIMEOUT, read).await.ok();
    let text = String::from_utf8_lossy(&bytes);
    let target = text.strip_prefix("GET ")?.split(' ').next()?.to_owned();
    Url::parse("http://127.0.0.1").ok()?.join(&target).ok()
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><meta charset=\"utf-8\"><title>tidemill</title><p>{text}</p>");
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n");
    let whole = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    // A browser that has gone already loses a page, nothing else.
    stream.write_all(whole.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

#[cfg(test)]
mod tests;

//! The one HTTP client that every part of ours uses: TLS by rustls with ring, and no proxy for this machine; and which of its errors
//! no second try mends.

use std::{
    error::Error as StdError,
    io,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService};

use crate::Reason;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What `NO_PROXY` should always hold: a proxy cannot reach the caller's own loopback.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// Makes ring the process's TLS provider; safe to call often and from anywhere.
pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Somebody else's earlier choice is kept: the provider only has to exist.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
}

/// A builder with our defaults: connects within 10 s, never sends loopback addresses through a proxy.
pub fn client_builder() -> reqwest::ClientBuilder {
    install_tls();
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    proxies().into_iter().fold(builder, reqwest::ClientBuilder::proxy)
}

/// A client with the defaults of `client_builder`; cheap to clone, keeps its connections.
pub fn client() -> reqwest::Client {
    client_builder().build().expect("a client without a root certificate of the user's always builds")
}

/// Whether TLS did not come about, and will not at a second try either: the server's certificate is not trusted, is over or is another
/// host's, or it speaks no TLS that we speak.
pub fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    any_cause(error, &|error| {
        matches!(
            error.downcast_ref::<rustls::Error>(),
            Some(
                rustls::Error::InvalidCertificate(_)
                    | rustls::Error::NoCertificatesPresented
                    | rustls::Error::UnsupportedNameType
                    | rustls::Error::PeerIncompatible(_)
                    | rustls::Error::AlertReceived(_)
                    | rustls::Error::InvalidMessage(_)
            )
        )
    })
}

/// Whether nobody is at the address: its name is not known, or no connection is taken there. It passes where somebody has been there.
pub fn is_nowhere(error: &(dyn StdError + 'static)) -> bool {
    any_cause(error, &|error| match error.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => true,
        // There is no kind for it.
        Some(error) => error.to_string().starts_with(UNKNOWN_NAME),
        None => false,
    })
}

/// How the standard library begins what it says of a name that no name server knows.
const UNKNOWN_NAME: &str = "failed to lookup address information";

/// Whether an error or one of its causes is such.
fn any_cause(error: &(dyn StdError + 'static), is_it: &dyn Fn(&(dyn StdError + 'static)) -> bool) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<Reason>().is_some_and(|reason| any_cause(reason.whole(), is_it)) {
            return true;
        }
        // What an I/O error was made of is not among its causes.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.map(|inner| inner as &(dyn StdError + 'static));
        if is_it(error) || inner.is_some_and(|inner| any_cause(inner, is_it)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether somebody has answered at an address. Until then it is no matter of waiting that nobody is there.
#[derive(Debug, Default, Clone)]
pub struct Answered(Arc<AtomicBool>);

impl Answered {
    pub fn note(&self) {
        self.0.store(true, Relaxed);
    }

    pub fn is_so(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Whether no second try mends it, as far as can be known.
    pub fn is_final(&self, error: &(dyn StdError + 'static)) -> bool {
        is_untrusted(error) || (!self.is_so() && is_nowhere(error))
    }
}

/// A client for object stores, which try again by themselves: not what no second try mends.
#[derive(Debug)]
pub(crate) struct Trusting {
    client: reqwest::Client,
    answered: Answered,
}

impl Trusting {
    pub(crate) fn new(client: reqwest::Client, answered: Answered) -> Self {
        Self { client, answered }
    }
}

#[async_trait]
impl HttpService for Trusting {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match self.client.call(request).await {
            Ok(answer) => {
                self.answered.note();
                Ok(answer)
            }
            Err(error) if self.answered.is_final(&error) => {
                Err(HttpError::new(HttpErrorKind::Unknown, error))
            }
            Err(error) => Err(error),
        }
    }
}

/// The proxies of the environment, each told to leave loopback and `NO_PROXY` alone.
fn proxies() -> Vec<reqwest::Proxy> {
    let given = |names: [&str; 2]| {
        names.iter().find_map(|name| std::env::var(name).ok()).filter(|url| !url.is_empty())
    };
    let no_proxy =
        given(["NO_PROXY", "no_proxy"]).map_or(LOOPBACK.to_owned(), |list| format!("{LOOPBACK},{list}"));
    let excluded = || reqwest::NoProxy::from_string(&no_proxy);
    let all = given(["ALL_PROXY", "all_proxy"]);
    let https = given(["HTTPS_PROXY", "https_proxy"]).or(all.clone());
    let http = given(["HTTP_PROXY", "http_proxy"]).or(all);
    let https = https.and_then(|url| reqwest::Proxy::https(url).ok());
    let http = http.and_then(|url| reqwest::Proxy::http(url).ok());
    https.into_iter().chain(http).map(|proxy| proxy.no_proxy(excluded())).collect()
}

/// A part of a path, with everything that has a meaning in URLs escaped.
pub fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte as char),
            _ => text += &format!("%{byte:02X}"),
        }
    }
    text
}

/// Whether a host is this machine's own loopback: then plain HTTP gives nothing away.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_in_every_spelling() {
        assert!(["localhost", "127.0.0.1", "127.8.0.1", "::1", "[::1]"].iter().all(|host| is_loopback(host)));
        assert!(
            ["10.0.0.1", "s3.amazonaws.com", "localhost.example.org"].iter().all(|host| !is_loopback(host))
        );
    }

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(segment("a/b value:ä"), "a%2Fb%20value%3A%C3%A4");
    }

    #[test]
    fn tls_that_does_not_come_about_is_known_below_whatever_carries_it() {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let carried = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, unknown()));
        assert!(is_untrusted(&unknown()) && is_untrusted(&carried));
        assert!(is_untrusted(&HttpError::new(HttpErrorKind::Connect, carried)));
        let refused = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert!(!is_untrusted(&refused) && !is_untrusted(&io::Error::other("reset")));
    }

    #[tokio::test]
    async fn that_nobody_is_there_is_final_until_somebody_was() {
        let ask = async |url: &str| client().get(url).send().await.expect_err("nobody is there");
        let (unknown, refused) =
            (ask("http://no-such-host.invalid/").await, ask("http://127.0.0.1:1/").await);
        let carried =
            HttpError::new(HttpErrorKind::Connect, io::Error::from(io::ErrorKind::ConnectionRefused));
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let answered = Answered::default();
        for error in [&unknown as &(dyn StdError + 'static), &refused, &carried] {
            assert!(is_nowhere(error) && answered.is_final(error), "{error:?}");
        }
        assert!(!is_nowhere(&reset) && !answered.is_final(&reset));
        answered.note();
        assert!(!answered.is_final(&unknown) && !answered.is_final(&refused));
    }

    #[test]
    fn a_client_builds_with_tls() {
        client();
        client();
    }
}

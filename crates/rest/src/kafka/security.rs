//! TLS and SASL of our own connections, by the names that librdkafka gives the properties, so that one set of them serves both.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use base::Secret;
use bytes::Bytes;
use kafka_protocol::{
    messages::{SaslAuthenticateRequest, SaslHandshakeRequest},
    protocol::StrBytes,
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    link::{Duplex, Fault, Link},
    scram::{Hash, LogIn},
};
use crate::Error;

/// Kafka's SASL_AUTHENTICATION_FAILED.
const AUTHENTICATION_FAILED: i16 = 58;

#[derive(Clone)]
pub(super) struct Security {
    tls: Option<TlsConnector>,
    sasl: Option<Sasl>,
}

#[derive(Clone)]
struct Sasl {
    mechanism: Mechanism,
    user: String,
    password: Secret,
}

#[derive(Clone, Copy)]
enum Mechanism {
    Plain,
    Scram(Hash),
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram(Hash::Sha256) => "SCRAM-SHA-256",
            Mechanism::Scram(Hash::Sha512) => "SCRAM-SHA-512",
        }
    }
}

/// A property's name, and why it cannot be used.
type Unusable = (String, String);

impl Security {
    pub fn from_properties(properties: &BTreeMap<String, String>) -> Result<Self, Unusable> {
        let of = |name: &str| properties.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let protocol = of("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
        let (tls, sasl) = match protocol.as_str() {
            "plaintext" => (false, false),
            "ssl" => (true, false),
            "sasl_plaintext" => (false, true),
            "sasl_ssl" => (true, true),
            other => {
                return Err(("security.protocol".to_owned(), format!("there is no protocol {other}")));
            }
        };
        let tls = tls.then(|| connector(&of)).transpose()?;
        let sasl = sasl.then(|| Sasl::from_properties(&of)).transpose()?;
        Ok(Self { tls, sasl })
    }

    /// The stream as the protocol wants it.
    pub async fn secured(&self, address: &str, plain: TcpStream) -> Result<Box<dyn Duplex>, Fault> {
        let Some(tls) = &self.tls else { return Ok(Box::new(plain)) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| Fault::Lost(error.to_string()))?;
        let shaken = tls.connect(name, plain).await;
        shaken
            .map(|stream| Box::new(stream) as Box<dyn Duplex>)
            .map_err(|error| Fault::Lost(error.to_string()))
    }

    pub async fn authenticate(&self, link: &mut Link) -> Result<(), Fault> {
        let Some(sasl) = &self.sasl else { return Ok(()) };
        let mechanism = StrBytes::from_static_str(sasl.mechanism.name());
        let shaken = link.ask(&(1..=1), &SaslHandshakeRequest::default().with_mechanism(mechanism)).await?;
        if shaken.error_code != 0 {
            return Err(Fault::Other(Error::refused(shaken.error_code, None)));
        }
        match sasl.mechanism {
            Mechanism::Plain => {
                let token = format!("\0{}\0{}", sasl.user, sasl.password.reveal());
                told(link, token).await.map(drop)
            }
            Mechanism::Scram(hash) => {
                let denied =
                    |reason: String| Fault::Other(Error::Refused { code: AUTHENTICATION_FAILED, reason });
                let login = LogIn::new(hash, &sasl.user, uuid::Uuid::new_v4().simple().to_string());
                let server = told(link, login.first()).await?;
                let (last, expected) = login.last(&sasl.password, &server).map_err(denied)?;
                match told(link, last).await? {
                    proof if proof == expected => Ok(()),
                    _ => Err(denied("the broker does not know the password that it asks for".to_owned())),
                }
            }
        }
    }
}

async fn told(link: &mut Link, token: String) -> Result<String, Fault> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(token));
    let answer = link.ask(&(0..=2), &request).await?;
    if answer.error_code != 0 {
        return Err(Fault::Other(Error::refused(answer.error_code, answer.error_message.as_deref())));
    }
    Ok(String::from_utf8_lossy(&answer.auth_bytes).into_owned())
}

impl Sasl {
    fn from_properties<'a>(of: &impl Fn(&str) -> Option<&'a str>) -> Result<Self, Unusable> {
        let name = of("sasl.mechanism").or_else(|| of("sasl.mechanisms")).unwrap_or("GSSAPI");
        let mechanism = match name.to_ascii_uppercase().as_str() {
            "PLAIN" => Mechanism::Plain,
            "SCRAM-SHA-256" => Mechanism::Scram(Hash::Sha256),
            "SCRAM-SHA-512" => Mechanism::Scram(Hash::Sha512),
            other => {
                let reason = format!("{other} is not among PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512");
                return Err(("sasl.mechanism".to_owned(), reason));
            }
        };
        let given = |name: &str| of(name).ok_or_else(|| (name.to_owned(), "it is not set".to_owned()));
        let password = Secret::new(given("sasl.password")?);
        Ok(Self { mechanism, user: given("sasl.username")?.to_owned(), password })
    }
}

fn connector<'a>(of: &impl Fn(&str) -> Option<&'a str>) -> Result<TlsConnector, Unusable> {
    let unusable = |name: &str| {
        let name = name.to_owned();
        move |error: &dyn std::error::Error| (name, error.to_string())
    };
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(roots(of)?);
    let is_off = |name: &str, word: &str| of(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    let trust = match () {
        () if is_off("enable.ssl.certificate.verification", "false") => Trust::Anybody,
        () if is_off("ssl.endpoint.identification.algorithm", "none") => Trust::AnyName,
        () => Trust::Named,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
    let inner = match (verifier, trust) {
        (Ok(inner), _) => Some(inner),
        (Err(_), Trust::Anybody) => None,
        (Err(error), _) => return Err(unusable("ssl.ca.location")(&error)),
    };
    let verifier = Verifier { trust, inner, provider: provider.clone() };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("security.protocol")(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match (of("ssl.certificate.location"), of("ssl.key.location")) {
        (Some(chain), Some(key)) => {
            let chain = certificates("ssl.certificate.location", Path::new(chain))?;
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("ssl.key.location")(&error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable("ssl.key.location")(&error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Those of `ssl.ca.location` or `ssl.ca.pem`, else the machine's.
fn roots<'a>(of: &impl Fn(&str) -> Option<&'a str>) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    let found = match (of("ssl.ca.pem"), of("ssl.ca.location")) {
        (Some(pem), _) => {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            read.map_err(|error| ("ssl.ca.pem".to_owned(), error.to_string()))?
        }
        (None, Some(path)) if path != "probe" => certificates("ssl.ca.location", Path::new(path))?,
        _ => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(found);
    Ok(roots)
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| (name.to_owned(), format!("{}: {error}", path.display())))
}

/// How far a broker is believed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trust {
    Named,
    AnyName,
    Anybody,
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    /// None where nobody is asked.
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = self.inner.as_ref().filter(|_| self.trust != Trust::Anybody) else {
            return Ok(ServerCertVerified::assertion());
        };
        match inner.verify_server_cert(end, between, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.trust == Trust::AnyName => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_that_cannot_be_used_are_named() {
        let properties = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        for (pairs, name) in [
            (&[("security.protocol", "tls")][..], "security.protocol"),
            (&[("security.protocol", "SASL_PLAINTEXT")], "sasl.mechanism"),
            (&[("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "OAUTHBEARER")], "sasl.mechanism"),
            (&[("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "PLAIN")], "sasl.password"),
            (&[("security.protocol", "ssl"), ("ssl.ca.location", "/no/such")], "ssl.ca.location"),
        ] {
            let Err((found, _)) = Security::from_properties(&properties(pairs)) else { panic!("{pairs:?}") };
            assert_eq!(found, name);
        }
        assert!(Security::from_properties(&properties(&[("security.protocol", "ssl")])).is_ok());
    }
}

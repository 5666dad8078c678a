//! TLS of the listeners, by rustls: PEM files in, an acceptor out; and who a client's certificate says he is.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    distinguished,
    options::{ClientAuth, TlsOptions},
};
use crate::errors::Error;

/// Who takes longer to shake hands gives his place to others.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What TLS listeners answer with.
pub fn acceptor(options: &TlsOptions, client_auth: ClientAuth) -> Result<TlsAcceptor, Error> {
    let chain_file = named(&options.certificate_chain, "broker.ssl_certificate_chain")?;
    let key_file = named(&options.key, "broker.ssl_key")?;
    let chain = certificates(chain_file)?;
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|error| unusable(key_file, error.to_string()))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(chain_file, error.to_string()))?;
    let builder = match client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Requested | ClientAuth::Required => {
            let file = named(&options.client_authorities, "broker.ssl_truststore")?;
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match client_auth {
                ClientAuth::Required => verifier,
                ClientAuth::Requested | ClientAuth::None => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| unusable(file, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config =
        builder.with_single_cert(chain, key).map_err(|error| unusable(key_file, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn named<'a>(file: &'a Option<PathBuf>, setting: &'static str) -> Result<&'a Path, Error> {
    file.as_deref()
        .ok_or_else(|| Error::Listeners { reason: format!("a listener has TLS, and {setting} is not set") })
}

fn unusable(path: &Path, reason: String) -> Error {
    Error::Tls { path: path.to_path_buf(), reason }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unusable(path, error.to_string()))?;
    if found.is_empty() { Err(unusable(path, "it holds no certificate".to_owned())) } else { Ok(found) }
}

/// Shakes hands; who has shown a certificate has a name.
pub async fn accept(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> std::io::Result<(TlsStream<TcpStream>, Option<String>)> {
    let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
    let stream = shaken.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let subject = shown.and_then(|certificate| distinguished::subject(certificate));
    Ok((stream, subject))
}

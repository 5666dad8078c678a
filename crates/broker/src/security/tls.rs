//! TLS of the listeners, by rustls: PEM files in, an acceptor out; and who a client's certificate says he is.
//!
//! The files are looked at before each handshake, and read anew where they have changed. What cannot be used leaves the
//! acceptor as it was: connections that are there keep theirs in any case.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{net::TcpStream, task, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    distinguished,
    options::{ClientAuth, TlsOptions},
};
use crate::errors::Error;

/// Who takes longer to shake hands gives his place to others.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What TLS listeners answer with, as the files have it.
pub struct Endpoint {
    options: TlsOptions,
    client_auth: ClientAuth,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    /// Of the files when they were last read, whether or not they could be used.
    stamps: Vec<Stamp>,
}

/// What tells one state of a file from another; `None`: it is not there.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

impl Endpoint {
    pub fn open(options: &TlsOptions, client_auth: ClientAuth) -> Result<Endpoint, Error> {
        let stamps = stamps(options, client_auth);
        let acceptor = acceptor(options, client_auth)?;
        let current = Mutex::new(Current { acceptor, stamps });
        Ok(Endpoint { options: options.clone(), client_auth, current })
    }

    /// What the next handshake is made with, and what kept the files as they are now from being it: told once for each state
    /// of theirs. Blocks on the disk.
    fn current(&self) -> (TlsAcceptor, Option<Error>) {
        let mut current = self.current.lock();
        let stamps = stamps(&self.options, self.client_auth);
        if stamps == current.stamps {
            return (current.acceptor.clone(), None);
        }
        // Those from before the reading: what changes meanwhile is found by the next handshake.
        current.stamps = stamps;
        let refused = match acceptor(&self.options, self.client_auth) {
            Ok(new) => {
                current.acceptor = new;
                tracing::info!("the TLS files of the listeners have changed, and are in use");
                None
            }
            Err(Error::Tls { path, reason }) => Some(Error::TlsKept { path, reason }),
            Err(other) => Some(other),
        };
        (current.acceptor.clone(), refused)
    }

    /// Shakes hands; who has shown a certificate has a subject.
    pub async fn accept(
        self: &Arc<Self>,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<String>)> {
        let endpoint = self.clone();
        let (acceptor, refused) =
            task::spawn_blocking(move || endpoint.current()).await.map_err(io::Error::other)?;
        if let Some(error) = refused {
            tracing::warn!("{}", base::problem::plain(&error));
        }
        let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
        let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let subject = shown.and_then(|certificate| distinguished::subject(certificate));
        Ok((stream, subject))
    }
}

/// Of the files that an acceptor is made of.
fn stamps(options: &TlsOptions, client_auth: ClientAuth) -> Vec<Stamp> {
    let authorities = match client_auth {
        ClientAuth::None => None,
        ClientAuth::Requested | ClientAuth::Required => options.client_authorities.as_deref(),
    };
    let files = [options.certificate_chain.as_deref(), options.key.as_deref(), authorities];
    files.into_iter().flatten().map(stamp).collect()
}

/// Not the time of the last change alone: a file that takes another's place may be as old as that.
fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()))
}

fn acceptor(options: &TlsOptions, client_auth: ClientAuth) -> Result<TlsAcceptor, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path) -> TlsOptions {
        TlsOptions {
            certificate_chain: Some(folder.join("server.pem")),
            key: Some(folder.join("server.key")),
            client_authorities: Some(folder.join("ca.pem")),
            ..TlsOptions::default()
        }
    }

    fn is_same(one: &TlsAcceptor, other: &TlsAcceptor) -> bool {
        Arc::ptr_eq(one.config(), other.config())
    }

    #[test]
    fn files_that_change_are_read_anew_and_bad_ones_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        testkit::certificates(folder.path());
        testkit::certificates(other.path());
        let endpoint = Endpoint::open(&options(folder.path()), ClientAuth::Required).unwrap();
        let (first, refused) = endpoint.current();
        assert!(refused.is_none() && is_same(&first, &endpoint.current().0));
        let replace = |name: &str| fs::rename(other.path().join(name), folder.path().join(name)).unwrap();
        // The certificate alone: until its key is there too, the old pair is shown.
        replace("server.pem");
        let (kept, refused) = endpoint.current();
        let told = refused.map(|error| base::problem::plain(&error)).unwrap();
        assert!(told.starts_with("TM1512") && told.contains("server.key"), "{told}");
        assert!(is_same(&first, &kept));
        let (kept, refused) = endpoint.current();
        assert!(refused.is_none() && is_same(&first, &kept), "it is told once");
        replace("server.key");
        let (second, refused) = endpoint.current();
        assert!(refused.is_none() && !is_same(&first, &second));
        replace("ca.pem");
        let (third, refused) = endpoint.current();
        assert!(refused.is_none() && !is_same(&second, &third));
        for (name, text) in [("server.pem", "no PEM"), ("server.key", ""), ("ca.pem", "")] {
            let path = folder.path().join(name);
            let good = fs::read(&path).unwrap();
            fs::write(&path, text).unwrap();
            let (kept, refused) = endpoint.current();
            let path_told = match refused {
                Some(Error::TlsKept { path, .. }) => path,
                other => panic!("{other:?}"),
            };
            assert_eq!(path_told, path);
            assert!(is_same(&kept, &endpoint.current().0));
            fs::write(&path, good).unwrap();
            assert!(endpoint.current().1.is_none());
        }
        fs::remove_file(folder.path().join("server.key")).unwrap();
        assert!(matches!(endpoint.current().1, Some(Error::TlsKept { .. })));
    }
}

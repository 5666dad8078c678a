//! Certificates for a test, made when it runs: an authority, and what it has signed.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

/// Whom clients of the server may call it.
const SERVER_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Puts `ca.pem`, and `server` and `alice` with `.pem` and `.key`, into the folder. The subjects are
/// `CN=…,O=Example\, Inc.`, as RFC 2253 writes them.
pub fn certificates(folder: &Path) {
    let write = |name: String, text: String| fs::write(folder.join(name), text).expect("the folder is ours");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![]).expect("no names are good names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = subject("Test authority");
    let authority = params.self_signed(&key).expect("a certificate");
    write("ca.pem".to_owned(), authority.pem());
    let issuer = Issuer::new(params, key);
    for name in ["server", "alice"] {
        let names = if name == "server" { SERVER_NAMES.map(str::to_owned).to_vec() } else { vec![] };
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(names).expect("the names are good");
        params.distinguished_name = subject(name);
        let signed = params.signed_by(&key, &issuer).expect("a certificate");
        write(format!("{name}.pem"), signed.pem());
        write(format!("{name}.key"), key.serialize_pem());
    }
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Example, Inc.");
    subject.push(DnType::CommonName, name);
    subject
}

//! One public key of a JWKS document (RFC 7517), and whether it has signed something.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug)]
pub struct Key {
    pub id: Option<String>,
    public: Public,
}

#[derive(Debug)]
enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Map<String, Value>>,
}

/// The keys of a document that can be used here; others may stand beside them.
pub fn read_all(document: &[u8]) -> Result<Vec<Key>, String> {
    let document: Document = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    let keys: Vec<Key> = document.keys.iter().filter_map(Key::read).collect();
    if keys.is_empty() { Err("none of RSA, P-256 or P-384 is in it".to_owned()) } else { Ok(keys) }
}

impl Key {
    fn read(entry: &Map<String, Value>) -> Option<Key> {
        let word = |name: &str| entry.get(name).and_then(Value::as_str);
        if word("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(word(name)?.trim_end_matches('=')).ok();
        let point = || Some([vec![4], bytes("x")?, bytes("y")?].concat());
        let public = match (word("kty")?, word("crv")) {
            ("RSA", _) => Public::Rsa { modulus: bytes("n")?, exponent: bytes("e")? },
            ("EC", Some("P-256")) => Public::P256(point()?),
            ("EC", Some("P-384")) => Public::P384(point()?),
            _ => return None,
        };
        Some(Key { id: word("kid").map(str::to_owned), public })
    }

    pub fn has_signed(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        let rsa = |parameters: &'static signature::RsaParameters| match &self.public {
            Public::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, signed, signature).is_ok()
            }
            Public::P256(_) | Public::P384(_) => false,
        };
        match (algorithm, &self.public) {
            ("RS256", _) => rsa(&RSA_PKCS1_2048_8192_SHA256),
            ("RS384", _) => rsa(&RSA_PKCS1_2048_8192_SHA384),
            ("RS512", _) => rsa(&RSA_PKCS1_2048_8192_SHA512),
            ("PS256", _) => rsa(&RSA_PSS_2048_8192_SHA256),
            ("ES256", Public::P256(point)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            ("ES384", Public::P384(point)) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(signed, signature).is_ok()
            }
            _ => false,
        }
    }
}

//! OAUTHBEARER (RFC 7628, KIP-255): the token is a JWT, signed by a key of the JWKS file, or by nobody where the settings take
//! that. Where the keys are fetched from is not known here: a file has them.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Refused, Turn};
use crate::{errors::Error, security::options::OauthOptions};

/// What Kafka tells a client whose token is not taken, before it closes.
const INVALID_TOKEN: &str = r#"{"status":"invalid_token"}"#;
/// A client's word for having read that.
const HAVING_READ: &[u8] = b"\x01";
/// How far the clocks of who issues tokens and of this machine may be apart.
const SKEW_MS: i64 = 30_000;

/// Whose tokens are taken.
pub struct Tokens {
    options: OauthOptions,
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    public: Public,
}

enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Map<String, Value>>,
}

impl Tokens {
    /// Blocks on the disk.
    pub fn open(options: &OauthOptions) -> Result<Tokens, Error> {
        let keys = match &options.jwks {
            Some(path) => read_keys(path).map_err(|reason| Error::Sasl {
                reason: format!("{} holds no keys: {reason}", path.display()),
            })?,
            None if options.unsecured => vec![],
            None => {
                let reason = "OAUTHBEARER is enabled, and nothing says whose tokens are taken".to_owned();
                return Err(Error::Sasl { reason });
            }
        };
        Ok(Tokens { options: options.clone(), keys })
    }

    /// The user, and when his token ends.
    fn check(&self, token: &str, now_ms: i64) -> Result<(String, i64), String> {
        let (signed, signature) = token.rsplit_once('.').ok_or("a token has three parts")?;
        let (header, claims) = signed.split_once('.').ok_or("a token has three parts")?;
        let header = object(header)?;
        let word =
            |map: &Map<String, Value>, name: &str| map.get(name).and_then(Value::as_str).map(str::to_owned);
        let algorithm = word(&header, "alg").ok_or("the token does not say how it is signed")?;
        if algorithm.eq_ignore_ascii_case("none") {
            if !self.options.unsecured || !signature.is_empty() {
                return Err("the token is not signed".to_owned());
            }
        } else {
            let bytes = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "the signature is not base64")?;
            let id = word(&header, "kid");
            let mut keys = self.keys.iter().filter(|key| id.is_none() || key.id.is_none() || key.id == id);
            if !keys.any(|key| key.has_signed(&algorithm, signed.as_bytes(), &bytes)) {
                return Err(format!("no key here has signed the token ({algorithm})"));
            }
        }
        self.claims(&object(claims)?, now_ms)
    }

    fn claims(&self, claims: &Map<String, Value>, now_ms: i64) -> Result<(String, i64), String> {
        let time_ms = |name: &str| match claims.get(name).map(Value::as_f64) {
            None => Ok(None),
            Some(Some(seconds)) => Ok(Some((seconds * 1_000.0) as i64)),
            Some(None) => Err(format!("the claim {name} is no number")),
        };
        let until_ms = time_ms("exp")?.ok_or("the token never expires")?;
        if until_ms.saturating_add(SKEW_MS) <= now_ms {
            return Err("the token has expired".to_owned());
        }
        for name in ["nbf", "iat"] {
            if time_ms(name)?.is_some_and(|from_ms| from_ms > now_ms.saturating_add(SKEW_MS)) {
                return Err(format!("the token is not valid yet ({name})"));
            }
        }
        if let Some(issuer) = &self.options.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(format!("the token is not issued by {issuer}"));
        }
        if let Some(audience) = &self.options.audience {
            let is_meant = match claims.get("aud") {
                Some(Value::String(one)) => one == audience,
                Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
                _ => false,
            };
            if !is_meant {
                return Err(format!("the token is not meant for {audience}"));
            }
        }
        let claim = self.options.subject_claim.as_deref().unwrap_or("sub");
        let user = claims.get(claim).and_then(Value::as_str).filter(|user| !user.is_empty());
        Ok((user.ok_or_else(|| format!("the token has no claim {claim}"))?.to_owned(), until_ms))
    }
}

fn object(part: &str) -> Result<Map<String, Value>, String> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| "a part is not base64")?;
    serde_json::from_slice(&bytes).map_err(|error| format!("a part is no JSON object: {error}"))
}

fn read_keys(path: &Path) -> Result<Vec<Key>, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let set: KeySet = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let keys: Vec<Key> = set.keys.iter().filter_map(Key::read).collect();
    if keys.is_empty() { Err("none of RSA, P-256 or P-384 is in it".to_owned()) } else { Ok(keys) }
}

impl Key {
    fn read(entry: &Map<String, Value>) -> Option<Key> {
        let word = |name: &str| entry.get(name).and_then(Value::as_str);
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

    fn has_signed(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
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

/// The server's half of one exchange.
#[derive(Default)]
pub struct Exchange {
    /// Why the token was not taken: the client has been told, and says that he has read it.
    refused: Option<String>,
}

impl Exchange {
    pub fn step(&mut self, tokens: Option<&Tokens>, token: &[u8], now_ms: i64) -> Result<Turn, Refused> {
        if let Some(reason) = self.refused.take().filter(|_| token == HAVING_READ) {
            return Err(Refused { message: Some(INVALID_TOKEN.to_owned()), reason });
        }
        let tokens = tokens.ok_or_else(|| Refused::because("OAUTHBEARER is not enabled"))?;
        let (acting, bearer) =
            initial(token).ok_or_else(|| Refused::because("the token is not one of OAUTHBEARER"))?;
        match tokens.check(bearer, now_ms) {
            Ok((user, _)) if !acting.is_empty() && acting != user => {
                Err(Refused::because("the client asks to act as another user"))
            }
            Ok((user, until_ms)) => Ok(Turn::Done { answer: vec![], user, until_ms: Some(until_ms) }),
            Err(reason) => {
                self.refused = Some(reason);
                Ok(Turn::More(INVALID_TOKEN.as_bytes().to_vec()))
            }
        }
    }
}

/// `n,a=acting,\x01auth=Bearer TOKEN\x01…\x01`: whom to act as, and the token.
fn initial(token: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(token).ok()?;
    let (header, rest) = text.split_once('\x01')?;
    let acting = header.strip_prefix("n,")?.strip_suffix(',')?;
    let acting = if acting.is_empty() { "" } else { acting.strip_prefix("a=")? };
    let auth = rest.split('\x01').find_map(|pair| pair.strip_prefix("auth="))?;
    let (scheme, bearer) = auth.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some((acting, bearer.trim()))
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn part(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    fn unsecured(claims: &str) -> String {
        format!("{}.{}.", part(r#"{"alg":"none"}"#), part(claims))
    }

    fn turn(tokens: &Tokens, bearer: &str) -> Result<String, String> {
        let mut exchange = Exchange::default();
        let first = format!("n,,\x01auth=Bearer {bearer}\x01\x01");
        match exchange.step(Some(tokens), first.as_bytes(), NOW_MS) {
            Ok(Turn::Done { user, until_ms, .. }) => Ok(format!("{user} until {}", until_ms.unwrap())),
            Ok(Turn::More(told)) => {
                assert_eq!(told, INVALID_TOKEN.as_bytes());
                Err(exchange.step(Some(tokens), HAVING_READ, NOW_MS).unwrap_err().reason)
            }
            Err(refused) => Err(refused.reason),
        }
    }

    fn refused(reason: &str) -> Result<String, String> {
        Err(reason.to_owned())
    }

    #[test]
    fn unsigned_tokens_are_taken_where_the_settings_say_so() {
        let token = unsecured(r#"{"sub":"alice","exp":1700000100}"#);
        let options = OauthOptions { unsecured: true, ..OauthOptions::default() };
        let tokens = Tokens::open(&options).unwrap();
        assert_eq!(turn(&tokens, &token), Ok("alice until 1700000100000".to_owned()));
        assert_eq!(turn(&tokens, &format!("{token}c2ln")), refused("the token is not signed"));
        assert_eq!(
            turn(&tokens, &unsecured(r#"{"sub":"a","exp":1699999000}"#)),
            refused("the token has expired")
        );
        assert_eq!(turn(&tokens, &unsecured(r#"{"sub":"a"}"#)), refused("the token never expires"));
        assert_eq!(turn(&tokens, &unsecured(r#"{"exp":1700000100}"#)), refused("the token has no claim sub"));
        assert!(Tokens::open(&OauthOptions::default()).is_err());
    }

    #[test]
    fn signed_tokens_are_checked_against_the_keys_of_the_file() {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys = serde_json::json!({"keys": [
            {"kty": "oct", "k": "AAAA"},
            {"kty": "EC", "crv": "P-256", "kid": "one", "x": encode(x), "y": encode(y)},
        ]});
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        fs::write(&path, keys.to_string()).unwrap();
        let options = OauthOptions {
            jwks: Some(path),
            issuer: Some("https://id".to_owned()),
            audience: Some("kafka".to_owned()),
            ..OauthOptions::default()
        };
        let tokens = Tokens::open(&options).unwrap();
        let signed = |header: &str, claims: &str| {
            let text = format!("{}.{}", part(header), part(claims));
            let signature = pair.sign(&random, text.as_bytes()).unwrap();
            format!("{text}.{}", encode(signature.as_ref()))
        };
        let header = r#"{"alg":"ES256","kid":"one"}"#;
        let claims = r#"{"sub":"alice","exp":1700000100,"iss":"https://id","aud":["kafka","x"]}"#;
        let good = signed(header, claims);
        assert_eq!(turn(&tokens, &good), Ok("alice until 1700000100000".to_owned()));
        let forged = good.replace(&part(claims), &part(&claims.replace("alice", "admin")));
        assert_eq!(turn(&tokens, &forged), refused("no key here has signed the token (ES256)"));
        assert_eq!(turn(&tokens, &unsecured(claims)), refused("the token is not signed"));
        let other_key = signed(r#"{"alg":"ES256","kid":"two"}"#, claims);
        assert_eq!(turn(&tokens, &other_key), refused("no key here has signed the token (ES256)"));
        let other = signed(header, &claims.replace("https://id", "https://evil"));
        assert_eq!(turn(&tokens, &other), refused("the token is not issued by https://id"));
        let other = signed(header, &claims.replace("kafka", "other"));
        assert_eq!(turn(&tokens, &other), refused("the token is not meant for kafka"));
    }
}

//! OAUTHBEARER (RFC 7628, KIP-255, KIP-768): the token is a JWT, signed by a key of the JWKS document, or by nobody where the
//! settings take that. `keys` has the document from a file or an address, `key` reads one key of it.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{Done, Mechanism, Refused, Turn};
use crate::{errors::Error, options::Options, security::options::OauthOptions};

mod key;
mod keys;

#[cfg(test)]
mod tests;

use keys::Keys;

/// What Kafka tells a client whose token is not taken, before it closes.
const INVALID_TOKEN: &str = r#"{"status":"invalid_token"}"#;
/// A client's word for having read that.
const HAVING_READ: &[u8] = b"\x01";
/// A longer name of a key is nobody's, as in Kafka.
const KEY_ID_BYTES_MAX: usize = 1_000;

/// Whose tokens are taken.
pub struct Tokens {
    options: OauthOptions,
    /// `None`: only those that nobody has signed.
    keys: Option<Keys>,
}

impl Tokens {
    /// Reads the keys, where OAUTHBEARER is offered at all.
    pub async fn open(options: &Options) -> Result<Option<Tokens>, Error> {
        if !super::mechanisms(options)?.contains(&Mechanism::OauthBearer) {
            return Ok(None);
        }
        Tokens::of(&options.security.sasl.oauth).await.map(Some)
    }

    async fn of(options: &OauthOptions) -> Result<Tokens, Error> {
        let keys = match &options.jwks {
            Some(place) => Some(Keys::open(place, options).await?),
            None if options.unsecured => None,
            None => {
                let reason = "OAUTHBEARER is enabled, and nothing says whose tokens are taken".to_owned();
                return Err(Error::Sasl { reason });
            }
        };
        Ok(Tokens { options: options.clone(), keys })
    }

    /// Has the keys read anew every so often.
    pub async fn refresh_until(&self, stop: CancellationToken) {
        if let Some(keys) = &self.keys {
            keys.refresh_until(stop).await;
        }
    }

    /// Before a client's message is looked at: has the key looked for that its token names, if it is not here.
    pub async fn look_for_key(&self, message: &[u8]) {
        let Some(keys) = &self.keys else { return };
        let header = initial(message).and_then(|(_, bearer)| object(bearer.split('.').next()?).ok());
        let id = header.as_ref().and_then(|header| header.get("kid")?.as_str());
        if let Some(id) = id.filter(|id| id.len() <= KEY_ID_BYTES_MAX) {
            keys.look_for(id).await;
        }
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
            let keys = self.keys.as_ref().map(Keys::current).unwrap_or_default();
            let mut named = keys.iter().filter(|key| id.is_none() || key.id.is_none() || key.id == id);
            if !named.any(|key| key.has_signed(&algorithm, signed.as_bytes(), &bytes)) {
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
        let skew_ms = self.options.clock_skew_ms;
        if until_ms.saturating_add(skew_ms) <= now_ms {
            return Err("the token has expired".to_owned());
        }
        for name in ["nbf", "iat"] {
            if time_ms(name)?.is_some_and(|from_ms| from_ms > now_ms.saturating_add(skew_ms)) {
                return Err(format!("the token is not valid yet ({name})"));
            }
        }
        if let Some(issuer) = &self.options.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(format!("the token is not issued by {issuer}"));
        }
        let wanted = &self.options.audience;
        let is_wanted = |one: &str| wanted.iter().any(|audience| audience == one);
        let is_meant = match claims.get("aud") {
            Some(Value::String(one)) => is_wanted(one),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(is_wanted),
            _ => false,
        };
        if !wanted.is_empty() && !is_meant {
            return Err(format!("the token is not meant for {}", wanted.join(" or ")));
        }
        check_scopes(claims, &self.options.scope_claim)?;
        let claim = &self.options.subject_claim;
        let user = claims.get(claim).and_then(Value::as_str).filter(|user| !user.is_empty());
        Ok((user.ok_or_else(|| format!("the token has no claim {claim}"))?.to_owned(), until_ms))
    }
}

fn object(part: &str) -> Result<Map<String, Value>, String> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| "a part is not base64")?;
    serde_json::from_slice(&bytes).map_err(|error| format!("a part is no JSON object: {error}"))
}

/// A token need not say what it is good for; what it says must be words, each of them once, as Kafka wants it.
fn check_scopes(claims: &Map<String, Value>, claim: &str) -> Result<(), String> {
    let scopes: Vec<Option<&str>> = match claims.get(claim) {
        Some(Value::String(one)) => vec![Some(one)],
        Some(Value::Array(all)) => all.iter().map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let mut seen = BTreeSet::new();
    for scope in scopes {
        let scope = scope.map(str::trim).filter(|scope| !scope.is_empty());
        let scope = scope.ok_or_else(|| format!("the claim {claim} has a scope that is no text"))?;
        if !seen.insert(scope) {
            return Err(format!("the claim {claim} has the scope {scope} twice"));
        }
    }
    Ok(())
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
            Ok((user, until_ms)) => {
                let until_ms = Some(until_ms);
                Ok(Turn::Done(Done { answer: vec![], user, until_ms, by_token: false }))
            }
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

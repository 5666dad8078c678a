//! Delegation tokens (KIP-48): what somebody who has proven who he is hands to others, who log in as him with it for a while.
//!
//! As in Kafka a token's secret is the HMAC of its id by the key of the settings: it is kept nowhere, and ends with that key. By SCRAM it
//! is the password, in base64, and the token's id the name. The tokens are kept in `delegation-tokens.json`.

use std::{collections::BTreeMap, path::Path};

use base::Secret;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    kept::Kept,
    options::DelegationOptions,
    sasl::scram::{Credential, Hash},
};
use crate::{errors::Error, topics::Refusal};

const FILE_NAME: &str = "delegation-tokens.json";
const VERSION: u32 = 1;
/// A job makes a token for all its workers; more of them is a client that forgets what it has.
const TOKENS_COUNT_MAX: usize = 10_000;
/// Kafka allows as many as fit a request.
const RENEWERS_COUNT_MAX: usize = 100;
/// Kafka's `delegation.token.expiry.check.interval.ms`: how long an ended one is remembered, so that its end can be told.
const REMEMBERED_MS: i64 = 60 * 60 * 1_000;

/// Principals are written as ACLs name them: `User:alice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub id: String,
    pub owner: String,
    /// Who asked for it, for himself or for the owner.
    pub requester: String,
    pub renewers: Vec<String>,
    pub issued_ms: i64,
    pub expires_ms: i64,
    /// It is not renewed beyond this.
    pub max_ms: i64,
}

/// What is asked for with a new one.
pub struct Wanted {
    pub owner: String,
    pub requester: String,
    pub renewers: Vec<String>,
    /// 0 or less: as long as may be.
    pub lifetime_ms: i64,
}

/// Who logs in by a token, and how his password is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    pub owner: String,
    pub expires_ms: i64,
    pub credential: Credential,
}

pub struct Delegation {
    key: hmac::Key,
    lifetime_ms_max: i64,
    expiry_ms: i64,
    state: Mutex<State>,
}

struct State {
    kept: Kept,
    tokens: BTreeMap<String, Token>,
    /// Made when a token is first logged in with: it takes some milliseconds.
    credentials: BTreeMap<(String, Hash), Credential>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    tokens: Vec<Token>,
}

impl Token {
    /// Whether he may renew, end and see it.
    pub fn belongs_to(&self, principal: &str) -> bool {
        self.owner == principal
            || self.requester == principal
            || self.renewers.iter().any(|renewer| renewer == principal)
    }
}

impl Delegation {
    /// `None`: the settings have no key. Blocks on the disk.
    pub fn open(data_dir: &Path, options: &DelegationOptions) -> Result<Option<Delegation>, Error> {
        let Some(secret) = &options.secret_key else { return Ok(None) };
        let kept = Kept::at(data_dir, FILE_NAME);
        let mut tokens = BTreeMap::new();
        if let Some(stored) = kept.read::<Stored>()? {
            if stored.version != VERSION {
                let reason = format!("its version is {}, this broker knows {VERSION}", stored.version);
                return Err(kept.unreadable(reason));
            }
            tokens.extend(stored.tokens.into_iter().map(|token| (token.id.clone(), token)));
        }
        Ok(Some(Delegation {
            key: hmac::Key::new(hmac::HMAC_SHA512, secret.reveal().as_bytes()),
            lifetime_ms_max: options.lifetime_ms_max,
            expiry_ms: options.expiry_ms,
            state: Mutex::new(State { kept, tokens, credentials: BTreeMap::new() }),
        }))
    }

    /// What proves that one has the token of this id.
    pub fn secret(&self, id: &str) -> Vec<u8> {
        hmac::sign(&self.key, id.as_bytes()).as_ref().to_vec()
    }

    /// Durable when it returns; so is what follows. Blocks on the disk.
    pub fn create(&self, wanted: Wanted, now_ms: i64) -> Result<Token, Refusal> {
        if wanted.renewers.len() > RENEWERS_COUNT_MAX {
            let reason = format!("A token has at most {RENEWERS_COUNT_MAX} renewers");
            return Err(Refusal::new(ResponseError::InvalidRequest, reason));
        }
        let lifetime_ms = match wanted.lifetime_ms {
            ..=0 => self.lifetime_ms_max,
            lifetime_ms => lifetime_ms.min(self.lifetime_ms_max),
        };
        let max_ms = now_ms.saturating_add(lifetime_ms);
        let token = Token {
            id: Uuid::new_v4().to_string(),
            owner: wanted.owner,
            requester: wanted.requester,
            renewers: wanted.renewers,
            issued_ms: now_ms,
            expires_ms: max_ms.min(now_ms.saturating_add(self.expiry_ms)),
            max_ms,
        };
        self.state.lock().change(now_ms, |tokens| {
            if tokens.len() >= TOKENS_COUNT_MAX {
                let reason = format!("There are {TOKENS_COUNT_MAX} delegation tokens, and no more are kept");
                return Err(Refusal::new(ResponseError::PolicyViolation, reason));
            }
            tokens.insert(token.id.clone(), token.clone());
            Ok(token)
        })
    }

    /// Until when it holds then. `period_ms` 0 or less: as long as may be.
    pub fn renew(&self, secret: &[u8], principal: &str, period_ms: i64, now_ms: i64) -> Result<i64, Refusal> {
        let period_ms = if period_ms > 0 { period_ms.min(self.expiry_ms) } else { self.expiry_ms };
        self.state.lock().change(now_ms, |tokens| {
            let token = self.find(tokens, secret, principal)?;
            token.check_alive(now_ms)?;
            token.expires_ms = token.max_ms.min(now_ms.saturating_add(period_ms));
            Ok(token.expires_ms)
        })
    }

    /// As `renew`, for a sooner end as well; `period_ms` below 0: it ends now.
    pub fn expire(
        &self,
        secret: &[u8],
        principal: &str,
        period_ms: i64,
        now_ms: i64,
    ) -> Result<i64, Refusal> {
        self.state.lock().change(now_ms, |tokens| {
            let token = self.find(tokens, secret, principal)?;
            if period_ms < 0 {
                let id = token.id.clone();
                tokens.remove(&id);
                return Ok(now_ms);
            }
            token.check_alive(now_ms)?;
            token.expires_ms = token.max_ms.min(now_ms.saturating_add(period_ms));
            Ok(token.expires_ms)
        })
    }

    fn find<'t>(
        &self,
        tokens: &'t mut BTreeMap<String, Token>,
        secret: &[u8],
        principal: &str,
    ) -> Result<&'t mut Token, Refusal> {
        let is_its = |token: &&mut Token| hmac::verify(&self.key, token.id.as_bytes(), secret).is_ok();
        let found = tokens.values_mut().find(is_its);
        let token = found.ok_or_else(|| refuse(ResponseError::DelegationTokenNotFound))?;
        match token.belongs_to(principal) {
            true => Ok(token),
            false => Err(refuse(ResponseError::DelegationTokenOwnerMismatch)),
        }
    }

    /// All of them, in the order of their ids.
    pub fn list(&self, now_ms: i64) -> Vec<Token> {
        let state = self.state.lock();
        state.tokens.values().filter(|token| token.is_remembered(now_ms)).cloned().collect()
    }

    /// `None`: there is no such token, or it has ended.
    pub fn bearer(&self, id: &str, hash: Hash, now_ms: i64) -> Option<Bearer> {
        let find = |state: &State| state.tokens.get(id).filter(|token| token.expires_ms > now_ms).cloned();
        let token = find(&self.state.lock())?;
        let name = (token.id, hash);
        let known = self.state.lock().credentials.get(&name).cloned();
        let credential = match known {
            Some(credential) => credential,
            None => {
                let password = Secret::new(BASE64.encode(self.secret(id)));
                let credential = Credential::from_password(hash, &password);
                let mut state = self.state.lock();
                find(&state)?; // it may have ended meanwhile
                state.credentials.insert(name, credential.clone());
                credential
            }
        };
        Some(Bearer { owner: token.owner, expires_ms: token.expires_ms, credential })
    }
}

impl Token {
    fn check_alive(&self, now_ms: i64) -> Result<(), Refusal> {
        let is_alive = now_ms <= self.expires_ms.min(self.max_ms);
        if is_alive { Ok(()) } else { Err(refuse(ResponseError::DelegationTokenExpired)) }
    }

    fn is_remembered(&self, now_ms: i64) -> bool {
        now_ms < self.expires_ms.saturating_add(REMEMBERED_MS)
    }
}

impl State {
    /// Changes all that is kept, or nothing.
    fn change<T>(
        &mut self,
        now_ms: i64,
        change: impl FnOnce(&mut BTreeMap<String, Token>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut changed = self.tokens.clone();
        changed.retain(|_, token| token.is_remembered(now_ms));
        let said = change(&mut changed)?;
        let stored = Stored { version: VERSION, tokens: changed.values().cloned().collect() };
        self.kept.write(&stored).map_err(|error| {
            tracing::error!(%error, "delegation tokens cannot be kept");
            Refusal::new(ResponseError::KafkaStorageError, error.to_string())
        })?;
        self.tokens = changed;
        self.credentials.retain(|(id, _), _| self.tokens.contains_key(id));
        Ok(said)
    }
}

fn refuse(error: ResponseError) -> Refusal {
    Refusal::new(error, error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const HOUR_MS: i64 = 60 * 60 * 1_000;

    fn open(folder: &Path, key: &str) -> Delegation {
        let options =
            DelegationOptions { secret_key: Some(Secret::new(key)), ..DelegationOptions::default() };
        Delegation::open(folder, &options).unwrap().unwrap()
    }

    fn wanted(lifetime_ms: i64) -> Wanted {
        let [owner, requester, renewer] =
            ["owner", "requester", "renewer"].map(|name| format!("User:{name}"));
        Wanted { owner, requester, renewers: vec![renewer], lifetime_ms }
    }

    fn error<T: std::fmt::Debug>(said: Result<T, Refusal>) -> ResponseError {
        said.unwrap_err().error
    }

    #[test]
    fn a_token_holds_a_day_unless_renewed_and_a_week_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = open(folder.path(), "key");
        let token = tokens.create(wanted(-1), 1_000).unwrap();
        assert_eq!((token.expires_ms, token.max_ms), (1_000 + 24 * HOUR_MS, 1_000 + 7 * 24 * HOUR_MS));
        let short = tokens.create(wanted(5), 1_000).unwrap();
        assert_eq!((short.expires_ms, short.max_ms), (1_005, 1_005));
        let secret = tokens.secret(&token.id);
        for who in ["User:owner", "User:requester", "User:renewer"] {
            assert_eq!(tokens.renew(&secret, who, 50, 2_000).unwrap(), 2_050);
            assert_eq!(tokens.renew(&secret, who, -1, 2_000).unwrap(), 2_000 + 24 * HOUR_MS);
        }
        assert_eq!(tokens.renew(&secret, "User:owner", i64::MAX, 2_000).unwrap(), 2_000 + 24 * HOUR_MS);
        let later = |days: i64| 1_000 + days * 24 * HOUR_MS;
        for days in 1..7 {
            tokens.renew(&secret, "User:owner", -1, later(days)).unwrap();
        }
        assert_eq!(tokens.list(later(6))[0].expires_ms, token.max_ms);
        assert_eq!(
            error(tokens.renew(&secret, "User:owner", -1, later(7) + 1)),
            ResponseError::DelegationTokenExpired
        );
        let forgotten_ms = later(7) + HOUR_MS;
        assert_eq!(tokens.list(forgotten_ms - 1).len(), 1);
        assert_eq!(tokens.list(forgotten_ms), []);
        assert_eq!(
            error(tokens.renew(&secret, "User:owner", -1, forgotten_ms)),
            ResponseError::DelegationTokenNotFound
        );
    }

    #[test]
    fn nobody_else_ends_a_token_and_an_ended_one_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = open(folder.path(), "key");
        let token = tokens.create(wanted(0), 1_000).unwrap();
        let secret = tokens.secret(&token.id);
        assert_eq!(
            error(tokens.expire(&secret, "User:mallory", -1, 2_000)),
            ResponseError::DelegationTokenOwnerMismatch
        );
        assert_eq!(
            error(tokens.expire(b"guessed", "User:owner", -1, 2_000)),
            ResponseError::DelegationTokenNotFound
        );
        let bearer = tokens.bearer(&token.id, Hash::Sha512, 2_000).unwrap();
        assert_eq!((bearer.owner.as_str(), bearer.expires_ms), ("User:owner", token.expires_ms));
        assert_eq!(tokens.bearer(&token.id, Hash::Sha512, 2_000), Some(bearer), "made once");
        assert_eq!(tokens.expire(&secret, "User:owner", 100, 2_000).unwrap(), 2_100);
        assert!(tokens.bearer(&token.id, Hash::Sha256, 2_099).is_some());
        assert_eq!(tokens.bearer(&token.id, Hash::Sha512, 2_100), None);
        assert_eq!(tokens.expire(&secret, "User:renewer", -1, 2_100).unwrap(), 2_100);
        assert_eq!((tokens.list(2_100), tokens.bearer(&token.id, Hash::Sha512, 2_000)), (vec![], None));
    }

    #[test]
    fn tokens_are_read_back_without_their_secrets_which_end_with_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let token = open(folder.path(), "key").create(wanted(0), 1_000).unwrap();
        let file = folder.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = open(folder.path(), "key");
        let secret = again.secret(&token.id);
        assert!(!fs::read_to_string(&file).unwrap().contains(&BASE64.encode(&secret)));
        assert_eq!(again.list(1_000), [token]);
        let other = open(folder.path(), "another");
        assert_eq!(
            error(other.renew(&secret, "User:owner", -1, 1_000)),
            ResponseError::DelegationTokenNotFound
        );
        assert!(Delegation::open(folder.path(), &DelegationOptions::default()).unwrap().is_none());
    }

    #[test]
    fn there_are_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = open(folder.path(), "key");
        let many = Wanted { renewers: vec!["User:renewer".to_owned(); RENEWERS_COUNT_MAX + 1], ..wanted(0) };
        assert_eq!(error(tokens.create(many, 1_000)), ResponseError::InvalidRequest);
        let token = tokens.create(wanted(0), 1_000).unwrap();
        let copies =
            (0..TOKENS_COUNT_MAX).map(|at| (at.to_string(), Token { id: at.to_string(), ..token.clone() }));
        tokens.state.lock().tokens = copies.collect();
        assert_eq!(error(tokens.create(wanted(0), 1_000)), ResponseError::PolicyViolation);
        tokens.create(wanted(0), token.expires_ms + HOUR_MS).unwrap();
        assert_eq!(tokens.state.lock().tokens.len(), 1, "the ended ones made room");
    }

    /// The first form that was ever written: every later broker must read it.
    #[test]
    fn version_1_stays_readable() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"version":1,"tokens":[{"id":"f6a0","owner":"User:alice","requester":"User:bob","renewers":["User:carol"],"issued_ms":1,"expires_ms":2,"max_ms":3}]}"#;
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let [owner, requester, renewer] = ["alice", "bob", "carol"].map(|name| format!("User:{name}"));
        let (id, renewers) = ("f6a0".to_owned(), vec![renewer]);
        let expected = Token { id, owner, requester, renewers, issued_ms: 1, expires_ms: 2, max_ms: 3 };
        assert_eq!(open(folder.path(), "key").list(1), [expected]);
    }
}

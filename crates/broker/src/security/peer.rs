//! The other end of a connection: where it came in, who it has proven to be, and how far it is with proving that.
//!
//! Requests of one connection are worked on one after another while it authenticates, so the state has one writer.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Security,
    listeners::Listener,
    sasl::{Done, Exchange, Mechanism, Turn},
};

/// Who has not proven anything.
pub const ANONYMOUS: &str = "User:ANONYMOUS";
/// The keys of the two requests by which a client authenticates, and of the one that tells him how.
pub const SASL_HANDSHAKE: i16 = 17;
pub const SASL_AUTHENTICATE: i16 = 36;
const API_VERSIONS: i16 = 18;
/// Kafka's `sasl.server.max.receive.size`: what a client may send before it is known who he is.
const UNPROVEN_BYTES_MAX: usize = 512 << 10;
/// A client may not begin to authenticate anew more often than so.
const REAUTH_INTERVAL: Duration = Duration::from_secs(1);
/// Kafka's `connection.failed.authentication.delay.ms`: guessing takes its time.
pub const FAILURE_DELAY: Duration = Duration::from_millis(100);

pub struct Peer {
    pub host: IpAddr,
    pub listener: Arc<Listener>,
    /// Whether all requests are taken: read without the lock, once a frame.
    is_open: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// As ACLs name him: `User:alice`.
    principal: Arc<str>,
    phase: Phase,
    /// When the proof ends, and when it was given.
    until: Option<Instant>,
    since: Instant,
    /// By what he has proven it: another mechanism cannot renew it.
    mechanism: Option<Mechanism>,
    by_token: bool,
}

enum Phase {
    /// Nothing is to be proven, or it is proven.
    Open,
    /// A SASL listener's connection at first.
    Fresh,
    /// Handshake version 0: tokens come as frames without headers.
    Exchanging {
        exchange: Box<Exchange>,
        mechanism: Mechanism,
        bare: bool,
        is_renewal: bool,
    },
    Failed,
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// A request.
    Pass,
    /// A token without a header.
    Token,
    /// Nothing that may come now.
    Closed,
}

/// What a handshake comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Handshake {
    Begun,
    Unsupported,
    /// Not now. It closes the connection where he is in the middle of authenticating.
    Illegal {
        closes: bool,
    },
}

/// What a token comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    More(Bytes),
    /// The last token, and how long the proof holds (0: for ever).
    Proven {
        answer: Bytes,
        lifetime_ms: i64,
    },
    Refused {
        message: String,
        reason: String,
    },
    /// Not now.
    Illegal,
}

impl Peer {
    /// `name`: what the rules make of the subject of the client's certificate, if he has shown one.
    pub fn new(host: IpAddr, listener: Arc<Listener>, name: Option<String>) -> Peer {
        let has_sasl = listener.protocol.has_sasl();
        let principal = name.map_or_else(|| ANONYMOUS.into(), |name| format!("User:{name}").into());
        let phase = if has_sasl { Phase::Fresh } else { Phase::Open };
        let state =
            State { principal, phase, until: None, since: Instant::now(), mechanism: None, by_token: false };
        Peer { host, listener, is_open: AtomicBool::new(!has_sasl), state: Mutex::new(state) }
    }

    pub fn principal(&self) -> Arc<str> {
        self.state.lock().principal.clone()
    }

    /// Whether he is who he is by a delegation token.
    pub fn came_by_token(&self) -> bool {
        self.state.lock().by_token
    }

    /// Whether he has proven who he is, or need not.
    pub fn is_proven(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// The largest frame that is taken now.
    pub fn frame_bytes_max(&self, bytes_max: usize) -> usize {
        if self.is_proven() { bytes_max } else { bytes_max.min(UNPROVEN_BYTES_MAX) }
    }

    /// Whether a request of this key may come now; `None`: the frame is too short to have a key.
    pub fn gate(&self, key: Option<i16>) -> Gate {
        if !self.listener.protocol.has_sasl() {
            return Gate::Pass;
        }
        let state = self.state.lock();
        let passes = match (&state.phase, key) {
            (Phase::Exchanging { bare: true, .. }, _) => return Gate::Token,
            (Phase::Open, Some(SASL_HANDSHAKE)) => true,
            (Phase::Open, _) => state.until.is_none_or(|until| Instant::now() < until),
            (Phase::Fresh, Some(key)) => matches!(key, API_VERSIONS | SASL_HANDSHAKE),
            (Phase::Exchanging { .. }, Some(key)) => matches!(key, SASL_HANDSHAKE | SASL_AUTHENTICATE),
            (Phase::Fresh | Phase::Exchanging { .. }, None) | (Phase::Failed, _) => false,
        };
        if passes { Gate::Pass } else { Gate::Closed }
    }

    pub fn handshake(&self, security: &Security, word: &str, version: i16) -> Handshake {
        let mut state = self.state.lock();
        let is_renewal = match state.phase {
            Phase::Fresh => false,
            // As in Kafka: only a proof that ends can be renewed, and not all the time.
            Phase::Open if state.until.is_some() && state.since.elapsed() >= REAUTH_INTERVAL => true,
            Phase::Open => return Handshake::Illegal { closes: false },
            Phase::Exchanging { .. } | Phase::Failed => {
                state.phase = Phase::Failed;
                return Handshake::Illegal { closes: true };
            }
        };
        let known = security.mechanisms.iter().copied().find(|mechanism| mechanism.word() == word);
        let Some(mechanism) = known else {
            state.phase = Phase::Failed;
            return Handshake::Unsupported;
        };
        let exchange = Box::new(Exchange::new(mechanism));
        state.phase = Phase::Exchanging { exchange, mechanism, bare: version == 0, is_renewal };
        Handshake::Begun
    }

    /// What may have to be waited for before a token can be looked at.
    pub async fn prepare(&self, security: &Security, token: &[u8]) {
        let bears_token =
            matches!(&self.state.lock().phase, Phase::Exchanging { mechanism: Mechanism::OauthBearer, .. });
        if bears_token && let Some(tokens) = &security.tokens {
            tokens.look_for_key(token).await;
        }
    }

    pub fn prove(&self, security: &Security, token: &[u8], now_ms: i64) -> Proof {
        let mut state = self.state.lock();
        let State {
            phase: Phase::Exchanging { exchange, mechanism, is_renewal, .. },
            principal,
            mechanism: before,
            ..
        } = &mut *state
        else {
            return Proof::Illegal;
        };
        let (mechanism, is_renewal) = (*mechanism, *is_renewal);
        let turn = exchange.step(security, token, now_ms);
        let refusal = match turn {
            Ok(Turn::More(answer)) => return Proof::More(answer.into()),
            Ok(Turn::Done(Done { answer, user, until_ms, by_token })) => {
                let proven: Arc<str> = format!("User:{user}").into();
                if is_renewal && (*principal != proven || *before != Some(mechanism)) {
                    let message = format!(
                        "Cannot change principals during re-authentication from {principal} to {proven}"
                    );
                    Err((message.clone(), message))
                } else {
                    let left_ms = until_ms.map(|until_ms| (until_ms - now_ms).max(0));
                    let lifetime_ms = [left_ms, security.reauth_ms_max].into_iter().flatten().min();
                    state.open(proven, mechanism, lifetime_ms);
                    state.by_token = by_token;
                    self.is_open.store(true, Ordering::Relaxed);
                    Ok(Proof::Proven { answer: answer.into(), lifetime_ms: lifetime_ms.unwrap_or(0) })
                }
            }
            Err(refused) => {
                let which = if is_renewal { "re-authentication" } else { "authentication" };
                let message = refused.message.unwrap_or_else(|| {
                    let word = mechanism.word();
                    format!("Authentication failed during {which} due to invalid credentials with SASL mechanism {word}")
                });
                Err((message, refused.reason))
            }
        };
        refusal.unwrap_or_else(|(message, reason)| {
            state.phase = Phase::Failed;
            Proof::Refused { message, reason }
        })
    }
}

impl State {
    fn open(&mut self, principal: Arc<str>, mechanism: Mechanism, lifetime_ms: Option<i64>) {
        let now = Instant::now();
        self.principal = principal;
        self.mechanism = Some(mechanism);
        self.since = now;
        self.until = lifetime_ms.map(|ms| now + Duration::from_millis(ms.unsigned_abs()));
        self.phase = Phase::Open;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base::Secret;
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::{Options, Protocol, security::sasl::scram::Hash};

    fn security(folder: &std::path::Path, reauth_ms_max: i64) -> Security {
        let mut options = Options::at(folder, ([127, 0, 0, 1], 0).into());
        options.security.protocol = Protocol::SaslPlaintext;
        options.security.sasl.mechanisms = vec!["PLAIN".to_owned(), "SCRAM-SHA-256".to_owned()];
        options.security.sasl.reauth_ms_max = reauth_ms_max;
        options.security.sasl.users = BTreeMap::from([("alice".to_owned(), Secret::new("wonder"))]);
        Security::open(&Arc::new(options), None).unwrap()
    }

    fn peer(protocol: Protocol) -> Peer {
        let listener = Listener {
            name: protocol.word().to_owned(),
            protocol,
            address: ([127, 0, 0, 1], 9_092).into(),
            host: StrBytes::from_static_str("localhost"),
            port: 9_092,
            tls: None,
        };
        Peer::new([127, 0, 0, 1].into(), Arc::new(listener), None)
    }

    const METADATA: i16 = 3;

    #[test]
    fn only_what_serves_to_authenticate_may_come_before() {
        let folder = tempfile::tempdir().unwrap();
        let security = security(folder.path(), 0);
        let peer = peer(Protocol::SaslPlaintext);
        let gates =
            || [METADATA, API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE].map(|key| peer.gate(Some(key)));
        use Gate::{Closed, Pass};
        assert_eq!(gates(), [Closed, Pass, Pass, Closed]);
        assert_eq!((peer.frame_bytes_max(1 << 30), peer.gate(None)), (512 << 10, Closed));
        assert_eq!(peer.handshake(&security, "PLAIN", 1), Handshake::Begun);
        assert_eq!(gates(), [Closed, Closed, Pass, Pass]);
        let proven = peer.prove(&security, b"\0alice\0wonder", 0);
        assert_eq!(proven, Proof::Proven { answer: Bytes::new(), lifetime_ms: 0 });
        assert_eq!(gates(), [Pass; 4]);
        assert_eq!((&*peer.principal(), peer.frame_bytes_max(1 << 30)), ("User:alice", 1 << 30));
        // Once is enough where a proof does not end.
        assert_eq!(peer.handshake(&security, "PLAIN", 1), Handshake::Illegal { closes: false });
        assert_eq!(peer.prove(&security, b"\0alice\0wonder", 0), Proof::Illegal);
    }

    #[test]
    fn who_fails_gets_no_second_chance() {
        let folder = tempfile::tempdir().unwrap();
        let security = security(folder.path(), 0);
        let message = |token: &[u8], mechanism| {
            let peer = peer(Protocol::SaslPlaintext);
            assert_eq!(peer.handshake(&security, mechanism, 1), Handshake::Begun);
            let Proof::Refused { message, .. } = peer.prove(&security, token, 0) else {
                panic!("not refused")
            };
            assert_eq!(peer.gate(Some(SASL_HANDSHAKE)), Gate::Closed);
            assert_eq!(&*peer.principal(), ANONYMOUS);
            message
        };
        let wrong = "Authentication failed: Invalid username or password";
        assert_eq!(message(b"\0alice\0wrong", "PLAIN"), wrong);
        assert_eq!(message(b"\0bob\0wonder", "PLAIN"), wrong);
        assert_eq!(
            message(b"bob\0alice\0wonder", "PLAIN"),
            "Authentication failed: Client requested an authorization id that is different from username"
        );
        assert_eq!(
            message(b"n,,n=bob,r=abc", "SCRAM-SHA-256"),
            "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256"
        );
        let peer = peer(Protocol::SaslPlaintext);
        assert_eq!(peer.handshake(&security, "SCRAM-SHA-512", 1), Handshake::Unsupported);
        assert_eq!(peer.gate(Some(API_VERSIONS)), Gate::Closed);
    }

    #[test]
    fn a_proof_that_has_ended_lets_nothing_through_but_its_renewal() {
        let folder = tempfile::tempdir().unwrap();
        let security = security(folder.path(), 1);
        let peer = peer(Protocol::SaslPlaintext);
        peer.handshake(&security, "PLAIN", 1);
        let proven = peer.prove(&security, b"\0alice\0wonder", 0);
        assert_eq!(proven, Proof::Proven { answer: Bytes::new(), lifetime_ms: 1 });
        peer.state.lock().until = Some(Instant::now());
        assert_eq!(peer.gate(Some(METADATA)), Gate::Closed);
        assert_eq!(peer.gate(Some(SASL_HANDSHAKE)), Gate::Pass);
        let now_is_too_soon = peer.handshake(&security, "PLAIN", 1);
        assert_eq!(now_is_too_soon, Handshake::Illegal { closes: false });
        peer.state.lock().since = Instant::now() - REAUTH_INTERVAL;
        assert_eq!(peer.handshake(&security, "PLAIN", 1), Handshake::Begun);
        assert!(matches!(peer.prove(&security, b"\0alice\0wonder", 0), Proof::Proven { .. }));
    }

    #[test]
    fn another_mechanism_or_user_cannot_renew_a_proof() {
        let folder = tempfile::tempdir().unwrap();
        let security = security(folder.path(), 60_000);
        let peer = peer(Protocol::SaslPlaintext);
        peer.state.lock().open("User:bob".into(), Mechanism::Plain, Some(60_000));
        peer.state.lock().since = Instant::now() - REAUTH_INTERVAL;
        peer.handshake(&security, "PLAIN", 1);
        let Proof::Refused { message, .. } = peer.prove(&security, b"\0alice\0wonder", 0) else {
            panic!("not refused")
        };
        assert_eq!(message, "Cannot change principals during re-authentication from User:bob to User:alice");
        peer.state.lock().open("User:alice".into(), Mechanism::Scram(Hash::Sha256), Some(60_000));
        peer.state.lock().since = Instant::now() - REAUTH_INTERVAL;
        peer.handshake(&security, "PLAIN", 1);
        assert!(matches!(peer.prove(&security, b"\0alice\0wonder", 0), Proof::Refused { .. }));
    }

    #[test]
    fn nothing_is_asked_where_there_is_no_sasl() {
        let peer = peer(Protocol::Ssl);
        assert_eq!((peer.gate(Some(METADATA)), peer.gate(None)), (Gate::Pass, Gate::Pass));
        assert_eq!(&*peer.principal(), ANONYMOUS);
    }
}

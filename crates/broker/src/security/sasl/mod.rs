//! SASL: the mechanisms, and one exchange of tokens by which a client proves who he is. Sockets and requests are others'.

use crate::{
    errors::Error,
    options::Options,
    security::{Security, options::Protocol},
};

pub mod oauth;
pub mod scram;

use scram::Hash;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Scram(Hash),
    OauthBearer,
}

impl Mechanism {
    const ALL: [Mechanism; 4] = [
        Mechanism::Plain,
        Mechanism::Scram(Hash::Sha256),
        Mechanism::Scram(Hash::Sha512),
        Mechanism::OauthBearer,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram(hash) => hash.mechanism(),
            Mechanism::OauthBearer => "OAUTHBEARER",
        }
    }

    pub fn scram(self) -> Option<Hash> {
        match self {
            Mechanism::Scram(hash) => Some(hash),
            Mechanism::Plain | Mechanism::OauthBearer => None,
        }
    }
}

/// What is offered: nothing where no listener has SASL.
pub fn mechanisms(options: &Options) -> Result<Vec<Mechanism>, Error> {
    let security = &options.security;
    let words = security.listeners.iter().chain(&security.protocol_map);
    let has_sasl = security.protocol.has_sasl()
        || words.into_iter().any(|entry| {
            entry.split([':', '/']).any(|word| Protocol::named(word).is_some_and(Protocol::has_sasl))
        });
    if !has_sasl {
        return Ok(vec![]);
    }
    let named = |word: &String| {
        let found = Mechanism::ALL.into_iter().find(|mechanism| mechanism.word() == word.as_str());
        found.ok_or_else(|| Error::Sasl { reason: format!("there is no SASL mechanism {word}") })
    };
    let found = security.sasl.mechanisms.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        return Err(Error::Sasl { reason: "a listener has SASL, and no mechanism is enabled".to_owned() });
    }
    Ok(found)
}

/// One exchange of tokens.
pub enum Exchange {
    Plain,
    Scram(scram::Exchange),
    OauthBearer(oauth::Exchange),
}

/// What a client's token leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another token is wanted.
    More(Vec<u8>),
    /// He is who he says.
    Done(Done),
}

/// The last answer, who has proven himself, and when that ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    pub answer: Vec<u8>,
    pub user: String,
    pub until_ms: Option<i64>,
    /// Somebody else has done it for him: he has a delegation token.
    pub by_token: bool,
}

/// What the client is told; why stands in the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// `None`: what Kafka says of any credentials that are wrong.
    pub message: Option<String>,
    pub reason: String,
}

impl Refused {
    fn because(reason: impl Into<String>) -> Refused {
        Refused { message: None, reason: reason.into() }
    }

    fn saying(message: &str) -> Refused {
        Refused { message: Some(message.to_owned()), reason: message.to_owned() }
    }
}

impl Exchange {
    pub fn new(mechanism: Mechanism) -> Exchange {
        match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Scram(hash) => Exchange::Scram(scram::Exchange::new(hash)),
            Mechanism::OauthBearer => Exchange::OauthBearer(oauth::Exchange::default()),
        }
    }

    pub fn step(&mut self, security: &Security, token: &[u8], now_ms: i64) -> Result<Turn, Refused> {
        match self {
            Exchange::Plain => plain(security, token),
            Exchange::Scram(exchange) => {
                let known =
                    scram::Known { users: &security.users, delegation: security.delegation.as_ref(), now_ms };
                exchange.step(&known, token)
            }
            Exchange::OauthBearer(exchange) => exchange.step(security.tokens.as_ref(), token, now_ms),
        }
    }
}

/// RFC 4616: whom to act as, who one is, and the password, with zeros between.
fn plain(security: &Security, token: &[u8]) -> Result<Turn, Refused> {
    let wrong = || Refused::saying("Authentication failed: Invalid username or password");
    let text = std::str::from_utf8(token).map_err(|_| wrong())?;
    let mut parts = text.split('\0');
    let (Some(acting), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refused::saying("Invalid SASL/PLAIN response: expected 3 tokens"));
    };
    if user.is_empty() {
        return Err(Refused::saying("Authentication failed: username not specified"));
    }
    if password.is_empty() {
        return Err(Refused::saying("Authentication failed: password not specified"));
    }
    if !security.users.has_password(user, password) {
        return Err(wrong());
    }
    if !acting.is_empty() && acting != user {
        let message =
            "Authentication failed: Client requested an authorization id that is different from username";
        return Err(Refused::saying(message));
    }
    Ok(Turn::Done(Done { answer: vec![], user: user.to_owned(), until_ms: None, by_token: false }))
}

/// Compares in a time that does not tell where the first difference is.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0u8, |differing, (a, b)| differing | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677), without channel binding, as Kafka has them.

use std::num::NonZeroU32;

use base::Secret;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::{
    digest, hmac, pbkdf2,
    rand::{SecureRandom, SystemRandom},
};

use super::{Done, Refused, Turn, is_same};
use crate::security::{delegation::Delegation, users::Users};

/// Kafka's bounds for the number of iterations; more would be work that any client could ask for.
pub const ITERATIONS: std::ops::RangeInclusive<i32> = 4_096..=16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    pub const ALL: [Hash; 2] = [Hash::Sha256, Hash::Sha512];

    pub fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha256 => "SCRAM-SHA-256",
            Hash::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The number that Kafka's requests have for it.
    pub fn id(self) -> i8 {
        match self {
            Hash::Sha256 => 1,
            Hash::Sha512 => 2,
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    fn hmac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), bytes).as_ref().to_vec()
    }

    fn salted(self, password: &str, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Hash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Hash::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        salted
    }
}

/// What is known of a user's password: enough to check it, not to say it. The keys are base64 within a `Secret`, so that
/// nothing can print them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub salt: Vec<u8>,
    pub iterations: i32,
    pub stored_key: Secret,
    pub server_key: Secret,
}

impl Credential {
    /// From what `kafka-configs` sends: the client has done the iterations.
    pub fn from_salted(hash: Hash, salt: Vec<u8>, iterations: i32, salted: &[u8]) -> Credential {
        let client_key = hash.hmac(salted, b"Client Key");
        let stored_key = Secret::new(BASE64.encode(hash.digest(&client_key)));
        let server_key = Secret::new(BASE64.encode(hash.hmac(salted, b"Server Key")));
        Credential { salt, iterations, stored_key, server_key }
    }

    /// From a password of the settings, with a salt of its own.
    pub fn from_password(hash: Hash, password: &Secret) -> Credential {
        let salt = random();
        let iterations = *ITERATIONS.start();
        let count = NonZeroU32::new(iterations.unsigned_abs()).unwrap_or(NonZeroU32::MIN);
        let salted = hash.salted(password.reveal(), &salt, count);
        Credential::from_salted(hash, salt, iterations, &salted)
    }
}

/// 24 bytes that nobody can guess.
fn random() -> Vec<u8> {
    let mut bytes = vec![0; 24];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system has randomness: TLS and ids need it too");
    bytes
}

/// Whose password can be checked: a user's, or a delegation token's.
pub struct Known<'a> {
    pub users: &'a Users,
    pub delegation: Option<&'a Delegation>,
    pub now_ms: i64,
}

/// The server's half of one exchange.
pub struct Exchange {
    hash: Hash,
    begun: Option<Begun>,
}

struct Begun {
    /// The owner, where the name is a token's id.
    user: String,
    by_token: bool,
    until_ms: Option<i64>,
    credential: Credential,
    header: String,
    /// The client's first message without its header, and our answer to it.
    messages: String,
    /// Our part of it.
    nonce: String,
}

impl Exchange {
    pub fn new(hash: Hash) -> Exchange {
        Exchange { hash, begun: None }
    }

    pub fn step(&mut self, known: &Known<'_>, token: &[u8]) -> Result<Turn, Refused> {
        let text = std::str::from_utf8(token).map_err(|_| Refused::because("a token is not UTF-8"))?;
        match self.begun.take() {
            None => self.begin(known, text, &BASE64.encode(random())),
            Some(begun) => self.end(begun, text),
        }
    }

    fn begin(&mut self, known: &Known<'_>, text: &str, ours: &str) -> Result<Turn, Refused> {
        let malformed = || Refused::because("the first token is not one of SCRAM");
        // `n,a=acting,` and `n=user,r=nonce`
        let mut commas = text.match_indices(',').map(|(at, _)| at);
        let (Some(first), Some(second)) = (commas.next(), commas.next()) else { return Err(malformed()) };
        let (header, bare) = text.split_at(second + 1);
        let acting = header[first + 1..second].strip_prefix("a=").unwrap_or_default();
        if !matches!(&header[..first], "n" | "y") {
            return Err(Refused::because("channel binding is not spoken here"));
        }
        let mut parts = bare.split(',');
        let user = parts.next().and_then(|part| part.strip_prefix("n=")).ok_or_else(malformed)?;
        let theirs = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or_else(malformed)?;
        let user = user.replace("=2C", ",").replace("=3D", "=");
        if !acting.is_empty() && acting.replace("=2C", ",").replace("=3D", "=") != user {
            return Err(Refused::because("the client asks to act as another user"));
        }
        let by_token = parts.any(|extension| extension.eq_ignore_ascii_case("tokenauth=true"));
        let (user, until_ms, credential) = self.look_up(known, user, by_token)?;
        let nonce = format!("{theirs}{ours}");
        let answer = format!("r={nonce},s={},i={}", BASE64.encode(&credential.salt), credential.iterations);
        let messages = format!("{bare},{answer}");
        let (header, nonce) = (header.to_owned(), ours.to_owned());
        self.begun = Some(Begun { user, by_token, until_ms, credential, header, messages, nonce });
        Ok(Turn::More(answer.into_bytes()))
    }

    /// Who comes by this name, and until when.
    fn look_up(
        &self,
        known: &Known<'_>,
        name: String,
        by_token: bool,
    ) -> Result<(String, Option<i64>, Credential), Refused> {
        if !by_token {
            let credential = known.users.credential(&name, self.hash);
            let unknown = || Refused::because(format!("there is no user {name:?}"));
            return credential.ok_or_else(unknown).map(|credential| (name, None, credential));
        }
        let bearer = known.delegation.and_then(|tokens| tokens.bearer(&name, self.hash, known.now_ms));
        let bearer = bearer.ok_or_else(|| {
            Refused::because(format!("there is no delegation token {name:?}, or it has ended"))
        })?;
        let owner = bearer.owner.strip_prefix("User:").unwrap_or(&bearer.owner).to_owned();
        Ok((owner, Some(bearer.expires_ms), bearer.credential))
    }

    fn end(&self, begun: Begun, text: &str) -> Result<Turn, Refused> {
        let malformed = || Refused::because("the last token is not one of SCRAM");
        let (unproven, proof) = text.rsplit_once(",p=").ok_or_else(malformed)?;
        let mut parts = unproven.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or_else(malformed)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or_else(malformed)?;
        // As in Kafka the end of the nonce counts: librdkafka 2.0 says its own part twice.
        let is_ours = nonce.ends_with(&begun.nonce);
        if !is_ours || BASE64.decode(binding).ok().as_deref() != Some(begun.header.as_bytes()) {
            return Err(Refused::because("the last token is not of this exchange"));
        }
        let proof = BASE64.decode(proof).map_err(|_| malformed())?;
        let key = |secret: &Secret| {
            BASE64.decode(secret.reveal()).map_err(|_| Refused::because("a stored key is damaged"))
        };
        let stored = key(&begun.credential.stored_key)?;
        let said = format!("{},{unproven}", begun.messages);
        let signature = self.hash.hmac(&stored, said.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, sign)| proof ^ sign).collect();
        if proof.len() != signature.len() || !is_same(&self.hash.digest(&client_key), &stored) {
            return Err(Refused::because(format!("the password of {:?} is wrong", begun.user)));
        }
        let ours = self.hash.hmac(&key(&begun.credential.server_key)?, said.as_bytes());
        let answer = format!("v={}", BASE64.encode(ours)).into_bytes();
        let Begun { user, until_ms, by_token, .. } = begun;
        Ok(Turn::Done(Done { answer, user, until_ms, by_token }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The examples of RFC 7677 (SHA-256); the server's part of the nonce is given there.
    #[test]
    fn the_exchange_of_the_rfc_goes_as_written() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = Hash::Sha256.salted("pencil", &salt, NonZeroU32::new(4_096).unwrap());
        let credential = Credential::from_salted(Hash::Sha256, salt, 4_096, &salted);
        let folder = tempfile::tempdir().unwrap();
        let users = Users::open(folder.path(), &BTreeMap::new(), true).unwrap();
        users.alter("user", &[], vec![(Hash::Sha256, credential)]).unwrap();
        let mut exchange = Exchange::new(Hash::Sha256);
        let known = Known { users: &users, delegation: None, now_ms: 0 };
        let first =
            exchange.begin(&known, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let expected =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(first, Ok(Turn::More(expected.into())));
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let answer = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
        let done = exchange.step(&known, last.as_bytes());
        let user = "user".to_owned();
        assert_eq!(done, Ok(Turn::Done(Done { answer, user, until_ms: None, by_token: false })));
    }

    fn refusal(first: &str, last: impl Fn(&str) -> String) -> String {
        let folder = tempfile::tempdir().unwrap();
        let passwords = BTreeMap::from([("alice".to_owned(), Secret::new("wonder"))]);
        let users = Users::open(folder.path(), &passwords, true).unwrap();
        let known = Known { users: &users, delegation: None, now_ms: 0 };
        let mut exchange = Exchange::new(Hash::Sha512);
        match exchange.step(&known, first.as_bytes()) {
            Ok(Turn::More(answer)) => {
                let answer = String::from_utf8(answer).unwrap();
                let nonce = answer.split(',').next().unwrap().strip_prefix("r=").unwrap();
                exchange.step(&known, last(nonce).as_bytes()).unwrap_err().reason
            }
            other => other.unwrap_err().reason,
        }
    }

    #[test]
    fn what_is_not_proven_is_refused() {
        let proof = BASE64.encode([7; 64]);
        let right = "n,,n=alice,r=abc";
        assert_eq!(refusal("hello", |_| String::new()), "the first token is not one of SCRAM");
        assert_eq!(
            refusal("p=tls-unique,,n=alice,r=abc", |_| String::new()),
            "channel binding is not spoken here"
        );
        assert_eq!(refusal("n,,n=bob,r=abc", |_| String::new()), "there is no user \"bob\"");
        assert_eq!(
            refusal("n,a=bob,n=alice,r=abc", |_| String::new()),
            "the client asks to act as another user"
        );
        assert_eq!(refusal(right, |nonce| format!("c=biws,r={nonce}")), "the last token is not one of SCRAM");
        assert_eq!(
            refusal(right, |nonce| format!("c=biws,r={nonce}x,p={proof}")),
            "the last token is not of this exchange"
        );
        assert_eq!(
            refusal(right, |nonce| format!("c=biws,r={nonce},p={proof}")),
            "the password of \"alice\" is wrong"
        );
        // That the client's part stands there twice is none of its faults.
        assert_eq!(
            refusal(right, |nonce| format!("c=biws,r=abc{nonce},p={proof}")),
            "the password of \"alice\" is wrong"
        );
        assert_eq!(
            refusal(right, |nonce| format!("c=biws,r={nonce},p=AAAA")),
            "the password of \"alice\" is wrong"
        );
    }
}

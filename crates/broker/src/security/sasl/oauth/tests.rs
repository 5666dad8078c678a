//! Which tokens are taken, and where their keys come from: files, and an HTTP server on a port of its own.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
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
        Ok(Turn::Done(Done { user, until_ms, .. })) => Ok(format!("{user} until {}", until_ms.unwrap())),
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

#[tokio::test]
async fn unsigned_tokens_are_taken_where_the_settings_say_so() {
    let token = unsecured(r#"{"sub":"alice","exp":1700000100}"#);
    let options = OauthOptions { unsecured: true, ..OauthOptions::default() };
    let tokens = Tokens::of(&options).await.unwrap();
    assert_eq!(turn(&tokens, &token), Ok("alice until 1700000100000".to_owned()));
    assert_eq!(turn(&tokens, &format!("{token}c2ln")), refused("the token is not signed"));
    assert_eq!(
        turn(&tokens, &unsecured(r#"{"sub":"a","exp":1699999000}"#)),
        refused("the token has expired")
    );
    assert_eq!(turn(&tokens, &unsecured(r#"{"sub":"a"}"#)), refused("the token never expires"));
    assert_eq!(turn(&tokens, &unsecured(r#"{"exp":1700000100}"#)), refused("the token has no claim sub"));
    assert!(Tokens::of(&OauthOptions::default()).await.is_err());
}

/// One who issues tokens.
struct Issuer {
    random: SystemRandom,
    pair: EcdsaKeyPair,
    id: &'static str,
}

impl Issuer {
    fn new(id: &'static str) -> Issuer {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        Issuer { pair: pair.unwrap(), random, id }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        serde_json::json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": encode(x), "y": encode(y)})
    }

    fn signed(&self, claims: &str) -> String {
        self.signed_as(self.id, claims)
    }

    fn signed_as(&self, id: &str, claims: &str) -> String {
        let header = format!(r#"{{"alg":"ES256","kid":"{id}"}}"#);
        let text = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&self.random, text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

fn document(keys: &[Value]) -> String {
    serde_json::json!({"keys": keys}).to_string()
}

const CLAIMS: &str =
    r#"{"sub":"alice","exp":1700000100,"iss":"https://id","aud":["kafka","x"],"user":"al","scp":["read"]}"#;

fn alice() -> Result<String, String> {
    Ok("alice until 1700000100000".to_owned())
}

fn at_file(path: &Path) -> OauthOptions {
    OauthOptions { jwks: Some(path.display().to_string()), ..OauthOptions::default() }
}

#[tokio::test]
async fn signed_tokens_are_checked_against_the_keys_of_the_file() {
    let issuer = Issuer::new("one");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let mut encrypting = Issuer::new("two").jwk();
    encrypting["use"] = "enc".into();
    let others = serde_json::json!({"kty": "oct", "k": "AAAA"});
    fs::write(&path, document(&[others, encrypting.clone(), issuer.jwk()])).unwrap();
    let options = OauthOptions {
        issuer: Some("https://id".to_owned()),
        audience: vec!["tea".to_owned(), "kafka".to_owned()],
        ..at_file(&path)
    };
    let tokens = Tokens::of(&options).await.unwrap();
    let good = issuer.signed(CLAIMS);
    assert_eq!(turn(&tokens, &good), alice());
    let forged = good.replace(&part(CLAIMS), &part(&CLAIMS.replace("alice", "admin")));
    assert_eq!(turn(&tokens, &forged), refused("no key here has signed the token (ES256)"));
    assert_eq!(turn(&tokens, &unsecured(CLAIMS)), refused("the token is not signed"));
    let unknown = issuer.signed_as("two", CLAIMS);
    assert_eq!(turn(&tokens, &unknown), refused("no key here has signed the token (ES256)"));
    let other = issuer.signed(&CLAIMS.replace("https://id", "https://evil"));
    assert_eq!(turn(&tokens, &other), refused("the token is not issued by https://id"));
    let other = issuer.signed(&CLAIMS.replace("kafka", "other"));
    assert_eq!(turn(&tokens, &other), refused("the token is not meant for tea or kafka"));
    fs::write(&path, document(&[encrypting])).unwrap();
    let reason = Tokens::of(&options).await.err().unwrap().to_string();
    assert!(reason.ends_with("jwks.json holds no keys: none of RSA, P-256 or P-384 is in it"), "{reason}");
}

#[tokio::test]
async fn claims_have_the_names_and_clocks_the_skew_of_the_settings() {
    let issuer = Issuer::new("one");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    fs::write(&path, document(&[issuer.jwk()])).unwrap();
    let named = OauthOptions {
        subject_claim: "user".to_owned(),
        scope_claim: "scp".to_owned(),
        clock_skew_ms: 100_000,
        ..at_file(&path)
    };
    let named = Tokens::of(&named).await.unwrap();
    let plain = Tokens::of(&at_file(&path)).await.unwrap();
    assert_eq!(turn(&named, &issuer.signed(CLAIMS)), Ok("al until 1700000100000".to_owned()));
    let late = issuer.signed(&CLAIMS.replace("1700000100", "1699999950"));
    assert_eq!(turn(&named, &late), Ok("al until 1699999950000".to_owned()));
    assert_eq!(turn(&plain, &late), refused("the token has expired"));
    let twice = issuer.signed(&CLAIMS.replace(r#"["read"]"#, r#"["read"," read"]"#));
    assert_eq!(turn(&named, &twice), refused("the claim scp has the scope read twice"));
    assert_eq!(turn(&plain, &twice), alice());
    for scope in [r#""""#, r#"["read",""]"#, "[7]"] {
        let none = issuer.signed(&CLAIMS.replace(r#"["read"]"#, scope));
        assert_eq!(turn(&named, &none), refused("the claim scp has a scope that is no text"), "{scope}");
    }
}

/// What an issuer publishes at an address, and how often it was asked for it.
struct Published {
    address: String,
    document: Arc<Mutex<String>>,
    asked_count: Arc<AtomicU32>,
}

impl Published {
    async fn start(keys: &[Value]) -> Published {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}/jwks", listener.local_addr().unwrap());
        let document = Arc::new(Mutex::new(document(keys)));
        let asked_count = Arc::<AtomicU32>::default();
        let (answers, count) = (document.clone(), asked_count.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4 << 10];
                let read = stream.read(&mut request).await.unwrap_or(0);
                assert!(request[..read].starts_with(b"GET /jwks HTTP/1.1"));
                count.fetch_add(1, Ordering::Relaxed);
                let body = answers.lock().clone();
                let status = if body.is_empty() { "503 Service Unavailable" } else { "200 OK" };
                let head = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).await.ok();
            }
        });
        Published { address, document, asked_count }
    }

    fn publish(&self, keys: &[Value]) {
        *self.document.lock() = document(keys);
    }

    fn asked_count(&self) -> u32 {
        self.asked_count.load(Ordering::Relaxed)
    }

    async fn tokens(&self, refresh_ms: u64) -> Result<Tokens, Error> {
        let options = OauthOptions {
            jwks: Some(self.address.clone()),
            jwks_refresh_ms: refresh_ms,
            ..OauthOptions::default()
        };
        Tokens::of(&options).await
    }
}

async fn look(tokens: &Tokens, bearer: &str) -> Result<String, String> {
    tokens.look_for_key(format!("n,,\x01auth=Bearer {bearer}\x01\x01").as_bytes()).await;
    turn(tokens, bearer)
}

#[tokio::test]
async fn a_key_that_is_not_known_is_asked_for_and_not_all_the_time() {
    let (one, two, never) = (Issuer::new("one"), Issuer::new("two"), Issuer::new("never"));
    let published = Published::start(&[one.jwk()]).await;
    let tokens = published.tokens(3_600_000).await.unwrap();
    assert_eq!(look(&tokens, &one.signed(CLAIMS)).await, alice());
    assert_eq!(published.asked_count(), 1);
    published.publish(&[two.jwk()]);
    let new = two.signed(CLAIMS);
    let both = tokio::join!(look(&tokens, &new), look(&tokens, &new)); // the second waits for what the first gets
    assert_eq!(both, (alice(), alice()));
    assert_eq!(published.asked_count(), 2);
    assert_eq!(look(&tokens, &one.signed(CLAIMS)).await, refused("no key here has signed the token (ES256)"));
    assert_eq!(published.asked_count(), 3);
    for _ in 0..20 {
        assert!(look(&tokens, &never.signed(CLAIMS)).await.is_err());
        assert!(look(&tokens, &never.signed_as("another", CLAIMS)).await.is_err());
    }
    assert!(published.asked_count() < 8, "{}", published.asked_count());
    assert_eq!(look(&tokens, &two.signed(CLAIMS)).await, alice());
    let long = never.signed_as(&"x".repeat(1_001), CLAIMS);
    assert!(look(&tokens, &long).await.is_err());
}

#[tokio::test]
async fn keys_are_read_anew_every_so_often_and_kept_where_there_are_none() {
    let (one, two) = (Issuer::new("one"), Issuer::new("two"));
    let published = Published::start(&[one.jwk()]).await;
    let tokens = Arc::new(published.tokens(20).await.unwrap());
    let stop = CancellationToken::new();
    let refreshing = tokio::spawn({
        let (tokens, stop) = (tokens.clone(), stop.clone());
        async move { tokens.refresh_until(stop).await }
    });
    published.document.lock().clear();
    let asked = published.asked_count();
    until(|| published.asked_count() > asked + 2).await;
    assert_eq!(turn(&tokens, &one.signed(CLAIMS)), alice());
    published.publish(&[two.jwk()]);
    until(|| turn(&tokens, &two.signed(CLAIMS)).is_ok()).await;
    assert_eq!(turn(&tokens, &one.signed(CLAIMS)), refused("no key here has signed the token (ES256)"));
    stop.cancel();
    refreshing.await.unwrap();
}

/// Lets the others of this thread go on until it is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it never is so");
}

#[tokio::test]
async fn an_address_without_keys_is_tried_for_a_while_and_then_told() {
    let published = Published::start(&[]).await;
    published.document.lock().clear();
    let error = published.tokens(1_000).await.err().unwrap();
    assert_eq!(
        base::problem::plain(&error).lines().next().unwrap().replace(&published.address, "ADDRESS"),
        "TM1510 × the keys that sign tokens cannot be had from ADDRESS: it answers 503 Service Unavailable"
    );
    assert!(published.asked_count() > 1);
}

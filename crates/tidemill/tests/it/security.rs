//! TLS, SASL, users and ACLs, with clients nobody here wrote: kcat, both Python clients, and Kafka's own tools.
//!
//! One environment has all four kinds of listeners; nobody but `admin` and who comes in by the PLAINTEXT one may do anything
//! that no ACL allows.

use std::{
    process::Command,
    sync::{Mutex, OnceLock},
};

use testkit::{World, ran};

use crate::shared::{TIDEMILL, name};

mod certificates;
mod delegation;
mod java;
mod python;
mod quotas;
mod rest;
mod tokens;

const SETTINGS: &str = r#"
broker:
  listen: 127.0.0.1:0
  listeners: [OUTSIDE://127.0.0.1:PORT0, SSL://127.0.0.1:PORT1, SASL_PLAINTEXT://127.0.0.1:PORT2]
  listener_protocols: OUTSIDE:SASL_SSL
  advertised_listeners: OUTSIDE://localhost:PORT0
  ssl_certificate_chain: tls/server.pem
  ssl_key: tls/server.key
  ssl_client_auth: required
  ssl_truststore: tls/ca.pem
  sasl_mechanisms: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER
  oauth_unsecured: true
  delegation_token_secret_key: long enough for a test
  users:
    admin: admin-secret
    alice: wonder
  authorizer: true
  super_users: User:admin;User:ANONYMOUS
"#;

/// An environment with all of it, and where its listeners are.
struct Secured {
    world: World,
    plaintext: String,
    sasl_ssl: String,
    ssl: String,
    sasl_plaintext: String,
}

impl Secured {
    fn start(mut world: World) -> Secured {
        let ports = testkit::free_ports(3);
        let mut settings = SETTINGS.to_owned();
        for (place, port) in ports.iter().enumerate() {
            settings = settings.replace(&format!("PORT{place}"), &port.to_string());
        }
        world.write("tidemill.yaml", settings);
        world.write("tls/README", "made by a test");
        testkit::certificates(&world.path("tls"));
        let plaintext = world.up_with(&["--only", "broker"]).kafka();
        let at = |place: usize| format!("127.0.0.1:{}", ports[place]);
        Secured { world, plaintext, sasl_ssl: at(0), ssl: at(1), sasl_plaintext: at(2) }
    }

    fn file(&self, name: &str) -> String {
        self.world.path(&format!("tls/{name}")).display().to_string()
    }

    /// By Kafka's own tool, as who comes in by the PLAINTEXT listener.
    fn topic(&self, start: &str) -> String {
        let topic = name(start);
        self.world.ok(&["topic", "create", &topic]);
        topic
    }
}

static SHARED: OnceLock<Secured> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

fn secured() -> &'static Secured {
    let _starting = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    SHARED.get_or_init(|| Secured::start(World::for_the_run(TIDEMILL, "secured")))
}

/// What `kcat -L` says with these properties.
fn kcat(bootstrap: &str, properties: &[String]) -> Option<testkit::Ran> {
    let mut command = Command::new(testkit::kcat()?);
    command.args(["-L", "-m", "10", "-b", bootstrap]);
    properties.iter().for_each(|property| {
        command.args(["-X", property]);
    });
    Some(ran(&mut command, 30))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn kcat_comes_in_by_every_listener() {
    let secured = secured();
    let ca = format!("ssl.ca.location={}", secured.file("ca.pem"));
    let user = |mechanism: &str, user: &str, password: &str| {
        let sasl = [("mechanism", mechanism), ("username", user), ("password", password)];
        sasl.map(|(name, value)| format!("sasl.{name}={value}")).to_vec()
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let over_tls =
            [words(&["security.protocol=SASL_SSL", &ca]), user(mechanism, "alice", "wonder")].concat();
        let Some(said) = kcat(&secured.sasl_ssl, &over_tls) else { return };
        let said = said.expect_success();
        let port = secured.sasl_ssl.rsplit_once(':').unwrap().1;
        assert!(said.contains(&format!("broker 1 at localhost:{port}")), "{said}");
        let plain =
            [words(&["security.protocol=SASL_PLAINTEXT"]), user(mechanism, "alice", "wonder")].concat();
        let said = kcat(&secured.sasl_plaintext, &plain).unwrap().expect_success();
        assert!(said.contains(&format!("broker 1 at {}", secured.sasl_plaintext)), "{said}");
        let wrong =
            [words(&["security.protocol=SASL_PLAINTEXT"]), user(mechanism, "alice", "wrong")].concat();
        let ran = kcat(&secured.sasl_plaintext, &wrong).unwrap();
        assert!(ran.code != Some(0) && ran.stderr.contains("Authentication failed"), "{}", ran.stderr);
    }
    let showing = [
        "security.protocol=SSL".to_owned(),
        ca.clone(),
        format!("ssl.certificate.location={}", secured.file("alice.pem")),
        format!("ssl.key.location={}", secured.file("alice.key")),
    ];
    kcat(&secured.ssl, &showing).unwrap().expect_success();
    assert_ne!(kcat(&secured.ssl, &showing[..2]).unwrap().code, Some(0), "without a certificate");
    let token = words(&[
        "security.protocol=SASL_PLAINTEXT",
        "sasl.mechanism=OAUTHBEARER",
        "enable.sasl.oauthbearer.unsecure.jwt=true",
        "sasl.oauthbearer.config=principal=alice",
    ]);
    kcat(&secured.sasl_plaintext, &token).unwrap().expect_success();
}

#[test]
fn kcat_sees_only_the_topics_that_it_may_describe() {
    let secured = secured();
    let topic = secured.topic("hidden");
    let user = |user: &str, password: &str| {
        let mut properties = words(&["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN"]);
        properties.extend([format!("sasl.username={user}"), format!("sasl.password={password}")]);
        properties
    };
    let Some(said) = kcat(&secured.sasl_plaintext, &user("admin", "admin-secret")) else { return };
    let said = said.expect_success();
    assert!(said.contains(&format!("topic \"{topic}\"")), "{said}");
    let said = kcat(&secured.sasl_plaintext, &user("alice", "wonder")).unwrap().expect_success();
    assert!(!said.contains(&format!("topic \"{topic}\"")), "{said}");
}

//! Tokens whose keys are published at an address: a real HTTP server has them, and confluent-kafka shows the tokens.

use std::process::{Command, Stdio};

use testkit::{World, poll, run_python, tied_to_us, try_http};

use crate::shared::world;

const SETTINGS: &str = r#"
broker:
  listen: 127.0.0.1:0
  listeners: [SASL_PLAINTEXT://127.0.0.1:PORT0]
  sasl_mechanisms: OAUTHBEARER
  oauth_jwks: http://127.0.0.1:PORT1/jwks.json
  oauth_issuer: https://id.example.org
  oauth_audience: [kafka, tidemill]
  oauth_subject_claim: client_id
  authorizer: true
  super_users: User:ANONYMOUS
"#;

/// Makes keys, and publishes those that are named.
const PUBLISH: &str = r#"
import json, os, sys
from joserfc.jwk import ECKey, RSAKey
folder, *published = sys.argv[1:]
def key(name):
    path = f"{folder}/{name}.private"
    if not os.path.exists(path):
        new = RSAKey.generate_key(2048, {"kid": name}) if name == "rsa" else ECKey.generate_key("P-256", {"kid": name})
        json.dump(new.as_dict(private=True), open(path, "w"))
    kind = RSAKey if name == "rsa" else ECKey
    return kind.import_key(json.load(open(path)))
keys = {"keys": [key(name).as_dict(private=False) for name in published]}
json.dump(keys, open(f"{folder}/new", "w"))
os.replace(f"{folder}/new", f"{folder}/jwks/jwks.json")
"#;

/// Shows a token to the broker, signed by a key and changed as it is said; prints whom the topic is made by, or the error.
const CONNECT: &str = r#"
import json, sys, time
from confluent_kafka import Producer
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
bootstrap, folder, name, changes = sys.argv[1:]
kind, algorithm = (RSAKey, "RS256") if name == "rsa" else (ECKey, "ES256")
key = kind.import_key(json.load(open(f"{folder}/{name}.private")))
now = int(time.time())
claims = {"client_id": "alice", "iss": "https://id.example.org", "aud": ["tidemill"], "iat": now, "exp": now + 300, "scope": "read"}
claims.update(json.loads(changes))
token = jwt.encode({"alg": algorithm, "kid": name}, claims, key, algorithms=[algorithm])
errors = []
producer = Producer({"bootstrap.servers": bootstrap, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER",
                     "oauth_cb": lambda config: (token, now + 300), "error_cb": lambda error: errors.append(error.name())})
deadline = time.time() + 20
while time.time() < deadline and "_AUTHENTICATION" not in errors:
    producer.poll(0.05)
    try:
        print("let in, brokers:", len(producer.list_topics(timeout=1).brokers))
        break
    except Exception:
        pass
else:
    print(sorted(set(errors) & {"_AUTHENTICATION"}))
"#;

struct Issuer {
    folder: String,
    bootstrap: String,
    python: std::path::PathBuf,
}

impl Issuer {
    fn publish(&self, keys: &[&str]) {
        run_python(&self.python, PUBLISH, &[&[&*self.folder], keys].concat());
    }

    fn connect(&self, key: &str, changes: &str) -> String {
        run_python(&self.python, CONNECT, &[&self.bootstrap, &self.folder, key, changes])
    }
}

#[test]
fn keys_are_fetched_from_an_address_and_anew_when_they_change() {
    let Some(python) = testkit::python() else { return };
    let mut world: World = world();
    let ports = testkit::free_ports(2);
    world.write("issuer/jwks/README", "made by a test");
    let issuer = Issuer {
        folder: world.path("issuer").display().to_string(),
        bootstrap: format!("127.0.0.1:{}", ports[0]),
        python: python.clone(),
    };
    issuer.publish(&["rsa", "ec"]);
    let port = ports[1].to_string();
    let mut server = Command::new(&python);
    server.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]);
    server.arg(world.path("issuer/jwks")).arg(&port).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = tied_to_us(server).expect("Python runs");
    let published = format!("http://127.0.0.1:{port}/jwks.json");
    poll::until("keys are published", 10_000, || try_http("GET", &published, "").ok());
    world.write("tidemill.yaml", SETTINGS.replace("PORT0", &ports[0].to_string()).replace("PORT1", &port));
    world.set("RUST_LOG", "broker=info");
    world.up_with(&["--only", "broker"]);

    let let_in = "let in, brokers: 1\n";
    let refused = "['_AUTHENTICATION']\n";
    assert_eq!(issuer.connect("rsa", "{}"), let_in);
    assert_eq!(issuer.connect("ec", "{}"), let_in);
    for changes in [
        r#"{"aud": "another"}"#,
        r#"{"iss": "https://evil.example.org"}"#,
        r#"{"exp": 1700000000}"#,
        r#"{"client_id": ""}"#,
        r#"{"scope": ["read", "read"]}"#,
    ] {
        assert_eq!(issuer.connect("ec", changes), refused, "{changes}");
    }
    // Another key takes the place of one: its first token has the keys fetched, and who signs by the old one stays outside.
    issuer.publish(&["new", "ec"]);
    assert_eq!(issuer.connect("new", "{}"), let_in);
    assert_eq!(issuer.connect("ec", "{}"), let_in);
    assert_eq!(issuer.connect("rsa", "{}"), refused);
    let said = world.said();
    assert!(said.contains("the token is not meant for kafka or tidemill"), "{said}");
}

//! The REST proxy before a broker that wants TLS and SCRAM: one set of properties serves librdkafka and the proxy's own requests.

use testkit::run_python;

use super::secured;
use crate::shared::world;

const SECURED: &str = include_str!("../rest_clients/secured.py");

fn settings(user: &str, password: &str, mechanism: &str) -> String {
    let secured = secured();
    let (address, ca) = (&secured.sasl_ssl, secured.file("ca.pem"));
    format!(
        "rest:\n  listen: 127.0.0.1:0\nbroker:\n  external: {address}\n  properties:\n    \
         security.protocol: SASL_SSL\n    ssl.ca.location: {ca}\n    \
         sasl.mechanism: {mechanism}\n    sasl.username: {user}\n    sasl.password: {password}\n"
    )
}

#[test]
fn acls_and_records_over_tls_and_scram() {
    let Some(python) = testkit::python() else { return };
    let topic = secured().topic("rest");
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
        let mut world = world();
        world.write("tidemill.yaml", settings("admin", "admin-secret", mechanism));
        let parts = world.up_with(&["--only", "rest"]);
        let said = run_python(&python, SECURED, &[&parts.rest(), &topic]);
        let lines: Vec<&str> = said.lines().collect();
        let acls =
            "[('TOPIC', 'LITERAL', 'READ'), ('TOPIC', 'LITERAL', 'WRITE'), ('GROUP', 'PREFIXED', 'READ')]";
        assert_eq!(lines[0], acls, "{mechanism}");
        assert!(lines[1].starts_with("200 ") && lines[2].contains("'ALTER_CONFIGS'"), "{mechanism} {said}");
        world.down();
    }
}

#[test]
fn who_may_not_is_told_and_who_is_nobody_too() {
    let mut world = world();
    world.write("tidemill.yaml", settings("alice", "wonder", "SCRAM-SHA-512"));
    let parts = world.up_with(&["--only", "rest"]);
    let clusters = testkit::http("GET", &format!("{}/v3/clusters", parts.rest()), "").json();
    let base = clusters["data"][0]["metadata"]["self"].as_str().unwrap().to_owned();
    let made = testkit::http("POST", &format!("{base}/topics"), r#"{"topic_name": "alices"}"#);
    assert_eq!((made.status, made.json()["error_code"].clone()), (403, 40301.into()), "{made:?}");
    world.down();
    world.write("tidemill.yaml", settings("alice", "wrong", "SCRAM-SHA-512"));
    let parts = world.up_with(&["--only", "rest"]);
    let asked = testkit::http("GET", &format!("{}/v3/clusters", parts.rest()), "");
    assert_eq!((asked.status, asked.json()["error_code"].clone()), (401, 40101.into()), "{asked:?}");
    world.down();
}

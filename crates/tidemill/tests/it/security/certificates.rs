//! Clients' certificates: their owners get names by rules; kcat is the client.

use testkit::World;

use super::{kcat, words};
use crate::shared::world;

const SETTINGS: &str = r#"
broker:
  listen: 127.0.0.1:0
  listeners: [SSL://127.0.0.1:PORT]
  ssl_certificate_chain: tls/server.pem
  ssl_key: tls/server.key
  ssl_client_auth: requested
  ssl_truststore: tls/ca.pem
  ssl_principal_mapping_rules: RULE:^CN=(.*?),O=.*$/$1/U, DEFAULT
  authorizer: true
  super_users: User:ALICE
"#;

struct Secured {
    world: World,
    ssl: String,
}

impl Secured {
    fn start() -> Secured {
        let mut world = world();
        let port = testkit::free_ports(1)[0];
        world.write("tidemill.yaml", SETTINGS.replace("PORT", &port.to_string()));
        world.write("tls/README", "made by a test");
        testkit::certificates(&world.path("tls"));
        world.up_with(&["--only", "broker"]);
        Secured { world, ssl: format!("127.0.0.1:{port}") }
    }
}

/// `CN=alice,O=Example\, Inc.` is the super user ALICE by the rule; without it nobody may see the topic.
#[test]
fn rules_say_who_the_owner_of_a_certificate_is() {
    let secured = Secured::start();
    let file = |name: &str| secured.world.path(&format!("tls/{name}")).display().to_string();
    let mut properties = words(&["security.protocol=SSL", &format!("ssl.ca.location={}", file("ca.pem"))]);
    let Some(ran) =
        kcat(&secured.ssl, &[&properties[..], &words(&["topic.metadata.refresh.interval.ms=-1"])].concat())
    else {
        return;
    };
    assert!(!ran.expect_success().contains("topic \"seen\""));
    properties.extend([
        format!("ssl.certificate.location={}", file("alice.pem")),
        format!("ssl.key.location={}", file("alice.key")),
    ]);
    let mut create = std::process::Command::new(testkit::kcat().unwrap());
    create.args(["-P", "-t", "seen", "-b", &secured.ssl, "-l"]).arg(secured.world.path("tls/README"));
    properties.iter().for_each(|property| {
        create.args(["-X", property]);
    });
    testkit::ran(&mut create, 30).expect_success();
    let said = kcat(&secured.ssl, &properties).unwrap().expect_success();
    assert!(said.contains("topic \"seen\""), "{said}");
    let nobody = kcat(&secured.ssl, &properties[..2]).unwrap().expect_success();
    assert!(!nobody.contains("topic \"seen\""), "{nobody}");
}

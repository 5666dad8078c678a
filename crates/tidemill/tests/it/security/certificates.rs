//! Certificates of a broker that runs: they are replaced, and their owners get other names by rules; kcat is the client.

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
        for folder in ["tls", "other"] {
            world.write(&format!("{folder}/README"), "made by a test");
            testkit::certificates(&world.path(folder));
        }
        world.up_with(&["--only", "broker"]);
        Secured { world, ssl: format!("127.0.0.1:{port}") }
    }

    /// Whether a client comes in that trusts the authority of this folder, and who has its certificate from there.
    fn lets_in(&self, trusted: &str, shown: Option<&str>) -> Option<bool> {
        let file = |name: &str| self.world.path(name).display().to_string();
        let mut properties = words(&[
            "security.protocol=SSL",
            &format!("ssl.ca.location={}", file(&format!("{trusted}/ca.pem"))),
        ]);
        properties.extend(shown.iter().flat_map(|folder| {
            [
                format!("ssl.certificate.location={}", file(&format!("{folder}/alice.pem"))),
                format!("ssl.key.location={}", file(&format!("{folder}/alice.key"))),
            ]
        }));
        Some(kcat(&self.ssl, &properties)?.code == Some(0))
    }

    fn replace(&self, name: &str) {
        std::fs::copy(self.world.path(&format!("other/{name}")), self.world.path(&format!("tls/{name}")))
            .unwrap();
    }
}

#[test]
fn certificates_are_replaced_under_a_running_broker() {
    let secured = Secured::start();
    let old = secured.world.path("old");
    std::fs::create_dir(&old).unwrap();
    for name in ["ca.pem", "alice.pem", "alice.key"] {
        std::fs::copy(secured.world.path(&format!("tls/{name}")), old.join(name)).unwrap();
    }
    let Some(true) = secured.lets_in("old", Some("old")) else {
        assert!(testkit::kcat().is_none(), "{}", secured.world.said());
        return;
    };
    assert_eq!(secured.lets_in("other", None), Some(false));
    // The certificate without its key cannot be used: the broker says so, and shows the one that it has.
    secured.replace("server.pem");
    assert_eq!(secured.lets_in("old", Some("old")), Some(true));
    assert_eq!(secured.lets_in("old", Some("old")), Some(true));
    let said = secured.world.said();
    assert_eq!(said.matches("TM1512").count(), 1, "{said}");
    assert!(said.contains("tls/server.key"), "{said}");
    secured.replace("server.key");
    assert_eq!(secured.lets_in("other", Some("old")), Some(true));
    assert_eq!(secured.lets_in("old", Some("old")), Some(false));
    // So with those who sign the clients' certificates.
    assert_eq!(secured.lets_in("other", Some("other")), Some(false));
    secured.replace("ca.pem");
    assert_eq!(secured.lets_in("other", Some("other")), Some(true));
    assert_eq!(secured.lets_in("other", Some("old")), Some(false));
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

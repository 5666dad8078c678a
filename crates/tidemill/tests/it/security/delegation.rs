//! Delegation tokens, by Kafka's own tool: made by a user who has logged in, used by the console producer, renewed, and ended.

use testkit::Java;

use super::{Secured, secured};
use crate::shared::{name, world};

impl Secured {
    /// Client properties of a user, or of a token: its id and secret.
    fn scram_512(&self, user: &str, password: &str, by_token: bool) -> String {
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
        let extra = if by_token { " tokenauth=\"true\"" } else { "" };
        let jaas =
            format!("sasl.jaas.config={module} required username=\"{user}\" password=\"{password}\"{extra};");
        let lines = ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=SCRAM-SHA-512", &jaas];
        self.world.write(&format!("{user}.properties"), lines.join("\n")).display().to_string()
    }

    fn tokens(&self, java: &Java, bootstrap: &str, config: &str, args: &[&str]) -> testkit::Ran {
        let start = ["--bootstrap-server", bootstrap, "--command-config", config];
        java.tool("org.apache.kafka.tools.DelegationTokenCommand", &[&start[..], args].concat())
    }

    /// A new token of this user: its id and secret.
    fn token(&self, java: &Java, config: &str, args: &[&str]) -> (String, String) {
        let args = [&["--create", "--max-life-time-period", "-1"], args].concat();
        let said = self.tokens(java, &self.sasl_plaintext, config, &args).expect_success();
        // 64 bytes in base64 end so.
        let row = said.lines().find(|line| line.contains("== "));
        let mut words = row.unwrap_or_else(|| panic!("no token in {said}")).split_whitespace();
        let (id, secret) = (words.next().unwrap(), words.next().unwrap());
        (id.to_owned(), secret.to_owned())
    }
}

#[test]
fn a_token_lets_others_in_as_its_owner_until_it_ends() {
    let Some(java) = testkit::java_tools() else { return };
    let secured = secured();
    let at = secured.sasl_plaintext.as_str();
    let alice = secured.scram_512("alice", "wonder", false);
    let (id, secret) = secured.token(&java, &alice, &["--renewer-principal", "User:admin"]);
    let topic = secured.topic("delegated");
    let principal = ["--add", "--allow-principal", "User:alice", "--producer", "--topic", &topic];
    secured.acls(&java, &principal);
    let bearing = secured.scram_512(&id, &secret, true);
    assert_eq!(super::java::produce(&java, at, &bearing, &topic), "");

    // Who came by a token gets none, and who comes by an open door neither.
    let refused = "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels.";
    let create = ["--create", "--max-life-time-period", "-1"];
    let said = secured.tokens(&java, at, &bearing, &create);
    assert!(
        said.stdout.contains(refused) || said.stderr.contains(refused),
        "{} {}",
        said.stdout,
        said.stderr
    );
    let open = secured.world.write("open.properties", "").display().to_string();
    let said = secured.tokens(&java, &secured.plaintext, &open, &create);
    assert!(
        said.stdout.contains(refused) || said.stderr.contains(refused),
        "{} {}",
        said.stdout,
        said.stderr
    );

    // Its owner and its renewer see it; a user without an ACL does not.
    let admin = secured.scram_512("admin", "admin-secret", false);
    for config in [&alice, &admin] {
        let said = secured.tokens(&java, at, config, &["--describe", "--owner-principal", "User:alice"]);
        let said = said.expect_success();
        assert!(said.contains(&id) && said.contains(&secret) && said.contains("User:alice"), "{said}");
    }
    let renewed =
        secured.tokens(&java, at, &admin, &["--renew", "--renew-time-period", "-1", "--hmac", &secret]);
    assert!(renewed.expect_success().contains("Completed renew operation. New expiry date"), "renewed");
    let ended =
        secured.tokens(&java, at, &alice, &["--expire", "--expiry-time-period", "-1", "--hmac", &secret]);
    assert!(ended.expect_success().contains("Completed expire operation. New expiry date"), "ended");
    let said = super::java::produce(&java, at, &bearing, &topic);
    assert!(said.contains("invalid credentials with SASL mechanism SCRAM-SHA-512"), "{said}");
}

#[test]
fn an_acl_lets_a_user_make_and_see_tokens_of_others() {
    let Some(java) = testkit::java_tools() else { return };
    let secured = secured();
    let at = secured.sasl_plaintext.as_str();
    let user = name("delegate");
    let add = ["--alter", "--add-config", "SCRAM-SHA-512=[password=tea]", "--entity-name", &user];
    secured.users(&java, &add);
    let config = secured.scram_512(&user, "tea", false);
    let for_alice = ["--owner-principal", "User:alice"];
    let create = [&["--create", "--max-life-time-period", "-1"], &for_alice[..]].concat();
    let said = secured.tokens(&java, at, &config, &create);
    let words = said.stdout + &said.stderr;
    assert!(words.contains("Delegation Token authorization failed"), "{words}");
    let principal = format!("User:{user}");
    let allow = ["--add", "--allow-principal", &principal, "--user-principal", "User:alice"];
    secured.acls(&java, &[&allow[..], &["--operation", "CreateTokens"]].concat());
    let (id, _) = secured.token(&java, &config, &for_alice);
    // Without an owner the tool asks for the tokens of nobody.
    let describe = ["--describe", "--owner-principal", "User:alice", "--owner-principal", "User:admin"];
    let (of_admin, _) = secured.token(&java, &secured.scram_512("admin", "admin-secret", false), &[]);
    let said = secured.tokens(&java, at, &config, &describe).expect_success();
    assert!(said.contains(&id) && !said.contains(&of_admin), "{said}");
    let allow = ["--add", "--allow-principal", &principal, "--delegation-token", &of_admin];
    secured.acls(&java, &[&allow[..], &["--operation", "Describe"]].concat());
    let said = secured.tokens(&java, at, &config, &describe).expect_success();
    assert!(said.contains(&id) && said.contains(&of_admin), "{said}");
}

#[test]
fn tokens_outlive_a_kill() {
    let Some(java) = testkit::java_tools() else { return };
    let mut secured = Secured::start(world());
    let config = secured.scram_512("alice", "wonder", false);
    let (id, secret) = secured.token(&java, &config, &[]);
    secured.world.kill();
    secured.plaintext = secured.world.up_with(&["--only", "broker"]).kafka();
    let bearing = secured.scram_512(&id, &secret, true);
    let topic = secured.topic("after-the-kill");
    secured.acls(&java, &["--add", "--allow-principal", "User:alice", "--producer", "--topic", &topic]);
    assert_eq!(super::java::produce(&java, &secured.sasl_plaintext, &bearing, &topic), "");
}

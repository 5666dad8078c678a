//! Kafka's own tools: kafka-configs makes users, kafka-acls says what they may, the console clients live by it; and all of it
//! outlives a kill -9.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use testkit::Java;

use super::{Secured, secured};
use crate::shared::{name, shared, world};

impl Secured {
    pub fn acls(&self, java: &Java, args: &[&str]) -> String {
        let all = [&["--bootstrap-server", self.plaintext.as_str()], args].concat();
        java.tool("org.apache.kafka.tools.AclCommand", &all).expect_success()
    }

    pub fn users(&self, java: &Java, args: &[&str]) -> String {
        let start = ["--bootstrap-server", self.plaintext.as_str(), "--entity-type", "users"];
        java.tool("kafka.admin.ConfigCommand", &[&start[..], args].concat()).expect_success()
    }

    /// A file of client properties.
    fn client(&self, name: &str, lines: &[&str]) -> String {
        let trust = format!("ssl.truststore.type=PEM\nssl.truststore.location={}\n", self.file("ca.pem"));
        self.world.write(name, format!("{trust}{}\n", lines.join("\n"))).display().to_string()
    }

    fn scram(&self, user: &str, password: &str) -> String {
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
        let jaas = format!("sasl.jaas.config={module} required username=\"{user}\" password=\"{password}\";");
        let lines = ["security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-256", &jaas];
        self.client(&format!("{user}-{password}.properties"), &lines)
    }
}

/// Sends one line by the console producer; gives what it said.
pub fn produce(java: &Java, bootstrap: &str, config: &str, topic: &str) -> String {
    let mut command: Command = java.class("org.apache.kafka.tools.ConsoleProducer", 256);
    command.args(["--bootstrap-server", bootstrap, "--topic", topic, "--command-config", config]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from java\n").unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn consume(java: &Java, bootstrap: &str, config: &str, topic: &str, group: &str) -> testkit::Ran {
    let args = [
        ["--bootstrap-server", bootstrap],
        ["--topic", topic],
        ["--group", group],
        ["--command-config", config],
        ["--max-messages", "1"],
        ["--timeout-ms", "20000"],
    ];
    java.tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &[&args.concat()[..], &["--from-beginning"]].concat(),
    )
}

#[test]
fn the_tools_make_users_and_acls_and_the_console_clients_live_by_them() {
    let Some(java) = testkit::java_tools() else { return };
    let secured = secured();
    let (user, group, topic) = (name("java-user"), name("java-group"), secured.topic("java-secured"));
    let add =
        ["--alter", "--add-config", "SCRAM-SHA-256=[iterations=8192,password=tea]", "--entity-name", &user];
    secured.users(&java, &add);
    let told = secured.users(&java, &["--describe", "--entity-name", &user]);
    assert!(told.contains("SCRAM-SHA-256=iterations=8192") && !told.contains("SCRAM-SHA-512"), "{told}");
    let config = secured.scram(&user, "tea");
    let said = produce(&java, &secured.sasl_ssl, &config, &topic);
    assert!(said.contains("Not authorized to access topics"), "{said}");
    let principal = format!("User:{user}");
    secured.acls(&java, &["--add", "--allow-principal", &principal, "--producer", "--topic", &topic]);
    let consumer = ["--consumer", "--topic", &topic, "--group", &group];
    secured.acls(&java, &[&["--add", "--allow-principal", &principal][..], &consumer].concat());
    assert_eq!(produce(&java, &secured.sasl_ssl, &config, &topic), "");
    let read = consume(&java, &secured.sasl_ssl, &config, &topic, &group).expect_success();
    assert_eq!(read, "from java\n");
    let denied = consume(&java, &secured.sasl_ssl, &config, &topic, "another");
    assert!(denied.stderr.contains("Not authorized to access group: another"), "{}", denied.stderr);
    let listed = secured.acls(&java, &["--list", "--topic", &topic]);
    for operation in ["WRITE", "DESCRIBE", "CREATE", "READ"] {
        let line = format!("(principal={principal}, host=*, operation={operation}, permissionType=ALLOW)");
        assert!(listed.contains(&line), "{listed}");
    }
    secured.acls(&java, &["--remove", "--force", "--topic", &topic]);
    assert!(!secured.acls(&java, &["--list", "--topic", &topic]).contains(&principal));
    let wrong = consume(&java, &secured.sasl_ssl, &secured.scram(&user, "coffee"), &topic, &group);
    let message = "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256";
    assert!(wrong.stderr.contains(message), "{}", wrong.stderr);
}

#[test]
fn a_certificate_and_a_token_are_who_their_owner_is() {
    let Some(java) = testkit::java_tools() else { return };
    let secured = secured();
    let (by_certificate, by_token) = (secured.topic("certificate"), secured.topic("token"));
    let grant = |principal: &str, topic: &str| {
        secured.acls(&java, &["--add", "--allow-principal", principal, "--producer", "--topic", topic]);
    };
    let pair = [secured.file("alice.key"), secured.file("alice.pem")]
        .map(|file| std::fs::read_to_string(file).unwrap());
    let keystore = secured.world.write("tls/alice.keystore.pem", pair.concat()).display().to_string();
    let location = format!("ssl.keystore.location={keystore}");
    let showing = ["security.protocol=SSL", "ssl.keystore.type=PEM", &location];
    let showing = secured.client("certificate.properties", &showing);
    let said = produce(&java, &secured.ssl, &showing, &by_certificate);
    assert!(said.contains("Not authorized to access topics"), "{said}");
    grant(r"User:CN=alice,O=Example\, Inc.", &by_certificate);
    assert_eq!(produce(&java, &secured.ssl, &showing, &by_certificate), "");

    let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
    let jaas = format!("sasl.jaas.config={module} required unsecuredLoginStringClaim_sub=\"token-user\";");
    let bearing = ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=OAUTHBEARER", &jaas];
    let bearing = secured.client("token.properties", &bearing);
    let said = produce(&java, &secured.sasl_plaintext, &bearing, &by_token);
    assert!(said.contains("Not authorized to access topics"), "{said}");
    grant("User:token-user", &by_token);
    assert_eq!(produce(&java, &secured.sasl_plaintext, &bearing, &by_token), "");
}

#[test]
fn users_and_acls_outlive_a_kill() {
    let Some(java) = testkit::java_tools() else { return };
    let mut secured = Secured::start(world());
    let add = ["--alter", "--add-config", "SCRAM-SHA-512=[password=tea]", "--entity-name", "bob"];
    secured.users(&java, &add);
    secured.acls(&java, &["--add", "--deny-principal", "User:bob", "--operation", "All", "--group", "*"]);
    secured.world.kill();
    secured.plaintext = secured.world.up_with(&["--only", "broker"]).kafka();
    let told = secured.users(&java, &["--describe"]);
    assert!(told.contains("'bob' are SCRAM-SHA-512=iterations="), "{told}");
    let listed = secured.acls(&java, &["--list"]);
    assert!(listed.contains("(principal=User:bob, host=*, operation=ALL, permissionType=DENY)"), "{listed}");
    let kept = std::fs::read_to_string(secured.world.path(".tidemill/broker/scram.json")).unwrap();
    assert!(!kept.contains("tea"), "{kept}");
}

/// On the environment that all tests share: the quota is of client ids that only this test has.
#[test]
fn quotas_are_told_and_slow_down_who_takes_too_much() {
    let Some(java) = testkit::java_tools() else { return };
    let (world, parts) = shared();
    let (kafka, client, topic) = (parts.kafka(), name("slow"), name("quota"));
    world.ok(&["topic", "create", &topic]);
    let configs = |args: &[&str]| {
        let start = ["--bootstrap-server", &kafka, "--entity-type", "clients", "--entity-name", &client];
        java.tool("kafka.admin.ConfigCommand", &[&start[..], args].concat()).expect_success()
    };
    configs(&["--alter", "--add-config", "producer_byte_rate=500000,consumer_byte_rate=500000"]);
    let told = configs(&["--describe"]);
    assert!(told.contains("consumer_byte_rate=500000.0, producer_byte_rate=500000.0"), "{told}");
    let id = format!("client.id={client}");
    let perf = |class: &str, args: &[&str]| {
        let all =
            [args, &["--bootstrap-server", &kafka, "--topic", &topic, "--command-property", &id]].concat();
        java.tool(&format!("org.apache.kafka.tools.{class}"), &all).expect_success()
    };
    let most_ms = |said: &str, metric: &str| {
        let line = said.lines().find(|line| line.contains(metric)).unwrap_or_else(|| panic!("{said}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let args = ["--num-records", "6000", "--record-size", "1000", "--throughput", "-1", "--print-metrics"];
    let said = perf("ProducerPerformance", &args);
    assert!(most_ms(&said, "produce-throttle-time-max") > 500.0, "{said}");
    let args = ["--num-records", "6000", "--timeout", "30000", "--print-metrics"];
    let said = perf("ConsumerPerformance", &args);
    assert!(most_ms(&said, "fetch-throttle-time-max") > 500.0, "{said}");
    configs(&["--alter", "--delete-config", "producer_byte_rate,consumer_byte_rate"]);
    assert!(!configs(&["--describe"]).contains("byte_rate"));
}

//! Delegation tokens, by Kafka's own tool: made by a user who has logged in, used by the console producer, renewed and ended.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use base::Secret;
use testkit::Java;

use super::Server;
use crate::{AuthorizerOptions, Options, Protocol};

fn secured(options: &mut Options) {
    let security = &mut options.security;
    security.protocol = Protocol::SaslPlaintext;
    security.sasl.mechanisms = vec!["SCRAM-SHA-512".to_owned()];
    let users = ["alice", "admin", "mallory"];
    security.sasl.users = users.map(|user| (user.to_owned(), Secret::new("wonder"))).into();
    security.sasl.delegation.secret_key = Some(Secret::new("made-for-a-test"));
    let super_users = vec!["User:alice".to_owned(), "User:admin".to_owned()];
    security.authorizer = Some(AuthorizerOptions { super_users, ..AuthorizerOptions::default() });
}

/// Kafka's tool, and where it finds us.
struct Tool {
    java: Java,
    bootstrap: String,
    folder: PathBuf,
}

impl Tool {
    /// Client properties of a user, or of a token: its id and secret.
    fn config(&self, user: &str, password: &str, more: &str) -> String {
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
        let text = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n\
             sasl.jaas.config={module} required username=\"{user}\" password=\"{password}\"{more};\n"
        );
        let path = self.folder.join(format!("{user}.properties"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// What it says, also where it fails.
    fn says(&self, config: &str, args: &[&str]) -> String {
        let start = ["--bootstrap-server", self.bootstrap.as_str(), "--command-config", config];
        let ran =
            self.java.tool("org.apache.kafka.tools.DelegationTokenCommand", &[&start[..], args].concat());
        ran.stdout + &ran.stderr
    }

    /// A new token of this user: its id and secret.
    fn token(&self, config: &str, more: &[&str]) -> (String, String) {
        let said = self.says(config, &[&["--create", "--max-life-time-period", "-1"], more].concat());
        // 64 bytes in base64 end so.
        let row = said.lines().find(|line| line.contains("== "));
        let mut words = row.unwrap_or_else(|| panic!("no token in {said}")).split_whitespace();
        (words.next().unwrap().to_owned(), words.next().unwrap().to_owned())
    }

    /// Sends a line; what was said against it.
    fn produces(&self, config: &str) -> String {
        let mut command = self.java.class("org.apache.kafka.tools.ConsoleProducer", 256);
        command.args([
            "--bootstrap-server",
            &self.bootstrap,
            "--topic",
            "delegated",
            "--command-config",
            config,
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"by a token\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let lines = String::from_utf8_lossy(&said);
        // The topic is made when it is first asked for.
        lines.lines().filter(|line| !line.contains("UNKNOWN_TOPIC_OR_PARTITION")).collect()
    }
}

fn live_with_tokens(java: Java, bootstrap: String, folder: &Path) {
    let tool = Tool { java, bootstrap, folder: folder.to_owned() };
    let [alice, admin, mallory] = ["alice", "admin", "mallory"].map(|user| tool.config(user, "wonder", ""));
    let create = ["--create", "--max-life-time-period", "-1"];
    let (id, secret) = tool.token(&alice, &["--renewer-principal", "User:mallory"]);
    let bearing = tool.config(&id, &secret, " tokenauth=\"true\"");
    assert_eq!(tool.produces(&bearing), "");
    // A token gets no other, and nobody one for others whom no ACL lets.
    let refused = "on delegation token authenticated channels";
    let said = tool.says(&bearing, &create);
    assert!(said.contains(refused), "{said}");
    let said = tool.says(&mallory, &[&create[..], &["--owner-principal", "User:alice"]].concat());
    assert!(said.contains("Delegation Token authorization failed"), "{said}");
    let (for_alice, _) = tool.token(&admin, &["--owner-principal", "User:alice"]);
    let (of_admin, _) = tool.token(&admin, &[]);
    let seen = |config: &str, owner: &str| {
        let said = tool.says(config, &["--describe", "--owner-principal", owner]);
        [&id, &for_alice, &of_admin].map(|id| said.contains(id.as_str()))
    };
    assert_eq!(seen(&admin, "User:alice"), [true, true, false]);
    assert_eq!(seen(&admin, "User:admin"), [false, true, true], "who asked for it is an owner, too");
    assert_eq!(seen(&mallory, "User:alice"), [true, false, false], "as its renewer");
    assert_eq!(seen(&mallory, "User:admin"), [false; 3]);
    let said = tool.says(&mallory, &["--renew", "--renew-time-period", "-1", "--hmac", &secret]);
    assert!(said.contains("Completed renew operation. New expiry date"), "{said}");
    let said = tool.says(&alice, &["--expire", "--expiry-time-period", "-1", "--hmac", &secret]);
    assert!(said.contains("Completed expire operation. New expiry date"), "{said}");
    let said = tool.produces(&bearing);
    assert!(said.contains("invalid credentials with SASL mechanism SCRAM-SHA-512"), "{said}");
    let said = tool.says(&alice, &["--renew", "--renew-time-period", "-1", "--hmac", &secret]);
    assert!(said.contains("Delegation Token is not found on server"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkas_tool_makes_tokens_and_others_log_in_by_them() {
    let Some(java) = testkit::java_tools() else { return };
    let server = Server::start_in(tempfile::tempdir().unwrap(), secured).await;
    let (bootstrap, folder) = (server.addr().to_string(), tempfile::tempdir().unwrap());
    let lived = tokio::task::spawn_blocking(move || live_with_tokens(java, bootstrap, folder.path()));
    lived.await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_there_are_no_tokens() {
    let Some(java) = testkit::java_tools() else { return };
    let server = Server::start_in(tempfile::tempdir().unwrap(), |options| {
        secured(options);
        options.security.sasl.delegation.secret_key = None;
    })
    .await;
    let (bootstrap, folder) = (server.addr().to_string(), tempfile::tempdir().unwrap());
    let said = tokio::task::spawn_blocking(move || {
        let tool = Tool { java, bootstrap, folder: folder.path().to_owned() };
        tool.says(&tool.config("alice", "wonder", ""), &["--create", "--max-life-time-period", "-1"])
    });
    assert!(said.await.unwrap().contains("Delegation Token feature is not enabled"));
    server.stop().await;
}

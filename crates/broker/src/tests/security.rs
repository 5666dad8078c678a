//! Listeners, TLS, SASL, users and ACLs, with librdkafka as the client.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use base::Secret;
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
    metadata::Metadata,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tempfile::TempDir;
use testkit::certificates;

use super::Server;
use crate::{
    AuthorizerOptions, ClientAuth, Options, Protocol,
    security::acl::{Acl, Operation, Pattern, Permission, ResourceType},
};

const WAIT: Duration = Duration::from_secs(10);

fn secured(folder: &Path, options: &mut Options, protocol: Protocol) {
    let security = &mut options.security;
    security.protocol = protocol;
    security.tls.certificate_chain = Some(folder.join("server.pem"));
    security.tls.key = Some(folder.join("server.key"));
    security.tls.client_authorities = Some(folder.join("ca.pem"));
    let words = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
    security.sasl.mechanisms = words.map(str::to_owned).to_vec();
    security.sasl.users = BTreeMap::from([
        ("admin".to_owned(), Secret::new("admin-secret")),
        ("alice".to_owned(), Secret::new("wonder")),
    ]);
    security.sasl.oauth.unsecured = true;
}

async fn server(certificates: &TempDir, protocol: Protocol, more: impl FnOnce(&mut Options)) -> Server {
    let change = |options: &mut Options| {
        secured(certificates.path(), options, protocol);
        more(options);
    };
    Server::start_in(tempfile::tempdir().unwrap(), change).await
}

/// What `metadata` says to a client with these settings, or what the client says of the connection.
async fn metadata(config: ClientConfig) -> Result<Metadata, KafkaError> {
    let ask = move || {
        let consumer: BaseConsumer = config.create()?;
        consumer.fetch_metadata(None, Duration::from_secs(5))
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// The next record or error; a poll also ends where only the group has changed.
fn next(consumer: &BaseConsumer) -> Result<BorrowedMessage<'_>, KafkaError> {
    (0..5).find_map(|_| consumer.poll(WAIT)).expect("a record or an error")
}

/// What a client with these settings says of why he gets nowhere.
async fn refused(config: ClientConfig) -> Option<RDKafkaErrorCode> {
    let ask = move || {
        let consumer: BaseConsumer = config.create().unwrap();
        next(&consumer).err().and_then(|error| error.rdkafka_error_code())
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

fn sasl<'a>(mechanism: &'a str, user: &'a str, password: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_checked_by_plain_and_scram() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder, Protocol::SaslPlaintext, |_| {}).await;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let found = metadata(server.client(&sasl(mechanism, "alice", "wonder"))).await.unwrap();
        assert_eq!(found.brokers()[0].port(), i32::from(server.addr().port()), "{mechanism}");
        for (user, password) in [("alice", "wrong"), ("nobody", "wonder")] {
            let config = server.client(&sasl(mechanism, user, password));
            assert_eq!(refused(config).await, Some(RDKafkaErrorCode::Authentication), "{mechanism} {user}");
        }
    }
    let token = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=alice"),
    ];
    metadata(server.client(&token)).await.unwrap();
    assert!(refused(server.client(&[])).await.is_some(), "without SASL");
    // As clients of Kafka 0.10 do it: tokens without headers.
    let old = [("api.version.request", "false"), ("broker.version.fallback", "0.10.2.0")];
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        metadata(server.client(&[&sasl(mechanism, "alice", "wonder")[..], &old].concat())).await.unwrap();
        let wrong = server.client(&[&sasl(mechanism, "alice", "wrong")[..], &old].concat());
        assert!(refused(wrong).await.is_some(), "{mechanism}");
    }
    server.stop().await;
}

/// The client proves who he is again and again, and notices nothing; the broker would close his connection otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_ends_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder, Protocol::SaslPlaintext, |options| {
        options.security.sasl.reauth_ms_max = 1_500;
    })
    .await;
    let consumer: BaseConsumer = server.client(&sasl("SCRAM-SHA-256", "alice", "wonder")).create().unwrap();
    let ask = move || {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(3_500) {
            consumer.fetch_metadata(None, WAIT).unwrap();
            assert!(consumer.poll(Duration::from_millis(50)).is_none(), "the connection was lost");
        }
    };
    tokio::task::spawn_blocking(ask).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_clients_certificates() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (ca, certificate, key) = (path("ca.pem"), path("alice.pem"), path("alice.key"));
    let trusting = [("security.protocol", "SSL"), ("ssl.ca.location", ca.as_str())];
    let own = [("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", key.as_str())];
    let showing = [&trusting[..], &own[..]].concat();
    let server_with =
        async |auth| server(&folder, Protocol::Ssl, |options| options.security.tls.client_auth = auth).await;
    let open = server_with(ClientAuth::None).await;
    metadata(open.client(&trusting)).await.unwrap();
    let strange = open.client(&[("security.protocol", "SSL")]); // it does not know the authority
    assert!(refused(strange).await.is_some(), "an authority nobody knows");
    assert!(refused(open.client(&[])).await.is_some(), "no TLS");
    open.stop().await;
    let closed = server_with(ClientAuth::Required).await;
    metadata(closed.client(&showing)).await.unwrap();
    assert!(refused(closed.client(&trusting)).await.is_some(), "no certificate");
    closed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_tells_its_own_address() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let server = server(&folder, Protocol::Plaintext, |options| {
        options.security.listeners = vec![format!("OUTSIDE://127.0.0.1:{port}")];
        options.security.protocol_map = vec!["OUTSIDE:SASL_SSL".to_owned()];
        options.security.advertised_listeners = vec![format!("OUTSIDE://localhost:{port}")];
    })
    .await;
    let inside = metadata(server.client(&[])).await.unwrap();
    assert_eq!(inside.brokers()[0].host(), "127.0.0.1");
    let ca = folder.path().join("ca.pem").display().to_string();
    let mut config = server.client(&sasl("SCRAM-SHA-512", "alice", "wonder"));
    config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
    config.set("security.protocol", "SASL_SSL").set("ssl.ca.location", ca);
    let outside = metadata(config.clone()).await.unwrap();
    let broker = &outside.brokers()[0];
    assert_eq!((broker.host(), broker.port()), ("localhost", i32::from(port)));
    // Records there and back, over TLS, with more bytes than one write takes.
    let producer: FutureProducer = config.create().unwrap();
    let payload = "x".repeat(900_000);
    for _ in 0..5 {
        producer
            .send(FutureRecord::<str, str>::to("big").payload(&payload), Timeout::After(WAIT))
            .await
            .unwrap();
    }
    config.set("group.id", "big").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        consumer.subscribe(&["big"]).unwrap();
        (0..5).map(|_| next(&consumer).unwrap().payload_len()).sum::<usize>()
    });
    assert_eq!(read.await.unwrap(), 4_500_000);
    server.stop().await;
}

fn allow(principal: &str, operation: Operation, resource: ResourceType, name: &str) -> Acl {
    Acl {
        resource,
        name: name.to_owned(),
        pattern: Pattern::Literal,
        principal: principal.to_owned(),
        host: "*".to_owned(),
        operation,
        permission: Permission::Allow,
    }
}

async fn create(config: &ClientConfig, name: &str) -> Option<RDKafkaErrorCode> {
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    made[0].as_ref().err().map(|(_, code)| *code)
}

fn topics(found: &Metadata) -> Vec<&str> {
    found.topics().iter().map(|topic| topic.name()).filter(|name| !name.starts_with("__")).collect()
}

/// ACLs as the broker finds them when it starts: this test is about what they do.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_and_sees_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let acls = [
        allow("User:alice", Operation::Read, ResourceType::Topic, "open"),
        allow("User:alice", Operation::Read, ResourceType::Group, "readers"),
    ];
    let text = serde_json::json!({"version": 1, "acls": acls});
    fs::write(data.path().join("acls.json"), text.to_string()).unwrap();
    let server = Server::start_in(data, |options| {
        secured(folder.path(), options, Protocol::SaslPlaintext);
        let super_users = vec!["User:admin".to_owned()];
        options.security.authorizer = Some(AuthorizerOptions { super_users, ..AuthorizerOptions::default() });
    })
    .await;
    let admin = server.client(&sasl("PLAIN", "admin", "admin-secret"));
    let mut alice = server.client(&sasl("SCRAM-SHA-256", "alice", "wonder"));
    assert_eq!(create(&admin, "open").await, None);
    assert_eq!(create(&admin, "closed").await, None);
    assert_eq!(create(&alice, "mine").await, Some(RDKafkaErrorCode::TopicAuthorizationFailed));
    assert_eq!(topics(&metadata(admin.clone()).await.unwrap()), ["closed", "open"]);
    assert_eq!(topics(&metadata(alice.clone()).await.unwrap()), ["open"]);
    let send = async |config: &ClientConfig, topic: &str| {
        let producer: FutureProducer = config.create().unwrap();
        let sent =
            producer.send(FutureRecord::<str, str>::to(topic).payload("x"), Timeout::After(WAIT)).await;
        sent.err().and_then(|(error, _)| error.rdkafka_error_code())
    };
    assert_eq!(send(&admin, "open").await, None);
    assert_eq!(send(&alice, "open").await, Some(RDKafkaErrorCode::TopicAuthorizationFailed));
    let mut read = async |group: &str| {
        alice.set("group.id", group).set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = alice.create().unwrap();
        let read = tokio::task::spawn_blocking(move || {
            consumer.subscribe(&["open"]).unwrap();
            next(&consumer).map(|record| record.offset()).map_err(|error| error.rdkafka_error_code())
        });
        read.await.unwrap()
    };
    assert_eq!(read("readers").await, Ok(0));
    assert_eq!(read("others").await, Err(Some(RDKafkaErrorCode::GroupAuthorizationFailed)));
    server.stop().await;
}

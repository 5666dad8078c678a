//! Bad input: each gives an error with its code, the place, the reason and what to do; nothing is silently dropped.

use serde_json::Value;
use testkit::{Parts, World, http, poll, run_python};

use crate::{
    flow,
    shared::{name, shared, world},
    snapshot,
};

/// A topic with a contract of `id` (integer) and `name` (text), and a file with these rows.
fn prepared(rows: &str) -> (&'static World, &'static Parts, String) {
    let (world, parts) = shared();
    let topic = name("bad");
    world.ok(&["topic", "create", &topic]);
    world.write(&format!("contracts/{topic}.json"), CONTRACT);
    world.write(&format!("{topic}.csv"), rows);
    (world, parts, topic)
}

const CONTRACT: &str = r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object",
  "properties":{"id":{"type":"integer"},"name":{"type":"string"}},"required":["id","name"],"additionalProperties":false}
"#;

fn load(world: &World, topic: &str, more: &[&str]) -> testkit::Ran {
    let (file, target) = (format!("{topic}.csv"), format!("kafka://local/{topic}"));
    world.run(&[&["load", &file, &target, "--contract", topic], more].concat())
}

/// What differs from run to run: the topic's number.
fn shown(ran: &testkit::Ran, topic: &str) -> String {
    ran.shown().replace(topic, "bad")
}

#[test]
fn a_malformed_csv_line() {
    let (world, _, topic) = prepared("id,name\n1,one\n2,two,too many\n3,three\n");
    let ran = load(world, &topic, &[]).expect_code(6);
    assert!(ran.stderr.contains(&format!("{topic}.csv:3")), "{}", ran.stderr);
    snapshot!(world, "malformed csv", shown(&ran, &topic));
}

#[test]
fn a_record_that_breaks_the_contract_stops_the_load() {
    let (world, _, topic) = prepared("id,name\n1,one\ntwo,two\n3,three\n");
    let ran = load(world, &topic, &[]).expect_code(6);
    assert!(ran.stderr.contains(&format!("{topic}.csv:3")), "{}", ran.stderr);
    snapshot!(world, "broken contract", shown(&ran, &topic));
}

#[test]
fn or_goes_to_the_dead_letters_while_the_rest_goes_on() {
    let (world, parts, topic) = prepared("id,name\n1,one\ntwo,two\n3,three\n");
    let ran = load(world, &topic, &["--on-error", "dead-letter"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let values = flow::values_of(&parts.kafka(), &topic);
    assert_eq!(values[0].len(), 2, "{values:?}");
    snapshot!(world, "dead letters of load", shown(&ran, &topic));
}

#[test]
fn a_contract_that_is_not_there() {
    let (world, _, topic) = prepared("id,name\n1,one\n");
    let (file, target) = (format!("{topic}.csv"), format!("kafka://local/{topic}"));
    let ran = world.run(&["load", &file, &target, "--contract", "no-such"]);
    assert_ne!(ran.code, Some(0));
    snapshot!(world, "no contract", shown(&ran, &topic));
}

#[test]
fn a_file_that_is_not_there() {
    let (world, _, topic) = prepared("");
    let ran = world.run(&["load", "nowhere.csv", &format!("kafka://local/{topic}"), "--contract", &topic]);
    assert_ne!(ran.code, Some(0));
    snapshot!(world, "no file", shown(&ran, &topic));
}

#[test]
fn a_topic_that_is_not_there() {
    let (world, _, topic) = prepared("id,name\n1,one\n");
    let ran = world.run(&["topic", "describe", "no-such-topic"]);
    assert_ne!(ran.code, Some(0));
    snapshot!(world, "no topic", ran.shown());
    let file = format!("{topic}.csv");
    let ran = world.run(&["load", &file, "kafka://local/no-such-topic", "--contract", &topic]);
    assert_ne!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    snapshot!(world, "load to no topic", shown(&ran, &topic));
}

#[test]
fn a_registry_that_is_down() {
    let (world, _, topic) = prepared("id,name\n1,one\n");
    let down = format!("registry.external=http://127.0.0.1:{}", testkit::free_port());
    let ran = load(world, &topic, &["--set", &down]).expect_code(5);
    snapshot!(world, "registry down", shown(&ran, &topic));
}

#[test]
fn a_broker_that_is_down() {
    let world = world();
    let down = format!("broker.external=127.0.0.1:{}", testkit::free_port());
    let ran = world.run(&["topic", "list", "--set", &down]).expect_code(5);
    snapshot!(&world, "broker down", ran.shown());
}

/// The trace of the connector's task, as soon as it has failed.
fn trace(parts: &Parts, connector: &str) -> String {
    let url = format!("{}/connectors/{connector}/status", parts.connect());
    poll::until(&format!("{connector} fails"), 60_000, || {
        let status: Value = http("GET", &url, "").json();
        let task = &status["tasks"][0];
        (task["state"] == "FAILED").then(|| task["trace"].as_str().unwrap_or_default().to_owned())
    })
}

fn send(parts: &Parts, topic: &str, values: &[&str]) {
    let Some(kcat) = testkit::kcat() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.join("\n") + "\n").unwrap();
    let mut command = std::process::Command::new(kcat);
    command.args(["-b", &parts.kafka(), "-P", "-t", topic, "-l"]).arg(file.path());
    testkit::ran(&mut command, 30).expect_success();
}

#[test]
fn a_bucket_that_is_missing() {
    let (world, parts, topic) = prepared("");
    send(parts, &topic, &["{\"id\":1}", "{\"id\":2}"]);
    let mut connector = flow::connector(&topic, &topic, parts, 2);
    connector["config"]["s3.bucket.name"] = "no-such-bucket".into();
    let url = format!("{}/connectors", parts.connect());
    let answer = http("POST", &url, &connector.to_string());
    let said = if answer.status == 201 { trace(parts, &topic) } else { answer.body };
    assert!(said.contains("no-such-bucket") && said.contains("TM"), "{said}");
    snapshot!(world, "no bucket", said.replace(&topic, "bad"));
}

#[test]
fn a_bucket_that_is_denied() {
    let (_, parts, topic) = prepared("");
    let mut other = world();
    other.set("TIDEMILL_S3_SECRET_KEY", "another-secret-than-the-worker-has");
    let store = other.up_with(&["--only", "s3"]);
    send(parts, &topic, &["{\"id\":1}", "{\"id\":2}"]);
    let mut connector = flow::connector(&topic, &topic, parts, 2);
    connector["config"]["store.url"] = store.s3().into();
    let answer = http("POST", &format!("{}/connectors", parts.connect()), &connector.to_string());
    let said = if answer.status == 201 { trace(parts, &topic) } else { answer.body };
    assert!(said.contains("TM"), "{said}");
    snapshot!(&other, "denied bucket", said.replace(&topic, "bad"));
    other.down();
}

#[test]
fn a_converter_that_does_not_match_the_bytes() {
    let (world, parts, topic) = prepared("");
    send(parts, &topic, &["{\"id\":1}", "no json", "{\"id\":3}"]);
    let connector = flow::connector(&topic, &topic, parts, 2);
    http("POST", &format!("{}/connectors", parts.connect()), &connector.to_string()).expect(201);
    let said = trace(parts, &topic);
    assert!(said.contains(&format!("{topic}/0/1")), "topic/partition/offset: {said}");
    snapshot!(world, "converter mismatch", said.replace(&topic, "bad"));
}

#[test]
fn a_json_schema_converter_on_plain_json() {
    let (world, parts, topic) = prepared("");
    send(parts, &topic, &["{\"id\":1}"]);
    let connector = flow::json_schema_connector(&topic, &topic, parts, 2);
    http("POST", &format!("{}/connectors", parts.connect()), &connector.to_string()).expect(201);
    snapshot!(world, "json schema converter on plain json", trace(parts, &topic).replace(&topic, "bad"));
}

const DEAD_LETTERS: &str = r#"
import sys
from confluent_kafka import Consumer
bootstrap, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
message = consumer.poll(30)
print(message.value())
for name, value in sorted(message.headers()):
    if "stacktrace" not in name and "exception.message" not in name: print(name, value.decode())
consumer.close()
"#;

#[test]
fn tolerance_sends_the_bad_record_to_the_dead_letter_topic_with_its_headers() {
    let (world, parts, topic) = prepared("");
    let Some(python) = testkit::python() else { return };
    send(parts, &topic, &["{\"id\":1}", "no json", "{\"id\":3}", "{\"id\":4}"]);
    let mut connector = flow::connector(&topic, &topic, parts, 2);
    let dead = format!("{topic}-dead");
    for (key, value) in [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", dead.as_str()),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ] {
        connector["config"][key] = value.into();
    }
    http("POST", &format!("{}/connectors", parts.connect()), &connector.to_string()).expect(201);
    // Where an object ends beside a refused record is the sink's to say; that each good one is in one is not.
    let text = poll::until("the good records are in S3", 30_000, || {
        let objects = flow::objects_below(world, &format!("topics/{topic}"));
        let text: String =
            objects.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        text.contains("{\"id\":3}").then_some(text)
    });
    assert!(text.starts_with("{\"id\":1}\n{\"id\":3}\n"), "{text}");
    let said = run_python(&python, DEAD_LETTERS, &[&parts.kafka(), &dead]);
    snapshot!(world, "dead letter", said.replace(&topic, "bad"));
}

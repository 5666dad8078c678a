//! Kafka Connect's REST API, by curl: the life of a connector, and its errors.

use std::process::Command;

use serde_json::{Value, json};
use testkit::{http, poll};

use crate::{
    flow,
    shared::{name, shared},
};

/// Status and body, as curl has them.
fn curl(method: &str, url: &str, body: Option<&Value>) -> (u16, Value) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--request", method, "--write-out", "\n%{http_code}", url]);
    if let Some(body) = body {
        command.args(["--header", "Content-Type: application/json", "--data", &body.to_string()]);
    }
    let said = testkit::ran(&mut command, 60).expect_success();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn a_connector_lives_through_every_verb() {
    let (world, parts) = shared();
    let (topic, kafka) = (name("curl"), parts.kafka());
    world.ok(&["topic", "create", &topic]);
    let base = format!("{}/connectors", parts.connect());
    let connector = flow::connector(&topic, &topic, parts, 3);
    let (status, created) = curl("POST", &base, Some(&connector));
    assert_eq!((status, &created["name"], &created["type"]), (201, &json!(topic), &json!("sink")));
    assert_eq!(curl("POST", &base, Some(&connector)).0, 409);
    let one = format!("{base}/{topic}");
    poll::until("the task runs", 30_000, || {
        let (_, status) = curl("GET", &format!("{one}/status"), None);
        (status["tasks"][0]["state"] == "RUNNING").then_some(())
    });
    assert!(curl("GET", &base, None).1.as_array().unwrap().contains(&json!(topic)));
    assert_eq!(curl("GET", &format!("{one}/config"), None).1["flush.size"], "3");
    assert_eq!(curl("GET", &format!("{one}/tasks"), None).1[0]["id"]["task"], 0);
    send(&kafka, &topic, 3);
    flow::wait_for_objects(world, &topic, 1);

    assert_eq!(curl("PUT", &format!("{one}/pause"), None).0, 202);
    wait_for_state(&one, "PAUSED");
    assert_eq!(curl("PUT", &format!("{one}/resume"), None).0, 202);
    wait_for_state(&one, "RUNNING");
    let (status, patched) = curl("PATCH", &format!("{one}/config"), Some(&json!({"flush.size": "2"})));
    assert_eq!((status, &patched["config"]["flush.size"]), (200, &json!("2")));
    assert!(curl("POST", &format!("{one}/restart?includeTasks=true"), None).0 < 300);
    assert_eq!(curl("PUT", &format!("{one}/stop"), None).0, 204);
    wait_for_state(&one, "STOPPED");
    let (status, offsets) = curl("GET", &format!("{one}/offsets"), None);
    assert_eq!((status, &offsets["offsets"][0]["offset"]["kafka_offset"]), (200, &json!(3)));
    let (status, _) = curl("DELETE", &format!("{one}/offsets"), None);
    assert_eq!(status, 200);
    assert_eq!(curl("GET", &format!("{one}/offsets"), None).1["offsets"], json!([]));
    assert_eq!(curl("DELETE", &one, None).0, 204);
    let (status, error) = curl("GET", &one, None);
    assert_eq!((status, &error["error_code"]), (404, &json!(404)));
}

fn wait_for_state(connector: &str, wanted: &str) {
    poll::until(&format!("{connector} is {wanted}"), 30_000, || {
        let state = http("GET", &format!("{connector}/status"), "").json();
        (state["connector"]["state"] == wanted).then_some(())
    });
}

fn send(kafka: &str, topic: &str, count: u32) {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let producer: BaseProducer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", kafka).create().unwrap();
    for number in 0..count {
        let value = format!("{{\"n\":{number}}}");
        producer.send(BaseRecord::<(), str>::to(topic).payload(&value)).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(20)).unwrap();
}

#[test]
fn plugins_are_listed_and_a_bad_configuration_is_explained() {
    let (_, parts) = shared();
    let url = parts.connect();
    let plugins = curl("GET", &format!("{url}/connector-plugins"), None).1;
    let class = "io.confluent.connect.s3.S3SinkConnector";
    assert!(plugins.as_array().unwrap().iter().any(|plugin| plugin["class"] == class), "{plugins}");
    let config = json!({"connector.class": class, "name": "x", "topics": "t", "flush.size": "none", "no.such.key": "1"});
    let validate = format!("{url}/connector-plugins/{class}/config/validate");
    let (status, answer) = curl("PUT", &validate, Some(&config));
    assert_eq!(status, 200, "{answer}");
    assert!(answer["error_count"].as_u64().unwrap() > 0);
    let of = |key: &str| {
        let configs = answer["configs"].as_array().unwrap().iter();
        let mut found = configs.filter(|config| config["value"]["name"] == key);
        found.next().map_or(Value::Null, |config| config["value"]["errors"].clone())
    };
    assert!(of("flush.size").to_string().contains("flush.size"), "{answer}");
    assert!(of("s3.bucket.name").as_array().is_some_and(|errors| !errors.is_empty()), "{answer}");
}

#[test]
fn errors_have_connects_status_and_body() {
    let (_, parts) = shared();
    let url = parts.connect();
    let cases: [(&str, &str, Option<Value>, u16); 5] = [
        ("GET", "/connectors/none", None, 404),
        ("GET", "/connectors/none/status", None, 404),
        ("DELETE", "/connectors/none", None, 404),
        ("POST", "/connectors", Some(json!({"name": "n"})), 400),
        (
            "POST",
            "/connectors",
            Some(json!({"name": "n", "config": {"connector.class": "no.such.Class"}})),
            500,
        ),
    ];
    for (method, path, body, expected) in cases {
        let (status, answer) = curl(method, &format!("{url}{path}"), body.as_ref());
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert_eq!(answer["error_code"], expected, "{method} {path}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {answer}");
    }
}

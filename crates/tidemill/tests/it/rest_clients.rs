//! The REST proxy by clients nobody here wrote: requests and curl over HTTP, confluent-kafka on the other side.

use std::process::Command;

use testkit::{Parts, World, http, ran, run_python};

use crate::shared::{name, shared, world};

const CROSSWISE: &str = include_str!("rest_clients/crosswise.py");
const TOUR: &str = include_str!("rest_clients/tour.py");
const STREAM: &str = include_str!("rest_clients/stream.py");
const ERRORS: &str = include_str!("rest_clients/errors.py");
const BOTH_WAYS: &str =
    "binary both ways\njson both ways\navro both ways\njsonschema both ways\nprotobuf both ways\n";

#[test]
fn five_formats_go_both_ways_between_rest_and_confluent_kafka() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let args = [&parts.rest(), &parts.kafka(), &parts.registry(), &name("crosswise")];
    assert_eq!(run_python(&python, CROSSWISE, &args.map(String::as_str)), BOTH_WAYS);
}

#[test]
fn a_cluster_is_administered_over_v3() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let said = run_python(&python, TOUR, &[&parts.rest(), &parts.kafka(), &name("tour")]);
    assert_eq!(said, "classic range 18\nconsumer uniform 18\naddresses lead somewhere\n");
}

#[test]
fn errors_of_v2_are_confluents() {
    let (world, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let topic = name("rest-errors");
    world.ok(&["topic", "create", &topic]);
    let said = run_python(&python, ERRORS, &[&parts.rest(), &topic]);
    insta::assert_snapshot!(said.replace(&parts.registry(), "[REGISTRY]").replace(&topic, "TOPIC"));
}

/// Both against Apache Kafka itself, where topics are another's and the registry is ours.
#[test]
fn the_same_on_apache_kafka() {
    let Some(kafka) = testkit::kafka() else { return };
    let Some(python) = testkit::python() else { return };
    let mut world = world();
    world.set("TIDEMILL_BROKER_EXTERNAL", &kafka.bootstrap);
    let parts = world.up_with(&["--only", "registry,rest"]);
    let args = [&parts.rest(), &kafka.bootstrap, &parts.registry(), &name("crosswise")];
    assert_eq!(run_python(&python, CROSSWISE, &args.map(String::as_str)), BOTH_WAYS);
    let said = run_python(&python, TOUR, &[&parts.rest(), &kafka.bootstrap, &name("tour")]);
    assert_eq!(said, "classic range 18\nconsumer uniform 18\naddresses lead somewhere\n");
    world.down();
}

fn curl(args: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60"]).args(args);
    ran(&mut command, 70).expect_success()
}

fn cluster(parts: &Parts) -> String {
    let clusters = http("GET", &format!("{}/v3/clusters", parts.rest()), "").json();
    clusters["data"][0]["metadata"]["self"].as_str().unwrap().to_owned()
}

#[test]
fn a_stream_of_records_is_answered_while_it_goes_on() {
    let (world, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let topic = name("stream");
    world.ok(&["topic", "create", &topic]);
    let url = format!("{}/topics/{topic}/records", cluster(parts));
    assert_eq!(run_python(&python, STREAM, &[&url]), "200 five answers\n");
    // By curl: many records in one body, a line for each.
    let many: String =
        (0..2_000).map(|n| format!(r#"{{"value":{{"type":"JSON","data":{{"n":{n}}}}}}}"#)).collect();
    let file = world.write(&format!("{topic}.json"), many).display().to_string();
    let data = format!("@{file}");
    let told = curl(&["-f", "-H", "Content-Type: application/json", "--data-binary", &data, &url]);
    assert_eq!(told.matches("\"error_code\":200").count(), 2_000);
    assert_eq!(told.lines().count(), 2_000);
}

#[test]
fn curl_follows_confluents_examples() {
    let (world, parts) = shared();
    let topic = name("curl");
    world.ok(&["topic", "create", &topic]);
    let (rest, v2) = (parts.rest(), "Content-Type: application/vnd.kafka.v2+json");
    let kind = "Content-Type: application/vnd.kafka.json.v2+json";
    let body = r#"{"records":[{"key":"k","value":{"foo":"bar"}},{"value":"z","partition":0}]}"#;
    let told = curl(&["-X", "POST", "-H", kind, "-d", body, &format!("{rest}/topics/{topic}")]);
    assert_eq!(
        told,
        "{\"offsets\":[{\"partition\":0,\"offset\":0,\"error_code\":null,\"error\":null},\
         {\"partition\":0,\"offset\":1,\"error_code\":null,\"error\":null}],\"key_schema_id\":null,\"value_schema_id\":null}"
    );
    let made = r#"{"name":"my_consumer_instance","format":"json","auto.offset.reset":"earliest"}"#;
    let made = curl(&["-X", "POST", "-H", v2, "-d", made, &format!("{rest}/consumers/{topic}")]);
    let uri = format!("{rest}/consumers/{topic}/instances/my_consumer_instance");
    assert_eq!(made, format!("{{\"instance_id\":\"my_consumer_instance\",\"base_uri\":\"{uri}\"}}"));
    let topics = format!("{{\"topics\":[\"{topic}\"]}}");
    assert_eq!(curl(&["-X", "POST", "-H", v2, "-d", &topics, &format!("{uri}/subscription")]), "");
    let accept = "Accept: application/vnd.kafka.json.v2+json";
    let records = testkit::poll::until("records come", 30_000, || {
        let read = curl(&["-H", accept, &format!("{uri}/records")]);
        (read != "[]").then_some(read)
    });
    assert_eq!(
        records,
        format!(
            "[{{\"topic\":\"{topic}\",\"key\":\"k\",\"value\":{{\"foo\":\"bar\"}},\"partition\":0,\"offset\":0}},\
             {{\"topic\":\"{topic}\",\"key\":null,\"value\":\"z\",\"partition\":0,\"offset\":1}}]"
        )
    );
    let head = curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{content_type}",
        "-H",
        accept,
        &format!("{uri}/records"),
    ]);
    assert_eq!(head, "200 application/vnd.kafka.json.v2+json");
    assert_eq!(curl(&["-X", "DELETE", "-H", v2, "-w", "%{http_code}", &uri]), "204");
}

/// Makes an instance that reads JSON, and subscribes it.
fn subscribed(rest: &str, topic: &str) -> String {
    let made =
        r#"{"name":"one","format":"json","auto.offset.reset":"earliest","auto.commit.enable":"false"}"#;
    let v2 = "Content-Type: application/vnd.kafka.v2+json";
    curl(&["-f", "-X", "POST", "-H", v2, "-d", made, &format!("{rest}/consumers/{topic}")]);
    let uri = format!("{rest}/consumers/{topic}/instances/one");
    let topics = format!("{{\"topics\":[\"{topic}\"]}}");
    curl(&["-f", "-X", "POST", "-H", v2, "-d", &topics, &format!("{uri}/subscription")]);
    uri
}

fn read(uri: &str, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    testkit::poll::until("records come", 60_000, || {
        let accept = "Accept: application/vnd.kafka.json.v2+json";
        let read = curl(&["-f", "-H", accept, &format!("{uri}/records?max_bytes=1")]);
        let read: serde_json::Value = serde_json::from_str(&read).unwrap();
        offsets.extend(read.as_array().unwrap().iter().map(|record| record["offset"].as_i64().unwrap()));
        (offsets.len() >= count).then_some(())
    });
    offsets
}

#[test]
fn a_killed_proxy_forgets_its_instances_and_its_group_goes_on() {
    let mut world = world();
    world.set("TIDEMILL_REST_CONSUMER_INSTANCE_TIMEOUT_MS", "60s");
    crate::lifecycle::fixed_ports(&world);
    let topic = name("killed");
    let parts = world.up_with(&["--only", "broker,rest"]);
    world.ok(&["topic", "create", &topic]);
    let records: String = (0..6).map(|n| format!(r#"{{"value":{{"type":"JSON","data":{n}}}}}"#)).collect();
    http("POST", &format!("{}/topics/{topic}/records", cluster(&parts)), &records).expect(200);
    let uri = subscribed(&parts.rest(), &topic);
    assert_eq!(read(&uri, 3), [0, 1, 2]);
    curl(&["-f", "-X", "POST", &format!("{uri}/offsets")]);
    assert_eq!(read(&uri, 1), [3], "read, and not committed");
    world.kill();
    let parts = world.up_with(&["--only", "broker,rest"]);
    let gone = http("GET", &format!("{uri}/records"), "");
    assert_eq!((gone.status, gone.json()["error_code"].clone()), (404, 40403.into()));
    let again = subscribed(&parts.rest(), &topic);
    assert_eq!(again, uri);
    assert_eq!(read(&uri, 3), [3, 4, 5]);
    world.down();
}

#[test]
fn what_is_left_alone_expires_and_frees_its_partitions() {
    let mut world: World = world();
    world.set("TIDEMILL_REST_CONSUMER_INSTANCE_TIMEOUT_MS", "5s");
    let topic = name("expiring");
    let parts = world.up_with(&["--only", "broker,rest"]);
    world.ok(&["topic", "create", &topic]);
    http(
        "POST",
        &format!("{}/topics/{topic}/records", cluster(&parts)),
        r#"{"value":{"type":"JSON","data":1}}"#,
    )
    .expect(200);
    let uri = subscribed(&parts.rest(), &topic);
    assert_eq!(read(&uri, 1), [0]);
    let group = format!("{}/consumer-groups/{topic}", cluster(&parts));
    assert_eq!(http("GET", &group, "").json()["state"], "STABLE");
    testkit::poll::until("the group is empty", 30_000, || {
        (http("GET", &group, "").json()["state"] == "EMPTY").then_some(())
    });
    assert_eq!(http("GET", &format!("{uri}/subscription"), "").json()["error_code"], 40403);
    world.down();
}

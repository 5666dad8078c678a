//! Our registry, worker and loader against Apache Kafka itself: any part can be an external address.

use testkit::http;

use crate::{
    flow,
    shared::{name, world},
};

#[test]
fn registry_worker_and_load_work_on_apache_kafka() {
    let Some(kafka) = testkit::kafka() else { return };
    let Some(java) = testkit::java_tools() else { return };
    let Some(flights) = testkit::flights_data("flights.csv") else { return };
    let mut world = world();
    world.set("TIDEMILL_BROKER_EXTERNAL", &kafka.bootstrap);
    let text = std::fs::read_to_string(flights).unwrap();
    let slice: String = text.split_inclusive('\n').take(2001).collect();
    world.write("data/flights.csv", slice);
    let parts = world.up();
    let topic = name("flights");
    world.ok(&["topic", "create", &topic, "--partitions", "3"]);
    world.ok(&["contract", "infer", "data/flights.csv", "-o", &format!("contracts/{topic}.json")]);
    world.ok(&["schema", "register", &topic]);
    let target = format!("kafka://local/{topic}");
    world.ok(&["load", "data/flights.csv", &target, "--contract", &topic, "--key", "tailnum"]);
    let values = flow::values_of(&kafka.bootstrap, &topic);
    assert_eq!(values.iter().map(Vec::len).sum::<usize>(), 2000);
    let connector = flow::json_schema_connector("on-apache", &topic, &parts, 100);
    http("POST", &format!("{}/connectors", parts.connect()), &connector.to_string()).expect(201);
    let count = values.iter().map(|values| values.len() / 100).sum();
    let objects = flow::wait_for_objects(&world, &topic, count);
    flow::assert_each_record_once(&objects, &topic, &values, 100);
    let args = ["--bootstrap-server", &kafka.bootstrap, "--describe", "--group", "connect-on-apache"];
    let described = java.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &args);
    assert!(described.expect_success().contains(&topic), "the worker's group is Kafka's own");
    let subjects = http("GET", &format!("{}/subjects", parts.registry()), "").json();
    assert!(subjects.as_array().unwrap().contains(&format!("{topic}-value").into()), "{subjects}");
    world.kill();
    let parts = world.up();
    let again = http("GET", &format!("{}/subjects", parts.registry()), "").json();
    assert_eq!(again, subjects, "the schemas are kept in Kafka");
    let state = http("GET", &format!("{}/connectors", parts.connect()), "").json();
    assert_eq!(state, serde_json::json!(["on-apache"]), "and so is the connector");
    world.down();
}

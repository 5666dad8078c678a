//! v3: every resource as it is shown, and what changes one.

use serde_json::{Value as Json, json};

use super::World;

#[tokio::test]
async fn resources_are_shown_with_their_links() {
    let world = World::new().await;
    world.topic("flights", 2).await;
    let mut text = String::new();
    for path in [
        "",
        "/brokers",
        "/topics/flights",
        "/topics/flights/partitions",
        "/topics/flights/partitions/1",
        "/topics/flights/partitions/1/replicas/1",
        "/topics/flights/configs/retention.ms",
        "/topics/-/partitions/-/reassignment",
        "/topics/flights/partitions/-/reassignment",
    ] {
        let shown = world.v3("GET", path, Json::Null).await.expect(200);
        text += &format!("GET {path}\n{}\n", world.shown(&shown));
    }
    let broker = broker_port(&world).await;
    insta::assert_snapshot!(text.replace(&format!("\"port\": {broker}"), "\"port\": [PORT]"));
    let all = world.v3("GET", "/topics", Json::Null).await.expect(200);
    assert_eq!(all["kind"], "KafkaTopicList");
    let names: Vec<&str> =
        all["data"].as_array().unwrap().iter().map(|topic| topic["topic_name"].as_str().unwrap()).collect();
    assert!(names.contains(&"flights"), "{names:?}");
    let held = world.v3("GET", "/brokers/1/partition-replicas", Json::Null).await.expect(200);
    assert_eq!(
        held["data"].as_array().unwrap().iter().filter(|one| one["topic_name"] == "flights").count(),
        2
    );
}

async fn broker_port(world: &World) -> Json {
    world.v3("GET", "/brokers", Json::Null).await.expect(200)["data"][0]["port"].clone()
}

#[tokio::test]
async fn topics_are_made_grown_and_deleted() {
    let world = World::new().await;
    let dry =
        json!({ "topic_name": "dry", "partitions_count": 3, "replication_factor": 1, "validate_only": true });
    let dry = world.v3("POST", "/topics", dry).await.expect(200);
    assert_eq!(dry["partitions_count"], 3);
    assert_eq!(world.v3("GET", "/topics/dry", Json::Null).await.code(), (404, 40403));
    let made = json!({ "topic_name": "made", "partitions_count": 2, "replication_factor": 1,
        "configs": [{ "name": "cleanup.policy", "value": "compact" }, { "name": "segment.ms", "value": 60000 }] });
    let shown = world.v3("POST", "/topics", made.clone()).await.expect(201);
    assert_eq!((&shown["topic_name"], &shown["partitions_count"]), (&json!("made"), &json!(2)));
    assert_eq!(world.v3("POST", "/topics", made).await.code(), (400, 40002));
    let grown = world.v3("PATCH", "/topics/made", json!({ "partitions_count": 4 })).await.expect(200);
    assert_eq!(grown["partitions_count"], 4);
    assert_eq!(
        world.v3("PATCH", "/topics/made", json!({ "partitions_count": 1 })).await.code(),
        (400, 40002)
    );
    for (body, code) in [
        (json!({}), (422, 422)),
        (json!({ "topic_name": "t", "partitions": 1 }), (422, 422)),
        (json!({ "topic_name": "t", "partitions_count": "two" }), (422, 422)),
        (json!({ "topic_name": "a/b" }), (400, 40002)),
        (json!({ "topic_name": "t", "replication_factor": 3 }), (400, 40002)),
        (json!({ "topic_name": "t", "configs": [{ "name": "no.such", "value": "1" }] }), (400, 40002)),
    ] {
        assert_eq!(world.v3("POST", "/topics", body.clone()).await.code(), code, "{body}");
    }
    let config = world.v3("GET", "/topics/made/configs/cleanup.policy", Json::Null).await.expect(200);
    assert_eq!((&config["value"], &config["is_default"]), (&json!("compact"), &json!(false)));
    world.v3("DELETE", "/topics/made", Json::Null).await.expect(204);
    assert_eq!(world.v3("DELETE", "/topics/made", Json::Null).await.code(), (404, 40403));
}

#[tokio::test]
async fn configs_are_set_altered_and_reset() {
    let world = World::new().await;
    world.topic("flights", 1).await;
    let path = "/topics/flights/configs/retention.ms";
    let value = async |world: &World| world.v3("GET", path, Json::Null).await.expect(200)["value"].clone();
    let usual = value(&world).await;
    world.v3("PUT", path, json!({ "value": "1000" })).await.expect(204);
    assert_eq!(value(&world).await, "1000");
    let batch = json!({ "data": [{ "name": "retention.ms", "operation": "DELETE" },
        { "name": "cleanup.policy", "value": "compact" }] });
    let mut dry = batch.clone();
    dry["validate_only"] = json!(true);
    world.v3("POST", "/topics/flights/configs:alter", dry).await.expect(204);
    assert_eq!(value(&world).await, "1000");
    world.v3("POST", "/topics/flights/configs:alter", batch).await.expect(204);
    assert_eq!(value(&world).await, usual);
    world.v3("DELETE", "/topics/flights/configs/cleanup.policy", Json::Null).await.expect(204);
    for (method, path, body, code) in [
        ("PUT", "/topics/flights/configs/no.such", json!({ "value": "1" }), (404, 404)),
        ("GET", "/topics/flights/configs/no.such", Json::Null, (404, 404)),
        ("PUT", path, json!({ "value": "much" }), (400, 40002)),
        ("PUT", path, json!({ "Value": "1" }), (422, 422)),
        ("POST", "/topics/flights/configs:alter", json!({ "data": [] }), (422, 422)),
        (
            "POST",
            "/topics/flights/configs:alter",
            json!({ "data": [{ "name": "retention.ms", "operation": "ADD" }] }),
            (422, 422),
        ),
    ] {
        assert_eq!(world.v3(method, path, body.clone()).await.code(), code, "{method} {path} {body}");
    }
    let brokers = world.v3("GET", "/brokers", Json::Null).await.expect(200);
    let id = &brokers["data"][0]["broker_id"];
    let configs = world.v3("GET", &format!("/brokers/{id}/configs"), Json::Null).await.expect(200);
    assert_eq!(configs["data"][0]["kind"], "KafkaBrokerConfig");
    assert_eq!(
        world.v3("GET", "/broker-configs", Json::Null).await.expect(200)["kind"],
        "KafkaClusterConfigList"
    );
    let defaults = world.v3("GET", "/topics/nothing/default-configs", Json::Null).await.expect(200);
    assert_eq!(defaults["kind"], "KafkaTopicConfigList");
    let policy = defaults["data"].as_array().unwrap().iter().find(|one| one["name"] == "cleanup.policy");
    assert_eq!(policy.unwrap()["value"], "delete");
}

#[tokio::test]
async fn acls_without_an_authorizer_are_refused_as_kafka_does() {
    let world = World::new().await;
    let acl = json!({ "resource_type": "TOPIC", "resource_name": "flights", "pattern_type": "LITERAL",
        "principal": "User:me", "host": "*", "operation": "READ", "permission": "ALLOW" });
    let refused = world.v3("POST", "/acls", acl.clone()).await;
    assert_eq!(refused.code(), (400, 40002), "{refused:?}");
    assert_eq!(world.v3("GET", "/acls", Json::Null).await.code(), (400, 40002));
    for (name, word) in [("resource_type", "ANY"), ("pattern_type", "MATCH"), ("operation", "SING")] {
        let mut wrong = acl.clone();
        wrong[name] = json!(word);
        assert_eq!(world.v3("POST", "/acls", wrong).await.code(), (400, 400), "{name}");
    }
    assert_eq!(world.v3("DELETE", "/acls", Json::Null).await.code(), (400, 400));
}

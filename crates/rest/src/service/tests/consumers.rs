//! Consumer instances: what they read, where they go on, and when they end.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{ANY, Options, Service, World};

/// Reads until so many records are there.
pub(super) async fn read(world: &World, instance: &str, format: &str, count: usize) -> Vec<Json> {
    let mut records = Vec::new();
    let began = Instant::now();
    while records.len() < count {
        assert!(began.elapsed() < Duration::from_secs(20), "{} of {count} records", records.len());
        let path = format!("{instance}/records?timeout=1000");
        let more = world.v2("GET", &path, format, Json::Null).await.expect(200);
        records.extend(more.as_array().unwrap().iter().cloned());
    }
    records
}

async fn produce(world: &World, topic: &str, values: std::ops::Range<i64>) {
    let records: Vec<Json> = values.map(|value| json!({ "value": value })).collect();
    let told = world.v2("POST", &format!("/topics/{topic}"), "json", json!({ "records": records })).await;
    told.expect(200);
}

/// An instance of JSON that commits only when it is told to.
async fn instance(world: &World, group: &str, name: &str) -> String {
    let body = json!({ "name": name, "format": "json", "auto.offset.reset": "earliest", "auto.commit.enable": "false" });
    let made = world.v2("POST", &format!("/consumers/{group}"), "", body).await.expect(200);
    assert_eq!(made["instance_id"], name);
    let uri = made["base_uri"].as_str().unwrap();
    assert_eq!(uri, format!("http://{}/consumers/{group}/instances/{name}", world.rest.addr));
    format!("/consumers/{group}/instances/{name}")
}

fn values(records: &[Json]) -> Vec<i64> {
    records.iter().map(|record| record["value"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_subscription_is_read_committed_and_taken_over() {
    let world = World::new().await;
    world.topic("flights", 1).await;
    produce(&world, "flights", 0..10).await;
    let one = instance(&world, "g", "one").await;
    let path = |rest: &str| format!("{one}/{rest}");
    let again = json!({ "name": "one", "format": "json" });
    assert_eq!(world.v2("POST", "/consumers/g", "", again).await.code(), (409, 40902));
    world.v2("POST", &path("subscription"), "", json!({ "topics": ["flights"] })).await.expect(204);
    let subscribed = world.v2("GET", &path("subscription"), "", Json::Null).await.expect(200);
    assert_eq!(subscribed, json!({ "topics": ["flights"] }));
    let other = json!({ "topic_pattern": "f.*" });
    assert_eq!(world.v2("POST", &path("subscription"), "", other).await.code(), (409, 40903));
    let places = json!({ "partitions": [{ "topic": "flights", "partition": 0 }] });
    assert_eq!(world.v2("POST", &path("assignments"), "", places.clone()).await.code(), (409, 40903));
    assert_eq!(values(&read(&world, &one, "json", 10).await), (0..10).collect::<Vec<_>>());
    assert_eq!(world.v2("GET", &path("assignments"), "", Json::Null).await.expect(200), places);
    let none = world.v2("GET", &path("offsets"), "", places.clone()).await.expect(200);
    assert_eq!(none, json!({ "offsets": [] }));
    assert_eq!(world.v2("POST", &path("offsets"), "", Json::Null).await.expect(200), json!([]));
    let committed = |offset: i64, metadata: &str| {
        json!({ "offsets": [
        { "topic": "flights", "partition": 0, "offset": offset, "metadata": metadata }] })
    };
    assert_eq!(world.v2("GET", &path("offsets"), "", places.clone()).await.expect(200), committed(10, ""));
    // What is given is the last record that is done: the next one is committed.
    world.v2("POST", &path("offsets"), "", committed(4, "why")).await.expect(200);
    assert_eq!(world.v2("GET", &path("offsets"), "", places).await.expect(200), committed(5, "why"));
    let lags = world.v3("GET", "/consumer-groups/g/lags", Json::Null).await.expect(200);
    assert_eq!((&lags["data"][0]["lag"], &lags["data"][0]["current_offset"]), (&json!(5), &json!(5)));
    assert!(!lags["data"][0]["consumer_id"].as_str().unwrap().is_empty(), "{lags}");
    assert_eq!(lags["data"][0]["client_id"], "one");
    let group = world.v3("GET", "/consumer-groups/g", Json::Null).await.expect(200);
    assert_eq!((&group["state"], &group["is_simple"]), (&json!("STABLE"), &json!(false)));
    world.v2("DELETE", &one, "", Json::Null).await.expect(204);
    assert_eq!(world.v2("DELETE", &one, "", Json::Null).await.code(), (404, 40403));
    let two = instance(&world, "g", "two").await;
    world.v2("POST", &format!("{two}/subscription"), "", json!({ "topics": ["flights"] })).await.expect(204);
    assert_eq!(values(&read(&world, &two, "json", 5).await), (5..10).collect::<Vec<_>>());
    world.v2("DELETE", &format!("{two}/subscription"), "", Json::Null).await.expect(204);
    let left = world.v2("GET", &format!("{two}/subscription"), "", Json::Null).await.expect(200);
    assert_eq!(left, json!({ "topics": [] }));
}

#[tokio::test]
async fn positions_move_both_ways() {
    let world = World::new().await;
    world.topic("flights", 2).await;
    let records: Vec<Json> = (0..10).map(|value| json!({ "value": value, "partition": value % 2 })).collect();
    world.v2("POST", "/topics/flights", "json", json!({ "records": records })).await.expect(200);
    let one = instance(&world, "g", "one").await;
    let path = |rest: &str| format!("{one}/{rest}");
    let zero = json!({ "partitions": [{ "topic": "flights", "partition": 0 }] });
    assert_eq!(world.v2("POST", &path("positions/end"), "", zero.clone()).await.code(), (409, 40903));
    world.v2("POST", &path("assignments"), "", zero.clone()).await.expect(204);
    assert_eq!(values(&read(&world, &one, "json", 5).await), [0, 2, 4, 6, 8]);
    let to = json!({ "offsets": [{ "topic": "flights", "partition": 0, "offset": 3 }] });
    world.v2("POST", &path("positions"), "", to).await.expect(204);
    assert_eq!(values(&read(&world, &one, "json", 2).await), [6, 8]);
    world.v2("POST", &path("positions/beginning"), "", zero.clone()).await.expect(204);
    assert_eq!(values(&read(&world, &one, "json", 5).await), [0, 2, 4, 6, 8]);
    world.v2("POST", &path("positions/end"), "", zero).await.expect(204);
    assert_eq!(
        world.v2("GET", &path("records?timeout=200"), "json", Json::Null).await.expect(200),
        json!([])
    );
    let other = json!({ "partitions": [{ "topic": "flights", "partition": 1 }] });
    assert_eq!(world.v2("POST", &path("positions/end"), "", other).await.code(), (409, 40903));
    // The same where the group gives the partitions.
    let two = instance(&world, "h", "two").await;
    world
        .v2("POST", &format!("{two}/subscription"), "", json!({ "topic_pattern": "fl.*s" }))
        .await
        .expect(204);
    let subscribed = world.v2("GET", &format!("{two}/subscription"), "", Json::Null).await.expect(200);
    assert_eq!(subscribed, json!({ "topics": ["flights"] }));
    assert_eq!(read(&world, &two, "json", 10).await.len(), 10);
    let to = json!({ "offsets": [{ "topic": "flights", "partition": 1, "offset": 4 }] });
    world.v2("POST", &format!("{two}/positions"), "", to).await.expect(204);
    assert_eq!(values(&read(&world, &two, "json", 1).await), [9]);
}

#[tokio::test]
async fn answers_are_bounded_and_lose_nothing() {
    let world = World::with(|options| options.consumer_request_bytes_max = 64).await;
    world.topic("flights", 1).await;
    let records: Vec<Json> = (0..20).map(|value| json!({ "value": format!("{value:020}") })).collect();
    world.v2("POST", "/topics/flights", "json", json!({ "records": records })).await.expect(200);
    let one = instance(&world, "g", "one").await;
    let place = json!({ "partitions": [{ "topic": "flights", "partition": 0 }] });
    world.v2("POST", &format!("{one}/assignments"), "", place).await.expect(204);
    let mut offsets = Vec::new();
    while offsets.len() < 20 {
        // 22 bytes each: two fit.
        let path = format!("{one}/records?max_bytes=45");
        let some = world.v2("GET", &path, "json", Json::Null).await.expect(200);
        let some = some.as_array().unwrap();
        assert!(some.len() <= 2, "{some:?}");
        offsets.extend(some.iter().map(|record| record["offset"].as_i64().unwrap()));
    }
    assert_eq!(offsets, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_its_instance_where_it_is() {
    let world = World::new().await;
    world.topic("flights", 1).await;
    produce(&world, "flights", 0..2).await;
    let bad = json!({ "records": [{ "value": "AAH/" }, { "value": "MQ==" }] });
    world.v2("POST", "/topics/flights", "binary", bad).await.expect(200);
    let one = instance(&world, "g", "one").await;
    let path = |rest: &str| format!("{one}/{rest}");
    let place = json!({ "partitions": [{ "topic": "flights", "partition": 0 }] });
    world.v2("POST", &path("assignments"), "", place).await.expect(204);
    assert_eq!(values(&read(&world, &one, "json", 2).await), [0, 1]);
    for _ in 0..2 {
        let refused = world.v2("GET", &path("records"), "json", Json::Null).await;
        assert_eq!(refused.code(), (408, 40801));
        assert!(refused.text.contains("the value of flights/0/2 is not JSON"), "{refused:?}");
    }
    let over = json!({ "offsets": [{ "topic": "flights", "partition": 0, "offset": 3 }] });
    world.v2("POST", &path("positions"), "", over).await.expect(204);
    assert_eq!(values(&read(&world, &one, "json", 1).await), [1]);
    assert_eq!(world.v2("GET", &path("records"), "binary", Json::Null).await.code(), (406, 40601));
}

#[tokio::test]
async fn instances_are_counted_and_expire() {
    let world = World::with(|options| {
        options.consumer_instances_max = 2;
        options.consumer_instance_timeout_ms = 3_000;
    });
    let world = world.await;
    instance(&world, "g", "one").await;
    let two = instance(&world, "g", "two").await;
    let three = json!({ "name": "three" });
    assert_eq!(world.v2("POST", "/consumers/g", "", three.clone()).await.code(), (429, 429));
    for (body, code) in [
        (json!({ "format": "xml" }), (422, 42204)),
        (json!({ "auto.offset.reset": "first" }), (422, 42204)),
        (json!({ "group": "g" }), (422, 422)),
    ] {
        assert_eq!(world.v2("POST", "/consumers/g", "", body.clone()).await.code(), code, "{body}");
    }
    // Who is asked for stays; who is left alone goes.
    let began = Instant::now();
    let gone = loop {
        world.v2("GET", &format!("{two}/subscription"), "", Json::Null).await.expect(200);
        let made = world.v2("POST", "/consumers/g", "", three.clone()).await;
        if made.status == 200 {
            break began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{made:?}");
    };
    assert!(gone >= Duration::from_millis(100), "{gone:?}");
    let one = world.v2("GET", "/consumers/g/instances/one/subscription", "", Json::Null).await;
    assert_eq!(one.code(), (404, 40403));
}

#[tokio::test]
async fn deleting_ends_what_is_read() {
    let world = World::with(|options| options.consumer_request_timeout_ms = 60_000).await;
    world.topic("flights", 1).await;
    let one = instance(&world, "g", "one").await;
    let place = json!({ "partitions": [{ "topic": "flights", "partition": 0 }] });
    world.v2("POST", &format!("{one}/assignments"), "", place).await.expect(204);
    let began = Instant::now();
    let path = format!("{one}/records");
    let reading = world.v2("GET", &path, "json", Json::Null);
    let deleting = async {
        // The other one waits already: an answer in between takes a moment.
        world.get("/v3/clusters").await.expect(200);
        world.v2("DELETE", &one, "", Json::Null).await.expect(204)
    };
    let (read, _) = tokio::join!(reading, deleting);
    assert!(read.status == 200 || read.code() == (404, 40403), "{read:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn stopping_leaves_the_groups() {
    let world = World::new().await;
    world.topic("flights", 1).await;
    produce(&world, "flights", 0..1).await;
    let one = instance(&world, "g", "one").await;
    world.v2("POST", &format!("{one}/subscription"), "", json!({ "topics": ["flights"] })).await.expect(204);
    read(&world, &one, "json", 1).await;
    world.rest.stop(5_000).await.unwrap();
    // Another proxy finds the group without members, long before its session would end.
    let other = Service::start(Options::at(ANY, world.broker.addr.to_string())).await.unwrap();
    let url = format!("http://{}/v3/clusters/{}/consumer-groups/g", other.addr, world.cluster);
    let group: Json = cloud::http::client().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(group["state"], "EMPTY", "{group}");
}

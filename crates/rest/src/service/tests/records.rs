//! Records in, by v3 and v2, in every format, and out again.

use serde_json::{Value as Json, json};

use super::{Answered, World};

const AVRO: &str = r#"{"type":"record","name":"Flight","namespace":"a","fields":[{"name":"number","type":"int"},{"name":"tail","type":["null","string"],"default":null}]}"#;
const JSON_SCHEMA: &str =
    r#"{"title":"Flight","type":"object","properties":{"number":{"type":"integer"}},"required":["number"]}"#;
const PROTOBUF: &str =
    "syntax = \"proto3\"; package a; message Flight { int32 flight_number = 1; string tail = 2; }";

/// A stream's lines.
fn lines(answered: &Answered) -> Vec<Json> {
    assert_eq!(answered.status, 200, "{answered:?}");
    answered.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_stream_of_records_has_a_line_for_each() {
    let world = World::new().await;
    world.topic("flights", 2).await;
    let path = format!("/v3/clusters/{}/topics/flights/records", world.cluster);
    let records = [
        json!({ "partition_id": 1, "key": { "type": "BINARY", "data": "AAE=" }, "value": { "type": "JSON", "data": { "a": 1 } },
            "headers": [{ "name": "h", "value": "dmFsdWU=" }, { "name": "empty" }], "timestamp": "2021-02-05T19:14:42Z" }),
        json!({ "partition_id": 1, "value": { "type": "STRING", "data": "text" } }),
        json!({ "partition_id": 1, "value": { "type": "STRING", "data": 1 } }),
        json!({ "partition_id": 7, "value": { "type": "STRING", "data": "nowhere" } }),
        json!({ "partition_id": 1 }),
        json!({ "partition": 1 }),
    ];
    let body = records.iter().map(Json::to_string).collect::<Vec<_>>().join("\n");
    let answered = world.send("POST", &path, &[("content-type", "application/json")], body).await;
    let told = lines(&answered);
    let first = json!({ "error_code": 200, "cluster_id": world.cluster, "topic_name": "flights", "partition_id": 1,
        "offset": 0, "timestamp": "2021-02-05T19:14:42Z", "key": { "type": "BINARY", "size": 2 },
        "value": { "type": "JSON", "size": 7 } });
    assert_eq!(told[0], first);
    let codes: Vec<i64> = told.iter().map(|line| line["error_code"].as_i64().unwrap()).collect();
    assert_eq!(codes, [200, 200, 42203, 40403, 200, 400], "{told:?}");
    assert_eq!(told[4]["offset"], 2);
    assert!(told[4].get("value").is_none());
    // A stream that breaks off is told in its last line; before the first record it is the whole answer.
    let broken = world.send("POST", &path, &[], format!("{} {{\"value\":", records[1])).await;
    assert_eq!(lines(&broken).iter().map(|line| line["error_code"].clone()).collect::<Vec<_>>(), [200, 400]);
    let post = async |body: &str| world.send("POST", &path, &[], body.to_owned()).await.code();
    assert_eq!(post("").await, (422, 42206));
    assert_eq!(post("[]").await, (400, 400));
    let nowhere =
        world.v3("POST", "/topics/none/records", json!({ "value": { "type": "JSON", "data": 1 } })).await;
    assert_eq!(nowhere.code(), (404, 40403));
    let batch = json!({ "entries": [{ "id": "a", "value": { "type": "JSON", "data": 1 } },
        { "id": "b", "value": { "type": "STRING", "data": 1 } }] });
    let told = world.v3("POST", "/topics/flights/records:batch", batch).await.expect(207);
    assert_eq!((&told["successes"][0]["id"], &told["failures"][0]["id"]), (&json!("a"), &json!("b")));
    assert_eq!(told["failures"][0]["error_code"], 42203);
}

#[tokio::test]
async fn schemas_are_found_by_all_their_names() {
    let world = World::new().await;
    world.topic("flights", 1).await;
    let post = async |value: Json| {
        lines(&world.v3("POST", "/topics/flights/records", json!({ "value": value })).await).remove(0)
    };
    let flight = json!({ "number": 7, "tail": null });
    let first = post(json!({ "type": "AVRO", "schema": AVRO, "data": flight })).await;
    let expected =
        json!({ "type": "AVRO", "subject": "flights-value", "schema_id": 1, "schema_version": 1, "size": 7 });
    assert_eq!(first["value"], expected, "{first}");
    for value in [
        json!({ "schema_id": 1, "data": flight }),
        json!({ "schema_version": 1, "data": flight }),
        json!({ "data": flight }),
        json!({ "subject": "flights-value", "data": flight }),
    ] {
        assert_eq!(post(value.clone()).await["value"], expected, "{value}");
    }
    let named =
        json!({ "type": "AVRO", "schema": AVRO, "subject_name_strategy": "RECORD_NAME", "data": flight });
    assert_eq!(post(named).await["value"]["subject"], "a.Flight");
    let named = json!({ "type": "JSONSCHEMA", "schema": JSON_SCHEMA, "subject_name_strategy": "TOPIC_RECORD_NAME", "data": { "number": 1 } });
    assert_eq!(post(named).await["value"]["subject"], "flights-Flight");
    let named =
        json!({ "type": "PROTOBUF", "schema": PROTOBUF, "subject": "mine", "data": { "flightNumber": 1 } });
    let told = post(named).await;
    assert_eq!((&told["value"]["type"], &told["value"]["size"]), (&json!("PROTOBUF"), &json!(8)));
    assert_eq!(post(json!({ "schema_id": 1, "data": null })).await["value"]["size"], 0);
    for (value, code) in [
        (json!({ "schema_id": 99, "data": 1 }), 40801),
        (json!({ "schema_version": 9, "data": 1 }), 40801),
        (json!({ "subject": "nobody", "data": 1 }), 40801),
        (json!({ "type": "AVRO", "schema_id": 1, "data": flight }), 400),
        (json!({ "schema": AVRO, "data": flight }), 400),
        (json!({ "type": "AVRO", "data": flight }), 400),
        (json!({ "type": "XML", "data": 1 }), 400),
        (json!({ "type": "JSON", "subject": "s", "data": 1 }), 400),
        (json!({ "type": "AVRO", "schema": "{", "data": flight }), 42205),
        (json!({ "data": { "number": "seven" } }), 42203),
        (json!({ "subject_name_strategy": "RECORD_NAME", "data": 1 }), 400),
    ] {
        let told = post(value.clone()).await;
        assert_eq!(told["error_code"], code, "{value} {told}");
    }
}

#[tokio::test]
async fn every_format_comes_back_as_it_went_in() {
    let world = World::new().await;
    let seen = json!({ "number": 7, "tail": { "string": "N1" } });
    for (format, schema, sent, expected) in [
        ("binary", None, json!("AAH/"), None),
        ("json", None, json!({ "b": 1, "a": null }), None),
        ("avro", Some(AVRO), seen, None),
        ("jsonschema", Some(JSON_SCHEMA), json!({ "number": 7, "more": 1 }), None),
        (
            "protobuf",
            Some(PROTOBUF),
            json!({ "flight_number": 7 }),
            Some(json!({ "flightNumber": 7, "tail": "" })),
        ),
    ] {
        let topic = format!("of-{format}");
        world.topic(&topic, 1).await;
        let mut body = json!({ "records": [{ "value": sent }, { "value": null, "partition": 0 }] });
        if let Some(schema) = schema {
            body["value_schema"] = json!(schema);
        }
        let told = world.v2("POST", &format!("/topics/{topic}"), format, body).await;
        assert_eq!(told.media_type, format!("application/vnd.kafka.{format}.v2+json"));
        let told = told.expect(200);
        let offset =
            |offset: i64| json!({ "partition": 0, "offset": offset, "error_code": null, "error": null });
        assert_eq!(told["offsets"], json!([offset(0), offset(1)]), "{told}");
        assert_eq!(told["value_schema_id"].is_null(), schema.is_none(), "{told}");
        if let Some(id) = told["value_schema_id"].as_i64() {
            let body = json!({ "value_schema_id": id, "records": [{ "value": sent }] });
            world.v2("POST", &format!("/topics/{topic}/partitions/0"), format, body).await.expect(200);
        }
        let made = json!({ "name": "i", "format": format, "auto.offset.reset": "earliest" });
        world.v2("POST", &format!("/consumers/{topic}"), "", made).await.expect(200);
        let instance = format!("/consumers/{topic}/instances/i");
        let partitions = json!({ "partitions": [{ "topic": topic, "partition": 0 }] });
        world.v2("POST", &format!("{instance}/assignments"), "", partitions).await.expect(204);
        let count = if schema.is_some() { 3 } else { 2 };
        let records = super::consumers::read(&world, &instance, format, count).await;
        assert_eq!(records[0]["value"], expected.unwrap_or(sent), "{format}");
        assert_eq!(
            records[1],
            json!({ "topic": topic, "key": null, "value": null, "partition": 0, "offset": 1 })
        );
        world.v2("DELETE", &instance, "", Json::Null).await.expect(204);
    }
}

#[tokio::test]
async fn what_cannot_be_produced_is_refused_whole() {
    let world = World::with(|options| {
        options.request_bytes_max = 4_000;
        options.request_records_max = 3;
    });
    let world = world.await;
    world.topic("flights", 1).await;
    let one = json!({ "records": [{ "value": 1 }] });
    for (path, format, body, code) in [
        ("/topics/none", "json", one.clone(), (404, 40401)),
        ("/topics/flights/partitions/5", "json", one.clone(), (404, 40402)),
        ("/topics/flights", "", one.clone(), (415, 415)),
        ("/topics/flights", "json", json!({}), (422, 422)),
        ("/topics/flights", "json", json!({ "records": [] }), (422, 422)),
        ("/topics/flights", "json", json!({ "records": [{ "val": 1 }] }), (422, 422)),
        ("/topics/flights", "json", json!({ "records": [{}, {}, {}, {}] }), (422, 422)),
        ("/topics/flights", "json", json!({ "value_schema": "x", "records": [{}] }), (422, 422)),
        ("/topics/flights", "json", json!({ "records": [{ "value": "x".repeat(5_000) }] }), (413, 413)),
        ("/topics/flights", "binary", json!({ "records": [{ "value": "?" }] }), (422, 42203)),
        ("/topics/flights", "avro", one.clone(), (422, 42202)),
        ("/topics/flights", "avro", json!({ "records": [{ "key": 1 }] }), (422, 42201)),
        (
            "/topics/flights",
            "avro",
            json!({ "value_schema": "{", "records": [{ "value": 1 }] }),
            (422, 42205),
        ),
        (
            "/topics/flights",
            "avro",
            json!({ "value_schema": AVRO, "records": [{ "value": { "number": "x" } }] }),
            (422, 42203),
        ),
        (
            "/topics/flights",
            "avro",
            json!({ "value_schema_id": 77, "records": [{ "value": 1 }] }),
            (408, 40801),
        ),
        (
            "/topics/flights",
            "protobuf",
            json!({ "value_schema_id": 1, "records": [{ "value": 1 }] }),
            (422, 42205),
        ),
    ] {
        let answered = world.v2("POST", path, format, body.clone()).await;
        assert_eq!(answered.code(), code, "{path} {format} {body} {answered:?}");
    }
    let ends = world.v2("GET", "/topics/flights/partitions/0/offsets", "", Json::Null).await.expect(200);
    assert_eq!(ends, json!({ "beginning_offset": 0, "end_offset": 0 }));
    // A record that goes nowhere fails alone.
    let some = json!({ "records": [{ "value": 1, "partition": 9 }, { "value": 2 }] });
    let told = world.v2("POST", "/topics/flights", "json", some).await.expect(200);
    assert_eq!(told["offsets"][0]["error_code"], 40402, "{told}");
    assert_eq!(told["offsets"][1]["offset"], 0);
    let topic = world.v2("GET", "/topics/flights", "", Json::Null).await.expect(200);
    assert_eq!(
        topic["partitions"],
        json!([{ "partition": 0, "leader": topic["partitions"][0]["leader"], "replicas": [
        { "broker": topic["partitions"][0]["leader"], "leader": true, "in_sync": true }] }])
    );
    assert!(topic["configs"]["cleanup.policy"].is_string(), "{topic}");
}

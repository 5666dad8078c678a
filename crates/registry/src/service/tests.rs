//! The API end to end: over HTTP, on a real broker. A script is lines of `METHOD path body -> status answer`.

mod aliases;
mod api;
mod associations;
mod election;
mod tags;

use std::{net::SocketAddr, path::Path};

use base::Handle;
use serde_json::{Value as Json, json};

use super::*;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn broker(folder: &Path) -> Handle {
    broker::Service::start(broker::Options::at(folder, ANY)).await.unwrap()
}

async fn registry(broker: &Handle) -> Handle {
    Service::start(Options::at(ANY, broker.addr.to_string())).await.unwrap()
}

async fn ask(registry: &Handle, method: &str, path: &str, body: &str) -> (u16, Json) {
    let url = format!("http://{}{path}", registry.addr);
    let request = cloud::http::client().request(method.parse().unwrap(), url).body(body.to_owned());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/vnd.schemaregistry.v1+json");
    let text = response.text().await.unwrap();
    let mut answer = serde_json::from_str(&text).unwrap();
    without_guids(&mut answer);
    (status, answer)
}

/// Digests say nothing in a script; a test of their own looks at them.
fn without_guids(answer: &mut Json) {
    match answer {
        Json::Object(members) => {
            members.remove("guid");
            members.values_mut().for_each(without_guids);
        }
        Json::Array(items) => items.iter_mut().for_each(without_guids),
        _ => {}
    }
}

/// Each step: method, path, body, status, and the answer (an `error_code` alone stands for an error's whole answer).
async fn play(registry: &Handle, steps: &[(&str, &str, Json, u16, Json)]) {
    for (method, path, body, status, expected) in steps {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (found_status, found) = ask(registry, method, path, &body).await;
        let found = if found_status < 300 { found } else { found["error_code"].clone() };
        assert_eq!((found_status, &found), (*status, expected), "{method} {path} {body}");
    }
}

fn schema(text: &str) -> Json {
    json!({ "schema": text })
}

fn json_schema(text: &str) -> Json {
    json!({ "schema": text, "schemaType": "JSON" })
}

const V1: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]}"#;
const V1_KEPT: &str = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}"#;
const V2: &str = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}"#;
const BAD: &str =
    r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"c","type":"int"}]}"#;

#[tokio::test]
async fn the_life_of_a_subject() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    play(
        &registry,
        &[
            ("GET", "/subjects", none.clone(), 200, json!([])),
            ("GET", "/subjects/s/versions", none.clone(), 404, json!(40401)),
            ("POST", "/subjects/s/versions", schema(V1), 200, json!({ "id": 1 })),
            ("POST", "/subjects/s/versions", schema(V1_KEPT), 200, json!({ "id": 1 })),
            ("POST", "/subjects/other/versions", schema(V1), 200, json!({ "id": 1 })),
            ("POST", "/subjects/s/versions", schema(BAD), 409, json!(409)),
            ("POST", "/subjects/s/versions", schema(V2), 200, json!({ "id": 2 })),
            ("GET", "/subjects", none.clone(), 200, json!(["other", "s"])),
            ("GET", "/subjects?subjectPrefix=o", none.clone(), 200, json!(["other"])),
            ("GET", "/subjects/s/versions", none.clone(), 200, json!([1, 2])),
            (
                "GET",
                "/subjects/s/versions/1",
                none.clone(),
                200,
                json!({ "subject": "s", "version": 1, "id": 1, "schema": V1_KEPT }),
            ),
            (
                "GET",
                "/subjects/s/versions/latest",
                none.clone(),
                200,
                json!({ "subject": "s", "version": 2, "id": 2, "schema": V2 }),
            ),
            ("GET", "/subjects/s/versions/-1/schema", none.clone(), 200, serde_json::from_str(V2).unwrap()),
            ("GET", "/subjects/s/versions/7", none.clone(), 404, json!(40402)),
            ("GET", "/subjects/s/versions/0", none.clone(), 422, json!(42202)),
            ("GET", "/subjects/s/versions/first", none.clone(), 422, json!(42202)),
            (
                "POST",
                "/subjects/s",
                schema(V2),
                200,
                json!({ "subject": "s", "version": 2, "id": 2, "schema": V2 }),
            ),
            ("POST", "/subjects/s", schema(BAD), 404, json!(40403)),
            ("POST", "/subjects/nobody", schema(V1), 404, json!(40401)),
            ("GET", "/schemas/ids/1", none.clone(), 200, json!({ "schema": V1_KEPT })),
            (
                "GET",
                "/schemas/ids/1?fetchMaxId=true",
                none.clone(),
                200,
                json!({ "schema": V1_KEPT, "maxId": 2 }),
            ),
            ("GET", "/schemas/ids/9", none.clone(), 404, json!(40403)),
            ("GET", "/schemas/ids/1/subjects", none.clone(), 200, json!(["other", "s"])),
            (
                "GET",
                "/schemas/ids/1/versions",
                none.clone(),
                200,
                json!([{ "subject": "other", "version": 1 }, { "subject": "s", "version": 1 }]),
            ),
        ],
    )
    .await;
    deletes(&registry).await;
}

async fn deletes(registry: &Handle) {
    let none = Json::Null;
    play(
        registry,
        &[
            ("DELETE", "/subjects/s/versions/2?permanent=true", none.clone(), 404, json!(40407)),
            ("DELETE", "/subjects/s/versions/2", none.clone(), 200, json!(2)),
            ("DELETE", "/subjects/s/versions/2", none.clone(), 404, json!(40406)),
            ("GET", "/subjects/s/versions?deleted=true", none.clone(), 200, json!([1, 2])),
            ("GET", "/schemas/ids/2", none.clone(), 200, schema(V2)),
            ("DELETE", "/subjects/s/versions/2?permanent=true", none.clone(), 200, json!(2)),
            ("GET", "/schemas/ids/2", none.clone(), 404, json!(40403)),
            ("DELETE", "/subjects/s?permanent=true", none.clone(), 404, json!(40405)),
            ("DELETE", "/subjects/s", none.clone(), 200, json!([1])),
            ("DELETE", "/subjects/s", none.clone(), 404, json!(40404)),
            ("GET", "/subjects", none.clone(), 200, json!(["other"])),
            ("GET", "/subjects?deleted=true", none.clone(), 200, json!(["other", "s"])),
            ("POST", "/subjects/s/versions", schema(V1), 200, json!({ "id": 1 })),
            ("GET", "/subjects/s/versions", none.clone(), 200, json!([2])),
            ("DELETE", "/subjects/s", none.clone(), 200, json!([2])),
            // The first version went when the second one came with its id.
            ("DELETE", "/subjects/s?permanent=true", none.clone(), 200, json!([2])),
            ("DELETE", "/subjects/s", none.clone(), 404, json!(40401)),
            ("POST", "/subjects/s/versions", schema(V2), 200, json!({ "id": 3 })),
        ],
    )
    .await;
}

#[tokio::test]
async fn settings_modes_and_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    let level = |level: &str| json!({ "compatibilityLevel": level });
    let set = |level: &str| json!({ "compatibility": level });
    play(
        &registry,
        &[
            ("GET", "/", none.clone(), 200, json!({})),
            ("GET", "/schemas/types", none.clone(), 200, json!(["JSON", "PROTOBUF", "AVRO"])),
            ("GET", "/config", none.clone(), 200, level("BACKWARD")),
            ("GET", "/config/s", none.clone(), 404, json!(40408)),
            ("GET", "/config/s?defaultToGlobal=true", none.clone(), 200, level("BACKWARD")),
            ("PUT", "/config", set("sideways"), 422, json!(42203)),
            ("PUT", "/config", set("full"), 200, set("FULL")),
            ("PUT", "/config/s", set("NONE"), 200, set("NONE")),
            ("GET", "/config/s", none.clone(), 200, level("NONE")),
            ("POST", "/subjects/s/versions", schema(V1), 200, json!({ "id": 1 })),
            ("POST", "/subjects/s/versions", json_schema("{\"type\": \"object\"}"), 200, json!({ "id": 2 })),
            (
                "GET",
                "/schemas/ids/2",
                none.clone(),
                200,
                json!({ "schemaType": "JSON", "schema": "{\"type\":\"object\"}" }),
            ),
            ("DELETE", "/config/s", none.clone(), 200, level("NONE")),
            ("DELETE", "/config/s", none.clone(), 404, json!(40401)),
            ("POST", "/subjects/t/versions", schema(V1), 200, json!({ "id": 1 })),
            (
                "POST",
                "/compatibility/subjects/t/versions/latest",
                schema(V2),
                200,
                json!({ "is_compatible": true }),
            ),
            (
                "POST",
                "/compatibility/subjects/t/versions/latest",
                schema(BAD),
                200,
                json!({ "is_compatible": false }),
            ),
            ("POST", "/compatibility/subjects/t/versions/9", schema(V2), 404, json!(40402)),
            (
                "POST",
                "/compatibility/subjects/new/versions",
                schema(V2),
                200,
                json!({ "is_compatible": true }),
            ),
        ],
    )
    .await;
    refusals_and_modes(&registry).await;
    let (_, answer) =
        ask(&registry, "POST", "/compatibility/subjects/t/versions?verbose=true", &schema(BAD).to_string())
            .await;
    assert!(
        answer["messages"][0].as_str().unwrap().contains("READER_FIELD_MISSING_DEFAULT_VALUE"),
        "{answer}"
    );
}

async fn refusals_and_modes(registry: &Handle) {
    let none = Json::Null;
    let mode = |mode: &str| json!({ "mode": mode });
    play(
        registry,
        &[
            ("POST", "/subjects/t/versions", schema("{\"type\":"), 422, json!(42201)),
            ("POST", "/subjects/empty/versions", schema(""), 422, json!(42201)),
            ("POST", "/subjects/t/versions", json_schema("{\"type\": 7}"), 422, json!(42201)),
            (
                "POST",
                "/subjects/t/versions",
                json!({ "schema": "message A {", "schemaType": "PROTOBUF" }),
                422,
                json!(42201),
            ),
            ("POST", "/subjects/t/versions", json!([]), 400, json!(400)),
            ("GET", "/mode", none.clone(), 200, mode("READWRITE")),
            ("GET", "/mode/t", none.clone(), 404, json!(40409)),
            ("PUT", "/mode/t", mode("SLEEPING"), 422, json!(42204)),
            ("PUT", "/mode", mode("READONLY_OVERRIDE"), 200, mode("READONLY_OVERRIDE")),
            ("GET", "/mode/t?defaultToGlobal=true", none.clone(), 200, mode("READONLY_OVERRIDE")),
            ("POST", "/subjects/t/versions", schema(V2), 422, json!(42205)),
            ("DELETE", "/mode", none.clone(), 200, mode("READONLY_OVERRIDE")),
            ("PUT", "/mode/t", mode("READONLY"), 200, mode("READONLY")),
            ("POST", "/subjects/t/versions", schema(V2), 422, json!(42205)),
            ("DELETE", "/subjects/t", none.clone(), 422, json!(42205)),
            ("DELETE", "/mode/t", none.clone(), 200, mode("READONLY")),
            ("PUT", "/mode/t", mode("IMPORT"), 422, json!(42205)),
            ("PUT", "/mode/forwarded", mode("FORWARD"), 200, mode("FORWARD")),
            ("POST", "/subjects/forwarded/versions", schema(V2), 422, json!(42205)),
            (
                "POST",
                "/subjects/forwarded/versions",
                json!({ "schema": V2, "id": 400, "version": 2 }),
                200,
                json!({ "id": 400 }),
            ),
            ("PUT", "/mode/imported", mode("IMPORT"), 200, mode("IMPORT")),
            ("POST", "/subjects/imported/versions", schema(V2), 422, json!(42205)),
            (
                "POST",
                "/subjects/imported/versions",
                json!({ "schema": V2, "id": 500, "version": 4 }),
                200,
                json!({ "id": 500 }),
            ),
            ("GET", "/subjects/imported/versions", none.clone(), 200, json!([4])),
            ("POST", "/subjects/u/versions", schema("\"long\""), 200, json!({ "id": 501 })),
            ("GET", "/nowhere", none.clone(), 404, json!(404)),
            ("PATCH", "/subjects", none.clone(), 405, json!(405)),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_restart_reads_the_same_and_ids_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let first = registry(&broker).await;
    let subject = "/subjects/a%2Fb%20c/versions";
    play(
        &first,
        &[
            ("POST", subject, schema(V1), 200, json!({ "id": 1 })),
            ("POST", subject, schema(V2), 200, json!({ "id": 2 })),
            (
                "PUT",
                "/config",
                json!({ "compatibility": "FORWARD" }),
                200,
                json!({ "compatibility": "FORWARD" }),
            ),
            ("DELETE", "/subjects/a%2Fb%20c/versions/1", Json::Null, 200, json!(1)),
        ],
    )
    .await;
    first.stop(5_000).await.unwrap();
    let second = registry(&broker).await;
    play(
        &second,
        &[
            ("GET", "/subjects", Json::Null, 200, json!(["a/b c"])),
            ("GET", subject, Json::Null, 200, json!([2])),
            ("GET", "/config", Json::Null, 200, json!({ "compatibilityLevel": "FORWARD" })),
            ("POST", "/subjects/next/versions", schema("\"string\""), 200, json!({ "id": 3 })),
        ],
    )
    .await;
}

#[tokio::test]
async fn writers_at_once_share_one_id() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let asking = (0..16).map(|number| {
        let registry = &registry;
        async move {
            let path = format!("/subjects/s{number}/versions");
            ask(registry, "POST", &path, &schema(if number % 2 == 0 { V1 } else { V2 }).to_string())
                    .await
                    .1["id"]
                    .clone()
        }
    });
    let mut ids: Vec<i64> = futures_all(asking).await.into_iter().map(|id| id.as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [[1; 8], [2; 8]].concat());
}

async fn futures_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        all.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let taken = broker.addr;
    let error = Service::start(Options::at(taken, broker.addr.to_string())).await.unwrap_err();
    assert!(matches!(error, Error::Bind { .. }), "{error}");
}

//! References, contexts, metadata, formats and Protobuf over HTTP.

use super::*;

fn protobuf(text: &str) -> Json {
    json!({ "schema": text, "schemaType": "PROTOBUF" })
}

fn with(mut body: Json, more: Json) -> Json {
    let more = more.as_object().cloned().unwrap_or_default();
    body.as_object_mut().unwrap().extend(more);
    body
}

fn refers(name: &str, subject: &str, version: i32) -> Json {
    json!({ "references": [{ "name": name, "subject": subject, "version": version }] })
}

const PLANE: &str =
    r#"{"type":"record","name":"Plane","namespace":"a","fields":[{"name":"seats","type":"int"}]}"#;
const FLIGHT: &str =
    r#"{"type":"record","name":"Flight","namespace":"a","fields":[{"name":"plane","type":"a.Plane"}]}"#;
const FLIGHT_KEPT: &str =
    r#"{"type":"record","name":"Flight","namespace":"a","fields":[{"name":"plane","type":"Plane"}]}"#;
const FLIGHT_WHOLE: &str = r#"{"type":"record","name":"Flight","namespace":"a","fields":[{"name":"plane","type":{"type":"record","name":"Plane","fields":[{"name":"seats","type":"int"}]}}]}"#;

#[tokio::test]
async fn avro_refers_to_named_types() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    let flight = with(schema(FLIGHT), refers("a.Plane", "plane", 1));
    let kept = with(schema(FLIGHT_KEPT), refers("a.Plane", "plane", 1));
    let version = with(json!({ "subject": "flight", "version": 1, "id": 2 }), kept.clone());
    play(
        &registry,
        &[
            ("POST", "/subjects/flight/versions", flight.clone(), 422, json!(42201)),
            ("POST", "/subjects/plane/versions", schema(PLANE), 200, json!({ "id": 1 })),
            ("POST", "/subjects/flight/versions", schema(FLIGHT), 422, json!(42201)),
            ("POST", "/subjects/flight/versions", flight.clone(), 200, json!({ "id": 2 })),
            ("POST", "/subjects/flight/versions", flight.clone(), 200, json!({ "id": 2 })),
            ("GET", "/schemas/ids/2", none.clone(), 200, kept.clone()),
            (
                "GET",
                "/schemas/ids/2?format=resolved",
                none.clone(),
                200,
                with(schema(FLIGHT_WHOLE), refers("a.Plane", "plane", 1)),
            ),
            ("GET", "/subjects/flight/versions/1", none.clone(), 200, version.clone()),
            ("POST", "/subjects/flight", flight, 200, version.clone()),
            ("POST", "/subjects/flight", schema(FLIGHT_WHOLE), 200, version),
            ("GET", "/subjects/plane/versions/1/referencedby", none.clone(), 200, json!([2])),
            ("GET", "/subjects/flight/versions/latest/referencedby", none.clone(), 200, json!([])),
            ("DELETE", "/subjects/plane/versions/1", none.clone(), 422, json!(42206)),
            ("DELETE", "/subjects/plane", none.clone(), 422, json!(42206)),
            ("DELETE", "/subjects/flight", none.clone(), 200, json!([1])),
            ("GET", "/subjects/plane/versions/1/referencedby", none.clone(), 200, json!([])),
            ("DELETE", "/subjects/plane", none.clone(), 200, json!([1])),
            ("GET", "/schemas/ids/2", none, 200, kept),
        ],
    )
    .await;
    let (_, answer) = ask(
        &registry,
        "POST",
        "/subjects/x/versions",
        &with(schema(FLIGHT), refers("a.Plane", "gone", 4)).to_string(),
    )
    .await;
    let message = answer["message"].as_str().unwrap();
    assert!(message.ends_with("No schema reference found for subject \"gone\" and version 4"), "{message}");
}

#[tokio::test]
async fn json_schema_refers_to_documents_and_is_compared_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let plane = |kind: &str| {
        format!(
            r#"{{"type":"object","properties":{{"seats":{{"type":"{kind}"}}}},"additionalProperties":false}}"#
        )
    };
    let flight = json_schema(r#"{"type":"object","properties":{"plane":{"$ref":"plane.json"}}}"#);
    let of = |version| with(flight.clone(), refers("plane.json", "plane", version));
    let check = "/compatibility/subjects/flight/versions";
    play(
        &registry,
        &[
            ("POST", "/subjects/plane/versions", json_schema(&plane("integer")), 200, json!({ "id": 1 })),
            ("POST", "/subjects/flight/versions", flight.clone(), 422, json!(42201)),
            ("POST", "/subjects/flight/versions", of(1), 200, json!({ "id": 2 })),
            (
                "PUT",
                "/config/plane",
                json!({ "compatibility": "NONE" }),
                200,
                json!({ "compatibility": "NONE" }),
            ),
            ("POST", "/subjects/plane/versions", json_schema(&plane("number")), 200, json!({ "id": 3 })),
            ("POST", "/subjects/plane/versions", json_schema(&plane("string")), 200, json!({ "id": 4 })),
            ("POST", check, of(2), 200, json!({ "is_compatible": true })),
            ("POST", check, of(3), 200, json!({ "is_compatible": false })),
            ("POST", "/subjects/flight/versions", of(3), 409, json!(409)),
            ("POST", "/subjects/flight/versions", of(2), 200, json!({ "id": 5 })),
        ],
    )
    .await;
}

const LINE: &str = "syntax = \"proto3\";\npackage shop;\n\nmessage Line {\n  string name = 1;\n}\n";
const ORDER: &str = "syntax = \"proto3\";\npackage shop;\n\nimport \"line.proto\";\nimport \"google/protobuf/timestamp.proto\";\n\nmessage Order {\n  repeated Line lines = 1;\n  google.protobuf.Timestamp at = 2;\n}\n";

#[tokio::test]
async fn protobuf_imports_what_is_registered() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    let order = with(protobuf(ORDER), refers("line.proto", "line", 1));
    let in_other_words = with(
        protobuf(&format!("// an order\n{}", ORDER.replace("  ", "\t").replace("\n\n", "\n"))),
        refers("line.proto", "line", 1),
    );
    let version = with(json!({ "subject": "order", "version": 1, "id": 2 }), order.clone());
    let renamed = ORDER.replace("Line lines", "string lines");
    play(
        &registry,
        &[
            ("POST", "/subjects/line/versions", protobuf(LINE), 200, json!({ "id": 1 })),
            ("POST", "/subjects/order/versions", protobuf(ORDER), 422, json!(42201)),
            ("POST", "/subjects/order/versions", in_other_words.clone(), 200, json!({ "id": 2 })),
            ("POST", "/subjects/order", in_other_words, 200, version.clone()),
            ("GET", "/subjects/order/versions/latest", none.clone(), 200, version),
            (
                "POST",
                "/compatibility/subjects/order/versions/latest",
                with(protobuf(&renamed), refers("line.proto", "line", 1)),
                200,
                json!({ "is_compatible": false }),
            ),
            ("POST", "/subjects/order/versions", schema("\"int\""), 409, json!(409)),
            ("GET", "/subjects/line/versions/1/referencedby", none, 200, json!([2])),
        ],
    )
    .await;
    let (_, answer) = ask(&registry, "GET", "/schemas/ids/2?format=serialized", "").await;
    let sent =
        json!({ "schema": answer["schema"], "schemaType": "PROTOBUF", "references": answer["references"] });
    let (status, found) = ask(&registry, "POST", "/subjects/order?normalize=true", &sent.to_string()).await;
    assert_eq!((status, &found["error_code"]), (404, &json!(40403)), "a descriptor's names are full");
    let normalized = with(order, json!({}));
    let path = "/subjects/full/versions?normalize=true";
    let (_, first) = ask(&registry, "POST", path, &normalized.to_string()).await;
    let (_, second) = ask(&registry, "POST", path, &sent.to_string()).await;
    assert_eq!(first, second, "normalized they are the same");
}

#[tokio::test]
async fn contexts_stand_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let first = registry(&broker).await;
    let none = Json::Null;
    let level = |level: &str| json!({ "compatibilityLevel": level });
    let set = |level: &str| json!({ "compatibility": level });
    let steps = [
        ("POST", "/subjects/s/versions", schema("\"int\""), 200, json!({ "id": 1 })),
        ("POST", "/subjects/:.c:s/versions", schema("\"long\""), 200, json!({ "id": 1 })),
        ("POST", "/contexts/.c/subjects/t/versions", schema("\"int\""), 200, json!({ "id": 2 })),
        ("PUT", "/config/:.c:", set("NONE"), 200, set("NONE")),
        ("GET", "/contexts/.c/config", none.clone(), 200, level("NONE")),
        ("POST", "/subjects/:.c:s/versions", schema("\"string\""), 200, json!({ "id": 3 })),
        ("PUT", "/mode/:.c:", json!({ "mode": "READONLY" }), 200, json!({ "mode": "READONLY" })),
        ("POST", "/subjects/:.c:s/versions", schema("\"bytes\""), 422, json!(42205)),
    ];
    play(&first, &steps).await;
    first.stop(5_000).await.unwrap();
    let registry = registry(&broker).await;
    let subject = |subject: &str, version: i32, id: i32, text: &str| json!({ "subject": subject, "version": version, "id": id, "schema": text });
    play(
        &registry,
        &[
            ("GET", "/contexts", none.clone(), 200, json!([".", ".c"])),
            ("GET", "/subjects", none.clone(), 200, json!([":.c:s", ":.c:t", "s"])),
            ("GET", "/subjects?subjectPrefix=:.c:", none.clone(), 200, json!([":.c:s", ":.c:t"])),
            ("GET", "/contexts/.c/subjects", none.clone(), 200, json!([":.c:s", ":.c:t"])),
            ("GET", "/subjects?subjectPrefix=:*:s", none.clone(), 200, json!([":.c:s", "s"])),
            ("GET", "/subjects?offset=1&limit=1", none.clone(), 200, json!([":.c:t"])),
            ("GET", "/schemas/ids/1", none.clone(), 200, schema("\"int\"")),
            ("GET", "/schemas/ids/1?subject=:.c:", none.clone(), 200, schema("\"long\"")),
            ("GET", "/contexts/.c/schemas/ids/1", none.clone(), 200, schema("\"long\"")),
            ("GET", "/schemas/ids/3", none.clone(), 404, json!(40403)),
            ("GET", "/schemas/ids/2?subject=t", none.clone(), 200, schema("\"int\"")),
            ("GET", "/schemas/ids/1/subjects?subject=:.c:", none.clone(), 200, json!([":.c:s"])),
            ("GET", "/subjects/t/versions/1", none.clone(), 200, subject(":.c:t", 1, 2, "\"int\"")),
            ("GET", "/contexts/:.c:/subjects/s/versions", none.clone(), 200, json!([1, 2])),
            (
                "GET",
                "/schemas?latestOnly=true&subjectPrefix=:.c:s",
                none.clone(),
                200,
                json!([subject(":.c:s", 2, 3, "\"string\"")]),
            ),
            ("GET", "/config/:.c:s?defaultToGlobal=true", none.clone(), 200, level("NONE")),
            ("GET", "/config", none.clone(), 200, level("BACKWARD")),
            ("POST", "/subjects/__GLOBAL/versions", schema("\"int\""), 422, json!(42208)),
        ],
    )
    .await;
}

#[tokio::test]
async fn metadata_and_settings_go_with_a_schema() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    let owner = |name: &str| json!({ "properties": { "owner": name } });
    let rules = json!({ "domainRules": [{ "name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "true", "disabled": false }] });
    let config = json!({ "compatibility": "FORWARD", "normalize": true, "defaultMetadata": owner("default"), "compatibilityGroup": "major" });
    let kept = json!({ "normalize": true, "compatibilityLevel": "FORWARD", "compatibilityGroup": "major", "defaultMetadata": owner("default") });
    let mine = with(schema("\"int\""), json!({ "metadata": owner("me"), "ruleSet": rules }));
    let full = |id: i32, version: i32, body: Json| with(json!({ "id": id, "version": version }), body);
    let by_default = with(schema("\"int\""), json!({ "metadata": owner("default") }));
    play(
        &registry,
        &[
            ("PUT", "/config/s", config.clone(), 200, config),
            ("GET", "/config/s", none.clone(), 200, kept),
            ("PUT", "/config/s", json!({ "compatibilityGroup": null }), 200, json!({ "compatibilityGroup": null })),
            (
                "GET",
                "/config/s",
                none.clone(),
                200,
                json!({ "normalize": true, "compatibilityLevel": "FORWARD", "defaultMetadata": owner("default") }),
            ),
            ("PUT", "/config/s", json!({}), 422, json!(42203)),
            ("POST", "/subjects/s/versions", schema("\"int\""), 200, full(1, 1, by_default)),
            ("POST", "/subjects/s/versions", mine.clone(), 200, full(2, 2, mine.clone())),
            ("GET", "/schemas/ids/2", none.clone(), 200, mine.clone()),
            (
                "GET",
                "/subjects/s/metadata?key=owner&value=me",
                none.clone(),
                200,
                with(json!({ "subject": "s", "version": 2, "id": 2 }), mine),
            ),
            ("GET", "/subjects/s/metadata?key=owner&value=you", none.clone(), 404, json!(40403)),
            ("GET", "/subjects/nobody/metadata?key=owner&value=you", none.clone(), 404, json!(40401)),
            ("POST", "/subjects/s/versions", json!({ "schema": 7 }), 400, json!(400)),
            // Normalized by the setting: free attributes are sorted.
            (
                "POST",
                "/subjects/s/versions",
                schema(r#"{"type":"int","z":1,"a":2}"#),
                200,
                full(
                    3,
                    3,
                    with(schema(r#"{"type":"int","a":2,"z":1}"#), json!({ "metadata": owner("me"), "ruleSet": rules })),
                ),
            ),
        ],
    )
    .await;
    let url = format!("http://{}", registry.addr);
    let answer = cloud::http::client().head(format!("{url}/subjects")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let asked = cloud::http::client().get(format!("{url}/subjects")).header("accept", "application/json");
    assert_eq!(asked.send().await.unwrap().headers()["content-type"], "application/json");
    let asked = cloud::http::client().get(format!("{url}/subjects")).header("accept", "text/html");
    assert_eq!(asked.send().await.unwrap().status(), 406);
    let (_, cluster) = ask(&registry, "GET", "/v1/metadata/id", "").await;
    assert!(cluster["scope"]["clusters"]["kafka-cluster"].is_string(), "{cluster}");
}

#[tokio::test]
async fn a_guid_is_the_same_in_every_context() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    let guid = "d9d6c7a6-0000-0000-0000-000000000000";
    play(
        &registry,
        &[
            ("POST", "/subjects/s/versions", schema("\"int\""), 200, json!({ "id": 1 })),
            ("POST", "/subjects/:.c:t/versions", schema("\"long\""), 200, json!({ "id": 1 })),
            ("POST", "/subjects/:.c:s/versions", schema("\"int\""), 200, json!({ "id": 2 })),
            ("GET", &format!("/schemas/guids/{guid}"), none, 404, json!(40403)),
        ],
    )
    .await;
    let url = format!("http://{}", registry.addr);
    let get = async |path: &str| -> Json {
        let answer = cloud::http::client().get(format!("{url}{path}")).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    };
    let first = get("/schemas/ids/1").await;
    let guid = first["guid"].as_str().unwrap();
    assert_eq!(get(&format!("/schemas/guids/{guid}")).await, first);
    assert_eq!(
        get(&format!("/schemas/guids/{guid}/ids")).await,
        json!([{ "context": ".", "id": 1 }, { "context": ".c", "id": 2 }])
    );
    assert_eq!(get("/subjects/s/versions/1").await["guid"], first["guid"]);
}

#[tokio::test]
async fn an_empty_context_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let first = registry(&broker).await;
    let none = Json::Null;
    let level = json!({ "compatibility": "NONE" });
    let steps = [
        ("POST", "/subjects/:.c:s/versions", schema("\"int\""), 200, json!({ "id": 1 })),
        ("POST", "/subjects/:.c:s/versions", schema("\"long\""), 200, json!({ "id": 2 })),
        ("PUT", "/config/:.c:", level.clone(), 200, level),
        ("DELETE", "/contexts/.c", none.clone(), 422, json!(42211)),
        ("DELETE", "/subjects/:.c:s", none.clone(), 200, json!([1, 2])),
        ("DELETE", "/contexts/.c", none.clone(), 422, json!(42211)),
        ("DELETE", "/subjects/:.c:s?permanent=true", none.clone(), 200, json!([1, 2])),
        ("DELETE", "/contexts/.other", none.clone(), 404, json!(404)),
        ("DELETE", "/contexts/:.:", none.clone(), 422, json!(42205)),
        ("GET", "/contexts", none.clone(), 200, json!([".", ".c"])),
    ];
    play(&first, &steps).await;
    let url = format!("http://{}/contexts/.c", first.addr);
    let deleted = cloud::http::client().delete(url).send().await.unwrap();
    assert_eq!((deleted.status().as_u16(), deleted.text().await.unwrap().as_str()), (204, ""));
    first.stop(5_000).await.unwrap();
    let registry = registry(&broker).await;
    let steps = [
        ("GET", "/contexts", none.clone(), 200, json!(["."])),
        ("GET", "/config/:.c:", none.clone(), 404, json!(40408)),
        ("POST", "/subjects/:.c:s/versions", schema("\"bytes\""), 200, json!({ "id": 1 })),
        ("GET", "/contexts", none, 200, json!([".", ".c"])),
    ];
    play(&registry, &steps).await;
}

//! Settings that change what a path or a comparison means: aliases, policies, reserved fields; and modes that end together.

use super::*;

fn alias(subject: &str) -> Json {
    json!({ "alias": subject })
}

#[tokio::test]
async fn an_alias_stands_for_its_subject() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    let first = json!({ "subject": "s", "version": 1, "id": 1, "schema": V1_KEPT });
    let steps = [
        ("POST", "/subjects/s/versions", schema(V1), 200, json!({ "id": 1 })),
        ("PUT", "/config/a", alias("s"), 200, alias("s")),
        ("PUT", "/config/b", alias("a"), 200, alias("a")),
        ("GET", "/config/a", none.clone(), 200, alias("s")),
        ("GET", "/subjects/a/versions", none.clone(), 200, json!([1])),
        ("GET", "/subjects/a/versions/1", none.clone(), 200, first.clone()),
        ("GET", "/subjects/a/versions/latest/referencedby", none.clone(), 200, json!([])),
        ("POST", "/subjects/a", schema(V1), 200, first),
        ("GET", "/schemas/ids/1?subject=a", none.clone(), 200, schema(V1_KEPT)),
        (
            "GET",
            "/schemas/ids/1/versions?subject=a",
            none.clone(),
            200,
            json!([{ "subject": "s", "version": 1 }]),
        ),
        ("POST", "/compatibility/subjects/a/versions", schema(BAD), 200, json!({ "is_compatible": false })),
        ("POST", "/subjects/a/versions", schema(V2), 200, json!({ "id": 2 })),
        ("GET", "/subjects/s/versions", none.clone(), 200, json!([1, 2])),
        // An alias of an alias is not followed, and one that is not there is not found by its own name.
        ("GET", "/subjects/b/versions", none.clone(), 404, json!(40401)),
        ("GET", "/subjects", none.clone(), 200, json!(["s"])),
        ("GET", "/schemas?subjectPrefix=a", none.clone(), 200, json!([])),
        (
            "GET",
            "/schemas?subjectPrefix=a&aliases=true&latestOnly=true",
            none.clone(),
            200,
            json!([{ "subject": "s", "version": 2, "id": 2, "schema": V2, "aliases": ["a"] }]),
        ),
        ("DELETE", "/subjects/a/versions/2", none.clone(), 200, json!(2)),
        ("DELETE", "/subjects/a", none.clone(), 200, json!([1])),
        ("GET", "/subjects/s/versions", none.clone(), 404, json!(40401)),
        ("PUT", "/config/a", json!({ "alias": null }), 200, json!({ "alias": null })),
        ("POST", "/subjects/a/versions", schema("\"int\""), 200, json!({ "id": 3 })),
        ("GET", "/subjects", none, 200, json!(["a"])),
    ];
    play(&registry, &steps).await;
}

#[tokio::test]
async fn an_alias_is_meant_in_its_own_context() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    let steps = [
        ("POST", "/subjects/s/versions", schema("\"int\""), 200, json!({ "id": 1 })),
        ("POST", "/subjects/:.c:s/versions", schema("\"long\""), 200, json!({ "id": 1 })),
        ("PUT", "/config/:.c:a", alias("s"), 200, alias("s")),
        ("PUT", "/config/:.c:b", alias(":.:s"), 200, alias(":.:s")),
        ("GET", "/subjects/:.c:a/versions/1/schema", none.clone(), 200, json!("long")),
        ("GET", "/contexts/.c/subjects/a/versions/1/schema", none.clone(), 200, json!("long")),
        ("GET", "/contexts/.c/subjects/b/versions/1/schema", none.clone(), 200, json!("int")),
        ("GET", "/schemas/ids/1?subject=:.c:b", none, 200, schema("\"int\"")),
    ];
    play(&registry, &steps).await;
}

#[tokio::test]
async fn a_lenient_subject_lets_open_objects_grow() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let one = json_schema(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#);
    let two = json_schema(r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}"#);
    let policy = |policy: &str| json!({ "compatibilityPolicy": policy });
    let steps = [
        ("POST", "/subjects/s/versions", one, 200, json!({ "id": 1 })),
        ("POST", "/subjects/s/versions", two.clone(), 409, json!(409)),
        ("PUT", "/config/s", policy("kind"), 422, json!(42203)),
        ("PUT", "/config/s", policy("lenient"), 200, policy("LENIENT")),
        ("POST", "/subjects/s/versions", two, 200, json!({ "id": 2 })),
    ];
    play(&registry, &steps).await;
}

#[tokio::test]
async fn reserved_fields_stay_reserved() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let reserving = |text: &str, fields: &str| json!({ "schema": text, "metadata": { "properties": { "confluent:reserved": fields } } });
    let on = json!({ "validateFields": true });
    let check = "/compatibility/subjects/s/versions";
    let no = json!({ "is_compatible": false });
    let steps = [
        (
            "POST",
            "/subjects/free/versions",
            reserving(V1, "a"),
            200,
            json!({ "id": 1, "version": 1, "schema": V1_KEPT, "metadata": { "properties": { "confluent:reserved": "a" } } }),
        ),
        ("PUT", "/config/s", on.clone(), 200, on),
        ("POST", "/subjects/s/versions", reserving(V1, "a"), 409, json!(409)),
        ("POST", check, reserving(V1, "x, a"), 200, no.clone()),
        ("POST", check, reserving(V1, "x"), 200, json!({ "is_compatible": true })),
        (
            "POST",
            "/subjects/s/versions",
            reserving(V1, "b, x"),
            200,
            json!({ "id": 2, "version": 1, "schema": V1_KEPT, "metadata": { "properties": { "confluent:reserved": "b, x" } } }),
        ),
        // The metadata of before goes on, and with it what is reserved.
        ("POST", "/subjects/s/versions", schema(V2), 409, json!(409)),
        ("POST", check, reserving(V1, "b"), 200, no),
        ("POST", check, reserving(V1, "x,b,y"), 200, json!({ "is_compatible": true })),
    ];
    play(&registry, &steps).await;
    let body = reserving(V2, "b").to_string();
    let (_, answer) = ask(&registry, "POST", &format!("{check}?verbose=true"), &body).await;
    let told: Vec<&str> =
        answer["messages"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(
        told,
        [
            "{errorType:\"RESERVED_FIELD_REMOVED\", description:\"The old schema reserves the field 'x' and the new one does \
             not\"}",
            "{errorType:\"FIELD_CONFLICTS_WITH_RESERVED_FIELD\", description:\"The new schema has the field 'b', which it \
             reserves\"}",
            "{validateFields: 'true', compatibility: 'BACKWARD'}",
        ]
    );
}

#[tokio::test]
async fn the_modes_of_a_context_end_together() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let (none, mode) = (Json::Null, json!({ "mode": "READONLY" }));
    let put = |path: &'static str| ("PUT", path, mode.clone(), 200, mode.clone());
    let steps = [
        put("/mode/:.c:"),
        put("/mode/:.c:s"),
        put("/mode/:.d:s"),
        put("/mode/s"),
        put("/mode"),
        ("DELETE", "/mode/:.c:?recursive=true", none.clone(), 200, mode.clone()),
        ("GET", "/mode/:.c:", none.clone(), 404, json!(40409)),
        ("GET", "/mode/:.c:s", none.clone(), 404, json!(40409)),
        ("GET", "/mode/:.d:s", none.clone(), 200, mode.clone()),
        ("DELETE", "/mode", none.clone(), 200, mode.clone()),
        ("GET", "/mode/s", none.clone(), 200, mode.clone()),
        ("DELETE", "/mode?recursive=true", none.clone(), 200, json!({ "mode": "READWRITE" })),
        ("GET", "/mode/s", none.clone(), 404, json!(40409)),
        ("GET", "/mode/:.d:s", none, 200, mode.clone()),
    ];
    play(&registry, &steps).await;
}

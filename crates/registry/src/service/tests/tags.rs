//! Tags in the text of schemas: put in and taken out by requests, told by `findTags`.

use super::*;

fn tags(list: &[(&str, &str, &[&str])]) -> Json {
    let one = |(kind, path, tags): &(&str, &str, &[&str])| json!({ "schemaEntity": { "entityPath": path, "entityType": kind }, "tags": tags });
    list.iter().map(one).collect()
}

fn version(number: i32) -> Json {
    json!({ "properties": { "confluent:version": number.to_string() } })
}

const PLAIN: &str = r#"{"type":"record","name":"r","fields":[{"name":"f","type":"string"}]}"#;
const TWO_TAGS: &str =
    r#"{"type":"record","name":"r","fields":[{"name":"f","type":"string"}],"confluent:tags":["A","B"]}"#;
const ONE_TAG: &str =
    r#"{"type":"record","name":"r","fields":[{"name":"f","type":"string"}],"confluent:tags":["A"]}"#;
const GROWN: &str = r#"{"type":"record","name":"r","fields":[{"name":"f","type":"string"},{"name":"g","type":"int","default":0}]}"#;
const GROWN_TAG: &str = r#"{"type":"record","name":"r","fields":[{"name":"f","type":"string"},{"name":"g","type":"int","default":0}],"confluent:tags":["A"]}"#;

#[tokio::test]
async fn a_version_is_tagged_anew() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let none = Json::Null;
    let path = "/subjects/s/versions/latest/tags";
    let ab = tags(&[("sr_record", "r", &["A", "B"])]);
    let told = |number: i32, text: &str| json!({ "id": number, "version": number, "schema": text, "metadata": version(number) });
    let mut second = told(2, TWO_TAGS);
    second["subject"] = "s".into();
    second["schemaTags"] = ab.clone();
    let grown = json!({ "schema": GROWN, "propagateSchemaTags": true });
    let more = json!({ "schema": GROWN_TAG, "schemaTagsToAdd": tags(&[("sr_field", "r.g", &["C"])]) });
    let last = GROWN_TAG.replace(r#""default":0"#, r#""default":0,"confluent:tags":["C"]"#);
    let nowhere = json!({ "tagsToAdd": tags(&[("sr_field", "does.not.exist", &["A"])]) });
    let steps = [
        ("POST", "/subjects/s/versions", schema(PLAIN), 200, json!({ "id": 1 })),
        ("POST", path, json!({ "newVersion": 2, "tagsToAdd": ab }), 200, told(2, TWO_TAGS)),
        ("GET", "/subjects/s/versions/2?findTags=*", none.clone(), 200, second),
        ("POST", path, json!({ "tagsToRemove": tags(&[("sr_record", "r", &["B"])]) }), 200, told(3, ONE_TAG)),
        (
            "GET",
            "/schemas/ids/3?findTags=A&findTags=x",
            none.clone(),
            200,
            json!({ "schema": ONE_TAG, "metadata": version(3), "schemaTags": tags(&[("sr_record", "r", &["A"])]) }),
        ),
        ("GET", "/schemas/ids/3?findTags=B", none, 200, json!({ "schema": ONE_TAG, "metadata": version(3) })),
        ("POST", "/subjects/s/versions", grown, 200, told(4, GROWN_TAG)),
        ("POST", "/subjects/s/versions", more, 200, told(5, &last)),
        ("POST", "/subjects/s/versions/1/tags", json!({ "newVersion": 1 }), 422, json!(42201)),
        ("POST", path, nowhere, 422, json!(42201)),
        ("POST", "/subjects/s/versions/9/tags", json!({}), 404, json!(40402)),
        ("POST", "/subjects/nobody/versions/1/tags", json!({}), 404, json!(40401)),
        ("POST", path, json!({ "tagsToAdd": [{ "tags": ["A"] }] }), 400, json!(400)),
    ];
    play(&registry, &steps).await;
}

#[tokio::test]
async fn rules_are_merged_and_taken_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let rules = |names: &[(&str, &str)]| -> Json {
        let one = |(name, expr): &(&str, &str)| json!({ "name": name, "expr": expr, "disabled": false });
        json!({ "domainRules": names.iter().map(one).collect::<Json>() })
    };
    let told = |number: i32, rules: Json| json!({ "id": number, "version": number, "schema": PLAIN, "metadata": version(number), "ruleSet": rules });
    let path = "/subjects/s/versions/latest/tags";
    let steps = [
        ("POST", "/subjects/s/versions", schema(PLAIN), 200, json!({ "id": 1 })),
        (
            "POST",
            path,
            json!({ "rulesToMerge": rules(&[("x", "1"), ("y", "1"), ("z", "1")]), "rulesToRemove": ["w"] }),
            200,
            told(2, rules(&[("x", "1"), ("y", "1"), ("z", "1")])),
        ),
        (
            "POST",
            path,
            json!({ "newVersion": 3, "rulesToMerge": rules(&[("w", "2"), ("y", "2")]), "rulesToRemove": ["x"] }),
            200,
            told(3, rules(&[("z", "1"), ("w", "2"), ("y", "2")])),
        ),
    ];
    play(&registry, &steps).await;
}

#[tokio::test]
async fn protobuf_is_tagged_with_the_import_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let plain = "syntax = \"proto3\";\npackage shop;\n\nmessage Line {\n  string name = 1;\n}\n";
    let tagged = "syntax = \"proto3\";\npackage shop;\n\nimport \"confluent/meta.proto\";\n\nmessage Line {\n  string name = 1 [(confluent.field_meta) = {\n    tags: [\n      \"PII\"\n    ]\n  }];\n}\n";
    let of = |text: &str| json!({ "schema": text, "schemaType": "PROTOBUF" });
    let told =
        json!({ "id": 2, "version": 2, "schemaType": "PROTOBUF", "schema": tagged, "metadata": version(2) });
    let steps = [
        ("POST", "/subjects/s/versions", of(plain), 200, json!({ "id": 1 })),
        (
            "POST",
            "/subjects/s/versions/1/tags",
            json!({ "tagsToAdd": tags(&[("sr_field", "shop.Line.name", &["PII"])]) }),
            200,
            told,
        ),
        ("POST", "/subjects/t/versions", of(tagged), 200, json!({ "id": 3 })),
    ];
    play(&registry, &steps).await;
}

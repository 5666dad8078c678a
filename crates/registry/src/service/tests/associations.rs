//! Associations: made, found, changed and ended, and what contradicts another.

use super::*;

fn request(topic: &str, id: &str, associations: Json) -> Json {
    json!({
        "resourceName": topic, "resourceNamespace": "lkc-1", "resourceId": id, "resourceType": "topic",
        "associations": associations,
    })
}

fn info(subject: &str, kind: &str, lifecycle: &str) -> Json {
    json!({ "subject": subject, "associationType": kind, "lifecycle": lifecycle, "frozen": false })
}

fn listed(topic: &str, id: &str, info: Json) -> Json {
    let mut listed = request(topic, id, Json::Null);
    listed.as_object_mut().unwrap().remove("associations");
    listed.as_object_mut().unwrap().extend(info.as_object().cloned().unwrap());
    listed
}

async fn ends(registry: &Handle, path: &str) -> u16 {
    let url = format!("http://{}{path}", registry.addr);
    cloud::http::client().delete(url).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_topic_has_a_subject_for_its_keys_and_one_for_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let first = registry(&broker).await;
    let none = Json::Null;
    let (key, value) = (info("k", "key", "WEAK"), info("v", "value", "STRONG"));
    let both = request("t", "7", json!([key, value]));
    let (k, v) = (listed("t", "7", key.clone()), listed("t", "7", value.clone()));
    let mut dry = both.clone();
    dry.as_object_mut().unwrap().remove("associations");
    let steps = [
        ("POST", "/associations", both.clone(), 409, json!(40907)),
        ("POST", "/subjects/k/versions", schema("\"int\""), 200, json!({ "id": 1 })),
        ("POST", "/subjects/v/versions", schema(V1), 200, json!({ "id": 2 })),
        ("POST", "/associations?dryRun=true", both.clone(), 200, dry),
        ("GET", "/associations/subjects/k", none.clone(), 200, json!([])),
        ("POST", "/associations", both.clone(), 200, both.clone()),
        ("POST", "/associations", both.clone(), 200, both),
        ("GET", "/associations/subjects/k", none.clone(), 200, json!([k])),
        ("GET", "/associations/resources/7", none.clone(), 200, json!([k, v])),
        ("GET", "/associations/resources/lkc-1/t", none.clone(), 200, json!([k, v])),
        ("GET", "/associations/resources/-/t?associationType=value", none.clone(), 200, json!([v])),
        ("GET", "/associations/resources/-/t?lifecycle=WEAK", none.clone(), 200, json!([k])),
        ("GET", "/associations/resources/-/t?resourceType=x", none.clone(), 200, json!([])),
        ("GET", "/associations/resources/other/t", none.clone(), 200, json!([])),
        ("GET", "/associations/resources/-/t?lifecycle=long", none.clone(), 422, json!(42212)),
    ];
    play(&first, &steps).await;
    first.stop(5_000).await.unwrap();
    let registry = registry(&broker).await;
    assert_eq!(ends(&registry, "/associations/resources/7?associationType=key").await, 204);
    let steps = [
        ("GET", "/associations/resources/7", none.clone(), 200, json!([v])),
        ("GET", "/subjects", none.clone(), 200, json!(["k", "v"])),
        ("DELETE", "/associations/resources/7?associationType=key", none.clone(), 404, json!(40410)),
    ];
    play(&registry, &steps).await;
    assert_eq!(ends(&registry, "/associations/resources/7?cascadeLifecycle=true&dryRun=true").await, 204);
    assert_eq!(ends(&registry, "/associations/resources/7?cascadeLifecycle=true").await, 204);
    play(&registry, &[("GET", "/subjects?deleted=true", none, 200, json!(["k"]))]).await;
}

#[tokio::test]
async fn a_strong_association_has_its_subject_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let one = |topic: &str, id: &str, info: Json| request(topic, id, json!([info]));
    let weak = one("t", "1", info("s", "key", "WEAK"));
    let strong = one("t", "1", info("s", "key", "STRONG"));
    let steps = [
        ("POST", "/subjects/s/versions", schema("\"int\""), 200, json!({ "id": 1 })),
        ("POST", "/subjects/z/versions", schema("\"int\""), 200, json!({ "id": 1 })),
        ("POST", "/associations", weak.clone(), 200, weak.clone()),
        ("POST", "/associations", strong.clone(), 409, json!(40903)),
        ("POST", "/associations", one("u", "2", info("s", "value", "STRONG")), 409, json!(40904)),
        // Nor do two of one request.
        (
            "POST",
            "/associations",
            request("u", "2", json!([info("z", "key", "STRONG"), info("z", "value", "WEAK")])),
            409,
            json!(40905),
        ),
        ("PUT", "/associations/resources/1", strong.clone(), 200, strong),
        ("POST", "/associations", one("u", "2", info("s", "value", "WEAK")), 409, json!(40905)),
        ("PUT", "/associations/resources/1", weak.clone(), 200, weak),
        (
            "POST",
            "/associations",
            one("u", "2", info("s", "value", "WEAK")),
            200,
            one("u", "2", info("s", "value", "WEAK")),
        ),
        ("PUT", "/associations/resources/1", one("t", "1", info("z", "key", "WEAK")), 422, json!(42212)),
        ("PUT", "/associations/resources/2", one("t", "1", info("s", "key", "WEAK")), 422, json!(42212)),
    ];
    play(&registry, &steps).await;
}

#[tokio::test]
async fn a_request_brings_its_schemas_and_may_freeze_them() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let with = |kind: &str, text: &str| json!({ "associationType": kind, "frozen": true, "schema": { "schema": text } });
    let told = |kind: &str, id: i32, text: &str| {
        let subject = format!(":.lkc-1:t-{kind}");
        json!({
            "subject": subject, "associationType": kind, "lifecycle": "STRONG", "frozen": true,
            "schema": { "subject": subject, "id": id, "schema": text },
        })
    };
    let asked = request("t", "1", json!([with("key", "\"int\""), with("value", "\"long\"")]));
    let done = request("t", "1", json!([told("key", 1, "\"int\""), told("value", 2, "\"long\"")]));
    let thawed = request("t", "1", json!([{ "associationType": "key", "frozen": false }]));
    let steps = [
        ("POST", "/associations", asked, 200, done),
        ("GET", "/subjects/:.lkc-1:t-value/versions", Json::Null, 200, json!([1])),
        ("PUT", "/associations/resources/1", thawed, 409, json!(40908)),
        ("DELETE", "/associations/resources/1", Json::Null, 409, json!(40908)),
    ];
    play(&registry, &steps).await;
    assert_eq!(ends(&registry, "/associations/resources/1?cascadeLifecycle=true").await, 204);
    play(&registry, &[("GET", "/subjects?deleted=true", Json::Null, 200, json!([]))]).await;
}

#[tokio::test]
async fn a_request_that_says_nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let weak = info("s", "value", "WEAK");
    let without = |member: &str| {
        let mut body = request("t", "1", json!([weak]));
        body.as_object_mut().unwrap().remove(member);
        body
    };
    let mut frozen = weak.clone();
    frozen["frozen"] = true.into();
    let mut pod = request("t", "1", json!([weak]));
    pod["resourceType"] = "pod".into();
    let mut steps = vec![("POST", "/subjects/s/versions", schema("\"int\""), 200, json!({ "id": 1 }))];
    for body in [
        without("resourceName"),
        without("resourceNamespace"),
        without("resourceId"),
        without("associations"),
        request("t", "1", json!([])),
        request("t", "1", json!([weak, weak])),
        request("t", "1", json!([frozen])),
        pod,
    ] {
        steps.push(("POST", "/associations", body, 422, json!(42212)));
    }
    let unknown = request("t", "1", json!([info("s", "value", "LONG")]));
    steps.push(("POST", "/associations", unknown, 400, json!(400)));
    play(&registry, &steps).await;
}

#[tokio::test]
async fn what_is_frozen_has_its_own_subject_and_no_other_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let schema_of = |kind: &str| json!({ "associationType": kind, "schema": { "schema": "\"int\"" } });
    let told = |kind: &str| {
        let subject = format!(":.lkc-1:t-{kind}");
        json!({
            "subject": subject, "associationType": kind, "lifecycle": "STRONG", "frozen": true,
            "schema": { "subject": subject, "id": 1, "schema": "\"int\"" },
        })
    };
    let with = |mut info: Json, member: &str, value: Json| {
        info[member] = value;
        info
    };
    let mut steps = vec![("POST", "/subjects/s/versions", schema("\"int\""), 200, json!({ "id": 1 }))];
    for info in [
        json!({ "associationType": "value" }),
        json!({ "associationType": "header", "subject": "s" }),
        json!({ "associationType": "key", "subject": "s", "frozen": true }),
        with(schema_of("key"), "lifecycle", "WEAK".into()),
        with(schema_of("key"), "frozen", false.into()),
        with(schema_of("key"), "subject", "s".into()),
    ] {
        steps.push(("POST", "/associations", request("t", "1", json!([info])), 422, json!(42212)));
    }
    let mixed = request("t", "1", json!([schema_of("key"), info("s", "value", "STRONG")]));
    steps.push(("POST", "/associations", mixed, 422, json!(42212)));
    let frozen = request("t", "1", json!([schema_of("key")]));
    steps.push(("POST", "/associations", frozen, 200, request("t", "1", json!([told("key")]))));
    let beside = request("t", "1", json!([info("s", "value", "STRONG")]));
    steps.push(("PUT", "/associations/resources/1", beside, 422, json!(42212)));
    play(&registry, &steps).await;
}

const MUTATE: &str = "/associations:batchMutate";
const GET: &str = "/associations:batchGet";

fn requests(requests: Json) -> Json {
    json!({ "requests": requests })
}

fn results(results: Json) -> Json {
    json!({ "results": results })
}

fn operation(kind: &str, mut info: Json) -> Json {
    info["opType"] = kind.into();
    info
}

fn done(topic: &str, id: &str, associations: Json) -> Json {
    json!({ "result": request(topic, id, associations) })
}

fn refused(code: i32, message: &str) -> Json {
    json!({ "error": { "error_code": code, "message": message } })
}

fn invalid(property: &str, reason: &str) -> Json {
    refused(42212, &format!("The association has an invalid value for the property '{property}': {reason}"))
}

#[tokio::test]
async fn several_topics_are_told_of_at_once_and_each_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let (weak, strong) = (info("s", "value", "WEAK"), info("s", "value", "STRONG"));
    let create =
        |topic: &str, id: &str, info: &Json| request(topic, id, json!([operation("CREATE", info.clone())]));
    let first = json!([
        create("t", "1", &weak),
        create("u", "2", &weak),
        create("v", "3", &strong),
        request("w", "4", json!([weak])),
    ]);
    let answers = json!([
        done("t", "1", json!([weak])),
        done("u", "2", json!([weak])),
        refused(40904, "An association already exists for subject 's'"),
        invalid("opType", "it is CREATE, UPSERT or DELETE"),
    ]);
    // One request is carried out whole or not at all.
    let ended = json!({ "opType": "DELETE", "associationType": "value" });
    let gone = operation("UPSERT", json!({ "associationType": "key", "subject": "gone" }));
    let second = json!([
        request("u", "2", json!([ended, gone])),
        request("t", "1", json!([operation("UPSERT", weak.clone())])),
    ]);
    let second_answers = json!([
        refused(40907, "No active (non-deleted) version exists for subject 'gone'"),
        done("t", "1", json!([weak])),
    ]);
    let last = json!([request("u", "2", json!([ended]))]);
    let steps = [
        ("POST", "/subjects/s/versions", schema("\"int\""), 200, json!({ "id": 1 })),
        ("POST", MUTATE, requests(json!([])), 422, json!(42212)),
        ("POST", MUTATE, requests(first), 207, results(answers)),
        ("POST", MUTATE, requests(second), 207, results(second_answers)),
        ("GET", "/associations/resources/2", Json::Null, 200, json!([listed("u", "2", weak)])),
        ("POST", MUTATE, requests(last), 207, results(json!([done("u", "2", json!([]))]))),
        ("GET", "/associations/resources/2", Json::Null, 200, json!([])),
    ];
    play(&registry, &steps).await;
}

#[tokio::test]
async fn several_topics_are_asked_for_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    let weak = info("s", "value", "WEAK");
    let none = |mut asked: Json| {
        asked["resourceType"] = "topic".into();
        asked["associations"] = json!([]);
        json!({ "result": asked })
    };
    let of_id = |id: &str| json!({ "resourceId": id });
    let of_name = |name: &str| json!({ "resourceNamespace": "lkc-1", "resourceName": name });
    let of_keys = json!({ "resourceId": "1", "associationTypes": ["key"] });
    let mut with_schema = weak.clone();
    with_schema["schema"] = json!({ "subject": "s", "id": 1, "schema": "\"int\"" });
    let asked = json!([of_id("1"), of_name("x"), of_keys, {}]);
    let answers = json!([
        done("t", "1", json!([with_schema])),
        none(of_name("x")),
        none(of_id("1")),
        invalid("resourceNamespace", "it is missing or empty"),
    ]);
    let steps = [
        ("POST", "/subjects/s/versions", schema("\"int\""), 200, json!({ "id": 1 })),
        ("POST", "/associations", request("t", "1", json!([weak])), 200, request("t", "1", json!([weak]))),
        ("POST", GET, json!({}), 422, json!(42212)),
        ("POST", "/associations:batchGet?includeSchemas=true", requests(asked), 207, results(answers)),
        ("POST", GET, requests(json!([of_name("t")])), 207, results(json!([done("t", "1", json!([weak]))]))),
    ];
    play(&registry, &steps).await;
}

//! Dead letters of loads whose source is a store: each is the record that the store had, with all its types, whoever has refused it;
//! sent again it goes the way that the load's records went.

use std::fs;

use testkit::World;

use super::{beside, kcat, letters::edit, letters_of_topics::letters};
use crate::shared::name;

/// What a topic wants: a region in each record, or not.
fn wanted(region: &str) -> String {
    format!(
        r#"{{"title":"Sent","type":"object","required":["id"],"properties":{{"id":{{"type":"integer"}},"region":{region}}}}}"#
    )
}

const REGION: &str = r#"{"type":"string"}"#;
const ANY_REGION: &str = r#"{"type":["string","null"]}"#;

/// Loads four records, of which the contract refuses two, sends those again when it does not any more, and compares with a topic that
/// has taken all at once.
fn into_topics(world: &World, bootstrap: &str, source: &str) {
    let (topic, other) = (name("letters-to"), name("letters-to"));
    let load = |topic: &str| {
        let target = format!("kafka://{bootstrap}/{topic}");
        let load = ["load", source, &target, "--create", "--contract", "sent", "--headers", "by=load"];
        world.ok(&[&load[..], &["--on-error", "dead-letter"]].concat());
    };
    world.write("contracts/sent.json", wanted(REGION));
    load(&topic);
    let found = letters(world, &topic);
    assert_eq!(found.len(), 2, "{found:#?}");
    for letter in &found {
        let (place, key) = (letter["place"].as_str().unwrap(), letter["key"].as_str().unwrap());
        assert!(place.ends_with(&format!("/{key}")), "{letter}");
        assert_eq!(letter["reason"], "region: expected string, found null");
        assert_eq!(letter["headers"].as_array().unwrap().len(), 1, "{letter}");
        assert_eq!(letter["headers"][0]["name"], "tidemill.types");
    }
    world.run(&["dead-letters", "retry", &topic]).expect_code(6);
    assert_eq!(letters(world, &topic).len(), 2);
    world.write("contracts/sent.json", wanted(ANY_REGION));
    assert_eq!(world.ok(&["dead-letters", "retry", &topic]), format!("2 records to {topic}\n"));
    assert_eq!(world.ok(&["dead-letters", "list"]), "no record was refused\n");
    load(&other);
    let read = |topic: &str| {
        world.ok(&["load", &format!("kafka://{bootstrap}/{topic}"), "sent.jsonl"]);
        let mut lines: Vec<String> =
            fs::read_to_string(world.path("sent.jsonl")).unwrap().lines().map(str::to_owned).collect();
        lines.extend(kcat(bootstrap, topic, "%k %h", "read_committed").unwrap_or_default());
        lines.sort();
        lines
    };
    let sent = read(&topic);
    assert!(sent.len() >= 4, "{sent:?}");
    assert_eq!(sent, read(&other));
}

#[test]
fn documents_keep_their_types() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let (world, parts) = beside();
    let (source, target) = (name("letters-from"), name("letters-to"));
    let run = |words: &[&str]| {
        let uri = server.uri("");
        let script = include_str!("letters_of_stores/mongodb.py");
        testkit::run_python(&python, script, &[&[uri.as_str()], words].concat()).trim().to_owned()
    };
    run(&["fill", &source, &target]);
    let address = |name: &str| format!("mongodb://{}/letters/{name}?replicaSet=tests", server.address);
    into_topics(&world, &parts.kafka(), &address(&source));
    // Refused by the store itself: two are there already.
    let load = ["load", &address(&source), &address(&target), "--write", "insert"];
    world.ok(&[&load[..], &["--on-error", "dead-letter"]].concat());
    assert_eq!(letters(&world, &target).len(), 2);
    world.run(&["dead-letters", "retry", &target]).expect_code(6);
    run(&["clear", &target]);
    assert_eq!(world.ok(&["dead-letters", "retry", &target]), format!("2 records to {target}\n"));
    assert_eq!(run(&["compare", &source, &target]), "4 True");
}

#[test]
fn items_keep_their_types() {
    let Some(python) = testkit::venv_python("servers") else { return };
    let (mut world, parts) = beside();
    world.set("TIDEMILL_DYNAMODB_EXTERNAL", &parts.dynamodb());
    let (source, target) = (name("letters-from"), name("letters-to"));
    let run = |words: &[&str]| {
        let endpoint = parts.dynamodb();
        let script = include_str!("letters_of_stores/dynamodb.py");
        testkit::run_python(&python, script, &[&[endpoint.as_str()], words].concat()).trim().to_owned()
    };
    run(&["fill", &source]);
    let address = |name: &str| format!("dynamodb://local/{name}");
    into_topics(&world, &parts.kafka(), &address(&source));
    // Refused on the way: two have nothing that could be their key there.
    let load = ["load", &address(&source), &address(&target), "--create", "--key", "id,region"];
    world.ok(&[&load[..], &["--on-error", "dead-letter"]].concat());
    let places: Vec<String> = letters(&world, &target).iter().map(|one| one["place"].to_string()).collect();
    assert_eq!(places, [format!("\"{source}/2\""), format!("\"{source}/4\"")]);
    edit(&world, &target, r#"\"region\":null"#, r#"\"region\":\"us\""#);
    assert_eq!(world.ok(&["dead-letters", "retry", &target]), format!("2 records to {target}\n"));
    assert_eq!(run(&["compare", &source, &target]), "4 True");
}

/// The producer takes no large ones for now: what it refuses is no longer what came, and is that again in its letter.
#[test]
fn what_the_target_refuses_is_the_document_that_came() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let (world, parts) = beside();
    let (source, topic) = (name("letters-from"), name("letters-to"));
    let script = "import sys, datetime, pymongo\n\
                  day = datetime.datetime(2024, 5, 1)\n\
                  pymongo.MongoClient(sys.argv[1]).letters[sys.argv[2]].insert_many(\n\
                  [{'_id': n, 'at': day, 'text': 'x' * (3000 if n in (3, 4) else 1)} for n in range(1, 6)])";
    testkit::run_python(&python, script, &[&server.uri(""), &source]);
    let from = format!("mongodb://{}/letters/{source}?replicaSet=tests", server.address);
    let (to, keyed) =
        (format!("kafka://local/{topic}"), ["--create", "--key", "text", "--on-error", "dead-letter"]);
    world.write("tidemill.yaml", "broker:\n  properties: { message.max.bytes: 2000 }\n");
    world.ok(&[&["load", &from, &to], &keyed[..]].concat());
    let found = letters(&world, &topic);
    let places: Vec<&str> = found.iter().map(|letter| letter["place"].as_str().unwrap()).collect();
    assert_eq!(places, [format!("{source}/3"), format!("{source}/4")]);
    assert!(found.iter().all(|letter| letter["value"].as_str().unwrap().contains("2024-05-01T00:00:00Z")));
    world.run(&["dead-letters", "retry", &topic]).expect_code(6);
    world.write("tidemill.yaml", "");
    assert_eq!(world.ok(&["dead-letters", "retry", &topic]), format!("2 records to {topic}\n"));
    let Some(values) = kcat(&parts.kafka(), &topic, "%s", "read_committed") else { return };
    let mut values: Vec<&str> = values.iter().map(|value| value.split("\"text\"").next().unwrap()).collect();
    values.sort_unstable();
    let expected: Vec<String> =
        (1..6).map(|id| format!("{{\"_id\":{id},\"at\":\"2024-05-01T00:00:00Z\",")).collect();
    assert_eq!(values, expected);
}

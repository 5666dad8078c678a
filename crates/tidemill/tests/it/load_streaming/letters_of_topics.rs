//! Dead letters of loads whose source is a topic: each is the record that was received, in the topic's own format, with its key, headers
//! and time; sent again it goes the way that the load's records went.

use std::fs;

use serde_json::{Value, json};
use testkit::World;

use super::{beside, kcat};
use crate::shared::name;

const AVRO: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},
    {"name":"region","type":["null","string"],"default":null},{"name":"at","type":"long"}]}"#;
const JSON: &str = r#"{"title":"Order","type":"object","properties":{"id":{"type":"integer"},
    "region":{"type":["string","null"]},"at":{"type":"integer"}}}"#;
const PROTO: &str =
    "syntax = \"proto3\"; message Order { int64 id = 1; optional string region = 2; int64 at = 3; }\n";
const ORDERS: &str = "{\"id\":1,\"region\":\"eu\",\"at\":1700000000001}\n{\"id\":2,\"region\":null,\"at\":1700000000002}\n\
                      {\"id\":3,\"region\":\"us\",\"at\":1700000000003}\n{\"id\":4,\"region\":null,\"at\":1700000000004}\n";

/// The records are of 2023: a topic that keeps a week loses them whenever the broker looks.
const FOREVER: &str = "retention.ms=-1";

/// What the target wants: a region in each record, or not.
fn wanted(region: &str) -> String {
    format!(
        r#"{{"title":"Sent","type":"object","required":["id"],"properties":{{"id":{{"type":"integer"}},"region":{region}}}}}"#
    )
}

pub(super) fn letters(world: &World, folder: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for file in fs::read_dir(world.path(&format!(".tidemill/dead-letters/{folder}"))).unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        found.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    found.sort_by_key(|letter| letter["place"].to_string());
    found
}

#[test]
fn records_of_every_format_are_sent_again_as_they_were_received() {
    let (world, parts) = beside();
    for (ending, contract) in [("avsc", AVRO), ("json", JSON), ("proto", PROTO)] {
        let (source, target) = (name("letters-from"), name("letters-to"));
        let address = |topic: &str| format!("kafka://{}/{topic}", parts.kafka());
        world.write("orders.jsonl", ORDERS);
        world.write(&format!("contracts/{source}.{ending}"), contract);
        let fill =
            ["load", "orders.jsonl", &address(&source), "--create", "--partitions", "2", "--key", "id"];
        let more = [
            "--contract",
            &source,
            "--headers",
            "source=import",
            "--timestamp-field",
            "at",
            "--config",
            FOREVER,
        ];
        world.ok(&[&fill[..], &more].concat());
        world.write(&format!("contracts/{target}.json"), wanted(r#"{"type":"string"}"#));
        let load = ["load", &address(&source), &address(&target), "--create", "--contract", &target];
        world.ok(&[&load[..], &["--on-error", "dead-letter", "--config", FOREVER]].concat());
        // What was received is kept, and not what the load has made of it.
        let found = letters(&world, &target);
        assert_eq!(found.len(), 2, "{ending}: {found:#?}");
        for letter in &found {
            let place = letter["place"].as_str().unwrap();
            assert!(place.starts_with(&format!("{source}/")) && place.matches('/').count() == 2, "{place}");
            let key = letter["key"].as_str().unwrap();
            assert_eq!(
                letter["timestamp_ms"].as_i64(),
                Some(1_700_000_000_000 + key.parse::<i64>().unwrap())
            );
            assert_eq!(letter["headers"], json!([{ "name": "source", "value": "import" }]), "{ending}");
            let is_framed = letter["value_base64"].as_str().is_some_and(|value| value.starts_with("AAAA"))
                || letter["value"].as_str().is_some_and(|value| value.starts_with('\0'));
            assert!(is_framed, "{ending}: {letter}");
        }
        // Nothing has changed yet; then the target takes them.
        world.run(&["dead-letters", "retry", &target]).expect_code(6);
        assert_eq!(letters(&world, &target).len(), 2, "{ending}");
        world.write(&format!("contracts/{target}.json"), wanted(r#"{"type":["string","null"]}"#));
        assert_eq!(world.ok(&["dead-letters", "retry", &target]), format!("2 records to {target}\n"));
        assert_eq!(world.ok(&["dead-letters", "list"]), "no record was refused\n");
        world.ok(&["load", &address(&target), "sent.jsonl"]);
        let sent = fs::read_to_string(world.path("sent.jsonl")).unwrap();
        let mut sent: Vec<Value> = sent.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        sent.sort_by_key(|order| order["id"].as_i64());
        let regions: Vec<&Value> = sent.iter().map(|order| &order["region"]).collect();
        assert_eq!(regions, [&json!("eu"), &Value::Null, &json!("us"), &Value::Null], "{ending}");
        let Some(mut keys) = kcat(&parts.kafka(), &target, "%k", "read_committed") else { continue };
        keys.sort();
        assert_eq!(keys, ["1", "2", "3", "4"], "{ending}");
    }
}

#[test]
fn a_copy_that_was_refused_is_the_same_record_when_it_is_sent_again() {
    let (world, parts) = beside();
    let (source, target) = (name("letters-from"), name("letters-to"));
    let address = |topic: &str| format!("kafka://{}/{topic}", parts.kafka());
    let text = "x".repeat(3_000);
    let orders = [1, 2, 3, 4].map(|id| match id {
        1 => "{\"id\":1,\"at\":1700000000001,\"text\":\"small\"}\n".to_owned(),
        4 => "{\"id\":4,\"gone\":true,\"at\":1700000000004}\n".to_owned(),
        id => format!("{{\"id\":{id},\"at\":170000000000{id},\"text\":\"{text}\"}}\n"),
    });
    world.write("orders.jsonl", orders.concat());
    let fill = ["load", "orders.jsonl", &address(&source), "--create", "--key", "id", "--tombstones", "gone"];
    world.ok(&[&fill[..], &["--headers", "source=import", "--timestamp-field", "at", "--config", FOREVER]]
        .concat());
    // The producer of the project's own broker takes no large ones, for now.
    world.write("tidemill.yaml", "broker:\n  properties: { message.max.bytes: 2000 }\n");
    let local = format!("kafka://local/{target}");
    let load = ["load", &address(&source), &local, "--create", "--config", FOREVER];
    world.ok(&[&load[..], &["--on-error", "dead-letter"]].concat());
    let found = letters(&world, &target);
    let places: Vec<&str> = found.iter().map(|letter| letter["place"].as_str().unwrap()).collect();
    assert_eq!(places, [format!("{source}/0/1"), format!("{source}/0/2")]);
    world.run(&["dead-letters", "retry", &target]).expect_code(6);
    world.write("tidemill.yaml", "");
    assert_eq!(world.ok(&["dead-letters", "retry", &target]), format!("2 records to {target}\n"));
    assert_eq!(world.ok(&["dead-letters", "list"]), "no record was refused\n");
    let read = |topic: &str| kcat(&parts.kafka(), topic, "%k %h %T %S %s", "read_committed");
    let (Some(mut sent), Some(mut came)) = (read(&source), read(&target)) else { return };
    sent.sort();
    came.sort();
    assert_eq!(came, sent);
}

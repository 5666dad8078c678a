//! `tidemill load` from contracts and from pages of HTTP: records that other people's clients take, and what is refused.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use testkit::{Child, Parts, tied_to_us};

use crate::{
    shared::{name, shared, world},
    snapshot,
};

const ORDERS: &str = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",
 "properties": {
  "id": {"type": "integer", "minimum": 1}, "email": {"type": "string", "format": "email"},
  "status": {"enum": ["open", "paid"]}, "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
  "total": {"type": "number", "exclusiveMinimum": 0, "maximum": 500},
  "placed_at": {"type": "string", "format": "date-time"}, "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3}},
 "required": ["id", "email", "status", "sku", "total", "placed_at"], "additionalProperties": false}"#;

const PAYMENTS: &str = r#"{"type": "record", "name": "Payment", "namespace": "shop", "fields": [
 {"name": "id", "type": "long"}, {"name": "paid_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
 {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
 {"name": "method", "type": {"type": "enum", "name": "Method", "symbols": ["CARD", "CASH"]}},
 {"name": "note", "type": ["null", "string"], "default": null}, {"name": "city", "type": "string"},
 {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
   {"name": "sku", "type": "string"}, {"name": "quantity", "type": "int"}]}}}]}"#;

const SHIPMENTS: &str = r#"syntax = "proto3"; package shop; import "address.proto"; import "google/protobuf/timestamp.proto";
message Shipment { int64 id = 1; shop.Address to = 2; google.protobuf.Timestamp sent_at = 3; map<string, int32> items = 4;
  oneof by { string carrier = 5; bool pickup = 6; } }"#;
const ADDRESS: &str =
    r#"syntax = "proto3"; package shop; message Address { string street = 1; string city = 2; }"#;

/// What confluent-kafka reads from a topic.
#[track_caller]
fn read_topic(parts: &Parts, topic: &str, kind: &str) -> Option<Value> {
    let python = testkit::python()?;
    let args = [&parts.kafka(), &parts.registry(), topic, kind];
    let said = testkit::run_python(&python, include_str!("load_generate/read_topic.py"), &args);
    Some(serde_json::from_str(&said).unwrap())
}

#[test]
fn records_by_a_contract_are_what_confluents_deserializers_take() {
    let (world, parts) = shared();
    for (contract, ending, text, kind) in
        [("made_orders", "json", ORDERS, "json"), ("made_payments", "avsc", PAYMENTS, "avro")]
    {
        world.write(&format!("contracts/{contract}.{ending}"), text);
        let topic = name(contract);
        let (source, target) =
            (format!("generate:{contract}?count=700&seed=7"), format!("kafka://local/{topic}"));
        world.ok(&["load", &source, &target, "--create", "--key", "id"]);
        let Some(read) = read_topic(parts, &topic, kind) else { return };
        assert_eq!((&read["records"], &read["keys"]), (&json!(700), &json!(700)), "{contract}");
        insta::with_settings!({ snapshot_suffix => contract }, {
            insta::assert_snapshot!("first", serde_json::to_string_pretty(&read["first"]).unwrap());
        });
    }
}

/// What kcat reads from a topic.
fn lines(parts: &Parts, topic: &str) -> Option<Vec<String>> {
    let mut read = Command::new(testkit::kcat()?);
    read.args(["-b", &parts.kafka(), "-C", "-t", topic, "-o", "beginning", "-e", "-q"]);
    Some(testkit::ran(&mut read, 60).expect_success().lines().map(str::to_owned).collect())
}

#[test]
fn the_same_seed_makes_the_same_messages_of_protobuf() {
    let (world, parts) = shared();
    world.write("contracts/made_shipments.proto", SHIPMENTS);
    world.write("contracts/address.proto", ADDRESS);
    let load = |seed: &str| {
        let topic = name("shipments");
        let source = format!("generate:contracts/made_shipments.proto?seed={seed}");
        world.ok(&["load", &source, &format!("kafka://local/{topic}"), "--create", "--limit", "50"]);
        lines(parts, &topic)
    };
    let (Some(one), Some(same), Some(other)) = (load("3"), load("3"), load("4")) else { return };
    assert_eq!(one.len(), 50);
    assert_eq!(one, same);
    assert_ne!(one, other);
    let first: Value = serde_json::from_str(&one[0]).unwrap();
    assert_eq!(first["id"], 1);
    assert!(
        one.iter().any(|line| line.contains("\"carrier\""))
            && one.iter().any(|line| line.contains("\"pickup\""))
    );
}

#[test]
fn a_collection_has_the_types_of_the_contract_and_a_second_load_changes_nothing() {
    let Some(server) = testkit::mongod() else { return };
    let world = world();
    world.write("contracts/payments.avsc", PAYMENTS);
    let target = format!("mongodb://{}/load_generate/payments?replicaSet=tests", server.address);
    for _ in 0..2 {
        world.ok(&["load", "generate:payments?count=300", &target, "--key", "id"]);
    }
    let Some(python) = testkit::venv_python("dlt") else { return };
    let script = "import sys, pymongo\n\
                  found = list(pymongo.MongoClient(sys.argv[1]).load_generate.payments.find())\n\
                  print(len(found), sorted({type(one['paid_at']).__name__ for one in found}), \
                  sorted({type(one['amount']).__name__ for one in found}))";
    let said = testkit::run_python(&python, script, &[&server.uri("")]);
    assert_eq!(said.trim(), "300 ['datetime'] ['Decimal128']");
}

#[test]
fn what_nobody_makes() {
    let world = world();
    world.write("contracts/never.json", "{\n  \"type\": \"object\",\n  \"properties\": {\n    \"age\": { \"type\": \"integer\", \"minimum\": 90, \"maximum\": 18 }\n  },\n  \"required\": [\"age\"]\n}\n");
    world.write("contracts/broken.avsc", "{\"type\": \"record\", \"name\": \"A\", \"fields\": [}");
    let refused =
        |source: &str, code: i32| world.run(&["load", source, "kafka://local/t"]).expect_code(code).shown();
    let told = [
        refused("generate:never", 3),
        refused("generate:broken", 6),
        refused("generate:contracts/absent.json", 3),
        refused("generate:order", 2),
        refused("generate:never?customers=3", 3),
    ];
    snapshot!(&world, "refused", told.join("\n"));
}

/// The interface of `server.py`, and its `host:port`.
fn server() -> Option<(Child, String)> {
    let mut command = Command::new(testkit::python()?);
    command.args(["-u", "-c", include_str!("load_generate/server.py")]).stdout(Stdio::piped());
    let mut child = tied_to_us(command).unwrap();
    let mut port = String::new();
    BufReader::new(child.inner().stdout.take().unwrap()).read_line(&mut port).unwrap();
    Some((child, format!("127.0.0.1:{}", port.trim())))
}

fn count(uri: &str, collection: &str) -> Option<String> {
    let python = testkit::venv_python("dlt")?;
    let script = "import sys, pymongo\nprint(pymongo.MongoClient(sys.argv[1]).load_generate[sys.argv[2]].count_documents({}))";
    Some(testkit::run_python(&python, script, &[uri, collection]).trim().to_owned())
}

#[test]
fn pages_of_an_interface_become_documents() {
    let Some(mongod) = testkit::mongod() else { return };
    let Some((_server, address)) = server() else { return };
    let mut world = world();
    let target = |collection: &str| {
        format!("mongodb://{}/load_generate/{collection}?replicaSet=tests", mongod.address)
    };
    let people = format!("http://{address}/people?results=10");
    for _ in 0..2 {
        let args = [
            "load",
            &people,
            &target("people"),
            "--page",
            "number:page",
            "--key",
            "email",
            "--output",
            "json",
        ];
        let said = world.ok(&args);
        let said: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(said["records_count"], 95);
    }
    let Some(found) = count(&mongod.uri(""), "people") else { return };
    assert_eq!(found, "95");
    world.ok(&["load", &people, &target("some"), "--page", "number:page", "--limit", "42"]);
    assert_eq!(count(&mongod.uri(""), "some").as_deref(), Some("42"));
    // The token comes from a connection, and is not repeated.
    let connection = json!({ "conn_type": "http", "host": address, "password": "s3cret" });
    world.set("AIRFLOW_CONN_API", &connection.to_string());
    let args = [
        "load",
        "http://api/secret",
        &target("secret"),
        "--page",
        "cursor:after:$.next",
        "--records",
        "$.data",
        "--key",
        "id",
    ];
    let said = world.run(&args);
    assert!(!said.shown().contains("s3cret"), "{}", said.shown());
    said.expect_success();
    assert_eq!(count(&mongod.uri(""), "secret").as_deref(), Some("95"));
}

#[test]
fn pages_that_nobody_can_load() {
    let Some((_server, address)) = server() else { return };
    let (world, _) = shared();
    let topic = name("pages");
    let target = format!("kafka://local/{topic}");
    let refused = |path: &str, more: &[&str], code: i32| {
        let source = format!("http://{address}{path}");
        let args = [&["load", source.as_str(), &target, "--create"], more].concat();
        let shown = world.run(&args).expect_code(code).shown();
        let kept = shown.lines().filter(|line| !line.contains(" records  ")).collect::<Vec<_>>().join("\n");
        kept.replace(&topic, "[TOPIC]")
    };
    let told = [
        refused("/secret", &[], 4),
        refused("/page", &["--page", "none"], 6),
        refused("/absent", &[], 3),
        refused("/people", &["--page", "sideways"], 2),
        refused("/endless", &["--page", "number:page", "--pages", "2", "--records", "$.items"], 6),
    ];
    snapshot!(world, "pages refused", told.join("\n"));
}

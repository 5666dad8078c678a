//! From a store or a topic to another one, and to files: what comes out is what went in.

use serde_json::Value;

use super::{name, rows, shared, told, world};
use crate::snapshot;

const PLANES: &str = include_str!("../../../../../examples/flights/planes.csv");
const COUNT: usize = 3_322;

/// What kcat reads of a topic: key, value, headers.
fn topic(parts: &testkit::Parts, topic: &str) -> Option<Vec<String>> {
    let mut read = std::process::Command::new(testkit::kcat()?);
    read.args(["-b", &parts.kafka(), "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k\t%s\t%h\n"]);
    let text = testkit::ran(&mut read, 60).expect_success();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    Some(lines)
}

#[test]
fn a_topic_goes_to_a_topic_a_table_and_a_file() {
    let (world, parts) = shared();
    world.write("data/planes.csv", PLANES);
    let (from, to, table) = (name("planes"), name("planes"), name("planes"));
    let source = format!("kafka://local/{from}");
    let contract = r#"{"type":"record","name":"plane","fields":[{"name":"tailnum","type":"string"},
        {"name":"year","type":["null","int"]},{"name":"type","type":["null","string"]},
        {"name":"manufacturer","type":"string"},{"name":"model","type":"string"},{"name":"engines","type":"int"},
        {"name":"seats","type":"int"},{"name":"speed","type":["null","int"]},{"name":"engine","type":"string"}]}"#;
    world.write("contracts/plane.avsc", contract);
    world.ok(&[
        "load",
        "data/planes.csv",
        &source,
        "--contract",
        "plane",
        "--key",
        "tailnum",
        "--create",
        "--partitions",
        "3",
    ]);
    // As it is: bytes, keys, schema ids.
    let copied = told(world, &["load", &source, &format!("kafka://local/{to}"), "--create"]);
    assert_eq!(copied["records_count"], COUNT);
    let (Some(one), Some(other)) = (topic(parts, &from), topic(parts, &to)) else { return };
    assert_eq!(one, other);
    // By the schema that the records are framed with.
    let target = format!("dynamodb://local/{table}");
    assert_eq!(
        told(world, &["load", &source, &target, "--key", "tailnum", "--create"])["records_count"],
        COUNT
    );
    assert_eq!(told(world, &["load", &source, "planes-of-topic.parquet"])["records_count"], COUNT);
    // Of all partitions together.
    assert_eq!(told(world, &["load", &source, "few-of-topic.jsonl", "--limit", "2"])["records_count"], 2);
    assert_eq!(told(world, &["load", &target, "planes-of-table.jsonl"])["records_count"], COUNT);
    let of_topic = world.path("planes-of-topic.parquet");
    let (Some(mut of_topic), Some(mut of_table)) =
        (rows(&of_topic), rows(&world.path("planes-of-table.jsonl")))
    else {
        return;
    };
    let key = |row: &Value| row["tailnum"].as_str().unwrap().to_owned();
    of_topic.sort_by_key(key);
    of_table.sort_by_key(key);
    assert_eq!((of_topic.len(), of_table.len()), (COUNT, COUNT));
    for (one, other) in of_topic.iter().zip(&of_table) {
        for field in ["year", "model", "seats", "speed"] {
            assert_eq!(one[field], other[field], "{one} {other}");
        }
    }
}

#[test]
fn topics_of_other_bytes_are_read_as_it_is_said() {
    let (world, parts) = shared();
    let Some(kcat) = testkit::kcat() else { return };
    let from = name("bytes");
    let mut create = std::process::Command::new(&kcat);
    world.ok(&["topic", "create", &from]);
    let lines = world.write("data/lines.txt", "k1:{\"a\":1}\nk2:plain text\nk3:7\n");
    create.args(["-b", &parts.kafka(), "-P", "-t", &from, "-K", ":", "-l"]).arg(lines);
    testkit::ran(&mut create, 60).expect_success();
    let source = format!("kafka://local/{from}");
    let mut text = String::new();
    for form in ["text", "bytes"] {
        world.ok(&["load", &source, "of-topic.jsonl", "--format", form]);
        text += &format!("{form}\n{}", std::fs::read_to_string(world.path("of-topic.jsonl")).unwrap());
    }
    text += &world.run(&["load", &source, "of-topic.jsonl"]).expect_code(6).shown();
    world.ok(&["load", &source, "of-topic.jsonl", "--on-error", "dead-letter", "--dead-letters", "of-topic"]);
    text += &std::fs::read_to_string(world.path("of-topic.jsonl")).unwrap();
    text += &world.run(&["load", "kafka://local/no-such-topic", "x.jsonl"]).expect_code(3).shown();
    snapshot!(world, "topic forms", text.replace(&from, "TOPIC"));
}

#[test]
fn a_collection_goes_to_a_table_a_topic_and_a_file() {
    let Some(server) = testkit::mongod() else { return };
    let (world, parts) = shared();
    world.write("data/planes.csv", PLANES);
    let collection = name("planes");
    let from = format!("mongodb://{}/crossing/{collection}?replicaSet=tests", server.address);
    let (table, to) = (name("from-mongo"), name("from-mongo"));
    world.ok(&[
        "load",
        "data/planes.csv",
        &from,
        "--key",
        "tailnum",
        "--create",
        "--index",
        "manufacturer,year",
    ]);
    let target = format!("dynamodb://local/{table}");
    assert_eq!(
        told(world, &["load", &from, &target, "--key", "tailnum", "--create"])["records_count"],
        COUNT
    );
    let topic_target = format!("kafka://local/{to}");
    let filter = r#"{"year":{"$gte":2013}}"#;
    let some = told(
        world,
        &["load", &from, &topic_target, "--create", "--filter", filter, "--fields", "year,model"],
    );
    let count = some["records_count"].as_u64().unwrap();
    assert!(count > 10 && count < 1_000, "{some}");
    let Some(lines) = topic(parts, &to) else { return };
    assert_eq!(lines.len() as u64, count);
    // The collection's key is the topic's.
    let (key, value) = lines[0].split_once('\t').unwrap();
    let value: Value = serde_json::from_str(value.split('\t').next().unwrap()).unwrap();
    assert_eq!((value["_id"].as_str(), value.as_object().unwrap().len()), (Some(key), 3), "{value}");
    assert_eq!(told(world, &["load", &from, "of-mongo.parquet"])["records_count"], COUNT);
    assert_eq!(told(world, &["load", &from, "of-mongo.jsonl", "--limit", "7"])["records_count"], 7);
    let Some(of_file) = rows(&world.path("of-mongo.parquet")) else { return };
    assert_eq!(of_file.len(), COUNT);
    assert!(of_file.iter().any(|row| row["tailnum"] == "N10156" && row["year"] == 2004));
    let mut text = world.run(&["load", &from, "data/planes.csv", "x.jsonl"]).expect_code(2).shown();
    text += &world.run(&["load", &from, "x.jsonl", "--filter", "{oops"]).expect_code(3).shown();
    let text = text.replace(&from, "mongodb://HOST/crossing/planes").replace(&collection, "planes");
    snapshot!(world, "store as a source", text);
}

/// Write modes by the command line, on the three stores.
#[test]
fn update_and_delete_by_the_command_line() {
    let (shared_world, _) = shared();
    // No name is the beginning of another, nor of one with the time behind it that a load's id has.
    let modes = || name("modes") + "x";
    let mut targets = vec![format!("dynamodb://local/{}", modes())];
    targets.extend(
        testkit::mongod()
            .map(|server| format!("mongodb://{}/crossing/{}?replicaSet=tests", server.address, modes())),
    );
    let mut world = world();
    world.write("a.jsonl", "{\"id\":\"a\",\"n\":1,\"kept\":true}\n{\"id\":\"b\",\"n\":1}\n");
    world.write("b.jsonl", "{\"id\":\"a\",\"n\":2}\n{\"id\":\"c\",\"n\":2}\n");
    if let Some(firestore) = testkit::firestore_emulator() {
        world.set("FIRESTORE_EMULATOR_HOST", &firestore.address);
        targets.push(format!("firestore://tidemill/{}", modes()));
    }
    let endpoint = shared_world.parts().map(|parts| parts.dynamodb());
    let mut texts = Vec::new();
    for target in &targets {
        let external = endpoint.as_ref().map(|endpoint| format!("dynamodb.external={endpoint}"));
        let more = external.as_ref().map(|set| vec!["--set", set.as_str()]).unwrap_or_default();
        let run = |words: &[&str]| world.run(&[words, &more[..]].concat());
        let made = if target.starts_with("dynamodb") { vec!["--create"] } else { Vec::new() };
        let scheme = target.split("://").next().unwrap();
        run(&[&["load", "a.jsonl", target, "--key", "id"], &made[..]].concat()).expect_code(0);
        let stopped = run(&["load", "b.jsonl", target, "--key", "id", "--write", "update"]).expect_code(6);
        texts.push(format!("{scheme}: update\n{}", stopped.shown().replace(target.as_str(), "TARGET")));
        run(&["load", target, "now.jsonl"]).expect_code(0);
        texts.push(sorted(&world));
        run(&["load", "b.jsonl", target, "--key", "id", "--write", "delete"]).expect_code(0);
        run(&["load", target, "now.jsonl"]).expect_code(0);
        texts.push(format!("{scheme}: delete\n{}", sorted(&world)));
    }
    let text = texts.join("\n");
    let text = targets.iter().fold(text, |text, target| {
        let last = target.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
        text.replace(&last, "modes")
    });
    if targets.len() == 3 {
        snapshot!(&world, "modes", text);
    }
}

fn sorted(world: &testkit::World) -> String {
    let mut rows: Vec<Value> = std::fs::read_to_string(world.path("now.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    rows.sort_by_key(|row| row["id"].to_string());
    rows.iter().map(|row| format!("  {row}\n")).collect()
}

//! Keys, partitioners, headers, times, deletes and topics that are made: what kcat reads of each.

use std::{collections::BTreeMap, io::Write, process::Stdio};

use serde_json::json;

use super::{beside, brokers, finished, kcat};
use crate::{shared::name, snapshot};

const ORDERS: &str = r#"{"id":1,"region":"eu","at":"2024-01-01T00:00:00Z","gone":false,"user":{"name":"Ann"}}
{"id":2,"region":"us","at":1704067201000,"gone":true,"user":{"name":"Bob"}}
{"id":3,"region":null,"at":null,"gone":"no","user":null}
{"id":4,"region":"eu","at":"2024-01-01","gone":"delete","user":{}}
"#;
const ROWS: &str = "id,region,at\n1,eu,2024-01-01T00:00:00Z\n2,us,1704067201000\n3,NA,\n4,,\n";

/// Options, and what kcat shows of the records they make: partition, key, headers, size of the value.
const CASES: [(&str, &str, &[&str]); 10] = [
    ("a field", "%k", &["--key", "id"]),
    ("a field within a field", "%k", &["--key", "user.name"]),
    ("two fields", "%k", &["--key", "region,id"]),
    ("an expression", "%k", &["--key", "{{ region or 'none' }}-{{ id }}"]),
    ("a partition", "%p", &["--partition", "2"]),
    ("a partition's expression", "%p %s", &["--partitioner", "{{ id % 3 }}"]),
    ("one after the other", "%p", &["--partitioner", "round-robin", "--key", "region"]),
    (
        "headers",
        "%h",
        &["--headers", "source=import", "--headers", "region=$region", "--headers", "price=$$1"],
    ),
    ("marked deletes", "%k %S", &["--key", "id", "--tombstones", "gone"]),
    // Times so old that the broker may clear them away before they are read.
    ("times", "%T", &["--timestamp-field", "at", "--limit", "2", "--config", "retention.ms=-1"]),
];

#[test]
fn every_option_of_a_topic_is_what_kcat_reads() {
    let (world, parts) = beside();
    world.write("orders.jsonl", ORDERS);
    let mut seen: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    for broker in brokers(parts) {
        for (case, format, options) in CASES {
            let topic = name("options");
            let target = format!("kafka://{broker}/{topic}");
            let mut args = vec!["load", "orders.jsonl", &target, "--create", "--partitions", "3"];
            args.extend(options);
            world.ok(&args);
            let Some(mut lines) = kcat(&broker, &topic, format, "read_committed") else { return };
            lines.sort();
            seen.entry(case).or_default().push(lines);
        }
    }
    let text: Vec<String> = CASES
        .iter()
        .map(|(case, format, options)| {
            let all = &seen[case];
            assert!(all.windows(2).all(|two| two[0] == two[1]), "{case}: {all:?}");
            format!("-- {case}: {} ({format})\n{}", options.join(" "), all[0].join("\n"))
        })
        .collect();
    snapshot!(&world, "options", text.join("\n"));
}

#[test]
fn rows_whose_fields_are_empty_are_deletes() {
    let (world, parts) = beside();
    world.write("orders.csv", ROWS);
    for broker in brokers(parts) {
        let topic = name("deletes");
        let target = format!("kafka://{broker}/{topic}");
        let args = ["load", "orders.csv", &target, "--create", "--key", "id", "--tombstones"];
        world.ok(&args);
        let Some(lines) = kcat(&broker, &topic, "%k %S", "read_committed") else { return };
        assert_eq!(lines, ["1 52", "2 45", "3 -1", "4 -1"]);
    }
}

/// Each partitioner puts keys where kcat's producer puts them by the same rule.
#[test]
fn partitioners_agree_with_librdkafkas_own() {
    let (world, parts) = beside();
    let keys: Vec<String> = (0..200).map(|number| format!("key {number}")).collect();
    let rows: String = keys.iter().map(|key| format!("{key}\n")).collect();
    world.write("keys.csv", format!("key\n{rows}"));
    let Some(program) = testkit::kcat() else { return };
    let rules = [
        ("murmur2", "murmur2_random"),
        ("crc32", "consistent_random"),
        ("consistent", "consistent_random"),
        ("fnv1a", "fnv1a_random"),
    ];
    for broker in brokers(parts) {
        for (word, rule) in rules {
            let (ours, theirs) = (name("ours"), name("theirs"));
            for topic in [&ours, &theirs] {
                world.ok(&["topic", "create", topic, "--partitions", "7", "--brokers", &broker]);
            }
            let target = format!("kafka://{broker}/{ours}");
            world.ok(&["load", "keys.csv", &target, "--key", "key", "--partitioner", word]);
            let mut sends = std::process::Command::new(&program);
            sends.args([
                "-b",
                &broker,
                "-P",
                "-t",
                &theirs,
                "-K",
                "=",
                "-X",
                &format!("topic.partitioner={rule}"),
            ]);
            let mut child = sends.stdin(Stdio::piped()).spawn().unwrap();
            for key in &keys {
                writeln!(child.stdin.as_mut().unwrap(), "{key}=x").unwrap();
            }
            drop(child.stdin.take());
            assert!(child.wait().unwrap().success());
            let read = |topic: &str| {
                let mut lines = kcat(&broker, topic, "%k %p", "read_committed").unwrap();
                lines.sort();
                lines
            };
            assert_eq!(read(&ours), read(&theirs), "{word}");
        }
        for word in ["random", "sticky"] {
            let topic = name("ours");
            let target = format!("kafka://{broker}/{topic}");
            let args = ["load", "keys.csv", &target, "--create", "--partitions", "7", "--partitioner", word];
            world.ok(&args);
            let partitions = kcat(&broker, &topic, "%p", "read_committed").unwrap();
            let used: std::collections::BTreeSet<_> = partitions.iter().collect();
            // A file so small is one batch.
            assert_eq!((partitions.len(), used.len()), (200, if word == "sticky" { 1 } else { 7 }), "{word}");
        }
    }
}

#[test]
fn a_topic_is_made_with_its_partitions_and_settings() {
    let (world, parts) = beside();
    world.write("orders.jsonl", ORDERS);
    for broker in brokers(parts) {
        let topic = name("made");
        let target = format!("kafka://{broker}/{topic}");
        let made =
            ["--create", "--partitions", "5", "--replication", "1", "--config", "cleanup.policy=compact"];
        let more = ["--config", "max.message.bytes=2000000", "--key", "id", "--output", "json"];
        let said = world.ok(&[&["load", "orders.jsonl", &target], &made[..], &more[..]].concat());
        assert_eq!(finished(&said)["records_count"], json!(4));
        let described = world.ok(&["topic", "describe", &topic, "--brokers", &broker]);
        assert!(described.contains("cleanup.policy") && described.contains("compact"), "{described}");
        assert!(described.contains("2000000"), "{described}");
    }
}

#[test]
fn what_cannot_be_sent_so_is_said() {
    let (world, parts) = beside();
    world.write("orders.jsonl", ORDERS);
    world.write("order.proto", "syntax = \"proto3\"; message Order { int64 id = 1; }");
    world.write("plain.json", r#"{"type":"object"}"#);
    let topic = name("refused");
    world.ok(&["topic", "create", &topic, "--partitions", "3"]);
    let target = format!("kafka://{}/{topic}", parts.kafka());
    let cases: [&[&str]; 15] = [
        &["--partition", "3"],
        &["--partition", "1", "--partitioner", "sticky"],
        &["--partitioner", "fair"],
        &["--partitioner", "{{ id"],
        &["--partitioner", "{{ id + 2 }}"],
        &["--partitioner", "{{ region }}"],
        &["--key", "{{ nothing }}"],
        &["--tombstones", "gone"],
        &["--key", "region", "--tombstones", "gone", "--contract", "order.proto", "--message", "Nothing"],
        &["--headers", "source"],
        &["--timestamp-field", "region"],
        &["--message", "Order"],
        &["--contract", "order.proto", "--serializer", "avro"],
        &["--contract", "plain.json", "--subject-strategy", "record"],
        &["--create", "--config", "cleanup"],
    ];
    let text: Vec<String> = cases
        .iter()
        .map(|options| {
            let ran = world.run(&[&["load", "orders.jsonl", &target], *options].concat());
            assert_ne!(ran.code, Some(0), "{options:?}");
            format!("-- {}\n{}", options.join(" "), ran.shown())
        })
        .collect();
    snapshot!(&world, "refused", text.join("\n").replace(&topic, "TOPIC"));
}

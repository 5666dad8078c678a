//! Topics as streams: on our broker and on Apache Kafka, of every format, gone on with from their offsets, whenever it dies.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use testkit::{Parts, Seeded, World, crash_points, poll, tied_to_us};

use super::{files, shown, tables};
use crate::{
    shared::{beside, name},
    snapshot,
};

const AVRO: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"}]}}}]}"#;

fn orders(from: usize, count: usize) -> String {
    let order = |id: usize| {
        format!(
            "{{\"id\":{id},\"day\":\"2024-01-0{}\",\"price\":\"{id}.50\",\"lines\":[{{\"sku\":\"a{id}\"}}]}}\n",
            1 + id % 9
        )
    };
    (from..from + count).map(order).collect()
}

fn pipeline(address: &str, topic: &str, more: &str) -> String {
    format!(
        "source: {{ url: '{address}', settings: {{ metadata: true }} }}\n\
         target: {{ url: lake, dataset: planes, compression: none, file_records_max: 300 }}\n\
         streams:\n  orders: {{ collection: {topic}{more} }}\n"
    )
}

/// Records of the table, by partition and offset: none may be there twice.
fn offsets(world: &World, table: &str) -> BTreeMap<(i64, i64), Value> {
    let mut found = BTreeMap::new();
    for row in tables(&world.path("lake/planes")).get(table).into_iter().flatten() {
        let row: Value = serde_json::from_str(row).unwrap();
        let at = (row["_kafka__partition"].as_i64().unwrap(), row["_kafka__offset"].as_i64().unwrap());
        assert!(found.insert(at, row).is_none(), "{at:?} is there twice");
    }
    found
}

fn fill(world: &World, kafka: &str, topic: &str, more: &[&str], records: &str) {
    world.write("orders.jsonl", records);
    let target = format!("kafka://{kafka}/{topic}");
    let load = ["load", "orders.jsonl", &target, "--create", "--partitions", "3", "--key", "id"];
    world.ok(&[&load[..], more].concat());
}

/// Ours, and Apache Kafka where it is there.
fn brokers(parts: &Parts) -> Vec<String> {
    let mut all = vec![parts.kafka()];
    all.extend(testkit::kafka().map(|kafka| kafka.bootstrap.clone()));
    all
}

#[test]
fn a_topic_is_gone_on_with_from_where_the_last_load_ended() {
    let (_, parts) = beside();
    for kafka in brokers(parts) {
        let (world, _) = beside();
        let topic = name("stream");
        world.write(&format!("contracts/{topic}.avsc"), AVRO);
        let more = ["--contract", &topic, "--headers", "source=import"];
        fill(&world, &kafka, &topic, &more, &orders(0, 1_000));
        world.write("pipelines/lake.yaml", pipeline(&format!("kafka://{kafka}"), &topic, ""));
        let mut text = shown(&world.run(&["run", "lake", "--dry-run"]));
        let first: Value = serde_json::from_str(&world.ok(&["run", "lake", "--output", "json"])).unwrap();
        assert_eq!(first["rows_count"], 2_000, "{first}");
        fill(&world, &kafka, &topic, &more, &orders(1_000, 500));
        text += &shown(&world.run(&["run", "lake", "--dry-run"]));
        let second: Value = serde_json::from_str(&world.ok(&["run", "lake", "--output", "json"])).unwrap();
        assert_eq!(second["rows_count"], 1_000, "{second}");
        let rows = offsets(&world, "orders");
        assert_eq!(rows.len(), 1_500);
        let ids: Vec<i64> = rows.values().map(|row| row["id"].as_i64().unwrap()).collect();
        assert_eq!(ids.iter().sum::<i64>(), (0..1_500).sum::<i64>());
        let mut one = rows.values().find(|row| row["id"] == 7).unwrap().clone();
        assert_eq!(one["_kafka__topic"], Value::from(topic.as_str()));
        for varying in ["_kafka__topic", "_kafka__partition", "_kafka__offset", "_kafka__ts__value"] {
            assert!(!one.as_object_mut().unwrap().remove(varying).unwrap().is_null(), "{varying}");
        }
        insta::assert_snapshot!("row_of_a_topic", one.to_string());
        let third: Value = serde_json::from_str(&world.ok(&["run", "lake", "--output", "json"])).unwrap();
        assert_eq!(third["rows_count"], 0, "{third}");
        text += &shown(&world.run(&["pipeline", "state", "lake"]));
        text += &shown(&world.run(&["run", "lake", "--from", "5"]));
        // A lost state comes back from the target.
        fs::remove_dir_all(world.path(".tidemill/pipelines")).unwrap();
        let again: Value = serde_json::from_str(&world.ok(&["run", "lake", "--output", "json"])).unwrap();
        assert_eq!((&again["rows_count"], &again["is_restored"]), (&0.into(), &true.into()), "{again}");
        world.ok(&["run", "lake", "--full-refresh"]);
        assert_eq!(offsets(&world, "orders").len(), 1_500);
        world.ok(&["run", "lake"]);
        assert_eq!(offsets(&world, "orders").len(), 1_500);
        snapshot!(&world, "a topic", text.replace(&topic, "TOPIC"));
    }
}

#[test]
fn other_topics_and_formats() {
    let (world, parts) = beside();
    let topic = name("stream");
    fill(
        &world,
        &parts.kafka(),
        &topic,
        &["--serializer", "json"],
        "{\"id\":1,\"v\":1}\n{\"id\":2,\"v\":2}\n",
    );
    // A delete, and what is no JSON.
    world.write("deletes.jsonl", "{\"id\":1,\"gone\":true}\n");
    let target = format!("kafka://{}/{topic}", parts.kafka());
    world.ok(&["load", "deletes.jsonl", &target, "--key", "id", "--tombstones", "gone"]);
    world.write("odd.txt", "no json\n");
    world.ok(&["load", "odd.txt", &target, "--format", "jsonl", "--serializer", "string"]);
    let local = |more: &str| pipeline("kafka://local", &topic, more);
    world.write("pipelines/lake.yaml", local(""));
    let ran = world.run(&["run", "lake"]).expect_code(0);
    assert!(ran.stdout.contains("1 record was discarded"), "{}", ran.shown());
    let rows: Vec<Value> = offsets(&world, "orders").into_values().collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.get("v").is_none()).count(), 1, "the delete: {rows:?}");
    // Mended, the record has its place in the topic.
    for file in files(&world.path(".tidemill/dead-letters/lake")) {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("no json", "{\\\"id\\\":3,\\\"v\\\":3}")).unwrap();
    }
    world.ok(&["dead-letters", "retry", "lake"]);
    assert_eq!(offsets(&world, "orders").len(), 4);
    // All of a topic each time, as text, and without what the topic says.
    let text = local(", write_disposition: replace").replace("metadata: true", "format: text");
    world.write("pipelines/text.yaml", text.replace("planes", "texts"));
    for _ in 0..2 {
        world.ok(&["run", "text"]);
        let texts = &tables(&world.path("lake/texts"))["orders"];
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts.contains(&r#"{"value":"no json"}"#.to_owned()), "{texts:?}");
    }
    // What came since a moment, and then whatever came behind it.
    let dated = name("stream");
    let target = format!("kafka://{}/{dated}", parts.kafka());
    let since = pipeline("kafka://local", &dated, "").replace("planes", "since");
    let since = since.replace("metadata: true", "metadata: true, start_from: 2024-01-01T00:00:00Z");
    world.write("pipelines/since.yaml", since);
    for (records, wanted) in [
        ("{\"id\":1,\"at\":1672531200000}\n{\"id\":2,\"at\":1735689600000}\n", vec![2]),
        ("{\"id\":3,\"at\":1640995200000}\n", vec![2, 3]),
    ] {
        world.write("dated.jsonl", records);
        let load = ["load", "dated.jsonl", &target, "--create", "--timestamp-field", "at"];
        world.ok(&[&load[..], &["--config", "retention.ms=-1"]].concat());
        world.ok(&["run", "since"]);
        let rows = &tables(&world.path("lake/since"))["orders"];
        let ids = rows.iter().map(|row| serde_json::from_str::<Value>(row).unwrap()["id"].as_i64().unwrap());
        assert_eq!(ids.collect::<Vec<_>>(), wanted);
    }
}

#[test]
fn what_cannot_be_of_a_topic() {
    let (world, parts) = beside();
    let topic = name("stream");
    fill(&world, &parts.kafka(), &topic, &[], "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n{\"id\":4}\n");
    let local = |more: &str| pipeline("kafka://local", &topic, more);
    let cases = [
        ("cursor", local(", cursor: id")),
        ("filter", local(", filter: id > 1")),
        ("setting", local("").replace("metadata: true", "metdata: true")),
        ("format", local("").replace("metadata: true", "format: avro")),
        ("topic", pipeline("kafka://local", "nowhere", "")),
    ];
    let mut text = String::new();
    for (_, file) in cases {
        world.write("pipelines/lake.yaml", file);
        text += &shown(&world.run(&["run", "lake"]));
    }
    world.ok(&["pipeline", "reset", "lake", "--load"]);
    world.write("pipelines/lake.yaml", local(""));
    world.ok(&["run", "lake"]);
    snapshot!(&world, "cannot be of a topic", text.replace(&topic, "TOPIC"));
}

/// Whether it has fewer records than before, or more: by its id.
#[test]
fn another_topic_of_that_name_is_not_gone_on_with() {
    let (_, parts) = beside();
    for kafka in brokers(parts) {
        for count in [2, 100] {
            let (world, _) = beside();
            let topic = name("stream");
            fill(&world, &kafka, &topic, &[], &orders(0, 20));
            world.write("pipelines/lake.yaml", pipeline(&format!("kafka://{kafka}"), &topic, ""));
            world.ok(&["run", "lake"]);
            let made_anew = || {
                world.ok(&["topic", "delete", &topic, "--brokers", &kafka]);
                fill(&world, &kafka, &topic, &[], &orders(20, count));
            };
            made_anew();
            let ran = world.run(&["run", "lake"]).expect_code(3);
            assert!(ran.stderr.contains("TM1524") && ran.stderr.contains("made anew"), "{}", ran.shown());
            world.ok(&["pipeline", "reset", "lake", "--load"]);
            world.ok(&["run", "lake", "--full-refresh"]);
            assert_eq!(offsets(&world, "orders").len(), count);
            world.ok(&["run", "lake"]);
            // In the middle of a load, which is the first one that knows of it.
            world.ok(&["pipeline", "reset", "lake"]);
            let mut command = world.command(&["run", "lake"]);
            command.env("TIDEMILL_DIE_AT", "engine.commit.after_checkpoint");
            assert!(!command.output().unwrap().status.success());
            made_anew();
            let ran = world.run(&["run", "lake"]).expect_code(3);
            assert!(ran.stderr.contains("TM1524"), "{}", ran.shown());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let path = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &path);
        } else {
            fs::copy(entry.path(), path).unwrap();
        }
    }
}

/// A project that has loaded the first records of a topic, which has more by now.
fn behind() -> (World, usize) {
    let (world, parts) = beside();
    let topic = name("stream");
    fill(&world, &parts.kafka(), &topic, &["--serializer", "json"], &orders(0, 700));
    world.write("pipelines/lake.yaml", pipeline(&format!("kafka://{}", parts.kafka()), &topic, ""));
    world.ok(&["run", "lake"]);
    fill(&world, &parts.kafka(), &topic, &["--serializer", "json"], &orders(700, 1_900));
    (world, 2_600)
}

fn second(first: &World) -> World {
    let (world, _) = beside();
    for folder in ["lake", "pipelines", ".tidemill"] {
        copy(&first.path(folder), &world.path(folder));
    }
    world
}

#[test]
fn dying_at_each_named_point_reads_nothing_twice_and_loses_nothing() {
    let (first, count) = behind();
    for point in crash_points() {
        let is_here =
            ["pipelines.", "engine.", "objects.commit."].iter().any(|start| point.starts_with(start));
        if !is_here || point.starts_with("pipelines.give_up.") {
            continue;
        }
        let world = second(&first);
        let mut command = world.command(&["run", "lake"]);
        command.env("TIDEMILL_DIE_AT", &point);
        testkit::ran(&mut command, 60);
        world.ok(&["run", "lake"]);
        world.ok(&["run", "lake"]);
        assert_eq!(offsets(&world, "orders").len(), count, "{point}");
        assert_eq!(tables(&world.path("lake/planes"))["orders__lines"].len(), count, "{point}");
    }
}

#[test]
fn kill_9_at_random_moments_reads_nothing_twice_and_loses_nothing() {
    let (first, count) = behind();
    for seed in testkit::seeds(1) {
        let (mut random, mut kills) = (Seeded::new(seed), 0);
        while kills < if testkit::deep() { 200 } else { 30 } {
            let world = second(&first);
            for life in 0.. {
                let mut command = world.command(&["run", "lake"]);
                command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
                let mut running = tied_to_us(command).unwrap();
                poll::moment(random.within(5..150 + life * 40));
                if running.ended().is_some() {
                    break;
                }
                running.kill();
                kills += 1;
            }
            world.ok(&["run", "lake"]);
            assert_eq!(offsets(&world, "orders").len(), count, "seed {seed} after {kills} kills");
        }
    }
}

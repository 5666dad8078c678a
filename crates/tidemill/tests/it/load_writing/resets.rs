//! `tidemill reset`: a plan, nothing without a yes, and nothing that the plan does not name.

use super::{name, shared, told, world};
use crate::snapshot;

fn load(world: &testkit::World, target: &str, more: &[&str]) {
    world.write("data/few.csv", "id,n\na,1\nb,2\nc,3\n");
    world.ok(&[&["load", "data/few.csv", target], more].concat());
}

#[test]
fn topics_are_emptied_dropped_and_made_as_the_plan_says() {
    let (world, _) = shared();
    // With its end, so that no other test's begins so.
    let start = name("reset");
    let below = format!("{start}_");
    let topics = ["a", "b"].map(|end| format!("{start}_{end}"));
    let other = name("other");
    for topic in topics.iter().chain([&other]) {
        load(world, &format!("kafka://local/{topic}"), &["--create"]);
    }
    let count = |topic: &str| {
        let out = format!("{topic}.jsonl");
        let ran = world.run(&["load", &format!("kafka://local/{topic}"), &out, "--output", "json"]);
        (ran.code == Some(0)).then(|| super::last_event(&ran.stdout)["records_count"].as_u64().unwrap())
    };
    let plan = world.run(&["reset", "kafka://local", "--prefix", &below]).expect_code(2);
    assert_eq!(count(&topics[0]), Some(3));
    let emptied = world.run(&["reset", "kafka://local", "--prefix", &below, "--yes"]).expect_code(0);
    assert_eq!((count(&topics[0]), count(&topics[1]), count(&other)), (Some(0), Some(0), Some(3)));
    let one = format!("kafka://local/{}", topics[0]);
    let remade =
        world.run(&["reset", &one, "--drop", "--create", "--partitions", "2", "--yes"]).expect_code(0);
    let described = told(world, &["topic", "describe", &topics[0]]);
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(2), "{described}");
    let dropped = world.run(&["reset", &one, "--drop", "--yes", "--output", "json"]).expect_code(0);
    assert_eq!(count(&topics[0]), None);
    let nothing = world.run(&["reset", &one, "--drop", "--yes"]).expect_code(0);
    let text: String = [plan, emptied, remade, dropped, nothing]
        .iter()
        .map(|ran| ran.shown())
        .collect::<Vec<_>>()
        .join("\n");
    snapshot!(world, "topics", text.replace(&start, "reset"));
}

#[test]
fn collections_and_tables_are_reset() {
    let (world, _) = shared();
    let start = name("reset");
    let below = format!("{start}_");
    let mut places = vec![("dynamodb://local".to_owned(), String::new())];
    places.extend(
        testkit::mongod()
            .map(|server| (format!("mongodb://{}/resets", server.address), "?replicaSet=tests".to_owned())),
    );
    let mut texts = Vec::new();
    for (place, options) in &places {
        let target = |end: &str| format!("{place}/{start}_{end}{options}");
        let all = format!("{place}{options}");
        for end in ["a", "b"] {
            load(world, &target(end), &["--key", "id", "--create"]);
        }
        let count = |end: &str| told(world, &["load", &target(end), "left.jsonl"])["records_count"].clone();
        let mut said = Vec::new();
        said.push(world.run(&["reset", &all, "--prefix", &below]).expect_code(2));
        assert_eq!(count("a"), 3);
        said.push(world.run(&["reset", &target("a"), "--yes"]).expect_code(0));
        assert_eq!((count("a"), count("b")), (0.into(), 3.into()));
        said.push(world.run(&["reset", &all, "--prefix", &below, "--drop", "--yes"]).expect_code(0));
        said.push(world.run(&["reset", &target("a"), "--create", "--key", "id", "--yes"]).expect_code(0));
        said.push(world.run(&["reset", &target("a"), "--create", "--key", "id", "--yes"]).expect_code(0));
        let text: Vec<String> = said.iter().map(testkit::Ran::shown).collect();
        texts.push(text.join("\n").replace(&start, "reset"));
    }
    if places.len() == 2 {
        snapshot!(world, "stores", texts.join("\n"));
    }
}

#[test]
fn documents_of_firestore_are_taken_away() {
    let Some(firestore) = testkit::firestore_emulator() else { return };
    let mut world = world();
    world.set("FIRESTORE_EMULATOR_HOST", &firestore.address);
    let collection = format!("{}_end", name("reset"));
    let target = format!("firestore://tidemill/{collection}");
    load(&world, &target, &["--key", "id"]);
    let said = world.run(&["reset", "firestore://tidemill", "--prefix", &collection, "--yes"]).expect_code(0);
    snapshot!(&world, "firestore", said.shown().replace(&collection, "planes"));
    assert_eq!(told(&world, &["load", &target, "left.jsonl"])["records_count"], 0);
}

#[test]
fn objects_below_a_prefix_go_and_no_others() {
    let (world, _) = shared();
    let prefix = name("reset");
    for end in ["a/1.jsonl", "a/2.jsonl", "b/1.jsonl"] {
        load(world, &format!("s3://lake/{prefix}/{end}"), &[]);
    }
    let target = format!("s3://lake/{prefix}/a/");
    let mut text = world.run(&["reset", &target]).expect_code(2).shown();
    text += &world.run(&["reset", &target, "--yes"]).expect_code(0).shown();
    text += &world.run(&["reset", &target, "--yes"]).expect_code(0).shown();
    let left = world.ok(&["ls", &format!("s3://lake/{prefix}/"), "--recursive"]);
    assert!(left.lines().count() == 1 && left.contains("b/1.jsonl"), "{left}");
    let start = format!("s3://lake/{prefix}/");
    text += &world.run(&["reset", &start, "--prefix", "b", "--yes"]).expect_code(0).shown();
    let bucket = name("made-bucket");
    text += &world.run(&["reset", &format!("s3://{bucket}"), "--create", "--yes"]).expect_code(0).shown();
    text += &world.run(&["reset", "planes", "--yes"]).expect_code(2).shown();
    text += &world.run(&["reset", "dynamodb://local/never", "--create", "--yes"]).expect_code(2).shown();
    snapshot!(world, "objects", text.replace(&prefix, "reset").replace(&bucket, "made"));
}

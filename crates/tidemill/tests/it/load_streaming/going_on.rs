//! Loads that are killed and go on: at every named point, at random moments, into topics with and without transactions and into
//! stores; and loads that cannot go on.

use std::{collections::BTreeSet, fs, process::Stdio, time::Instant};

use testkit::{Seeded, World, crash_points, poll, tied_to_us};

use super::{beside, brokers, finished, kcat, numbers};
use crate::{
    shared::{name, world},
    snapshot,
};

const RECORDS: usize = 600;
/// How many documents a collection has, and the sum of their numbers.
const COUNT_AND_SUM: &str = "import sys, pymongo\n\
    documents = pymongo.MongoClient(sys.argv[1]).going_on[sys.argv[2]]\n\
    print(documents.count_documents({}), sum(one['n'] for one in documents.find()))";

/// The points that a load passes.
fn points() -> Vec<String> {
    let here = |point: &String| point.starts_with("engine.") || point.starts_with("kafka.");
    crash_points().into_iter().filter(here).collect()
}

/// Resumes until a life ends by itself; gives how many did not.
fn resume_to_the_end(world: &World, die_at: Option<&str>) -> usize {
    for deaths in 0..20 {
        let mut command = world.command(&["load", "--resume", "--output", "json"]);
        if let Some(point) = die_at.filter(|_| deaths < 2) {
            command.env("TIDEMILL_DIE_AT", point);
        }
        let ran = testkit::ran(&mut command, 60);
        match ran.code {
            Some(0) => {
                assert_eq!(world.ok(&["load", "--list"]), "every load has ended\n");
                return deaths;
            }
            None => {}
            Some(_) => panic!("{}{}", ran.stdout, ran.stderr),
        }
    }
    panic!("it never ends")
}

fn values(broker: &str, topic: &str, isolation: &str) -> Option<Vec<String>> {
    let mut values = kcat(broker, topic, "%s", isolation)?;
    values.sort();
    Some(values)
}

fn expected() -> Vec<String> {
    let mut lines: Vec<String> = numbers(RECORDS).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_transaction_that_dies_is_seen_by_nobody_and_its_load_ends_as_if_nothing_had_happened() {
    let (world, parts) = beside();
    world.write("numbers.jsonl", numbers(RECORDS));
    for broker in brokers(parts) {
        let mut never_passed = Vec::new();
        for point in points() {
            for cut in [None, Some("100")] {
                let topic = name("transaction");
                let target = format!("kafka://{broker}/{topic}");
                let mut args = vec!["load", "numbers.jsonl", &target, "--create", "--transactional"];
                args.extend(cut.iter().flat_map(|records| ["--transaction-records", records]));
                let mut command = world.command(&args);
                // The whole as one has one extent.
                let die_at = if cut.is_some() { format!("{point}:2") } else { point.clone() };
                command.env("TIDEMILL_DIE_AT", &die_at);
                let ran = testkit::ran(&mut command, 60);
                if ran.code.is_some() {
                    assert_eq!(ran.code, Some(0), "{die_at}: {}{}", ran.stdout, ran.stderr);
                    never_passed.push(die_at);
                    continue;
                }
                let Some(seen) = values(&broker, &topic, "read_committed") else { return };
                let may_be_seen = match (cut, point.as_str()) {
                    (None, "kafka.transaction.after_commit") => RECORDS,
                    (None, _) => 0,
                    (Some(_), _) => RECORDS - 1,
                };
                let as_it_should = seen.len() <= may_be_seen && seen.len() % 100 == 0;
                assert!(as_it_should, "{die_at} {cut:?}: {} are seen", seen.len());
                resume_to_the_end(&world, cut.map(|_| point.as_str()));
                let found = values(&broker, &topic, "read_committed").unwrap();
                assert_eq!(found.len(), RECORDS, "{die_at} {cut:?}");
                assert!(found == expected(), "{die_at} {cut:?}: other records");
            }
        }
        let expected_not = ["engine.write.before:2", "engine.write.after:2"];
        never_passed.retain(|point| !expected_not.contains(&point.as_str()));
        assert!(never_passed.is_empty(), "never passed: {never_passed:?}");
    }
}

#[test]
fn a_transaction_killed_at_random_moments_ends_whole() {
    let (world, parts) = beside();
    world.write("numbers.jsonl", numbers(RECORDS));
    let rounds = if testkit::deep() { 60 } else { 6 };
    for seed in testkit::seeds(1) {
        let mut chance = Seeded::new(seed);
        let mut kills = 0;
        for round in 0..rounds {
            let topic = name("random");
            let target = format!("kafka://{}/{topic}", parts.kafka());
            world.ok(&["topic", "create", &topic]);
            let args = ["load", "numbers.jsonl", &target, "--transactional", "--transaction-records", "40"];
            let mut has_begun = false;
            loop {
                let args: &[&str] = if has_begun { &["load", "--resume"] } else { &args };
                let mut command = world.command(args);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                let mut load = tied_to_us(command).unwrap();
                poll::moment(chance.within(20..400));
                if load.ended().is_some() {
                    break;
                }
                load.kill();
                kills += 1;
                let manifest = |folder: fs::DirEntry| folder.path().join("load.json").is_file();
                let loads = fs::read_dir(world.path(".tidemill/loads"));
                has_begun = loads.is_ok_and(|list| list.flatten().any(manifest));
                // Killed before it had begun, or when all was done but to end.
                if !has_begun
                    && values(&parts.kafka(), &topic, "read_committed").is_none_or(|all| all.len() == RECORDS)
                {
                    break;
                }
            }
            let Some(found) = values(&parts.kafka(), &topic, "read_committed") else { return };
            assert!(found == expected(), "seed {seed}, round {round}: {} records", found.len());
            assert_eq!(world.ok(&["load", "--list"]), "every load has ended\n");
        }
        eprintln!("seed {seed}: {kills} kills in {rounds} loads");
    }
}

#[test]
fn without_transactions_only_what_follows_the_checkpoint_comes_twice() {
    let (world, parts) = beside();
    world.write("numbers.jsonl", numbers(RECORDS));
    for point in points().into_iter().filter(|point| point.starts_with("engine.commit.")) {
        let topic = name("once");
        let target = format!("kafka://{}/{topic}", parts.kafka());
        // A commit each second: the third one dies.
        let mut command = world.command(&["load", "numbers.jsonl", &target, "--create", "--rate", "150/s"]);
        command.env("TIDEMILL_DIE_AT", format!("{point}:2"));
        assert_eq!(testkit::ran(&mut command, 60).code, None, "{point}");
        resume_to_the_end(&world, None);
        let Some(found) = values(&parts.kafka(), &topic, "read_committed") else { return };
        let distinct: BTreeSet<&String> = found.iter().collect();
        assert_eq!(distinct.len(), RECORDS, "{point}: all are there");
        assert!(found.len() < RECORDS + 300, "{point}: {} records, not all again", found.len());
    }
}

#[test]
fn a_killed_load_into_a_store_goes_on_and_ends_whole() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let world = world();
    // Long enough for several batches.
    let padding = "x".repeat(800);
    let line = |number: usize| format!("{{\"n\":{number},\"padding\":\"{padding}\"}}\n");
    world.write("numbers.jsonl", (0..20_000).map(line).collect::<String>());
    for (collection, key) in [(name("keyed"), &["--key", "n"][..]), (name("placed"), &[])] {
        let target = format!("mongodb://{}/going_on/{collection}?replicaSet=tests", server.address);
        let began = Instant::now();
        let args = [&["load", "numbers.jsonl", &target], key].concat();
        let mut command = world.command(&args);
        command.env("TIDEMILL_DIE_AT", "engine.write.after:3");
        assert_eq!(testkit::ran(&mut command, 60).code, None);
        let deaths = resume_to_the_end(&world, Some("engine.commit.before_checkpoint"));
        assert!(deaths > 0, "it has died once more in {:?}", began.elapsed());
        let said = testkit::run_python(&python, COUNT_AND_SUM, &[&server.uri(""), &collection]);
        assert_eq!(said.trim(), "20000 199990000");
    }
}

/// Killed at random, each life going on where the one before ended, into a collection whose documents are known by key and one
/// whose documents are known by their place.
#[test]
fn loads_into_a_store_killed_at_random_moments_end_whole() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let world = world();
    world.write("numbers.jsonl", numbers(20_000));
    for seed in testkit::seeds(1) {
        let (mut chance, mut kills) = (Seeded::new(seed), 0);
        for key in [&["--key", "n"][..], &[]] {
            let collection = name("random");
            let target = format!("mongodb://{}/going_on/{collection}?replicaSet=tests", server.address);
            // Slow enough to be killed several times, and committed each second.
            let first = [&["load", "numbers.jsonl", &target, "--rate", "5000/s"], key].concat();
            let mut args: &[&str] = &first;
            loop {
                let mut command = world.command(args);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                let mut load = tied_to_us(command).unwrap();
                poll::moment(chance.within(1_200..2_500));
                let has_ended = load.ended().is_some();
                load.kill();
                if has_ended {
                    break;
                }
                kills += 1;
                args = &["load", "--resume"];
            }
            let said = testkit::run_python(&python, COUNT_AND_SUM, &[&server.uri(""), &collection]);
            assert_eq!(said.trim(), "20000 199990000", "seed {seed}: {key:?} after {kills} kills");
        }
        eprintln!("seed {seed}: {kills} kills");
    }
}

#[test]
fn a_limit_and_rounds_are_kept_over_lives() {
    let (world, parts) = beside();
    world.write("a.jsonl", numbers(40));
    let topic = name("limited");
    let target = format!("kafka://{}/{topic}", parts.kafka());
    let args = ["load", "a.jsonl", &target, "--create", "--loop", "9", "--limit", "130", "--transactional"];
    let mut command = world.command(&[&args[..], &["--transaction-records", "30"]].concat());
    command.env("TIDEMILL_DIE_AT", "engine.commit.after_checkpoint:3");
    assert_eq!(testkit::ran(&mut command, 60).code, None);
    resume_to_the_end(&world, None);
    let Some(found) = values(&parts.kafka(), &topic, "read_committed") else { return };
    assert_eq!(found.len(), 130);
    assert_eq!(found.iter().filter(|value| value.contains("\"n\":9,")).count(), 4);
    assert_eq!(found.iter().filter(|value| value.contains("\"n\":10,")).count(), 3);
}

#[test]
fn a_load_that_was_interrupted_says_how_it_goes_on() {
    let (world, parts) = beside();
    world.write("a.jsonl", numbers(400));
    let topic = name("interrupted");
    let target = format!("kafka://{}/{topic}", parts.kafka());
    world.ok(&["topic", "create", &topic]);
    let log = fs::File::create(world.path("load.log")).unwrap();
    let mut command = world.command(&["load", "a.jsonl", &target, "--rate", "100/s"]);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let mut load = tied_to_us(command).unwrap();
    let has_position = || {
        let loads = fs::read_dir(world.path(".tidemill/loads")).ok()?.next()?.ok()?;
        let id = loads.file_name().to_string_lossy().into_owned();
        fs::read_to_string(loads.path().join(format!("{id}.json"))).ok()?.contains("mark").then_some(())
    };
    poll::until("a checkpoint", 20_000, has_position);
    let listed = world.ok(&["load", "--list"]);
    assert!(listed.contains("running"), "{listed}");
    let second = world.run(&["load", "--resume"]).expect_code(2);
    load.interrupt();
    let status = poll::until("the load ends", 10_000, || load.ended());
    assert_eq!(status.code(), Some(130));
    let said = fs::read_to_string(world.path("load.log")).unwrap();
    let help = said.lines().find(|line| line.contains("help: ")).unwrap_or_default();
    assert!(help.contains("go on where it ended: tidemill load --resume interrupted-"), "{said}");
    let told = finished(&world.ok(&["load", "--resume", "--output", "json"]));
    let before: usize = said.lines().find_map(|line| line.split(" records (").next()?.parse().ok()).unwrap();
    assert_eq!(told["records_count"].as_u64().unwrap() as usize + before, 400, "{said}");
    let Some(found) = values(&parts.kafka(), &topic, "read_committed") else { return };
    assert_eq!(found.len(), 400, "nothing came twice");
    snapshot!(&world, "running", second.shown());
}

#[test]
fn what_cannot_go_on_is_said() {
    let (world, parts) = beside();
    let topic = name("changed");
    let target = format!("kafka://{}/{topic}", parts.kafka());
    let mut text = vec![world.run(&["load", "--resume"]).expect_code(2).shown()];
    let die = |args: &[&str]| {
        let mut command = world.command(args);
        command.env("TIDEMILL_DIE_AT", "engine.commit.after_checkpoint");
        assert_eq!(testkit::ran(&mut command, 60).code, None);
    };
    world.write("a.jsonl", numbers(3));
    die(&["load", "a.jsonl", &target, "--create"]);
    world.write("a.jsonl", numbers(4));
    text.push(world.run(&["load", "--resume"]).expect_code(6).shown());
    fs::remove_file(world.path("a.jsonl")).unwrap();
    text.push(world.run(&["load", "--resume"]).shown());
    world.write("a.jsonl", numbers(5));
    let accepted = world.ok(&["load", "--resume", "--accept-changes", "--output", "json"]);
    assert_eq!(finished(&accepted)["records_count"], serde_json::json!(2), "those behind the position");
    world.write("b.jsonl", numbers(3));
    for _ in 0..2 {
        die(&["load", "b.jsonl", &target]);
    }
    text.push(world.run(&["load", "--resume"]).expect_code(2).shown());
    text.push(world.run(&["load", "--resume", "nothing"]).expect_code(2).shown());
    text.push(world.ok(&["load", "--list"]));
    snapshot!(&world, "cannot", text.join("\n").replace(&topic, "TOPIC"));
}

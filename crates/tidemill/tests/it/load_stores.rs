//! `tidemill load` into stores: all rows with their types, as other people's clients read them; loaded twice, killed in the
//! middle and loaded again, and with rows that are no good.

use std::{fs, path::PathBuf, process::Stdio, time::Instant};

use testkit::{Mongod, Ran, Seeded, World, poll, tied_to_us};

use crate::{shared::world, snapshot};

const PLANES: &str = "3322";

/// The planes of the example project.
fn planes(world: &World) -> PathBuf {
    let text = include_str!("../../../../examples/flights/planes.csv");
    world.write("data/planes.csv", text)
}

/// Reads with pymongo; gives what the script prints.
#[track_caller]
fn compare(server: &Mongod, file: &str, collections: &[String]) -> Option<String> {
    let python = testkit::venv_python("dlt")?;
    let uri = server.uri("");
    let mut args = vec![uri.as_str(), "load_stores", file];
    args.extend(collections.iter().map(String::as_str));
    Some(testkit::run_python(&python, include_str!("load_stores/mongodb.py"), &args).trim().to_owned())
}

/// What was said, without the lines that a slow machine gets meanwhile.
fn shown(ran: &Ran) -> String {
    let text = ran.shown();
    let lines = text.lines().filter(|line| !line.contains(" records  "));
    lines.map(|line| line.to_owned() + "\n").collect()
}

fn target(server: &Mongod, collection: &str) -> String {
    format!("mongodb://{}/load_stores/{collection}?replicaSet=tests", server.address)
}

#[test]
fn planes_become_documents_and_a_second_load_changes_nothing() {
    let Some(server) = testkit::mongod() else { return };
    let mut world = world();
    let path = planes(&world).to_string_lossy().into_owned();
    let args = |target: &str| ["load", "data/planes.csv", target, "--key", "tailnum"].map(str::to_owned);
    for round in ["first", "again"] {
        let args = args(&target(server, "planes"));
        let ran = world.run(&args.each_ref().map(String::as_str));
        snapshot!(&world, format!("load {round}"), shown(&ran));
        let Some(count) = compare(server, &path, &["planes".to_owned()]) else { return };
        assert_eq!(count, PLANES);
    }
    // The same through a connection.
    world.set("AIRFLOW_CONN_FLEET", &format!("mongo://{}/load_stores?replicaSet=tests", server.address));
    let args = args("mongodb://fleet/by_connection");
    world.ok(&args.each_ref().map(String::as_str));
    assert_eq!(compare(server, &path, &["by_connection".to_owned()]).as_deref(), Some(PLANES));
    assert_eq!(world.ok(&["connections", "test", "fleet"]).split(' ').nth(2), Some("MongoDB"));
    // Without a key, each row is known by its place.
    for _ in 0..2 {
        world.ok(&["load", "data/planes.csv", &target(server, "by_place"), "--output", "json"]);
    }
    assert_eq!(compare(server, "-", &["by_place".to_owned()]).as_deref(), Some(PLANES));
}

/// What `mongoexport` wrote: ids, dates and decimals are those again, with a key or without.
#[test]
fn exported_documents_come_back_with_their_types() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let world = world();
    let lines: String = (0..3)
        .map(|number| {
            format!(
                "{{\"_id\":{{\"$oid\":\"65010203040506070809000{number}\"}},\"at\":{{\"$date\":\"2024-02-29T12:00:00Z\"}},\
                 \"price\":{{\"$numberDecimal\":\"1.10\"}},\"n\":{{\"$numberLong\":\"{number}\"}}}}\n"
            )
        })
        .collect();
    world.write("exported.jsonl", &lines);
    for (name, more) in [("exported", &[][..]), ("exported_by_key", &["--key", "n"][..])] {
        let target = target(server, name);
        world.ok(&[&["load", "exported.jsonl", &target][..], more].concat());
        let script = "import sys, pymongo\n\
                      found = pymongo.MongoClient(sys.argv[1]).load_stores[sys.argv[2]].find().sort('_id')\n\
                      print([[type(one[name]).__name__ for name in ('_id', 'at', 'price', 'n')] + [str(one['_id']), one['n']] for one in found])";
        let found = testkit::run_python(&python, script, &[&server.uri(""), name]);
        let of = |number: u8| {
            format!(
                "['ObjectId', 'datetime', 'Decimal128', 'Int64', '65010203040506070809000{number}', {number}]"
            )
        };
        assert_eq!(found.trim(), format!("[{}, {}, {}]", of(0), of(1), of(2)), "{name}");
    }
}

#[test]
fn rows_that_are_no_good_are_said_or_kept_aside() {
    let Some(server) = testkit::mongod() else { return };
    let mut world = world();
    world.write("bad.csv", "tailnum,year\nN1,2001\n,2002\nN3\nN4,2004\n");
    let to = target(server, "bad");
    let stopped = world.run(&["load", "bad.csv", &to, "--key", "tailnum"]).expect_code(6);
    snapshot!(&world, "stopped", shown(&stopped));
    let aside = ["load", "bad.csv", &to, "--key", "tailnum", "--on-error", "dead-letter"];
    snapshot!(&world, "dead letters", shown(&world.run(&aside).expect_code(0)));
    assert_eq!(compare(server, "-", &["bad".to_owned()]).as_deref().unwrap_or("2"), "2");
    let folder = world.path(".tidemill/dead-letters/bad");
    let letters =
        fs::read_dir(folder).unwrap().flatten().map(|file| fs::read_to_string(file.path()).unwrap());
    let letters: String = letters.collect();
    assert!(letters.contains("bad.csv:3:1") && letters.contains("bad.csv:4:3"), "{letters}");
    world.set("AIRFLOW_CONN_PAGE", "http://example.com");
    let mut text = world.run(&["load", "bad.csv", "mongodb://page/x"]).expect_code(3).shown();
    text += &world.run(&["load", "bad.csv", "mongodb://me:hunter2@127.0.0.1/x"]).expect_code(2).shown();
    text += &world.run(&["load", "bad.csv", "elsewhere://x/y"]).expect_code(2).shown();
    text += &world.run(&["load", "bad.csv", &to, "--serializer", "avro"]).expect_code(2).shown();
    text += &world.run(&["load", "bad.csv", &to, "--key", "tail"]).expect_code(2).shown();
    assert!(!text.contains("hunter2"), "{text}");
    snapshot!(&world, "refused", text);
}

/// Places of each kind that killed loads leave half full, and how often, before one comes to its end. With those of `crash` that
/// are more than 200 kills.
const PLACES_COUNT: usize = 8;
const KILLS_PER_PLACE: usize = 5;

/// One load that nobody disturbs, then places into which loads are killed at random moments, one after the other, before one
/// is not; gives the names of the places. `target` makes an address of a name.
fn killed(world: &World, kind: &str, target: impl Fn(&str) -> String, words: &[&str]) -> Vec<String> {
    let args = |name: &str| {
        let mut args = vec!["load".to_owned(), words[0].to_owned(), target(name)];
        args.extend(words[1..].iter().map(|word| (*word).to_owned()));
        args
    };
    let run = |name: &str| {
        let args = args(name);
        let mut command = world.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        testkit::ran(&mut command, 300).expect_success()
    };
    let mut names = vec![format!("{kind}_whole")];
    let began = Instant::now();
    run(&names[0]);
    let whole_ms = began.elapsed().as_millis() as u64;
    for seed in testkit::seeds(1) {
        let mut chance = Seeded::new(seed);
        for place in 1..=if testkit::deep() { 5 * PLACES_COUNT } else { PLACES_COUNT } {
            let name = format!("{kind}_{seed}_{place}");
            let args = args(&name);
            let mut kills_count = 0;
            while kills_count < KILLS_PER_PLACE {
                let mut command = world.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
                command.stdout(Stdio::null()).stderr(Stdio::null());
                let mut load = tied_to_us(command).unwrap();
                poll::moment(chance.within(whole_ms / 4..whole_ms));
                kills_count += usize::from(load.ended().is_none());
                load.kill();
            }
            run(&name);
            names.push(name);
        }
    }
    names
}

#[test]
fn a_killed_load_into_mongod_is_made_whole_by_the_next() {
    let Some(server) = testkit::mongod() else { return };
    let world = world();
    planes(&world);
    let words = ["data/planes.csv", "--key", "tailnum"];
    for (kind, words) in [("keyed", &words[..]), ("placed", &words[..1])] {
        let names = killed(&world, kind, |name| target(server, name), words);
        let Some(count) = compare(server, "-", &names) else { return };
        assert_eq!(count, PLANES);
    }
}

/// Reads with boto3; gives what the script prints.
#[track_caller]
fn compare_tables(endpoint: &str, file: &str, tables: &[String]) -> Option<String> {
    let python = testkit::venv_python("servers")?;
    let mut args = vec![endpoint, file];
    args.extend(tables.iter().map(String::as_str));
    Some(testkit::run_python(&python, include_str!("load_stores/dynamodb.py"), &args).trim().to_owned())
}

#[test]
fn planes_become_items_and_a_killed_load_is_made_whole() {
    let mut world = world();
    let endpoint = world.up_with(&["--only", "dynamodb"]).dynamodb();
    let path = planes(&world).to_string_lossy().into_owned();
    let key = ["--key", "tailnum", "--create"];
    let missing = world.run(&["load", "data/planes.csv", "dynamodb://local/planes", "--key", "tailnum"]);
    snapshot!(&world, "no table", shown(&missing.expect_code(3)));
    let keyless = world.run(&["load", "data/planes.csv", "dynamodb://local/planes", "--create"]);
    snapshot!(&world, "no key", shown(&keyless.expect_code(2)));
    for _ in 0..2 {
        world.ok(&[&["load", "data/planes.csv", "dynamodb://local/planes"], &key[..]].concat());
        let Some(count) = compare_tables(&endpoint, &path, &["planes".to_owned()]) else { return };
        assert_eq!(count, PLANES);
    }
    // A key that is a number in JSON, which has no column to look at beforehand.
    let numbers: String = (0..300).map(|n| format!("{{\"n\":{n},\"tailnum\":\"N{n}\"}}\n")).collect();
    world.write("data/numbers.jsonl", numbers);
    for _ in 0..2 {
        world.ok(&["load", "data/numbers.jsonl", "dynamodb://local/numbers", "--key", "n", "--create"]);
    }
    assert_eq!(compare_tables(&endpoint, "-", &["numbers".to_owned()]).as_deref(), Some("300"));
    // Fewer, as a table is slower.
    let words = [&["data/planes.csv"], &key[..], &["--limit", "900"]].concat();
    let names = killed(&world, "table", |name| format!("dynamodb://local/{name}"), &words);
    assert_eq!(compare_tables(&endpoint, "-", &names).as_deref(), Some("900"));
}

/// The bank's payments in a topic, read by kcat; its customers in MongoDB, counted by pymongo.
#[test]
fn generated_records_arrive_with_their_references() {
    let (world, parts) = crate::shared::shared();
    let topic = crate::shared::name("payments");
    let source = "generate:finance.transactions?count=20000&customers=50";
    let to = format!("kafka://local/{topic}");
    let said = world.ok(&["load", source, &to, "--key", "card_id", "--create", "--output", "json"]);
    let said: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(said["records_count"], 20_000);
    let Some(kcat) = testkit::kcat() else { return };
    let mut read = std::process::Command::new(kcat);
    read.args(["-b", &parts.kafka(), "-C", "-t", &topic, "-o", "beginning", "-e", "-q", "-f", "%k\t%s\n"]);
    let lines = testkit::ran(&mut read, 60).expect_success();
    let mut clients: Vec<(u64, u64)> = Vec::new();
    for line in lines.lines() {
        let (key, value) = line.split_once('\t').unwrap();
        let paid: serde_json::Value = serde_json::from_str(value).unwrap();
        assert_eq!(paid["card_id"].to_string(), key);
        clients.push((paid["card_id"].as_u64().unwrap(), paid["client_id"].as_u64().unwrap()));
    }
    assert_eq!(clients.len(), 20_000);
    let Some(server) = testkit::mongod() else { return };
    let cards = "generate:finance.cards?customers=50";
    let said = world.ok(&["load", cards, &target(server, "cards"), "--key", "id", "--output", "json"]);
    let said: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(said["records_count"], 148);
    let Some(python) = testkit::venv_python("dlt") else { return };
    let script = "import sys, json, pymongo\n\
                  cards = pymongo.MongoClient(sys.argv[1]).load_stores.cards\n\
                  print(json.dumps({str(card['id'] if 'id' in card else card['_id']): card['client_id'] for card in cards.find()}))";
    let cards = testkit::run_python(&python, script, &[&server.uri("")]);
    let owners: std::collections::HashMap<String, u64> = serde_json::from_str(&cards).unwrap();
    for (card, client) in clients {
        assert_eq!(owners.get(&card.to_string()), Some(&client), "card {card}");
    }
}

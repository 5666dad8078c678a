//! Dead letters: listed, shown, sent again, edited and sent again, removed; and the events of a load that has some.

use std::fs;

use serde_json::json;
use testkit::World;

use super::{beside, events, kcat};
use crate::{
    shared::{name, world},
    snapshot,
};

const CONTRACT: &str = r#"{"title":"Order","type":"object","additionalProperties":false,"required":["id"],
    "properties":{"id":{"type":"integer"},"region":{"type":["string","null"]}}}"#;
const ROWS: &str = "id,region\n1,eu\nx,us\n3,us\n4\n5,\n";

/// Changes what lies in a folder of dead letters, as an editor would.
pub(crate) fn edit(world: &World, folder: &str, from: &str, to: &str) {
    for file in fs::read_dir(world.path(&format!(".tidemill/dead-letters/{folder}"))).unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(file.path(), text.replace(from, to)).unwrap();
    }
}

#[test]
fn refused_records_are_mended_and_sent_again() {
    let (world, parts) = beside();
    let topic = name("letters");
    let target = format!("kafka://{}/{topic}", parts.kafka());
    world.write(&format!("contracts/{topic}.json"), CONTRACT);
    world.write("orders.csv", ROWS);
    assert_eq!(world.ok(&["dead-letters", "list"]), "no record was refused\n");
    let load = ["load", "orders.csv", &target, "--create", "--contract", &topic, "--key", "id"];
    let told = events(&world.ok(&[&load[..], &["--on-error", "dead-letter", "--output", "json"]].concat()));
    let rejected: Vec<_> = told.iter().filter(|event| event["event"] == "rejected").collect();
    assert_eq!(rejected.len(), 2, "{told:?}");
    assert_eq!(rejected[0]["place"], json!("orders.csv:3"));
    let last = told.last().unwrap();
    assert_eq!((&last["records_count"], &last["rejected_count"]), (&json!(3), &json!(2)));
    let run = |args: &[&str]| world.run(&[&["dead-letters"], args].concat()).shown();
    let mut text = vec![run(&["list"]), run(&["show", &topic]), run(&["show", &topic, "--limit", "1"])];
    text.push(run(&["retry", &topic]));
    edit(&world, &topic, "x,us", "2,us");
    text.push(run(&["retry", &topic]));
    text.push(run(&["list"]));
    edit(&world, &topic, "\"value\":\"4\"", "\"value\":\"4,eu\"");
    text.push(run(&["retry", &topic]));
    text.push(run(&["list"]));
    text.push(run(&["show", &topic]));
    snapshot!(&world, "mended", text.join("\n").replace(&topic, "TOPIC"));
    assert!(
        !world.path(".tidemill/loads").exists()
            || fs::read_dir(world.path(".tidemill/loads")).unwrap().count() == 0
    );
    let Some(mut keys) = kcat(&parts.kafka(), &topic, "%k", "read_committed") else { return };
    keys.sort();
    assert_eq!(keys, ["1", "2", "3", "4", "5"]);
}

#[test]
fn letters_of_a_store_keep_their_place_and_can_be_removed() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let world = world();
    let collection = name("letters");
    let target = format!("mongodb://{}/letters/{collection}?replicaSet=tests", server.address);
    // The third row is short; the fourth becomes too short by hand.
    world.write("planes.csv", "tailnum,year\nN1,2001\nN2\nN3,2003\nN4\n");
    world.ok(&["load", "planes.csv", &target, "--on-error", "dead-letter"]);
    let script = "import sys, pymongo\n\
                  planes = pymongo.MongoClient(sys.argv[1]).letters[sys.argv[2]].find()\n\
                  print(sorted((str(one['tailnum']), one['year']) for one in planes))";
    let planes = || testkit::run_python(&python, script, &[&server.uri(""), &collection]).trim().to_owned();
    assert_eq!(planes(), "[('N1', 2001), ('N3', 2003)]");
    edit(&world, &collection, "\"value\":\"N2\"", "\"value\":\"N2,2002\"");
    let ran = world.run(&["dead-letters", "retry", &collection]).expect_code(6);
    assert!(ran.stdout.starts_with("1 record to "), "{}", ran.stdout);
    // Its type is the column's in the file, not what the letters alone look like.
    assert_eq!(planes(), "[('N1', 2001), ('N2', 2002), ('N3', 2003)]");
    let said = world.ok(&["dead-letters", "rm", &collection]);
    assert_eq!(said, format!("1 record of {collection} removed\n"));
    assert_eq!(world.ok(&["dead-letters", "list"]), "no record was refused\n");
    let mut text = world.run(&["dead-letters", "retry", "nothing"]).expect_code(2).shown();
    world.write(
        ".tidemill/dead-letters/lake/planes/a+start.jsonl",
        "{\"place\":\"planes/N1\",\"value\":\"{}\"}\n",
    );
    text += &world.run(&["dead-letters", "show", "nothing"]).expect_code(2).shown();
    text += &world.run(&["dead-letters", "retry", "lake/planes"]).expect_code(6).shown();
    world.write(".tidemill/dead-letters/lake/planes/a+start.jsonl", "{\"place\":\"planes/N1\",\n");
    text += &world.run(&["dead-letters", "show", "lake/planes"]).expect_code(6).shown();
    snapshot!(&world, "refused", text);
}

/// A record of CSV has its columns with it, and the types that they had.
#[test]
fn letters_are_sent_again_when_their_file_is_gone() {
    let Some(server) = testkit::mongod() else { return };
    let Some(python) = testkit::venv_python("dlt") else { return };
    let (world, parts) = beside();
    let collection = name("letters");
    let store = format!("mongodb://{}/letters/{collection}?replicaSet=tests", server.address);
    world.write("planes.csv", "tailnum;year;seats\nN1;2001;5\n'N;2';2002\nN3;2003;7\n");
    let reading =
        ["--delimiter", ";", "--quote", "'", "--rename", "tailnum=tail", "--columns", "tailnum,seats,year"];
    world.ok(&[&["load", "planes.csv", &store, "--on-error", "dead-letter"], &reading[..]].concat());
    fs::remove_file(world.path("planes.csv")).unwrap();
    edit(&world, &collection, "'N;2';2002", "'N;2';2002;6");
    assert_eq!(world.ok(&["dead-letters", "retry", &collection]), format!("1 record to {collection}\n"));
    let script = "import sys, pymongo\n\
                  planes = pymongo.MongoClient(sys.argv[1]).letters[sys.argv[2]].find()\n\
                  print(sorted((one['tail'], one['year'], one['seats']) for one in planes))";
    let planes = testkit::run_python(&python, script, &[&server.uri(""), &collection]);
    assert_eq!(planes.trim(), "[('N1', 2001, 5), ('N3', 2003, 7), ('N;2', 2002, 6)]");
    // Standard input is always gone.
    let topic = name("letters");
    world.write(&format!("contracts/{topic}.json"), CONTRACT);
    let target = format!("kafka://{}/{topic}", parts.kafka());
    let load = ["load", "-", &target, "--create", "--contract", &topic, "--key", "id", "--format", "csv"];
    let mut command = world.command(&[&load[..], &["--on-error", "dead-letter"]].concat());
    world.write("orders.csv", ROWS);
    command.stdin(fs::File::open(world.path("orders.csv")).unwrap());
    assert!(command.output().unwrap().status.success());
    edit(&world, &topic, "x,us", "2,us");
    world.run(&["dead-letters", "retry", &topic]).expect_code(6);
    edit(&world, &topic, "\"value\":\"4\"", "\"value\":\"4,eu\"");
    assert_eq!(world.ok(&["dead-letters", "retry", &topic]), format!("1 record to {topic}\n"));
    // Letters of a version that kept no columns.
    let topic = name("letters");
    world.write(&format!("contracts/{topic}.json"), CONTRACT);
    let target = format!("kafka://{}/{topic}", parts.kafka());
    world.ok(&["load", "orders.csv", &target, "--create", "--contract", &topic, "--on-error", "dead-letter"]);
    fs::remove_file(world.path("orders.csv")).unwrap();
    edit(&world, &topic, "tidemill.columns", "other");
    let text = world.run(&["dead-letters", "retry", &topic]).expect_code(3).shown();
    snapshot!(&world, "columns gone", text.replace(&topic, "TOPIC"));
}

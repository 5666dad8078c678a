//! Dead letters of loads into files: mended and sent again they are one more file beside the load's own, with its format and columns,
//! and none of them comes twice, whatever is killed.

use std::fs;

use serde_json::{Value, json};
use testkit::World;

use crate::{
    load_streaming::letters::edit,
    shared::{beside, name, shared, world},
    snapshot,
};

const CSV: &str = "id,price,day\n1,1.5,2013-01-31\n2\n3,2.25,2013-02-01\n4\n";
const ASIDE: [&str; 2] = ["--on-error", "dead-letter"];

fn load(world: &World, words: &[&str]) {
    world.ok(&[&["load"], words, &ASIDE[..]].concat());
}

fn retry(world: &World, name: &str, code: i32) -> String {
    world.run(&["dead-letters", "retry", name]).expect_code(code).stdout
}

/// The records of a file here or of an object, as JSON.
fn cat(world: &World, file: &str) -> Vec<String> {
    world.ok(&["convert", file, "shown/as.jsonl"]);
    fs::read_to_string(world.path("shown/as.jsonl")).unwrap().lines().map(str::to_owned).collect()
}

/// Loads of which something is kept.
fn loads_count(world: &World) -> usize {
    fs::read_dir(world.path(".tidemill/loads")).into_iter().flatten().count()
}

#[test]
fn what_is_mended_becomes_a_file_beside_the_loads_own() {
    let world = world();
    world.write("in.csv", CSV);
    let mut texts = Vec::new();
    for file in ["a.jsonl", "b.csv.gz", "c.parquet", "d.avro", "e.json", "out/f.ndjson"] {
        load(&world, &["in.csv", file]);
        let (of, own) = (file.rsplit('/').next().unwrap(), fs::read(world.path(file)).unwrap());
        edit(&world, of, "\"value\":\"2\"", "\"value\":\"2,7,2013-03-01\"");
        let mut said = vec![retry(&world, of, 6)];
        edit(&world, of, "\"value\":\"4\"", "\"value\":\"4,,\"");
        said.push(retry(&world, of, 0));
        assert_eq!(world.ok(&["dead-letters", "list"]), "no record was refused\n");
        assert!(fs::read(world.path(file)).unwrap() == own, "{file}");
        for said in &said {
            let beside = said.trim().rsplit(": ").next().unwrap();
            texts.extend([said.trim().to_owned(), cat(&world, beside).join("\n")]);
        }
    }
    snapshot!(&world, "beside", texts.join("\n"));
    assert_eq!(loads_count(&world), 0);
}

/// A folder's parts are counted on, with the columns that the others have, by the same contract and mapping, whatever has become of the
/// load's input; `convert` does as `load`.
#[test]
fn letters_of_a_folder_are_its_next_part() {
    let world = world();
    world.write("in.csv", CSV);
    world.write("rows.jsonl", "{\"n\":1,\"more\":{\"a\":true}}\n[\n{\"n\":2.5}\n");
    let rows = ["--target-format", "parquet"];
    world.ok(&[&["convert", "in.csv", "parts/"], &rows[..], &ASIDE].concat());
    load(&world, &[&["rows.jsonl", "rows/"], &rows[..]].concat());
    fs::remove_file(world.path("in.csv")).unwrap();
    fs::remove_file(world.path("rows.jsonl")).unwrap();
    edit(&world, "parts", "\"value\":\"2\"", "\"value\":\"2,7,\"");
    edit(&world, "rows", "\"value\":\"[\"", "\"value\":\"{\\\"n\\\":3}\"");
    fs::create_dir(world.path("elsewhere")).unwrap();
    let project = world.folder().to_string_lossy().into_owned();
    let mut command = world.command(&["--project", &project, "dead-letters", "retry", "rows"]);
    command.current_dir(world.path("elsewhere"));
    let said = testkit::ran(&mut command, 60).expect_success();
    assert_eq!(said, "1 record to rows: rows/part-00001.parquet\n");
    assert_eq!(retry(&world, "parts", 6), "1 record to parts: parts/part-00001.parquet\n");
    assert_eq!(cat(&world, "parts/part-00001.parquet"), ["{\"id\":2,\"price\":7.0,\"day\":null}"]);
    assert_eq!(cat(&world, "rows/").len(), 3);
    let Some(python) = testkit::python() else { return };
    let script = "import sys, pyarrow.parquet\n\
                  print(len({str(pyarrow.parquet.read_schema(path)) for path in sys.argv[1:]}))";
    for folder in ["parts", "rows"] {
        let files = ["00000", "00001"].map(|part| world.path(&format!("{folder}/part-{part}.parquet")));
        let files = files.each_ref().map(|file| file.to_str().unwrap());
        assert_eq!(testkit::run_python(&python, script, &files).trim(), "1", "{folder}");
    }
}

/// Records with types, which a contract refuses and then takes.
#[test]
fn typed_records_keep_their_types() {
    let world = world();
    world.write("in.csv", "id,price,day\n1,1.5,2013-01-31\n2,,2013-02-01\n");
    world.ok(&["convert", "in.csv", "in.avro"]);
    let contract = |price: &str| {
        let day = r#"{"type":"int","logicalType":"date"}"#;
        let field = |name: &str, kind: &str| format!(r#"{{"name":"{name}","type":{kind}}}"#);
        let fields = [field("id", "\"long\""), field("price", price), field("day", day)].join(",");
        format!(r#"{{"type":"record","name":"Row","fields":[{fields}]}}"#)
    };
    world.write("contracts/row.avsc", contract("\"double\""));
    load(&world, &["in.avro", "out.parquet", "--contract", "row"]);
    let shown = world.ok(&["dead-letters", "show", "out.parquet", "--output", "json"]);
    assert!(shown.contains("tidemill.types"), "{shown}");
    world.run(&["dead-letters", "retry", "out.parquet"]).expect_code(6);
    assert!(!world.path("out.retry-00001.parquet").exists(), "no file without records");
    world.write("contracts/row.avsc", contract("[\"double\",\"null\"]"));
    retry(&world, "out.parquet", 0);
    assert_eq!(cat(&world, "out.retry-00001.parquet"), ["{\"id\":2,\"price\":null,\"day\":\"2013-02-01\"}"]);
}

/// What the contract's stage lets through and the format does not take: the letter has the record all the same.
#[test]
fn what_a_format_refuses_is_kept_as_it_came() {
    let world = world();
    world.write("in.csv", "id,day\n1,2013-01-31\n2,2013-02-01\n");
    world.ok(&["convert", "in.csv", "in.avro"]);
    let contract =
        r#"{"title":"Row","type":"object","properties":{"id":{"type":"integer"},"day":{"type":"string"}}}"#;
    world.write("contracts/row.json", contract);
    for file in ["out.parquet", "out.avro"] {
        load(&world, &["in.avro", file, "--contract", "row"]);
        let shown = world.ok(&["dead-letters", "show", file, "--output", "json"]);
        let letters: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(letters.len(), 2, "{shown}");
        for (letter, day) in letters.iter().zip(["2013-01-31", "2013-02-01"]) {
            assert_eq!(letter["code"], "TM0601", "{shown}");
            let record: Value = serde_json::from_str(letter["value"].as_str().unwrap()).unwrap();
            assert_eq!(
                (&record["day"], &letter["headers"][0]["name"]),
                (&json!(day), &json!("tidemill.types"))
            );
        }
    }
}

#[test]
fn letters_that_die_on_their_way_arrive_once() {
    for target in ["out.jsonl", "parts/"] {
        for point in
            ["output.part.before", "objects.commit.before_complete", "output.file.after", "letters.sent"]
        {
            let world = world();
            world.write("in.csv", CSV);
            load(&world, &["in.csv", target]);
            let of = target.trim_end_matches('/');
            edit(&world, of, "\"value\":\"2\"", "\"value\":\"2,7,\"");
            let mut command = world.command(&["dead-letters", "retry", of]);
            command.env("TIDEMILL_DIE_AT", point);
            assert_eq!(testkit::ran(&mut command, 60).code, None, "{point}");
            // What has arrived is not sent in other words.
            edit(&world, of, "\"value\":\"4\"", "\"value\":\"4,8,\"");
            retry(&world, of, 0);
            let mut ids: Vec<String> = Vec::new();
            let folder = if target == "parts/" { world.path("parts") } else { world.folder().to_owned() };
            for file in fs::read_dir(folder).unwrap().flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                assert!(!name.contains('#'), "{point}: {name}");
                if name.ends_with(".jsonl") {
                    let text = fs::read_to_string(file.path()).unwrap();
                    ids.extend(text.lines().map(|line| line.split(',').next().unwrap().to_owned()));
                }
            }
            ids.sort();
            assert_eq!(ids, [1, 2, 3, 4].map(|id| format!("{{\"id\":{id}")), "{point} {target}");
            assert_eq!(loads_count(&world), 0, "{point}");
        }
    }
}

/// Its files are not there yet: it is loaded whole, and makes its dead letters anew.
#[test]
fn letters_of_a_load_that_was_killed_wait_for_it() {
    let world = world();
    world.write("in.csv", CSV);
    let mut command = world.command(&[&["load", "in.csv", "out.jsonl"], &ASIDE[..]].concat());
    command.env("TIDEMILL_DIE_AT", "objects.commit.before_complete");
    assert_eq!(testkit::ran(&mut command, 60).code, None);
    let refused = world.run(&["dead-letters", "retry", "out.jsonl"]).expect_code(6);
    assert!(refused.stderr.contains("was cut off before its files were there"), "{}", refused.shown());
    world.ok(&["load", "--resume"]);
    let shown = world.ok(&["dead-letters", "show", "out.jsonl", "--output", "json"]);
    assert_eq!((shown.lines().count(), cat(&world, "out.jsonl").len()), (2, 2), "{shown}");
    edit(&world, "out.jsonl", "\"value\":\"2\"", "\"value\":\"2,7,\"");
    assert_eq!(retry(&world, "out.jsonl", 6), "1 record to out.jsonl: out.retry-00001.jsonl\n");
}

#[test]
fn letters_of_objects_become_objects() {
    let gcs = testkit::fake_gcs();
    let mut own = world();
    let bucket = name("letters");
    if let Some(gcs) = &gcs {
        gcs.create_bucket(&bucket);
        own.set("STORAGE_EMULATOR_HOST", &gcs.endpoint);
    }
    let (s3, _) = shared();
    let prefix = name("letters");
    let mut places = vec![(s3, format!("s3://lake/{prefix}"))];
    if gcs.is_some() {
        places.push((&own, format!("gs://{bucket}/{prefix}")));
    }
    for (world, place) in places {
        world.write("letters.csv", CSV);
        for (file, of, beside) in [
            ("one-letters.csv.gz", "one-letters.csv.gz", "one-letters.retry-00001.csv.gz"),
            ("many-letters/", "many-letters", "many-letters/part-00001.jsonl"),
        ] {
            load(world, &["letters.csv", &format!("{place}/{file}")]);
            edit(world, of, "\"value\":\"2\"", "\"value\":\"2,7,\"");
            let said = retry(world, of, 6);
            assert_eq!(said, format!("1 record to {of}: {place}/{beside}\n"));
            assert_eq!(cat(world, &format!("{place}/{beside}")).len(), 1);
            assert_eq!(cat(world, &format!("{place}/{file}")).len(), if file.ends_with('/') { 3 } else { 2 });
            world.ok(&["dead-letters", "rm", of]);
        }
    }
}

/// A letter's place is an object of Google's: sent again with the columns that it had, into files, objects, a topic and a collection, when the
/// object is gone.
#[test]
fn letters_of_googles_objects_know_their_place() {
    let Some(gcs) = testkit::fake_gcs() else { return };
    let (mut world, parts) = beside();
    let (bucket, topic) = (name("letters"), name("letters"));
    gcs.create_bucket(&bucket);
    world.set("STORAGE_EMULATOR_HOST", &gcs.endpoint);
    for object in ["a.csv", "b.csv"] {
        let upload =
            format!("{}/upload/storage/v1/b/{bucket}/o?uploadType=media&name=in/{object}", gcs.endpoint);
        testkit::http("POST", &upload, CSV).expect(200);
    }
    let from = format!("gs://{bucket}/in/*.csv");
    let mut targets = vec![
        ("out.jsonl".to_owned(), "out.jsonl".to_owned(), vec![]),
        (format!("gs://{bucket}/out/"), "out".to_owned(), vec![]),
        (format!("kafka://{}/{topic}", parts.kafka()), topic.clone(), vec!["--create"]),
    ];
    if let Some(server) = testkit::mongod() {
        let address = format!("mongodb://{}/letters/{topic}-c?replicaSet=tests", server.address);
        targets.push((address, format!("{topic}-c"), vec![]));
    }
    for (target, _, more) in &targets {
        let args = [&["load", &from, target, "--output", "json"], &more[..], &ASIDE].concat();
        let said = world.ok(&args);
        let mut rejected: Vec<String> = said
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["event"] == "rejected")
            .map(|event| event["place"].as_str().unwrap().to_owned())
            .collect();
        rejected.sort();
        let places = [("a", 3), ("a", 5), ("b", 3), ("b", 5)]
            .map(|(object, line)| format!("gs://{bucket}/in/{object}.csv:{line}"));
        assert_eq!(rejected, places, "{said}");
    }
    // Columns are as wide as names are long.
    let narrow = |line: &str| {
        let parts: Vec<&str> = line.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect();
        parts.join("  ") + "\n"
    };
    let shown = |words: &[&str]| -> String {
        world.ok(&[&["dead-letters"], words].concat()).lines().map(narrow).collect()
    };
    let mut text = [shown(&["list"]), shown(&["show", "out.jsonl"])].concat();
    for object in ["a.csv", "b.csv"] {
        testkit::http("DELETE", &format!("{}/storage/v1/b/{bucket}/o/in%2F{object}", gcs.endpoint), "")
            .expect(200);
    }
    for (_, of, _) in &targets {
        edit(&world, of, "\"value\":\"2\"", "\"value\":\"2,7,2013-03-01\"");
        text += &retry(&world, of, 6);
        edit(&world, of, "\"value\":\"4\"", "\"value\":\"4,8.5,2013-03-02\"");
        text += &retry(&world, of, 0);
    }
    text += &shown(&["list"]);
    let replaced = text.replace(&bucket, "BUCKET").replace(&topic, "TOPIC");
    snapshot!(&world, "of google", replaced);
    let beside = [1, 2].map(|number| cat(&world, &format!("out.retry-0000{number}.jsonl"))).concat();
    let row =
        |id: u32, price: &str, day: &str| format!("{{\"id\":{id},\"price\":{price},\"day\":\"{day}\"}}");
    let mended = [row(2, "7.0", "2013-03-01"), row(4, "8.5", "2013-03-02")];
    assert_eq!(beside, [0, 0, 1, 1].map(|which: usize| mended[which].clone()));
    assert_eq!(cat(&world, &format!("gs://{bucket}/out/")).len(), 8);
    assert_eq!(loads_count(&world), 0);
}

/// The same of records that were typed when they came.
#[test]
fn typed_records_of_googles_objects_are_sent_again() {
    let Some(gcs) = testkit::fake_gcs() else { return };
    let (mut world, bucket) = (world(), name("letters"));
    gcs.create_bucket(&bucket);
    world.set("STORAGE_EMULATOR_HOST", &gcs.endpoint);
    world.write("in.csv", "id,price\n1,1.5\n2,\n");
    let contract = |price: &str| {
        format!(
            r#"{{"type":"record","name":"Row","fields":[{{"name":"id","type":"long"}},{{"name":"price","type":{price}}}]}}"#
        )
    };
    for format in ["avro", "parquet"] {
        let (object, out) = (format!("gs://{bucket}/in.{format}"), format!("{format}.jsonl"));
        world.ok(&["convert", "in.csv", &object]);
        world.write("contracts/row.avsc", contract("\"double\""));
        load(&world, &[&object, &out, "--contract", "row"]);
        let shown = world.ok(&["dead-letters", "show", &out, "--output", "json"]);
        let letter: Value = serde_json::from_str(shown.trim()).unwrap();
        assert!(letter["place"].as_str().unwrap().starts_with(&object), "{shown}");
        world.write("contracts/row.avsc", contract("[\"double\",\"null\"]"));
        retry(&world, &out, 0);
        assert_eq!(cat(&world, &format!("{format}.retry-00001.jsonl")), ["{\"id\":2,\"price\":null}"]);
    }
    assert_eq!(world.ok(&["dead-letters", "list"]), "no record was refused\n");
}

//! Files, objects, stores and topics as targets and sources of `load`; `convert`; `reset`: each option once, with the programs that
//! people read such files with, killed in the middle, and with what is wrong.

mod crossing;
mod killed;
mod letters;
mod resets;

use std::{fs, path::Path};

use serde_json::Value;
use testkit::World;

use crate::{
    shared::{name, shared, world},
    snapshot,
};

const CSV: &str = "id,name,price,day,at,code\n\
    1,\"a, \"\"b\"\"\",12.50,2013-01-31,2013-01-31T10:00:00Z,007\n\
    2,NA,3,2013-02-01,2013-01-31T10:00:00.5Z,010\n\
    3,\"two\nlines\",-0.5,,,001\n";

/// Rows of a file as pyarrow, fastavro and Python's own modules read them, a line of JSON each.
#[track_caller]
pub(crate) fn rows(path: &Path) -> Option<Vec<Value>> {
    let python = testkit::python()?;
    let script = include_str!("load_writing/read.py");
    let text = testkit::run_python(&python, script, &[&path.to_string_lossy()]);
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn told(world: &World, args: &[&str]) -> Value {
    let said = world.ok(&[args, &["--output", "json"]].concat());
    last_event(&said)
}

/// With which a load ends.
pub(crate) fn last_event(said: &str) -> Value {
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// Every format by every command that writes it, read by others.
#[test]
fn other_programs_read_what_is_written() {
    let world = world();
    world.write("in.csv", CSV);
    let names = [
        "a.jsonl",
        "a.jsonl.gz",
        "a.jsonl.zst",
        "a.json",
        "a.json.gz",
        "a.csv",
        "a.csv.gz",
        "a.tsv",
        "a.parquet",
        "a.avro",
    ];
    for command in ["convert", "load"] {
        let mut texts = Vec::new();
        for name in names {
            let out = format!("{command}/{name}");
            assert_eq!(told(&world, &[command, "in.csv", &out])["records_count"], 3, "{out}");
            let Some(rows) = rows(&world.path(&out)) else { return };
            let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
            texts.push(format!("{name}\n{}", rows.join("\n")));
        }
        insta::assert_snapshot!("formats", texts.join("\n\n"));
    }
}

/// Each option of files, and what comes of it.
#[test]
fn every_option_of_files_does_what_it_says() {
    let world = world();
    world.write("in.csv", "n,text\n1,a\n2,b\n3,c\n4,d\n5,e\n");
    world.write("semi.txt", "n;text\n1;-\n2;b\n");
    world.write("bad.csv", "n,text\n1,a\n2\n3,c\n");
    world.write(
        "contracts/row.json",
        r#"{"type":"object","properties":{"n":{"type":"number"},"text":{"type":"string"}},"required":["n"]}"#,
    );
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["in.csv", "o1/", "--file-rows", "2"],
            &["o1/part-00000.jsonl", "o1/part-00001.jsonl", "o1/part-00002.jsonl"],
        ),
        (
            &["in.csv", "o2/", "--file-bytes", "1KiB", "--target-format", "csv", "--compression", "gzip"],
            &["o2/part-00000.csv.gz"],
        ),
        (&["in.csv", "o3.data", "--target-format", "tsv"], &["o3.data"]),
        (&["in.csv", "file:o4.jsonl", "--limit", "2"], &["o4.jsonl"]),
        (&["in.csv", "o5.csv", "--target-delimiter", "|"], &["o5.csv"]),
        (&["semi.txt", "o6.jsonl", "--format", "csv", "--delimiter", ";", "--null", "-"], &["o6.jsonl"]),
        (&["in.csv", "o7.jsonl.gz", "--compression-level", "9"], &["o7.jsonl.gz"]),
        (&["in.csv", "o8.parquet", "--compression", "zstd"], &["o8.parquet"]),
        (&["in.csv", "o9.avro", "--compression", "deflate"], &["o9.avro"]),
        (&["in.csv", "o10.parquet", "--contract", "row"], &["o10.parquet"]),
        (&["bad.csv", "o11.jsonl", "--on-error", "dead-letter", "--dead-letters", "letters"], &["o11.jsonl"]),
        (&["in.csv", "in.csv", "o12.jsonl", "--infer-rows", "all"], &["o12.jsonl"]),
        (&["generate:finance.cards?customers=2", "o13.parquet"], &["o13.parquet"]),
    ];
    let mut texts = Vec::new();
    for (words, files) in cases {
        world.ok(&[&["convert"], *words].concat());
        texts.push(format!("convert {}", words.join(" ")));
        for file in *files {
            let Some(rows) = rows(&world.path(file)) else { return };
            let shown: Vec<String> = rows.iter().take(3).map(Value::to_string).collect();
            texts.push(format!("  {file}: {} rows: {}", rows.len(), shown.join(" ")));
        }
    }
    insta::assert_snapshot!(texts.join("\n"));
    let letters: String = fs::read_dir(world.path("letters"))
        .unwrap()
        .flatten()
        .map(|file| fs::read_to_string(file.path()).unwrap())
        .collect();
    assert!(letters.contains("bad.csv:3:2"), "{letters}");
}

/// What is refused, each with its code, and no file is left of it.
#[test]
fn what_is_wrong_is_said_and_leaves_no_file() {
    let world = world();
    world.write("in.csv", CSV);
    world.write("late.csv", format!("n\n{}x\n", "1\n".repeat(20)));
    world.write("late.jsonl", format!("{}{{\"new\":1}}\n", "{\"n\":1}\n".repeat(20)));
    world.write("empty.jsonl", "");
    let cases: &[&[&str]] = &[
        &["in.csv", "nothing"],
        &["in.csv", "out.parquet", "--compression", "lz4"],
        &["in.csv", "out.jsonl.gz", "--compression-level", "10"],
        &["in.csv", "out.jsonl", "--file-rows", "2"],
        &["in.csv", "in.csv"],
        &["in.csv", "out.csv", "--target-delimiter", "ab"],
        &["late.csv", "out.parquet", "--infer-rows", "10"],
        &["late.jsonl", "out.parquet", "--infer-rows", "10"],
        &["empty.jsonl", "out.avro"],
        &["-", "out.parquet", "--format", "csv"],
        &["missing.csv", "out.jsonl"],
    ];
    let mut texts = Vec::new();
    for words in cases {
        let ran = world.run(&[&["convert"], *words].concat());
        texts.push(format!("convert {}\n{}", words.join(" "), ran.shown()));
    }
    for words in [
        ["in.csv", "out.jsonl", "--key", "id"],
        ["in.csv", "kafka://127.0.0.1:1/flights", "--target-format", "csv"],
        ["in.csv", "out.jsonl", "--filter", "{}"],
    ] {
        let ran = world.run(&[&["load"], &words[..]].concat());
        texts.push(format!("load {}\n{}", words.join(" "), ran.shown()));
    }
    snapshot!(&world, "wrong files", texts.join("\n"));
    let left = fs::read_dir(world.folder()).unwrap().flatten();
    let left: Vec<String> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(left.iter().all(|name| !name.starts_with("out")), "{left:?}");
}

/// A bucket of the embedded S3, and one of Google's: an object, and a prefix with several.
#[test]
fn objects_are_written_under_their_names() {
    let (world, _) = shared();
    world.write("data/many.csv", (0..9).fold("n\n".to_owned(), |text, n| text + &format!("{n}\n")));
    let prefix = name("written");
    world.ok(&["load", "data/many.csv", &format!("s3://lake/{prefix}/one.jsonl.gz")]);
    let parts = format!("s3://lake/{prefix}/parts/");
    let by_rows = ["load", "data/many.csv", &parts, "--target-format", "parquet", "--file-rows", "4"];
    for _ in 0..2 {
        assert_eq!(told(world, &by_rows)["files_count"], 3);
    }
    // Fewer records leave fewer objects.
    assert_eq!(told(world, &[&by_rows[..], &["--limit", "5"]].concat())["files_count"], 2);
    let listed = world.ok(&["ls", &format!("s3://lake/{prefix}/"), "--recursive", "--output", "json"]);
    let keys: Vec<String> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["one.jsonl.gz", "parts/part-00000.parquet", "parts/part-00001.parquet"];
    assert_eq!(keys, expected.map(|key| format!("{prefix}/{key}")));
    let lines = |address: &str| world.ok(&["cat", address]).lines().map(str::to_owned).collect::<Vec<_>>();
    let numbers = |count: usize| (0..count).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>();
    assert_eq!(lines(&format!("s3://lake/{prefix}/one.jsonl.gz")), numbers(9));
    assert_eq!(lines(&parts), numbers(5));
    let ran = world.run(&["load", "data/many.csv", "s3://no-such-bucket-here/x.jsonl"]);
    snapshot!(world, "no bucket", ran.shown());
}

#[test]
fn objects_are_written_to_google_cloud_storage() {
    let Some(gcs) = testkit::fake_gcs() else { return };
    let (mut world, bucket) = (world(), name("written"));
    gcs.create_bucket(&bucket);
    world.set("STORAGE_EMULATOR_HOST", &gcs.endpoint);
    world.write("in.csv", CSV);
    for out in [format!("gs://{bucket}/a/out.parquet"), format!("gs://{bucket}/parts/")] {
        for _ in 0..2 {
            assert_eq!(told(&world, &["load", "in.csv", &out])["records_count"], 3);
        }
        assert_eq!(world.ok(&["cat", &out]).lines().count(), 3, "{out}");
    }
}

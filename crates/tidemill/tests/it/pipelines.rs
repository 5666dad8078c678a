//! Pipelines end to end: documents of files and of a real mongod into the tables of a lake, in a folder and in the embedded S3.

mod clouds;
mod crash;
mod denied;
mod dlt;
mod letters;
mod mongo;
mod topics;

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use testkit::World;

use crate::{
    shared::{name, shared, world},
    snapshot,
};

/// Rows by table: what all files below a dataset hold, without what differs from load to load.
pub type Tables = BTreeMap<String, Vec<String>>;

/// `n` documents from `from` on, with a list below each and a cursor.
pub fn documents(from: usize, n: usize) -> String {
    let line = |number: usize| {
        format!(
            "{{\"n\":{number},\"at\":{},\"tail\":{{\"number\":\"N{number}\"}},\"seats\":[{{\"row\":1}},{{\"row\":{}}}]}}\n",
            number / 3,
            number % 7
        )
    };
    (from..from + n).map(line).collect()
}

/// The dataset in a folder of uncompressed JSON Lines.
pub fn tables(dataset: &Path) -> Tables {
    let mut tables = Tables::new();
    for entry in fs::read_dir(dataset).into_iter().flatten().flatten() {
        let table = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_dir() || table.starts_with('_') {
            continue;
        }
        let rows = tables.entry(table).or_default();
        for file in files(&entry.path()) {
            let text = fs::read_to_string(&file).unwrap();
            rows.extend(text.lines().map(without_ids));
        }
        rows.sort();
    }
    tables
}

pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn without_ids(row: &str) -> String {
    let mut row: serde_json::Map<String, Value> = serde_json::from_str(row).unwrap();
    row.retain(|key, _| !matches!(key.as_str(), "_dlt_id" | "_dlt_load_id" | "_dlt_parent_id"));
    Value::Object(row).to_string()
}

pub const LAKE: &str = "\
source: { url: data }
target: { url: lake, dataset: planes, compression: none, file_records_max: 300 }
streams:
  planes: { collection: 'planes*.jsonl', cursor: at, primary_key: n }
  airports: { collection: airports.jsonl, write_disposition: replace }
";

/// A project with a pipeline from files to a folder, and data for its first load.
pub fn project() -> World {
    let world = world();
    world.write("pipelines/lake.yaml", LAKE);
    world.write("data/planes-1.jsonl", documents(0, 1_000));
    world.write("data/airports.jsonl", documents(0, 700));
    world
}

/// What the second load finds.
pub fn change(world: &World) {
    world.write("data/planes-2.jsonl", documents(1_000, 1_500));
    world.write("data/airports.jsonl", documents(5, 900));
}

/// The load's id and what comes from it, as any.
fn shown(ran: &testkit::Ran) -> String {
    // Without the lines that a slow machine gets meanwhile.
    let lines = ran.shown();
    let mut text: String = lines
        .lines()
        .filter(|line| !line.contains(" of them safe "))
        .map(|line| line.to_owned() + "\n")
        .collect();
    while let Some(at) = text.find(|c: char| c.is_ascii_digit()).and_then(|_| load_id(&text)) {
        text = text.replace(&at, "[LOAD]");
    }
    text
}

fn load_id(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').map(|word| word.trim_matches('.')).find_map(
        |word| {
            let (seconds, fraction) = word.split_once('.')?;
            (seconds.len() == 10 && fraction.len() == 3).then(|| word.to_owned())
        },
    )
}

#[test]
fn a_full_load_then_only_what_is_new() {
    let world = project();
    snapshot!(&world, "dry run", shown(&world.run(&["run", "lake", "--dry-run"])));
    snapshot!(&world, "first load", shown(&world.run(&["run", "lake"])));
    change(&world);
    snapshot!(&world, "second load", shown(&world.run(&["run", "lake"])));
    let found = tables(&world.path("lake/planes"));
    let counts: BTreeMap<&str, usize> =
        found.iter().map(|(name, rows)| (name.as_str(), rows.len())).collect();
    let wanted = [("airports", 900), ("airports__seats", 1_800), ("planes", 2_500), ("planes__seats", 5_000)];
    assert_eq!(counts, wanted.into());
    snapshot!(&world, "list", shown(&world.run(&["pipeline", "list"])));
    snapshot!(&world, "show", shown(&world.run(&["pipeline", "show", "lake"])));
    snapshot!(&world, "history", shown(&world.run(&["pipeline", "history", "lake"])));
    snapshot!(&world, "state", shown(&world.run(&["pipeline", "state", "lake"])));
    let json: Value = serde_json::from_str(&world.ok(&["run", "lake", "--output", "json"])).unwrap();
    assert_eq!((json["rows_count"].as_u64(), json["discarded_count"].as_u64()), (Some(2_700), Some(0)));
    fs::remove_dir_all(world.path(".tidemill/pipelines")).unwrap();
    snapshot!(&world, "restored", shown(&world.run(&["pipeline", "state", "lake", "--restore"])));
    snapshot!(&world, "reset", shown(&world.run(&["pipeline", "reset", "lake"])));
}

#[test]
fn parquet_in_the_embedded_s3_is_read_back() {
    let (world, _) = shared();
    let dataset = name("planes");
    world.write(&format!("data/{dataset}/planes.jsonl"), documents(0, 2_000));
    let text = format!(
        "source: {{ url: data/{dataset} }}\ntarget: {{ url: s3://lake/warehouse, dataset: {dataset}, format: parquet }}\n\
         streams:\n  planes: {{ collection: planes.jsonl }}\n"
    );
    world.write(&format!("pipelines/{dataset}.yaml"), text);
    let json: Value = serde_json::from_str(&world.ok(&["run", &dataset, "--output", "json"])).unwrap();
    assert_eq!(json["rows_count"], 6_000);
    let records = world.ok(&["cat", &format!("s3://lake/warehouse/{dataset}/planes/")]);
    assert_eq!(records.lines().count(), 2_000);
    let first: Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    assert_eq!(first["tail__number"], "N0");
}

#[test]
fn a_table_of_the_embedded_dynamodb_is_loaded() {
    let (world, _) = shared();
    let table = name("planes");
    let with_id = |(number, line): (usize, &str)| format!("{{\"id\":\"N{number}\",{}\n", &line[1..]);
    world.write(
        &format!("data/{table}.jsonl"),
        documents(0, 300).lines().enumerate().map(with_id).collect::<String>(),
    );
    let (file, target) = (format!("data/{table}.jsonl"), format!("dynamodb://local/{table}"));
    world.ok(&["load", &file, &target, "--key", "id", "--create"]);
    let text = format!(
        "source: {{ url: 'dynamodb://local' }}\ntarget: {{ url: s3://lake/dynamo, format: parquet }}\n\
         streams:\n  planes: {{ collection: {table} }}\n"
    );
    world.write(&format!("pipelines/{table}.yaml"), text);
    let json: Value = serde_json::from_str(&world.ok(&["run", &table, "--output", "json"])).unwrap();
    assert_eq!(json["rows_count"], 900, "{json}");
}

#[test]
fn what_cannot_be_is_told_before_anything_runs() {
    let world = project();
    let cases = [
        ("no pipeline", LAKE.to_owned(), vec!["run", "lak"]),
        ("no stream", LAKE.to_owned(), vec!["run", "lake", "--streams", "plane"]),
        ("no cursor", LAKE.to_owned(), vec!["run", "lake", "--from", "5"]),
        ("unknown key", LAKE.replace("dataset:", "datset:"), vec!["run", "lake"]),
        (
            "merge",
            LAKE.replace("write_disposition: replace", "write_disposition: merge, primary_key: n"),
            vec!["run", "lake"],
        ),
        ("no source", LAKE.replace("url: data", "url: 'ftp://data'"), vec!["run", "lake"]),
        ("no target", LAKE.replace("url: lake", "url: 'ftp://lake'"), vec!["run", "lake"]),
        ("no file", LAKE.replace("airports.jsonl", "nowhere.jsonl"), vec!["run", "lake", "--dry-run"]),
        ("unreachable", LAKE.replace("url: lake", "url: 's3://lake/x'"), vec!["run", "lake"]),
    ];
    for (name, text, args) in cases {
        world.write("pipelines/lake.yaml", text);
        let mut ran = world.command(&args);
        ran.env("TIDEMILL_S3_EXTERNAL", "127.0.0.1:1");
        snapshot!(&world, format!("cannot {name}"), shown(&testkit::ran(&mut ran, 120)));
    }
    assert!(files(&world.path("lake")).is_empty());
}

#[test]
fn the_contract_stops_or_discards() {
    let world = project();
    world.ok(&["run", "lake"]);
    let contract =
        |mode: &str| LAKE.replace("primary_key: n", &format!("primary_key: n, schema_contract: {mode}"));
    world.write("data/planes-2.jsonl", "{\"n\":9001,\"at\":9001,\"wings\":2}\n{\"n\":9002,\"at\":9002}\n");
    world.write("pipelines/lake.yaml", contract("freeze"));
    snapshot!(&world, "frozen", shown(&world.run(&["run", "lake"])));
    let before = tables(&world.path("lake/planes"));
    assert_eq!(before["planes"].len(), 1_000);
    snapshot!(&world, "other load", shown(&world.run(&["run", "lake", "--streams", "airports"])));
    snapshot!(&world, "given up", shown(&world.run(&["pipeline", "reset", "lake", "--load"])));
    world.write("pipelines/lake.yaml", contract("discard_row"));
    snapshot!(&world, "discarded", shown(&world.run(&["run", "lake"])));
    assert_eq!(tables(&world.path("lake/planes"))["planes"].len(), 1_001);
    assert_eq!(files(&world.path(".tidemill/dead-letters/lake")).len(), 1);
}

//! Names as dlt's filesystem destination makes them.

use super::*;

const NAME: FileName<'_> = FileName {
    schema_name: "lake",
    table_name: "planes",
    load_id: "1795834114.874746",
    file_id: "d40c7ee40f",
    ext: "jsonl.gz",
    load_ms: 1_795_834_114_874,
};

#[test]
fn the_default_is_dlts() {
    assert_eq!(Layout::default().path(&NAME), "planes/1795834114.874746.d40c7ee40f.jsonl.gz");
    assert_eq!(Layout::default().prefix("lake", "planes"), "planes/");
}

#[test]
fn every_placeholder_has_its_value() {
    let mut shown = String::new();
    for name in NAMES.iter().chain(DATE_NAMES) {
        shown += &format!("{name} {}\n", value(name, &NAME));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_layout_is_checked() {
    let bad = [
        "{table_name}/{load_id}.{ext}",
        "{load_id}/{file_id}.{ext}",
        "{load_id}/{table_name}/{file_id}",
        "{table_name}_{file_id}",
        "{table_name}{file_id}",
        "{table_name}/{tabel}",
        "{table_name}/../{file_id}",
        "/{table_name}/{file_id}",
        "{table_name}/{file_id",
        "{table_name}/file_id}{file_id}",
    ];
    let said: Vec<String> =
        bad.iter().map(|text| format!("{text}: {}", Layout::parse(text).expect_err(text))).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn the_prefix_holds_one_table_only() {
    let layout = Layout::parse("{schema_name}.{table_name}.{YYYY}/{MM}/{file_id}").expect("it is one");
    assert_eq!(layout.prefix("lake", "planes"), "lake.planes.");
    assert_eq!(layout.path(&NAME), "lake.planes.2026/11/d40c7ee40f.jsonl.gz");
}

//! Files as people write them, and what is wrong with some.

use base::problem::plain;

use super::*;

fn parse(text: &str) -> Result<PipelineFile, Error> {
    PipelineFile::parse(TextFile { path: "pipelines/lake.yaml".into(), text: text.into() })
}

const WHOLE: &str = "\
source: { connection: planes_store, database: flights }
target:
  url: s3://lake/warehouse
  dataset: planes
  format: parquet
  compression: zstd
  layout: '{table_name}/{YYYY}/{load_id}.{file_id}.{ext}'
  file_bytes_max: 64 MiB
  file_records_max: 10000
write_disposition: append
max_nesting: 3
memory_bytes_max: 32 MiB
streams:
  planes:
    primary_key: tailnum
    cursor: { field: updated_at, initial_value: 2024-01-01T00:00:00Z, end_value: '2025', lag: 60, on_missing: include }
    columns: { speed: { data_type: decimal, precision: 10, scale: 2, nullable: false }, year: bigint }
    schema_contract: { tables: evolve, columns: discard_value, data_type: freeze }
    fields: [tailnum, speed]
    filter: '{\"year\": 2004}'
  airports:
    collection: airports_v2
    write_disposition: replace
    nested: keep
    schema_contract: freeze
    cursor: _id
";

#[test]
fn every_key_is_read() {
    let file = parse(WHOLE).expect("it is one");
    let mut shown = format!("{} {} {}\n", file.name, file.memory_bytes_max, file.lanes_count_max);
    shown += &format!("{:?}\n{:?}\n", file.source, file.target);
    for stream in &file.streams {
        shown += &format!("{stream:?}\n");
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn what_is_left_out_has_its_usual_value() {
    let file =
        parse("source: { url: data/a.csv }\ntarget: { url: lake }\nstreams:\n  a:\n").expect("it is one");
    assert_eq!(file.target.dataset, "lake");
    assert_eq!((file.target.format, file.target.compression), (Format::Jsonl, Compression::Gzip));
    assert_eq!(file.streams[0].collection, "a");
    assert_eq!(file.streams[0].cursor, None);
}

#[test]
fn each_mistake_has_its_place() {
    let head = "source: { url: data }\ntarget: { url: lake }\n";
    let bad = [
        "source: [".to_owned(),
        "source: { url: data }\ntarget: { url: lake }\nstreams: { a: }\nstream: 1\n".to_owned(),
        format!("{head}streams: {{ a: {{ primary_keys: x }} }}\n"),
        format!("{head}streams: {{ a: {{ cursor: {{ lag: 5 }} }} }}\n"),
        format!("{head}streams: {{ a: {{ cursor: {{ field: x, lag: soon }} }} }}\n"),
        format!("{head}streams: {{ a: {{ write_disposition: merge }} }}\n"),
        format!("{head}streams: {{ a: {{ write_disposition: upsert }} }}\n"),
        format!("{head}streams: {{ a: {{ columns: {{ x: number }} }} }}\n"),
        format!("{head}streams: {{ a: {{ max_nesting: deep }} }}\n"),
        format!("{head}streams: {{}}\n"),
        format!("{head}memory_bytes_max: 1 KiB\nstreams: {{ a: }}\n"),
        "source: { connection: a, url: b }\ntarget: { url: lake }\nstreams: { a: }\n".to_owned(),
        "source: { url: a }\ntarget: { dataset: lake }\nstreams: { a: }\n".to_owned(),
        "source: { url: a }\ntarget: { url: l, format: jsonl, compression: snappy }\nstreams: { a: }\n"
            .to_owned(),
        "source: { url: a }\ntarget: { url: l, layout: '{table_name}_{file_id}' }\nstreams: { a: }\n"
            .to_owned(),
        "source: { url: a }\ntarget: { url: l, file_bytes_max: large }\nstreams: { a: }\n".to_owned(),
        "source: { url: a }\ntarget: { url: l, dataset: ../x }\nstreams: { a: }\n".to_owned(),
        "streams: { a: }\n".to_owned(),
    ];
    let said: Vec<String> = bad.iter().map(|text| plain(&parse(text).expect_err(text))).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn only_streams_that_are_there_can_be_named() {
    let file = parse(WHOLE).expect("it is one");
    let named = file.streams_named(&["airports".to_owned()]).expect("it is there");
    assert_eq!(named.len(), 1);
    let error = file.streams_named(&["airlines".to_owned()]).expect_err("it is not there");
    insta::assert_snapshot!(plain(&error));
}

//! Documents into tables, each case by itself; `compare` holds them against real dlt.

mod compare;
mod contract;
mod speed;

use std::sync::Arc;

use base::{Envelope, Lease, Place, Position};
use serde_json::Value as Json;

use super::*;
use crate::{ColumnHint, DataType, jsonl};

/// A batch of a collection, its documents given as JSON text.
fn batch(documents: &[&str]) -> Batch {
    rows(documents.iter().map(|text| value_of(&serde_json::from_str(text).unwrap())).collect())
}

fn rows(values: Vec<Value>) -> Batch {
    Batch {
        body: Body::Rows(values.into()),
        envelope: Envelope::default(),
        contract: None,
        place: Arc::new(Place::Collection { name: "things".into() }),
        end: Position::Start,
        lease: Lease::free(),
    }
}

fn place() -> RowPlace {
    RowPlace { load_id: "1700000000.5".into(), split: "all".into(), start: "start".into(), first_row: 0 }
}

/// JSON, with one-field objects for what JSON does not have; the same forms as in `dlt_tables.py`.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap()), Value::Int)
        }
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(value_of).collect()),
        Json::Object(fields) => special(fields).unwrap_or_else(|| {
            Value::Struct(
                fields.iter().map(|(name, value)| (Arc::from(name.as_str()), value_of(value))).collect(),
            )
        }),
    }
}

fn special(fields: &serde_json::Map<String, Json>) -> Option<Value> {
    let (name, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    Some(match name.as_str() {
        "$timestamp_us" => Value::TimestampUs(value.as_i64()?),
        "$date" => Value::Date(i32::try_from(value.as_i64()?).ok()?),
        "$time_us" => Value::TimeMs(i32::try_from(value.as_i64()? / 1_000).ok()?),
        "$decimal" => {
            let (unscaled, scale) = crate::types::decimal::parse(value.as_str()?)?;
            Value::Decimal { unscaled, scale }
        }
        "$bytes" => {
            use base64::Engine as _;
            Value::Bytes(base64::engine::general_purpose::STANDARD.decode(value.as_str()?).ok()?.into())
        }
        _ => return None,
    })
}

fn shape() -> Shape {
    Shape { table: "things".to_owned(), ..Shape::default() }
}

fn normalized(shape: &Shape, batch: &Batch) -> Normalized {
    let tables = Arc::new(Tables::new("test", None));
    tables.normalizer(shape).unwrap().normalize(batch, &place()).unwrap()
}

/// Tables as text: the name, then its JSON lines without ids.
fn text(normalized: &Normalized) -> String {
    let mut text = String::new();
    for rows in &normalized.tables {
        text += &format!("{}\n", rows.table.name);
        let mut lines = Vec::new();
        jsonl(rows, &mut lines);
        for line in String::from_utf8(lines).unwrap().lines() {
            let mut row: serde_json::Map<String, Json> = serde_json::from_str(line).unwrap();
            row.retain(|name, _| !matches!(name.as_str(), "_dlt_id" | "_dlt_parent_id" | "_dlt_load_id"));
            text += &format!("  {}\n", Json::Object(row));
        }
    }
    text
}

fn told(rejects: &Rejects) -> String {
    rejects.0.iter().map(|reject| format!("{} × {}\n", reject.code, reject.reason)).collect()
}

#[test]
fn raw_documents_are_read_and_bad_ones_are_rejects() {
    let texts: Vec<Option<&[u8]>> =
        vec![Some(br#"{"a":1}"#), Some(b"{"), None, Some(br#"{"a":18446744073709551615}"#)];
    let body = Body::Raw(texts.into_iter().collect());
    let batch = Batch { body, ..rows(Vec::new()) };
    let found = normalized(&shape(), &batch);
    insta::assert_snapshot!(text(&found), @r#"
    things
      {"a":1}
      {"a__v_decimal":"18446744073709551615"}
    "#);
    insta::assert_snapshot!(told(&found.rejects));
}

#[test]
fn a_document_that_fits_nowhere_leaves_no_row() {
    let batch = batch(&[
        r#"{"n": 1, "lines": [{"p": 1}]}"#,
        r#"{"n": "2024-01-02T03:04:05Z", "lines": [{"p": 2}]}"#,
        r#"{"lines": [{"p": 3}], "n": "soon"}"#,
        r#"{"n": 4, "lines": [{"p": 4}]}"#,
    ]);
    let found = normalized(&shape(), &batch);
    insta::assert_snapshot!(text(&found), @r#"
    things
      {"n":1}
      {"n__v_text":"2024-01-02T03:04:05+00:00"}
      {"n":4}
    things__lines
      {"p":1,"_dlt_list_idx":0}
      {"p":2,"_dlt_list_idx":0}
      {"p":4,"_dlt_list_idx":0}
    "#);
    insta::assert_snapshot!(told(&found.rejects));
}

#[test]
fn hints_type_rename_leave_out_and_require() {
    let hint = |name: &str| ColumnHint { name: name.to_owned(), ..ColumnHint::default() };
    let shape = Shape {
        primary_key: vec!["id".to_owned()],
        columns: vec![
            ColumnHint {
                data_type: Some(DataType::Decimal),
                precision: Some(5),
                scale: Some(2),
                ..hint("price")
            },
            ColumnHint { is_excluded: true, ..hint("secret") },
            ColumnHint { rename: Some("town".to_owned()), ..hint("address.city") },
            ColumnHint { data_type: Some(DataType::Json), ..hint("lines.tags") },
        ],
        ..shape()
    };
    let batch = batch(&[
        r#"{"id": 1, "price": 12.5, "secret": {"a": 1}, "address": {"city": "Ulm"}, "lines": [{"tags": [1, 2]}]}"#,
        r#"{"id": 2, "price": "123456"}"#,
        r#"{"price": 1}"#,
    ]);
    let found = normalized(&shape, &batch);
    insta::assert_snapshot!(text(&found), @r#"
    things
      {"price":"12.5","id":1,"address__town":"Ulm"}
    things__lines
      {"tags":[1,2],"_dlt_list_idx":0}
    "#);
    insta::assert_snapshot!(told(&found.rejects));
}

#[test]
fn a_second_life_makes_the_same_ids_however_it_is_cut() {
    let documents: Vec<String> = (0..20).map(|n| format!(r#"{{"n": {n}, "tags": ["a", "b"]}}"#)).collect();
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    let lines = |cuts: &[usize]| {
        let tables = Arc::new(Tables::new("test", None));
        let mut normalizer = tables.normalizer(&shape()).unwrap();
        let mut lines: HashMap<String, Vec<u8>> = HashMap::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([20]) {
            let place = RowPlace { first_row: from as u64, ..place() };
            let found = normalizer.normalize(&batch(&documents[from..to]), &place).unwrap();
            for rows in &found.tables {
                jsonl(rows, lines.entry(rows.table.name.to_string()).or_default());
            }
            from = to;
        }
        lines
    };
    assert_eq!(lines(&[]), lines(&[1, 7, 19]));
}

#[test]
fn merge_carries_root_ids_and_upsert_hashes_the_key() {
    let shape = Shape {
        primary_key: vec!["id".to_owned()],
        write_disposition: WriteDisposition::Merge(MergeStrategy::Upsert),
        ..shape()
    };
    let found = normalized(&shape, &batch(&[r#"{"id": 7, "a": [{"b": [1]}]}"#]));
    let mut lines = Vec::new();
    found.tables.iter().for_each(|rows| jsonl(rows, &mut lines));
    // The first id is dlt's get_row_hash of {"id": 7}, the others its get_nested_row_hash.
    insta::assert_snapshot!(String::from_utf8(lines).unwrap());
}

#[test]
fn types_of_one_store_have_a_form_in_tables() {
    let regex = || Value::tagged("regex", Value::Struct(vec![("pattern".into(), Value::string("^a"))]));
    let document = Value::Struct(vec![
        ("_id".into(), Value::tagged("objectId", Value::string("65a0"))),
        ("r".into(), regex()),
        ("l".into(), Value::List(vec![regex()])),
        ("whole".into(), Value::Struct(vec![("r".into(), regex())])),
    ]);
    let shape = Shape {
        columns: vec![ColumnHint {
            name: "whole".to_owned(),
            data_type: Some(DataType::Json),
            ..ColumnHint::default()
        }],
        ..shape()
    };
    let form: TableForm = |tag, value| (tag == "regex").then(|| value.get("pattern").cloned())?;
    let tables = Arc::new(Tables::new("test", None));
    let mut normalizer = tables.normalizer(&shape).unwrap().with_table_form(form);
    let found = normalizer.normalize(&rows(vec![document]), &place()).unwrap();
    insta::assert_snapshot!(text(&found), @r#"
    things
      {"whole":{"r":"^a"},"_id":"65a0","r":"^a"}
    things__l
      {"value":"^a","_dlt_list_idx":0}
    "#);
}

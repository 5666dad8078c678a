//! Examples in, contract and notes out; and the rows it came from keep it.

use base::ContractKind;

use super::*;
use crate::{RowEncoder, Validator, contract};

fn texts(rows: &[&[&str]]) -> Inference {
    let mut inference = Inference::new(&["", "NA"]);
    for row in &rows[1..] {
        inference.add_texts(rows[0], row.iter().map(|text| text.as_bytes()));
    }
    inference
}

const FLIGHTS: &[&[&str]] = &[
    &["year", "dep_time", "delay", "tailnum", "zip", "cancelled", "day", "hour", "note", "big"],
    &["2013", "517", "2", "N14228", "01234", "false", "2013-01-01", "2013-01-01T10:00:00Z", "NA", "1"],
    &[
        "2013",
        "NA",
        "2.5",
        "N24211",
        "99999",
        "true",
        "2013-01-02",
        "2013-01-01T11:00:00Z",
        "",
        "99999999999999999999",
    ],
];

#[test]
fn columns_get_the_narrowest_type() {
    let inferred = texts(FLIGHTS).json_schema("flights").unwrap();
    let schema: Json = serde_json::from_str(&inferred.text).unwrap();
    let types = |name: &str| schema["properties"][name]["type"].to_string();
    assert_eq!(types("year"), r#""integer""#);
    assert_eq!(types("dep_time"), r#"["null","integer"]"#);
    assert_eq!(types("delay"), r#""number""#);
    assert_eq!(types("tailnum"), r#""string""#);
    assert_eq!(types("zip"), r#""string""#);
    assert_eq!(types("cancelled"), r#""boolean""#);
    assert_eq!(schema["properties"]["day"], json!({ "type": "string", "format": "date" }));
    assert_eq!(schema["properties"]["hour"], json!({ "type": "string", "format": "date-time" }));
    assert_eq!(types("note"), r#"["null","string"]"#);
    assert_eq!(types("big"), r#""string""#);
    assert_eq!(
        schema["required"],
        json!(["year", "delay", "tailnum", "zip", "cancelled", "day", "hour", "big"])
    );
    let notes: Vec<String> =
        inferred.notes.iter().map(|note| format!("{}: {}", note.field, note.text)).collect();
    insta::assert_snapshot!(notes.join("\n"), @r#"
    year: integer
    dep_time: integer or null: 1 of 2 are null
    delay: number: some values have a fraction
    tailnum: string
    zip: string: 1 are numbers, but one is "01234"
    cancelled: boolean
    day: string (date)
    hour: string (date-time)
    note: string or null: no value was seen, so the type is a guess; 2 of 2 are null
    big: string: 1 are numbers, but one is "99999999999999999999"
    "#);
}

#[test]
fn the_rows_keep_the_contract_made_from_them() {
    let inference = texts(FLIGHTS);
    for (kind, text) in [
        (ContractKind::JsonSchema, inference.json_schema("flights").unwrap().text),
        (ContractKind::Avro, inference.avro("flights").unwrap().text),
    ] {
        let contract = contract(kind, "flights-value", None, &text).unwrap();
        let encoder = RowEncoder::compile(&contract, FLIGHTS[0], &["", "NA"]).unwrap();
        for row in &FLIGHTS[1..] {
            let mut out = Vec::new();
            encoder.encode(row, &mut out).unwrap();
            assert!(!out.is_empty());
        }
    }
}

#[test]
fn json_rows_nest_and_mix() {
    let rows = [
        r#"{"id":1,"tags":["a"],"place":{"city":"x","zip":1},"mixed":1}"#,
        r#"{"id":2,"tags":[],"place":{"city":"y"},"mixed":"one","more":null}"#,
    ];
    let mut inference = Inference::new(&[]);
    for row in rows {
        inference.add_object(serde_json::from_str::<Json>(row).unwrap().as_object().unwrap());
    }
    let text = inference.json_schema("t").unwrap().text;
    let validator = Validator::of_text("t", &text).unwrap();
    assert!(rows.iter().all(|row| validator.check_json(row.as_bytes()).is_ok()), "{text}");
    let schema: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["properties"]["place"]["required"], json!(["city"]));
    assert_eq!(schema["properties"]["mixed"]["type"], json!(["integer", "string"]));
    assert_eq!(schema["properties"]["tags"]["items"], json!({ "type": "string" }));
    assert!(crate::avro::Avro::parse("t", &inference.avro("t").unwrap().text).is_ok());
}

#[test]
fn avro_names_are_made_to_fit() {
    let mut inference = Inference::new(&[]);
    inference.add_texts(&["Order No.", "2nd"], [&b"1"[..], b"x"]);
    let inferred = inference.avro("my-topic").unwrap();
    assert!(
        inferred.text.contains("Order_No_")
            && inferred.text.contains("_2nd")
            && inferred.text.contains("my_topic")
    );
    assert_eq!(inferred.notes[0].text, "renamed to Order_No_: Avro does not allow its name");
}

#[test]
fn nothing_gives_nothing() {
    let error = Inference::new(&[]).json_schema("t").unwrap_err();
    assert_eq!(error.to_string(), "nothing to infer a contract from: there are no rows");
}

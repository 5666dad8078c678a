//! The fast validator agrees with the full one on every record; rows of texts become the JSON one expects.

use std::sync::Arc;

use base::{Contract, ContractKind, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{RowEncoder, contract};

fn plain_type() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(vec!["null", "boolean", "integer", "number", "string"]);
    prop::collection::vec(word, 1..4).prop_map(|mut words| {
        words.sort_unstable();
        words.dedup();
        if words.len() == 1 { json!(words[0]) } else { json!(words) }
    })
}

fn property() -> impl Strategy<Value = Json> {
    let bound = || {
        prop::option::of(prop_oneof![
            (-3i64..3).prop_map(|n| json!(n)),
            Just(json!(0.5)),
            Just(json!(9.007199254740993e15))
        ])
    };
    let format = prop::option::of(prop::sample::select(vec!["date", "time", "date-time"]));
    let values = prop::option::weighted(0.2, Just(json!(["a", null, "2013-01-01"])));
    (plain_type(), bound(), bound(), bound(), prop::option::of(0u8..3), format, values).prop_map(
        |(kind, minimum, maximum, exclusive, length, format, values)| {
            let mut schema = json!({ "type": kind });
            let words = [
                ("minimum", minimum),
                ("maximum", maximum),
                ("exclusiveMaximum", exclusive),
                ("enum", values),
            ];
            for (word, value) in words {
                if let Some(value) = value {
                    schema[word] = value;
                }
            }
            if let Some(length) = length {
                schema["maxLength"] = json!(length);
            }
            if let Some(format) = format {
                schema["format"] = json!(format);
            }
            schema
        },
    )
}

fn value() -> impl Strategy<Value = String> {
    let texts = [
        "null",
        "true",
        "1",
        "1.0",
        "-0.0",
        "1e2",
        "0.5",
        "9007199254740993",
        "18446744073709551615",
        "\"\"",
        "\"a\"",
        "\"äö\"",
        "\"2013-01-01\"",
        "\"2013-02-30\"",
        "\"2013-01-01T10:00:00Z\"",
        "\"10:00:00Z\"",
        "[]",
        "{}",
        "[1,{\"a\":2}]",
        "\"\\u0061\"",
    ];
    prop::sample::select(texts.map(str::to_owned).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn fast_and_full_agree(
        properties in prop::collection::vec(property(), 1..4),
        required in 0usize..4,
        open: bool,
        draft in prop::sample::select(vec!["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-06/schema#",
            "http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"]),
        members in prop::collection::vec((0usize..5, value()), 0..5),
    ) {
        let names = ["a", "b", "c", "d", "e"];
        let mut schema = json!({ "$schema": draft, "type": "object", "properties": {} });
        for (name, property) in names.iter().zip(&properties) {
            schema["properties"][*name] = property.clone();
        }
        let required: Vec<&str> = names[..properties.len()].iter().take(required).copied().collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if !open {
            schema["additionalProperties"] = json!(false);
        }
        // Draft 4 has another exclusiveMaximum: such a schema may be refused as a whole.
        if let Ok(validator) = Validator::of_text("t", &schema.to_string()) {
            let members: Vec<String> = members.iter().map(|(at, value)| format!("\"{}\":{value}", names[*at])).collect();
            let record = format!("{{{}}}", members.join(","));
            let json: Json = serde_json::from_str(&record).unwrap();
            prop_assert_eq!(
                validator.check_json(record.as_bytes()).is_ok(), validator.check_tree(&json).is_ok(), "{} {}", schema, record
            );
        }
    }
}

const FLIGHT: &str = r#"{"type":"object","properties":{"year":{"type":"integer","minimum":2000},"delay":{"type":["null","number"]},
    "tail":{"type":["null","string"]},"day":{"type":"string","format":"date"},"late":{"type":"boolean"}},
    "required":["year","day"],"additionalProperties":false}"#;

fn flight(text: &str) -> Contract {
    contract(ContractKind::JsonSchema, "flights-value", None, text).unwrap()
}

#[track_caller]
fn check_row(schema: &str, header: &str, row: &str, expected: &str) {
    let header: Vec<&str> = header.split(',').collect();
    let encoder = RowEncoder::compile(&flight(schema), &header, &["NA", ""]).unwrap();
    let mut out = b"kept".to_vec();
    let found = match encoder.encode(&row.split(',').collect::<Vec<_>>(), &mut out) {
        Ok(()) => String::from_utf8(out.split_off(4)).unwrap(),
        Err(violation) => violation.to_string(),
    };
    assert_eq!(out, b"kept", "what was there stays");
    assert_eq!(found, expected, "{row}");
}

#[test]
fn rows_of_texts_are_typed_and_held_to_the_contract() {
    let check = |row: &str, expected: &str| check_row(FLIGHT, "year,delay,tail,day,late", row, expected);
    check(
        "2013,2,N1,2013-01-01,true",
        r#"{"year":2013,"delay":2,"tail":"N1","day":"2013-01-01","late":true}"#,
    );
    check("2013.0,-2.50,NA,2013-01-01,NA", r#"{"year":2013,"delay":-2.50,"tail":null,"day":"2013-01-01"}"#);
    check(
        "+2013,.5,\"q\"\t,2013-01-01,FALSE",
        r#"{"year":2013,"delay":0.5,"tail":"\"q\"\t","day":"2013-01-01","late":false}"#,
    );
    check("NA,2,N1,2013-01-01,true", "year: expected integer >= 2000, found \"NA\"");
    check("1999,2,N1,2013-01-01,true", "year: expected integer >= 2000, found \"1999\"");
    check("2013,two,N1,2013-01-01,true", "delay: expected number or null, found \"two\"");
    check("2013,2,N1,2013-02-30,true", "day: expected string (date), found \"2013-02-30\"");
    check("2013,2,N1,2013-01-01,yes", "late: expected boolean, found \"yes\"");
    check("2013,2,N1", "the record: expected 5 columns, as the header has, found 3");
    check_row(FLIGHT, "year,day,more", "2013,2013-01-01,x", "more: expected no such field, found one");
    check_row(FLIGHT, "year,delay", "2013,1", "day: expected string (date), found no column of that name");
    let nested =
        r#"{"type":"object","properties":{"a":{"type":"integer","multipleOf":2},"b":{"type":"string"}}}"#;
    check_row(nested, "a,b", "4,x", r#"{"a":4,"b":"x"}"#);
    check_row(nested, "a,b", "5,x", "a: expected a value that fits (is not a multiple of 2), found 5");
}

#[test]
fn rows_become_avro_too() {
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},
        {"name":"d","type":{"type":"int","logicalType":"date"}},{"name":"n","type":["null","double"],"default":null}]}"#;
    let contract = contract(ContractKind::Avro, "r", None, schema).unwrap();
    let encoder = RowEncoder::compile(&contract, &["d", "a", "n", "x"], &["NA"]).unwrap();
    assert_eq!(encoder.unmatched(), ["x"]);
    let mut out = Vec::new();
    encoder.encode(&["1970-01-02", "7", "NA", "?"], &mut out).unwrap();
    assert_eq!(out, [14, 2, 0]);
    let refused = encoder.encode(&["1970-01-02", "x", "NA", "?"], &mut out).unwrap_err();
    assert_eq!(refused.to_string(), "a: expected int, found \"x\"");
}

#[test]
fn values_are_written_and_held_to_the_contract() {
    let encoder = RecordEncoder::compile(&flight(FLIGHT)).unwrap();
    let row = |year: Value| {
        Value::Struct(vec![(Arc::from("year"), year), (Arc::from("day"), Value::string("2013-01-01"))])
    };
    let mut out = Vec::new();
    encoder.encode(&row(Value::Int(2013)), &mut out).unwrap();
    assert_eq!(out, br#"{"year":2013,"day":"2013-01-01"}"#);
    assert!(encoder.encode(&row(Value::string("x")), &mut out).is_err() && out.len() == 32);
}

#[test]
fn json_is_written_as_connect_does() {
    let written = |value: Value| {
        let mut out = Vec::new();
        write_json(&value, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(Value::Decimal { unscaled: -5, scale: 3 }), "-0.005");
    assert_eq!(written(Value::Decimal { unscaled: 12, scale: -2 }), "1200");
    assert_eq!(written(Value::Bytes(bytes::Bytes::from_static(b"ab"))), r#""YWI=""#);
    assert_eq!(written(Value::Int(i64::MIN)), "-9223372036854775808");
    assert_eq!(written(Value::string("a\"\u{1}\n")), r#""a\"\u0001\n""#);
    assert_eq!(written(Value::Float(f64::NAN)), "null");
}

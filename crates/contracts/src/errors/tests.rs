//! Every error as a person reads it.

use std::fmt::Write;

use base::problem::plain;

use super::*;
use crate::{Document, avro::Decoder, compatibility::Level, contract, infer::Inference, unframe};

#[test]
fn errors_tell_where_why_and_what_to_do() {
    let parse = |kind, text| Document::parse(kind, "contracts/a.json", text).map(drop).unwrap_err();
    let (avro, json) = (ContractKind::Avro, ContractKind::JsonSchema);
    let record = r#"{"type": "record", "name": "r", "fields": [
  {"name": "a", "type": "integer"}]}"#;
    let decoder =
        Decoder::new("r", r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}"#).unwrap();
    let errors = [
        parse(avro, "{\"type\": \n \"record\""),
        parse(avro, record),
        parse(json, "{\"type\": \"object\",\n \"properties\": {\"a\": {\"type\": \"text\"}}}"),
        parse(ContractKind::Protobuf, "syntax = \"proto3\";\nmessage A { strin a = 1; }"),
        contract(ContractKind::Protobuf, "a", None, "message A {}").unwrap_err(),
        contract(json, "a-value", None, r#"{"type":"object","properties":{"a":{}}}"#).unwrap_err(),
        unframe(b"{}").unwrap_err(),
        decoder.decode(&[0x80]).unwrap_err(),
        Error::Broken(Violation {
            field: "flight".to_owned(),
            expected: "integer".to_owned(),
            found: "\"N14228\"".to_owned(),
        }),
        Inference::new(&[]).avro("a").unwrap_err(),
        Error::File {
            path: "data/a.csv".into(),
            reason: "No such file or directory (os error 2)".to_owned(),
        },
        Error::Row {
            path: "data/a.jsonl".into(),
            line: 7,
            reason: "a row has to be a JSON object".to_owned(),
        },
        "SIDEWAYS".parse::<Level>().unwrap_err(),
    ];
    let mut text = String::new();
    for error in &errors {
        writeln!(text, "{}", plain(error)).unwrap();
    }
    insta::assert_snapshot!(text);
}

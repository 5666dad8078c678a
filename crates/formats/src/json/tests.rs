//! JSON Lines: what passes through, what is built, what is refused.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::BinaryViewArray;
use base::{
    Batch, Body, Contract, ContractKind, Envelope, Field, Kind, Lease, Place, Position, Schema, Value,
};
use proptest::prelude::*;

use super::*;

fn batch(body: Body, schema: Option<Schema>) -> Batch {
    let contract = |schema| Contract {
        kind: ContractKind::JsonSchema,
        subject: "made".into(),
        id: None,
        text: "".into(),
        schema: Arc::new(schema),
    };
    let count = body.len() as i64;
    Batch {
        body,
        envelope: Envelope { marks: Some((0..count).collect()), ..Envelope::default() },
        contract: schema.map(|schema| Arc::new(contract(schema))),
        place: Arc::new(Place::Made { name: "made".into() }),
        end: Position::Mark(count),
        lease: Lease::free(),
    }
}

fn written(batch: &Batch, settings: JsonSettings) -> (String, Vec<String>) {
    let mut out = Vec::new();
    let rejects = JsonEncoder::new(settings).append(batch, 0..batch.len(), &mut out).unwrap();
    (String::from_utf8(out).unwrap(), rejects.0.into_iter().map(|reject| reject.reason).collect())
}

#[track_caller]
fn check_raw(text: &str, expected: &str) {
    let values = BinaryViewArray::from_iter_values([text.as_bytes()]);
    let (lines, rejects) = written(&batch(Body::Raw(values), None), JsonSettings::default());
    let found = if rejects.is_empty() {
        lines.trim_end_matches('\n').to_owned()
    } else {
        format!("! {}", rejects[0])
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn raw_json_loses_only_its_white_space() {
    check_raw(
        " { \"a b\" : [ 1 , -2.50e+3 ,\n\"\\u00e9 \\\" x\" , { } , [ ] ] , \"a b\":null}\r\n",
        "{\"a b\":[1,-2.50e+3,\"\\u00e9 \\\" x\",{},[]],\"a b\":null}",
    );
    check_raw("true", "true");
    check_raw("\"ü\"", "\"ü\"");
}

#[test]
fn what_is_no_json_is_refused_with_the_place() {
    check_raw("", "! not JSON: expected a value at byte 0, found the end");
    check_raw("{\"a\":1,}", "! not JSON: expected a field's name at byte 7, found '}'");
    check_raw("[1 2]", "! not JSON: expected `,` or `]` at byte 3, found '2'");
    check_raw("{} {}", "! not JSON: expected the end at byte 3, found '{'");
    check_raw("01", "! not JSON: expected the end at byte 1, found '1'");
    check_raw("\"a\nb\"", "! not JSON: expected no control character in a text at byte 2, found '\\n'");
    check_raw("nul", "! not JSON: expected a value at byte 0, found 'n'");
    check_raw(&"[".repeat(600), "! not JSON that is taken: more than 512 brackets deep");
}

proptest! {
    #[test]
    fn the_checker_and_serde_json_agree(text in "[\\[\\]{}:,\"\\\\ntruefals0-9eE.+\\- ]{0,24}") {
        let mut out = Vec::new();
        let ours = compact::append(text.as_bytes(), &mut out).is_ok();
        // A raw value is checked by the grammar alone: numbers too large for a float are still JSON.
        let theirs: Result<Box<serde_json::value::RawValue>, _> = serde_json::from_str(&text);
        prop_assert_eq!(ours, theirs.is_ok(), "{}", text);
    }

    #[test]
    fn what_is_compacted_means_the_same(value in json_values()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let mut out = Vec::new();
        compact::append(pretty.as_bytes(), &mut out).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&value).unwrap());
    }
}

fn json_values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,8}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn field(name: &str, schema: Schema) -> Field {
    Field { name: name.into(), schema: Arc::new(schema) }
}

#[test]
fn a_schema_orders_fields_and_fills_in_nulls_and_defaults() {
    let with_default = Schema { default: Some(Value::Int(7)), ..Schema::optional(Kind::Int32) };
    let schema = Schema::of(Kind::Struct(
        vec![
            field("text", Schema::of(Kind::String)),
            field("missing", Schema::optional(Kind::Int64)),
            field("default", with_default),
            field("single", Schema::of(Kind::Float32)),
            field("price", Schema::of(Kind::Decimal { scale: 2 })),
            field("day", Schema::of(Kind::Date)),
            field("bytes", Schema::of(Kind::Bytes)),
        ]
        .into(),
    ));
    let row = Value::Struct(vec![
        ("bytes".into(), Value::Bytes(vec![0xff, 0, 1, 2].into())),
        ("day".into(), Value::Date(19_000)),
        ("text".into(), Value::string("é\"\u{1}")),
        ("price".into(), Value::Decimal { unscaled: -129, scale: 2 }),
        ("single".into(), Value::Float(f64::from(0.1f32))),
        ("extra".into(), Value::Int(1)),
    ]);
    let batch = batch(Body::Rows(vec![row].into()), Some(schema));
    let expected = "{\"text\":\"é\\\"\\u0001\",\"missing\":null,\"default\":7,\"single\":0.1,\"price\":\"/38=\",\"day\":19000,\
        \"bytes\":\"/wABAg==\"}\n";
    assert_eq!(written(&batch, JsonSettings::default()).0, expected);
    let numbers = JsonSettings { decimal: DecimalAs::Number, ..JsonSettings::default() };
    assert!(written(&batch, numbers).0.contains("\"price\":-1.29,"));
}

#[test]
fn maps_are_objects_unless_a_key_is_no_text() {
    let map = |key| Value::Map(vec![(key, Value::Boolean(true))]);
    let rows = vec![
        map(Value::string("a")),
        map(Value::Int(1)),
        Value::Map(vec![]),
        Value::Float(1e300),
        Value::Float(2.0),
    ];
    let batch = batch(Body::Rows(rows.into()), None);
    assert_eq!(written(&batch, JsonSettings::default()).0, "{\"a\":true}\n[[1,true]]\n{}\n1e300\n2.0\n");
}

#[test]
fn raw_texts_and_bytes_become_json_strings() {
    let values = || batch(Body::Raw(BinaryViewArray::from_iter_values([b"a\"b".as_slice(), b"\xff"])), None);
    let text = JsonSettings { raw: RawAs::Text, ..JsonSettings::default() };
    let (lines, rejects) = written(&values(), text);
    assert_eq!((lines.as_str(), rejects.len()), ("\"a\\\"b\"\n", 1));
    let bytes = JsonSettings { raw: RawAs::Bytes, ..JsonSettings::default() };
    assert_eq!(written(&values(), bytes).0, "\"YSJi\"\n\"/w==\"\n");
}

#[test]
fn decimals_have_javas_bytes() {
    let bytes: BTreeMap<i128, Vec<u8>> = [0, 1, -1, 127, 128, -128, -129, 255, 256]
        .into_iter()
        .map(|number| (number, unscaled_bytes(number)))
        .collect();
    assert_eq!(bytes[&0], [0]);
    assert_eq!(bytes[&-1], [0xff]);
    assert_eq!(bytes[&127], [0x7f]);
    assert_eq!(bytes[&128], [0, 0x80]);
    assert_eq!(bytes[&-128], [0x80]);
    assert_eq!(bytes[&-129], [0xff, 0x7f]);
    assert_eq!(bytes[&256], [1, 0]);
}

//! Avro and Protobuf: what is made is what their own encoders take.

use base::{ContractKind, problem::plain};
use contracts::{Document, Referenced, Transcoder, contract, validate::RecordEncoder};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::Recipe;
use crate::record::json_value;

fn made(kind: ContractKind, text: &str, references: &[Referenced], count: u64) -> Vec<Json> {
    let recipe = Recipe::of("test", kind, "test", text, references)
        .unwrap_or_else(|error| panic!("{}", plain(&error)));
    let record = |number| {
        let mut record = Vec::new();
        recipe.write(3, number, &mut record).unwrap_or_else(|error| panic!("{}", plain(&error)));
        serde_json::from_slice(&record)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&record)))
    };
    (0..count).map(record).collect()
}

/// Records that the encoder of a load takes.
fn check_avro(text: &str, count: u64) -> Vec<Json> {
    let contract = contract(ContractKind::Avro, "test", None, text).expect("an Avro schema");
    let encoder = RecordEncoder::compile(&contract).expect("an encoder");
    let records = made(ContractKind::Avro, text, &[], count);
    for record in &records {
        encoder
            .encode(&json_value(record.clone()), &mut Vec::new())
            .unwrap_or_else(|broken| panic!("{broken}\n{record:#}\n{text}"));
    }
    records
}

const ORDER: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"},
    {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "due", "type": {"type": "int", "logicalType": "date"}},
    {"name": "opens", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "closes", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "tax", "type": {"type": "fixed", "name": "Tax", "size": 6, "logicalType": "decimal", "precision": 12, "scale": 3}},
    {"name": "trace", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 16}},
    {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["OPEN", "PAID"]}},
    {"name": "was", "type": ["null", "Status"], "default": null},
    {"name": "email", "type": "string"},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
        {"name": "sku", "type": "string"}, {"name": "quantity", "type": "int"}, {"name": "price", "type": "double"}]}}},
    {"name": "prices", "type": {"type": "map", "values": "float"}},
    {"name": "gift", "type": ["null", "Line", "string"]},
    {"name": "is_paid", "type": "boolean"},
    {"name": "raw", "type": "bytes"}]}"#;

#[test]
fn avro_records_are_what_the_encoder_takes() {
    let records = check_avro(ORDER, 200);
    let ids: Vec<_> = records.iter().take(3).map(|record| record["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 3]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&records[0]).expect("text"));
    check_avro("\"string\"", 3);
    // A type that contains itself has no rows, and still records.
    let tree = r#"{"type": "record", "name": "Tree", "fields": [{"name": "value", "type": "int"},
        {"name": "left", "type": ["null", "Tree"]}, {"name": "others", "type": {"type": "array", "items": "Tree"}}]}"#;
    let trees = made(ContractKind::Avro, tree, &[], 50);
    assert!(trees.iter().any(|tree| tree["left"]["left"]["value"].is_i64()));
    let line = r#"{"type": "record", "name": "Line", "namespace": "shop", "fields": [{"name": "sku", "type": "string"}]}"#;
    let order = r#"{"type": "record", "name": "Order", "fields": [{"name": "line", "type": "shop.Line"}]}"#;
    let references = [Referenced { name: "shop.Line".to_owned(), text: line.to_owned() }];
    assert!(made(ContractKind::Avro, order, &references, 1)[0]["line"]["sku"].is_string());
}

/// Avro schemas by chance; a name stands once.
fn avro_schemas() -> impl Strategy<Value = Json> {
    let leaf = prop::sample::select(vec![
        json!("int"),
        json!("long"),
        json!("string"),
        json!("boolean"),
        json!("double"),
        json!("float"),
        json!("bytes"),
        json!({ "type": "long", "logicalType": "timestamp-micros" }),
        json!({ "type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4 }),
    ]);
    let tree = leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
            inner.clone().prop_map(|values| json!({ "type": "map", "values": values })),
            inner
                .clone()
                .prop_filter("a union has no union", |one| !one.is_array())
                .prop_map(|one| json!(["null", one])),
            prop::collection::btree_map("[a-z_]{1,9}", inner, 1..5).prop_map(|fields| {
                let fields: Vec<Json> =
                    fields.into_iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
                json!({ "type": "record", "name": "?", "fields": fields })
            }),
        ]
    });
    tree.prop_map(|mut schema| {
        fn name(json: &mut Json, next: &mut u32) {
            match json {
                Json::Object(members) => {
                    if members.get("name").is_some_and(|name| name == "?") {
                        *next += 1;
                        members.insert("name".to_owned(), json!(format!("R{next}")));
                    }
                    members.values_mut().for_each(|member| name(member, next));
                }
                Json::Array(items) => items.iter_mut().for_each(|item| name(item, next)),
                _ => {}
            }
        }
        name(&mut schema, &mut 0);
        schema
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn avro_records_keep_schemas_made_by_chance(schema in avro_schemas()) {
        check_avro(&schema.to_string(), 5);
    }
}

const SHOP: &str = r#"syntax = "proto3"; package shop;
import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/any.proto";
message Order {
  int64 order_id = 1; repeated Line lines = 2; google.protobuf.Timestamp placed_at = 3; bool paid = 4;
  map<string, double> prices = 5; map<int32, Line> by_number = 6; map<bool, string> flags = 7;
  oneof payment { string card_number = 8; Line voucher = 9; bool cash = 10; }
  Status status = 11; google.protobuf.Duration wait = 12; google.protobuf.StringValue note = 13;
  google.protobuf.Struct more = 14; google.protobuf.Value one = 15; bytes raw = 16; optional uint64 big = 17;
  Order parent = 18; fixed32 f = 19; sint64 s = 20; float weight = 21; google.protobuf.Any any = 22; string email = 23;
  enum Status { STATUS_UNKNOWN = 0; OPEN = 1; PAID = 2; }
  message Line { string sku = 1; int32 quantity = 2; double price = 3; }
}"#;

#[test]
fn protobuf_records_are_messages() {
    let document = Document::parse_with(ContractKind::Protobuf, "order.proto", SHOP, &[]).expect("a file");
    let transcoder = Transcoder::of(&document).expect("messages");
    let records = made(ContractKind::Protobuf, SHOP, &[], 200);
    for record in &records {
        transcoder.write(record, &mut Vec::new()).unwrap_or_else(|broken| panic!("{broken}\n{record:#}"));
    }
    for way in ["cardNumber", "voucher", "cash"] {
        assert!(records.iter().any(|record| !record[way].is_null()), "{way} is there at times");
    }
    let old = r#"syntax = "proto2"; message A { required string name = 1; optional A a = 2; repeated int32 n = 3; }"#;
    assert!(made(ContractKind::Protobuf, old, &[], 20).iter().all(|record| record["name"].is_string()));
}

#[test]
fn contracts_that_cannot_be_kept() {
    let refused = |kind, text: &str| {
        let error = Recipe::of("test", kind, "test", text, &[]).expect_err(text);
        plain(&error)
    };
    let told = [
        refused(
            ContractKind::Avro,
            r#"{"type": "record", "name": "A", "fields": [{"name": "a", "type": "A"}]}"#,
        ),
        refused(ContractKind::Protobuf, r#"syntax = "proto2"; message A { required A a = 1; }"#),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

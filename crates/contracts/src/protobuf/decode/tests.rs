//! Messages as rows, plain and as Confluent's converter has them.

use base::{Kind, Schema};
use serde_json::json;

use super::*;

const FILE: &str = r#"syntax = "proto3"; package shop;
    import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
    import "google/protobuf/duration.proto"; import "google/protobuf/struct.proto";
    import "google/type/date.proto"; import "google/type/timeofday.proto";
    import "confluent/meta.proto"; import "confluent/type/decimal.proto";
    enum Size { SMALL = 0; LARGE = 7; }
    message Order {
      string region = 9;
      uint64 id = 1;
      optional int32 count = 2;
      Size size = 3;
      google.protobuf.Timestamp at = 4;
      google.type.Date day = 5;
      google.type.TimeOfDay hour = 6;
      confluent.type.Decimal price = 7 [(confluent.field_meta) = {params: [{key: "precision", value: "9"}, {key: "scale", value: "2"}]}];
      google.protobuf.StringValue note = 8;
      repeated Line lines = 10;
      map<string, int64> stock = 11;
      oneof paid { string card = 12; bool cash = 13; }
      google.protobuf.Duration took = 14;
      google.protobuf.Struct more = 15;
      bytes seal = 16;
      message Line { string name = 1; sint32 count = 2 [(confluent.field_meta).params = {key: "connect.type", value: "int16"}]; }
    }
    message Tree { repeated Tree branches = 1; string name = 2; }"#;

const ALL: &str = r#"{"region": "eu", "id": "18446744073709551615", "count": 0, "size": "LARGE",
    "at": "2023-11-14T22:13:20.123456Z", "day": {"year": 2024, "month": 2, "day": 29},
    "hour": {"hours": 23, "minutes": 59, "seconds": 59, "nanos": 999000000},
    "price": {"value": "BNI=", "scale": 2}, "note": "", "lines": [{"name": "bread", "count": -3}],
    "stock": {"b": 2, "a": "1"}, "cash": false, "took": "3.500s", "more": {"n": 1.5, "list": [1, null]}, "seal": "AP8="}"#;

fn file() -> Protobuf {
    Protobuf::parse_with("order.proto", FILE, &[]).unwrap()
}

/// The row of a message, as the values are.
fn row(mapping: Mapping, message: &str, json: &str) -> String {
    let mut bytes = Vec::new();
    let writer = file().writer(Some(message)).unwrap().unwrap();
    writer.write_text(json.as_bytes(), &mut bytes).unwrap();
    let (_, row) = file().reader(mapping).unwrap().read(&bytes).unwrap();
    let Value::Struct(fields) = row else { panic!("a row") };
    fields.iter().map(|(name, value)| format!("{name} = {value:?}\n")).collect()
}

#[test]
fn messages_become_rows() {
    insta::assert_snapshot!("plain", row(Mapping::PLAIN, "Order", ALL));
    insta::assert_snapshot!("plain_empty", row(Mapping::PLAIN, "Order", "{}"));
    insta::assert_snapshot!("connect", row(Mapping::CONNECT, "Order", ALL));
    insta::assert_snapshot!("connect_empty", row(Mapping::CONNECT, "Order", "{}"));
    let tree = r#"{"name": "a", "branches": [{"name": "b"}]}"#;
    insta::assert_snapshot!("tree", row(Mapping::PLAIN, "Tree", tree));
    assert!(row(Mapping::CONNECT, "Order.Line", r#"{"name": "bread"}"#).contains("bread"));
}

/// A kind in one line: `?` what may be null.
fn shown(schema: &Schema) -> String {
    let mark = if schema.optional { "?" } else { "" };
    let kind = match &schema.kind {
        Kind::Array(items) => format!("[{}]", shown(items)),
        Kind::Map { key, value } => format!("{{{}: {}}}", shown(key), shown(value)),
        Kind::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}: {}", field.name, shown(&field.schema))).collect();
            format!("({})", fields.join(", "))
        }
        kind => format!("{kind:?}"),
    };
    let name = schema.name.as_deref().map_or(String::new(), |name| format!(" {name}"));
    format!("{kind}{mark}{name}")
}

#[test]
fn messages_have_the_schema_of_confluents_converter() {
    let mappings = [
        ("as it is", Mapping::CONNECT),
        ("optional.for.nullables", Mapping { only_optional_is_null: true, ..Mapping::CONNECT }),
        ("wrapper.for.nullables", Mapping { unwraps: true, ..Mapping::CONNECT }),
        ("flatten.unions", Mapping { has_unions: false, ..Mapping::CONNECT }),
    ];
    // A `Struct` holds itself.
    let text = FILE.replace("google.protobuf.Struct more = 15;", "");
    let file = Protobuf::parse_with("order.proto", &text, &[]).unwrap();
    let mut text = String::new();
    for (name, mapping) in mappings {
        let schema = file.reader(mapping).unwrap().schema("orders-value", 0).unwrap();
        text += &format!("-- {name}\n");
        for field in schema.fields() {
            text += &format!("{}: {} {:?}\n", field.name, shown(&field.schema), field.schema.parameters);
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_no_row_is_refused() {
    let reader = file().reader(Mapping::CONNECT).unwrap();
    let told = |error: Error| error.to_string();
    let tree = reader.messages.iter().position(|one| one.descriptor.name() == "Tree").unwrap();
    let text = told(reader.schema("trees-value", tree).unwrap_err());
    assert_eq!(
        text,
        "trees-value cannot be turned into rows: branches: the message holds itself, so a row of it has no end"
    );
    assert!(told(reader.read(&[2, 8]).unwrap_err()).contains("[4]"));
    assert!(reader.read(&[0, 10, 9]).is_err() && reader.read(&[]).is_err());
    let mut bytes = Vec::new();
    let writer = file().writer(None).unwrap().unwrap();
    let bad = json!({ "day": { "year": 2023, "month": 2, "day": 29 } });
    writer.write_text(bad.to_string().as_bytes(), &mut bytes).unwrap();
    assert!(told(reader.read(&bytes).unwrap_err()).contains("2023-2-29 is no date"));
}

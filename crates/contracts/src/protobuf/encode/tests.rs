//! Rows become messages that say the same when they are read again.

use super::{
    super::{Mapping, Protobuf},
    *,
};

const FILE: &str = r#"syntax = "proto3"; package shop;
    import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
    import "google/protobuf/struct.proto"; import "google/type/date.proto"; import "google/type/timeofday.proto";
    import "confluent/meta.proto"; import "confluent/type/decimal.proto";
    enum Size { SMALL = 0; LARGE = 7; }
    message Order {
      uint64 id = 1; Size size = 2; google.protobuf.Timestamp at = 3; google.type.Date day = 4;
      google.type.TimeOfDay hour = 5;
      confluent.type.Decimal price = 6 [(confluent.field_meta) = {params: [{key: "scale", value: "3"}]}];
      google.protobuf.StringValue note = 7; repeated Line lines = 8; map<string, int64> stock = 9;
      google.protobuf.Struct more = 10; bytes seal = 11; string day_text = 12; string at_text = 13; double rate = 14;
      string cost = 15; int64 at_ms = 16; bool paid = 17;
      message Line { string name = 1; float weight = 2; }
    }
    message Plain { int32 n = 1; }"#;

fn row(fields: Vec<(&str, Value)>) -> Value {
    Value::Struct(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn typed() -> Value {
    let price = Value::Decimal { unscaled: -12_345, scale: 2 };
    row(vec![
        ("id", Value::Int(7)),
        ("size", Value::string("LARGE")),
        ("at", Value::TimestampUs(1_700_000_000_123_456)),
        ("day", Value::Date(15_736)),
        ("hour", Value::TimeMs(45_296_789)),
        ("price", price.clone()),
        ("note", Value::string("")),
        (
            "lines",
            Value::List(vec![row(vec![("name", Value::string("bread")), ("weight", Value::Float(0.5))])]),
        ),
        ("stock", Value::Map(vec![(Value::string("a"), Value::Int(1))])),
        ("more", row(vec![("n", Value::Float(1.5))])),
        ("seal", Value::Bytes(vec![0, 255].into())),
        ("day_text", Value::Date(15_736)),
        ("at_text", Value::TimestampMs(1_359_626_400_250)),
        ("rate", price.clone()),
        ("cost", price),
        ("atMs", Value::TimestampMs(1_359_626_400_250)),
        ("paid", Value::Null),
    ])
}

fn read(file: &Protobuf, bytes: &[u8]) -> String {
    let (_, row) = file.reader(Mapping::PLAIN).unwrap().read(bytes).unwrap();
    let Value::Struct(fields) = row else { panic!("a row") };
    fields.iter().map(|(name, value)| format!("{name} = {value:?}\n")).collect()
}

#[test]
fn rows_become_messages_of_the_same_types() {
    let file = Protobuf::parse_with("order.proto", FILE, &[]).unwrap();
    let writer = file.writer(None).unwrap().unwrap();
    let mut bytes = Vec::new();
    writer.write_row(&typed(), &mut bytes).unwrap();
    insta::assert_snapshot!("rows", read(&file, &bytes));
    // JSON and texts have dates and decimals as they are written.
    let (mut json, mut texts) = (Vec::new(), Vec::new());
    writer.write_text(br#"{"id": "7", "day": "2013-01-31", "price": 12.5}"#, &mut json).unwrap();
    let cells = [("id", Some("7")), ("day", Some("2013-01-31")), ("price", Some("12.5"))];
    writer.write_texts(cells.into_iter(), &mut texts).unwrap();
    assert_eq!(json, texts);
    assert!(read(&file, &json).contains("price = Decimal { unscaled: 12500, scale: 3 }"));
    assert!(file.writer(Some("Plain")).unwrap().unwrap().write_row(&row(vec![]), &mut json).is_ok());
}

#[test]
fn what_a_field_cannot_hold_is_named() {
    let file = Protobuf::parse_with("order.proto", FILE, &[]).unwrap();
    let writer = file.writer(None).unwrap().unwrap();
    let line = |value| Value::List(vec![row(vec![("name", Value::string("a")), ("weight", value)])]);
    let cases = vec![
        ("price", Value::string("dear")),
        ("price", Value::Decimal { unscaled: 1, scale: 9 }),
        ("day", Value::string("31.1.2013")),
        ("at", Value::Int(7)),
        ("size", Value::string("HUGE")),
        ("id", Value::Int(-1)),
        ("id", Value::Float(1.5)),
        ("lines", line(Value::Boolean(true))),
        ("stock", Value::Int(1)),
        ("more", Value::Int(1)),
        ("nothing", Value::Int(1)),
        ("day_text", Value::Boolean(true)),
    ];
    let refused = cases.into_iter().map(|(name, value)| {
        let mut bytes = vec![9];
        let violation = writer.write_row(&row(vec![(name, value)]), &mut bytes).unwrap_err();
        assert_eq!(bytes, [9]);
        format!("{violation}\n")
    });
    insta::assert_snapshot!(refused.collect::<String>());
}

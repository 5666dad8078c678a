//! Avro: places of mistakes, canonical texts, rows there and back, and the same bytes as another implementation's.

use std::sync::Arc;

use apache_avro::types::Value as Theirs;
use base::{Kind, Value};
use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_canonical(text: &str, expected: &str) {
    let avro = Avro::parse("test", text).unwrap();
    assert_eq!(avro.canonical(), expected);
    assert_eq!(Avro::parse("test", expected).unwrap().canonical(), expected, "canonical is stable");
}

#[test]
fn the_canonical_text_is_javas() {
    check_canonical(" int ", r#""int""#);
    check_canonical(r#"{"type": "int"}"#, r#""int""#);
    check_canonical(r#"{"logicalType": "date", "type": "int"}"#, r#"{"type":"int","logicalType":"date"}"#);
    check_canonical(
        r#"{"name": "com.x.R", "fields": [{"type": ["null", "R"], "name": "next", "default": null},
            {"name": "e", "type": {"name": "E", "type": "enum", "symbols": ["A"], "default": "A"}, "order": "ignore"},
            {"name": "f", "type": {"namespace": "y", "name": "F", "size": 2, "type": "fixed"}, "my": 1}],
            "type": "record", "doc": "d", "aliases": ["Q"], "z": 1, "connect.name": "n"}"#,
        r#"{"type":"record","name":"R","namespace":"com.x","doc":"d","fields":[{"name":"next","type":["null","R"],"default":null},{"name":"e","type":{"type":"enum","name":"E","symbols":["A"],"default":"A"},"order":"ignore"},{"name":"f","type":{"type":"fixed","name":"F","namespace":"y","size":2},"my":1}],"z":1,"connect.name":"n","aliases":["Q"]}"#,
    );
    let sorted = Avro::parse("t", r#"{"type":"int","z":1,"a":2}"#).unwrap().normalized();
    assert_eq!(sorted, r#"{"type":"int","a":2,"z":1}"#);
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let error = Avro::parse("t.avsc", text).unwrap_err();
    let spot = base::Problem::spot(&error).unwrap();
    let told = error.to_string();
    let reason = told.split_once("schema: ").map_or(&*told, |(_, reason)| reason);
    assert_eq!(format!("{spot} {reason}"), expected);
}

#[test]
fn mistakes_are_told_with_their_place() {
    let record = |field: &str| format!(r#"{{"type":"record","name":"r","fields":[{field}]}}"#);
    check_refused(
        &record(r#"{"name":"a","type":"text"}"#),
        "t.avsc:1:58 no type is named \"text\"; Avro calls it \"string\"",
    );
    check_refused(
        &record(r#"{"name":"1a","type":"int"}"#),
        "t.avsc:1:47 \"1a\" is no name: letters, digits and _ only, no digit first, and no primitive's",
    );
    check_refused(
        &record(r#"{"name":"a","type":"int","default":"x"}"#),
        "t.avsc:1:74 the default of field \"a\" is no int",
    );
    check_refused(r#"["int","int"]"#, "t.avsc:1:8 the union holds int twice");
    check_refused(
        r#"{"type":"enum","name":"e","symbols":["A","A"]}"#,
        "t.avsc:1:42 symbol \"A\" comes twice",
    );
    check_refused(r#"{"type":"array"}"#, "t.avsc:1:1 an array needs \"items\"");
}

const WIDE: &str = r#"{"type":"record","name":"Wide","fields":[
    {"name":"flag","type":"boolean"}, {"name":"small","type":{"type":"int","connect.type":"int16"}},
    {"name":"large","type":"long"}, {"name":"half","type":"float"}, {"name":"whole","type":"double"},
    {"name":"text","type":["null","string"],"default":null}, {"name":"raw","type":"bytes"},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"moment","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"colour","type":{"type":"enum","name":"Colour","symbols":["RED","BLUE"]}},
    {"name":"id","type":{"type":"fixed","name":"Id","size":2}},
    {"name":"list","type":{"type":"array","items":"int"}}, {"name":"map","type":{"type":"map","values":"long"}},
    {"name":"either","type":["null","string","long"]},
    {"name":"inner","type":{"type":"record","name":"Inner","fields":[{"name":"x","type":"int"}]}}]}"#;

fn named(fields: Vec<(&str, Value)>) -> Value {
    Value::Struct(fields.into_iter().map(|(name, value)| (Arc::from(name), value)).collect())
}

fn wide(number: i64, text: Option<&str>) -> Value {
    named(vec![
        ("flag", Value::Boolean(number % 2 == 0)),
        ("small", Value::Int(number % 30_000)),
        ("large", Value::Int(number)),
        ("half", Value::Float(0.5)),
        ("whole", Value::Float(number as f64)),
        ("text", text.map_or(Value::Null, Value::string)),
        ("raw", Value::Bytes(bytes::Bytes::copy_from_slice(&number.to_be_bytes()))),
        ("day", Value::Date((number % 100_000) as i32)),
        ("moment", Value::TimestampMs(number)),
        ("price", Value::Decimal { unscaled: number.into(), scale: 2 }),
        ("colour", Value::string(if number % 2 == 0 { "RED" } else { "BLUE" })),
        ("id", Value::Bytes(bytes::Bytes::from_static(&[1, 2]))),
        ("list", Value::List((0..3).map(Value::Int).collect())),
        ("map", Value::Map(vec![(Value::string("k"), Value::Int(number))])),
        ("either", named(vec![("string", Value::Null), ("long", Value::Int(number))])),
        ("inner", named(vec![("x", Value::Int(7))])),
    ])
}

proptest! {
    #[test]
    fn rows_come_back(number: i64, text in proptest::option::of(".*")) {
        let (encoder, decoder) = (Encoder::new("w", WIDE).unwrap(), Decoder::new("w", WIDE).unwrap());
        let value = wide(number, text.as_deref());
        let mut bytes = Vec::new();
        encoder.encode(&value, &mut bytes).unwrap();
        prop_assert_eq!(decoder.decode(&bytes).unwrap(), value);
        // Cut anywhere, it is refused, and nothing panics.
        prop_assert!((0..bytes.len()).all(|end| decoder.decode(&bytes[..end]).is_err()));
    }

    #[test]
    fn garbage_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let decoder = Decoder::new("w", WIDE).unwrap();
        decoder.decode(&bytes).ok();
    }
}

#[test]
#[expect(deprecated, reason = "the two plain functions are all that this needs")]
fn another_implementation_reads_the_same_bytes() {
    let schema = apache_avro::Schema::parse_str(WIDE).unwrap();
    let mut bytes = Vec::new();
    Encoder::new("w", WIDE).unwrap().encode(&wide(-129, Some("é")), &mut bytes).unwrap();
    let theirs = apache_avro::from_avro_datum(&schema, &mut &bytes[..], None).unwrap();
    let Theirs::Record(fields) = &theirs else { panic!("a record") };
    assert_eq!(fields[2].1, Theirs::Long(-129));
    assert_eq!(fields[5].1, Theirs::Union(1, Box::new(Theirs::String("é".to_owned()))));
    assert_eq!(fields[9].1, Theirs::Decimal((-129i64 as i16).to_be_bytes().to_vec().into()));
    assert_eq!(fields[10].1, Theirs::Enum(1, "BLUE".to_owned()));
    assert_eq!(fields[14].1, Theirs::Union(2, Box::new(Theirs::Long(-129))));
    let back = apache_avro::to_avro_datum(&schema, theirs).unwrap();
    assert_eq!(back, bytes);
}

#[test]
fn types_map_as_connects_avro_data() {
    let schema = schema_of("w", &Avro::parse("w", WIDE).unwrap()).unwrap();
    let kind = |name: &str| schema.field(name).unwrap().schema.kind.clone();
    assert_eq!(schema.name.as_deref(), Some("Wide"));
    assert_eq!([kind("small"), kind("large"), kind("half")], [Kind::Int16, Kind::Int64, Kind::Float32]);
    assert_eq!(
        [kind("day"), kind("moment"), kind("price")],
        [Kind::Date, Kind::TimestampMs, Kind::Decimal { scale: 2 }]
    );
    assert!(schema.field("text").unwrap().schema.optional);
    let either = &schema.field("either").unwrap().schema;
    assert_eq!((either.name.as_deref(), either.optional), (Some("io.confluent.connect.avro.Union"), true));
    let names: Vec<&str> = either.fields().iter().map(|field| &*field.name).collect();
    assert_eq!(names, ["string", "long"]);
    let colour = &schema.field("colour").unwrap().schema;
    assert_eq!(colour.parameters["io.confluent.connect.avro.Enum"], "Colour");
    assert_eq!(
        schema.field("price").unwrap().schema.name.as_deref(),
        Some("org.apache.kafka.connect.data.Decimal")
    );
    let text = r#"{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]}]}"#;
    let error = Decoder::new("r", text).unwrap_err().to_string();
    assert_eq!(
        error,
        "r cannot be turned into rows: next: the record holds itself, so a row of it has no end"
    );
}

/// A moment is written in its field's unit, whatever it is counted in here.
#[test]
fn moments_keep_their_unit() {
    let unit = |name: &str| {
        format!(r#"{{"name":"{}","type":{{"type":"long","logicalType":"{name}"}}}}"#, name.replace('-', "_"))
    };
    let units = ["timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-micros"];
    let fields: Vec<String> = units.iter().map(|name| unit(name)).collect();
    let text = format!(r#"{{"type":"record","name":"r","fields":[{}]}}"#, fields.join(","));
    let encoder = Encoder::new("t", &text).unwrap();
    let written = |value: &Value| {
        let row = units.iter().map(|name| (name.replace('-', "_").into(), value.clone())).collect();
        let mut bytes = Vec::new();
        encoder.encode(&Value::Struct(row), &mut bytes).unwrap();
        let Value::Struct(row) = Decoder::new("t", &text).unwrap().decode(&bytes).unwrap() else {
            panic!("a row")
        };
        row.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    };
    let at =
        |ms: i64, us: i64, ns: i64| [Value::TimestampMs(ms), Value::Int(us), Value::Int(ns), Value::Int(us)];
    assert_eq!(written(&Value::TimestampMs(1_500)), at(1_500, 1_500_000, 1_500_000_000));
    assert_eq!(written(&Value::TimestampUs(-1)), at(-1, -1, -1_000));
    assert_eq!(written(&Value::string("1970-01-01T00:00:01.000002Z")), at(1_000, 1_000_002, 1_000_002_000));
    assert_eq!(written(&Value::Date(1)), at(86_400_000, 86_400_000_000, 86_400_000_000_000));
    assert_eq!(written(&Value::Int(7)), at(7, 7, 7));
}

#[test]
fn what_does_not_fit_names_its_field() {
    let encoder = Encoder::new("t", r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","int"],"default":null}]}"#).unwrap();
    let refused = |value| encoder.encode(&value, &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(refused(named(vec![("a", Value::string("x"))])), "a: expected int, found \"x\"");
    assert_eq!(refused(named(vec![])), "a: expected int, found nothing");
    assert_eq!(
        refused(named(vec![("a", Value::Int(1)), ("b", Value::Int(1 << 40))])),
        "b: expected int, found 1099511627776"
    );
    let mut bytes = Vec::new();
    encoder.encode(&named(vec![("a", Value::Int(1))]), &mut bytes).unwrap();
    assert_eq!(bytes, [2, 0]);
}

#[test]
fn the_row_model_writes_back_the_same_rows() {
    let decoder = Decoder::new("w", WIDE).unwrap();
    let again = avro_of(decoder.schema()).unwrap();
    let value = wide(5, Some("x"));
    let mut bytes = Vec::new();
    Encoder::of("w", &again).unwrap().encode(&value, &mut bytes).unwrap();
    assert_eq!(Decoder::of("w", &again).unwrap().decode(&bytes).unwrap().get("price"), value.get("price"));
    let schema = schema_of("w", &again).unwrap();
    for (before, after) in decoder.schema().fields().iter().zip(schema.fields()) {
        assert_eq!((&before.name, &before.schema.kind), (&after.name, &after.schema.kind));
        assert_eq!(
            (before.schema.optional, &before.schema.name),
            (after.schema.optional, &after.schema.name)
        );
    }
}

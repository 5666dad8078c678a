//! Schemas as AvroData writes them.

use base::{Field, Kind, Value};

use super::*;

#[track_caller]
fn check(schema: Schema, expected: &str) {
    assert_eq!(avro_schema_text(&schema, false).unwrap(), expected);
}

fn field(name: &str, schema: Schema) -> Field {
    Field { name: name.into(), schema: Arc::new(schema) }
}

#[test]
fn plain_kinds_are_words_and_logical_ones_carry_their_connect_name() {
    check(Schema::of(Kind::Int64), "\"long\"");
    check(Schema::optional(Kind::String), "[\"null\",\"string\"]");
    check(Schema::of(Kind::Int8), "{\"type\":\"int\",\"connect.type\":\"int8\"}");
    check(
        Schema::of(Kind::TimestampMs),
        "{\"type\":\"long\",\"connect.version\":1,\"connect.name\":\"org.apache.kafka.connect.data.Timestamp\",\
         \"logicalType\":\"timestamp-millis\"}",
    );
    check(
        Schema::of(Kind::Decimal { scale: 2 }),
        "{\"type\":\"bytes\",\"scale\":2,\"precision\":64,\"connect.version\":1,\"connect.parameters\":{\"scale\":\"2\"},\
         \"connect.name\":\"org.apache.kafka.connect.data.Decimal\",\"logicalType\":\"decimal\"}",
    );
}

#[test]
fn records_have_names_defaults_and_each_is_told_once() {
    let inner =
        || Schema::of(Kind::Struct(vec![field("x", Schema::of(Kind::Int32))].into())).named("a.b.Inner");
    let with_default = Schema { default: Some(Value::Int(3)), ..Schema::optional(Kind::Int32) };
    let schema = Schema::of(Kind::Struct(
        vec![
            field("one", inner()),
            field("two", Schema { optional: true, ..inner() }),
            field("three", with_default),
        ]
        .into(),
    ));
    check(
        schema,
        "{\"type\":\"record\",\"name\":\"ConnectDefault\",\"namespace\":\"io.confluent.connect.avro\",\"fields\":[\
         {\"name\":\"one\",\"type\":{\"type\":\"record\",\"name\":\"Inner\",\"namespace\":\"a.b\",\"fields\":[\
         {\"name\":\"x\",\"type\":\"int\"}],\"connect.name\":\"a.b.Inner\"}},\
         {\"name\":\"two\",\"type\":[\"null\",\"a.b.Inner\"],\"default\":null},\
         {\"name\":\"three\",\"type\":[{\"type\":\"int\",\"connect.default\":3},\"null\"],\"default\":3}]}",
    );
}

#[test]
fn names_that_avro_does_not_take_are_refused() {
    let schema = Schema::of(Kind::Struct(vec![field("a-b", Schema::of(Kind::Int32))].into()));
    assert!(matches!(avro_schema_text(&schema, false), Err(Error::SchemaUnfit { .. })));
}

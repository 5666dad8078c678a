//! Every serializer, read back by confluent-kafka's deserializers with the types that those give.

use super::{beside, name, write_typed};

const READ: &str = include_str!("read.py");

const JSON: &str = r#"{"title":"Typed","type":"object","properties":{"id":{"type":"integer"},
    "day":{"type":"string","format":"date"},"at":{"type":"string","format":"date-time"},"price":{"type":"number"},
    "seal":{"type":["string","null"]},"place":{"type":"object","properties":{"lat":{"type":"number"},"ok":{"type":"boolean"}}},
    "tags":{"type":"array","items":{"type":"string"}}}}"#;

const AVRO: &str = r#"{"type":"record","name":"Typed","fields":[{"name":"id","type":"long"},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"seal","type":["null","bytes"],"default":null},
    {"name":"place","type":{"type":"record","name":"Place","fields":[{"name":"lat","type":"double"},{"name":"ok","type":"boolean"}]}},
    {"name":"tags","type":{"type":"array","items":"string"}}]}"#;

const PROTO: &str = r#"syntax = "proto3"; package shop;
    import "google/protobuf/timestamp.proto"; import "google/type/date.proto"; import "confluent/type/decimal.proto";
    message Typed { int64 id = 1; google.type.Date day = 2; google.protobuf.Timestamp at = 3; confluent.type.Decimal price = 4;
      optional bytes seal = 5; Place place = 6; repeated string tags = 7; message Place { double lat = 1; bool ok = 2; } }"#;

/// Two records, as each deserializer gives them; the same whatever file they come from.
#[test]
fn every_serializer_writes_what_the_deserializers_read() {
    let (world, parts) = beside();
    let (Some(()), Some(python)) = (write_typed(&world), testkit::python()) else { return };
    let contracts = [
        ("json-schema", JSON, "json"),
        ("avro", AVRO, "avsc"),
        ("protobuf", PROTO, "proto"),
        ("json", "", ""),
    ];
    for (serializer, contract, ending) in contracts {
        for file in ["typed.parquet", "typed.avro"] {
            let topic = name("typed");
            let target = format!("kafka://{}/{topic}", parts.kafka());
            let mut load = vec!["load", file, &target, "--create", "--serializer", serializer];
            if !contract.is_empty() {
                world.write(&format!("contracts/{topic}.{ending}"), contract);
                load.extend(["--contract", &topic]);
            }
            world.ok(&load);
            let said = testkit::run_python(
                &python,
                READ,
                &[&parts.kafka(), &parts.registry(), &topic, serializer, "2"],
            );
            insta::assert_snapshot!(serializer, said);
        }
    }
}

/// CSV has the types of its contract, and of `--types` without one.
#[test]
fn typed_csv_is_read_with_its_types() {
    let (world, parts) = beside();
    let (Some(()), Some(python)) = (write_typed(&world), testkit::python()) else { return };
    let columns = ["--columns", "id,day,at,price"];
    let contracts = [
        ("avro", AVRO.split(",\n    {\"name\":\"seal\"").next().unwrap().to_owned() + "]}", "avsc"),
        ("protobuf", PROTO.to_owned(), "proto"),
        ("json-schema", JSON.to_owned(), "json"),
        ("json", String::new(), ""),
    ];
    for (serializer, contract, ending) in contracts {
        let topic = name("typed-csv");
        let target = format!("kafka://{}/{topic}", parts.kafka());
        let mut load = vec!["load", "typed.csv", &target, "--create", "--serializer", serializer];
        load.extend(columns);
        if contract.is_empty() {
            load.extend(["--types", "day=date,at=timestamp,price=decimal(2)"]);
        } else {
            world.write(&format!("contracts/{topic}.{ending}"), contract);
            load.extend(["--contract", &topic]);
        }
        world.ok(&load);
        let said =
            testkit::run_python(&python, READ, &[&parts.kafka(), &parts.registry(), &topic, serializer, "2"]);
        insta::assert_snapshot!(format!("csv_{serializer}"), said);
    }
}

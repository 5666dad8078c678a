//! Typed records from end to end: files with dates, decimals, moments, bytes and lists into topics under every serializer and into
//! tables, read by other people's clients; topics of Protobuf as sources; what is sent again is converted once.

mod protobuf;
mod topics;

use std::fs;

use testkit::World;

use crate::shared::{beside, name, shared};

/// Writes `typed.parquet` and `typed.avro` with the same two records, by pyarrow and fastavro.
const WRITE: &str = include_str!("load_typed/write.py");

/// The same in CSV.
const CSV: &str = "id,day,at,price,seal,place,tags\n\
    1,2013-01-31,2013-01-31T10:00:00.250Z,12.50,AP8=,\"{\"\"lat\"\":1.5,\"\"ok\"\":true}\",\"[\"\"x\"\",\"\"y\"\"]\"\n\
    2,1969-12-31,1969-12-31T23:59:59.999Z,-0.05,,\"{\"\"lat\"\":-1.0,\"\"ok\"\":false}\",[]\n";

fn write_typed(world: &World) -> Option<()> {
    let python = testkit::python()?;
    testkit::run_python(&python, WRITE, &[&world.folder().to_string_lossy()]);
    world.write("typed.csv", CSV);
    Some(())
}

/// Records of JSON with dates as people write them somewhere; one is refused by the contract, one by the mapping.
#[test]
fn what_is_sent_again_is_converted_once() {
    let (world, parts) = beside();
    let topic = name("again");
    let contract = r#"{"type":"record","name":"Day","fields":[{"name":"id","type":"int"},
        {"name":"day","type":{"type":"int","logicalType":"date"}}]}"#;
    world.write(&format!("contracts/{topic}.avsc"), contract);
    world.write(
        "days.jsonl",
        "{\"id\":1,\"day\":\"2013-02-01\"}\n{\"id\":\"x\",\"day\":\"2013-04-03\"}\n{\"id\":3,\"day\":\"never\"}\n",
    );
    let target = format!("kafka://{}/{topic}", parts.kafka());
    // The day before the month, so that a second reading would change it.
    let load = ["load", "days.jsonl", &target, "--create", "--contract", &topic, "--key", "id"];
    let how = ["--types", "day=date", "--date-format", "%Y-%d-%m", "--on-error", "dead-letter"];
    world.ok(&[&load[..], &how].concat());
    let folder = world.path(&format!(".tidemill/dead-letters/{topic}"));
    for file in fs::read_dir(&folder).unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        // As they were received.
        assert!(text.contains(r#"{\"id\":\"x\",\"day\":\"2013-04-03\"}"#), "{text}");
        fs::write(file.path(), text.replace(r#"\"id\":\"x\""#, r#"\"id\":2"#).replace("never", "2013-06-05"))
            .unwrap();
    }
    world.ok(&["dead-letters", "retry", &topic]);
    let said = world.ok(&["load", &target, "again.jsonl", "--output", "json"]);
    assert!(said.contains("\"records_count\":3"), "{said}");
    let mut days: Vec<String> =
        fs::read_to_string(world.path("again.jsonl")).unwrap().lines().map(str::to_owned).collect();
    days.sort();
    assert_eq!(
        days,
        [
            r#"{"id":1,"day":"2013-01-02"}"#,
            r#"{"id":2,"day":"2013-03-04"}"#,
            r#"{"id":3,"day":"2013-05-06"}"#
        ]
    );
}

/// A row of Parquet that is refused has its types when it is sent again, whatever is said of dates in texts.
#[test]
fn a_typed_row_that_is_sent_again_keeps_its_types() {
    let (world, parts) = beside();
    let Some(()) = write_typed(&world) else { return };
    let topic = name("typed-again");
    let contract = |least: i32| {
        format!(
            r#"{{"title":"Typed","type":"object","properties":{{"id":{{"type":"integer","minimum":{least}}},
            "day":{{"type":"string"}},"at":{{"type":"string"}},"price":{{"type":"number"}}}}}}"#
        )
    };
    world.write(&format!("contracts/{topic}.json"), contract(2));
    let target = format!("kafka://{}/{topic}", parts.kafka());
    let load =
        ["load", "typed.parquet", &target, "--create", "--contract", &topic, "--columns", "id,day,at,price"];
    let how = ["--types", "day=date", "--date-format", "%Y-%d-%m", "--on-error", "dead-letter"];
    world.ok(&[&load[..], &how].concat());
    let said = world.ok(&["dead-letters", "show", &topic, "--output", "json"]);
    assert!(said.contains("tidemill.types") && said.contains("2013-01-31"), "{said}");
    world.write(&format!("contracts/{topic}.json"), contract(1));
    world.ok(&["dead-letters", "retry", &topic]);
    world.ok(&["load", &target, "again.jsonl", "--limit", "9"]);
    let again = fs::read_to_string(world.path("again.jsonl")).unwrap();
    let expected = r#"{"id":1,"day":"2013-01-31","at":"2013-01-31T10:00:00.250Z","price":12.5}"#;
    assert!(again.lines().any(|line| line == expected), "{again}");
    assert_eq!(again.lines().count(), 2, "{again}");
}

#[test]
fn tables_of_dynamodb_have_the_types_of_the_files() {
    let (_, parts) = shared();
    let (world, _) = beside();
    let mut world = world;
    world.set("TIDEMILL_DYNAMODB_EXTERNAL", &parts.dynamodb());
    let (Some(()), Some(python)) = (write_typed(&world), testkit::python()) else { return };
    let read = include_str!("load_typed/dynamodb.py");
    for file in ["typed.parquet", "typed.avro"] {
        let table = name("typed");
        let target = format!("dynamodb://local/{table}");
        world.ok(&["load", file, &target, "--key", "id", "--create"]);
        let said = testkit::run_python(&python, read, &[&parts.dynamodb(), &table]);
        insta::assert_snapshot!("dynamodb", said);
    }
    let table = name("typed");
    let target = format!("dynamodb://local/{table}");
    let types = ["--types", "day=date,at=timestamp,price=decimal(2)", "--columns", "id,day,at,price"];
    world.ok(&[&["load", "typed.csv", &target, "--key", "id", "--create"], &types[..]].concat());
    let said = testkit::run_python(&python, read, &[&parts.dynamodb(), &table]);
    insta::assert_snapshot!("dynamodb_of_csv", said);
}

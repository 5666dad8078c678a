//! Records to rows with their types and keys, and refusals with their line and column.

use arrow_array::BinaryViewArray;
use base::{Ask, ContractKind, Lease, Position, Source};

use super::*;
use crate::files::{Config, Dialect, FileSource};

fn batch(path: &str, lines: &[(i64, &str)]) -> Batch {
    let values = BinaryViewArray::from_iter_values(lines.iter().map(|line| line.1.as_bytes()));
    let envelope = Envelope { marks: Some(lines.iter().map(|line| line.0).collect()), ..Envelope::default() };
    let place = Arc::new(Place::File { path: path.into() });
    Batch {
        body: Body::Raw(values),
        envelope,
        contract: None,
        place,
        end: Position::Mark(99),
        lease: Lease::free(),
    }
}

fn plan(contract: Option<Arc<Contract>>, keys: &[&str]) -> Plan {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Plan { contract, keys, nulls: vec![String::new(), "NA".to_owned()], stamp: None, keeps_json: false }
}

fn contract(kind: ContractKind, text: &str) -> Option<Arc<Contract>> {
    Some(Arc::new(contracts::contract(kind, "planes", None, text).expect("parses")))
}

/// `mark key row` of what goes on, then the refusals.
fn apply(plan: Plan, shape: Shape, kinds: Vec<Kind>, lines: &[(i64, &str)]) -> String {
    let planned = Planned { path: "a.csv".into(), shape, kinds };
    let stage = Rows::new(plan, vec![planned]).expect("a plan");
    let (batches, rejects) = stage.apply(batch("a.csv", lines)).expect("applies");
    let mut all = Vec::new();
    for batch in batches {
        let Body::Rows(rows) = &batch.body else { panic!("rows") };
        for (number, row) in rows.iter().enumerate() {
            let key = batch.envelope.key(number).map_or("-".into(), String::from_utf8_lossy);
            let Value::Struct(fields) = row else { panic!("a struct") };
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            all.push(format!("{} {key} {}", batch.envelope.mark(number).expect("a line"), fields.join(" ")));
        }
    }
    all.extend(rejects.0.iter().map(|reject| format!("{} {}", reject.code, reject.reason)));
    all.join("\n")
}

fn csv() -> Shape {
    let header = ["tailnum", "year", "weight"].map(str::to_owned).to_vec();
    let cells = Arc::new(Cells::plain(Dialect::of(b','), &header));
    Shape::Csv { header, cells }
}

const LINES: [(i64, &str); 8] = [
    (2, "N1,2004,1.5"),
    (3, "N2,NA,2"),
    (4, ",2004,1"),
    (5, "N3,twenty,1"),
    (6, "N4,2004"),
    (7, "\"N\n5\",2004,x"),
    (9, "N6,2004.0,-1e3"),
    (10, "\"N,7\",2004,"),
];

#[test]
fn csv_is_typed_as_its_columns_were_seen() {
    let kinds = vec![Kind::String, Kind::Int64, Kind::Float64];
    insta::assert_snapshot!(apply(plan(None, &["tailnum"]), csv(), kinds.clone(), &LINES));
    let dates = vec![Kind::Date, Kind::TimestampMs, Kind::Boolean];
    let lines = [(2, "2013-01-31,2013-01-31T10:00:00Z,TRUE"), (3, "2013-02-31,NA,false")];
    insta::assert_snapshot!(apply(plan(None, &[]), csv(), dates, &lines));
    let lines = [(2, "N\"1,2004,1")];
    let two = plan(None, &["tailnum", "year"]);
    insta::assert_snapshot!(apply(two, csv(), kinds, &lines));
}

const JSON_SCHEMA: &str = r#"{"title":"planes","type":"object","required":["tailnum"],"additionalProperties":false,
"properties":{"tailnum":{"type":"string"},"year":{"type":["integer","null"],"minimum":1900},"weight":{"type":"number"}}}"#;
const AVRO: &str = r#"{"type":"record","name":"planes","fields":[{"name":"tailnum","type":"string"},
{"name":"year","type":["null","int"],"default":null},{"name":"weight","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null}]}"#;

#[test]
fn a_contract_says_the_types_and_what_is_refused() {
    let json = contract(ContractKind::JsonSchema, JSON_SCHEMA);
    insta::assert_snapshot!(apply(plan(json.clone(), &["tailnum"]), csv(), Vec::new(), &LINES));
    let lines = [
        (1, r#"{"tailnum":"N1","weight":2}"#),
        (2, r#"{"tailnum":"N2","year":null}"#),
        (3, r#"{"tailnum":"N3","year":1800}"#),
        (4, r#"{"year":2004}"#),
    ];
    insta::assert_snapshot!(apply(plan(json, &["tailnum"]), Shape::Json, Vec::new(), &lines));
    let avro = contract(ContractKind::Avro, AVRO);
    let lines = [(2, "N1,2004,2013-01-31T10:00:00Z"), (3, "N2,NA,NA"), (4, "N3,x,1")];
    insta::assert_snapshot!(apply(plan(avro.clone(), &["tailnum"]), csv(), Vec::new(), &lines));
    let lines = [(1, r#"{"tailnum":"N1","weight":1359626400000}"#), (2, r#"{"tailnum":5}"#)];
    insta::assert_snapshot!(apply(plan(avro, &[]), Shape::Json, Vec::new(), &lines));
}

#[test]
fn json_keeps_the_types_it_has() {
    let lines = [
        (1, r#"{"tailnum":"N1","n":{"a":[1,2.5,null,true,"x"],"b":18446744073709551615},"n":2}"#),
        (2, r#"{"tailnum":{"a":1},"x":-9223372036854775808}"#),
        (3, "[1]"),
        (4, r#"{"x":1}"#),
        (5, r#"{"tailnum":"#),
        (6, r#"{"tailnum":"é"} {"#),
    ];
    insta::assert_snapshot!(apply(plan(None, &["tailnum"]), Shape::Json, Vec::new(), &lines));
}

#[tokio::test]
async fn columns_are_what_all_their_values_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.csv");
    let text = "int,number,code,flag,day,time,mixed,none\n1,1,007,true,2013-01-31,2013-01-31T10:00:00Z,1,NA\n\
                broken\n-2,2.5,008,FALSE,NA,2013-01-31T10:00:00.5+01:00,x,\n";
    std::fs::write(&path, text).expect("writes");
    let source = FileSource::open(Config::new(vec![path.clone()])).expect("opens");
    let name = path.to_string_lossy();
    let header = source.columns(&name).expect("a header");
    let mut seen = seen::Seen::new(&header, Arc::new(Cells::plain(Dialect::of(b','), &header)));
    seen.look(&source, &name).await.expect("reads");
    let kinds = seen.kinds();
    let told = seen.decisions().into_iter().map(|decision| {
        let why = decision.why.replace(&*name, "a.csv");
        format!("{}: {}: {why}", decision.column, decision.what)
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
    let expected = [
        Kind::Int64,
        Kind::Float64,
        Kind::String,
        Kind::Boolean,
        Kind::Date,
        Kind::TimestampMs,
        Kind::String,
        Kind::String,
    ];
    assert_eq!(kinds, expected);
    // It can still be read from its beginning.
    let deadline = std::time::Instant::now();
    let ask = Ask { bytes_max: 1 << 20, records_max: 10, deadline, lease: Lease::free() };
    assert!(matches!(source.discover(&ask).await, Ok(base::Discovery::Changed { .. })));
}

#[tokio::test]
async fn every_error_says_what_and_what_to_do() {
    let missing = Rows::new(
        plan(None, &["tail"]),
        vec![Planned { path: "a.csv".into(), shape: csv(), kinds: Vec::new() }],
    );
    let missing = missing.err().expect("no such column").downcast::<Error>().expect("ours");
    let file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    let source = FileSource::open(Config::new(vec![file.path().to_owned()])).expect("opens");
    let mut seen = seen::Seen::new(&[], Arc::new(Cells::plain(Dialect::of(b','), &[])));
    let told = seen.look(&source, "nowhere.csv").await.expect_err("not of this source");
    let texts: Vec<String> = [*missing, told].iter().map(|error| base::problem::plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_stamp_stands_in_every_row_in_place_of_a_field_of_its_name() {
    let stamp = Some(("weight".into(), Value::TimestampMs(5)));
    let plan = Plan { stamp, ..plan(None, &["tailnum"]) };
    let kinds = vec![Kind::String, Kind::Int64, Kind::Float64];
    let rows = apply(plan, csv(), kinds, &LINES[..1]);
    assert_eq!(rows, r#"2 N1 tailnum=String("N1") year=Int(2004) weight=TimestampMs(5)"#);
}

#[test]
fn json_goes_on_as_it_is_written_where_the_store_reads_it() {
    let plan = Plan { keeps_json: true, ..plan(None, &["id"]) };
    let planned = Planned { path: "a.jsonl".into(), shape: Shape::Json, kinds: Vec::new() };
    let stage = Rows::new(plan, vec![planned]).expect("a plan");
    let lines = [
        (1, r#" {"id":{"$oid":"5f"} , "a":1}"#),
        (2, r#"{"id":"#),
        (3, "[1]"),
        (4, r#"{"a":2}"#),
        (5, r#"{"id":7}"#),
    ];
    let (batches, rejects) = stage.apply(batch("a.jsonl", &lines)).expect("applies");
    let Body::Raw(records) = &batches[0].body else { panic!("as written") };
    let told: Vec<String> = (0..records.len())
        .map(|row| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let envelope = &batches[0].envelope;
            format!(
                "{:?} {} {}",
                envelope.mark(row),
                text(envelope.key(row).expect("a key")),
                text(records.value(row))
            )
        })
        .chain(rejects.0.iter().map(|reject| format!("{} {}", reject.code, reject.reason)))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

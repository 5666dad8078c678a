//! Texts to framed bytes, and refusals with their line and column.

use arrow_array::BinaryViewArray;
use base::{Lease, Position};

use super::*;
use crate::files::Dialect;

const SCHEMA: &str = r#"{"title":"flights","type":"object","additionalProperties":false,"required":["flight"],"properties":{
    "flight":{"type":"integer"},"tail":{"type":["string","null"]},"air_time":{"type":["number","null"]}}}"#;

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

fn contract(id: i32) -> Option<Arc<Contract>> {
    Some(Arc::new(
        contracts::contract(ContractKind::JsonSchema, "flights-value", Some(id), SCHEMA).expect("parses"),
    ))
}

fn plan(serializer: Serializer, contract: Option<Arc<Contract>>) -> Plan {
    let envelope = EnvelopePlan { key: Key::Field("tail".to_owned()), ..EnvelopePlan::default() };
    Plan { serializer, contract, message: None, envelope, nulls: vec![String::new(), "NA".to_owned()] }
}

/// `mark key value` of what goes on, then the refusals.
fn apply(plan: Plan, shape: Shape, lines: &[(i64, &str)]) -> Vec<String> {
    let stage = Serialize::new(plan, vec![("a.csv".into(), shape)]).expect("a plan");
    let (batches, rejects) = stage.apply(batch("a.csv", lines)).expect("applies");
    let mut all = Vec::new();
    for batch in batches {
        let Body::Raw(values) = &batch.body else { panic!("raw") };
        for row in 0..batch.len() {
            let key = batch.envelope.key(row).map(String::from_utf8_lossy);
            let value = String::from_utf8_lossy(values.value(row)).into_owned();
            all.push(format!(
                "{} {} {value:?}",
                batch.envelope.mark(row).expect("a line"),
                key.as_deref().unwrap_or("-")
            ));
        }
    }
    all.extend(rejects.0.iter().map(|reject| format!("{} {}", reject.code, reject.reason)));
    all
}

fn csv() -> Shape {
    csv_of(&["flight", "tail", "air_time"])
}

fn csv_of(header: &[&str]) -> Shape {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let cells = Arc::new(Cells::plain(Dialect::of(b','), &header));
    Shape::Csv { header, cells }
}

#[test]
fn csv_becomes_framed_json_with_the_contracts_types() {
    let lines = [
        (2, "1545,N14228,227"),
        (3, "x,N1,2"),
        (4, "1,\"a \"\"b\"\"\",NA"),
        (5, "1,2"),
        (6, "1,2,3,4"),
        (7, "1,\"two\nlines\"x,3"),
        (9, "1,,1.5"),
    ];
    insta::assert_snapshot!(apply(plan(Serializer::JsonSchema, contract(7)), csv(), &lines).join("\n"));
}

#[test]
fn json_is_held_against_its_contract() {
    let lines = [
        (1, r#"{"flight":1,"tail":"N1"}"#),
        (2, r#"{"flight":"1"}"#),
        (3, "{"),
        (4, r#"{"flight":2,"tail":null}"#),
    ];
    insta::assert_snapshot!(apply(plan(Serializer::JsonSchema, contract(7)), Shape::Json, &lines).join("\n"));
}

#[test]
fn without_a_contract_texts_stay_texts() {
    let lines = [(2, "1,N1,NA")];
    insta::assert_snapshot!(apply(plan(Serializer::Json, None), csv(), &lines).join("\n"));
    insta::assert_snapshot!(apply(plan(Serializer::String, None), csv(), &lines).join("\n"));
}

#[test]
fn a_plan_that_does_not_fit_says_so() {
    let error =
        |plan, shape| Serialize::new(plan, vec![("a.csv".into(), shape)]).err().expect("refused").to_string();
    assert_eq!(error(plan(Serializer::Avro, None), csv()), "the serializer needs a contract");
    let mut wrong = plan(Serializer::Json, None);
    wrong.envelope.key = Key::Field("tailnum".to_owned());
    assert_eq!(error(wrong, csv()), "a.csv has no column tailnum; it has flight, tail, air_time");
}

#[test]
fn every_error_says_what_where_why_and_what_to_do() {
    let errors = [
        Error::NoKeyColumn {
            path: "a.csv".to_owned(),
            key: "tailnum".to_owned(),
            columns: "flight, tail".to_owned(),
        },
        Error::NoContract,
        Error::KeylessTombstones,
        Error::Expression {
            option: "--key",
            text: "{{ tail".to_owned(),
            reason: "unexpected end of input".to_owned(),
        },
    ];
    let texts: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

/// What each record says besides its value: key, headers, time, partition, or that it is a delete.
fn told(envelope: EnvelopePlan, shape: Shape, lines: &[&str]) -> Vec<String> {
    let nulls = vec![String::new(), "NA".to_owned()];
    let plan = Plan { serializer: Serializer::Json, contract: None, message: None, envelope, nulls };
    let stage = Serialize::new(plan, vec![("a.csv".into(), shape)]).expect("a plan");
    let lines: Vec<(i64, &str)> = (2..).zip(lines.iter().copied()).collect();
    let (batches, rejects) = stage.apply(batch("a.csv", &lines)).expect("applies");
    let mut all = Vec::new();
    for batch in batches {
        let Body::Raw(values) = &batch.body else { panic!("raw") };
        for row in 0..batch.len() {
            assert_eq!(batch.envelope.is_tombstone(row), !values.is_valid(row));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let headers = batch.envelope.headers.as_ref().map(|rows| rows[row].clone()).unwrap_or_default();
            let header = |header: &base::Header| {
                format!("{}={}", header.name, header.value.as_deref().map_or("-".to_owned(), text))
            };
            let headers: Vec<String> = headers.iter().map(header).collect();
            all.push(format!(
                "key {} headers [{}] time {:?} partition {:?}{}",
                batch.envelope.key(row).map_or("-".to_owned(), text),
                headers.join(" "),
                batch.envelope.timestamp_ms(row),
                batch.envelope.partition(row),
                if values.is_valid(row) { "" } else { " delete" }
            ));
        }
    }
    all.extend(rejects.0.iter().map(|reject| format!("{} {}", reject.code, reject.reason)));
    all
}

fn expression(text: &str) -> Expression {
    Expression::compile("--key", text).expect("compiles")
}

#[test]
fn keys_headers_times_partitions_and_deletes_come_from_fields() {
    let csv = || csv_of(&["id", "region", "at", "gone"]);
    let rows = ["7,eu,2013-01-31,no", "8,NA,,yes", "9,us,x,", "10,,,"];
    let json = [
        r#"{"id":7,"region":"eu","at":1359590400000,"gone":false,"user":{"name":"Ann"}}"#,
        r#"{"id":8,"region":null,"at":null,"gone":true,"user":{}}"#,
        r#"{"id":9,"region":null,"at":null,"gone":null,"user":null}"#,
        r#"{"at":"never"}"#,
    ];
    let field = |name: &str| HeaderText::Field(name.to_owned());
    let text = || HeaderText::Text(bytes::Bytes::from_static(b"import"));
    let rest = EnvelopePlan::default;
    let plans: Vec<(&str, EnvelopePlan)> = vec![
        (
            "one field, headers, time",
            EnvelopePlan {
                key: Key::Field("id".to_owned()),
                headers: vec![("source".into(), text()), ("region".into(), field("region"))],
                timestamp: Some("at".to_owned()),
                ..rest()
            },
        ),
        ("fields", EnvelopePlan { key: Key::Fields(vec!["region".to_owned(), "id".to_owned()]), ..rest() }),
        (
            "expressions",
            EnvelopePlan {
                key: Key::Expression(expression("{{ region or 'none' }}-{{ id }}")),
                partition: Some(expression("{{ id % 3 }}")),
                ..rest()
            },
        ),
        ("no partition", EnvelopePlan { partition: Some(expression("{{ region }}")), ..rest() }),
        (
            "marked deletes",
            EnvelopePlan {
                key: Key::Field("id".to_owned()),
                tombstones: Some(Tombstones::Field("gone".to_owned())),
                ..rest()
            },
        ),
        (
            "empty deletes",
            EnvelopePlan { key: Key::Field("id".to_owned()), tombstones: Some(Tombstones::Empty), ..rest() },
        ),
    ];
    let mut all = Vec::new();
    for (name, plan) in plans {
        all.push(format!("-- {name}, CSV"));
        all.extend(told(plan.clone(), csv(), &rows));
        all.push(format!("-- {name}, JSON"));
        all.extend(told(plan, Shape::Json, &json));
    }
    let within = EnvelopePlan { key: Key::Field("user.name".to_owned()), ..rest() };
    all.push("-- a field within a field".to_owned());
    all.extend(told(within, Shape::Json, &json[..2]));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn messages_are_framed_with_their_index() {
    let file = "syntax = \"proto3\"; message Other {} message Flight { int32 flight = 1; string tail = 2; double air_time = 3; }";
    let document = contracts::protobuf::Protobuf::parse_with("f.proto", file, &[]).expect("parses");
    let message = document.writer(Some("Flight")).expect("messages").expect("a message");
    let contract = Contract {
        kind: ContractKind::Protobuf,
        subject: "f".into(),
        id: Some(7),
        text: file.into(),
        schema: Arc::new(base::Schema::of(base::Kind::Struct(Arc::from([])))),
    };
    let plan = || Plan {
        message: Some(Arc::new(message.clone())),
        ..plan(Serializer::Protobuf, Some(Arc::new(contract.clone())))
    };
    let rows = [(2, "1545,N14228,227"), (3, "x,N1,2"), (4, "1,NA,NA")];
    let lines = [(1, r#"{"flight":1545,"tail":"N14228","air_time":227}"#), (2, r#"{"tailnum":"N1"}"#)];
    let mut all = apply(plan(), csv(), &rows);
    all.extend(apply(plan(), Shape::Json, &lines));
    insta::assert_snapshot!(all.join("\n"));
}

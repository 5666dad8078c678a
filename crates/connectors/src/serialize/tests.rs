//! Texts to framed bytes, and refusals with their line and column.

use arrow_array::BinaryViewArray;
use base::{Lease, Position};

use super::*;

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
    Plan { serializer, contract, key: Some("tail".to_owned()), nulls: vec![String::new(), "NA".to_owned()] }
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
    Shape::Csv { header: ["flight", "tail", "air_time"].map(str::to_owned).to_vec(), delimiter: b',' }
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
    wrong.key = Some("tailnum".to_owned());
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
    ];
    let texts: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

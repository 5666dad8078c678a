//! Every finding of the check, as a person gets to read it.

use std::{collections::BTreeMap, fs};

use base::{ContractKind, Secret};
use project::{Outside, Project};

use super::{World, connector, contract_holds, finding::Report, remote::Registered, silent, valid};
use crate::{commands::init, context::S3Access};

const CONTRACT: &str = r#"{"type": "object", "properties": {"tailnum": {"type": "string"}}}"#;
const OTHER: &str = r#"{"type": "object", "properties": {"carrier": {"type": "string"}}}"#;

/// The example's connector with some lines replaced, and the flights' contract beside it.
fn checked(replaced: &[(&str, &str)], registered: Option<(ContractKind, &str)>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let text = replaced.iter().fold(init::CONNECTOR.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old} is not in the example");
        text.replace(old, new)
    });
    for (name, text) in [("connectors/a.json", text.as_str()), ("contracts/flights.json", CONTRACT)] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let project = Project::open(folder.path(), &Outside::default()).expect("it opens");
    let mut report = Report::default();
    let registered =
        registered.map(|(kind, text)| Registered { id: 1, version: 2, kind, text: text.to_owned() });
    let world = World {
        contracts: valid(project.contracts().expect("a folder"), &mut report),
        topics: Some(BTreeMap::from([("flights".to_owned(), 6), ("__consumer_offsets".to_owned(), 50)])),
        registered: Some(registered.into_iter().map(|found| ("flights-value".to_owned(), found)).collect()),
        registry: "http://localhost:8081".to_owned(),
        s3: Some(S3Access {
            endpoint: "http://127.0.0.1:9000".to_owned(),
            access_key: "tidemill".to_owned(),
            secret_key: Secret::new("secret"),
            region: "us-east-1".to_owned(),
        }),
        expiring_ms: 15 * 60_000,
    };
    for contract in &world.contracts {
        contract_holds(contract, &world, &mut report);
    }
    for file in valid(project.connectors().expect("a folder"), &mut report) {
        connector::check(&file, &world, &mut report);
    }
    let proven = report.proven.iter().map(|(what, why)| format!("ok {what}: {why}\n"));
    let findings = report.findings.iter().map(|finding| base::problem::plain(finding));
    proven.chain(findings).collect()
}

#[test]
fn what_agrees_is_told_to_agree() {
    insta::assert_snapshot!(checked(&[], Some((ContractKind::JsonSchema, CONTRACT))), @r"
    ok contracts/flights.json: a valid JSON contract, the same as flights-value version 2 (id 1)
    ok connectors/a.json: settings, topics and converters of s3-sink-flights agree
    ");
}

#[test]
fn each_mistake_is_one_message_with_its_place() {
    let good = || Some((ContractKind::JsonSchema, CONTRACT));
    let cases = [
        ("a wrong value", checked(&[("\"flush.size\": \"500\"", "\"flush.size\": \"many\"")], good())),
        (
            "a topic that is not there",
            checked(&[("\"topics\": \"flights\"", "\"topics\": \"flihgts\"")], good()),
        ),
        ("more tasks than partitions", checked(&[("\"tasks.max\": \"2\"", "\"tasks.max\": \"9\"")], good())),
        ("an Avro schema", checked(&[], Some((ContractKind::Avro, "\"string\"")))),
        ("another schema", checked(&[], Some((ContractKind::JsonSchema, OTHER)))),
        ("nothing registered", checked(&[], None)),
        ("another registry", checked(&[("127.0.0.1:8081", "10.0.0.1:8081")], good())),
        ("the wall clock", checked(&[("DefaultPartitioner\"", "HourlyPartitioner\"")], good())),
    ];
    let texts: Vec<String> = cases.iter().map(|(name, text)| format!("== {name}\n{text}")).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn what_cannot_be_asked_and_what_ends_soon_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.json");
    fs::write(&path, init::CONNECTOR).expect("written");
    let project = Project::open(folder.path(), &Outside::default()).expect("it opens");
    let file = project.connector(&path).expect("a connector");
    let findings =
        [silent("the broker", "127.0.0.1:9092", "Connection refused"), connector::ends_soon(&file, 12)];
    let texts: Vec<String> = findings.iter().map(|finding| base::problem::plain(finding)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

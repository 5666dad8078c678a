//! Every error as a person reads it, and as the API answers it.

use std::fmt::Write;

use base::{ContractKind, problem::plain};

use super::*;

fn all() -> Vec<Error> {
    let subject = || "flights-value".to_owned();
    let text = "{\"type\": \"record\"}";
    let source = contracts::Document::parse(ContractKind::Avro, "flights-value", text).unwrap_err();
    vec![
        Error::Bind { listen: "127.0.0.1:8081".parse().unwrap(), source: io::ErrorKind::AddrInUse.into() },
        Error::Kafka { kafka: "127.0.0.1:9092".to_owned(), reason: "Broker transport failure".to_owned() },
        Error::Topic { topic: "_schemas".to_owned(), reason: "it has 6 partitions".to_owned() },
        Error::SubjectNotFound { subject: subject() },
        Error::VersionNotFound { version: 7 },
        Error::SchemaNotFound,
        Error::IdNotFound { id: 100_001 },
        Error::GuidNotFound { guid: "4f9a9ba0-1f0b-3b1c-9d3f-0c5f1f1a2b3c".to_owned() },
        Error::SubjectSoftDeleted { subject: subject() },
        Error::SubjectNotSoftDeleted { subject: subject() },
        Error::VersionSoftDeleted { subject: subject(), version: 2 },
        Error::VersionNotSoftDeleted { subject: subject(), version: 2 },
        Error::NoSubjectLevel { subject: subject() },
        Error::NoSubjectMode { subject: subject() },
        Error::InvalidSchema { subject: subject(), source },
        Error::Unsupported { subject: subject(), reason: "Invalid schema type XML".to_owned() },
        Error::InvalidVersion { version: "first".to_owned() },
        Error::InvalidLevel,
        Error::InvalidMode,
        Error::InvalidSubject { subject: "__GLOBAL".to_owned() },
        Error::NoReference {
            subject: subject(),
            name: "planes.Plane".to_owned(),
            reference: "planes-value".to_owned(),
            version: 3,
        },
        Error::Referenced { subject: "planes-value".to_owned(), version: 3 },
        Error::ContextNotFound { context: ".staging".to_owned() },
        Error::ContextNotEmpty { context: ".staging".to_owned() },
        Error::NotPermitted { reason: "Subject flights-value is in read-only mode".to_owned() },
        Error::Incompatible { subject: subject(), messages: vec!["{oldSchemaVersion: 1}".to_owned()] },
        Error::Store { reason: "Message timed out".to_owned() },
        Error::StoreTimeout { timeout_ms: 10_000 },
        Error::Body { reason: "it is not a JSON object".to_owned() },
        Error::Unreachable {
            url: "http://127.0.0.1:8081".to_owned(),
            reason: "Connection refused".to_owned(),
        },
        Error::Refused {
            what: "delete flights-value".to_owned(),
            status: 422,
            error_code: 42205,
            message: "Subject flights-value is in read-only mode".to_owned(),
        },
        Error::NoContractFile { subject: subject(), looked: vec!["contracts/flights.json".to_owned()] },
        Error::CheckFailed {
            subject: subject(),
            version: "version 3".to_owned(),
            messages: vec!["{errorType:'TYPE_CHANGED'}".to_owned()],
        },
        Error::Http(Refused::Page),
        Error::Http(Refused::Method),
        Error::Http(Refused::Accept),
        Error::NoLeader { reason: "the group has no member that answers".to_owned() },
        Error::Forward {
            leader: "http://127.0.0.1:8081".to_owned(),
            reason: "Connection refused".to_owned(),
        },
        Error::OtherKind { group: "schema-registry".to_owned(), topic: "_schemas".to_owned() },
    ]
}

fn associations() -> Vec<Error> {
    let (subject, resource, kind) = (|| "flights-value".to_owned(), || "7".to_owned(), || "value".to_owned());
    let all = [
        Unassociated::NotFound { resource: resource() },
        Unassociated::ResourceTaken { kind: kind(), resource: resource() },
        Unassociated::SubjectTaken { subject: subject() },
        Unassociated::StronglyTaken { subject: subject() },
        Unassociated::NoLivingVersion { subject: subject() },
        Unassociated::Frozen { kind: kind(), subject: subject() },
        Unassociated::Invalid { property: "resourceType".to_owned(), reason: "it is not 'topic'".to_owned() },
    ];
    all.into_iter().map(Error::Association).collect()
}

#[test]
fn errors_tell_what_to_do_and_answer_as_confluents() {
    let mut text = String::new();
    for error in &all().into_iter().chain(associations()).collect::<Vec<_>>() {
        let (status, error_code) = error.answer();
        writeln!(text, "HTTP {status} {error_code}: {}\n{}", error.message(), plain(error)).unwrap();
    }
    insta::assert_snapshot!(text);
}

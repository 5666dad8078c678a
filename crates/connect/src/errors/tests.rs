//! Tests of errors: every error as a person reads it.

use base::problem::plain;

use super::*;

fn all() -> Vec<Error> {
    let listen = "127.0.0.1:8083".parse().unwrap();
    let why = |text: &str| Reason(text.to_owned());
    let url = || "http://127.0.0.1:8083".to_owned();
    vec![
        Error::Bind { listen, source: io::Error::from(io::ErrorKind::AddrInUse) },
        Error::Kafka {
            kafka: "127.0.0.1:9092".to_owned(),
            doing: "list its topics".to_owned(),
            source: Box::new(rdkafka::error::KafkaError::MetadataFetch(
                rdkafka::error::RDKafkaErrorCode::BrokerTransportFailure,
            )),
        },
        Error::InternalTopic {
            topic: "connect-configs".to_owned(),
            reason: "it has 3 partitions".to_owned(),
        },
        Error::connector_not_found("s3-sink"),
        Error::Exists { name: "s3-sink".to_owned() },
        Error::Request { reason: "the body is not right: expected value at line 1 column 1".to_owned() },
        Error::Invalid {
            errors: vec![
                "Missing required configuration \"flush.size\" which has no default value.".to_owned(),
            ],
        },
        Error::UnknownPlugin {
            class: "FileStreamSink".to_owned(),
            available: crate::config::S3_SINK.to_owned(),
        },
        Error::NotStopped { name: "s3-sink".to_owned() },
        Error::Placeholder {
            name: "s3-sink".to_owned(),
            key: "aws.secret.access.key".to_owned(),
            reason: "the environment variable SECRET is not set where the worker runs".to_owned(),
        },
        Error::Registry { url: "http://127.0.0.1:8081".to_owned(), id: 7, source: why("connection refused") },
        Error::DeadLetters { topic: "bad".to_owned(), source: why("Broker: Unknown topic or partition") },
        Error::WorkerUnreachable { url: url(), source: why("connection refused") },
        Error::WorkerRefused {
            url: url(),
            status: 409,
            message: "Connector s3-sink already exists".to_owned(),
        },
        Error::ConnectorFailed { name: "s3-sink".to_owned(), source: why("the bucket lake is not there") },
    ]
}

#[test]
fn every_error_says_what_why_and_what_to_do() {
    let text: Vec<String> = all().iter().map(|error| plain(error)).collect();
    insta::assert_snapshot!(text.join("\n"));
}

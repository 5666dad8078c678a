//! Every error as a person reads it, and as the API answers it.

use std::fmt::Write;

use base::problem::plain;

use super::*;

fn all() -> Vec<Error> {
    let text = |text: &str| text.to_owned();
    let silent = || Failed::Silent { url: text("http://127.0.0.1:8081"), reason: text("Connection refused") };
    vec![
        Error::Bind { listen: "127.0.0.1:8082".parse().unwrap(), source: io::ErrorKind::AddrInUse.into() },
        Error::Kafka { kafka: text("127.0.0.1:9092"), reason: text("Connection refused") },
        Error::Property { name: text("sasl.mechanism"), reason: text("OAUTHBEARER is not among PLAIN") },
        Error::refused(3, None),
        Error::refused(36, Some("Topic 'flights' already exists.")),
        Error::refused(29, None),
        Error::refused(7, None),
        Error::Client { reason: text("Message timed out"), retriable: true },
        Error::Client { reason: text("Message size too large"), retriable: false },
        Error::Registry { what: text("Error when fetching schema by id. schemaId = 7"), failed: silent() },
        Error::Serialization { reason: text("the value of flights/0/7 is not JSON") },
        Error::TopicNotFound,
        Error::PartitionNotFound,
        Error::InstanceNotFound,
        Error::NotFound { what: text("Cluster other") },
        Error::FormatMismatch,
        Error::InstanceExists,
        Error::IllegalState { reason: text("No current assignment for partition flights-0") },
        Error::KeySchemaMissing,
        Error::ValueSchemaMissing,
        Error::Conversion { reason: text("number: expected int, found 1.5") },
        Error::ConsumerConfig { reason: text("Invalid value \"xml\" for format.") },
        Error::InvalidSchema { reason: text("the schema is not valid JSON") },
        Error::Payload { reason: text("Null input provided. Data is required.") },
        Error::Body { reason: text("Error processing JSON: EOF while parsing") },
        Error::Unprocessable { reason: text("Unrecognized field: topics") },
        Error::TooLarge { bytes_max: 16_777_216 },
        Error::Busy { bytes_max: 67_108_864 },
        Error::TooManyInstances { count_max: 100 },
        Error::Http(Refused::Page),
        Error::Http(Refused::Method),
        Error::Http(Refused::Accept),
        Error::Http(Refused::MediaType),
    ]
}

#[test]
fn errors_tell_what_to_do_and_answer_as_confluents() {
    let mut text = String::new();
    for error in &all() {
        let (status, error_code) = error.answer();
        writeln!(text, "HTTP {status} {error_code}: {error}\n{}", plain(error)).unwrap();
    }
    insta::assert_snapshot!(text);
}

//! Tests of config: what is taken, refused by name, and said of a wrong value.

use super::*;

/// The connector of the README, as people have it.
pub(crate) fn example() -> Config {
    let text = r#"{"connector.class":"io.confluent.connect.s3.S3SinkConnector","tasks.max":"1","topics":"flights",
        "s3.region":"us-east-1","s3.bucket.name":"lake","s3.part.size":"5242880","flush.size":"3",
        "store.url":"http://127.0.0.1:9000","topics.dir":"kafka/some-sub-dir",
        "storage.class":"io.confluent.connect.s3.storage.S3Storage",
        "format.class":"io.confluent.connect.s3.format.json.JsonFormat",
        "partitioner.class":"io.confluent.connect.storage.partitioner.DefaultPartitioner",
        "schema.compatibility":"NONE","key.converter":"org.apache.kafka.connect.storage.StringConverter",
        "value.converter":"io.confluent.connect.json.JsonSchemaConverter",
        "value.converter.schema.registry.url":"http://127.0.0.1:8081","name":"s3-sink",
        "s3.credentials.provider.class":"com.amazonaws.auth.DefaultAWSCredentialsProviderChain"}"#;
    serde_json::from_str(text).unwrap()
}

/// The errors of the example with these keys set; an empty value takes a key away.
#[track_caller]
fn check(changes: &[(&str, &str)], expected: &[&str]) {
    let mut config = example();
    for (key, value) in changes {
        match *value {
            "" => drop(config.shift_remove(*key)),
            value => drop(config.insert((*key).to_owned(), value.to_owned())),
        }
    }
    let errors: Vec<String> = check_config(&config).into_iter().map(|(_, message)| message).collect();
    assert_eq!(errors, expected, "{changes:?}");
}

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const PARQUET: &str = "io.confluent.connect.s3.format.parquet.ParquetFormat";
const TIME_BASED: &str = "io.confluent.connect.storage.partitioner.TimeBasedPartitioner";

#[test]
fn the_json_people_have_is_taken() {
    check(&[], &[]);
    check(&[("connector.class", "S3SinkConnector")], &[]);
    check(&[("connector.class", "S3Sink")], &[]);
}

#[test]
fn values_are_refused_in_connects_words() {
    check(
        &[("flush.size", "")],
        &["Missing required configuration \"flush.size\" which has no default value."],
    );
    check(
        &[("flush.size", "many")],
        &["Invalid value many for configuration flush.size: Not a number of type INT"],
    );
    check(
        &[("s3.part.size", "1000")],
        &["Invalid value 1000 for configuration s3.part.size: Value must be at least 5242880"],
    );
    check(
        &[("errors.tolerance", "some")],
        &["Invalid value some for configuration errors.tolerance: String must be one of: none, all"],
    );
    check(
        &[("errors.log.enable", "yes")],
        &["Invalid value yes for configuration errors.log.enable: Expected value to be either true or false"],
    );
}

#[test]
fn keys_that_are_not_honoured_are_refused_by_name_unless_they_ask_for_the_default() {
    check(&[("s3.object.tagging", "false"), ("schema.compatibility", "none"), ("s3.ssea.name", "")], &[]);
    check(
        &[("transforms", "mask"), ("transforms.mask.type", "X")],
        &[
            "Invalid value mask for configuration transforms: not yet honoured by tidemill: remove it or run the connector \
         on Kafka Connect",
        ],
    );
    check(
        &[("s3.acl.canned", "private")],
        &[
            "Invalid value private for configuration s3.acl.canned: not yet honoured by tidemill: remove it or run the \
         connector on Kafka Connect",
        ],
    );
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    let mut config = example();
    config.insert("flush.sise".to_owned(), "3".to_owned());
    let errors = check_config(&config);
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].1.contains("Unknown configuration \"flush.sise\"")
            && errors[0].1.contains("\"flush.size\"")
    );
    config.shift_remove("flush.sise");
    config.insert("value.converter.schemas.enabled".to_owned(), "false".to_owned());
    assert!(check_config(&config)[0].1.contains("\"value.converter.schemas.enable\""));
}

#[test]
fn keys_are_held_against_each_other() {
    let one_of = "Must configure one of topics or topics.regex";
    check(&[("topics", "")], &[one_of, one_of]);
    let both = "topics and topics.regex are mutually exclusive options, but both are set.";
    check(&[("topics.regex", "fl.*")], &[both, both]);
    check(
        &[("partitioner.class", TIME_BASED)],
        &[
            "Invalid value -1 for configuration partition.duration.ms: Partition duration needs to be a positive.",
            "Invalid value  for configuration path.format: Path format cannot be empty.",
            "Invalid value  for configuration locale: Locale cannot be empty.",
            "Invalid value  for configuration timezone: Timezone cannot be empty.",
        ],
    );
    check(
        &[("format.class", PARQUET), ("value.converter", JSON), ("value.converter.schemas.enable", "false")],
        &[
            "ParquetFormat needs records with fields: JsonConverter gives none. Use JsonSchemaConverter, AvroConverter, ProtobufConverter, or \
         JsonConverter with schemas.enable=true",
        ],
    );
    let dead = [("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "flights")];
    check(&dead, &["The DLQ topic 'flights' may not be included in the topics that the connector consumes"]);
    check(&[("value.converter.schema.registry.url", "")], &[]);
}

#[test]
fn secrets_are_known_by_their_names() {
    for key in
        ["aws.secret.access.key", "value.converter.basic.auth.user.info", "consumer.override.sasl.password"]
    {
        assert!(is_secret_key(key), "{key}");
    }
    assert!(!is_secret_key("topics") && !is_secret_key("s3.region"));
}

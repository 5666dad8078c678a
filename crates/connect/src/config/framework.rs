//! The keys that Connect's framework has for every sink connector.
//! Source: the sink connector reference of Kafka 4.x (`ConnectorConfig`, `SinkConnectorConfig`).

use super::definition::{
    Definition,
    Importance::{High, Medium},
    Kind, Valid,
};

/// The converters that tidemill has, by the names of the Java classes that they stand in for.
pub(crate) const CONVERTERS: &[&str] = &[
    "io.confluent.connect.avro.AvroConverter",
    "io.confluent.connect.json.JsonSchemaConverter",
    "io.confluent.connect.protobuf.ProtobufConverter",
    "org.apache.kafka.connect.converters.BooleanConverter",
    "org.apache.kafka.connect.converters.ByteArrayConverter",
    "org.apache.kafka.connect.converters.DoubleConverter",
    "org.apache.kafka.connect.converters.FloatConverter",
    "org.apache.kafka.connect.converters.IntegerConverter",
    "org.apache.kafka.connect.converters.LongConverter",
    "org.apache.kafka.connect.converters.ShortConverter",
    "org.apache.kafka.connect.json.JsonConverter",
    "org.apache.kafka.connect.storage.StringConverter",
];

/// Header converters: headers reach a dead letter as they came, and no format of this part stores them.
pub(crate) const HEADER_CONVERTERS: &[&str] = &[
    "org.apache.kafka.connect.converters.ByteArrayConverter",
    "org.apache.kafka.connect.json.JsonConverter",
    "org.apache.kafka.connect.storage.SimpleHeaderConverter",
    "org.apache.kafka.connect.storage.StringConverter",
];

const fn common(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition::new("Common", name, kind, doc)
}

const fn errors(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition::new("Error Handling", name, kind, doc).importance(Medium)
}

pub(crate) const KEYS: &[Definition] = &[
    common("name", Kind::String, "Globally unique name of this connector.")
        .required()
        .valid(Valid::NotBlank)
        .display("Connector name"),
    common("connector.class", Kind::String, "The connector's class, by its full name, simple name or alias.")
        .required()
        .display("Connector class"),
    common("connector.plugin.version", Kind::String, "Version of the connector (KIP-891).")
        .importance(Medium)
        .display("Connector version")
        .not_yet(),
    common("tasks.max", Kind::Int, "The most tasks that this connector is split into.")
        .or("1")
        .importance(High)
        .valid(Valid::AtLeast(1))
        .display("Tasks max"),
    common(
        "tasks.max.enforce",
        Kind::Boolean,
        "Whether a connector that asks for more tasks than tasks.max fails.",
    )
    .or("true")
    .display("Enforce tasks max")
    .no_effect(),
    common(
        "key.converter",
        Kind::Class,
        "Turns the bytes of keys into values; the worker's where it is not set.",
    )
    .valid(Valid::ClassIn(CONVERTERS))
    .recommend(CONVERTERS)
    .display("Key converter class"),
    common("key.converter.plugin.version", Kind::String, "Version of the key converter (KIP-891).").not_yet(),
    common(
        "value.converter",
        Kind::Class,
        "Turns the bytes of values into values; the worker's where it is not set.",
    )
    .valid(Valid::ClassIn(CONVERTERS))
    .recommend(CONVERTERS)
    .display("Value converter class"),
    common("value.converter.plugin.version", Kind::String, "Version of the value converter (KIP-891).")
        .not_yet(),
    common("header.converter", Kind::Class, "Turns the bytes of headers into values.")
        .valid(Valid::ClassIn(HEADER_CONVERTERS))
        .recommend(HEADER_CONVERTERS)
        .display("Header converter class"),
    common("header.converter.plugin.version", Kind::String, "Version of the header converter (KIP-891).")
        .not_yet(),
    common(
        "config.action.reload",
        Kind::String,
        "What happens when an external configuration provider's value changes.",
    )
    .or("restart")
    .valid(Valid::OneOf(&["none", "restart"]))
    .recommend(&["none", "restart"])
    .display("Reload Action")
    .not_yet(),
    common("topics", Kind::List, "Topics to consume, separated by commas.")
        .or("")
        .importance(High)
        .display("Topics"),
    common(
        "topics.regex",
        Kind::String,
        "A Java regular expression of the topics to consume; not together with topics.",
    )
    .or("")
    .importance(High)
    .valid(Valid::Pattern)
    .display("Topics regex"),
    Definition::new(
        "Transforms",
        "transforms",
        Kind::List,
        "Aliases of the transformations that records pass.",
    )
    .or("")
    .display("Transforms")
    .not_yet(),
    Definition::new(
        "Predicates",
        "predicates",
        Kind::List,
        "Aliases of the predicates that transformations use.",
    )
    .or("")
    .display("Predicates")
    .not_yet(),
    errors(
        "errors.retry.timeout",
        Kind::Long,
        "For how long a failed operation is tried again, in ms; -1 is for ever.",
    )
    .or("0")
    .valid(Valid::AtLeast(-1))
    .display("Retry Timeout for Errors")
    .not_yet(),
    errors("errors.retry.delay.max.ms", Kind::Long, "The longest wait between two tries, in ms.")
        .or("60000")
        .valid(Valid::AtLeast(0))
        .display("Maximum Delay Between Retries for Errors"),
    errors(
        "errors.tolerance",
        Kind::String,
        "none: a bad record fails the task. all: it is skipped or dead-lettered.",
    )
    .or("none")
    .valid(Valid::OneOf(&["none", "all"]))
    .recommend(&["none", "all"])
    .display("Error Tolerance"),
    errors("errors.log.enable", Kind::Boolean, "Whether each tolerated error is written to the log.")
        .or("false")
        .display("Log Errors"),
    errors(
        "errors.log.include.messages",
        Kind::Boolean,
        "Whether the log also tells the record's topic, partition, offset.",
    )
    .or("false")
    .display("Log Error Details"),
    errors(
        "errors.deadletterqueue.topic.name",
        Kind::String,
        "The topic that bad records go to; none where it is blank.",
    )
    .or("")
    .display("Dead Letter Queue Topic Name"),
    errors(
        "errors.deadletterqueue.topic.replication.factor",
        Kind::Int,
        "Its replication factor where it is created.",
    )
    .or("3")
    .valid(Valid::AtLeast(-1))
    .display("Dead Letter Queue Topic Replication Factor"),
    errors(
        "errors.deadletterqueue.context.headers.enable",
        Kind::Boolean,
        "Whether dead letters carry headers that tell where the record came from and what was wrong.",
    )
    .or("false")
    .display("Enable Error Context Headers"),
];

//! Keys with a prefix: settings of converters, and client properties of the connector's consumer and producer.

use super::{Config, validate::nearest};

/// What may stand before a key that is not in the tables.
pub(crate) const PREFIXES: &[&str] = &[
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "consumer.override.",
    "producer.override.",
    "admin.override.",
    "transforms.",
    "predicates.",
    "s3.credentials.provider.",
    "confluent.topic.",
    "confluent.license",
];

/// A converter's setting: what its value must be for tidemill, and for which converters it is there.
enum Setting {
    /// Read and done.
    Honoured,
    /// It says how to write, or tunes a cache: a sink's converter never comes to it.
    NoEffect,
    /// Only this value is what tidemill does.
    Only(&'static str),
}

use Setting::{Honoured, NoEffect, Only};

const CONVERTER_SETTINGS: &[(&str, Setting)] = &[
    ("schemas.enable", Honoured),
    ("replace.null.with.default", Honoured),
    ("schemas.cache.size", NoEffect),
    ("decimal.format", NoEffect),
    ("schema.content", Only("")),
    ("converter.encoding", Only("UTF-8")),
    ("converter.type", NoEffect),
    ("schema.registry.url", Honoured),
    ("basic.auth.credentials.source", Honoured),
    ("basic.auth.user.info", Honoured),
    ("schema.registry.basic.auth.user.info", Honoured),
    ("bearer.auth.credentials.source", Only("STATIC_TOKEN")),
    ("bearer.auth.token", Honoured),
    ("connect.meta.data", NoEffect),
    ("enhanced.avro.schema.support", Only("false")),
    ("generalized.sum.type.support", Only("false")),
    ("scrub.invalid.names", Only("false")),
    ("allow.optional.map.keys", Only("false")),
    ("discard.type.doc.default", Only("false")),
    ("flatten.singleton.unions", Only("true")),
    ("ignore.default.for.nullables", Only("false")),
    ("object.additional.properties", NoEffect),
    ("use.optional.for.nonrequired", Only("false")),
    ("json.fail.invalid.schema", Only("false")),
    ("json.fail.unknown.properties", Only("true")),
    ("json.decimal.format", NoEffect),
    ("json.schema.spec.version", NoEffect),
    ("json.oneof.for.nullables", NoEffect),
    ("json.write.dates.iso8601", NoEffect),
    ("json.indent.output", NoEffect),
    ("auto.register.schemas", NoEffect),
    ("use.latest.version", Only("false")),
    ("use.latest.with.metadata", NoEffect),
    ("use.schema.id", NoEffect),
    ("latest.compatibility.strict", NoEffect),
    ("latest.cache.size", NoEffect),
    ("latest.cache.ttl.sec", NoEffect),
    ("id.compatibility.strict", NoEffect),
    ("normalize.schemas", NoEffect),
    ("max.schemas.per.subject", NoEffect),
    ("schemas.cache.config", NoEffect),
    ("key.subject.name.strategy", NoEffect),
    ("value.subject.name.strategy", NoEffect),
    ("optional.for.nullables", Honoured),
    ("optional.for.proto2", NoEffect),
    ("wrapper.for.nullables", Honoured),
    ("wrapper.for.raw.primitives", NoEffect),
    ("flatten.unions", Honoured),
    ("generate.index.for.unions", Honoured),
    ("generate.struct.for.nulls", Only("false")),
    ("int.for.enums", Only("false")),
    ("enhanced.protobuf.schema.support", Only("false")),
    ("specific.avro.reader", Only("false")),
    ("avro.use.logical.type.converters", NoEffect),
];

/// Java consumer properties that a connector may override, and librdkafka's name for each; empty: it has none.
pub(crate) const CONSUMER_PROPERTIES: &[(&str, &str)] = &[
    ("group.id", "group.id"),
    ("group.instance.id", "group.instance.id"),
    ("client.id", "client.id"),
    ("client.rack", "client.rack"),
    ("auto.offset.reset", "auto.offset.reset"),
    ("isolation.level", "isolation.level"),
    ("check.crcs", "check.crcs"),
    ("fetch.min.bytes", "fetch.min.bytes"),
    ("fetch.max.bytes", "fetch.max.bytes"),
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("max.partition.fetch.bytes", "max.partition.fetch.bytes"),
    ("session.timeout.ms", "session.timeout.ms"),
    ("heartbeat.interval.ms", "heartbeat.interval.ms"),
    ("max.poll.interval.ms", "max.poll.interval.ms"),
    ("max.poll.records", ""),
    ("metadata.max.age.ms", "metadata.max.age.ms"),
    ("request.timeout.ms", "socket.timeout.ms"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("reconnect.backoff.ms", "reconnect.backoff.ms"),
    ("reconnect.backoff.max.ms", "reconnect.backoff.max.ms"),
    ("retry.backoff.ms", "retry.backoff.ms"),
    ("bootstrap.servers", "bootstrap.servers"),
    ("security.protocol", "security.protocol"),
    ("sasl.mechanism", "sasl.mechanism"),
    ("sasl.username", "sasl.username"),
    ("sasl.password", "sasl.password"),
    ("ssl.ca.location", "ssl.ca.location"),
    ("ssl.certificate.location", "ssl.certificate.location"),
    ("ssl.key.location", "ssl.key.location"),
    ("ssl.key.password", "ssl.key.password"),
];

/// What is wrong with a key that has a prefix; `None` where it has none of them.
pub(super) fn check(name: &str, value: &str, config: &Config) -> Option<Vec<String>> {
    let prefix = PREFIXES.iter().find(|prefix| name.starts_with(**prefix))?;
    let rest = &name[prefix.len()..];
    let error = match *prefix {
        "key.converter." | "value.converter." => check_converter(name, rest, value, config, prefix),
        "header.converter." | "confluent.topic." | "confluent.license" => None,
        "consumer.override." => check_consumer(name, rest),
        // Transforms and predicates are refused as a whole by the key that names them.
        "transforms." | "predicates." => None,
        _ => Some(format!(
            "Invalid value {value} for configuration {name}: not yet honoured by tidemill: remove it or run the \
             connector on Kafka Connect"
        )),
    };
    Some(error.into_iter().collect())
}

fn check_converter(name: &str, rest: &str, value: &str, config: &Config, prefix: &str) -> Option<String> {
    let Some((_, setting)) = CONVERTER_SETTINGS.iter().find(|(known, _)| *known == rest) else {
        let class = config.get(prefix.trim_end_matches('.')).map_or("the worker's converter", String::as_str);
        let known = CONVERTER_SETTINGS.iter().map(|(known, _)| *known);
        return Some(format!("Unknown configuration \"{name}\" of {class}{}", nearest(rest, prefix, known)));
    };
    match setting {
        Honoured | NoEffect => None,
        Only(only) => (!only.eq_ignore_ascii_case(value.trim())).then(|| {
            format!(
                "Invalid value {value} for configuration {name}: not yet honoured by tidemill, which does what \
                 \"{only}\" says: remove it or run the connector on Kafka Connect"
            )
        }),
    }
}

fn check_consumer(name: &str, rest: &str) -> Option<String> {
    if CONSUMER_PROPERTIES.iter().any(|(known, _)| *known == rest) {
        return None;
    }
    let known = CONSUMER_PROPERTIES.iter().map(|(known, _)| *known);
    let nearest = nearest(rest, "consumer.override.", known);
    Some(format!("Invalid configuration {name}: tidemill's consumer has no such property{nearest}"))
}

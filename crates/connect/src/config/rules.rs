//! What keys say of each other: rules that no single key can be held against.

use super::validate::Checked;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

pub(super) fn check(checked: &mut Checked) {
    topics(checked);
    dead_letters(checked);
    registry(checked);
    partitioner(checked);
    format(checked);
    schedule(checked);
}

fn topics(checked: &mut Checked) {
    let regex = checked.text("topics.regex").is_some();
    match (checked.list("topics").is_empty(), regex) {
        (true, false) => {
            for key in ["topics", "topics.regex"] {
                checked.add(key, "Must configure one of topics or topics.regex".to_owned());
            }
        }
        (false, true) => {
            for key in ["topics", "topics.regex"] {
                let message = "topics and topics.regex are mutually exclusive options, but both are set.";
                checked.add(key, message.to_owned());
            }
        }
        _ => {}
    }
}

fn dead_letters(checked: &mut Checked) {
    let Some(topic) = checked.text("errors.deadletterqueue.topic.name").map(str::to_owned) else { return };
    let topics = checked.list("topics");
    let own = checked.text("topics.regex").and_then(|text| regex::Regex::new(&format!("^(?:{text})$")).ok());
    if topics.contains(&topic) || own.is_some_and(|regex| regex.is_match(&topic)) {
        let message =
            format!("The DLQ topic '{topic}' may not be included in the topics that the connector consumes");
        checked.add("errors.deadletterqueue.topic.name", message);
    }
    if checked.text("errors.tolerance") != Some("all") {
        let message =
            "a dead letter topic is only used with errors.tolerance=all: set that too, or remove this key";
        checked.add("errors.deadletterqueue.topic.name", message.to_owned());
    }
}

/// Converters that ask a registry have to know where it is.
fn registry(checked: &mut Checked) {
    for side in ["key.converter", "value.converter"] {
        let class = checked.text(side).unwrap_or_default().to_owned();
        let asks = class.starts_with("io.confluent.connect.");
        if asks && !checked.below(&format!("{side}.")).contains_key("schema.registry.url") {
            checked.add(
                &format!("{side}.schema.registry.url"),
                format!(
                    "Missing required configuration \"{side}.schema.registry.url\" which has no default value: \
                     {class} reads schemas from a registry"
                ),
            );
        }
    }
}

fn partitioner(checked: &mut Checked) {
    let class = checked.text("partitioner.class").unwrap_or_default();
    let simple = class.rsplit('.').next().unwrap_or_default().to_owned();
    let needs: &[(&str, &str)] = match simple.as_str() {
        "FieldPartitioner" => &[("partition.field.name", "FieldPartitioner needs the names of its fields")],
        "TimeBasedPartitioner" => &[
            ("path.format", "Path format cannot be empty."),
            ("locale", "Locale cannot be empty."),
            ("timezone", "Timezone cannot be empty."),
        ],
        "DailyPartitioner" | "HourlyPartitioner" => {
            &[("locale", "Locale cannot be empty."), ("timezone", "Timezone cannot be empty.")]
        }
        _ => &[],
    };
    for (name, reason) in needs {
        if checked.text(name).is_none() {
            checked.add(name, format!("Invalid value  for configuration {name}: {reason}"));
        }
    }
    if simple == "TimeBasedPartitioner" && checked.number("partition.duration.ms") <= 0 {
        let value = checked.number("partition.duration.ms");
        let reason = "Partition duration needs to be a positive.";
        checked.add(
            "partition.duration.ms",
            format!("Invalid value {value} for configuration partition.duration.ms: {reason}"),
        );
    }
}

/// A format takes what a converter gives, or the task would die with its first record.
fn format(checked: &mut Checked) {
    let format = checked.text("format.class").unwrap_or_default();
    let format = format.rsplit('.').next().unwrap_or_default().to_owned();
    let converter = checked.text("value.converter").unwrap_or_default().to_owned();
    let settings = checked.below("value.converter.");
    let schemas = settings.get("schemas.enable").is_none_or(|text| text.eq_ignore_ascii_case("true"));
    let short = converter.rsplit('.').next().unwrap_or_default();
    let typed = converter.starts_with("io.confluent.connect.") || (converter == JSON && schemas);
    if format == "ParquetFormat" && !converter.is_empty() && !typed {
        let message = format!(
            "ParquetFormat needs records with fields: {short} gives none. Use JsonSchemaConverter, AvroConverter, \
             ProtobufConverter, or JsonConverter with schemas.enable=true"
        );
        checked.add("value.converter", message);
    }
    if format == "AvroFormat" && converter == JSON && !schemas {
        let message = "AvroFormat needs a schema: JsonConverter gives none with schemas.enable=false";
        checked.add("value.converter", message.to_owned());
    }
    if format == "ByteArrayFormat" && !converter.is_empty() && short != "ByteArrayConverter" {
        let message = format!("ByteArrayFormat takes values of ByteArrayConverter only, not of {short}");
        checked.add("value.converter", message);
    }
    if checked.text("s3.compression.type") == Some("gzip")
        && matches!(format.as_str(), "AvroFormat" | "ParquetFormat")
    {
        let codec = if format == "AvroFormat" { "avro.codec" } else { "parquet.codec" };
        let message = format!(
            "Invalid value gzip for configuration s3.compression.type: {format} compresses inside the file: use {codec}"
        );
        checked.add("s3.compression.type", message);
    }
    if format == "ParquetFormat" && matches!(checked.text("parquet.codec"), Some("lz4" | "brotli" | "lzo")) {
        let message = "not yet honoured by tidemill: use none, gzip, snappy or zstd";
        checked.add("parquet.codec", message.to_owned());
    }
    if format == "AvroFormat" && checked.text("avro.codec") == Some("bzip2") {
        checked.add("avro.codec", "not yet honoured by tidemill: use null, deflate or snappy".to_owned());
    }
    if checked.text("behavior.on.null.values").is_some_and(|text| text.eq_ignore_ascii_case("write")) {
        let message = "Invalid value write for configuration behavior.on.null.values: not yet honoured by tidemill: \
                       use fail or ignore, or run the connector on Kafka Connect";
        checked.add("behavior.on.null.values", message.to_owned());
    }
}

fn schedule(checked: &mut Checked) {
    if checked.number("rotate.schedule.interval.ms") > 0 && checked.text("timezone").is_none() {
        let message =
            "Invalid value  for configuration timezone: rotate.schedule.interval.ms needs a time zone";
        checked.add("timezone", message.to_owned());
    }
}

/// A name of the IANA list: `Europe/Berlin`, `UTC`, `Etc/GMT-2`.
pub(super) fn is_timezone(text: &str) -> bool {
    text.parse::<chrono_tz::Tz>().is_ok()
}

/// `en`, `en-US`, `en_US`; `C` and `und` too.
pub(super) fn is_locale(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let language = parts.next().unwrap_or_default();
    let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (1..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(letters)
}

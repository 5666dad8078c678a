//! What a request for an instance may say, and librdkafka's settings for it.

use std::time::Duration;

use rdkafka::ClientConfig;
use serde_json::Value as Json;

use crate::{Error, Options, formats::Format, kafka::client};

/// What Java has as an `int`.
const TIMEOUT_MS_MAX: u64 = i32::MAX as u64;
/// Java's default, which decides when a member that reads nothing leaves.
const POLL_INTERVAL_MS_MIN: u64 = 300_000;

#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub name: Option<String>,
    pub format: Format,
    pub auto_offset_reset: Option<String>,
    pub auto_commit: bool,
    pub fetch_bytes_min: usize,
    pub request_timeout: Duration,
}

impl Config {
    /// From a request's body; nothing that is not known is passed over.
    pub fn read(body: &Json, options: &Options) -> Result<Self, Error> {
        let mut config = Config {
            name: None,
            format: Format::Binary,
            auto_offset_reset: None,
            auto_commit: true,
            fetch_bytes_min: 1,
            request_timeout: Duration::from_millis(options.consumer_request_timeout_ms.min(TIMEOUT_MS_MAX)),
        };
        let Json::Object(members) = body else {
            return Err(Error::Body { reason: "the body is not a JSON object".to_owned() });
        };
        for (name, value) in members {
            let invalid = || Error::ConsumerConfig { reason: format!("Invalid value {value} for {name}.") };
            if value.is_null() {
                continue;
            }
            match name.as_str() {
                // The older word wins, as it always did.
                "id" => config.name = Some(value.as_str().ok_or_else(invalid)?.to_owned()),
                "name" => {
                    let name = value.as_str().ok_or_else(invalid)?.to_owned();
                    config.name.get_or_insert(name);
                }
                "format" => {
                    let format = value.as_str().and_then(Format::embedded);
                    config.format = format.ok_or_else(invalid)?;
                }
                "auto.offset.reset" => {
                    let reset = value.as_str().map(str::to_ascii_lowercase);
                    let known = reset.filter(|reset| matches!(&**reset, "earliest" | "latest" | "none"));
                    config.auto_offset_reset = Some(known.ok_or_else(invalid)?);
                }
                "auto.commit.enable" => config.auto_commit = boolean(value).ok_or_else(invalid)?,
                "fetch.min.bytes" => {
                    let bytes = number(value).filter(|bytes| (-1..=10_000_000).contains(bytes));
                    config.fetch_bytes_min = usize::try_from(bytes.ok_or_else(invalid)?.max(1)).unwrap_or(1);
                }
                "consumer.request.timeout.ms" => {
                    let timeout = number(value).and_then(|timeout| u64::try_from(timeout).ok());
                    let timeout = timeout.filter(|timeout| *timeout <= TIMEOUT_MS_MAX);
                    config.request_timeout = Duration::from_millis(timeout.ok_or_else(invalid)?);
                }
                other => {
                    return Err(Error::Unprocessable { reason: format!("Unrecognized field: {other}") });
                }
            }
        }
        Ok(config)
    }

    pub fn client(&self, options: &Options, group: &str) -> ClientConfig {
        let mut config = client(options);
        let reset = match self.auto_offset_reset.as_deref() {
            Some("none") => "error",
            Some(reset) => reset,
            None => "latest",
        };
        let poll_interval_ms = options.consumer_instance_timeout_ms.max(POLL_INTERVAL_MS_MIN);
        let buffer_kbytes = (options.consumer_buffer_bytes_max >> 10).max(1);
        config
            .set("group.id", group)
            // So that it is known among the members of its group.
            .set("client.id", self.name.as_deref().unwrap_or("tidemill-rest"))
            .set("enable.auto.commit", if self.auto_commit { "true" } else { "false" })
            // Only what was given out counts as read.
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", reset)
            // Java's default.
            .set("isolation.level", "read_uncommitted")
            .set("allow.auto.create.topics", "false")
            .set("topic.blacklist", "^__.*")
            .set("max.poll.interval.ms", poll_interval_ms.min(86_400_000).to_string())
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", buffer_kbytes.to_string())
            .set(
                "fetch.message.max.bytes",
                options.consumer_buffer_bytes_max.clamp(1, 1_000_000_000).to_string(),
            );
        config
    }
}

/// Confluent's examples write all of these as texts.
fn boolean(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(flag) => Some(*flag),
        Json::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Json::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn number(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_come_as_texts_or_as_what_they_are() {
        let options = Options::at("127.0.0.1:0".parse().unwrap(), "127.0.0.1:9092");
        let read = |body: Json| Config::read(&body, &options);
        let config =
            read(json!({ "name": "one", "id": "two", "format": "avro", "auto.commit.enable": "false",
            "fetch.min.bytes": "100", "consumer.request.timeout.ms": 250, "auto.offset.reset": "earliest" }));
        let config = config.unwrap();
        assert_eq!(config.name.as_deref(), Some("two"));
        assert_eq!((config.format, config.auto_commit, config.fetch_bytes_min), (Format::Avro, false, 100));
        assert_eq!(config.request_timeout, Duration::from_millis(250));
        for (body, code) in [
            (json!({ "format": "xml" }), 42204),
            (json!({ "auto.offset.reset": "smallest" }), 42204),
            (json!({ "auto.commit.enable": "yes" }), 42204),
            (json!({ "fetch.min.bytes": -2 }), 42204),
            (json!({ "consumer.request.timeout.ms": "9223372036854775807" }), 42204),
            (json!({ "group": "g" }), 422),
            (json!([]), 400),
        ] {
            assert_eq!(read(body.clone()).unwrap_err().answer().1, code, "{body}");
        }
    }
}

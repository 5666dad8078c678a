//! Connector configurations: what each key is, what is wrong with a value, and the answer of `config/validate`.
//!
//! Map: `definition` the words a key is defined with; `framework` Connect's own keys; `s3` those of Confluent's S3
//! sink; `validate` holds a configuration against them; `providers` resolves `${env:…}` and `${file:…}`.

mod definition;
mod framework;
mod providers;
mod rules;
mod s3;
mod suffixes;
mod validate;

pub use definition::Definition;
pub(crate) use definition::Kind;
pub(crate) use framework::{CONVERTERS, HEADER_CONVERTERS};
pub(crate) use providers::resolve;
pub(crate) use suffixes::CONSUMER_PROPERTIES;
pub(crate) use validate::{Checked, Finding, PLUGINS, Plugin, plugin, validate};

use indexmap::IndexMap;

/// A connector's configuration as it was given, in the order it was given.
pub type Config = IndexMap<String, String>;

/// The one connector of this part, by the name people write.
pub(crate) const S3_SINK: &str = "io.confluent.connect.s3.S3SinkConnector";

/// What `POST /connectors` would refuse of a configuration, as `(key, message)`; empty when it would be taken.
///
/// `tidemill check` and `tidemill connect validate --offline` use it without a worker.
pub fn check_config(config: &Config) -> Vec<(String, String)> {
    let class = config.get("connector.class").map_or(S3_SINK, String::as_str);
    let Some(plugin) = plugin(class) else {
        return vec![(
            "connector.class".to_owned(),
            format!("{class} is not a connector that tidemill runs"),
        )];
    };
    // Where the registry is, the worker may know by itself.
    let mut config = config.clone();
    for side in ["key.converter", "value.converter"] {
        config.entry(format!("{side}.schema.registry.url")).or_default();
    }
    let checked = validate(plugin, &config);
    checked.errors().map(|(name, message)| (name.to_owned(), message.to_owned())).collect()
}

/// Whether a key's value must never be printed: passwords, secret keys, tokens, and what is defined as `PASSWORD`.
pub fn is_secret_key(key: &str) -> bool {
    let known = s3::KEYS.iter().chain(framework::KEYS).find(|known| known.name == key);
    if known.is_some_and(|known| known.kind == Kind::Password) {
        return true;
    }
    let key = key.to_ascii_lowercase();
    ["password", "secret", "token", "user.info", "private.key", "sasl.jaas", "access.key", "sse.customer.key"]
        .iter()
        .any(|part| key.contains(part))
}

#[cfg(test)]
mod tests;

//! Secrets are masked in logs and in what the API shows, by Airflow's rules.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

pub const MASKED: &str = "***";
/// Airflow's own list of names whose values are secret.
const SENSITIVE: [&str; 14] = [
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "secret",
    "service_account",
    "token",
    "keyfile_dict",
    "credentials",
    "signature",
];
/// Shorter ones would mask half of every log.
const SECRET_LENGTH_MIN: usize = 5;

/// Whether a variable or field with this name holds a secret.
pub fn is_sensitive(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    SENSITIVE.iter().any(|word| name.contains(word))
}

/// The value with what is secret in it masked, whatever its shape.
pub fn redact(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), redact(key, value))).collect())
        }
        Value::Null => Value::Null,
        _any if is_sensitive(name) => Value::from(MASKED),
        Value::Array(items) => items.iter().map(|item| redact("", item)).collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Texts that a try came to know and that its log must not show.
#[derive(Debug, Clone, Default)]
pub struct Mask(Arc<Mutex<Vec<String>>>);

impl Mask {
    pub fn add(&self, secret: &str) {
        let mut secrets = self.0.lock();
        if secret.len() >= SECRET_LENGTH_MIN && !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
            // The longest first: one may be part of another.
            secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// Every text below a sensitive name.
    pub fn add_json(&self, name: &str, value: &Value) {
        match value {
            Value::Object(entries) => entries.iter().for_each(|(key, value)| self.add_json(key, value)),
            Value::Array(items) => items.iter().for_each(|item| self.add_json(name, item)),
            Value::String(text) if is_sensitive(name) => self.add(text),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    pub fn apply(&self, text: &str) -> String {
        let secrets = self.0.lock();
        let mut text = std::borrow::Cow::Borrowed(text);
        for secret in secrets.iter() {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASKED).into();
            }
        }
        text.into_owned()
    }
}

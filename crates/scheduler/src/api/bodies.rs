//! Bodies of requests: JSON objects whose fields are all known, as Airflow's strict models want them.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{Error, operators::parse_time};

/// A JSON object.
#[derive(Debug)]
pub struct Body(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes =
            Bytes::from_request(request, state).await.map_err(|error| Error::invalid(error.to_string()))?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(Body(fields)),
            Ok(_other) => Err(Error::invalid("Input should be a valid dictionary")),
            Err(error) => Err(Error::invalid(format!("JSON decode error: {error}"))),
        }
    }
}

impl Body {
    /// Refuses fields that nobody knows.
    pub fn only(&self, known: &[&str]) -> Result<(), Error> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Error::invalid(format!("{key}: Extra inputs are not permitted"))),
            None => Ok(()),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn value(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match self.value(name) {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _other => Err(Error::invalid(format!("{name}: Input should be a valid string"))),
        }
    }

    pub fn required(&self, name: &str) -> Result<String, Error> {
        self.text(name)?.ok_or_else(|| Error::invalid(format!("{name}: Field required")))
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Error> {
        match self.value(name) {
            Value::Null => Ok(default),
            Value::Bool(value) => Ok(*value),
            _other => Err(Error::invalid(format!("{name}: Input should be a valid boolean"))),
        }
    }

    pub fn number(&self, name: &str) -> Result<Option<i64>, Error> {
        match self.value(name) {
            Value::Null => Ok(None),
            Value::Number(number) if number.is_i64() => Ok(number.as_i64()),
            _other => Err(Error::invalid(format!("{name}: Input should be a valid integer"))),
        }
    }

    pub fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let text = self.text(name)?;
        let time = text.map(|text| {
            parse_time(&text).ok_or_else(|| {
                Error::invalid(format!("{name}: Input should be a valid datetime, not {text}"))
            })
        });
        time.transpose()
    }

    /// A JSON object as text; `{}` where there is none.
    pub fn object(&self, name: &str) -> Result<String, Error> {
        match self.value(name) {
            Value::Null => Ok("{}".to_owned()),
            object @ Value::Object(_) => Ok(object.to_string()),
            _other => Err(Error::invalid(format!("{name}: Input should be a valid dictionary"))),
        }
    }

    pub fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        match self.value(name) {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => Ok(items
                .iter()
                .map(|item| item.as_str().map_or_else(|| "none".to_owned(), str::to_owned))
                .collect()),
            _other => Err(Error::invalid(format!("{name}: Input should be a valid list"))),
        }
    }
}

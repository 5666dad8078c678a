//! Schemas by their id, over a registry's REST API, kept for good: an id never changes its schema.

use std::{collections::HashMap, sync::Arc};

use base::{BoxError, ContractKind, Fault, Secret};
use parking_lot::Mutex;
use serde::Deserialize;

use super::{plan::registry_urls, registered::Reader};
use crate::{Error, config::Config, errors::Reason};

/// Schemas kept at once; beyond it all are asked for again. More than any topic has.
const SCHEMAS_COUNT_MAX: usize = 10_000;
const ANSWER_MS_MAX: u64 = 10_000;

/// A registry's client with what it has read.
pub(crate) struct Registry {
    urls: Vec<String>,
    authority: Authority,
    client: reqwest::Client,
    readers: Mutex<HashMap<(i32, u8), Known>>,
}

enum Authority {
    None,
    Basic { user: String, password: Secret },
    Bearer(Secret),
}

/// What is known of an id: how to read its records, or why none can be read.
pub(super) type Known = Result<Arc<Reader>, Arc<str>>;

/// The answer of `GET /schemas/ids/ID`; Avro where no type is told.
#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

impl Registry {
    pub fn of(settings: &Config) -> Self {
        let text = |key: &str| settings.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let user_info = text("basic.auth.user.info").or_else(|| text("schema.registry.basic.auth.user.info"));
        let authority = match (text("bearer.auth.token"), user_info.and_then(|info| info.split_once(':'))) {
            (Some(token), _) => Authority::Bearer(Secret::new(token)),
            (None, Some((user, password))) => {
                Authority::Basic { user: user.to_owned(), password: Secret::new(password) }
            }
            (None, None) => Authority::None,
        };
        Self {
            urls: registry_urls(settings),
            authority,
            client: cloud::http::client(),
            readers: Mutex::default(),
        }
    }

    /// How to read records of schema `id`. `Fault` where the registry cannot be asked; the inner error is the record's.
    pub(super) fn reader(&self, id: i32, kind: ContractKind) -> Result<Known, Fault> {
        if let Some(known) = self.readers.lock().get(&(id, kind_number(kind))) {
            return Ok(known.clone());
        }
        // Stages run on threads that may block.
        let answer = tokio::runtime::Handle::current().block_on(self.fetch(id))?;
        let known = answer.and_then(|answer| read(&answer, id, kind)).map_err(Arc::from);
        let mut readers = self.readers.lock();
        if readers.len() >= SCHEMAS_COUNT_MAX {
            readers.clear();
        }
        // A schema that is missing may be registered in a moment: only what is there is kept.
        if known.is_ok() {
            readers.insert((id, kind_number(kind)), known.clone());
        }
        Ok(known)
    }

    async fn fetch(&self, id: i32) -> Result<Result<Answer, String>, Fault> {
        let mut last = Fault::Fatal("no schema.registry.url is set".into());
        for url in &self.urls {
            match self.fetch_from(url, id).await {
                Err(Fault::Transient(error)) => last = Fault::Transient(error),
                other => return other,
            }
        }
        Err(last)
    }

    async fn fetch_from(&self, url: &str, id: i32) -> Result<Result<Answer, String>, Fault> {
        let failed = |reason: String| -> BoxError {
            Box::new(Error::Registry { url: without_user(url), id, source: Reason(reason) })
        };
        let request = self.client.get(format!("{url}/schemas/ids/{id}"));
        let request = match &self.authority {
            Authority::None => request,
            Authority::Basic { user, password } => request.basic_auth(user, Some(password.reveal())),
            Authority::Bearer(token) => request.bearer_auth(token.reveal()),
        };
        let timeout = std::time::Duration::from_millis(ANSWER_MS_MAX);
        let response = match request.timeout(timeout).send().await {
            Ok(response) => response,
            Err(error) => return Err(Fault::Transient(failed(chain(&error.without_url())))),
        };
        match response.status().as_u16() {
            200 => match response.json().await {
                Ok(answer) => Ok(Ok(answer)),
                Err(error) => Err(Fault::Transient(failed(chain(&error.without_url())))),
            },
            404 => Ok(Err(format!("schema {id} is not in the registry at {}", without_user(url)))),
            status @ (401 | 403) => {
                Err(Fault::Denied(failed(format!("it answered {status}: mend basic.auth.user.info"))))
            }
            status => Err(Fault::Transient(failed(format!("it answered {status}")))),
        }
    }
}

fn kind_number(kind: ContractKind) -> u8 {
    match kind {
        ContractKind::Avro => 0,
        ContractKind::JsonSchema => 1,
        ContractKind::Protobuf => 2,
    }
}

fn read(answer: &Answer, id: i32, kind: ContractKind) -> Result<Arc<Reader>, String> {
    let found = match answer.schema_type.as_deref().unwrap_or("AVRO") {
        "AVRO" => ContractKind::Avro,
        "JSON" => ContractKind::JsonSchema,
        _ => ContractKind::Protobuf,
    };
    if found != kind {
        let (found, kind) = (contracts::kind_name(found), contracts::kind_name(kind));
        return Err(format!("schema {id} is {found}, and the converter reads {kind}"));
    }
    Reader::new(kind, id, &answer.schema).map(Arc::new)
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn without_user(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            parsed.set_username("").ok();
            parsed.set_password(None).ok();
            parsed.to_string().trim_end_matches('/').to_owned()
        }
        _ => url.to_owned(),
    }
}

//! A schema registry's REST API as a client speaks it: several addresses, an identity, and what was answered. Which schema is
//! meant and what becomes of it is the caller's.

use std::{collections::BTreeMap, fs, future::Future, pin::Pin, time::Duration};

use base::{Code, Problem, Secret, code, problem::line};
use serde_json::Value as Json;

use crate::Error;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// As whom a registry is asked.
#[derive(Debug, Clone)]
pub enum Authority {
    None,
    Basic { user: String, password: Secret },
    Bearer(Secret),
}

/// How a registry is reached, by the keys that Confluent's clients have for it, in Java and elsewhere.
#[derive(Debug, Clone)]
pub struct Access {
    authority: Authority,
    client: reqwest::Client,
}

/// What stands before the keys where they are among others.
const PREFIX: &str = "schema.registry.";
/// The keys, for messages.
const KEYS: &str = "basic.auth.credentials.source, basic.auth.user.info, bearer.auth.credentials.source, bearer.auth.token, \
    ssl.ca.location, ssl.certificate.location, ssl.key.location";

#[derive(Debug, Clone)]
pub struct Registry {
    urls: Vec<String>,
    access: Access,
}

/// A schema with all that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// `AVRO`, `JSON` or `PROTOBUF`.
    pub kind: String,
    pub text: String,
    /// Name and text of each, after those that it refers to itself.
    pub references: Vec<(String, String)>,
}

/// More than any schema refers to; it bounds what a registry can make us ask for.
const REFERENCES_COUNT_MAX: usize = 256;

/// Why there is no answer to use.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failed {
    #[error("no address of a registry is known")]
    NoAddress,
    #[error("the registry at {url} does not answer: {reason}")]
    Silent { url: String, reason: String },
    #[error("the registry at {url} cannot be trusted: {reason}")]
    Untrusted { url: String, reason: String },
    /// What it said, in its own words.
    #[error("the registry at {url} answered {status}: {message}")]
    Refused { url: String, status: u16, error_code: i64, message: String },
}

impl Problem for Failed {
    fn code(&self) -> Code {
        match self {
            Failed::NoAddress | Failed::Silent { .. } => code::TM1022,
            Failed::Untrusted { .. } => code::TM1526,
            Failed::Refused { status: 401 | 403 | 407, .. } => code::TM1484,
            Failed::Refused { status: 500.., .. } => code::TM1022,
            Failed::Refused { .. } => code::TM1023,
        }
    }

    fn help(&self) -> String {
        match self {
            Failed::NoAddress | Failed::Silent { .. } => {
                "start it (tidemill up), or name another one with --registry".to_owned()
            }
            Failed::Untrusted { .. } => {
                "name the certificate of its authority: ssl.ca.location=FILE, in registry.properties of tidemill.yaml or with --registry-property"
                    .to_owned()
            }
            Failed::Refused { status: 401 | 403 | 407, .. } => {
                "say who you are: registry.properties in tidemill.yaml, or --registry-property basic.auth.user.info=USER:PASSWORD"
                    .to_owned()
            }
            Failed::Refused { .. } => "see what it has: tidemill schema list".to_owned(),
        }
    }
}

impl Registry {
    /// `urls` are asked in their order, until one answers.
    pub fn new(urls: Vec<String>, authority: Authority) -> Self {
        Self::reached(urls, Access { authority, client: crate::http::client() })
    }

    /// The same, reached so.
    pub fn reached(urls: Vec<String>, access: Access) -> Self {
        let urls = urls.into_iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        Self { urls, access }
    }

    /// The schema with this id.
    pub async fn schema(&self, id: i32) -> Result<Schema, Failed> {
        let answer = self.get(&format!("/schemas/ids/{id}")).await?;
        let mut references = Vec::new();
        self.references(&answer, &mut references).await?;
        let text = |key: &str| answer[key].as_str().map(str::to_owned);
        let (kind, text) = (text("schemaType"), text("schema"));
        Ok(Schema {
            kind: kind.unwrap_or_else(|| "AVRO".to_owned()),
            text: text.unwrap_or_default(),
            references,
        })
    }

    fn references<'a>(
        &'a self,
        schema: &'a Json,
        found: &'a mut Vec<(String, String)>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failed>> + Send + 'a>> {
        Box::pin(async move {
            for reference in schema["references"].as_array().into_iter().flatten() {
                let name = reference["name"].as_str().unwrap_or_default();
                if found.iter().any(|(known, _)| known == name) || found.len() >= REFERENCES_COUNT_MAX {
                    continue;
                }
                let subject = crate::http::segment(reference["subject"].as_str().unwrap_or_default());
                let version = reference["version"].as_i64().unwrap_or(-1);
                // One that was deleted since is still what its records were written with.
                let path = format!("/subjects/{subject}/versions/{version}?deleted=true");
                let answer = self.get(&path).await?;
                self.references(&answer, found).await?;
                found.push((name.to_owned(), answer["schema"].as_str().unwrap_or_default().to_owned()));
            }
            Ok(())
        })
    }

    /// Its first address, as it may be shown.
    pub fn address(&self) -> String {
        self.urls.first().map_or_else(String::new, |url| without_user(url))
    }

    pub async fn get(&self, path: &str) -> Result<Json, Failed> {
        self.ask(path, None).await
    }

    pub async fn post(&self, path: &str, body: &Json) -> Result<Json, Failed> {
        self.ask(path, Some(body)).await
    }

    async fn ask(&self, path: &str, body: Option<&Json>) -> Result<Json, Failed> {
        let mut last = Failed::NoAddress;
        for url in &self.urls {
            match self.ask_at(url, path, body).await {
                Err(failed @ (Failed::Silent { .. } | Failed::Untrusted { .. })) => last = failed,
                Err(failed @ Failed::Refused { status: 500.., .. }) => last = failed,
                answered => return answered,
            }
        }
        Err(last)
    }

    async fn ask_at(&self, url: &str, path: &str, body: Option<&Json>) -> Result<Json, Failed> {
        let silent = |error: reqwest::Error| {
            let error = error.without_url();
            let (url, reason) = (without_user(url), line(&error));
            match crate::http::is_untrusted(&error) {
                true => Failed::Untrusted { url, reason },
                false => Failed::Silent { url, reason },
            }
        };
        let whole = format!("{url}{path}");
        let request = match body {
            None => self.access.client.get(whole),
            Some(body) => {
                self.access.client.post(whole).header("content-type", CONTENT_TYPE).body(body.to_string())
            }
        };
        let response = self.access.signed(request).timeout(ANSWER_TIMEOUT).send().await.map_err(silent)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(silent);
        }
        let told: Json = response.json().await.unwrap_or_default();
        Err(Failed::Refused {
            url: without_user(url),
            status: status.as_u16(),
            error_code: told["error_code"].as_i64().unwrap_or_else(|| status.as_u16().into()),
            message: told["message"].as_str().unwrap_or("no reason").to_owned(),
        })
    }
}

impl Authority {
    /// As Confluent's converters and serializers are told it.
    pub fn of(properties: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| {
            let value = properties.get(key).or_else(|| properties.get(&format!("{PREFIX}{key}")));
            value.map(|text| text.trim()).filter(|text| !text.is_empty())
        };
        let user_info = text("basic.auth.user.info").and_then(|info| info.split_once(':'));
        match (text("bearer.auth.token"), user_info) {
            (Some(token), _) => Authority::Bearer(Secret::new(token)),
            (None, Some((user, password))) => {
                Authority::Basic { user: user.to_owned(), password: Secret::new(password) }
            }
            (None, None) => Authority::None,
        }
    }
}

impl Access {
    /// # Errors
    /// `RegistryProperty` for a key that there is not, a value that says nothing, and a file of certificates that is none.
    pub fn of(properties: &BTreeMap<String, String>) -> Result<Self, Error> {
        let refuse =
            |key: &str, reason: String| Error::RegistryProperty { key: key.to_owned(), reason, keys: KEYS };
        let mut builder = crate::http::client_builder();
        let (mut certificate, mut key_file) = (None, None);
        for (key, value) in properties {
            let pem = || fs::read(value).map_err(|error| refuse(key, format!("{value}: {error}")));
            match key.strip_prefix(PREFIX).unwrap_or(key) {
                "basic.auth.user.info" if !value.contains(':') => {
                    return Err(refuse(key, "it is written as USER:PASSWORD".to_owned()));
                }
                "basic.auth.credentials.source" if !["USER_INFO", "URL"].contains(&value.as_str()) => {
                    return Err(refuse(key, format!("{value} is neither USER_INFO nor URL")));
                }
                "bearer.auth.credentials.source" if value != "STATIC_TOKEN" => {
                    return Err(refuse(key, format!("{value} is not STATIC_TOKEN")));
                }
                "basic.auth.user.info"
                | "basic.auth.credentials.source"
                | "bearer.auth.token"
                | "bearer.auth.credentials.source" => {}
                "ssl.ca.location" => {
                    let roots = reqwest::Certificate::from_pem_bundle(&pem()?)
                        .map_err(|error| refuse(key, format!("{value}: {error}")))?;
                    if roots.is_empty() {
                        return Err(refuse(key, format!("{value} holds no certificate in PEM")));
                    }
                    builder = roots.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
                }
                "ssl.certificate.location" => certificate = Some((key, pem()?)),
                "ssl.key.location" => key_file = Some((key, pem()?)),
                _ => return Err(refuse(key, "there is no such property".to_owned())),
            }
        }
        match (certificate, key_file) {
            (Some((key, mut pem)), Some((_, mut of_key))) => {
                pem.push(b'\n');
                pem.append(&mut of_key);
                let identity =
                    reqwest::Identity::from_pem(&pem).map_err(|error| refuse(key, line(&error)))?;
                builder = builder.identity(identity);
            }
            (Some((key, _)), None) | (None, Some((key, _))) => {
                return Err(refuse(key, "certificate and key are given together".to_owned()));
            }
            (None, None) => {}
        }
        let client = builder.build().map_err(|error| refuse("ssl.ca.location", line(&error)))?;
        Ok(Self { authority: Authority::of(properties), client })
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// A request that says who asks.
    pub fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.authority {
            Authority::None => request,
            Authority::Basic { user, password } => request.basic_auth(user, Some(password.reveal())),
            Authority::Bearer(token) => request.bearer_auth(token.reveal()),
        }
    }
}

/// An address as it may be shown. What has an `@` but no user may have a password with a `/` or `#` that should have been escaped:
/// then only what lies behind is shown.
pub fn without_user(url: &str) -> String {
    let Some((before, behind)) = url.rsplit_once('@') else { return url.to_owned() };
    let authority = before.split_once("://").map_or(before, |(_, authority)| authority);
    match url::Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            parsed.set_username("").ok();
            parsed.set_password(None).ok();
            parsed.to_string().trim_end_matches('/').to_owned()
        }
        Ok(_) if !authority.contains(':') => url.to_owned(),
        _ => format!("***@{behind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_safe_to_show() {
        assert_eq!(without_user("http://me:secret@host:8081"), "http://host:8081");
        assert_eq!(without_user("http://host:8081"), "http://host:8081");
        assert_eq!(without_user("s3://lake/mail@noon"), "s3://lake/mail@noon");
        for wrong in ["http://me:sec/ret@host:8081", "http://me:12#3@host:8081", "me:secret@host:8081"] {
            assert_eq!(without_user(wrong), "***@host:8081");
        }
        assert_eq!(without_user("http://me:secret@host:99999"), "***@host:99999");
    }

    #[test]
    fn registries_are_reached_as_confluents_clients_are_told() {
        let properties = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let access = |pairs: &[(&str, &str)]| Access::of(&properties(pairs)).map(|access| access.authority);
        let basic =
            access(&[("basic.auth.credentials.source", "USER_INFO"), ("basic.auth.user.info", "me:a:b")]);
        assert!(
            matches!(basic, Ok(Authority::Basic { user, password }) if user == "me" && password.reveal() == "a:b")
        );
        let bearer = access(&[("schema.registry.bearer.auth.token", "t")]);
        assert!(matches!(bearer, Ok(Authority::Bearer(token)) if token.reveal() == "t"));
        assert!(matches!(access(&[]), Ok(Authority::None)));
        let refused = [
            ("basic.auth.user.info", "me"),
            ("basic.auth.credentials.source", "SASL_INHERIT"),
            ("bearer.auth.credentials.source", "OAUTHBEARER"),
            ("ssl.ca.location", "/nowhere"),
            ("ssl.ca.location", "/dev/null"),
            ("ssl.key.location", "/dev/null"),
            ("basic.auth.user", "me"),
        ];
        let texts: Vec<String> = refused
            .iter()
            .map(|pair| base::problem::plain(&access(&[*pair]).expect_err("refused")))
            .collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn what_a_registry_says_is_told_with_what_to_do() {
        let refused = |status| Failed::Refused {
            url: "http://registry:8081".to_owned(),
            status,
            error_code: 0,
            message: "no".to_owned(),
        };
        let silent = Failed::Silent { url: "http://registry:8081".to_owned(), reason: "no route".to_owned() };
        let all = [silent, refused(401)];
        let texts: Vec<String> = all.iter().map(|failed| base::problem::plain(failed)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_address() {
        let registry = Registry::new(vec!["http://127.0.0.1:1/".to_owned()], Authority::None);
        let failed = registry.get("/subjects").await.unwrap_err();
        assert!(
            failed.to_string().starts_with("the registry at http://127.0.0.1:1 does not answer: "),
            "{failed}"
        );
        let nowhere = Registry::new(Vec::new(), Authority::None);
        assert!(matches!(nowhere.get("/").await, Err(Failed::NoAddress)));
    }
}

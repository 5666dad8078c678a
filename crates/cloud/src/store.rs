//! Object stores built from plain settings: S3 with any identity and endpoint, and a local folder for tests and files.

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use base::Secret;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential, AwsCredentialProvider},
    client::{HttpClient, HttpConnector},
    local::LocalFileSystem,
};
use url::Url;

use crate::{Error, aws::Identity, http};

/// A request that takes longer than this has failed; a part of 25 MiB needs 2 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Tries after the first, within `RETRY_TIMEOUT`; longer outages are the engine's to wait for.
const RETRIES_COUNT_MAX: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
const REGION_DEFAULT: &str = "us-east-1";

/// Everything that says which bucket, where, and as whom.
#[derive(Debug, Clone)]
pub struct S3Config {
    pub bucket: String,
    pub region: Option<String>,
    /// `store.url`: an S3 of one's own; `None` is AWS.
    pub endpoint: Option<String>,
    /// `endpoint/bucket/key` and not `bucket.endpoint/key`; always so for an address that is an IP or `localhost`.
    pub path_style: bool,
    pub credentials: Credentials,
}

#[derive(Debug, Clone)]
pub enum Credentials {
    Keys {
        access_key: String,
        secret_key: Secret,
        session_token: Option<Secret>,
    },
    /// The standard chain, asked when a request needs it.
    Identity(Arc<Identity>),
    /// Public buckets.
    Anonymous,
}

/// A bucket and the calls on it that `ObjectStore` has not.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub store: Arc<AmazonS3>,
    pub name: String,
    /// For messages: `https://s3.eu-west-1.amazonaws.com` or the endpoint as given.
    pub endpoint: String,
    pub(crate) url: Url,
    pub(crate) region: String,
    pub(crate) credentials: Option<AwsCredentialProvider>,
    pub(crate) client: HttpClient,
}

/// `s3://bucket/key`, as the aws CLI writes it; the key may be empty or end in `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub bucket: String,
    pub key: String,
}

impl Address {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |what: &str| Error::Settings {
            what: format!("`{text}` {what}"),
            help: "write s3://BUCKET/KEY, for example s3://lake/topics/".to_owned(),
        };
        let rest = text.strip_prefix("s3://").ok_or_else(|| refuse("is no s3:// address"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(refuse("names no bucket"));
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

/// Builds the client; asks nothing of the network.
pub fn s3(config: &S3Config) -> Result<Bucket, Error> {
    let region = region_of(config);
    let endpoint = match &config.endpoint {
        Some(text) => text.trim_end_matches('/').to_owned(),
        None => format!("https://s3.{region}.amazonaws.com"),
    };
    let base = parse_endpoint(&endpoint)?;
    let path_style = config.path_style || !base.host_str().is_some_and(takes_bucket_names);
    let url = bucket_url(&base, &config.bucket, path_style)?;
    let client = HttpClient::new(request_client()?);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&region)
        // With virtual hosts the endpoint has to hold the bucket already.
        .with_endpoint(if path_style {
            endpoint.clone()
        } else {
            url.as_str().trim_end_matches('/').to_owned()
        })
        .with_virtual_hosted_style_request(!path_style)
        .with_allow_http(base.scheme() == "http")
        .with_client_options(ClientOptions::new().with_allow_http(base.scheme() == "http"))
        .with_http_connector(Connector(client.clone()))
        .with_retry(retries());
    let credentials = provider(&config.credentials);
    builder = match &credentials {
        Some(provider) => builder.with_credentials(provider.clone()),
        None => builder.with_skip_signature(true),
    };
    let store = builder.build().map_err(|error| settings(error.to_string()))?;
    Ok(Bucket {
        store: Arc::new(store),
        name: config.bucket.clone(),
        endpoint,
        url,
        region,
        credentials,
        client,
    })
}

/// A folder as an object store: writes are atomic (a temporary name, then a rename).
pub fn folder(path: &FilePath) -> Result<Arc<dyn ObjectStore>, Error> {
    let place = path.display().to_string();
    std::fs::create_dir_all(path)
        .map_err(|source| Error::Store { place: place.clone(), source: source.into() })?;
    let store = LocalFileSystem::new_with_prefix(path)
        .map_err(|source| Error::Store { place, source: source.into() })?
        .with_fsync(true);
    Ok(Arc::new(store))
}

fn region_of(config: &S3Config) -> String {
    let of_identity = || match &config.credentials {
        Credentials::Identity(identity) => identity.region().map(str::to_owned),
        Credentials::Keys { .. } | Credentials::Anonymous => None,
    };
    config.region.clone().or_else(of_identity).unwrap_or_else(|| REGION_DEFAULT.to_owned())
}

fn parse_endpoint(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|error| settings(format!("`{text}` is no address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(settings(format!("`{text}` is no http:// or https:// address")));
    }
    Ok(url)
}

/// Whether `bucket.host` can resolve: not under an IP address, nor (portably) under localhost.
fn takes_bucket_names(host: &str) -> bool {
    host.ends_with(".amazonaws.com")
        || host.ends_with(".amazonaws.com.cn")
        || (!http::is_loopback(host) && host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('['))
}

fn bucket_url(base: &Url, bucket: &str, path_style: bool) -> Result<Url, Error> {
    let mut url = base.clone();
    if path_style {
        url.set_path(&format!("{}/{bucket}", base.path().trim_end_matches('/')));
    } else {
        let host = format!("{bucket}.{}", base.host_str().unwrap_or_default());
        url.set_host(Some(&host)).map_err(|error| settings(format!("`{host}` cannot be a host: {error}")))?;
    }
    Ok(url)
}

fn provider(credentials: &Credentials) -> Option<AwsCredentialProvider> {
    match credentials {
        Credentials::Keys { access_key, secret_key, session_token } => {
            Some(Arc::new(StaticCredentialProvider::new(AwsCredential {
                key_id: access_key.clone(),
                secret_key: secret_key.reveal().to_owned(),
                token: session_token.as_ref().map(|token| token.reveal().to_owned()),
            })))
        }
        Credentials::Identity(identity) => Some(identity.clone()),
        Credentials::Anonymous => None,
    }
}

fn request_client() -> Result<reqwest::Client, Error> {
    http::client_builder().timeout(REQUEST_TIMEOUT).build().map_err(|error| settings(error.to_string()))
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: RETRIES_COUNT_MAX, retry_timeout: RETRY_TIMEOUT }
}

fn settings(what: String) -> Error {
    Error::Settings { what, help: "correct store.url, s3.region or s3.bucket.name".to_owned() }
}

/// Gives the store our own client, with our TLS and proxy rules, in place of one of its making.
#[derive(Debug)]
struct Connector(HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests;

//! Object stores built from plain settings: S3 and Google Cloud Storage with any identity and endpoint, and a local
//! folder for tests and files.

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use base::Secret;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider},
    client::{HttpClient, HttpConnector},
    gcp::{GcpCredential, GcpCredentialProvider, GoogleCloudStorageBuilder},
    local::LocalFileSystem,
};
use reqwest::{
    header::{HeaderMap, HeaderValue},
    redirect,
};
use url::Url;

use crate::{
    Error, Upload,
    aws::Identity,
    calls::S3Calls,
    gcp,
    gcs::{GcsCalls, GcsStore},
    http,
};

/// A request that takes longer than this has failed; a part of 25 MiB needs 2 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Tries after the first, within `RETRY_TIMEOUT`; longer outages are the engine's to wait for.
const RETRIES_COUNT_MAX: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
const REGION_DEFAULT: &str = "us-east-1";
const GCS_ENDPOINT: &str = "https://storage.googleapis.com";

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

/// The same for Google Cloud Storage.
#[derive(Debug, Clone)]
pub struct GcsConfig {
    pub bucket: String,
    /// An emulator or a private endpoint; `None` is Google's.
    pub endpoint: Option<String>,
    /// Where `create` makes the bucket; `None`: the identity's.
    pub project: Option<String>,
    /// `None` is for emulators and public buckets.
    pub identity: Option<Arc<gcp::Identity>>,
}

impl GcsConfig {
    /// As Google's own libraries are told: the emulator of `STORAGE_EMULATOR_HOST`, or Google with the identity that these
    /// options and the environment give, at the address of gcloud's own variable where that is set (Private Service Connect).
    pub fn of_environment(bucket: &str, identity: &gcp::Options) -> Result<Self, Error> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let bucket = bucket.to_owned();
        if let Some(host) = set("STORAGE_EMULATOR_HOST") {
            let endpoint = if host.contains("://") { host } else { format!("http://{host}") };
            return Ok(Self { bucket, endpoint: Some(endpoint), project: None, identity: None });
        }
        let endpoint = set("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE").map(|address| {
            let address = address.trim_end_matches('/');
            // gcloud wants the path of the JSON API in it.
            address.strip_suffix("/storage/v1").unwrap_or(address).to_owned()
        });
        Ok(Self { bucket, endpoint, project: None, identity: Some(gcp::Identity::load(identity)?) })
    }
}

/// A bucket and the calls on it that `ObjectStore` has not.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub store: Arc<dyn ObjectStore>,
    pub name: String,
    /// For messages: `https://s3.eu-west-1.amazonaws.com` or the endpoint as given.
    pub endpoint: String,
    pub(crate) calls: Calls,
    answered: http::Answered,
}

#[derive(Debug, Clone)]
pub(crate) enum Calls {
    S3(S3Calls),
    Gcs(Arc<GcsCalls>),
}

impl Bucket {
    /// `s3://lake`, `gs://lake`.
    pub fn address(&self) -> String {
        let scheme = match &self.calls {
            Calls::S3(_) => "s3",
            Calls::Gcs(_) => "gs",
        };
        format!("{scheme}://{}", self.name)
    }

    /// Sorts an error of the store for an object of this bucket.
    pub fn error(&self, error: object_store::Error, key: &str) -> Error {
        let address = self.address();
        Error::of_store(error, &format!("{address}/{key}"), &address, &self.endpoint)
    }

    /// Whether anybody has answered at its address: that nobody does passes then.
    pub fn has_answered(&self) -> bool {
        self.answered.is_so()
    }

    /// Whether the bucket is there and our identity is good.
    pub async fn check(&self) -> Result<(), Error> {
        match &self.calls {
            Calls::S3(calls) => calls.check().await,
            Calls::Gcs(calls) => calls.check().await,
        }
    }

    /// Creates the bucket; one that is there and ours already is as good.
    pub async fn create(&self) -> Result<(), Error> {
        match &self.calls {
            Calls::S3(calls) => calls.create().await,
            Calls::Gcs(calls) => calls.create().await,
        }
    }

    /// Every open upload whose key starts with `prefix`; none at Google, where they end by themselves and cost nothing.
    pub async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>, Error> {
        match &self.calls {
            Calls::S3(calls) => calls.list_uploads(prefix).await,
            Calls::Gcs(_) => Ok(Vec::new()),
        }
    }

    /// Gives the parts' space back; an upload that is gone already is as good.
    pub async fn abort_upload(&self, upload: &Upload) -> Result<(), Error> {
        match &self.calls {
            Calls::S3(calls) => calls.abort_upload(upload).await,
            Calls::Gcs(_) => Ok(()),
        }
    }
}

/// `s3://bucket/key` or `gs://bucket/key`, as the clouds' own tools write it; the key may be empty or end in `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub cloud: Cloud,
    pub bucket: String,
    pub key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    S3,
    Gcs,
}

impl Address {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |what: &str| Error::Settings {
            what: format!("`{text}` {what}"),
            help: "write s3://BUCKET/KEY or gs://BUCKET/KEY, for example s3://lake/topics/".to_owned(),
        };
        let (cloud, rest) = match (text.strip_prefix("s3://"), text.strip_prefix("gs://")) {
            (Some(rest), _) => (Cloud::S3, rest),
            (None, Some(rest)) => (Cloud::Gcs, rest),
            (None, None) => return Err(refuse("is no s3:// or gs:// address")),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(refuse("names no bucket"));
        }
        Ok(Self { cloud, bucket: bucket.to_owned(), key: key.to_owned() })
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
    let answered = http::Answered::default();
    let client = HttpClient::new(http::Trusting::new(request_client()?, answered.clone()));
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
    let store = Arc::new(builder.build().map_err(|error| settings(error.to_string()))?);
    let name = config.bucket.clone();
    let calls = Calls::S3(S3Calls {
        store: store.clone(),
        name: name.clone(),
        endpoint: endpoint.clone(),
        url,
        region,
        credentials,
        client,
    });
    Ok(Bucket { store, name, endpoint, calls, answered })
}

/// Builds the client; asks nothing of the network.
pub fn gcs(config: &GcsConfig) -> Result<Bucket, Error> {
    let endpoint = config.endpoint.as_deref().unwrap_or(GCS_ENDPOINT).trim_end_matches('/').to_owned();
    let base = parse_endpoint(&endpoint)?;
    if base.scheme() == "http"
        && !http::is_loopback(base.host_str().unwrap_or_default())
        && config.identity.is_some()
    {
        return Err(settings(format!("`{endpoint}` is plain HTTP, and a token would be sent to it")));
    }
    let mut headers = HeaderMap::new();
    if let Some(project) = config.identity.as_deref().and_then(gcp::Identity::quota_project) {
        let value =
            HeaderValue::from_str(project).map_err(|error| settings(format!("`{project}`: {error}")))?;
        headers.insert("x-goog-user-project", value);
    }
    let client = http::client_builder()
        .timeout(REQUEST_TIMEOUT)
        .default_headers(headers)
        // 308 says here how much of an upload has come.
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| settings(error.to_string()))?;
    let credentials: GcpCredentialProvider = match &config.identity {
        Some(identity) => identity.clone(),
        None => Arc::new(StaticCredentialProvider::new(GcpCredential { bearer: String::new() })),
    };
    let answered = http::Answered::default();
    let reads = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&config.bucket)
        .with_base_url(&endpoint)
        .with_credentials(credentials)
        .with_skip_signature(config.identity.is_none())
        .with_http_connector(Connector(HttpClient::new(http::Trusting::new(
            client.clone(),
            answered.clone(),
        ))))
        .with_retry(retries())
        .build()
        .map_err(|error| settings(error.to_string()))?;
    let calls = Arc::new(GcsCalls {
        client,
        answered: answered.clone(),
        endpoint: endpoint.clone(),
        bucket: config.bucket.clone(),
        project: config.project.clone(),
        identity: config.identity.clone(),
    });
    let store = Arc::new(GcsStore { reads, calls: calls.clone() });
    Ok(Bucket { store, name: config.bucket.clone(), endpoint, calls: Calls::Gcs(calls), answered })
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

pub(crate) fn provider(credentials: &Credentials) -> Option<AwsCredentialProvider> {
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

pub(crate) fn request_client() -> Result<reqwest::Client, Error> {
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

//! Signed calls of DynamoDB's JSON API, tried again while it is busy.
//!
//! The pages of a scan are read where they lie, so the calls are made here and not by AWS's SDK, whose own items would have
//! to be taken apart once more. Identity and signature are the same ones that S3 is reached with.

use std::{sync::Arc, time::Duration};

use base::{Backoff, BoxError, problem::root};
use bytes::Bytes;
use cloud::aws::Identity;
use object_store::{
    aws::{AwsAuthorizer, AwsCredential},
    client::{HttpClient, HttpRequest, HttpRequestBody},
};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::{Access, Error, errors::Refusal};

/// A call that takes longer than this has failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Between tries of a call that DynamoDB had no room for: half a minute in all.
const WAIT_FIRST_MS: u64 = 50;
const WAIT_MS_MAX: u64 = 5_000;
const TRIES_COUNT_MAX: u32 = 12;
/// A connection that breaks is tried again so often here; what lasts longer is the engine's to wait for.
const BROKEN_TRIES_COUNT_MAX: u32 = 2;
/// Answers are 16 MB at most.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Of a refusal that is no JSON, so much is shown.
const REFUSAL_BYTES_MAX: usize = 300;
const REGION_OF_OWN_ENDPOINT: &str = "us-east-1";

/// One DynamoDB, reached as one identity.
pub(super) struct Client {
    access: Access,
    http: HttpClient,
    /// Found at the first call: the region may be the profile's.
    target: OnceCell<Target>,
}

struct Target {
    endpoint: String,
    region: String,
    who: Who,
}

enum Who {
    Keys(Arc<AwsCredential>),
    Chain(Arc<Identity>),
}

impl Client {
    pub(super) fn new(access: Access) -> Result<Self, Error> {
        let http = cloud::http::client_builder().timeout(CALL_TIMEOUT).build();
        let http = http.map_err(|source| {
            let endpoint = access.endpoint.clone().unwrap_or_else(|| "AWS".to_owned());
            Error::Unreachable { endpoint, source: source.into() }
        })?;
        Ok(Self { access, http: HttpClient::new(http), target: OnceCell::new() })
    }

    /// One call; throttling, faults of the server and broken connections are waited for.
    pub(super) async fn call(
        &self,
        operation: &'static str,
        table: &str,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, Error> {
        let body = body.into();
        let mut waits = self.waits(table);
        loop {
            let error = match self.call_once(operation, table, body.clone()).await {
                Err(error) if error.is_passing() => error,
                other => return other,
            };
            let is_broken = matches!(error, Error::Unreachable { .. });
            let spent = is_broken && waits.tries() >= BROKEN_TRIES_COUNT_MAX;
            match waits.next().filter(|_| !spent) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error.after(waits.tries())),
            }
        }
    }

    /// How long to wait between tries, spread by the table's name.
    pub(super) fn waits(&self, table: &str) -> Backoff {
        let seed =
            table.bytes().fold(17, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Backoff::new(WAIT_FIRST_MS, WAIT_MS_MAX, TRIES_COUNT_MAX, seed)
    }

    async fn call_once(&self, operation: &'static str, table: &str, body: Bytes) -> Result<Bytes, Error> {
        let target = self.target.get_or_try_init(|| self.find()).await?;
        let credential = match &target.who {
            Who::Keys(keys) => keys.clone(),
            Who::Chain(identity) => identity.credential().await?,
        };
        let unreachable = |source: BoxError| match cloud::http::is_untrusted(&*source) {
            true => {
                let (place, source) = (target.endpoint.clone(), root(&*source).to_string().into());
                Error::Identity(cloud::Error::Untrusted { place, source })
            }
            false => Error::Unreachable {
                endpoint: target.endpoint.clone(),
                source: root(&*source).to_string().into(),
            },
        };
        let request = signed(target, &credential, operation, body)
            .map_err(|source| Error::setting("endpoint", &target.endpoint, &source.to_string()))?;
        let response = self.http.execute(request).await.map_err(|error| unreachable(error.into()))?;
        let status = response.status().as_u16();
        let body = response.into_body().bytes().await.map_err(|error| unreachable(error.into()))?;
        let unreadable = |source: BoxError| Error::Answer { operation, table: table.to_owned(), source };
        if body.len() > ANSWER_BYTES_MAX {
            return Err(unreadable(format!("{} bytes are too many", body.len()).into()));
        }
        if status == 200 {
            return Ok(body);
        }
        let refusal = refusal(status, &body);
        Err(Error::of(refusal, operation, table, &target.endpoint))
    }

    async fn find(&self) -> Result<Target, Error> {
        let secret = |secret: &base::Secret| secret.reveal().to_owned();
        let (who, found) = match &self.access.keys {
            Some(keys) => {
                let credential = AwsCredential {
                    key_id: keys.access_key.clone(),
                    secret_key: secret(&keys.secret_key),
                    token: keys.session_token.as_ref().map(secret),
                };
                (Who::Keys(Arc::new(credential)), None)
            }
            None => {
                let identity = Identity::load(self.access.profile.as_deref()).await;
                let region = identity.region().map(str::to_owned);
                (Who::Chain(identity), region)
            }
        };
        let given = self.access.endpoint.clone().or_else(|| cloud::aws::endpoint_of("dynamodb"));
        let own = given.as_ref().map(|_| REGION_OF_OWN_ENDPOINT.to_owned());
        let region = self.access.region.clone().or(found).or(own);
        let region =
            region.ok_or_else(|| Error::setting("region", "", "the table's region, such as eu-west-1"))?;
        let endpoint = match &given {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None if region.starts_with("cn-") => format!("https://dynamodb.{region}.amazonaws.com.cn"),
            None => format!("https://dynamodb.{region}.amazonaws.com"),
        };
        Ok(Target { endpoint, region, who })
    }
}

fn signed(
    target: &Target,
    credential: &AwsCredential,
    operation: &str,
    body: Bytes,
) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(HttpRequestBody::from(body));
    *request.method_mut() = "POST".parse()?;
    *request.uri_mut() = format!("{}/", target.endpoint).parse()?;
    let headers = request.headers_mut();
    headers.insert("content-type", "application/x-amz-json-1.0".parse()?);
    headers.insert("x-amz-target", format!("DynamoDB_20120810.{operation}").parse()?);
    AwsAuthorizer::new(credential, "dynamodb", &target.region).try_authorize(&mut request, None)?;
    Ok(request)
}

/// What an answer that is none says of itself; a proxy's may be anything.
fn refusal(status: u16, body: &[u8]) -> Refusal {
    let told: Told<'_> = serde_json::from_slice(body).unwrap_or_default();
    match told.kind.rsplit(['#', ':']).next() {
        Some(kind) if !kind.is_empty() => {
            Refusal { kind: kind.to_owned(), message: told.message.into_owned(), status }
        }
        Some(_) | None => {
            let text = String::from_utf8_lossy(&body[..body.len().min(REFUSAL_BYTES_MAX)]);
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            Refusal { kind: format!("HTTP {status}"), message: text, status }
        }
    }
}

/// The body of a refusal; parts of AWS write `Message` with a capital.
#[derive(Default, Deserialize)]
struct Told<'a> {
    #[serde(rename = "__type", default, borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(alias = "Message", default, borrow)]
    message: std::borrow::Cow<'a, str>,
}

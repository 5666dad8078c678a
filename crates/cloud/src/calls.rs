//! Signed S3 calls that `ObjectStore` has not: create and look up a bucket, list and abort multipart uploads.
//!
//! API: CreateBucket, HeadBucket, ListMultipartUploads and AbortMultipartUpload of the S3 API reference, 2006-03-01.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{
    aws::{AmazonS3, AwsAuthorizer, AwsCredential, AwsCredentialProvider},
    client::{HttpClient, HttpRequest, HttpRequestBody},
    multipart::MultipartStore,
    path::Path,
};
use url::Url;

use crate::{Error, errors::at};

/// Answers larger than this are not ours: 1,000 uploads with keys of 1 KiB are 2 MiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Pages of 1,000 uploads that are read at most.
const PAGES_COUNT_MAX: usize = 100;

/// A multipart upload that was begun and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub key: String,
    pub id: String,
}

struct Answer {
    status: u16,
    body: Bytes,
}

/// What it takes to sign a call to one bucket.
#[derive(Debug, Clone)]
pub(crate) struct S3Calls {
    pub(crate) store: Arc<AmazonS3>,
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) url: Url,
    pub(crate) region: String,
    pub(crate) credentials: Option<AwsCredentialProvider>,
    pub(crate) client: HttpClient,
}

impl S3Calls {
    fn address(&self) -> String {
        format!("s3://{}", self.name)
    }

    fn error(&self, error: object_store::Error, key: &str) -> Error {
        let address = self.address();
        Error::of_store(error, &format!("{address}/{key}"), &address, &self.endpoint)
    }

    /// Whether the bucket is there and our keys are good: lists one key of it, since HEAD's refusals carry no reason.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("list-type", "2").append_pair("max-keys", "1");
        let answer = self.call("GET", url, Bytes::new()).await?;
        if answer.status == 200 { Ok(()) } else { Err(self.refusal(&answer)) }
    }

    /// Creates the bucket; one that is there and ours already is as good.
    pub(crate) async fn create(&self) -> Result<(), Error> {
        let body = match self.region.as_str() {
            // The API refuses this region's own name here.
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ),
        };
        let answer = self.call("PUT", self.url.clone(), body.into()).await?;
        let text = String::from_utf8_lossy(&answer.body);
        match answer.status {
            200..300 => Ok(()),
            409 if text.contains("BucketAlreadyOwnedByYou") || text.contains("BucketAlreadyExists") => {
                self.check().await
            }
            _ => Err(self.refusal(&answer)),
        }
    }

    /// Every open upload whose key starts with `prefix`.
    pub(crate) async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>, Error> {
        let mut uploads = Vec::new();
        let mut after: Option<(String, String)> = None;
        for _ in 0..PAGES_COUNT_MAX {
            let mut url = self.url.clone();
            url.query_pairs_mut().append_pair("uploads", "").append_pair("prefix", prefix);
            if let Some((key, id)) = &after {
                url.query_pairs_mut().append_pair("key-marker", key).append_pair("upload-id-marker", id);
            }
            let answer = self.call("GET", url, Bytes::new()).await?;
            if answer.status != 200 {
                return Err(self.refusal(&answer));
            }
            let text = String::from_utf8_lossy(&answer.body);
            uploads.extend(elements(&text, "Upload").filter_map(|upload| {
                Some(Upload { key: element(upload, "Key")?, id: element(upload, "UploadId")? })
            }));
            if element(&text, "IsTruncated").as_deref() != Some("true") {
                break;
            }
            after = element(&text, "NextKeyMarker").zip(element(&text, "NextUploadIdMarker"));
            if after.is_none() {
                break;
            }
        }
        Ok(uploads)
    }

    /// Gives the parts' space back; an upload that is gone already is as good.
    pub(crate) async fn abort_upload(&self, upload: &Upload) -> Result<(), Error> {
        let path = Path::parse(&upload.key)
            .map_err(|error| Error::Store { place: upload.key.clone(), source: error.into() })?;
        match self.store.abort_multipart(&path, &upload.id).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(error, &upload.key)),
        }
    }

    async fn call(&self, method: &'static str, url: Url, body: Bytes) -> Result<Answer, Error> {
        let settings =
            |what: String| Error::Settings { what, help: "correct store.url and s3.bucket.name".to_owned() };
        let mut request = HttpRequest::new(HttpRequestBody::from(body));
        *request.method_mut() = method.parse().map_err(|_| settings(format!("no method {method}")))?;
        *request.uri_mut() = url.as_str().parse().map_err(|error| settings(format!("{url}: {error}")))?;
        if let Some(credential) = self.credential().await? {
            let authorizer = AwsAuthorizer::new(&credential, "s3", &self.region);
            authorizer.try_authorize(&mut request, None).map_err(|error| settings(error.to_string()))?;
        }
        let place = at(&self.address(), &self.endpoint);
        let unreachable = |source: base::BoxError| Error::unreachable(&place, source);
        let response = self.client.execute(request).await.map_err(|error| unreachable(error.into()))?;
        let status = response.status().as_u16();
        let body = response.into_body().bytes().await.map_err(|error| unreachable(error.into()))?;
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Error::Store {
                place: self.endpoint.clone(),
                source: "the answer is too long".into(),
            });
        }
        Ok(Answer { status, body })
    }

    async fn credential(&self) -> Result<Option<Arc<AwsCredential>>, Error> {
        let Some(provider) = &self.credentials else { return Ok(None) };
        match provider.get_credential().await {
            Ok(credential) => Ok(Some(credential)),
            Err(error) => Err(self.error(error, "")),
        }
    }

    fn refusal(&self, answer: &Answer) -> Error {
        let text = String::from_utf8_lossy(&answer.body);
        let code = element(&text, "Code").unwrap_or_else(|| format!("status {}", answer.status));
        let source = match element(&text, "Message") {
            Some(message) => format!("{code}: {message}").into(),
            None => code.clone().into(),
        };
        let place = self.address();
        match (answer.status, code.as_str()) {
            (_, "NoSuchBucket") => Error::NoBucket { bucket: place, endpoint: self.endpoint.clone() },
            (401 | 403, _) => Error::Denied { place, source },
            _ => Error::Store { place, source },
        }
    }
}

/// The insides of every `<name>…</name>`; S3 nests no element in one of its own name.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let end = start + rest[start..].find(&close)?;
        let inside = &rest[start..end];
        rest = &rest[end + close.len()..];
        Some(inside)
    })
}

pub(crate) fn element(text: &str, name: &str) -> Option<String> {
    let raw = elements(text, name).next()?;
    let plain =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(raw.to_owned(), |text, (from, to)| text.replace(from, to)))
}

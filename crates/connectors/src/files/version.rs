//! Which version of an object or an address there is now, so that another life of a load can tell whether it is the same one.

use base::Backoff;
use cloud::{Reason, http};
use object_store::{GetOptions, ObjectStore, path::Path};
use reqwest::header;

use super::{Error, Input, input::Kind};

const WAIT_FIRST_MS: u64 = 200;
const WAIT_MS_MAX: u64 = 2_000;
const TRIES_COUNT_MAX: u32 = 4;

/// What its store or its server says of it; what it does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    pub bytes: Option<u64>,
    /// The generation of an object of Google's, else the entity tag.
    pub tag: Option<String>,
    /// As it was told.
    pub modified: Option<String>,
}

impl Input {
    /// `Ok(None)`: it is a file, or standard input.
    ///
    /// # Errors
    /// `Fetch`: it is not there, or nobody answers.
    pub async fn version(&self) -> Result<Option<Version>, Error> {
        let failed = |source: base::BoxError| Error::Fetch { name: self.name.clone(), source };
        match &self.kind {
            Kind::File(_) | Kind::Stdin => Ok(None),
            Kind::Object { bucket, key } => {
                let path = Path::parse(key).map_err(|error| failed(error.into()))?;
                let options = GetOptions { head: true, ..GetOptions::default() };
                let meta = bucket.store.get_opts(&path, options).await;
                let meta = meta.map_err(|error| failed(bucket.error(error, key).into()))?.meta;
                let is_google = self.name.starts_with("gs://");
                let tag = meta.version.filter(|_| is_google).or(meta.e_tag);
                let modified = Some(meta.last_modified.to_rfc3339());
                Ok(Some(Version { bytes: Some(meta.size), tag, modified }))
            }
            Kind::Web(url) => {
                let mut backoff = Backoff::new(WAIT_FIRST_MS, WAIT_MS_MAX, TRIES_COUNT_MAX, 0);
                let answer = loop {
                    // An address that is signed is signed for GET; the body is left alone.
                    let asked = http::client().get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
                    let (reason, is_passing): (base::BoxError, bool) = match asked.send().await {
                        Ok(answer) if answer.status().is_success() => break answer,
                        Ok(answer) => {
                            let status = answer.status();
                            (format!("HTTP {status}").into(), status.is_server_error() || status == 429)
                        }
                        Err(error) => {
                            let error = error.without_url();
                            let is_final = http::is_untrusted(&error) || http::is_nowhere(&error);
                            (Reason::of(error), !is_final)
                        }
                    };
                    match backoff.next().filter(|_| is_passing) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Err(failed(reason)),
                    }
                };
                let text = |name: header::HeaderName| {
                    answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
                };
                let (tag, modified) = (text(header::ETAG), text(header::LAST_MODIFIED));
                Ok(Some(Version { bytes: answer.content_length(), tag, modified }))
            }
        }
    }
}

//! Whether those whom the environment will go by are signed in, before anything starts.
//!
//! Only what the project itself says is asked for: a store that is AWS's, a connector without keys of its own. That somebody ends
//! soon is said by the identity, once; that he has ended is an error. Anything else is left to the part that meets it.

use std::time::Duration;

use cloud::aws::Identity;
use project::{ConnectorFile, Project};

use crate::context::Failure;

/// A start waits no longer for this; what is slower is found out by whoever needs it.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// `own_s3`: where the embedded S3 answers, to which connectors go by the project's own keys.
pub async fn check(project: &Project, own_s3: Option<&str>) -> Result<(), Failure> {
    if !goes_by_the_chain(project, own_s3) {
        return Ok(());
    }
    let identity = Identity::load(None).await;
    let looked = tokio::time::timeout(LOOKUP_TIMEOUT, identity.summary()).await;
    match looked {
        Ok(Err(
            error @ (cloud::Error::SignInExpired { .. }
            | cloud::Error::CredentialsExpired { .. }
            | cloud::Error::ProfileMissing { .. }
            | cloud::Error::Unusable { .. }),
        )) => Err(Box::new(error)),
        Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
    }
}

fn goes_by_the_chain(project: &Project, own_s3: Option<&str>) -> bool {
    let is_aws = |part: &str| project.settings.optional_text(&format!("{part}.external")) == Some("aws");
    if is_aws("s3") || is_aws("dynamodb") {
        return true;
    }
    // Files that cannot be read are told by `check` and by who applies them.
    let connectors = project.connectors().unwrap_or_default();
    connectors.iter().flatten().any(|connector| is_without_keys(connector, own_s3))
}

fn is_without_keys(connector: &ConnectorFile, own_s3: Option<&str>) -> bool {
    let get = |key: &str| connector.config.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let is_ours = match (get("store.url"), own_s3) {
        (Some(url), Some(own)) => plain(url) == plain(own),
        (Some(_) | None, _) => false,
    };
    get("s3.bucket.name").is_some() && get("aws.access.key.id").is_none() && !is_ours
}

fn plain(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches('/').replace("localhost", "127.0.0.1")
}

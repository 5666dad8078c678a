//! AWS identity from the standard chain: environment, profiles with SSO, roles, processes and web identity, ECS, EC2.
//!
//! Credentials are cached and renewed five minutes before they end; one renewal at a time, and while the old ones still
//! hold, a failed renewal is no failure.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, error::CredentialsError,
};
use aws_smithy_http_client::{Builder, tls};
use base::{BoxError, Clock, SystemClock};
use object_store::{CredentialProvider, aws::AwsCredential};
use tokio::sync::Mutex;

use crate::{Error, errors::chain};

/// How long before their end credentials are renewed.
const RENEW_BEFORE_MS: i64 = 5 * 60_000;
/// The longest a lookup may take: a `credential_process` may ask a person's browser.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(60);
const TRIED: &str = "environment variables, the shared config and credentials files (keys, SSO, process, role), web \
    identity, the container and the instance metadata";

/// Who we are to AWS, found when first asked for.
pub struct Identity {
    profile: Option<String>,
    region: Option<String>,
    chain: Option<SharedCredentialsProvider>,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Held>>,
}

#[derive(Clone)]
struct Held {
    credential: Arc<AwsCredential>,
    /// Milliseconds since 1970; `None` lasts for ever.
    ends_ms: Option<i64>,
}

/// What can be told about an identity without telling its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub access_key: String,
    pub profile: Option<String>,
    pub region: Option<String>,
    pub ends_ms: Option<i64>,
}

impl Identity {
    /// Reads the environment and `~/.aws`; `profile` wins over AWS_PROFILE. Asks nobody for credentials yet.
    pub async fn load(profile: Option<&str>) -> Arc<Self> {
        crate::http::install_tls();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(
            Builder::new()
                .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
                .build_https(),
        );
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        let profile = profile.map(str::to_owned).or_else(|| std::env::var("AWS_PROFILE").ok());
        let region = config.region().map(|region| region.as_ref().to_owned());
        Arc::new(Self::of(config.credentials_provider(), profile, region, Arc::new(SystemClock)))
    }

    pub(crate) fn of(
        chain: Option<SharedCredentialsProvider>,
        profile: Option<String>,
        region: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { profile, region, chain, clock, held: Mutex::new(None) }
    }

    /// The region of the environment or profile.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The current credentials, renewed when they end within five minutes.
    pub async fn credential(&self) -> Result<Arc<AwsCredential>, Error> {
        Ok(self.current().await?.credential)
    }

    pub async fn summary(&self) -> Result<Summary, Error> {
        let held = self.current().await?;
        Ok(Summary {
            access_key: held.credential.key_id.clone(),
            profile: self.profile.clone(),
            region: self.region.clone(),
            ends_ms: held.ends_ms,
        })
    }

    async fn current(&self) -> Result<Held, Error> {
        let mut held = self.held.lock().await;
        let now_ms = self.clock.now_ms();
        if let Some(current) = &*held
            && current.ends_ms.is_none_or(|ends_ms| ends_ms - now_ms > RENEW_BEFORE_MS)
        {
            return Ok(current.clone());
        }
        match self.look_up().await {
            Ok(renewed) => Ok(held.insert(renewed).clone()),
            Err(error) => match &*held {
                Some(current) if current.ends_ms.is_some_and(|ends_ms| ends_ms > now_ms) => {
                    tracing::warn!(%error, "AWS credentials could not be renewed yet; the current ones still hold");
                    Ok(current.clone())
                }
                Some(_) | None => Err(error),
            },
        }
    }

    async fn look_up(&self) -> Result<Held, Error> {
        let Some(chain) = &self.chain else {
            return Err(self.error_of(CredentialsError::not_loaded("no provider is configured")));
        };
        let found = match tokio::time::timeout(LOOKUP_TIMEOUT, chain.provide_credentials()).await {
            Ok(found) => found.map_err(|error| self.error_of(error))?,
            Err(_) => return Err(self.error_of(CredentialsError::provider_timed_out(LOOKUP_TIMEOUT))),
        };
        let ends_ms = found.expiry().map(|ends| {
            let since = ends.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        let credential = AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        };
        Ok(Held { credential: Arc::new(credential), ends_ms })
    }

    fn who(&self) -> String {
        self.profile.as_ref().map_or("the default profile".to_owned(), |profile| format!("profile {profile}"))
    }

    /// Sorts what the chain says: nothing found, a sign-in that ended, or a source that is there and broken.
    fn error_of(&self, error: CredentialsError) -> Error {
        let text = chain(&error).to_ascii_lowercase();
        let who = self.who();
        let is_nothing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
        let source: BoxError = error.into();
        let is_sso = text.contains("sso");
        if is_sso
            && ["expired", "no such file", "not found", "unauthorized", "cached"]
                .iter()
                .any(|word| text.contains(word))
        {
            let login = match &self.profile {
                Some(profile) => format!("aws sso login --profile {profile}"),
                None => "aws sso login".to_owned(),
            };
            return Error::SignInExpired { who, login, source };
        }
        if is_nothing {
            return Error::NoCredentials { who, tried: TRIED.to_owned(), source };
        }
        Error::CredentialsFailed { who, source }
    }
}

#[async_trait]
impl CredentialProvider for Identity {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let generic = |error: Error| object_store::Error::Generic { store: "S3", source: Box::new(error) };
        self.credential().await.map_err(generic)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("profile", &self.profile)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

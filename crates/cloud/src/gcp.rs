//! Google Cloud identity, found as Google's own libraries find it: a credentials file named by the user or by
//! `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's application default credentials, or else the metadata server.
//!
//! The kinds of file are a person's (authorized user), a service account's key, an impersonated account and workload
//! identity. Exchanging, caching and renewing tokens is the google-cloud-auth crate's work.
//!
//! Map: `gcp/sources.rs` says which source wins; `gcp/introspect.rs` whose a token is, and until when; `gcp/login.rs` signs in and out.

mod introspect;
pub mod login;
pub mod sources;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use base::{BoxError, Secret, SystemClock, problem::line};
use google_cloud_auth::{
    build_errors,
    credentials::{
        AccessTokenCredentials, Credentials, external_account, external_account_authorized_user,
        impersonated, mds, service_account, user_account,
    },
};
use object_store::{CredentialProvider, gcp::GcpCredential};
use serde_json::Value;
use tokio::sync::Mutex;

use introspect::Asked;
pub use introspect::Introspected;

use crate::Error;

/// The longest a lookup may take: an executable of workload identity may ask a person.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(60);
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const IMPERSONATED: &str = "impersonated account";
const LOGIN: &str = "tidemill auth login gcp";

/// What wins over the environment.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A credentials file of any kind.
    pub credentials: Option<PathBuf>,
    /// What stands in such a file; it wins over one.
    pub credentials_json: Option<Secret>,
    /// The service account to act as, by its email.
    pub impersonate: Option<String>,
    /// The project that quota and costs are counted on.
    pub quota_project: Option<String>,
}

/// Who we are to Google Cloud, asked when a request needs it.
pub struct Identity {
    given: Given,
    impersonate: Option<String>,
    summary: Summary,
    asked: Asked,
    held: Mutex<Option<AccessTokenCredentials>>,
}

/// Where the credentials are; a file is read again after a refusal.
enum Given {
    File(PathBuf),
    Json(Secret),
    /// The metadata server has them.
    Nowhere,
}

impl Given {
    fn read(&self) -> Result<Option<Value>, Error> {
        match self {
            Given::File(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| failed(&path.display().to_string(), error.into()))?;
                parse(&text, &path.display().to_string()).map(Some)
            }
            Given::Json(text) => parse(text.reveal(), "the key of the connection").map(Some),
            Given::Nowhere => Ok(None),
        }
    }
}

/// What can be told about an identity without telling its secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// `user`, `service account`, `impersonated account`, `workload identity`, `metadata server`.
    pub kind: &'static str,
    /// The account's email, where the file says it.
    pub account: Option<String>,
    pub file: Option<PathBuf>,
    pub project: Option<String>,
    pub quota_project: Option<String>,
}

impl Identity {
    /// Reads the environment and the credentials file; asks nobody for a token yet.
    pub fn load(options: &Options) -> Result<Arc<Self>, Error> {
        Self::find(options, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    pub(crate) fn find(
        options: &Options,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<Self>, Error> {
        let given = match (&options.credentials_json, &options.credentials) {
            (Some(json), _) => Given::Json(json.clone()),
            (None, Some(path)) => Given::File(path.clone()),
            (None, None) => match sources::winner(environment).file {
                Some(path) => Given::File(path),
                None => Given::Nowhere,
            },
        };
        let json = given.read()?;
        let mut summary = match &json {
            Some(json) => summary_of(json),
            None => Summary { kind: "metadata server", ..Summary::default() },
        };
        if let Given::File(path) = &given {
            summary.file = Some(path.clone());
        }
        let asked = Asked::of(json.as_ref(), environment);
        let impersonate =
            options.impersonate.clone().or_else(|| environment("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT"));
        if let Some(target) = &impersonate {
            summary.kind = IMPERSONATED;
            summary.account = Some(target.clone());
        }
        let quota_project =
            options.quota_project.clone().or_else(|| environment("GOOGLE_CLOUD_QUOTA_PROJECT"));
        summary.quota_project = quota_project.or(summary.quota_project);
        summary.project = environment("GOOGLE_CLOUD_PROJECT").or(summary.project);
        Ok(Arc::new(Self { given, impersonate, summary, asked, held: Mutex::default() }))
    }

    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The project of the environment or of the credentials file.
    pub fn project(&self) -> Option<&str> {
        self.summary.project.as_deref()
    }

    /// What goes into `x-goog-user-project`.
    pub fn quota_project(&self) -> Option<&str> {
        self.summary.quota_project.as_deref()
    }

    /// The current access token, renewed before it ends.
    pub async fn token(&self) -> Result<Secret, Error> {
        let credentials = self.credentials().await?;
        let found = match tokio::time::timeout(LOOKUP_TIMEOUT, credentials.access_token()).await {
            Ok(Ok(token)) => return Ok(Secret::new(token.token)),
            Ok(Err(error)) => self.error_of(error.is_transient(), error.into()),
            Err(late) => self.error_of(true, late.into()),
        };
        // A refusal stays in the credentials for ever; the next call reads the file again.
        *self.held.lock().await = None;
        Err(found)
    }

    /// Who the token says that we are, and until when; that a service has to be asked for it is no failure of the token.
    pub async fn introspect(&self) -> Result<Introspected, Error> {
        let token = self.token().await?;
        Ok(self.asked.introspect(&token, &SystemClock).await.unwrap_or_default())
    }

    async fn credentials(&self) -> Result<AccessTokenCredentials, Error> {
        let mut held = self.held.lock().await;
        if let Some(credentials) = &*held {
            return Ok(credentials.clone());
        }
        crate::http::install_tls();
        let file = self.given.read()?;
        let built = match &self.impersonate {
            None => access_tokens(file),
            Some(target) => access_tokens(file).and_then(|source| {
                impersonated::Builder::from_source_credentials(Credentials::from(source))
                    .with_target_principal(target)
                    .with_scopes([SCOPE])
                    .build_access_token_credentials()
            }),
        };
        let credentials = built.map_err(|error| self.error_of(false, error.into()))?;
        Ok(held.insert(credentials).clone())
    }

    fn who(&self) -> String {
        match (&self.summary.account, &self.given) {
            (Some(account), _) => account.clone(),
            (None, Given::File(path)) => format!("the {} of {}", self.summary.kind, path.display()),
            (None, Given::Json(_) | Given::Nowhere) => format!("the {}", self.summary.kind),
        }
    }

    /// Sorts what the exchange says: a sign-in that ended, a role that is missing, nobody there, or something broken.
    fn error_of(&self, is_transient: bool, source: BoxError) -> Error {
        let who = self.who();
        let text = line(&*source).to_ascii_lowercase();
        if text.contains("invalid_grant") || text.contains("invalid_rapt") {
            return Error::GoogleSignInExpired { who, login: LOGIN.to_owned(), source };
        }
        if self.summary.kind == IMPERSONATED && text.contains("permission_denied") {
            return Error::ImpersonationRefused { who, source };
        }
        if matches!(self.given, Given::Nowhere) {
            return Error::NoGoogleCredentials { source };
        }
        if crate::http::is_untrusted(&*source) {
            return Error::Untrusted { place: format!("the token service of {who}"), source };
        }
        if is_transient {
            return Error::TokenUnreachable { who, source };
        }
        Error::GoogleCredentialsFailed { who, source }
    }
}

fn failed(who: &str, source: BoxError) -> Error {
    Error::GoogleCredentialsFailed { who: who.to_owned(), source }
}

fn parse(text: &str, who: &str) -> Result<Value, Error> {
    let json: Value = serde_json::from_str(text).map_err(|error| failed(who, error.into()))?;
    if json["type"].is_string() {
        Ok(json)
    } else {
        Err(failed(who, "it has no `type`: not a credentials file".into()))
    }
}

fn summary_of(json: &Value) -> Summary {
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let target = text("service_account_impersonation_url").and_then(|url| {
        let account = url.rsplit('/').next()?.split(':').next()?;
        Some(account.to_owned())
    });
    let kind = match json["type"].as_str().unwrap_or_default() {
        "authorized_user" => "user",
        "service_account" => "service account",
        "impersonated_service_account" => IMPERSONATED,
        _ => "workload identity",
    };
    Summary {
        kind,
        account: target.or_else(|| text("client_email")).or_else(|| text("account")),
        file: None,
        project: text("project_id").or_else(|| text("quota_project_id")),
        quota_project: text("quota_project_id"),
    }
}

/// One builder for each kind of file, all for the one scope.
fn access_tokens(file: Option<Value>) -> Result<AccessTokenCredentials, build_errors::Error> {
    let Some(json) = file else {
        return mds::Builder::default().with_scopes([SCOPE]).build_access_token_credentials();
    };
    match json["type"].as_str().unwrap_or_default() {
        "authorized_user" => user_account::Builder::new(json).build_access_token_credentials(),
        "service_account" => {
            let scopes = service_account::AccessSpecifier::from_scopes([SCOPE]);
            service_account::Builder::new(json).with_access_specifier(scopes).build_access_token_credentials()
        }
        "impersonated_service_account" => {
            impersonated::Builder::new(json).with_scopes([SCOPE]).build_access_token_credentials()
        }
        "external_account_authorized_user" => {
            external_account_authorized_user::Builder::new(json).build_access_token_credentials()
        }
        // Workload identity; anything else is refused by it, by name.
        _ => external_account::Builder::new(json).with_scopes([SCOPE]).build_access_token_credentials(),
    }
}

#[async_trait]
impl CredentialProvider for Identity {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        let generic = |error: Error| object_store::Error::Generic { store: "GCS", source: Box::new(error) };
        let token = self.token().await.map_err(generic)?;
        Ok(Arc::new(GcpCredential { bearer: token.reveal().to_owned() }))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("summary", &self.summary).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

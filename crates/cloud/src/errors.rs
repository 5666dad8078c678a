//! What goes wrong with identities and object stores, and the one table that sorts a store's errors into faults.

use std::{
    io,
    path::{Path, PathBuf},
};

use base::{BoxError, Code, Fault, Problem, Spot, code, problem::line};

use crate::{Reason, http};

/// What to do, where it takes long to say.
const DENIED_BY_GOOGLE: &str = "check which identity is used (GOOGLE_APPLICATION_CREDENTIALS, or gcloud's application default \
    credentials), and that it has the role roles/storage.objectAdmin on the bucket";
const DENIED_BY_S3: &str = "check which identity is used (`aws sts get-caller-identity`), that its keys belong to \
    this endpoint, and that its policy allows s3:ListBucket, s3:GetObject, s3:PutObject and \
    s3:AbortMultipartUpload";
/// For any server that is reached by TLS.
pub const UNTRUSTED: &str = "correct the address; where the server's authority is your own, name its certificate: SSL_CERT_FILE=FILE, in PEM";
const OAUTH_CLIENT: &str = "once: open https://console.cloud.google.com/apis/credentials, take \"Create credentials\", \"OAuth client ID\", the \
    application type \"Desktop app\", download its JSON, then: tidemill auth login gcp --client-id-file FILE (later sign-ins keep it)";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no AWS credentials were found for {who}; tried: {tried}")]
    NoCredentials { who: String, tried: String, source: BoxError },
    #[error("the AWS sign-in of {who} has expired")]
    SignInExpired { who: String, login: String, source: BoxError },
    #[error("the AWS credentials of {who} could not be loaded")]
    CredentialsFailed { who: String, source: BoxError },
    #[error("{place} cannot be reached")]
    Unreachable { place: String, source: BoxError },
    #[error("{place} cannot be trusted")]
    Untrusted { place: String, source: BoxError },
    #[error("{place} refused access")]
    Denied { place: String, source: BoxError },
    #[error("the bucket {bucket} does not exist at {endpoint}")]
    NoBucket { bucket: String, endpoint: String },
    #[error("there is no object {place}")]
    NoObject { place: String },
    #[error("the settings of the object store do not work: {what}")]
    Settings { what: String, help: String },
    #[error("the object store failed at {place}")]
    Store { place: String, source: BoxError },
    #[error("no Google credentials were found: neither a file nor a metadata server")]
    NoGoogleCredentials { source: BoxError },
    #[error("the Google sign-in of {who} has expired")]
    GoogleSignInExpired { who: String, login: String, source: BoxError },
    #[error("the Google credentials of {who} could not be loaded")]
    GoogleCredentialsFailed { who: String, source: BoxError },
    #[error("acting as {who} is refused")]
    ImpersonationRefused { who: String, source: BoxError },
    #[error("no token for {who}: Google's token service does not answer")]
    TokenUnreachable { who: String, source: BoxError },
    #[error("there is no AWS profile {profile}, which {named_by} names")]
    ProfileMissing { profile: String, named_by: String, files: String, there: String },
    #[error("{what}")]
    Unusable { what: String, spot: Option<Spot>, help: String },
    #[error(
        "the role {role} (profile {profile}) wants a code of the MFA device {serial}, and there is nobody to ask"
    )]
    MfaNeeded { role: String, profile: String, serial: String },
    #[error("{what}")]
    NothingToSignIn { what: String, help: String },
    #[error("the sign-in to {who} was refused")]
    SignInRefused { who: String, source: BoxError },
    #[error("signing in does not work: {place} cannot be used")]
    SignInUnusable { place: String, source: BoxError },
    #[error("cannot change {}", path.display())]
    FileUnwritable { path: PathBuf, source: io::Error },
    /// `gclouds`: where gcloud has left one of its own on this machine.
    #[error("a Google sign-in needs an OAuth client, and {what}")]
    NoOauthClient { what: String, gclouds: Option<PathBuf> },
    #[error("the credentials of {who} have expired{}", ago(*ago_ms))]
    CredentialsExpired { who: String, ago_ms: i64 },
    #[error("{key} of a schema registry cannot be used: {reason}")]
    RegistryProperty { key: String, reason: String, keys: &'static str },
}

/// Both programs that can sign in.
fn sign_in_by(login: &str) -> String {
    match login.strip_prefix("tidemill auth login aws") {
        Some(of_whom) => format!("run: {login}; or aws sso login{of_whom}, which does the same"),
        None => format!("run: {login}"),
    }
}

fn oauth_client(gclouds: Option<&Path>) -> String {
    match gclouds {
        Some(path) => format!(
            "{OAUTH_CLIENT}; or let it be the one that gcloud has left in {}: tidemill auth login gcp --gcloud-client",
            path.display()
        ),
        None => format!("{OAUTH_CLIENT}; or sign in with gcloud auth application-default login"),
    }
}

fn ago(ms: i64) -> String {
    match ms / 60_000 {
        0 => String::new(),
        1 => ", a minute ago".to_owned(),
        minutes => format!(", {minutes} minutes ago"),
    }
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoCredentials { .. } => code::TM0901,
            Error::SignInExpired { .. } => code::TM0902,
            Error::CredentialsFailed { .. } => code::TM0903,
            Error::Unreachable { .. } => code::TM0904,
            Error::Untrusted { .. } => code::TM1526,
            Error::Denied { .. } => code::TM0905,
            Error::NoBucket { .. } => code::TM0906,
            Error::NoObject { .. } => code::TM0907,
            Error::Settings { .. } => code::TM0908,
            Error::Store { .. } => code::TM0909,
            Error::NoGoogleCredentials { .. } => code::TM0910,
            Error::GoogleSignInExpired { .. } => code::TM0911,
            Error::GoogleCredentialsFailed { .. } => code::TM0912,
            Error::ImpersonationRefused { .. } => code::TM0913,
            Error::TokenUnreachable { .. } => code::TM0914,
            Error::ProfileMissing { .. } => code::TM1400,
            Error::Unusable { .. } => code::TM1401,
            Error::MfaNeeded { .. } => code::TM1402,
            Error::NothingToSignIn { .. } => code::TM1403,
            Error::SignInRefused { .. } => code::TM1404,
            Error::SignInUnusable { .. } => code::TM1405,
            Error::FileUnwritable { .. } => code::TM1406,
            Error::NoOauthClient { .. } => code::TM1407,
            Error::CredentialsExpired { .. } => code::TM1408,
            Error::RegistryProperty { .. } => code::TM1483,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::Unusable { spot, .. } => spot.clone(),
            _ => None,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoCredentials { .. } => {
                "sign in with `tidemill auth login aws`, set AWS_PROFILE to a profile that has credentials, \
                or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    .to_owned()
            }
            Error::SignInExpired { login, .. } => sign_in_by(login),
            Error::CredentialsFailed { .. } => {
                "mend the profile in ~/.aws/config; `tidemill auth status aws` says which source is asked".to_owned()
            }
            Error::Unreachable { .. } => {
                "check the address (store.url), the network and the proxy settings".to_owned()
            }
            Error::Untrusted { .. } => UNTRUSTED.to_owned(),
            Error::Denied { place, .. } if place.starts_with("gs://") => DENIED_BY_GOOGLE.to_owned(),
            Error::Denied { .. } => DENIED_BY_S3.to_owned(),
            Error::NoBucket { bucket, .. } if bucket.starts_with("gs://") => {
                format!("create it (`gcloud storage buckets create {bucket}`), or correct its name")
            }
            Error::NoBucket { bucket, .. } => {
                format!("create it (`aws s3 mb {bucket}`), or correct s3.bucket.name")
            }
            Error::NoObject { .. } => "list what is there with `tidemill ls`".to_owned(),
            Error::Settings { help, .. } => help.clone(),
            Error::Store { .. } => "try again; if it stays, the reason above is the store's own".to_owned(),
            Error::NoGoogleCredentials { .. } => {
                "sign in with `tidemill auth login gcp`, or set GOOGLE_APPLICATION_CREDENTIALS to a \
                credentials file"
                    .to_owned()
            }
            Error::GoogleSignInExpired { login, .. } => format!("run: {login}"),
            Error::GoogleCredentialsFailed { .. } => {
                "mend the credentials file, then see `tidemill auth status gcp`"
                    .to_owned()
            }
            Error::ImpersonationRefused { .. } => {
                "give the caller the role roles/iam.serviceAccountTokenCreator on that service account, and enable \
                the IAM Service Account Credentials API"
                    .to_owned()
            }
            Error::TokenUnreachable { .. } => {
                "check the network, the proxy settings and the file's token_uri".to_owned()
            }
            Error::ProfileMissing { files, there, .. } => {
                format!("name one that is there ({there}), or add it to {files}")
            }
            Error::Unusable { help, .. } | Error::NothingToSignIn { help, .. } => help.clone(),
            Error::MfaNeeded { profile, .. } => format!(
                "run it at a terminal, or start it with credentials that have the code already: \
                tidemill auth exec --profile {profile} -- COMMAND"
            ),
            Error::SignInRefused { .. } => "sign in again, and confirm it in the browser in time".to_owned(),
            Error::SignInUnusable { .. } => {
                "check sso_region and sso_start_url, the network and the proxy settings".to_owned()
            }
            Error::FileUnwritable { path, .. } => {
                format!("make {} writable for you, with room on its disk", path.display())
            }
            Error::NoOauthClient { gclouds, .. } => oauth_client(gclouds.as_deref()),
            Error::RegistryProperty { keys, .. } => format!("there are: {keys}"),
            Error::CredentialsExpired { .. } => {
                "renew them where they come from (tidemill auth status says where that is), or unset what gives them"
                    .to_owned()
            }
        }
    }
}

impl Error {
    /// Sorts an error of a store: `place` is the object's and `bucket` the bucket's address for the message.
    pub fn of_store(error: object_store::Error, place: &str, bucket: &str, endpoint: &str) -> Self {
        let error = match ours_in(error) {
            Ok(ours) => return ours.at(place, bucket),
            Err(error) => error,
        };
        let text = line(&error);
        let place = place.to_owned();
        let whole = || at(bucket, endpoint);
        let absent = |text: &str| text.contains("NoSuchBucket");
        match error {
            error if http::is_untrusted(&error) => {
                Error::Untrusted { place: whole(), source: Reason::of(error) }
            }
            _ if absent(&text) => {
                Error::NoBucket { bucket: bucket.to_owned(), endpoint: endpoint.to_owned() }
            }
            object_store::Error::NotFound { .. } => Error::NoObject { place },
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Error::Denied { place, source: Reason::of(error) }
            }
            error if http::is_nowhere(&error) || unreachable(&text) => {
                Error::Unreachable { place: whole(), source: Reason::of(error) }
            }
            error => Error::Store { place, source: Reason::of(error) },
        }
    }

    /// What was said of a bucket, where it is known which object it was about.
    fn at(self, object: &str, bucket: &str) -> Self {
        let at = |place: String| if place == bucket { object.to_owned() } else { place };
        match self {
            Error::Denied { place, source } => Error::Denied { place: at(place), source },
            Error::Store { place, source } => Error::Store { place: at(place), source },
            other => other,
        }
    }

    /// There is no answer from `place`, whatever keeps it away.
    pub fn unreachable(place: &str, source: impl Into<BoxError>) -> Self {
        let (place, source) = (place.to_owned(), Reason::of(source));
        if http::is_untrusted(&*source) {
            return Error::Untrusted { place, source };
        }
        Error::Unreachable { place, source }
    }

    /// Whether trying again may help without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. }
            | Error::Store { .. }
            | Error::TokenUnreachable { .. }
            | Error::SignInUnusable { .. } => true,
            Error::NoCredentials { .. }
            | Error::Untrusted { .. }
            | Error::SignInExpired { .. }
            | Error::CredentialsFailed { .. }
            | Error::Denied { .. }
            | Error::NoBucket { .. }
            | Error::NoObject { .. }
            | Error::Settings { .. }
            | Error::NoGoogleCredentials { .. }
            | Error::GoogleSignInExpired { .. }
            | Error::GoogleCredentialsFailed { .. }
            | Error::ImpersonationRefused { .. }
            | Error::ProfileMissing { .. }
            | Error::Unusable { .. }
            | Error::MfaNeeded { .. }
            | Error::NothingToSignIn { .. }
            | Error::SignInRefused { .. }
            | Error::FileUnwritable { .. }
            | Error::NoOauthClient { .. }
            | Error::RegistryProperty { .. }
            | Error::CredentialsExpired { .. } => false,
        }
    }

    /// This one call is not to be had, though others may be: a policy does not allow it, or the store lacks it.
    pub fn is_policy(&self) -> bool {
        match self {
            Error::Denied { source, .. } => {
                let reason = source.to_string();
                reason.starts_with("AccessDenied") || reason.starts_with("forbidden")
            }
            Error::Store { source, .. } => source.to_string().starts_with("NotImplemented"),
            _ => false,
        }
    }

    /// What the engine should do about it: the only place that decides it.
    pub fn into_fault(self) -> Fault {
        match self {
            Error::NoCredentials { .. }
            | Error::SignInExpired { .. }
            | Error::CredentialsFailed { .. }
            | Error::NoGoogleCredentials { .. }
            | Error::GoogleSignInExpired { .. }
            | Error::GoogleCredentialsFailed { .. }
            | Error::ImpersonationRefused { .. }
            | Error::ProfileMissing { .. }
            | Error::Unusable { .. }
            | Error::MfaNeeded { .. }
            | Error::NothingToSignIn { .. }
            | Error::SignInRefused { .. }
            | Error::NoOauthClient { .. }
            | Error::CredentialsExpired { .. }
            | Error::Denied { .. } => Fault::Denied(self.into()),
            Error::Unreachable { .. }
            | Error::Store { .. }
            | Error::TokenUnreachable { .. }
            | Error::SignInUnusable { .. } => Fault::Transient(self.into()),
            Error::FileUnwritable { .. }
            | Error::Untrusted { .. }
            | Error::NoBucket { .. }
            | Error::NoObject { .. }
            | Error::RegistryProperty { .. }
            | Error::Settings { .. } => Fault::Fatal(self.into()),
        }
    }
}

/// A bucket, and where it is.
pub(crate) fn at(bucket: &str, endpoint: &str) -> String {
    if bucket.is_empty() || bucket == endpoint {
        endpoint.to_owned()
    } else {
        format!("{bucket} at {endpoint}")
    }
}

/// An error that was ours already, when the store only passed it on.
fn ours_in(error: object_store::Error) -> Result<Error, object_store::Error> {
    match error {
        object_store::Error::Generic { store, source } => match source.downcast::<Error>() {
            Ok(ours) => Ok(*ours),
            Err(source) => Err(object_store::Error::Generic { store, source }),
        },
        other => Err(other),
    }
}

fn unreachable(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["error sending request", "connect", "dns", "timed out", "connection"]
        .iter()
        .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;

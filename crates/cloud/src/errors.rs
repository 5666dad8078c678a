//! What goes wrong with identities and object stores, and the one table that sorts a store's errors into faults.

use std::error::Error as StdError;

use base::{BoxError, Code, Fault, Problem, code};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no AWS credentials were found for {who}; tried: {tried}")]
    NoCredentials { who: String, tried: String, source: BoxError },
    #[error("the AWS sign-in of {who} has expired")]
    SignInExpired { who: String, login: String, source: BoxError },
    #[error("the AWS credentials of {who} could not be loaded")]
    CredentialsFailed { who: String, source: BoxError },
    #[error("the object store {place} cannot be reached")]
    Unreachable { place: String, source: BoxError },
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
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoCredentials { .. } => code::TM0901,
            Error::SignInExpired { .. } => code::TM0902,
            Error::CredentialsFailed { .. } => code::TM0903,
            Error::Unreachable { .. } => code::TM0904,
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
        }
    }

    fn help(&self) -> String {
        match self {
            Error::NoCredentials { .. } => {
                "sign in with `aws sso login`, set AWS_PROFILE to a profile that has credentials, \
                or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    .to_owned()
            }
            Error::SignInExpired { login, .. } => format!("run: {login}"),
            Error::CredentialsFailed { .. } => {
                "mend the profile in ~/.aws/config, then try `aws sts get-caller-identity`".to_owned()
            }
            Error::Unreachable { .. } => {
                "check the address (store.url), the network and the proxy settings".to_owned()
            }
            Error::Denied { place, .. } if place.starts_with("gs://") => {
                "check which identity is used (GOOGLE_APPLICATION_CREDENTIALS, or gcloud's application default \
                credentials), and that it has the role roles/storage.objectAdmin on the bucket"
                    .to_owned()
            }
            Error::Denied { .. } => {
                "check which identity is used (`aws sts get-caller-identity`), that its keys belong to \
                this endpoint, and that its policy allows s3:ListBucket, s3:GetObject, s3:PutObject and \
                s3:AbortMultipartUpload"
                    .to_owned()
            }
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
                "sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a \
                credentials file"
                    .to_owned()
            }
            Error::GoogleSignInExpired { login, .. } => format!("run: {login}"),
            Error::GoogleCredentialsFailed { .. } => {
                "mend the credentials file, then try `gcloud auth application-default print-access-token`"
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
        }
    }
}

impl Error {
    /// Sorts an error of a store: `place` is the object's and `bucket` the bucket's address for the message.
    pub fn of_store(error: object_store::Error, place: &str, bucket: &str, endpoint: &str) -> Self {
        let error = match identity_of(error) {
            Ok(identity) => return identity,
            Err(error) => error,
        };
        let text = chain(&error);
        let place = place.to_owned();
        let absent = |text: &str| text.contains("NoSuchBucket");
        match error {
            _ if absent(&text) => {
                Error::NoBucket { bucket: bucket.to_owned(), endpoint: endpoint.to_owned() }
            }
            object_store::Error::NotFound { .. } => Error::NoObject { place },
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Error::Denied { place, source: error.into() }
            }
            error if unreachable(&text) => {
                Error::Unreachable { place: endpoint.to_owned(), source: error.into() }
            }
            error => Error::Store { place, source: error.into() },
        }
    }

    /// Whether trying again may help without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Store { .. } | Error::TokenUnreachable { .. } => true,
            Error::NoCredentials { .. }
            | Error::SignInExpired { .. }
            | Error::CredentialsFailed { .. }
            | Error::Denied { .. }
            | Error::NoBucket { .. }
            | Error::NoObject { .. }
            | Error::Settings { .. }
            | Error::NoGoogleCredentials { .. }
            | Error::GoogleSignInExpired { .. }
            | Error::GoogleCredentialsFailed { .. }
            | Error::ImpersonationRefused { .. } => false,
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
            | Error::Denied { .. } => Fault::Denied(self.into()),
            Error::Unreachable { .. } | Error::Store { .. } | Error::TokenUnreachable { .. } => {
                Fault::Transient(self.into())
            }
            Error::NoBucket { .. } | Error::NoObject { .. } | Error::Settings { .. } => {
                Fault::Fatal(self.into())
            }
        }
    }
}

/// The identity's own error, when the store only passed it on.
fn identity_of(error: object_store::Error) -> Result<Error, object_store::Error> {
    match error {
        object_store::Error::Generic { store, source } => match source.downcast::<Error>() {
            Ok(ours) => Ok(*ours),
            Err(source) => Err(object_store::Error::Generic { store, source }),
        },
        other => Err(other),
    }
}

/// An error and its causes as one line, for looking into.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}

fn unreachable(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["error sending request", "connect", "dns", "timed out", "connection"]
        .iter()
        .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;

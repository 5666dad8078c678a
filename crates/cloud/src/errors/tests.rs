//! Every error as its reader sees it, and how a store's errors are sorted.

use base::{Spot, problem::plain};

use super::*;

fn all() -> Vec<Error> {
    let who = || "profile work".to_owned();
    vec![
        Error::NoCredentials {
            who: who(),
            tried: "environment variables".to_owned(),
            source: "nothing set".into(),
        },
        Error::SignInExpired {
            who: who(),
            login: "tidemill auth login aws --profile work".to_owned(),
            source: "the SSO token has expired".into(),
        },
        Error::CredentialsFailed { who: who(), source: "role loops".into() },
        Error::Unreachable { place: "http://127.0.0.1:9000".to_owned(), source: "connection refused".into() },
        Error::Untrusted {
            place: "https://minio.example.com".to_owned(),
            source: "invalid peer certificate: UnknownIssuer".into(),
        },
        Error::ProfileMissing {
            profile: "wrok".to_owned(),
            named_by: "AWS_PROFILE".to_owned(),
            files: "~/.aws/config and ~/.aws/credentials".to_owned(),
            there: "default, work".to_owned(),
        },
        Error::Unusable {
            what: "profile work has both source_profile and credential_source".to_owned(),
            spot: Some(Spot::Line { path: "~/.aws/config".into(), line: 4, column: 1 }),
            help: "mend the profile there".to_owned(),
        },
        Error::MfaNeeded {
            role: "arn:aws:iam::123456789012:role/Lake".to_owned(),
            profile: "lake".to_owned(),
            serial: "arn:aws:iam::123456789012:mfa/ada".to_owned(),
        },
        Error::NothingToSignIn {
            what: "profile work does not sign in by SSO".to_owned(),
            help: "name a profile with sso_session".to_owned(),
        },
        Error::SignInRefused { who: "the sso-session corp".to_owned(), source: "access_denied".into() },
        Error::SignInUnusable {
            place: "https://oidc.eu-west-1.amazonaws.com".to_owned(),
            source: "connection refused".into(),
        },
        Error::FileUnwritable {
            path: ".aws/sso/cache/0.json".into(),
            source: std::io::Error::from(std::io::ErrorKind::PermissionDenied),
        },
        Error::NoOauthClient { what: "none is named".to_owned(), gclouds: None },
        Error::NoOauthClient {
            what: "none is named".to_owned(),
            gclouds: Some(".config/gcloud/legacy_credentials/ada@example.org/adc.json".into()),
        },
        Error::CredentialsExpired { who: "profile work".to_owned(), ago_ms: 300_000 },
        Error::RegistryProperty {
            key: "basic.auth.user.info".to_owned(),
            reason: "it is written as USER:PASSWORD".to_owned(),
            keys: "basic.auth.user.info, ssl.ca.location",
        },
    ]
    .into_iter()
    .chain(of_stores())
    .collect()
}

fn of_stores() -> Vec<Error> {
    vec![
        Error::Denied { place: "s3://lake".to_owned(), source: "AccessDenied: no".into() },
        Error::Denied { place: "gs://lake".to_owned(), source: "forbidden: no".into() },
        Error::NoBucket { bucket: "s3://lake".to_owned(), endpoint: "http://127.0.0.1:9000".to_owned() },
        Error::NoBucket {
            bucket: "gs://lake".to_owned(),
            endpoint: "https://storage.googleapis.com".to_owned(),
        },
        Error::NoObject { place: "s3://lake/a".to_owned() },
        Error::Settings { what: "`x` is no address".to_owned(), help: "correct store.url".to_owned() },
        Error::Store { place: "s3://lake".to_owned(), source: "InternalError: disk".into() },
        Error::NoGoogleCredentials { source: "no answer from the metadata server".into() },
        Error::GoogleSignInExpired {
            who: "ada@example.org".to_owned(),
            login: "tidemill auth login gcp".to_owned(),
            source: "invalid_grant".into(),
        },
        Error::GoogleCredentialsFailed { who: "key.json".to_owned(), source: "not JSON".into() },
        Error::ImpersonationRefused {
            who: "loader@lake.iam.gserviceaccount.com".to_owned(),
            source: "PERMISSION_DENIED".into(),
        },
        Error::TokenUnreachable { who: "ada@example.org".to_owned(), source: "connection refused".into() },
    ]
}

#[test]
fn errors_say_what_why_and_what_to_do() {
    let texts: Vec<String> = all().iter().map(|error| plain(error)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn only_what_may_pass_is_tried_again() {
    for error in all() {
        let passes = error.is_passing();
        assert_eq!(matches!(error.into_fault(), Fault::Transient(_)), passes);
    }
}

#[test]
fn an_identitys_error_comes_through_the_store_unchanged() {
    let error = Error::SignInExpired {
        who: "x".to_owned(),
        login: "tidemill auth login aws".to_owned(),
        source: "old".into(),
    };
    let passed = object_store::Error::Generic { store: "S3", source: Box::new(error) };
    assert!(matches!(Error::of_store(passed, "s3://lake", "lake", "aws"), Error::SignInExpired { .. }));
}

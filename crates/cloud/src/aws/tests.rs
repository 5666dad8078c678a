//! Caching, renewal and the sorting of what the chain says. The chain itself is AWS's own code.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::SystemTime,
};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use base::ManualClock;

use super::*;

/// Answers in turn: an end in seconds since 1970, or an error.
#[derive(Debug)]
struct Script {
    answers: Vec<Result<u64, &'static str>>,
    asked: Arc<AtomicUsize>,
}

impl ProvideCredentials for Script {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let place = self.asked.fetch_add(1, Ordering::SeqCst);
        future::ProvideCredentials::ready(match &self.answers[place.min(self.answers.len() - 1)] {
            Ok(ends_s) => {
                let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(*ends_s);
                Ok(Credentials::new(
                    format!("key{place}"),
                    "secret",
                    Some("token".to_owned()),
                    Some(ends),
                    "script",
                ))
            }
            Err("nothing") => Err(CredentialsError::not_loaded("nothing is set")),
            Err(text) => Err(CredentialsError::provider_error(*text)),
        })
    }
}

fn identity(answers: Vec<Result<u64, &'static str>>, clock: &ManualClock) -> (Identity, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let chain = SharedCredentialsProvider::new(Script { answers, asked: asked.clone() });
    (Identity::of(chain, Some("work".to_owned()), Arc::new(clock.clone())), asked)
}

#[tokio::test]
async fn credentials_are_kept_until_five_minutes_before_their_end() {
    let clock = ManualClock::at(0);
    let (identity, asked) = identity(vec![Ok(3_600), Ok(7_200)], &clock);
    assert_eq!(identity.credential().await.unwrap().key_id, "key0");
    clock.advance_ms(54 * 60_000);
    assert_eq!(identity.credential().await.unwrap().key_id, "key0");
    clock.advance_ms(2 * 60_000);
    assert_eq!(identity.credential().await.unwrap().key_id, "key1");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(identity.summary().await.unwrap().ends_ms, Some(7_200_000));
}

#[tokio::test]
async fn credentials_that_last_for_a_short_time_are_renewed_in_their_last_quarter() {
    let clock = ManualClock::at(0);
    let (identity, asked) = identity(vec![Ok(8), Ok(16), Ok(16)], &clock);
    for (ms, key) in [(0, "key0"), (5_900, "key0"), (200, "key1"), (1_000, "key1")] {
        clock.advance_ms(ms);
        assert_eq!(identity.credential().await.unwrap().key_id, key, "{ms}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn credentials_that_have_ended_are_an_error() {
    let clock = ManualClock::at(3_600_000);
    let (identity, _) = identity(vec![Ok(60)], &clock);
    let error = identity.credential().await.unwrap_err();
    assert!(matches!(error, Error::CredentialsExpired { ago_ms: 3_540_000, .. }), "{error:?}");
}

#[tokio::test]
async fn a_failed_renewal_is_no_failure_while_the_old_ones_hold() {
    let clock = ManualClock::at(0);
    let (identity, _) = identity(vec![Ok(3_600), Err("down")], &clock);
    identity.credential().await.unwrap();
    clock.advance_ms(57 * 60_000);
    assert_eq!(identity.credential().await.unwrap().key_id, "key0");
    clock.advance_ms(4 * 60_000);
    assert!(matches!(identity.credential().await, Err(Error::CredentialsFailed { .. })));
}

#[tokio::test]
async fn an_expired_sign_in_tells_the_command_that_renews_it() {
    let clock = ManualClock::at(0);
    let (expired, _) = identity(vec![Err("the SSO token has expired and cannot be refreshed")], &clock);
    let error = expired.credential().await.unwrap_err();
    assert_eq!(
        base::Problem::help(&error),
        "run: tidemill auth login aws --profile work; or aws sso login --profile work, which does the same"
    );
    let (nothing, _) = identity(vec![Err("nothing")], &clock);
    assert!(matches!(nothing.credential().await, Err(Error::NoCredentials { .. })));
}

#[tokio::test]
async fn a_store_passes_the_identitys_error_on() {
    use object_store::ObjectStoreExt;
    let (identity, _) = identity(vec![Err("the SSO token has expired")], &ManualClock::at(0));
    let config = crate::store::S3Config {
        bucket: "lake".to_owned(),
        region: None,
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        path_style: true,
        credentials: crate::store::Credentials::Identity(Arc::new(identity)),
    };
    let bucket = crate::store::s3(&config).unwrap();
    let error = bucket.store.head(&object_store::path::Path::from("a")).await.unwrap_err();
    assert!(matches!(bucket.error(error, "a"), Error::SignInExpired { .. }));
}

#[test]
fn endpoints_are_where_the_environment_says() {
    let of = |variables: &[(&str, &str)]| endpoint_in(&Environment::of(variables), "s3");
    let (all, own) = (("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_S3", "http://own"));
    assert_eq!(of(&[all]).as_deref(), Some("http://all"));
    assert_eq!(of(&[all, own]).as_deref(), Some("http://own"));
    assert_eq!(of(&[all, own, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")]), None);
    assert_eq!(of(&[]), None);
}

//! AWS identity from the AWS CLI's chain of sources: environment, roles, web identity, SSO, files, login sessions, processes,
//! containers, EC2.
//!
//! Map: `files.rs` reads the shared files; `chain.rs` says which source wins and what it hides; `provide.rs` asks that one, and
//! `login_session.rs` for `aws login`; `sso.rs` signs in and out. Here credentials are kept and renewed before they end: one
//! renewal at a time, and while the old ones still hold, a failed renewal is no failure.

pub mod chain;

pub(crate) mod files;
mod login_session;
mod provide;
pub mod sso;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::error::CredentialsError};
use aws_smithy_http_client::{Builder, tls};
use base::{BoxError, Clock, SystemClock, problem::line};
use object_store::{CredentialProvider, aws::AwsCredential};
use tokio::sync::Mutex;
use zeroize::Zeroize;

use chain::Source;
pub use chain::{Plan, Session};

pub use files::Place;
pub use provide::AskCode;
use provide::{Asked, Failed};

use crate::{Environment, Error};

/// How long before their end credentials are renewed; those that last for a short time, in their last quarter.
const RENEW_BEFORE_MS: i64 = 5 * 60_000;
/// How long a renewal that failed is not tried again, while the old credentials hold.
const RETRY_MS: i64 = 10_000;
/// How often the shared files are looked at: whoever writes new keys into them is heard.
const LOOK_MS: i64 = 1_000;
/// The longest a lookup may take: a `credential_process` may ask a person's browser.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(60);
const TRIED: &str = "environment variables, the shared config and credentials files (keys, SSO, login, process, role), web \
    identity, the container and the instance metadata";

/// How long before credentials end for good that is told; `tell_before` sets it.
static TELL_BEFORE_MS: AtomicI64 = AtomicI64::new(15 * 60_000);
/// It is told once: every task of every connector has an identity of its own.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// From now on credentials that end for good within this time are told of, once.
pub fn tell_before(ms: i64) {
    TELL_BEFORE_MS.store(ms, Ordering::Relaxed);
}

/// Who we are to AWS, found when first asked for.
pub struct Identity {
    profile: Option<String>,
    region: Option<String>,
    source: Origin,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Held>>,
}

/// Whom to ask.
enum Origin {
    Chain(Box<Chain>),
    #[cfg(test)]
    Given(aws_credential_types::provider::SharedCredentialsProvider),
}

/// The chain is gone through anew for every lookup, so that what somebody changed in the files counts.
struct Chain {
    environment: Environment,
    flag: Option<String>,
    ask_code: Option<AskCode>,
    sdk: SdkConfig,
}

#[derive(Clone)]
struct Held {
    credential: Arc<AwsCredential>,
    /// Milliseconds since 1970; `None` lasts for ever.
    ends_ms: Option<i64>,
    renew_ms: Option<i64>,
    over_ms: Option<i64>,
    looked_ms: i64,
    stamp: files::Stamp,
}

impl Drop for Held {
    /// The store's type keeps them as plain texts; whoever lets go of them last overwrites them.
    fn drop(&mut self) {
        if let Some(credential) = Arc::get_mut(&mut self.credential) {
            credential.secret_key.zeroize();
            credential.token.zeroize();
        }
    }
}

/// What can be told about an identity without telling its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub access_key: String,
    pub profile: Option<String>,
    pub region: Option<String>,
    /// When these very credentials end.
    pub ends_ms: Option<i64>,
    /// When nothing renews them any more, unless somebody signs in or sets new ones.
    pub over_ms: Option<i64>,
}

/// Who AWS says that we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub account: String,
    pub arn: String,
}

/// What wins over the environment, and who can be asked.
#[derive(Clone, Default)]
pub struct Options {
    pub profile: Option<String>,
    /// For roles that want an MFA code; `None`: there is nobody at a terminal.
    pub ask_code: Option<AskCode>,
}

/// Where the environment says that a service is, as every SDK of AWS's reads it: `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`.
pub fn endpoint_of(service: &str) -> Option<String> {
    endpoint_in(&Environment::of_process(), service)
}

fn endpoint_in(environment: &Environment, service: &str) -> Option<String> {
    if environment
        .get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    {
        return None;
    }
    let own = environment.get(&format!("AWS_ENDPOINT_URL_{}", service.to_ascii_uppercase()));
    own.or_else(|| environment.get("AWS_ENDPOINT_URL")).map(str::to_owned)
}

impl Identity {
    /// Reads the environment and `~/.aws`; `profile` wins over all variables. Asks nobody for credentials yet.
    pub async fn load(profile: Option<&str>) -> Arc<Self> {
        Self::with(Options { profile: profile.map(str::to_owned), ask_code: None }).await
    }

    pub async fn with(options: Options) -> Arc<Self> {
        let environment = Environment::of_process();
        let profile = chain::profile_of(&environment, options.profile.as_deref());
        let named = profile.from.is_some().then_some(profile.name);
        let sdk = sdk(named.as_deref()).await;
        let region = sdk.region().map(|region| region.as_ref().to_owned());
        let Options { profile: flag, ask_code } = options;
        let source = Origin::Chain(Box::new(Chain { environment, flag, ask_code, sdk }));
        Arc::new(Self {
            profile: named,
            region,
            source,
            clock: Arc::new(SystemClock),
            held: Mutex::new(None),
        })
    }

    #[cfg(test)]
    pub(crate) fn of(
        given: aws_credential_types::provider::SharedCredentialsProvider,
        profile: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { profile, region: None, source: Origin::Given(given), clock, held: Mutex::new(None) }
    }

    /// The region of the environment or profile.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The current credentials, renewed before they end.
    pub async fn credential(&self) -> Result<Arc<AwsCredential>, Error> {
        Ok(self.current().await?.credential.clone())
    }

    pub async fn summary(&self) -> Result<Summary, Error> {
        let held = self.current().await?;
        Ok(Summary {
            access_key: held.credential.key_id.clone(),
            profile: self.profile.clone(),
            region: self.region.clone(),
            ends_ms: held.ends_ms,
            over_ms: held.over_ms,
        })
    }

    /// Asks AWS itself: everybody may, so the answer proves the keys.
    pub async fn caller(&self) -> Result<Caller, Error> {
        let held = self.current().await?;
        let sdk = match &self.source {
            Origin::Chain(chain) => &chain.sdk,
            #[cfg(test)]
            Origin::Given(_) => unreachable!("no test asks STS by a given provider"),
        };
        let token = held.credential.token.clone();
        let credentials =
            Credentials::new(&held.credential.key_id, &held.credential.secret_key, token, None, "held");
        let asked = provide::sts(sdk, credentials).get_caller_identity().send();
        let answer = match tokio::time::timeout(LOOKUP_TIMEOUT, asked).await {
            Ok(answer) => answer.map_err(|error| self.caller_error(aws_sdk_sts::Error::from(error)))?,
            Err(late) => return Err(Error::Unreachable { place: "AWS STS".to_owned(), source: late.into() }),
        };
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Caller { account: text(answer.account()), arn: text(answer.arn()) })
    }

    async fn current(&self) -> Result<Held, Error> {
        let mut held = self.held.lock().await;
        let now_ms = self.clock.now_ms();
        if let Some(current) = &mut *held
            && current.ends_ms.is_none_or(|ends_ms| ends_ms > now_ms)
            && current.renew_ms.is_none_or(|renew_ms| renew_ms > now_ms)
            && !self.has_changed(current, now_ms)
        {
            return Ok(current.clone());
        }
        match self.look_up(now_ms).await {
            Ok(renewed) => Ok(held.insert(renewed).clone()),
            Err(error) => match &mut *held {
                Some(current) if current.ends_ms.is_some_and(|ends_ms| ends_ms > now_ms) => {
                    let why = line(&error);
                    tracing::warn!(
                        why,
                        "AWS credentials could not be renewed yet; the current ones still hold"
                    );
                    current.renew_ms = Some(now_ms + RETRY_MS);
                    Ok(current.clone())
                }
                Some(_) | None => Err(error),
            },
        }
    }

    /// Whether somebody has written the shared files since.
    fn has_changed(&self, held: &mut Held, now_ms: i64) -> bool {
        if now_ms - held.looked_ms < LOOK_MS {
            return false;
        }
        held.looked_ms = now_ms;
        held.stamp != self.stamp()
    }

    fn stamp(&self) -> files::Stamp {
        match &self.source {
            Origin::Chain(chain) => files::Stamp::of(&chain.environment),
            #[cfg(test)]
            Origin::Given(_) => files::Stamp::default(),
        }
    }

    async fn look_up(&self, now_ms: i64) -> Result<Held, Error> {
        // Before the files are read: what is written meanwhile counts as a change.
        let stamp = self.stamp();
        let (found, over) = match tokio::time::timeout(LOOKUP_TIMEOUT, self.ask()).await {
            Ok(found) => found?,
            Err(_) => {
                let late = CredentialsError::provider_timed_out(LOOKUP_TIMEOUT);
                return Err(self.error_of(Failed::Source(late, None)));
            }
        };
        let ends_ms = found.expiry().map(|ends| {
            let since = ends.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        if let Some(ended_ms) = ends_ms.filter(|ends_ms| *ends_ms <= now_ms) {
            return Err(Error::CredentialsExpired { who: self.who(), ago_ms: now_ms - ended_ms });
        }
        let renew_ms = ends_ms.map(|ends_ms| ends_ms - ((ends_ms - now_ms) / 4).min(RENEW_BEFORE_MS));
        let over_ms = match over {
            Over::Never => None,
            Over::WithThem => ends_ms,
            Over::At(over_ms) => Some(over_ms),
        };
        self.tell(over_ms, now_ms);
        let credential = AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        };
        Ok(Held { credential: Arc::new(credential), ends_ms, renew_ms, over_ms, looked_ms: now_ms, stamp })
    }

    /// That they end soon, and nobody renews them by himself.
    fn tell(&self, over_ms: Option<i64>, now_ms: i64) {
        let left_ms = over_ms.map(|over_ms| over_ms - now_ms);
        let Some(left_ms) = left_ms.filter(|left_ms| *left_ms < TELL_BEFORE_MS.load(Ordering::Relaxed))
        else {
            return;
        };
        if !IS_TOLD.swap(true, Ordering::Relaxed) {
            let (who, minutes) = (self.who(), left_ms / 60_000);
            tracing::warn!(
                "the AWS credentials of {who} end in {minutes} minutes: renew them, `tidemill auth status` says where"
            );
        }
    }

    async fn ask(&self) -> Result<(Credentials, Over), Error> {
        let asked = match &self.source {
            Origin::Chain(chain) => chain.ask(&*self.clock).await,
            #[cfg(test)]
            Origin::Given(given) => {
                aws_credential_types::provider::ProvideCredentials::provide_credentials(given)
                    .await
                    .map(|given| (given, Over::WithThem))
                    .map_err(|error| Failed::Source(error, None))
            }
        };
        asked.map_err(|failed| self.error_of(failed))
    }

    fn who(&self) -> String {
        self.profile.as_ref().map_or("the default profile".to_owned(), |profile| format!("profile {profile}"))
    }

    /// Sorts what the chain says: nothing found, a sign-in that ended, or a source that is there and broken.
    fn error_of(&self, failed: Failed) -> Error {
        let (error, session) = match failed {
            Failed::Ours(error) => return error,
            Failed::Source(error, session) => (error, session),
        };
        let text = line(&error).to_ascii_lowercase();
        let who = self.who();
        let is_nothing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
        let source: BoxError = error.into();
        let is_sso = session.is_some() || text.contains("sso");
        let ended = ["expired", "no such file", "not found", "unauthorized", "cached"];
        if is_sso && ended.iter().any(|word| text.contains(word)) {
            return Error::SignInExpired { who, login: self.login(session.as_ref()), source };
        }
        if is_nothing {
            return Error::NoCredentials { who, tried: TRIED.to_owned(), source };
        }
        Error::CredentialsFailed { who, source }
    }

    /// The command that signs in anew.
    fn login(&self, session: Option<&Session>) -> String {
        match (&self.profile, session.and_then(|session| session.name.as_ref())) {
            (Some(profile), _) => format!("tidemill auth login aws --profile {profile}"),
            (None, Some(session)) => format!("tidemill auth login aws --sso-session {session}"),
            (None, None) => "tidemill auth login aws".to_owned(),
        }
    }

    fn caller_error(&self, error: aws_sdk_sts::Error) -> Error {
        let text = line(&error);
        let ended = ["ExpiredToken", "token included in the request is expired"];
        if ended.iter().any(|word| text.contains(word)) {
            return Error::CredentialsExpired { who: self.who(), ago_ms: 0 };
        }
        if text.contains("dispatch failure") {
            return Error::Unreachable { place: "AWS STS".to_owned(), source: text.into() };
        }
        Error::Denied { place: "AWS STS".to_owned(), source: text.into() }
    }
}

impl Chain {
    async fn ask(&self, clock: &dyn Clock) -> Result<(Credentials, Over), Failed> {
        let plan = Plan::of(&self.environment, self.flag.as_deref());
        let Some(source) = plan.into_source()? else {
            return Err(Failed::Source(CredentialsError::not_loaded("no source is set up"), None));
        };
        let asked =
            Asked { sdk: &self.sdk, environment: &self.environment, ask_code: self.ask_code.as_ref(), clock };
        match (asked.credentials(&source).await, &source) {
            // Nobody said that there is such a service: then there is nothing, and nothing is broken.
            (Err(Failed::Source(error, session)), Source::InstanceMetadata) => {
                Err(Failed::Source(CredentialsError::not_loaded(error), session))
            }
            (answer, _) => answer.map(|given| (given, over(&source, &self.environment))),
        }
    }
}

/// When a source gives nothing new any more.
enum Over {
    Never,
    /// When what it gave ends.
    WithThem,
    At(i64),
}

fn over(source: &Source, environment: &Environment) -> Over {
    match source {
        // Who signs in with a session is renewed as long as it is let; without one a sign-in just ends.
        Source::Sso { session, .. } => match sso::kept(environment, session) {
            Some((ends_ms, false)) => Over::At(ends_ms),
            Some((_, true)) | None => Over::Never,
        },
        Source::Role(role) if role.mfa_serial.is_some() => Over::WithThem,
        Source::Role(role) => match over(&role.from, environment) {
            // Keys that do not end, or end with the role.
            Over::WithThem if matches!(&role.from, Source::Keys { ends: None, .. }) => Over::Never,
            over => over,
        },
        Source::Keys { .. } => Over::WithThem,
        Source::WebIdentity { .. }
        | Source::LoginSession { .. }
        | Source::Process { .. }
        | Source::Container
        | Source::InstanceMetadata => Over::Never,
    }
}

/// AWS's own settings besides credentials: region, endpoints, retries.
async fn sdk(profile: Option<&str>) -> SdkConfig {
    crate::http::install_tls();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).no_credentials().http_client(
        Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https(),
    );
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

/// Where to sign in, and how.
#[derive(Debug, Clone, Default)]
pub struct SignIn {
    pub sso_session: Option<String>,
    pub profile: Option<String>,
}

impl SignIn {
    /// The place that these name; nothing is asked of it yet.
    pub fn session(&self) -> Result<Session, Error> {
        let environment = Environment::of_process();
        chain::session_to_sign_in(&environment, self.sso_session.as_deref(), self.profile.as_deref())
    }

    /// Signs in; `invite` tells the person where to go.
    pub async fn run(
        &self,
        flow: sso::Flow,
        invite: &(dyn Fn(&sso::Invitation) + Send + Sync),
    ) -> Result<sso::SignedIn, Error> {
        let (environment, session) = (Environment::of_process(), self.session()?);
        let sdk = sign_in_sdk(&session.region).await;
        sso::SignIn { sdk: &sdk, environment: &environment, clock: &SystemClock, session: &session }
            .run(flow, invite)
            .await
    }
}

/// Accounts with the roles that a signed-in person has in them.
pub async fn choices(signed_in: &sso::SignedIn) -> Result<Vec<(String, String, String)>, Error> {
    sso::choices(&sign_in_sdk(&signed_in.session.region).await, signed_in).await
}

/// Ends every sign-in; the files that are gone.
pub async fn sign_out() -> Result<Vec<PathBuf>, Error> {
    sso::log_out(&sign_in_sdk(provide::REGION_DEFAULT).await, &Environment::of_process()).await
}

/// Until when the sign-in for this session lasts, and whether it renews itself.
pub fn signed_in(environment: &Environment, session: &Session) -> Option<(i64, bool)> {
    sso::kept(environment, session)
}

/// A region is given, so that nobody looks for one where instance metadata would be.
async fn sign_in_sdk(region: &str) -> SdkConfig {
    sdk(None).await.into_builder().region(Region::new(region.to_owned())).build()
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

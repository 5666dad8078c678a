//! Asks the source that the chain has chosen. SSO, web identity, processes, containers and instance metadata are asked by
//! AWS's own code; roles too, but by the STS call itself, since a role may want an MFA code.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_config::{
    SdkConfig,
    credential_process::CredentialProcessProvider,
    ecs::EcsCredentialsProvider,
    imds::credentials::ImdsCredentialsProvider,
    provider_config::ProviderConfig,
    sso::SsoCredentialsProvider,
    web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider},
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};
use aws_sdk_sts::types::Credentials as StsCredentials;
use base::{Clock, Secret};
use chrono::DateTime;
use futures::future::BoxFuture;

use super::{
    chain::{Role, Session, Source},
    login_session,
};
use crate::{Environment, Error};

/// Where nothing says a region, as for the CLI's own calls to STS.
pub(super) const REGION_DEFAULT: &str = "us-east-1";

/// Asks a person for the code of this MFA device; `None` where there is nobody to ask.
pub type AskCode = Arc<dyn Fn(&str) -> Option<Secret> + Send + Sync>;

/// Why there are no credentials: what is ours to say, or what AWS's code said.
#[derive(Debug)]
pub(super) enum Failed {
    Ours(Error),
    /// With the sign-in that the source rests on, where it rests on one.
    Source(CredentialsError, Option<Session>),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Ours(error)
    }
}

/// What it takes to ask.
pub(super) struct Asked<'a> {
    pub sdk: &'a SdkConfig,
    pub environment: &'a Environment,
    pub ask_code: Option<&'a AskCode>,
    pub clock: &'a dyn Clock,
}

impl Asked<'_> {
    pub fn credentials<'b>(&'b self, source: &'b Source) -> BoxFuture<'b, Result<Credentials, Failed>> {
        Box::pin(async move {
            let asked = match source {
                Source::Keys { access_key, secret_key, session_token, ends } => {
                    return keys(access_key, secret_key, session_token.as_ref(), ends.as_deref());
                }
                Source::Role(role) => return self.role(role).await,
                Source::LoginSession { session, region } => {
                    return Ok(login_session::credentials(session, region.as_deref(), self).await?);
                }
                Source::WebIdentity { role_arn, session_name, token_file } => {
                    self.web_identity(role_arn, session_name.as_deref(), token_file).await
                }
                Source::Sso { session, account, role } => {
                    let answer = self.sso(session, account, role).await;
                    return answer.map_err(|error| Failed::Source(error, Some(session.clone())));
                }
                Source::Process { command } => {
                    CredentialProcessProvider::new(command.reveal().to_owned()).provide_credentials().await
                }
                Source::Container => {
                    let provider =
                        EcsCredentialsProvider::builder().configure(&self.provider_config()).build();
                    provider.provide_credentials().await
                }
                Source::InstanceMetadata => {
                    let provider =
                        ImdsCredentialsProvider::builder().configure(&self.provider_config()).build();
                    provider.provide_credentials().await
                }
            };
            asked.map_err(|error| Failed::Source(error, None))
        })
    }

    fn provider_config(&self) -> ProviderConfig {
        let config = ProviderConfig::without_region().with_region(self.sdk.region().cloned());
        match self.sdk.http_client() {
            Some(client) => config.with_http_client(client),
            None => config,
        }
    }

    async fn sso(
        &self,
        session: &Session,
        account: &str,
        role: &str,
    ) -> Result<Credentials, CredentialsError> {
        let mut builder = SsoCredentialsProvider::builder()
            .configure(&self.provider_config())
            .account_id(account)
            .role_name(role)
            .start_url(&session.start_url)
            .region(aws_config::Region::new(session.region.clone()));
        builder.set_session_name(session.name.clone());
        builder.build().provide_credentials().await
    }

    async fn web_identity(
        &self,
        role_arn: &str,
        session_name: Option<&str>,
        token_file: &str,
    ) -> Result<Credentials, CredentialsError> {
        let region = self.sdk.region().cloned().unwrap_or(aws_config::Region::from_static(REGION_DEFAULT));
        let configuration = StaticConfiguration {
            web_identity_token_file: PathBuf::from(token_file),
            role_arn: role_arn.to_owned(),
            session_name: session_name.map_or_else(|| self.session_name(), str::to_owned),
        };
        WebIdentityTokenCredentialsProvider::builder()
            .configure(&self.provider_config().with_region(Some(region)))
            .static_configuration(configuration)
            .build()
            .provide_credentials()
            .await
    }

    async fn role(&self, role: &Role) -> Result<Credentials, Failed> {
        let from = self.credentials(&role.from).await?;
        let code = match &role.mfa_serial {
            Some(serial) => Some(self.code(role, serial)?),
            None => None,
        };
        let client = sts(self.sdk, from);
        let answer = client
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(role.session_name.clone().unwrap_or_else(|| self.session_name()))
            .set_external_id(role.external_id.as_ref().map(|id| id.reveal().to_owned()))
            .set_duration_seconds(role.duration_s)
            .set_serial_number(role.mfa_serial.clone())
            .set_token_code(code.map(|code| code.reveal().to_owned()))
            .send()
            .await;
        let answer = answer.map_err(|error| {
            let source = aws_sdk_sts::Error::from(error);
            let who = format!("the role {} (profile {})", role.arn, role.profile);
            Error::CredentialsFailed { who, source: source.into() }
        })?;
        of_sts(answer.credentials).ok_or_else(|| {
            let source = "STS answered without credentials".into();
            Failed::Ours(Error::CredentialsFailed { who: format!("the role {}", role.arn), source })
        })
    }

    fn code(&self, role: &Role, serial: &str) -> Result<Secret, Error> {
        self.ask_code.and_then(|ask| ask(serial)).ok_or_else(|| Error::MfaNeeded {
            role: role.arn.clone(),
            profile: role.profile.clone(),
            serial: serial.to_owned(),
        })
    }

    fn session_name(&self) -> String {
        format!("tidemill-{}", self.clock.now_ms() / 1_000)
    }
}

/// An STS client that signs with these.
pub(super) fn sts(sdk: &SdkConfig, credentials: Credentials) -> aws_sdk_sts::Client {
    let region = sdk.region().cloned().unwrap_or(aws_config::Region::from_static(REGION_DEFAULT));
    let config = aws_sdk_sts::config::Builder::from(sdk).credentials_provider(credentials).region(region);
    aws_sdk_sts::Client::from_conf(config.build())
}

fn of_sts(given: Option<StsCredentials>) -> Option<Credentials> {
    let given = given?;
    let ends = Duration::from_secs(u64::try_from(given.expiration.secs()).ok()?);
    Some(Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.session_token),
        Some(std::time::UNIX_EPOCH + ends),
        "AssumeRole",
    ))
}

fn keys(
    access_key: &str,
    secret_key: &Secret,
    session_token: Option<&Secret>,
    ends: Option<&str>,
) -> Result<Credentials, Failed> {
    let ends = match ends.map(|ends| (ends, DateTime::parse_from_rfc3339(ends))) {
        None => None,
        Some((_, Ok(time))) => Some(time.into()),
        Some((ends, Err(error))) => {
            let what = format!("AWS_CREDENTIAL_EXPIRATION is no time: {ends}: {error}");
            let help = "give it as 2026-01-31T12:00:00Z, or unset it".to_owned();
            return Err(Failed::Ours(Error::Unusable { what, spot: None, help }));
        }
    };
    let token = session_token.map(|token| token.reveal().to_owned());
    Ok(Credentials::new(access_key, secret_key.reveal(), token, ends, "Keys"))
}

//! Signing in and out of IAM Identity Center (AWS SSO): the device-code flow and the code flow with PKCE.
//!
//! API: SSO OIDC 2019-06-10 (RegisterClient, StartDeviceAuthorization, CreateToken, and the Authorize page beside it) and the SSO
//! portal 2019-06-10 (Logout). Files, their names and keys are the AWS CLI's, so that each sees what the other did.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::{Region, SdkConfig};
use aws_sdk_ssooidc::{
    Client,
    error::ProvideErrorMetadata,
    operation::{create_token::CreateTokenOutput, register_client::RegisterClientOutput},
};
use base::{BoxError, Clock, Secret};
use chrono::{DateTime, Utc};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};
use url::Url;

use super::chain::Session;
use crate::{
    Environment, Error, kept,
    pkce::{Listener, Proof, SIGN_IN_TIMEOUT, random_text},
};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const CODE_GRANTS: [&str; 2] = ["authorization_code", "refresh_token"];
/// What the code flow asks for where the session names nothing.
const SCOPE_DEFAULT: &str = "sso:account:access";
/// Registered without a port, as RFC 8252 has it for loopback.
const CALLBACK: &str = "http://127.0.0.1/oauth/callback";
const CALLBACK_PATH: &str = "/oauth/callback";
/// RFC 8628: where the service says none, and what `slow_down` adds.
const INTERVAL_S: u64 = 5;
/// A registration that ends sooner is made anew, as the CLI does.
const REGISTRATION_MS_MIN: i64 = 15 * 60_000;

/// Accounts with roles that are listed: an organization may have thousands.
const CHOICES_COUNT_MAX: usize = 200;

/// How to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// A code to type on any machine.
    Device,
    /// A browser on this machine.
    Code,
}

/// What a person has to do, told while we wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The address to open.
    pub url: String,
    /// The same with the code in it, and the code.
    pub code: Option<(String, String)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub session: Session,
    pub file: PathBuf,
    pub ends_ms: i64,
    /// Whether it is renewed by itself.
    pub renews: bool,
}

pub(super) struct SignIn<'a> {
    pub sdk: &'a SdkConfig,
    pub environment: &'a Environment,
    pub clock: &'a dyn Clock,
    pub session: &'a Session,
}

/// A client that the service knows.
struct Registration {
    client_id: String,
    client_secret: Secret,
    ends: String,
}

impl SignIn<'_> {
    pub async fn run(
        &self,
        flow: Flow,
        invite: &(dyn Fn(&Invitation) + Send + Sync),
    ) -> Result<SignedIn, Error> {
        let config =
            aws_sdk_ssooidc::config::Builder::from(self.sdk).region(Region::new(self.session.region.clone()));
        let client = Client::from_conf(config.build());
        let registration = self.registration(&client, flow).await?;
        let token = match flow {
            Flow::Device => self.by_device(&client, &registration, invite).await?,
            Flow::Code => self.by_code(&client, &registration, invite).await?,
        };
        self.keep(&token, &registration)
    }

    fn who(&self) -> String {
        match &self.session.name {
            Some(name) => format!("the sso-session {name}"),
            None => self.session.start_url.clone(),
        }
    }

    fn folder(&self) -> PathBuf {
        folder(self.environment)
    }

    fn now(&self, later_s: i64) -> String {
        let time = DateTime::<Utc>::from_timestamp(self.clock.now_ms() / 1_000 + later_s, 0);
        kept::time_text(time.unwrap_or_default())
    }

    /// The CLI's own registration, where it has one that fits, and else one of ours, kept for the CLI.
    async fn registration(&self, client: &Client, flow: Flow) -> Result<Registration, Error> {
        let path = self.folder().join(format!("{}.json", registration_key(self.session)));
        if let Some(kept) = kept::read(&path).and_then(|kept| self.fitting(&kept, flow)) {
            return Ok(kept);
        }
        let name = self.session.name.as_deref().unwrap_or("login");
        let mut call = client.register_client().client_name(format!("tidemill-{name}")).client_type("public");
        let mut scopes = self.session.scopes.clone();
        if flow == Flow::Code {
            if scopes.is_empty() {
                scopes.push(SCOPE_DEFAULT.to_owned());
            }
            call = call
                .set_grant_types(Some(CODE_GRANTS.map(str::to_owned).into()))
                .redirect_uris(CALLBACK)
                .issuer_url(&self.session.start_url);
        }
        let call = call.set_scopes((!scopes.is_empty()).then(|| scopes.clone()));
        let given = call.send().await.map_err(|error| self.failed(aws_sdk_ssooidc::Error::from(error)))?;
        let registration = of_answer(given).ok_or_else(|| self.refused("it registered no client".into()))?;
        let mut kept = json!({
            "clientId": registration.client_id,
            "clientSecret": registration.client_secret.reveal(),
            "expiresAt": registration.ends,
        });
        if !scopes.is_empty() {
            kept["scopes"] = scopes.into();
        }
        if flow == Flow::Code {
            kept["grantTypes"] = CODE_GRANTS.to_vec().into();
        }
        kept::write(&path, &kept)?;
        Ok(registration)
    }

    fn fitting(&self, kept: &Value, flow: Flow) -> Option<Registration> {
        let text = |name: &str| kept[name].as_str();
        let ends = text("expiresAt")?;
        let ends_ms = DateTime::parse_from_rfc3339(ends).ok()?.timestamp_millis();
        let is_for_code =
            kept["grantTypes"].as_array().is_some_and(|all| all.iter().any(|it| it == "authorization_code"));
        if ends_ms - self.clock.now_ms() < REGISTRATION_MS_MIN || is_for_code != (flow == Flow::Code) {
            return None;
        }
        Some(Registration {
            client_id: text("clientId")?.to_owned(),
            client_secret: Secret::new(text("clientSecret")?),
            ends: ends.to_owned(),
        })
    }

    async fn by_device(
        &self,
        client: &Client,
        registration: &Registration,
        invite: &(dyn Fn(&Invitation) + Send + Sync),
    ) -> Result<CreateTokenOutput, Error> {
        let begun = client
            .start_device_authorization()
            .client_id(&registration.client_id)
            .client_secret(registration.client_secret.reveal())
            .start_url(&self.session.start_url)
            .send()
            .await
            .map_err(|error| self.failed(aws_sdk_ssooidc::Error::from(error)))?;
        let (Some(device_code), Some(url), Some(code)) =
            (begun.device_code(), begun.verification_uri(), begun.user_code())
        else {
            return Err(self.refused("it began no sign-in".into()));
        };
        let whole = begun.verification_uri_complete().unwrap_or(url).to_owned();
        invite(&Invitation { url: url.to_owned(), code: Some((whole, code.to_owned())) });
        let mut interval_s = u64::try_from(begun.interval()).ok().filter(|it| *it > 0).unwrap_or(INTERVAL_S);
        let lasts = Duration::from_secs(u64::try_from(begun.expires_in()).unwrap_or(0));
        let ends = tokio::time::Instant::now() + lasts.min(SIGN_IN_TIMEOUT);
        loop {
            let asked = client
                .create_token()
                .grant_type(DEVICE_GRANT)
                .client_id(&registration.client_id)
                .client_secret(registration.client_secret.reveal())
                .device_code(device_code)
                .send()
                .await;
            match asked.map_err(aws_sdk_ssooidc::Error::from) {
                Ok(token) => return Ok(token),
                Err(aws_sdk_ssooidc::Error::AuthorizationPendingException(_)) => {}
                Err(aws_sdk_ssooidc::Error::SlowDownException(_)) => interval_s += INTERVAL_S,
                Err(error) => return Err(self.failed(error)),
            }
            if tokio::time::Instant::now() + Duration::from_secs(interval_s) > ends {
                return Err(self.refused("nobody confirmed the code in time".into()));
            }
            tokio::time::sleep(Duration::from_secs(interval_s)).await;
        }
    }

    async fn by_code(
        &self,
        client: &Client,
        registration: &Registration,
        invite: &(dyn Fn(&Invitation) + Send + Sync),
    ) -> Result<CreateTokenOutput, Error> {
        let listener = Listener::start(CALLBACK_PATH).await?;
        let address = listener.address.clone();
        let (proof, state) = (Proof::new(), random_text());
        let scopes = match self.session.scopes.is_empty() {
            true => SCOPE_DEFAULT.to_owned(),
            false => self.session.scopes.join(" "),
        };
        let base = endpoint(self.environment, &self.session.region);
        let url = Url::parse_with_params(
            &format!("{base}/authorize"),
            [
                ("response_type", "code"),
                ("client_id", &registration.client_id),
                ("redirect_uri", &address),
                ("state", &state),
                ("code_challenge_method", "S256"),
                ("scopes", &scopes),
                ("code_challenge", &proof.challenge),
            ],
        );
        let url = url.map_err(|error| Error::SignInUnusable { place: base, source: error.into() })?;
        invite(&Invitation { url: url.into(), code: None });
        let code = listener.code(&state, &self.who()).await?;
        let token = client
            .create_token()
            .grant_type(CODE_GRANTS[0])
            .client_id(&registration.client_id)
            .client_secret(registration.client_secret.reveal())
            .redirect_uri(&address)
            .code_verifier(proof.verifier.reveal())
            .code(code.reveal())
            .send()
            .await;
        token.map_err(|error| self.failed(aws_sdk_ssooidc::Error::from(error)))
    }

    fn keep(&self, token: &CreateTokenOutput, registration: &Registration) -> Result<SignedIn, Error> {
        let Some(access_token) = token.access_token() else {
            return Err(self.refused("it gave no token".into()));
        };
        let lasts_s = i64::from(token.expires_in());
        let mut kept = json!({
            "startUrl": self.session.start_url,
            "region": self.session.region,
            "accessToken": access_token,
            "expiresAt": self.now(lasts_s),
            "clientId": registration.client_id,
            "clientSecret": registration.client_secret.reveal(),
            "registrationExpiresAt": registration.ends,
        });
        if let Some(refresh_token) = token.refresh_token() {
            kept["refreshToken"] = refresh_token.into();
        }
        let file = token_path(self.environment, self.session);
        kept::write(&file, &kept)?;
        Ok(SignedIn {
            session: self.session.clone(),
            file,
            ends_ms: self.clock.now_ms() + lasts_s * 1_000,
            renews: token.refresh_token().is_some() && self.session.name.is_some(),
        })
    }

    fn refused(&self, source: BoxError) -> Error {
        Error::SignInRefused { who: self.who(), source }
    }

    /// Whether the service said no, or nobody was there to say anything.
    fn failed(&self, error: aws_sdk_ssooidc::Error) -> Error {
        let is_answer =
            !matches!(error, aws_sdk_ssooidc::Error::InternalServerException(_)) && error.code().is_some();
        if is_answer {
            return self.refused(error.into());
        }
        let place = endpoint(self.environment, &self.session.region);
        Error::SignInUnusable { place, source: error.into() }
    }
}

fn of_answer(given: RegisterClientOutput) -> Option<Registration> {
    let ends = DateTime::<Utc>::from_timestamp(given.client_secret_expires_at(), 0)?;
    Some(Registration {
        client_id: given.client_id()?.to_owned(),
        client_secret: Secret::new(given.client_secret()?),
        ends: kept::time_text(ends),
    })
}

/// Where the browser goes; the calls themselves are led there by the SDK.
fn endpoint(environment: &Environment, region: &str) -> String {
    let given = environment.get("AWS_ENDPOINT_URL_SSO_OIDC").or_else(|| environment.get("AWS_ENDPOINT_URL"));
    match given {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None if region.starts_with("cn-") => format!("https://oidc.{region}.amazonaws.com.cn"),
        None => format!("https://oidc.{region}.amazonaws.com"),
    }
}

pub(super) fn folder(environment: &Environment) -> PathBuf {
    environment.home().join(".aws/sso/cache")
}

/// By the session's name, or else by its address.
pub(super) fn token_path(environment: &Environment, session: &Session) -> PathBuf {
    let named = session.name.as_ref().unwrap_or(&session.start_url);
    folder(environment).join(format!("{}.json", sha1(named)))
}

/// Until when the token lasts that is kept for a session, and whether it can be renewed; `None`: there is none.
pub(super) fn kept(environment: &Environment, session: &Session) -> Option<(i64, bool)> {
    let token = kept::read(&token_path(environment, session))?;
    let ends = DateTime::parse_from_rfc3339(token["expiresAt"].as_str()?).ok()?;
    // Nobody renews one that is kept by its address.
    Some((ends.timestamp_millis(), session.name.is_some() && token["refreshToken"].is_string()))
}

fn sha1(text: &str) -> String {
    kept::hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

/// The SHA-1 of what a registration is for, as Python writes it as JSON with sorted keys.
fn registration_key(session: &Session) -> String {
    let python = |text: &str| Value::from(text).to_string().chars().map(ascii).collect::<String>();
    let scopes: Vec<String> = session.scopes.iter().map(|scope| python(scope)).collect();
    let scopes = if scopes.is_empty() { "null".to_owned() } else { format!("[{}]", scopes.join(", ")) };
    let name = session.name.as_deref().map_or_else(|| "null".to_owned(), python);
    let (region, start_url) = (python(&session.region), python(&session.start_url));
    sha1(&format!(
        "{{\"region\": {region}, \"scopes\": {scopes}, \"session_name\": {name}, \"startUrl\": {start_url}, \"tool\": \"botocore\"}}"
    ))
}

fn ascii(letter: char) -> String {
    if letter.is_ascii() {
        return letter.to_string();
    }
    let mut units = [0; 2];
    letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Every account and role that the sign-in gives: account, its name, role.
pub(super) async fn choices(
    sdk: &SdkConfig,
    signed_in: &SignedIn,
) -> Result<Vec<(String, String, String)>, Error> {
    let unusable = |error: aws_sdk_sso::Error| Error::SignInUnusable {
        place: signed_in.session.start_url.clone(),
        source: error.into(),
    };
    let config =
        aws_sdk_sso::config::Builder::from(sdk).region(Region::new(signed_in.session.region.clone()));
    let client = aws_sdk_sso::Client::from_conf(config.build());
    let token = kept::read(&signed_in.file).and_then(|kept| Some(Secret::new(kept["accessToken"].as_str()?)));
    let token = token.unwrap_or_default();
    let mut all = Vec::new();
    let mut pages = client.list_accounts().access_token(token.reveal()).into_paginator().items().send();
    while let Some(account) = pages.next().await {
        let account = account.map_err(|error| unusable(error.into()))?;
        let (id, name) =
            (account.account_id().unwrap_or_default(), account.account_name().unwrap_or_default());
        let roles = client.list_account_roles().access_token(token.reveal()).account_id(id);
        let mut roles = roles.into_paginator().items().send();
        while let Some(role) = roles.next().await {
            let role = role.map_err(|error| unusable(error.into()))?;
            all.push((id.to_owned(), name.to_owned(), role.role_name().unwrap_or_default().to_owned()));
            if all.len() >= CHOICES_COUNT_MAX {
                return Ok(all);
            }
        }
    }
    Ok(all)
}

/// Ends every sign-in of this user, as `aws sso logout` does: tokens are revoked and forgotten, and with them what the CLI
/// keeps of the credentials that they gave. The answer: the files that are gone.
pub(super) async fn log_out(sdk: &SdkConfig, environment: &Environment) -> Result<Vec<PathBuf>, Error> {
    let mut gone = Vec::new();
    for path in json_files(&folder(environment)) {
        let Some(token) = kept::read(&path) else { continue };
        let Some(access_token) = token["accessToken"].as_str() else { continue };
        if let Some(region) = token["region"].as_str() {
            let config = aws_sdk_sso::config::Builder::from(sdk).region(Region::new(region.to_owned()));
            let client = aws_sdk_sso::Client::from_conf(config.build());
            if let Err(error) = client.logout().access_token(access_token).send().await {
                // A token that has ended cannot be revoked, and need not be.
                tracing::debug!(error = %aws_sdk_sso::Error::from(error), "the portal did not revoke a token");
            }
        }
        remove(path, &mut gone)?;
    }
    for path in json_files(&environment.home().join(".aws/cli/cache")) {
        if kept::read(&path).is_some_and(|kept| kept["ProviderType"] == "sso") {
            remove(path, &mut gone)?;
        }
    }
    Ok(gone)
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    paths.sort();
    paths
}

fn remove(path: PathBuf, gone: &mut Vec<PathBuf>) -> Result<(), Error> {
    fs::remove_file(&path).map_err(|source| Error::FileUnwritable { path: path.clone(), source })?;
    gone.push(path);
    Ok(())
}

#[cfg(test)]
mod tests;

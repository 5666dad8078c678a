//! Signing in to Google Cloud in the browser: OAuth 2.0 for installed programs, with PKCE, back to the loopback address. It writes
//! the file that `gcloud auth application-default login` writes, so that every library of Google's reads it.
//!
//! The OAuth client is the user's. One that the file names already is kept; the one that gcloud has signed this person in with is taken
//! where he asks for it, from gcloud's own folder on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use base::{BoxError, Secret};
use serde_json::{Value, json};
use url::{Url, form_urlencoded::Serializer};

use super::{introspect, sources};
use crate::{
    Environment, Error, http, kept,
    pkce::{Listener, Proof, random_text},
};

const SCOPES: &str =
    "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/cloud-platform";
const AUTH_URI: &str = "https://accounts.google.com/o/oauth2/auth";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const REVOKE_URI: &str = "https://oauth2.googleapis.com/revoke";
const WHO: &str = "Google Cloud";

/// What the sign-in is told.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A client of the type "Desktop app", as Google's console gives it out.
    pub client_id_file: Option<PathBuf>,
    /// Let it be the client of gcloud's own sign-in, which lies on this machine.
    pub is_gclouds: bool,
    pub quota_project: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub account: Option<String>,
    pub file: PathBuf,
    pub quota_project: Option<String>,
}

struct Client {
    id: String,
    secret: Secret,
    auth_uri: String,
    token_uri: String,
}

/// Signs in; `invite` is given the address to open.
pub async fn run(options: &Options, invite: &(dyn Fn(&str) + Send + Sync)) -> Result<SignedIn, Error> {
    let environment = Environment::of_process();
    let file = file(&environment)?;
    let before = kept::read(&file);
    if before.as_ref().is_some_and(|adc| adc["type"].is_string() && adc["type"] != "authorized_user") {
        let what = format!("{} is no person's sign-in, and one would take its place", file.display());
        let help =
            "move it away, and let GOOGLE_APPLICATION_CREDENTIALS name it where it is needed".to_owned();
        return Err(Error::NothingToSignIn { what, help });
    }
    let client = client(options, before.as_ref(), &environment, &file)?;
    let listener = Listener::start("/").await?;
    let (address, proof, state) = (listener.address.clone(), Proof::new(), random_text());
    let url = Url::parse_with_params(
        &client.auth_uri,
        [
            ("response_type", "code"),
            ("client_id", &client.id),
            ("redirect_uri", &address),
            ("scope", SCOPES),
            ("state", &state),
            ("access_type", "offline"),
            // Without it Google gives a refresh token only at the first time.
            ("prompt", "consent"),
            ("code_challenge", &proof.challenge),
            ("code_challenge_method", "S256"),
        ],
    );
    invite(url.map_err(|error| unusable(&client.auth_uri, error.into()))?.as_str());
    let code = listener.code(&state, WHO).await?;
    let told = exchange(&client, &code, &proof, &address).await?;
    let Some(refresh_token) = told["refresh_token"].as_str() else {
        let source = "Google gave no refresh token: is the client of the type \"Desktop app\"?".into();
        return Err(Error::SignInRefused { who: WHO.to_owned(), source });
    };
    let account = told["id_token"].as_str().and_then(|token| introspect::claims(token.split('.').nth(1)?));
    let account = account.and_then(|claims| claims["email"].as_str().map(str::to_owned));
    let before = before.as_ref().and_then(|before| before["quota_project_id"].as_str());
    let quota_project = options.quota_project.clone().or_else(|| before.map(str::to_owned));
    let mut adc = json!({
        "account": account.clone().unwrap_or_default(),
        "client_id": client.id,
        "client_secret": client.secret.reveal(),
        "refresh_token": refresh_token,
        "type": "authorized_user",
        "universe_domain": "googleapis.com",
    });
    if let Some(project) = &quota_project {
        adc["quota_project_id"] = project.as_str().into();
    }
    if client.token_uri != TOKEN_URI {
        adc["token_uri"] = client.token_uri.as_str().into();
    }
    kept::write(&file, &adc)?;
    Ok(SignedIn { account, file, quota_project })
}

/// Revokes the sign-in and forgets it, as `gcloud auth application-default revoke` does; `None`: there is none.
pub async fn log_out() -> Result<Option<PathBuf>, Error> {
    let environment = Environment::of_process();
    let file = file(&environment)?;
    let Some(adc) = kept::read(&file) else { return Ok(None) };
    let Some(token) = adc["refresh_token"].as_str().filter(|_| adc["type"] == "authorized_user") else {
        let what = format!("{} is no person's sign-in", file.display());
        let help = "remove the file yourself, if nothing needs it any more".to_owned();
        return Err(Error::NothingToSignIn { what, help });
    };
    let uri = match adc["token_uri"].as_str().and_then(|uri| Url::parse(uri).ok()?.join("/revoke").ok()) {
        Some(url) => url.to_string(),
        None => REVOKE_URI.to_owned(),
    };
    // One that has ended cannot be revoked, and need not be.
    if let Err(error) = post(&uri, &[("token", token)]).await {
        tracing::debug!(why = base::problem::line(&error), "Google did not revoke a token");
    }
    fs::remove_file(&file).map_err(|source| Error::FileUnwritable { path: file.clone(), source })?;
    Ok(Some(file))
}

fn file(environment: &Environment) -> Result<PathBuf, Error> {
    sources::well_known(&|name| environment.get(name).map(str::to_owned)).ok_or_else(|| {
        Error::NothingToSignIn {
            what: "there is no folder to keep a sign-in in".to_owned(),
            help: "set HOME or CLOUDSDK_CONFIG".to_owned(),
        }
    })
}

/// The client to sign in with: the one that is named, gcloud's where that was asked for, or that of the last sign-in.
fn client(
    options: &Options,
    before: Option<&Value>,
    environment: &Environment,
    file: &Path,
) -> Result<Client, Error> {
    let gclouds = gclouds_client(file);
    let refused =
        |what: String| Error::NoOauthClient { what, gclouds: gclouds.as_ref().map(|(path, _)| path.clone()) };
    let mut given = Value::Null;
    if let Some(path) = &options.client_id_file {
        let json = kept::read(path).ok_or_else(|| refused(format!("{} is no JSON file", path.display())))?;
        given = match &json["installed"] {
            Value::Null => return Err(refused(format!("{} is no client of a desktop app", path.display()))),
            installed => installed.clone(),
        };
    } else if options.is_gclouds {
        given = match &gclouds {
            Some((_, theirs)) => theirs.clone(),
            None => return Err(refused("gcloud has signed nobody in on this machine".to_owned())),
        };
    } else if let Some(before) = before.filter(|before| before["type"] == "authorized_user") {
        given = before.clone();
    }
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    let (Some(id), Some(secret)) = (text("client_id"), text("client_secret")) else {
        return Err(refused("none is named, nor is there an earlier sign-in that has one".to_owned()));
    };
    // gcloud's own names for them.
    let host = |name: &str| environment.get(name).map(str::to_owned);
    let auth_uri = host("CLOUDSDK_AUTH_AUTH_HOST").or_else(|| text("auth_uri"));
    let token_uri = host("CLOUDSDK_AUTH_TOKEN_HOST").or_else(|| text("token_uri"));
    Ok(Client {
        id,
        secret: Secret::new(secret),
        auth_uri: auth_uri.unwrap_or_else(|| AUTH_URI.to_owned()),
        token_uri: token_uri.unwrap_or_else(|| TOKEN_URI.to_owned()),
    })
}

/// What gcloud's own sign-ins lie in, beside the file of application default credentials: a folder for each account.
const LEGACY: &str = "legacy_credentials";

/// The file of gcloud's latest sign-in, and what it says.
fn gclouds_client(adc: &Path) -> Option<(PathBuf, Value)> {
    let accounts = fs::read_dir(adc.parent()?.join(LEGACY)).ok()?;
    let mut files: Vec<(SystemTime, PathBuf)> = accounts
        .flatten()
        .map(|account| account.path().join("adc.json"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    files.sort();
    files.into_iter().rev().find_map(|(_, path)| {
        let json = kept::read(&path).filter(|json| json["type"] == "authorized_user")?;
        json["client_secret"].is_string().then_some((path, json))
    })
}

async fn exchange(client: &Client, code: &Secret, proof: &Proof, address: &str) -> Result<Value, Error> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.reveal()),
        ("client_id", &client.id),
        ("client_secret", client.secret.reveal()),
        ("code_verifier", proof.verifier.reveal()),
        ("redirect_uri", address),
    ];
    post(&client.token_uri, &form).await
}

async fn post(uri: &str, form: &[(&str, &str)]) -> Result<Value, Error> {
    let body = Secret::new(Serializer::new(String::new()).extend_pairs(form).finish());
    let call = http::client().post(uri).header("content-type", "application/x-www-form-urlencoded");
    let answer = call.body(body.reveal().to_owned()).send().await;
    let answer = answer.map_err(|error| unusable(uri, error.without_url().into()))?;
    let status = answer.status();
    let told: Value = answer.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(told);
    }
    let why = told["error_description"].as_str().or(told["error"].as_str()).unwrap_or("no reason");
    let source = format!("{why} (status {})", status.as_u16()).into();
    Err(Error::SignInRefused { who: WHO.to_owned(), source })
}

fn unusable(place: &str, source: BoxError) -> Error {
    Error::SignInUnusable { place: place.to_owned(), source }
}

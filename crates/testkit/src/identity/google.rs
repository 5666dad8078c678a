//! Google's OAuth services as one server: the consent page, the token service with its grants, tokeninfo, revocation, the token
//! exchange of workload identity, acting as a service account, and the metadata server of a machine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    challenge, now_ms, random,
    server::{self, Request, Response},
    time_text,
};

const PERSON: &str = "ada@example.org";
const CLIENT_ID: &str = "desktop.apps.example.org";
const CLIENT_SECRET: &str = "not-confidential";

#[derive(Debug, Clone)]
pub struct Google {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    codes: BTreeMap<String, Code>,
    refresh_tokens: Vec<String>,
    /// Access tokens: whose, and when they end.
    tokens: BTreeMap<String, (String, i64)>,
    says_no: bool,
    /// How long access tokens last, where it is not an hour.
    token_s: Option<i64>,
}

#[derive(Debug)]
struct Code {
    redirect: String,
    challenge: String,
}

impl Google {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let answering = state.clone();
        let endpoint = server::start(move |request| answer(&mut locked(&answering), request));
        Self { endpoint, state }
    }

    /// A client of the type "Desktop app", as Google's console gives it out.
    pub fn client_file(&self) -> String {
        json!({ "installed": {
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "project_id": "lake",
            "auth_uri": format!("{}/o/oauth2/auth", self.endpoint),
            "token_uri": format!("{}/token", self.endpoint), "redirect_uris": ["http://localhost"],
        }})
        .to_string()
    }

    /// The person at the consent page says no from now on.
    pub fn say_no(&self) {
        locked(&self.state).says_no = true;
    }

    /// How long access tokens last from now on, in seconds.
    pub fn tokens_last_s(&self, seconds: i64) {
        locked(&self.state).token_s = Some(seconds);
    }

    /// Whose an access token is, and when it ends.
    pub(super) fn token(&self, token: &str) -> Option<(String, i64)> {
        locked(&self.state).tokens.get(token).cloned()
    }

    /// Ends every sign-in.
    pub fn forget(&self) {
        locked(&self.state).refresh_tokens.clear();
    }

    pub fn is_known(&self, refresh_token: &str) -> bool {
        locked(&self.state).refresh_tokens.iter().any(|token| token == refresh_token)
    }
}

fn locked(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn answer(state: &mut State, request: &Request) -> Response {
    const METADATA: &str = "/computeMetadata/v1/";
    match request.path.as_str() {
        "/o/oauth2/auth" => state.consent(request),
        "/token" => state.token(&request.form()),
        "/tokeninfo" => state.info(&request.form()),
        "/revoke" => {
            let token = request.form().remove("token").unwrap_or_default();
            state.refresh_tokens.retain(|known| *known != token);
            Response::json(200, &json!({}))
        }
        // Federation: what a workload has is exchanged.
        "/sts" if request.form().get("subject_token").is_some_and(|token| token == "workload") => {
            let mut body = state.give("principal://workload");
            body["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token".into();
            Response::json(200, &body)
        }
        path if path.starts_with("/v1/projects/-/serviceAccounts/") => {
            let account = path.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default();
            let given = state.give(account);
            let ends_ms = now_ms() + given["expires_in"].as_i64().unwrap_or_default() * 1_000;
            Response::json(
                200,
                &json!({ "accessToken": given["access_token"], "expireTime": time_text(ends_ms) }),
            )
        }
        "/" => metadata(Response::text(200, "computeMetadata/")),
        path if path.starts_with(METADATA) => {
            if request.header("metadata-flavor") != "Google" {
                return Response::text(403, "no Metadata-Flavor");
            }
            metadata(state.metadata(&path[METADATA.len()..]))
        }
        _ => Response::json(403, &json!({ "error": "access_denied" })),
    }
}

fn metadata(mut response: Response) -> Response {
    response.headers.push(("Metadata-Flavor".to_owned(), "Google".to_owned()));
    response
}

fn refused(word: &str, text: &str) -> Response {
    Response::json(400, &json!({ "error": word, "error_description": text }))
}

impl State {
    fn give(&mut self, account: &str) -> Value {
        let token = format!("ya29.{}", random(40));
        let lasts_s = self.token_s.unwrap_or(3_599);
        self.tokens.insert(token.clone(), (account.to_owned(), now_ms() + lasts_s * 1_000));
        json!({ "access_token": token, "expires_in": lasts_s, "token_type": "Bearer" })
    }

    fn consent(&mut self, request: &Request) -> Response {
        let (redirect, state) = (request.query("redirect_uri"), request.query("state"));
        let is_ours = request.query("client_id") == CLIENT_ID
            && redirect.starts_with("http://127.0.0.1:")
            && request.query("access_type") == "offline"
            && request.query("code_challenge_method") == "S256";
        if !is_ours {
            return Response::text(400, "refused");
        }
        if self.says_no {
            return Response::redirect(format!("{redirect}?error=access_denied&state={state}"));
        }
        let code = random(24);
        let kept =
            Code { redirect: redirect.to_owned(), challenge: request.query("code_challenge").to_owned() };
        self.codes.insert(code.clone(), kept);
        Response::redirect(format!("{redirect}?state={state}&code={code}&scope=email"))
    }

    fn token(&mut self, form: &BTreeMap<String, String>) -> Response {
        let of = |name: &str| form.get(name).map_or("", String::as_str);
        match of("grant_type") {
            "authorization_code" => {
                let is_client = of("client_id") == CLIENT_ID && of("client_secret") == CLIENT_SECRET;
                let Some(code) = self.codes.remove(of("code")).filter(|_| is_client) else {
                    return refused("invalid_grant", "Malformed auth code.");
                };
                if code.redirect != of("redirect_uri") || code.challenge != challenge(of("code_verifier")) {
                    return refused("invalid_grant", "Invalid code verifier.");
                }
                let refresh = format!("1//{}", random(40));
                self.refresh_tokens.push(refresh.clone());
                let mut body = self.give(PERSON);
                body["refresh_token"] = refresh.into();
                let claims = URL_SAFE_NO_PAD.encode(json!({ "email": PERSON }).to_string());
                body["id_token"] = format!("e30.{claims}.c2ln").into();
                Response::json(200, &body)
            }
            "refresh_token" if self.refresh_tokens.iter().any(|token| token == of("refresh_token")) => {
                Response::json(200, &self.give(PERSON))
            }
            "refresh_token" => refused("invalid_grant", "Token has been expired or revoked."),
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                Response::json(200, &self.give("writer@lake.example.org"))
            }
            _ => refused("unsupported_grant_type", "no such grant"),
        }
    }

    fn info(&self, form: &BTreeMap<String, String>) -> Response {
        match form.get("access_token").and_then(|token| self.tokens.get(token)) {
            Some((account, ends_ms)) => {
                let lasts_s = (ends_ms - now_ms()) / 1_000;
                Response::json(200, &json!({ "email": account, "expires_in": lasts_s.to_string() }))
            }
            None => refused("invalid_token", "Invalid Value"),
        }
    }

    fn metadata(&mut self, path: &str) -> Response {
        match path {
            "instance/service-accounts/default/email" => Response::text(200, "machine@lake.example.org"),
            "instance/service-accounts/default/token" => {
                let body = self.give("machine@lake.example.org");
                Response::json(200, &body)
            }
            "instance/service-accounts/default/" => Response::json(
                200,
                &json!({ "email": "machine@lake.example.org", "aliases": ["default"], "scopes": ["https://www.googleapis.com/auth/cloud-platform"] }),
            ),
            "project/project-id" => Response::text(200, "lake"),
            "universe/universe-domain" | "universe/universe_domain" => Response::text(200, "googleapis.com"),
            _ => Response::text(404, "not there"),
        }
    }
}

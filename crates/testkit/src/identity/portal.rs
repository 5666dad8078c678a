//! AWS's services of signing in, as one server: SSO OIDC (RegisterClient, StartDeviceAuthorization, CreateToken with its
//! three grants, the Authorize page), the SSO portal (GetRoleCredentials, ListAccounts, ListAccountRoles, Logout), Sign-In
//! (CreateOAuth2Token with its proof), STS (`sts.rs`), and what containers, instances and processes are given.

mod sts;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use super::{
    challenge, now_ms, random,
    server::{self, Request, Response},
    time_text,
};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(super) const ACCOUNT: &str = "123456789012";

/// A running server; everybody who holds it sees the same sign-ins.
#[derive(Debug, Clone)]
pub struct Portal {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    clients: BTreeMap<String, Registered>,
    devices: BTreeMap<String, Device>,
    codes: BTreeMap<String, Authorized>,
    /// Access tokens, and when they end.
    tokens: BTreeMap<String, i64>,
    refresh_tokens: Vec<String>,
    keys: BTreeMap<String, Key>,
    calls: BTreeMap<String, usize>,
    /// The only one that STS takes for a web identity.
    web_token: String,
    token_s: i64,
    key_ms: i64,
    slows_down: bool,
}

#[derive(Debug)]
struct Registered {
    secret: String,
    grants: Vec<String>,
}

#[derive(Debug)]
struct Device {
    user_code: String,
    is_confirmed: Option<bool>,
}

#[derive(Debug)]
struct Authorized {
    client: String,
    redirect: String,
    challenge: String,
}

/// Keys that were given out.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub secret: String,
    pub token: String,
    pub ends_ms: i64,
}

impl Portal {
    pub fn start() -> Self {
        let state = State {
            clients: BTreeMap::new(),
            devices: BTreeMap::new(),
            codes: BTreeMap::new(),
            tokens: BTreeMap::new(),
            refresh_tokens: Vec::new(),
            keys: BTreeMap::new(),
            calls: BTreeMap::new(),
            web_token: String::new(),
            token_s: 8 * 3_600,
            key_ms: 3_600_000,
            slows_down: false,
        };
        let state = Arc::new(Mutex::new(state));
        let answering = state.clone();
        let endpoint = server::start(move |request| answer(&mut locked(&answering), request));
        Self { endpoint, state }
    }

    /// The variables that lead AWS's tools here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let names = ["AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC", "AWS_ENDPOINT_URL_SIGNIN"];
        names.map(|name| (name, self.endpoint.clone())).into()
    }

    /// A person types the code of a device and says yes, or no.
    pub fn confirm(&self, user_code: &str, is_yes: bool) {
        let mut state = locked(&self.state);
        let device = state.devices.values_mut().find(|device| device.user_code == user_code);
        device.expect("a device has that code").is_confirmed = Some(is_yes);
    }

    /// How long tokens of a sign-in last from now on, in seconds.
    pub fn tokens_last_s(&self, seconds: i64) {
        locked(&self.state).token_s = seconds;
    }

    /// How long credentials last from now on.
    pub fn keys_last_ms(&self, ms: i64) {
        locked(&self.state).key_ms = ms;
    }

    /// Another token is a workload's from now on; that of before is over.
    pub fn web_token_is(&self, token: &str) {
        token.clone_into(&mut locked(&self.state).web_token);
    }

    /// The next poll of a device is answered with `slow_down`.
    pub fn slow_down(&self) {
        locked(&self.state).slows_down = true;
    }

    /// Every access token ends now; refresh tokens stay good.
    pub fn end_tokens(&self) {
        locked(&self.state).tokens.clear();
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> usize {
        locked(&self.state).calls.get(operation).copied().unwrap_or(0)
    }

    pub(super) fn key(&self, access_key: &str) -> Option<Key> {
        locked(&self.state).keys.get(access_key).cloned()
    }
}

fn locked(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn answer(state: &mut State, request: &Request) -> Response {
    let called = match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/client/register") => "RegisterClient",
        ("POST", "/device_authorization") => "StartDeviceAuthorization",
        ("POST", "/token") => "CreateToken",
        ("GET", "/authorize") => "Authorize",
        ("GET", "/federation/credentials") => "GetRoleCredentials",
        ("GET", "/assignment/accounts") => "ListAccounts",
        ("GET", "/assignment/roles") => "ListAccountRoles",
        ("POST", "/logout") => "Logout",
        ("POST", "/v1/token") => "CreateOAuth2Token",
        ("GET", "/container") => "Container",
        ("GET", "/process") => "Process",
        ("POST", "/") => sts::called(request),
        ("PUT", "/latest/api/token") => "InstanceToken",
        ("GET", "/latest/meta-data/placement/region") => "InstanceRegion",
        ("GET", path) if path.starts_with("/latest/meta-data/iam/security-credentials/") => "Instance",
        _ => return Response::text(404, "no such operation"),
    };
    *state.calls.entry(called.to_owned()).or_default() += 1;
    match called {
        "RegisterClient" => state.register(request),
        "StartDeviceAuthorization" => state.start_device(request),
        "CreateToken" => state.create_token(request),
        "Authorize" => state.authorize(request),
        "CreateOAuth2Token" => state.sign_in_token(request),
        "Container" => state.container(),
        "Process" => state.process(),
        "AssumeRole" => state.assume_role(request),
        "AssumeRoleWithWebIdentity" => state.assume_role_with_web_identity(request),
        "InstanceToken" => {
            let mut response = Response::text(200, "instance-token");
            let name = "x-aws-ec2-metadata-token-ttl-seconds";
            response.headers.push((name.to_owned(), request.header(name).to_owned()));
            response
        }
        "InstanceRegion" => Response::text(200, "eu-west-1"),
        "Instance" => state.instance(request),
        _ => state.portal(called, request),
    }
}

/// As both services write an error: the type in a header, OAuth's own word in the body.
fn refused(status: u16, kind: &str, word: &str) -> Response {
    let body = json!({ "error": word, "error_description": word, "message": word, "__type": kind });
    let mut response = Response::json(status, &body);
    response.headers.push(("x-amzn-ErrorType".to_owned(), kind.to_owned()));
    response
}

impl State {
    fn register(&mut self, request: &Request) -> Response {
        let asked = request.json();
        if asked["clientName"].as_str().is_none() || asked["clientType"] != "public" {
            return refused(400, "InvalidClientMetadataException", "invalid_client_metadata");
        }
        let grants: Vec<String> = asked["grantTypes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        if !grants.is_empty() && asked["redirectUris"][0] != "http://127.0.0.1/oauth/callback" {
            return refused(400, "InvalidRedirectUriException", "invalid_redirect_uri");
        }
        let (id, secret) = (random(16), random(32));
        self.clients.insert(id.clone(), Registered { secret: secret.clone(), grants });
        let now_s = now_ms() / 1_000;
        Response::json(
            200,
            &json!({
                "clientId": id, "clientSecret": secret,
                "clientIdIssuedAt": now_s, "clientSecretExpiresAt": now_s + 90 * 86_400,
            }),
        )
    }

    fn is_client(&self, asked: &Value) -> bool {
        let client = asked["clientId"].as_str().and_then(|id| self.clients.get(id));
        client.is_some_and(|client| asked["clientSecret"] == client.secret.as_str())
    }

    fn start_device(&mut self, request: &Request) -> Response {
        let asked = request.json();
        if !self.is_client(&asked) {
            return refused(401, "InvalidClientException", "invalid_client");
        }
        let (device_code, user_code) = (random(32), format!("{}-{}", random(4), random(4)));
        self.devices.insert(device_code.clone(), Device { user_code: user_code.clone(), is_confirmed: None });
        let start = asked["startUrl"].as_str().unwrap_or_default();
        Response::json(
            200,
            &json!({
                "deviceCode": device_code, "userCode": user_code, "expiresIn": 600, "interval": 1,
                "verificationUri": format!("{start}/#/device"),
                "verificationUriComplete": format!("{start}/#/device?user_code={user_code}"),
            }),
        )
    }

    fn create_token(&mut self, request: &Request) -> Response {
        let asked = request.json();
        if !self.is_client(&asked) {
            return refused(401, "InvalidClientException", "invalid_client");
        }
        let text = |name: &str| asked[name].as_str().unwrap_or_default();
        match text("grantType") {
            DEVICE_GRANT => match self.devices.get(text("deviceCode")).map(|device| device.is_confirmed) {
                Some(None) if std::mem::take(&mut self.slows_down) => {
                    refused(400, "SlowDownException", "slow_down")
                }
                Some(None) => refused(400, "AuthorizationPendingException", "authorization_pending"),
                Some(Some(false)) => refused(400, "AccessDeniedException", "access_denied"),
                Some(Some(true)) => {
                    self.devices.remove(text("deviceCode"));
                    self.token()
                }
                None => refused(400, "ExpiredTokenException", "expired_token"),
            },
            "authorization_code" => match self.codes.remove(text("code")) {
                Some(code)
                    if code.client == text("clientId")
                        && code.redirect == text("redirectUri")
                        && code.challenge == challenge(text("codeVerifier")) =>
                {
                    self.token()
                }
                _ => refused(400, "InvalidGrantException", "invalid_grant"),
            },
            "refresh_token" => {
                let known = self.refresh_tokens.iter().position(|token| token == text("refreshToken"));
                match known {
                    Some(place) => {
                        self.refresh_tokens.remove(place);
                        self.token()
                    }
                    None => refused(400, "InvalidGrantException", "invalid_grant"),
                }
            }
            _ => refused(400, "UnsupportedGrantTypeException", "unsupported_grant_type"),
        }
    }

    fn token(&mut self) -> Response {
        let (access, refresh) = (format!("aoa{}", random(40)), format!("aor{}", random(40)));
        self.tokens.insert(access.clone(), now_ms() + self.token_s * 1_000);
        self.refresh_tokens.push(refresh.clone());
        let body = json!({
            "accessToken": access, "refreshToken": refresh, "tokenType": "Bearer", "expiresIn": self.token_s,
        });
        Response::json(200, &body)
    }

    /// The page of a person who is signed in already: it sends back at once.
    fn authorize(&mut self, request: &Request) -> Response {
        let client = self.clients.get(request.query("client_id"));
        let may =
            client.is_some_and(|client| client.grants.iter().any(|grant| grant == "authorization_code"));
        let redirect = request.query("redirect_uri");
        if !may
            || !redirect.starts_with("http://127.0.0.1:")
            || request.query("code_challenge_method") != "S256"
        {
            return Response::text(400, "refused");
        }
        let code = random(24);
        let authorized = Authorized {
            client: request.query("client_id").to_owned(),
            redirect: redirect.to_owned(),
            challenge: request.query("code_challenge").to_owned(),
        };
        self.codes.insert(code.clone(), authorized);
        Response::redirect(format!("{redirect}?code={code}&state={}", request.query("state")))
    }

    fn portal(&mut self, called: &str, request: &Request) -> Response {
        let token = request.header("x-amz-sso_bearer_token").to_owned();
        if self.tokens.get(&token).is_none_or(|ends_ms| *ends_ms <= now_ms()) {
            return refused(401, "UnauthorizedException", "Session token not found or invalid");
        }
        match called {
            "GetRoleCredentials" if request.query("account_id") != ACCOUNT => {
                refused(403, "ForbiddenException", "No access")
            }
            "GetRoleCredentials" => {
                let (access_key, key) = self.give_out("ASIASSO");
                Response::json(
                    200,
                    &json!({ "roleCredentials": {
                        "accessKeyId": access_key, "secretAccessKey": key.secret,
                        "sessionToken": key.token, "expiration": key.ends_ms,
                    }}),
                )
            }
            "ListAccounts" => Response::json(
                200,
                &json!({ "accountList": [
                    { "accountId": ACCOUNT, "accountName": "lake", "emailAddress": "lake@example.org" },
                ]}),
            ),
            "ListAccountRoles" => {
                let role = |name: &str| json!({ "roleName": name, "accountId": request.query("account_id") });
                Response::json(200, &json!({ "roleList": [role("Loader"), role("ReadOnly")] }))
            }
            _ => {
                self.tokens.remove(&token);
                Response::text(200, "")
            }
        }
    }

    fn give_out(&mut self, start: &str) -> (String, Key) {
        let access_key = format!("{start}{}", random(20 - start.len()));
        let key = Key { secret: random(40), token: random(60), ends_ms: now_ms() + self.key_ms };
        self.keys.insert(access_key.clone(), key.clone());
        (access_key, key)
    }

    fn container(&mut self) -> Response {
        let (access_key, key) = self.give_out("ASIACONT");
        Response::json(200, &given(&access_key, &key))
    }

    /// What a `credential_process` has to write.
    fn process(&mut self) -> Response {
        let (access_key, key) = self.give_out("ASIAPROC");
        let body = json!({
            "Version": 1, "AccessKeyId": access_key, "SecretAccessKey": key.secret, "SessionToken": key.token,
            "Expiration": time_text(key.ends_ms),
        });
        Response::json(200, &body)
    }

    fn instance(&mut self, request: &Request) -> Response {
        if request.header("x-aws-ec2-metadata-token") != "instance-token" {
            return Response::text(401, "no token");
        }
        if request.path.ends_with('/') {
            return Response::text(200, "instance-role");
        }
        let (access_key, key) = self.give_out("ASIAIMDS");
        let mut body = given(&access_key, &key);
        body["Code"] = "Success".into();
        body["Type"] = "AWS-HMAC".into();
        body["LastUpdated"] = time_text(now_ms()).into();
        Response::json(200, &body)
    }

    /// AWS Sign-In's renewal: whoever asks has to prove that he holds the key in the header, for this very address.
    fn sign_in_token(&mut self, request: &Request) -> Response {
        let asked = request.json();
        let address = format!("http://{}/v1/token", request.header("host"));
        if !is_proof(request.header("dpop"), &address) {
            return refused(400, "ValidationException", "invalid DPoP proof");
        }
        if asked["refreshToken"] != "good" {
            let body = json!({ "error": "TOKEN_EXPIRED", "message": "the session has ended" });
            let mut response = Response::json(401, &body);
            response.headers.push(("x-amzn-ErrorType".to_owned(), "AccessDeniedException".to_owned()));
            return response;
        }
        let (access_key, key) = self.give_out("ASIALOGN");
        Response::json(
            200,
            &json!({
                "accessToken": {
                    "accessKeyId": access_key, "secretAccessKey": key.secret, "sessionToken": key.token,
                },
                "tokenType": "aws_sigv4", "expiresIn": self.key_ms / 1_000, "refreshToken": "good",
            }),
        )
    }
}

fn given(access_key: &str, key: &Key) -> Value {
    json!({
        "AccessKeyId": access_key, "SecretAccessKey": key.secret, "Token": key.token,
        "Expiration": time_text(key.ends_ms),
    })
}

/// RFC 9449: a JWT signed by the key that stands in it.
fn is_proof(proof: &str, address: &str) -> bool {
    let parts: Vec<&str> = proof.split('.').collect();
    let [header, payload, signature] = parts[..] else { return false };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    let json = |part: &str| serde_json::from_slice::<Value>(&decoded(part)).unwrap_or_default();
    let (head, claims) = (json(header), json(payload));
    let coordinate = |name: &str| decoded(head["jwk"][name].as_str().unwrap_or_default());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signed = format!("{header}.{payload}");
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    let is_ours = claims["htm"] == "POST" && claims["htu"] == address && claims["jti"].is_string();
    head["typ"] == "dpop+jwt" && is_ours && key.verify(signed.as_bytes(), &decoded(signature)).is_ok()
}

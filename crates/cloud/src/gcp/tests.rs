//! Identities of every kind of file. Tokens come from a scripted token service on this machine, to which the files point:
//! the flow is the real one, only the provider is ours.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use tempfile::TempDir;

use super::*;

/// A token service that answers by the path, and counts.
struct Provider {
    address: String,
    calls: Arc<AtomicUsize>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = request(&mut stream);
                let number = counted.fetch_add(1, SeqCst);
                let (status, body) = answer(&request, number);
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
                     Content-Length: {length}\r\n\r\n{body}"
                )
                .ok();
            }
        });
        Self { address, calls }
    }
}

fn request(stream: &mut std::net::TcpStream) -> String {
    let (mut text, mut bytes) = (String::new(), [0; 4_096]);
    loop {
        let read = stream.read(&mut bytes).unwrap_or(0);
        text += &String::from_utf8_lossy(&bytes[..read]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if read == 0 || body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

fn answer(request: &str, number: usize) -> (&'static str, String) {
    let token = |name: &str| {
        format!("{{\"access_token\":\"{name}-{number}\",\"expires_in\":3600,\"token_type\":\"Bearer\"}}")
    };
    let path = request.split(' ').nth(1).unwrap_or_default();
    match path {
        "/token" if request.contains("\"refresh_token\":\"good\"") => ("200 OK", token("user")),
        "/token" => ("400 Bad Request", "{\"error\":\"invalid_grant\",\"error_description\":\"Token has been expired or revoked.\"}".to_owned()),
        "/sts" if request.contains("subject_token=workload") => {
            let kind = "urn:ietf:params:oauth:token-type:access_token";
            ("200 OK", token("federated").replace('}', &format!(",\"issued_token_type\":\"{kind}\"}}")))
        }
        "/v1/serviceAccounts/loader@lake.test:generateAccessToken" if request.contains("Bearer user-") => {
            ("200 OK", format!("{{\"accessToken\":\"loader-{number}\",\"expireTime\":\"2100-01-01T00:00:00Z\"}}"))
        }
        _ => (
            "403 Forbidden",
            "{\"error\":{\"code\":403,\"message\":\"Permission 'iam.serviceAccounts.getAccessToken' denied\",\"status\":\"PERMISSION_DENIED\"}}".to_owned(),
        ),
    }
}

fn user(provider: &Provider, refresh_token: &str) -> String {
    format!(
        "{{\"type\":\"authorized_user\",\"client_id\":\"c\",\"client_secret\":\"s\",\"refresh_token\":\"{refresh_token}\",\
         \"token_uri\":\"{}/token\",\"quota_project_id\":\"billed\"}}",
        provider.address
    )
}

fn load(folder: &TempDir, json: &str, environment: &[(&str, &str)]) -> Result<Arc<Identity>, Error> {
    let path = folder.path().join("credentials.json");
    fs::write(&path, json).unwrap();
    let named = path.to_str().unwrap();
    Identity::find(&Options::default(), &|name| {
        let given = environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        given.or_else(|| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| named.to_owned()))
    })
}

#[tokio::test]
async fn a_key_may_be_given_without_a_file_and_is_not_printed() {
    let provider = Provider::start();
    let find = |json: &str| {
        let options = Options { credentials_json: Some(Secret::new(json)), ..Options::default() };
        Identity::find(&options, &|name| {
            (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| "/no/such/file".to_owned())
        })
    };
    let identity = find(&user(&provider, "good")).unwrap();
    assert_eq!((identity.summary().kind, identity.summary().file.clone()), ("user", None));
    assert_eq!(token(&identity).await, "user-0");
    let error = find("{\"private_key\":\"hunter2\"}").unwrap_err();
    assert!(
        matches!(&error, Error::GoogleCredentialsFailed { who, .. } if who == "the key of the connection")
    );
    assert!(!line(&error).contains("hunter2") && !format!("{identity:?}").contains("secret"), "{identity:?}");
}

async fn token(identity: &Identity) -> String {
    identity.token().await.unwrap().reveal().to_owned()
}

#[tokio::test]
async fn a_persons_sign_in_gives_tokens_and_a_quota_project() {
    let (folder, provider) = (tempfile::tempdir().unwrap(), Provider::start());
    let identity = load(&folder, &user(&provider, "good"), &[]).unwrap();
    assert_eq!(identity.summary().kind, "user");
    assert_eq!((identity.quota_project(), identity.project()), (Some("billed"), Some("billed")));
    assert_eq!(token(&identity).await, "user-0");
    assert_eq!(token(&identity).await, "user-0");
    assert_eq!(provider.calls.load(SeqCst), 1, "a token is kept until it ends");
    assert_eq!(identity.get_credential().await.unwrap().bearer, "user-0");
    let elsewhere = [
        ("GOOGLE_CLOUD_QUOTA_PROJECT", "other"),
        ("GOOGLE_CLOUD_PROJECT", "lake"),
        ("CLOUDSDK_CONFIG", "/nowhere"),
    ];
    let identity = load(&folder, &user(&provider, "good"), &elsewhere).unwrap();
    assert_eq!((identity.quota_project(), identity.project()), (Some("other"), Some("lake")));
}

#[tokio::test]
async fn an_expired_sign_in_says_how_to_renew_it_and_a_renewed_one_is_taken() {
    let (folder, provider) = (tempfile::tempdir().unwrap(), Provider::start());
    let identity = load(&folder, &user(&provider, "old"), &[]).unwrap();
    let error = identity.token().await.unwrap_err();
    assert!(matches!(&error, Error::GoogleSignInExpired { login, .. } if login == LOGIN), "{}", line(&error));
    fs::write(folder.path().join("credentials.json"), user(&provider, "good")).unwrap();
    assert!(token(&identity).await.starts_with("user-"));
}

#[tokio::test]
async fn a_service_account_signs_its_own_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-out", key.to_str().unwrap()])
        .status();
    if !made.is_ok_and(|status| status.success()) {
        testkit::absent::<()>("openssl");
        return;
    }
    let json = serde_json::json!({
        "type": "service_account", "project_id": "lake", "private_key_id": "1",
        "private_key": fs::read_to_string(&key).unwrap(), "client_email": "writer@lake.test",
    });
    let identity = load(&folder, &json.to_string(), &[]).unwrap();
    assert_eq!(identity.summary().account.as_deref(), Some("writer@lake.test"));
    assert_eq!(token(&identity).await.split('.').count(), 3, "a signed JWT");
}

#[tokio::test]
async fn acting_as_a_service_account_is_a_second_exchange() {
    let (folder, provider) = (tempfile::tempdir().unwrap(), Provider::start());
    let url =
        |account: &str| format!("{}/v1/serviceAccounts/{account}:generateAccessToken", provider.address);
    let json = |account: &str| {
        let source = user(&provider, "good");
        format!(
            "{{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":\"{}\",\"source_credentials\":{source}}}",
            url(account)
        )
    };
    let identity = load(&folder, &json("loader@lake.test"), &[]).unwrap();
    assert_eq!(identity.summary().account.as_deref(), Some("loader@lake.test"));
    assert!(token(&identity).await.starts_with("loader-"));
    let identity = load(&folder, &json("stranger@lake.test"), &[]).unwrap();
    let error = identity.token().await.unwrap_err();
    assert!(matches!(error, Error::ImpersonationRefused { .. }), "{}", line(&error));
}

#[tokio::test]
async fn workload_identity_exchanges_a_file_of_the_workload() {
    let (folder, provider) = (tempfile::tempdir().unwrap(), Provider::start());
    let subject = folder.path().join("token");
    fs::write(&subject, "workload").unwrap();
    let json = serde_json::json!({
        "type": "external_account", "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/sts", provider.address), "credential_source": { "file": subject },
    });
    let identity = load(&folder, &json.to_string(), &[]).unwrap();
    assert_eq!(identity.summary().kind, "workload identity");
    assert!(token(&identity).await.starts_with("federated-"));
}

#[tokio::test]
async fn what_is_no_credentials_file_is_refused_and_a_dead_service_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for json in ["", "{}", "[1]"] {
        assert!(matches!(load(&folder, json, &[]), Err(Error::GoogleCredentialsFailed { .. })), "{json}");
    }
    let gone =
        Identity::find(&Options { credentials: Some("/no/such/file".into()), ..Options::default() }, &|_| {
            None
        });
    assert!(matches!(gone, Err(Error::GoogleCredentialsFailed { .. })));
    let dead = Provider { address: "http://127.0.0.1:1".to_owned(), calls: Arc::default() };
    let error = load(&folder, &user(&dead, "good"), &[]).unwrap().token().await.unwrap_err();
    assert!(matches!(error, Error::TokenUnreachable { .. }), "{}", line(&error));
    let unknown = load(&folder, "{\"type\":\"magic\"}", &[]).unwrap().token().await.unwrap_err();
    assert!(matches!(unknown, Error::GoogleCredentialsFailed { .. }), "{}", line(&unknown));
}

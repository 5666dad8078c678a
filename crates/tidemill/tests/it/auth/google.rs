//! Google's identities: our sign-in read by Google's own library, and every kind of file as both see it.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use serde_json::{Value, json};
use testkit::{Google, World, browse};

use super::{Going, address, start};
use crate::{shared::world, snapshot};

const ADC: &str = ".config/gcloud/application_default_credentials.json";

/// What google-auth makes of the environment: the kind of credentials, the project, the quota project, and whose token it gets by
/// the same service. It insists on Google's own addresses for a person's sign-in and for acting as an account, so those are led away.
const GOOGLE_AUTH: &str = r#"
import sys, warnings
warnings.simplefilter("ignore")
import google.auth, google.auth.iam, google.auth.transport.requests, google.oauth2.credentials as user, requests
user._GOOGLE_OAUTH2_TOKEN_ENDPOINT = sys.argv[1] + "/token"
google.auth.iam._IAM_ENDPOINT = sys.argv[1] + "/v1/projects/-/serviceAccounts/{}:generateAccessToken"
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
credentials.refresh(google.auth.transport.requests.Request())
told = requests.post(sys.argv[1] + "/tokeninfo", data={"access_token": credentials.token}).json()
print(type(credentials).__module__.split(".")[-1], project, credentials.quota_project_id, told.get("email"), sep="|")
"#;

pub(super) struct Home {
    pub world: World,
    pub google: Google,
}

impl Home {
    pub fn new() -> Self {
        let home = Self { world: world(), google: Google::start() };
        home.world.write("client.json", home.google.client_file());
        home
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        command.env("GCE_METADATA_HOST", self.google.endpoint.trim_start_matches("http://"));
        // gcloud's own name for where the browser goes.
        command.env("CLOUDSDK_AUTH_AUTH_HOST", format!("{}/o/oauth2/auth", self.google.endpoint));
        command
    }

    fn run(&self, args: &[&str], variables: &[(&str, &str)]) -> testkit::Ran {
        testkit::ran(self.command(args).envs(variables.iter().copied()), 60)
    }

    /// Signs in in the browser, with these flags; what it said, and how it ended.
    pub fn sign_in(&self, flags: &[&str], code: i32) -> String {
        let going: Going = start(&self.world, self.command(&[&["auth", "login", "gcp"], flags].concat()));
        let url = going.said("the address", |text| address(text, "/o/oauth2/auth"));
        browse(&url);
        going.ended(code)
    }

    /// Files of the kinds that nobody signs in with: a service account's key, workload identity, and acting as an account by
    /// the sign-in that is there.
    pub fn files(&self) -> Option<[String; 3]> {
        let endpoint = &self.google.endpoint;
        let mut made = Command::new("openssl");
        made.args(["genpkey", "-quiet", "-algorithm", "RSA"]);
        let Ok(key) = made.output() else { return testkit::absent("openssl") };
        let service_account = json!({
            "type": "service_account", "project_id": "lake", "private_key_id": "1",
            "private_key": String::from_utf8(key.stdout).unwrap(), "client_email": "writer@lake.example.org",
            "client_id": "1", "token_uri": format!("{endpoint}/token"),
        });
        let workload = json!({
            "type": "external_account", "audience": "//iam.googleapis.com/pool",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": format!("{endpoint}/sts"),
            "credential_source": { "file": self.world.write("subject", "workload") },
        });
        let impersonated = json!({
            "type": "impersonated_service_account", "source_credentials": self.adc(),
            "service_account_impersonation_url": format!("{endpoint}/v1/projects/-/serviceAccounts/loader@lake.example.org:generateAccessToken"),
        });
        let write = |name: &str, json: &Value| {
            self.world.write(name, json.to_string()).to_string_lossy().into_owned()
        };
        Some([
            write("service.json", &service_account),
            write("workload.json", &workload),
            write("impersonated.json", &impersonated),
        ])
    }

    fn google_auth(&self, variables: &[(&str, &str)]) -> Option<String> {
        let python = testkit::venv_python("identities")?;
        let mut command = Command::new(python);
        command.args(["-c", GOOGLE_AUTH, &self.google.endpoint]).env_clear().env("HOME", self.world.folder());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let host = self.google.endpoint.trim_start_matches("http://");
        // Its first look at a metadata server is at an address, and not at the host.
        command.envs([("GCE_METADATA_HOST", host), ("GCE_METADATA_IP", host)]);
        Some(testkit::ran(command.envs(variables.iter().copied()), 60).expect_success())
    }

    pub fn adc(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.world.path(ADC)).unwrap()).unwrap()
    }
}

fn snapshot(home: &Home, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(state|code_challenge)=[\w-]+", "$1=[RANDOM]");
    settings.add_filter(r"127\.0\.0\.1%3A\d+", "127.0.0.1%3A[PORT]");
    settings.add_filter(r"\b\d+ minutes", "[MINUTES] minutes");
    settings.add_filter(r"(ya29|1//)[.\w]+", "[TOKEN]");
    // Columns are as wide as paths and ports are long.
    settings.add_filter(r"(\S) {2,}", "$1  ");
    settings.bind(|| snapshot!(&home.world, name, text));
}

#[test]
fn a_sign_in_writes_the_file_that_googles_library_reads() {
    let home = Home::new();
    snapshot(
        &home,
        "login",
        &home.sign_in(&["--client-id-file", "client.json", "--quota-project", "billed"], 0),
    );
    let mode = fs::metadata(home.world.path(ADC)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let adc = home.adc();
    let mut keys: Vec<&str> = adc.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    // gcloud's, and the token service, which is not Google's here.
    let gclouds = [
        "account",
        "client_id",
        "client_secret",
        "quota_project_id",
        "refresh_token",
        "token_uri",
        "type",
        "universe_domain",
    ];
    assert_eq!(keys, gclouds);
    if let Some(said) = home.google_auth(&[]) {
        assert_eq!(said, "credentials|None|billed|ada@example.org\n");
    }
    snapshot(&home, "status signed in", &home.run(&["auth", "status", "gcp"], &[]).shown());
    let env = home.run(&["auth", "env", "gcp", "--format", "json"], &[]).expect_success();
    assert!(env.contains("GOOGLE_OAUTH_ACCESS_TOKEN"), "{env}");
    // The next sign-in knows the client and the quota project.
    let before = adc["refresh_token"].clone();
    home.sign_in(&[], 0);
    let after = home.adc();
    assert_ne!(after["refresh_token"], before);
    assert_eq!(
        (&after["client_id"], &after["quota_project_id"]),
        (&adc["client_id"], &adc["quota_project_id"])
    );
    let token = after["refresh_token"].as_str().unwrap();
    assert!(home.google.is_known(token));
    let out = home.run(&["auth", "logout", "gcp"], &[]).expect_success();
    assert!(out.ends_with("signed out\n"), "{out}");
    assert!(!home.google.is_known(token) && !home.world.path(ADC).exists());
}

/// gcloud's client is taken where the person says so, and not before.
#[test]
fn gclouds_own_client_is_taken_when_it_is_asked_for() {
    let home = Home::new();
    let mut all = home.run(&["auth", "login", "gcp", "--gcloud-client"], &[]).expect_code(3).shown();
    let client: Value = serde_json::from_str(&home.google.client_file()).unwrap();
    let installed = &client["installed"];
    // As `gcloud auth login` leaves it.
    let legacy = json!({ "client_id": installed["client_id"], "client_secret": installed["client_secret"],
        "refresh_token": "1//theirs", "type": "authorized_user", "token_uri": installed["token_uri"] });
    let path = ".config/gcloud/legacy_credentials/ada@example.org/adc.json";
    home.world.write(path, legacy.to_string());
    all += &home.run(&["auth", "login", "gcp"], &[]).expect_code(3).shown();
    assert!(!home.world.path(ADC).exists());
    home.sign_in(&["--gcloud-client"], 0);
    let adc = home.adc();
    assert_eq!(adc["client_id"], installed["client_id"]);
    assert_ne!(adc["refresh_token"], legacy["refresh_token"]);
    assert_eq!(fs::read_to_string(home.world.path(path)).unwrap(), legacy.to_string());
    snapshot(&home, "gclouds client", &all);
}

#[test]
fn a_sign_in_that_is_refused_or_has_ended_is_told() {
    let home = Home::new();
    let mut all = home.run(&["auth", "login", "gcp"], &[]).expect_code(3).shown();
    all +=
        &home.run(&["auth", "login", "gcp", "--client-id-file", "tidemill.yaml"], &[]).expect_code(3).shown();
    home.sign_in(&["--client-id-file", "client.json"], 0);
    home.google.forget();
    all += &home.run(&["auth", "status", "gcp"], &[]).expect_code(4).shown();
    home.google.say_no();
    all += &home.sign_in(&[], 4);
    home.world.write(ADC, "{\"type\":\"service_account\",\"client_email\":\"a@b\"}");
    all +=
        &home.run(&["auth", "login", "gcp", "--client-id-file", "client.json"], &[]).expect_code(3).shown();
    all += &home.run(&["auth", "logout", "gcp"], &[]).expect_code(3).shown();
    all += &home
        .run(
            &["auth", "env", "gcp", "--format", "credential-process"],
            &[("GOOGLE_APPLICATION_CREDENTIALS", "nowhere.json")],
        )
        .shown();
    snapshot(&home, "sign-ins that are not", &all);
}

/// Each kind of file: what status says of it, and that Google's library is the same one.
#[test]
fn every_kind_of_file_is_who_googles_library_says() {
    let home = Home::new();
    home.sign_in(&["--client-id-file", "client.json"], 0);
    let Some([service_account, workload, impersonated]) = home.files() else { return };
    let files = [
        ("service account", service_account, "service_account|lake|None|"),
        ("workload identity", workload, "identity_pool|None|None|principal://workload"),
        ("impersonated account", impersonated, "impersonated_credentials|None|None|loader@lake.example.org"),
    ];
    let mut all = String::new();
    for (kind, path, wanted) in &files {
        let variables = [("GOOGLE_APPLICATION_CREDENTIALS", path.as_str())];
        all += &home.run(&["auth", "status", "gcp"], &variables).expect_code(0).shown();
        if let Some(said) = home.google_auth(&variables) {
            assert!(said.starts_with(wanted), "{kind}: {said}");
        }
    }
    fs::remove_file(home.world.path(ADC)).unwrap();
    all += &home
        .run(&["auth", "status", "gcp"], &[("GOOGLE_CLOUD_QUOTA_PROJECT", "billed")])
        .expect_code(0)
        .shown();
    if let Some(said) = home.google_auth(&[]) {
        assert!(said.starts_with("credentials|lake|None|machine@lake.example.org"), "{said}");
    }
    snapshot(&home, "status of every kind", &all);
}

//! Each source of AWS's chain against those that it hides or is hidden by: `auth status` says who wins, and ours, boto3 and the
//! aws command line get that one's keys.

use std::process::Command;

use serde_json::{Value, json};

use super::Home;
use crate::snapshot;

/// One way to set things up.
struct Case {
    name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    config: &'static str,
    credentials: &'static str,
    /// `--profile`
    flag: Option<&'static str>,
    /// The winner as we call it, and as botocore does.
    wins: (&'static str, &'static str),
    /// How its keys begin.
    key: &'static str,
    /// How those of boto3 begin, where it is known to be of another opinion.
    key_boto3: Option<&'static str>,
}

const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT00001"), ("AWS_SECRET_ACCESS_KEY", "environment-secret")];
const NOTHING: Case = Case {
    name: "",
    variables: &[],
    config: "",
    credentials: "",
    flag: None,
    wins: ("", ""),
    key: "",
    key_boto3: None,
};
const WORK_KEYS: &str =
    "[work]\naws_access_key_id = AKIACREDENTIALS00001\naws_secret_access_key = credentials-secret\n";
const CONFIG_KEYS: &str =
    "[profile work]\naws_access_key_id = AKIACONFIGURATION001\naws_secret_access_key = config-secret\n";
const SSO: &str = "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n\
    [profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Loader\n";
const LEGACY: &str = "[profile legacy]\nsso_start_url = https://corp.awsapps.com/legacy\nsso_region = eu-west-1\n\
    sso_account_id = 123456789012\nsso_role_name = Loader\n";
const LOGIN: &str = "[profile work]\nlogin_session = arn:aws:iam::123456789012:user/ada\n";
const WORK: (&str, &str) = ("AWS_PROFILE", "work");
const WEB: [(&str, &str); 2] = [
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "[HOME]/web-token"),
    ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/Web"),
];

const VARIABLES_AND_ROLES: &[Case] = &[
    Case {
        name: "keys of the environment",
        variables: &KEYS,
        wins: ("environment keys", "env"),
        key: "AKIAENV",
        ..NOTHING
    },
    Case {
        name: "keys of the environment over AWS_PROFILE",
        variables: &[KEYS[0], KEYS[1], WORK],
        credentials: WORK_KEYS,
        wins: ("environment keys", "env"),
        key: "AKIAENV",
        ..NOTHING
    },
    Case {
        name: "--profile over keys of the environment",
        variables: &KEYS,
        credentials: WORK_KEYS,
        flag: Some("work"),
        wins: ("credentials file", "shared-credentials-file"),
        key: "AKIACRED",
        ..NOTHING
    },
    Case {
        name: "AWS_DEFAULT_PROFILE alone",
        variables: &[("AWS_DEFAULT_PROFILE", "work")],
        credentials: WORK_KEYS,
        wins: ("credentials file", "shared-credentials-file"),
        key: "AKIACRED",
        ..NOTHING
    },
    Case {
        name: "AWS_PROFILE over AWS_DEFAULT_PROFILE, but for boto3",
        variables: &[("AWS_DEFAULT_PROFILE", "other"), WORK],
        credentials: WORK_KEYS,
        config: "[profile other]\naws_access_key_id = AKIAOTHER00000000001\naws_secret_access_key = other-secret\n",
        wins: ("credentials file", "config-file"),
        key: "AKIACRED",
        key_boto3: Some("AKIAOTHER"),
        ..NOTHING
    },
    Case {
        name: "a role with another profile's keys",
        variables: &[("AWS_PROFILE", "lake")],
        config: "[profile lake]\nrole_arn = arn:aws:iam::123456789012:role/Lake\nsource_profile = work\n",
        credentials: WORK_KEYS,
        wins: ("assumed role", "assume-role"),
        key: "ASIA",
        ..NOTHING
    },
    Case {
        name: "a role with the profile's own keys",
        variables: &[("AWS_PROFILE", "work")],
        config: "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/Lake\nsource_profile = work\n",
        credentials: WORK_KEYS,
        wins: ("assumed role", "assume-role"),
        key: "ASIA",
        ..NOTHING
    },
    Case {
        name: "a role with keys of the environment",
        variables: &KEYS,
        config: "[profile lake]\nrole_arn = arn:aws:iam::123456789012:role/Lake\ncredential_source = Environment\n",
        flag: Some("lake"),
        wins: ("assumed role", "assume-role"),
        key: "ASIA",
        ..NOTHING
    },
    Case {
        name: "a role by a role by SSO",
        variables: &[("AWS_PROFILE", "lake")],
        config: "[profile lake]\nrole_arn = arn:aws:iam::123456789012:role/Lake\nsource_profile = middle\n\
                [profile middle]\nrole_arn = arn:aws:iam::123456789012:role/Middle\nsource_profile = legacy\n\
                [profile legacy]\nsso_start_url = https://corp.awsapps.com/legacy\nsso_region = eu-west-1\n\
                sso_account_id = 123456789012\nsso_role_name = Loader\n",
        wins: ("assumed role", "assume-role"),
        key: "ASIA",
        ..NOTHING
    },
    Case {
        name: "a role over a web identity of the environment",
        variables: &[WEB[0], WEB[1], ("AWS_PROFILE", "lake")],
        config: "[profile lake]\nrole_arn = arn:aws:iam::123456789012:role/Lake\nsource_profile = work\n",
        credentials: WORK_KEYS,
        wins: ("assumed role", "assume-role"),
        key: "ASIA",
        ..NOTHING
    },
    Case {
        name: "a web identity of the environment over a profile's keys",
        variables: &[WEB[0], WEB[1], WORK],
        credentials: WORK_KEYS,
        wins: ("web identity", "assume-role-with-web-identity"),
        key: "ASIA",
        ..NOTHING
    },
    Case {
        name: "a web identity of a profile",
        variables: &[WORK],
        config: "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/Web\nweb_identity_token_file = [HOME]/web-token\n",
        wins: ("web identity", "assume-role-with-web-identity"),
        key: "ASIA",
        ..NOTHING
    },
];

const FILES_AND_SERVICES: &[Case] = &[
    Case {
        name: "SSO over the same profile's keys",
        variables: &[WORK],
        config: SSO,
        credentials: WORK_KEYS,
        wins: ("SSO", "sso"),
        key: "ASIASSO",
        ..NOTHING
    },
    Case {
        name: "SSO without a session",
        variables: &[("AWS_PROFILE", "legacy")],
        config: LEGACY,
        wins: ("SSO", "sso"),
        key: "ASIASSO",
        ..NOTHING
    },
    Case {
        name: "the credentials file over login session and process",
        variables: &[WORK],
        config: "[profile work]\nlogin_session = arn:aws:iam::123456789012:user/ada\ncredential_process = /bin/sh [HOME]/process.sh\n",
        credentials: WORK_KEYS,
        wins: ("credentials file", "shared-credentials-file"),
        key: "AKIACRED",
        ..NOTHING
    },
    Case {
        name: "the credentials file over the config file",
        variables: &[WORK],
        config: CONFIG_KEYS,
        credentials: WORK_KEYS,
        wins: ("credentials file", "shared-credentials-file"),
        key: "AKIACRED",
        ..NOTHING
    },
    Case {
        name: "a login session, renewed",
        variables: &[WORK],
        config: LOGIN,
        wins: ("login session", "login"),
        key: "ASIALOGN",
        ..NOTHING
    },
    Case {
        name: "a login session over a process",
        variables: &[WORK],
        config: "[profile work]\nlogin_session = arn:aws:iam::123456789012:user/grace\ncredential_process = /bin/sh [HOME]/process.sh\n",
        wins: ("login session", "login"),
        key: "ASIAGRACE",
        ..NOTHING
    },
    Case {
        name: "a process over the config file's keys",
        variables: &[WORK],
        config: "[profile work]\naws_access_key_id = AKIACONFIGURATION001\naws_secret_access_key = config-secret\n\
                credential_process = /bin/sh [HOME]/process.sh\n",
        wins: ("credential process", "custom-process"),
        key: "ASIAPROC",
        ..NOTHING
    },
    Case {
        name: "the config file's keys over a container",
        variables: &[WORK, ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "[START]/container")],
        config: CONFIG_KEYS,
        wins: ("config file", "config-file"),
        key: "AKIACONF",
        ..NOTHING
    },
    Case {
        name: "a container over the instance",
        variables: &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "[START]/container"),
            ("AWS_EC2_METADATA_DISABLED", "false"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "[START]"),
        ],
        wins: ("container", "container-role"),
        key: "ASIACONT",
        ..NOTHING
    },
    Case {
        name: "the instance",
        variables: &[
            ("AWS_EC2_METADATA_DISABLED", "false"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "[START]"),
        ],
        wins: ("instance metadata", "iam-role"),
        key: "ASIAIMDS",
        ..NOTHING
    },
];

/// One process for all cases: each is a session of its own with an environment of its own.
const BOTO3: &str = r#"
import json, os, sys
import botocore.session
for case in json.load(open(sys.argv[1])):
    os.environ.clear(); os.environ.update(case["environment"])
    session = botocore.session.Session(profile=case["flag"])
    credentials = session.get_credentials()
    print(json.dumps([credentials.method, credentials.get_frozen_credentials().access_key]))
"#;

const PROCESS_SH: &str = "echo '{\"Version\":1,\"AccessKeyId\":\"ASIAPROCESS000000001\",\"SecretAccessKey\":\"p\",\
    \"SessionToken\":\"t\",\"Expiration\":\"2100-01-01T00:00:00Z\"}'\n";

/// A home in which everything is set up that the cases lead to.
fn home() -> Option<Home> {
    testkit::moto()?;
    let home = Home::new(&format!("{SSO}{LEGACY}"));
    home.world.write("process.sh", PROCESS_SH);
    home.world.write("web-token", "a.web.token");
    home.sign_in_by_device(&["--sso-session", "corp"]);
    home.sign_in_by_device(&["--profile", "legacy"]);
    // One session that has to be renewed, and one that need not.
    let sessions = [
        ("ada", "ASIAOLDLOGIN00000001", "2020-01-01T00:00:00Z"),
        ("grace", "ASIAGRACE00000000001", "2100-01-01T00:00:00Z"),
    ];
    leave_login_sessions(&home, &sessions)?;
    Some(home)
}

/// What `aws login` leaves: of whom, the access key, and when that ends.
pub(super) fn leave_login_sessions(home: &Home, sessions: &[(&str, &str, &str)]) -> Option<()> {
    let made = Command::new("openssl").args(["ecparam", "-name", "prime256v1", "-genkey", "-noout"]).output();
    let Ok(made) = made else { return testkit::absent("openssl") };
    let key = String::from_utf8(made.stdout).unwrap();
    for (name, access_key, ends) in sessions {
        let session = format!("arn:aws:iam::123456789012:user/{name}");
        let token = json!({
            "accessToken": {
                "accessKeyId": access_key, "secretAccessKey": "s", "sessionToken": "t",
                "accountId": "123456789012", "expiresAt": ends,
            },
            "tokenType": "aws_sigv4", "refreshToken": "good", "clientId": "arn:aws:signin:::devtools/same-device",
            "dpopKey": key,
        });
        let name = format!(".aws/login/cache/{}.json", sha256(&session));
        home.world.write(&name, token.to_string());
    }
    Some(())
}

fn sha256(text: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("printf %s '{text}' | sha256sum")]);
    testkit::ran(&mut command, 10).expect_success().split_whitespace().next().unwrap().to_owned()
}

impl Case {
    /// Its files, and the variables that name them.
    fn write(&self, home: &Home, number: usize) -> Vec<(String, String)> {
        let file = |name: &str, text: &str| {
            home.world
                .write(&format!("cases/{number}/{name}"), home.filled(text))
                .to_string_lossy()
                .into_owned()
        };
        let mut variables = vec![
            ("AWS_CONFIG_FILE".to_owned(), file("config", self.config)),
            ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), file("credentials", self.credentials)),
        ];
        variables.extend(self.variables.iter().map(|(name, value)| ((*name).to_owned(), home.filled(value))));
        variables
    }
}

#[test]
fn status_says_who_wins_and_boto3_the_aws_cli_and_we_are_that_one() {
    let Some(python) = testkit::venv_python("identities") else { return };
    let (Some(home), aws) = (home(), testkit::aws_cli_2()) else { return };
    let cases: Vec<&Case> = VARIABLES_AND_ROLES.iter().chain(FILES_AND_SERVICES).collect();
    let mut told: Vec<Value> = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let variables = case.write(&home, number);
        let flag: Vec<&str> = case.flag.iter().flat_map(|flag| ["--profile", flag]).collect();
        let run = |args: &[&str]| {
            let mut command = home.tidemill(&[args, &flag[..]].concat());
            command.envs(variables.clone());
            command
        };
        let status = home.status(run(&["auth", "status", "aws", "--output", "json"]));
        assert_eq!(status["clouds"][0]["winner"], case.wins.0, "{}: {status:#}", case.name);
        assert_eq!(status["error"], Value::Null, "{}: {status:#}", case.name);
        let ours =
            testkit::ran(&mut run(&["auth", "env", "--format", "credential-process"]), 60).expect_success();
        let key = |text: &str| serde_json::from_str::<Value>(text).unwrap()["AccessKeyId"].clone();
        assert!(key(&ours).as_str().unwrap().starts_with(case.key), "{}: {ours}", case.name);
        if let Some(aws) = &aws {
            let mut command = home.other(aws, &[&["configure", "export-credentials"], &flag[..]].concat());
            let theirs = testkit::ran(command.envs(variables.clone()), 60);
            assert_eq!(theirs.code, Some(0), "{}: {}", case.name, theirs.shown());
            let theirs = theirs.stdout;
            assert!(key(&theirs).as_str().unwrap().starts_with(case.key), "{}: aws: {theirs}", case.name);
        }
        let mut environment: serde_json::Map<String, Value> = home
            .other(&python, &[])
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.into())))
            .collect();
        environment.extend(variables.into_iter().map(|(name, value)| (name, value.into())));
        told.push(json!({ "environment": environment, "flag": case.flag }));
    }
    let file = home.world.write("cases.json", Value::from(told).to_string());
    // It looks for its caches in the home folder that it was started with.
    let mut command = home.other(&python, &["-c", BOTO3, &file.to_string_lossy()]);
    let said = testkit::ran(&mut command, 120).expect_success();
    let said: Vec<(String, String)> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), cases.len());
    for (case, (method, key)) in cases.iter().zip(&said) {
        assert_eq!(method, case.wins.1, "{}: botocore", case.name);
        let wanted = case.key_boto3.unwrap_or(case.key);
        assert!(key.starts_with(wanted), "{}: botocore: {key}", case.name);
    }
}

#[test]
fn status_shows_every_source_with_its_file_and_line() {
    let Some(home) = home() else { return };
    let shown = [
        "keys of the environment over AWS_PROFILE",
        "a role by a role by SSO",
        "a login session, renewed",
        "a container over the instance",
    ];
    let cases = VARIABLES_AND_ROLES.iter().chain(FILES_AND_SERVICES).enumerate();
    for (number, case) in cases.filter(|(_, case)| shown.contains(&case.name)) {
        let variables = case.write(&home, number);
        let mut command = home.tidemill(&["auth", "status", "aws"]);
        let ran = testkit::ran(command.envs(variables), 60);
        snapshot(&home, &format!("status {}", case.name), &ran.shown());
    }
}

/// With what is different in each run taken out: the times, keys that were given out, minutes.
fn snapshot(home: &Home, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b\d+ minutes", "[MINUTES] minutes");
    settings.add_filter(r"tidemill-\d{6,}|botocore-session-\d+", "[SESSION]");
    // Columns are as wide as paths and ports are long.
    settings.add_filter(r"(\S) {2,}", "$1  ");
    settings.bind(|| snapshot!(&home.world, name, text));
}

#[test]
fn what_is_set_up_wrongly_is_told_with_its_line() {
    let Some(home) = home() else { return };
    let cases: [(&str, &str, &[&str]); 9] = [
        ("no such profile", "", &["--profile", "nope"]),
        (
            "both sources",
            "[profile a]\nrole_arn = r\nsource_profile = b\ncredential_source = Environment\n",
            &["--profile", "a"],
        ),
        ("no source", "[profile a]\nregion = x\nrole_arn = r\n", &["--profile", "a"]),
        ("source nowhere", "[profile a]\nrole_arn = r\nsource_profile = b\n", &["--profile", "a"]),
        (
            "circle",
            "[profile a]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = r\nsource_profile = a\n",
            &["--profile", "a"],
        ),
        ("unknown source", "[profile a]\nrole_arn = r\ncredential_source = Magic\n", &["--profile", "a"]),
        ("half a key", "[profile a]\naws_access_key_id = AKIA\n", &["--profile", "a"]),
        (
            "session nowhere",
            "[profile a]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n",
            &["--profile", "a"],
        ),
        (
            "code wanted",
            "[profile a]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = b\nmfa_serial = arn:aws:iam::1:mfa/ada\n\
             [profile b]\naws_access_key_id = AKIA\naws_secret_access_key = s\n",
            &["--profile", "a"],
        ),
    ];
    let mut all = String::new();
    for (name, config, args) in cases {
        home.world.write(".aws/config", config);
        let mut command = home.tidemill(&[&["auth", "env"], args].concat());
        let ran = testkit::ran(&mut command, 60);
        assert!(ran.code != Some(0), "{name}");
        all += &format!("{name}: {}\n", ran.shown());
    }
    home.world.write(".aws/config", "");
    let mut command = home.tidemill(&["auth", "env"]);
    command.envs([KEYS[0], KEYS[1], ("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")]);
    all += &format!("ended: {}", testkit::ran(&mut command, 60).expect_code(4).shown());
    snapshot(&home, "wrong", &all);
}

#[test]
fn credentials_are_handed_on_only_on_request() {
    let Some(home) = home() else { return };
    let secret = "it's $ecret \"quoted\"";
    let with = |args: &[&str]| {
        let mut command = home.tidemill(args);
        command.envs([("AWS_ACCESS_KEY_ID", "AKIAHANDEDON00000001"), ("AWS_SECRET_ACCESS_KEY", secret)]);
        command.envs([("AWS_SESSION_TOKEN", "token"), ("AWS_REGION", "eu-west-1"), ("AWS_PROFILE", "work")]);
        testkit::ran(&mut command, 60).expect_success()
    };
    for format in ["shell", "dotenv", "json", "credential-process"] {
        snapshot(&home, &format!("env {format}"), &with(&["auth", "env", "--format", format]));
    }
    let file = home.world.write("env.sh", with(&["auth", "env"]));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!(". {}; printf %s \"$AWS_SECRET_ACCESS_KEY\"", file.display())]);
    assert_eq!(testkit::ran(&mut shell, 10).expect_success(), secret);
    let script =
        "printf '%s|%s|%s' \"$AWS_SECRET_ACCESS_KEY\" \"$AWS_SESSION_TOKEN\" \"${AWS_PROFILE-none}\"";
    assert_eq!(with(&["auth", "exec", "--", "sh", "-c", script]), format!("{secret}|token|none"));
    let mut command = home.tidemill(&["auth", "exec", "--", "sh", "-c", "exit 42"]);
    command.envs(KEYS);
    testkit::ran(&mut command, 60).expect_code(42);
    let shown =
        [with(&["auth", "status", "aws"]), with(&["auth", "status", "aws", "--output", "json", "-vvv"])]
            .concat();
    assert!(!shown.contains("ecret \\\"") && !shown.contains(secret), "{shown}");
}

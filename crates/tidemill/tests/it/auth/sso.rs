//! Signing in to AWS, by us and by the real aws command line, each seen by the other and by boto3.

use std::{fs, path::Path};

use serde_json::Value;
use testkit::browse;

use super::{Going, Home, address, word_after};
use crate::snapshot;

const CONFIG: &str = "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n\
    sso_registration_scopes = sso:account:access\n\
    [profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Loader\nregion = eu-west-1\n\
    [profile legacy]\nsso_start_url = https://corp.awsapps.com/legacy\nsso_region = eu-west-1\nsso_account_id = 123456789012\nsso_role_name = Loader\n\
    [profile lake]\nrole_arn = arn:aws:iam::123456789012:role/Lake\nsource_profile = work\n\
    [profile keys]\naws_access_key_id = AKIA\naws_secret_access_key = s\n";

/// What boto3 gets for a profile: the access key, and who STS says that it is.
const BOTO3: &str = "import boto3, os, sys\n\
    session = boto3.Session(profile_name=sys.argv[1], region_name='eu-west-1')\n\
    print(session.get_credentials().get_frozen_credentials().access_key, session.client('sts').get_caller_identity()['Arn'])\n";

fn boto3(home: &Home, profile: &str) -> Option<String> {
    let python = testkit::venv_python("identities")?;
    let mut command = home.other(&python, &["-c", BOTO3, profile]);
    Some(testkit::ran(&mut command, 60).expect_success())
}

/// The keys that the aws command line gets.
fn aws(home: &Home, program: &Path, profile: &str) -> String {
    let mut command = home.other(program, &["configure", "export-credentials", "--profile", profile]);
    testkit::ran(&mut command, 60).expect_success()
}

fn ours(home: &Home, profile: &str) -> testkit::Ran {
    testkit::ran(
        &mut home.tidemill(&["auth", "env", "--format", "credential-process", "--profile", profile]),
        60,
    )
}

/// The cache files by their names, each with its keys: what others look for.
fn cache(home: &Home) -> Vec<(String, Vec<String>)> {
    let files = fs::read_dir(home.world.path(".aws/sso/cache")).into_iter().flatten().flatten();
    let mut all: Vec<(String, Vec<String>)> = files
        .map(|file| {
            let json: Value = serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap();
            let mut keys: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            (file.file_name().to_string_lossy().into_owned(), keys)
        })
        .collect();
    all.sort();
    all
}

fn snapshot(home: &Home, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[A-Z2-7]{4}-[A-Z2-7]{4}\b", "[CODE]");
    settings.add_filter(r"(client_id|state|code_challenge)=[\w-]+", "$1=[RANDOM]");
    settings.add_filter(r"127\.0\.0\.1%3A\d+", "127.0.0.1%3A[PORT]");
    // Columns are as wide as paths and ports are long.
    settings.add_filter(r"(\S) {2,}", "$1  ");
    settings.bind(|| snapshot!(&home.world, name, text));
}

/// Our sign-in in a browser.
fn sign_in_by_code(home: &Home, args: &[&str]) -> String {
    let going = home.start(home.tidemill(&[&["auth", "login", "aws", "--pkce"], args].concat()));
    let url = going.said("the address", |text| address(text, "/authorize"));
    assert!(browse(&url).contains("You are signed in"), "{url}");
    going.ended(0)
}

/// The sign-in of the aws command line, and the address that it gives to the browser: what it prints it keeps back.
fn their_sign_in(home: &Home, program: &Path, more: &[&str]) -> (Going, String) {
    use std::os::unix::fs::PermissionsExt;
    let seen = home.world.path("browsed");
    fs::remove_file(&seen).ok();
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >> {}\n", seen.display());
    let browser = home.world.write("browser.sh", script);
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = home.other(program, &[&["sso", "login", "--sso-session", "corp"], more].concat());
    command.env("BROWSER", format!("{} %s", browser.display()));
    let going = home.start(command);
    let url = testkit::poll::until("a browser is opened", 60_000, || {
        address(&fs::read_to_string(&seen).unwrap_or_default(), "http")
    });
    (going, url)
}

#[test]
fn a_sign_in_with_a_code_is_seen_by_boto3_and_the_aws_cli() {
    let home = Home::new(CONFIG);
    home.portal.slow_down();
    snapshot(&home, "login device", &home.sign_in_by_device(&["--profile", "work"]));
    assert!(ours(&home, "work").expect_success().contains("ASIASSO"));
    if let Some(said) = boto3(&home, "work") {
        assert!(said.starts_with("ASIASSO"), "{said}");
        assert!(boto3(&home, "lake").unwrap().contains("assumed-role/Lake/"));
    }
    if let Some(program) = testkit::aws_cli_2() {
        assert!(aws(&home, &program, "work").contains("ASIASSO"));
        // Its own sign-in finds our registration, and replaces our token in the same file.
        let (files, registered) = (cache(&home), home.portal.calls("RegisterClient"));
        let (going, url) = their_sign_in(&home, &program, &["--use-device-code"]);
        home.portal.confirm(url.split("user_code=").nth(1).unwrap(), true);
        going.ended(0);
        assert_eq!(cache(&home), files);
        assert_eq!(home.portal.calls("RegisterClient"), registered, "one registration serves both");
    }
    snapshot(&home, "login legacy", &home.sign_in_by_device(&["--profile", "legacy"]));
    assert!(ours(&home, "legacy").expect_success().contains("ASIASSO"));
}

#[test]
fn a_sign_in_in_the_browser_is_seen_by_boto3_and_the_aws_cli() {
    let home = Home::new(CONFIG);
    snapshot(&home, "login pkce", &sign_in_by_code(&home, &["--sso-session", "corp"]));
    assert!(ours(&home, "work").expect_success().contains("ASIASSO"));
    assert!(boto3(&home, "work").is_none_or(|said| said.starts_with("ASIASSO")));
    let Some(program) = testkit::aws_cli_2() else { return };
    assert!(aws(&home, &program, "work").contains("ASIASSO"));
    let (files, registered) = (cache(&home), home.portal.calls("RegisterClient"));
    let (going, url) = their_sign_in(&home, &program, &[]);
    browse(&url);
    going.ended(0);
    assert_eq!(cache(&home), files);
    assert_eq!(home.portal.calls("RegisterClient"), registered, "one registration serves both");
}

#[test]
fn what_the_aws_cli_signed_in_to_is_seen_by_us_and_renewed_and_signed_out_of() {
    let Some(program) = testkit::aws_cli_2() else { return };
    let home = Home::new(CONFIG);
    // Ends within the time in which everybody renews.
    home.portal.tokens_last_s(60);
    let (going, url) = their_sign_in(&home, &program, &[]);
    browse(&url);
    going.ended(0);
    home.portal.tokens_last_s(8 * 3_600);
    home.portal.end_tokens();
    let before = home.portal.calls("CreateToken");
    assert!(ours(&home, "work").expect_success().contains("ASIASSO"));
    assert_eq!(home.portal.calls("CreateToken"), before + 1, "the token was renewed");
    assert!(aws(&home, &program, "work").contains("ASIASSO"), "by the token that we have written");
    assert_eq!(home.portal.calls("CreateToken"), before + 1, "which lasts");
    assert!(!cache(&home).is_empty());
    let said = testkit::ran(&mut home.tidemill(&["auth", "logout", "aws"]), 60).expect_success();
    assert!(said.ends_with("signed out\n"), "{said}");
    assert_eq!(home.portal.calls("Logout"), 1);
    let left = cache(&home);
    assert!(left.iter().all(|(_, keys)| !keys.contains(&"accessToken".to_owned())), "{left:?}");
    let mut refused = home.other(&program, &["configure", "export-credentials", "--profile", "work"]);
    assert_ne!(testkit::ran(&mut refused, 60).code, Some(0), "the aws CLI is signed out too");
    snapshot(&home, "signed out", &ours(&home, "work").expect_code(4).shown());
    let again = testkit::ran(&mut home.tidemill(&["auth", "logout", "aws"]), 60).expect_success();
    assert_eq!(again, "nobody was signed in\n");
}

#[test]
fn a_session_that_has_ended_says_how_to_begin_it_anew() {
    let home = Home::new(CONFIG);
    home.portal.tokens_last_s(1);
    home.sign_in_by_device(&["--profile", "legacy"]);
    home.portal.end_tokens();
    // A sign-in without an sso-session is never renewed.
    let ran = testkit::poll::until("the token has ended", 10_000, || {
        Some(ours(&home, "legacy")).filter(|ran| ran.stderr.contains("TM0902"))
    });
    snapshot(&home, "ended", &ran.expect_code(4).shown());
    let status = testkit::poll::until("status says so", 10_000, || {
        let ran = testkit::ran(&mut home.tidemill(&["auth", "status", "aws", "--profile", "legacy"]), 60);
        Some(ran).filter(|ran| ran.stdout.contains("  ended "))
    });
    snapshot(&home, "status ended", &status.expect_code(4).shown());
}

#[test]
fn a_sign_in_that_is_refused_or_cannot_be_is_told() {
    let home = Home::new(CONFIG);
    let going = home.start(home.tidemill(&["auth", "login", "aws", "--device", "--profile", "work"]));
    let code = going.said("the code", |text| word_after(text, "the code "));
    home.portal.confirm(&code, false);
    snapshot(&home, "refused by the person", &going.ended(4));
    let run =
        |args: &[&str]| testkit::ran(&mut home.tidemill(&[&["auth", "login", "aws"], args].concat()), 60);
    let mut all = String::new();
    all += &run(&["--profile", "keys"]).expect_code(3).shown();
    all += &run(&["--sso-session", "nope"]).expect_code(3).shown();
    all += &run(&["--profile", "nope"]).expect_code(3).shown();
    let mut away = home.tidemill(&["auth", "login", "aws", "--profile", "work"]);
    away.env("AWS_ENDPOINT_URL_SSO_OIDC", "http://127.0.0.1:1").env("AWS_MAX_ATTEMPTS", "1");
    all += &testkit::ran(&mut away, 60).expect_code(5).shown();
    snapshot(&home, "sign-ins that cannot be", &all);
    let going = home.start(home.tidemill(&["auth", "login", "aws", "--pkce", "--profile", "work"]));
    let url = going.said("the address", |text| address(text, "/authorize"));
    forged(&going, &url);
}

/// Somebody else's answer is not taken for the person's.
fn forged(going: &Going, url: &str) {
    let redirect = url.split("redirect_uri=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    let redirect = redirect.replace("%3A", ":").replace("%2F", "/");
    let answer = testkit::http("GET", &format!("{redirect}?code=stolen&state=guessed"), "");
    assert_eq!(answer.status, 404, "{}", answer.body);
    assert!(!going.text().contains("signed in to"));
}

#[test]
fn files_that_others_may_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new(CONFIG);
    home.sign_in_by_device(&["--profile", "work"]);
    for file in fs::read_dir(home.world.path(".aws/sso/cache")).unwrap().flatten() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    let mut command = home.tidemill(&["auth", "login", "aws", "--device", "--profile", "work"]);
    let blocked = home.world.write("blocked/.aws/sso", "not a folder");
    command.env("HOME", blocked.parent().unwrap().parent().unwrap());
    command.env("AWS_CONFIG_FILE", home.world.path(".aws/config"));
    snapshot(&home, "no place to keep it", &testkit::ran(&mut command, 60).expect_code(7).shown());
}

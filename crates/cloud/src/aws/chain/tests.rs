//! What the chain makes of files and variables, without asking anybody. That boto3, the aws command line and our resolver are of
//! the same opinion is tested end to end.

use tempfile::TempDir;

use super::*;

fn plan(
    folder: &TempDir,
    config: &str,
    credentials: &str,
    variables: &[(&str, &str)],
    flag: Option<&str>,
) -> Plan {
    std::fs::create_dir_all(folder.path().join(".aws")).unwrap();
    std::fs::write(folder.path().join(".aws/config"), config).unwrap();
    std::fs::write(folder.path().join(".aws/credentials"), credentials).unwrap();
    let home = folder.path().to_str().unwrap();
    let variables: Vec<(&str, &str)> = variables.iter().copied().chain([("HOME", home)]).collect();
    Plan::of(&Environment::of(&variables), flag)
}

fn winner(config: &str, credentials: &str, variables: &[(&str, &str)], flag: Option<&str>) -> &'static str {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&folder, config, credentials, variables, flag);
    plan.winner().map_or("nobody", |place| plan.candidates[place].kind.name())
}

const OFF: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "True");
const KEYS: &str = "aws_access_key_id = AKIA\naws_secret_access_key = secret\n";

#[test]
fn sources_are_asked_in_the_order_of_the_cli() {
    let whole = format!(
        "[default]\nlogin_session = x\ncredential_process = y\n{KEYS}sso_account_id = 1\nsso_role_name = r\n\
         sso_start_url = https://x\nsso_region = r\n"
    );
    assert_eq!(winner("", "", &[], None), "instance metadata");
    assert_eq!(winner("", "", &[OFF], None), "nobody");
    assert_eq!(winner("", "", &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")], None), "container");
    assert_eq!(winner(&format!("[default]\n{KEYS}"), "", &[], None), "config file");
    assert_eq!(
        winner(&format!("[default]\ncredential_process = y\n{KEYS}"), "", &[], None),
        "credential process"
    );
    assert_eq!(
        winner("[default]\nlogin_session = x\ncredential_process = y\n", "", &[], None),
        "login session"
    );
    assert_eq!(
        winner("[default]\nlogin_session = x\n", &format!("[default]\n{KEYS}"), &[], None),
        "credentials file"
    );
    assert_eq!(winner(&whole, &format!("[default]\n{KEYS}"), &[], None), "SSO");
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn")];
    assert_eq!(winner(&whole, "", &web, None), "web identity");
    assert_eq!(
        winner(&format!("{whole}role_arn = a\nsource_profile = default\n"), "", &web, None),
        "assumed role"
    );
    let keys = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s"), web[0], web[1]];
    assert_eq!(winner(&whole, "", &keys, None), "environment keys");
    let named = whole.replace("[default]", "[profile a]");
    assert_eq!(winner(&named, "", &keys, Some("a")), "SSO", "--profile is stronger than every variable");
}

#[test]
fn values_have_the_line_they_stand_in_and_secrets_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let config = "# a comment\n[profile \"a b\"]\n\nRegion=eu-west-1\ns3 =\n  max_concurrent_requests = 1\n";
    let credentials = "[a b]\naws_access_key_id: AKIAIOSFODNN7EXAMPLE\naws_secret_access_key=hunter2\naws_session_token = hunter3\n";
    let plan = plan(&folder, config, credentials, &[("AWS_PROFILE", "a b")], None);
    let region = plan.region.as_ref().unwrap();
    assert_eq!(region.from.to_string(), format!("{}:4", folder.path().join(".aws/config").display()));
    let place = plan.winner().unwrap();
    let Some(Ok(found)) = &plan.candidates[place].found else { panic!("{plan:?}") };
    let lines: Vec<String> = found.details.iter().map(|it| format!("{} {}", it.name, it.value)).collect();
    assert_eq!(lines, ["access key ****************MPLE", "secret key ***", "session token ***"]);
    assert!(!format!("{plan:?}").contains("hunter"), "{plan:?}");
}

#[test]
fn a_profile_that_is_nowhere_is_an_error_whatever_else_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let keys = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_PROFILE", "gone")];
    let error = plan(&folder, "", "", &keys, None).into_source().unwrap_err();
    assert!(matches!(error, Error::ProfileMissing { .. }), "{error}");
}

#[test]
fn the_place_to_sign_in_to_is_found_by_profile_by_role_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[sso-session corp]\nsso_start_url = https://x\nsso_region = r\nsso_registration_scopes = a, b\n\
        [profile work]\nsso_session = corp\n[profile lake]\nrole_arn = r\nsource_profile = work\n\
        [profile loop]\nrole_arn = r\nsource_profile = pool\n[profile pool]\nrole_arn = r\nsource_profile = loop\n";
    plan(&folder, config, "", &[], None);
    let home = folder.path().to_str().unwrap();
    let environment = Environment::of(&[("HOME", home)]);
    for (session, profile) in [(Some("corp"), None), (None, Some("work")), (None, Some("lake")), (None, None)]
    {
        let found = session_to_sign_in(&environment, session, profile).unwrap();
        assert_eq!((found.name.as_deref(), found.scopes.len()), (Some("corp"), 2), "{session:?} {profile:?}");
    }
    let error = session_to_sign_in(&environment, None, Some("loop")).unwrap_err();
    assert!(matches!(error, Error::NothingToSignIn { .. }), "{error}");
}

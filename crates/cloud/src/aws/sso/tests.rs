//! The names of cache files, which others have to find; the flows are tested against the real aws command line.

use super::*;

fn session(name: Option<&str>, scopes: &[&str]) -> Session {
    Session {
        name: name.map(str::to_owned),
        start_url: "https://corp.awsapps.com/start".to_owned(),
        region: "eu-west-1".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    }
}

/// The hashes are Python's: `sha1(json.dumps(args, sort_keys=True))`.
#[test]
fn files_have_the_names_that_the_aws_cli_gives_them() {
    assert_eq!(registration_key(&session(Some("corp"), &[])), "a5ef4a75f83137c047e4ff336d1dade82162017b");
    let scopes = ["sso:account:access", "ä"];
    assert_eq!(registration_key(&session(None, &scopes)), "c4686987f0de4bfdc3a2c3f1e56e976036ddee86");
    let environment = Environment::of(&[("HOME", "/home/ada")]);
    let path = token_path(&environment, &session(Some("corp"), &[]));
    assert_eq!(path, Path::new("/home/ada/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json"));
    assert_ne!(token_path(&environment, &session(None, &[])), path, "by the address, where there is no name");
}

#[test]
fn the_authorize_page_is_at_the_endpoint_of_the_region() {
    let of = |variables: &[(&str, &str)], region: &str| endpoint(&Environment::of(variables), region);
    assert_eq!(of(&[], "eu-west-1"), "https://oidc.eu-west-1.amazonaws.com");
    assert_eq!(of(&[], "cn-north-1"), "https://oidc.cn-north-1.amazonaws.com.cn");
    assert_eq!(of(&[("AWS_ENDPOINT_URL", "http://all/")], "eu-west-1"), "http://all");
    let both = [("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_SSO_OIDC", "http://one/")];
    assert_eq!(of(&both, "eu-west-1"), "http://one");
}

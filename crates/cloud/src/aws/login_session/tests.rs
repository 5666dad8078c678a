//! The proof of possession, read back as who is asked reads it; renewals are tested against the real aws command line.

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::*;

/// Made for this test by `openssl ecparam -name prime256v1 -genkey`, and used for nothing.
const KEY: &str = "MHcCAQEEIGA617yocvR7H6rsQF/ugwa2ieJy0JzZam8594wNTVB+oAoGCCqGSM49\n\
    AwEHoUQDQgAEe63riHyuQqcZ2D83DX6+hkMaRZnOP68rZ7R7ckuFUaRu5UUALOJr\n\
    rtPZbAtY7RZH479umPCfLmWHwuj2Gbzy9w==\n";

#[test]
fn a_proof_is_signed_by_the_key_that_stands_in_it() {
    let text = proof(KEY, "https://eu-west-1.signin.aws.amazon.com/v1/token", 1_700_000_000).unwrap();
    let parts: Vec<&str> = text.split('.').collect();
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let header: Value = serde_json::from_slice(&decoded(parts[0])).unwrap();
    let claims: Value = serde_json::from_slice(&decoded(parts[1])).unwrap();
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("ES256"), Some("dpop+jwt")));
    assert_eq!((claims["htm"].as_str(), claims["iat"].as_i64()), (Some("POST"), Some(1_700_000_000)));
    let coordinate = |name: &str| decoded(header["jwk"][name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signed = format!("{}.{}", parts[0], parts[1]);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decoded(parts[2]))
        .unwrap();
}

#[test]
fn what_is_no_key_is_refused() {
    for text in ["", "nonsense", "TUlJ", &KEY[..40]] {
        assert!(proof(text, "https://x/", 0).is_err(), "{text}");
    }
}

#[test]
fn a_session_has_the_file_that_aws_login_writes() {
    let environment = Environment::of(&[("HOME", "/home/ada")]);
    let file = path("arn:aws:iam::123456789012:user/ada", &environment);
    assert!(file.starts_with("/home/ada/.aws/login/cache"), "{}", file.display());
    assert_eq!(file.file_stem().unwrap().len(), 64);
    let elsewhere = Environment::of(&[("HOME", "/home/ada"), ("AWS_LOGIN_CACHE_DIRECTORY", "~/logins")]);
    assert!(path("x", &elsewhere).starts_with("/home/ada/logins"));
}

//! Addresses: where a bucket is, by path or by host name, and what is refused.

use super::*;

fn config(endpoint: Option<&str>, path_style: bool) -> S3Config {
    S3Config {
        bucket: "lake".to_owned(),
        region: Some("eu-west-1".to_owned()),
        endpoint: endpoint.map(str::to_owned),
        path_style,
        credentials: Credentials::Anonymous,
    }
}

#[track_caller]
fn check(endpoint: Option<&str>, path_style: bool, expected: &str) {
    let found = s3(&config(endpoint, path_style)).map_or_else(
        |error| format!("! {error}"),
        |bucket| match bucket.calls {
            Calls::S3(calls) => calls.url.to_string(),
            Calls::Gcs(_) => unreachable!("an S3 bucket was asked for"),
        },
    );
    assert_eq!(found, expected);
}

#[test]
fn buckets_are_found_by_path_or_by_host_name() {
    check(None, false, "https://lake.s3.eu-west-1.amazonaws.com/");
    check(None, true, "https://s3.eu-west-1.amazonaws.com/lake");
    check(Some("http://127.0.0.1:9000"), false, "http://127.0.0.1:9000/lake");
    check(Some("http://localhost:9000/"), false, "http://localhost:9000/lake");
    check(Some("https://minio.example.org/store"), true, "https://minio.example.org/store/lake");
    check(Some("https://minio.example.org"), false, "https://lake.minio.example.org/");
}

#[test]
fn what_is_no_address_is_refused() {
    check(
        Some("127.0.0.1:9000"),
        true,
        "! the settings of the object store do not work: `127.0.0.1:9000` is no address: relative URL without a base",
    );
    check(
        Some("ftp://host"),
        true,
        "! the settings of the object store do not work: `ftp://host` is no http:// or https:// address",
    );
}

#[test]
fn addresses_have_a_bucket_and_perhaps_a_key() {
    let parse = |text| Address::parse(text).map(|address| (address.bucket, address.key)).ok();
    assert_eq!(parse("s3://lake"), Some(("lake".to_owned(), String::new())));
    assert_eq!(parse("gs://lake/a").map(|(bucket, _)| bucket), Some("lake".to_owned()));
    assert_eq!(parse("s3://lake/a/b.json"), Some(("lake".to_owned(), "a/b.json".to_owned())));
    assert_eq!(parse("s3:///a"), None);
    assert_eq!(parse("lake/a"), None);
}

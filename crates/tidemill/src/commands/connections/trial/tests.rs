//! What a trial can say against a connection.

use base::{Secret, problem::plain};
use project::Origin;

use super::*;

fn connection(text: &str) -> Connection {
    let origin = Origin::Env("AIRFLOW_CONN_LAKE".to_owned());
    Connection::parse("lake", &Secret::new(text), &origin).expect("a connection")
}

#[tokio::test]
async fn every_error_says_what_and_what_to_do() {
    let uris = ["ssh://host", "http://?a=b", "http://127.0.0.1:1", "postgres://me:hunter2@127.0.0.1:1/db"];
    let mut texts = String::new();
    for uri in uris {
        texts += &plain(&*run(&connection(uri), None).await.expect_err(uri));
    }
    let (id, place, reason) = ("lake".to_owned(), "db:27017".to_owned(), "Authentication failed.".to_owned());
    texts += &plain(&Error::Fails { id, place, reason, is_denied: true, spot: None });
    assert!(!texts.contains("hunter2"), "{texts}");
    insta::assert_snapshot!(texts);
}

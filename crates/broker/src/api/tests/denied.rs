//! Nobody who may do nothing gets past any key: each of them, in each of its versions, answers with Kafka's error for that, or is
//! named here with the reason why it does not.

use std::collections::BTreeSet;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{examples, handler, read_answer};
use crate::{AuthorizerOptions, tests::Server};

/// TOPIC_, GROUP_, CLUSTER_ and TRANSACTIONAL_ID_AUTHORIZATION_FAILED, and DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: nothing is asked here.
const DENIED: [&str; 5] = ["29", "30", "31", "53", "64"];
/// Keys that tell nothing that would have to be guarded, or hide what is instead of refusing.
const OPEN: [(&str, &str); 8] = [
    ("Fetch", "the id of no topic (v13 and later) is unknown to everybody"),
    ("ListGroups", "hides the groups"),
    ("SaslHandshake", "is how one is let in"),
    ("ApiVersions", "is for everybody"),
    ("SaslAuthenticate", "is how one is let in"),
    ("DescribeCluster", "is for everybody, as in Kafka"),
    ("ListTransactions", "hides the transactions"),
    ("DescribeLogDirs", "before v3 has no error to tell: it is empty"),
];

#[tokio::test]
async fn who_may_do_nothing_is_refused_by_every_key() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), |options| {
        options.security.authorizer = Some(AuthorizerOptions::default());
    })
    .await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let mut open = BTreeSet::new();
    for (number, example) in examples().iter().enumerate() {
        stream.write_all(&example.frame(number as i32)).await.unwrap();
        let told = (example.show_answer)(read_answer(&mut stream).await, example.version);
        let is_denied = told
            .split("error_code: ")
            .skip(1)
            .any(|rest| DENIED.contains(&rest.split([',', ' ']).next().unwrap_or_default()));
        if !is_denied {
            assert!(!told.contains("frames"), "v{}: {told}", example.version);
            open.insert(handler(example.key).unwrap().name);
        }
    }
    assert_eq!(open, OPEN.iter().map(|(name, _)| *name).collect());
    server.stop().await;
}

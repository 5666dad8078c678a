//! Every error as a person reads it.

use base::problem::plain;

use super::*;

#[test]
fn every_error_says_what_where_why_and_what_to_do() {
    let place = Arc::new(Place::Topic { topic: "orders".into(), partition: 3 });
    let source = || BoxError::from("the disk is full");
    let io = || io::Error::other("the disk is full");
    let reject = Reject {
        origin: Origin { place: place.clone(), mark: Some(1_042), id: None, came_as: None },
        code: code::TM0510,
        reason: "id: expected integer, found \"x\"".to_owned(),
        stage: "VALUE_CONVERTER",
        key: None,
        value: None,
        headers: Vec::new(),
        timestamp_ms: None,
    };
    let transfer = "orders-to-s3".to_owned();
    let path = PathBuf::from(".tidemill/orders-to-s3.json");
    let errors = [
        Error::Lane { place: place.clone(), position: "1000".to_owned(), source: source() },
        Error::RetriesSpent { place: place.clone(), tries: 5, source: source() },
        Error::Discover { source: source() },
        Error::Begin { source: source() },
        Error::Finish { source: source() },
        Error::Rejected { reject: Box::new(reject), committed_count: 1_000 },
        Error::Locked { transfer: transfer.clone(), path: path.clone(), holder: "process 4711".to_owned() },
        Error::Fenced { transfer, path: path.clone() },
        Error::CheckpointFile { path: path.clone(), source: io() },
        Error::CheckpointFormat { path: path.clone(), reason: "version 9; this program reads 1".to_owned() },
        Error::DeadLetterFile { path, place, source: io() },
    ];
    let text: Vec<String> = errors.iter().map(|error| plain(error)).collect();
    insta::assert_snapshot!(text.join("\n"));
}

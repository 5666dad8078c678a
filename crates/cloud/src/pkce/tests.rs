//! The listener as a browser meets it, and as others do.

use super::*;

async fn get(address: &str, query: &str) -> String {
    let authority = address.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    stream.write_all(format!("GET /back?{query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn only_the_answer_with_our_state_is_taken() {
    let listener = Listener::start("/back").await.unwrap();
    let address = listener.address.clone();
    let waiting = tokio::spawn(async move { listener.code("ours", "us").await });
    assert!(get(&address, "code=stolen&state=theirs").await.starts_with("HTTP/1.1 404"));
    assert!(get(&address, "state=ours").await.starts_with("HTTP/1.1 400"));
    let page = get(&address, "code=a%2Fb&state=ours").await;
    assert!(page.starts_with("HTTP/1.1 200") && !page.contains("a/b"), "{page}");
    assert_eq!(waiting.await.unwrap().unwrap().reveal(), "a/b");
}

#[tokio::test]
async fn a_no_is_an_error() {
    let listener = Listener::start("/back").await.unwrap();
    let address = listener.address.clone();
    let waiting = tokio::spawn(async move { listener.code("ours", "Google Cloud").await });
    get(&address, "error=access_denied&error_description=no&state=ours").await;
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(base::problem::line(&error), "the sign-in to Google Cloud was refused: access_denied: no");
}

#[test]
fn no_two_proofs_are_alike() {
    let (one, two) = (Proof::new(), Proof::new());
    assert_ne!(one.verifier.reveal(), two.verifier.reveal());
    assert_eq!(one.challenge, URL_SAFE_NO_PAD.encode(digest(&SHA256, one.verifier.reveal().as_bytes())));
    assert!((43..=128).contains(&one.verifier.reveal().len()), "RFC 7636");
}

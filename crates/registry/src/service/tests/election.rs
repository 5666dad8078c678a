//! Several registries on one topic: one writes, the others pass on, and another one takes over.

use std::io::{Read, Write};

use super::*;

async fn ids(registries: &[&Handle], start: usize, count: usize) -> Vec<i64> {
    let asking = (start..start + count).map(|number| {
        let registry = registries[number % registries.len()];
        async move {
            let body = schema(&format!(r#"{{"type":"fixed","name":"f{number}","size":4}}"#));
            let path = format!("/subjects/s{number}/versions");
            let (status, answer) = ask(registry, "POST", &path, &body.to_string()).await;
            assert_eq!(status, 200, "{answer}");
            answer["id"].as_i64().unwrap()
        }
    });
    futures_all(asking).await
}

#[tokio::test]
async fn two_registries_give_each_schema_an_id_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let (one, two) = tokio::join!(registry(&broker), registry(&broker));
    let mut all = ids(&[&one, &two], 0, 40).await;
    // The one that leads goes, the other one takes over where it left off.
    one.stop(5_000).await.unwrap();
    all.extend(ids(&[&two], 40, 10).await);
    let three = registry(&broker).await;
    all.extend(ids(&[&two, &three], 50, 20).await);
    all.sort_unstable();
    assert_eq!(all, (1..=70).collect::<Vec<i64>>(), "no id twice, none left out");
    // Both have seen what they were asked to write, whoever wrote it.
    for (registry, subject) in [(&two, "s68"), (&three, "s69")] {
        let (status, _) = ask(registry, "GET", &format!("/subjects/{subject}/versions"), "").await;
        assert_eq!(status, 200);
    }
    // What is refused there is refused here, with the leader's answer.
    for registry in [&two, &three] {
        let (status, answer) =
            ask(registry, "POST", "/subjects/s0/versions", &schema("\"int\"").to_string()).await;
        assert_eq!((status, &answer["error_code"]), (409, &json!(409)));
        let (status, _) =
            ask(registry, "PUT", "/config/s0", &json!({ "compatibility": "FULL" }).to_string()).await;
        assert_eq!(status, 200);
    }
}

/// A member as Confluent's registry is one: by JoinGroup (key 11) version 2 with a protocol type of its own.
fn join_as_another_kind(kafka: SocketAddr) -> std::net::TcpStream {
    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as i16).to_be_bytes());
        out.extend(text.as_bytes());
    }
    let mut request = Vec::new();
    request.extend([0, 11, 0, 2, 0, 0, 0, 1]);
    text(&mut request, "sr-1");
    text(&mut request, "schema-registry");
    request.extend(30_000i32.to_be_bytes());
    request.extend(30_000i32.to_be_bytes());
    text(&mut request, "");
    text(&mut request, "sr");
    request.extend(1i32.to_be_bytes());
    text(&mut request, "v0");
    request.extend(0i32.to_be_bytes());
    let mut stream = std::net::TcpStream::connect(kafka).unwrap();
    stream.write_all(&(request.len() as i32).to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    // Length, correlation, throttle time, error code.
    assert_eq!(answer[12..14], [0, 0], "it may join");
    stream
}

#[tokio::test]
async fn another_kind_of_registry_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let address = broker.addr;
    let other = tokio::task::spawn_blocking(move || join_as_another_kind(address)).await.unwrap();
    let registry = registry(&broker).await;
    let (status, answer) =
        ask(&registry, "POST", "/subjects/s/versions", &schema("\"int\"").to_string()).await;
    assert_eq!((status, &answer["error_code"]), (500, &json!(50004)), "{answer}");
    assert_eq!(
        answer["message"],
        "the group schema-registry belongs to another kind of registry, which leads the topic _schemas"
    );
    let (status, _) = ask(&registry, "GET", "/subjects", "").await;
    assert_eq!(status, 200, "what is only read is answered");
    drop(other);
}

#[tokio::test]
async fn it_stops_though_kafka_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let registry = registry(&broker).await;
    assert_eq!(ids(&[&registry], 0, 1).await, [1]);
    broker.stop(5_000).await.unwrap();
    registry.stop(10_000).await.unwrap();
}

//! The page escapes, the service answers, silence is told.

use std::net::SocketAddr;

use serde_json::json;

use crate::{
    Options, Part, Service,
    kafka::Ends,
    page,
    page::Escaped,
    probe,
    snapshot::{Connector, PartState, Snapshot, Topic, lag},
};

const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[test]
fn what_comes_from_outside_is_escaped() {
    assert_eq!(Escaped("<a href='x'>&\"").to_string(), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    let hostile = "<script>alert(1)</script>".to_owned();
    let snapshot = Snapshot {
        parts: vec![PartState {
            name: hostile.clone(),
            address: hostile.clone(),
            external: false,
            state: "silent",
            reason: Some(hostile.clone()),
        }],
        topics: vec![Topic { name: hostile.clone(), partitions_count: 1, records_count: 1_234 }],
        connectors: vec![Connector {
            name: hostile.clone(),
            state: hostile.clone(),
            tasks: vec![(0, hostile.clone())],
            lag: Some(5),
            trace: Some(hostile.clone()),
        }],
        subjects: vec![hostile.clone()],
        troubles: vec![hostile],
    };
    let html = page::page(&snapshot);
    assert!(!html.contains("<script") && html.contains("1,234"), "{html}");
}

#[test]
fn lag_counts_what_is_committed_and_what_never_was() {
    let ends = |ends: &[(i32, i64, i64)]| -> Ends {
        ends.iter().map(|(partition, first, next)| (("t".to_owned(), *partition), (*first, *next))).collect()
    };
    let committed = json!({"offsets": [
        {"partition": {"kafka_topic": "t", "kafka_partition": 0}, "offset": {"kafka_offset": 7}},
    ]});
    assert_eq!(lag(&committed, &ends(&[(0, 0, 10), (1, 2, 6)])), Some(3 + 4));
    assert_eq!(lag(&json!({"offsets": []}), &ends(&[(0, 0, 10)])), None);
    assert_eq!(lag(&json!({}), &ends(&[])), None);
}

#[tokio::test]
async fn it_serves_a_page_its_health_and_json_and_tells_who_is_silent() {
    // A port that was free a moment ago: nothing answers there.
    let silent = std::net::TcpListener::bind(FREE).expect("a port").local_addr().expect("bound").to_string();
    let mut options = Options::at(FREE);
    options.parts.push(Part { name: "registry".to_owned(), address: silent, external: false });
    let handle = Service::start(options).await.expect("it starts");
    let base = format!("http://{}", handle.addr);
    let get = async |path: &str| {
        let answer = cloud::http::client().get(format!("{base}{path}")).send().await.expect("an answer");
        assert!(answer.status().is_success());
        answer.text().await.expect("a text")
    };
    assert_eq!(get("/health").await, "ok\n");
    assert!(get("/").await.contains("Connection refused"));
    let status: serde_json::Value = serde_json::from_str(&get("/api/status").await).expect("JSON");
    assert_eq!(
        (&status["parts"][0]["state"], &status["parts"][1]["state"]),
        (&json!("silent"), &json!("running"))
    );
    handle.stop(1_000).await.expect("it stops");
}

#[tokio::test]
async fn a_web_server_is_not_taken_for_a_broker() {
    let handle = Service::start(Options::at(FREE)).await.expect("it starts");
    let part = Part { name: "broker".to_owned(), address: handle.addr.to_string(), external: false };
    probe(&part).await.expect_err("HTTP is not Kafka");
}

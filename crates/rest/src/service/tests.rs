//! The API end to end: over HTTP, on a real broker and a real registry.

mod consumers;
mod records;
mod v3;

use std::{net::SocketAddr, path::Path};

use base::Handle;
use serde_json::{Value as Json, json};
use tokio::io::AsyncWriteExt;

use super::*;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct World {
    rest: Handle,
    cluster: String,
    _registry: Handle,
    broker: Handle,
    _folder: tempfile::TempDir,
}

/// What was answered.
#[derive(Debug)]
struct Answered {
    status: u16,
    media_type: String,
    text: String,
}

impl Answered {
    #[track_caller]
    fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body, where the status is this one.
    #[track_caller]
    fn expect(&self, status: u16) -> Json {
        assert_eq!(self.status, status, "{self:?}");
        if self.text.is_empty() { Json::Null } else { self.json() }
    }

    /// Status and `error_code`.
    #[track_caller]
    fn code(&self) -> (u16, i64) {
        (self.status, self.json()["error_code"].as_i64().unwrap_or_default())
    }
}

impl World {
    async fn new() -> World {
        World::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let broker = broker(folder.path()).await;
        let kafka = broker.addr.to_string();
        let registry = registry::Service::start(registry::Options::at(ANY, kafka.clone())).await.unwrap();
        let mut options = Options::at(ANY, kafka);
        options.registry = Some(format!("http://{}", registry.addr));
        change(&mut options);
        let rest = Service::start(options).await.unwrap();
        let mut world = World { rest, cluster: String::new(), _registry: registry, broker, _folder: folder };
        let clusters = world.get("/v3/clusters").await.expect(200);
        world.cluster = clusters["data"][0]["cluster_id"].as_str().unwrap().to_owned();
        world
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Answered {
        let url = format!("http://{}{path}", self.rest.addr);
        let mut request = cloud::http::client().request(method.parse().unwrap(), url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let media_type =
            response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        let (status, media_type) = (response.status().as_u16(), media_type.unwrap_or_default());
        Answered { status, media_type, text: response.text().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Answered {
        self.send("GET", path, &[], String::new()).await
    }

    /// v3, below the cluster.
    async fn v3(&self, method: &str, path: &str, body: Json) -> Answered {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/v3/clusters/{}{path}", self.cluster);
        self.send(method, &path, &[("content-type", "application/json")], body).await
    }

    /// v2, with the format in the media types.
    async fn v2(&self, method: &str, path: &str, format: &str, body: Json) -> Answered {
        let media_type = match format {
            "" => "application/vnd.kafka.v2+json".to_owned(),
            format => format!("application/vnd.kafka.{format}.v2+json"),
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("content-type", media_type.as_str()), ("accept", media_type.as_str())];
        self.send(method, path, &headers, body).await
    }

    async fn topic(&self, name: &str, partitions_count: i32) {
        let body = json!({ "topic_name": name, "partitions_count": partitions_count });
        self.v3("POST", "/topics", body).await.expect(201);
    }

    /// With what differs between two runs by what stands for it.
    fn shown(&self, json: &Json) -> String {
        let text = serde_json::to_string_pretty(json).unwrap();
        text.replace(&self.rest.addr.to_string(), "[REST]").replace(&self.cluster, "[CLUSTER]")
    }
}

async fn broker(folder: &Path) -> Handle {
    let options = broker::Options { auto_create_topics: false, ..broker::Options::at(folder, ANY) };
    broker::Service::start(options).await.unwrap()
}

#[tokio::test]
async fn what_is_not_there_is_told_in_confluents_words() {
    let world = World::new().await;
    for (method, path, code) in [
        ("GET", "/nothing", (404, 404)),
        ("DELETE", "/topics", (405, 405)),
        ("GET", "/topics/none", (404, 40401)),
        ("GET", "/topics/none/partitions", (404, 40401)),
        ("GET", "/v3/clusters/other", (404, 404)),
        ("GET", "/v3/clusters/other/topics", (404, 404)),
        ("DELETE", "/consumers/g/instances/i", (404, 40403)),
        ("GET", "/consumers/g/instances/i/records", (404, 40403)),
    ] {
        assert_eq!(world.get_as(method, path).await.code(), code, "{method} {path}");
    }
    for (path, code) in [
        ("/topics/none", (404, 40403)),
        ("/topics/none/partitions", (404, 40403)),
        ("/topics/none/configs", (404, 40403)),
        ("/topics/none/configs/x", (404, 40403)),
        ("/brokers/77", (404, 404)),
        ("/consumer-groups/none", (404, 404)),
        ("/consumer-groups/none/lags", (404, 404)),
    ] {
        assert_eq!(world.v3("GET", path, Json::Null).await.code(), code, "{path}");
    }
    let accept = world.send("GET", "/topics", &[("accept", "text/html")], String::new()).await;
    assert_eq!(accept.code(), (406, 406));
    let sent = world.send("POST", "/topics/t", &[("content-type", "text/plain")], "x".to_owned()).await;
    assert_eq!(sent.code(), (415, 415));
    let root = world.get("/").await;
    assert_eq!((root.status, root.text.as_str()), (200, "{}"));
}

impl World {
    async fn get_as(&self, method: &str, path: &str) -> Answered {
        self.send(method, path, &[], String::new()).await
    }
}

#[tokio::test]
async fn requests_share_a_bounded_memory() {
    let world = World::with(|options| {
        (options.request_bytes_max, options.request_memory_bytes_max) = (60_000, 60_000);
    })
    .await;
    world.topic("t", 1).await;
    let record = json!({ "records": [{ "value": "x".repeat(20_000) }] });
    world.v2("POST", "/topics/t", "json", record.clone()).await.expect(200);
    // A client whose request does not end holds what has come of it.
    let mut slow = tokio::net::TcpStream::connect(world.rest.addr).await.unwrap();
    let head = "POST /topics/t HTTP/1.1\r\nhost: x\r\ncontent-type: application/vnd.kafka.json.v2+json\r\n\
                content-length: 59000\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&[b' '; 50_000]).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let refused = loop {
        let answered = world.v2("POST", "/topics/t", "json", record.clone()).await;
        if answered.status != 200 {
            break answered;
        }
        assert!(std::time::Instant::now() < deadline, "the first request's bytes count");
    };
    assert_eq!(refused.code(), (429, 429));
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Request rate limit exceeded: "), "{message}");
    let url = format!("http://{}/topics/t", world.rest.addr);
    let request =
        cloud::http::client().post(url).header("content-type", "application/vnd.kafka.json.v2+json");
    let refused = request.body(record.to_string()).send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    world.get("/topics").await.expect(200);
    drop(slow);
    while world.v2("POST", "/topics/t", "json", record.clone()).await.status != 200 {
        assert!(std::time::Instant::now() < deadline, "what a client that left has held comes back");
    }
}

#[tokio::test]
async fn without_kafka_or_registry_it_starts_and_says_so() {
    let rest = Service::start(Options::at(ANY, "127.0.0.1:1")).await.unwrap();
    let url = format!("http://{}/topics", rest.addr);
    let response = cloud::http::client().get(url).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 500);
    let body: Json = response.json().await.unwrap();
    assert_eq!(body["error_code"], 50003, "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(message.starts_with("Kafka at 127.0.0.1:1 does not answer: "), "{message}");
    rest.stop(2_000).await.unwrap();
}

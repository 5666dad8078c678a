//! The REST API over a real broker: each case is a request, the status and the body that come back.

use std::time::{Duration, Instant};

use base::Handle;
use serde_json::{Value, json};

use super::*;

mod formats;
mod sinks;

/// A broker, an S3 endpoint, a worker on them, and a client.
pub(crate) struct World {
    pub kafka: String,
    pub s3: String,
    pub worker: Option<Handle>,
    pub url: String,
    pub client: reqwest::Client,
    pub registry: Option<String>,
    folder: tempfile::TempDir,
    _parts: Vec<Handle>,
}

const LOOPBACK: &str = "127.0.0.1:0";

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = LOOPBACK.parse().unwrap();
        let broker = broker::Options::at(folder.path().join("kafka"), listen);
        let broker = broker::Service::start(broker).await.unwrap();
        let s3 =
            stores::s3::Options::at(folder.path().join("s3"), listen, "key", base::Secret::new("hidden"));
        let s3 = stores::s3::Service::start(stores::s3::Options { buckets: vec!["lake".to_owned()], ..s3 })
            .await
            .unwrap();
        let registry = registry::Options::at(listen, broker.addr.to_string());
        let registry = registry::Service::start(registry).await.unwrap();
        let mut world = Self {
            kafka: broker.addr.to_string(),
            s3: format!("http://{}", s3.addr),
            worker: None,
            url: String::new(),
            client: cloud::http::client(),
            registry: Some(format!("http://{}", registry.addr)),
            folder,
            _parts: vec![registry, s3, broker],
        };
        world.start_worker().await;
        world
    }

    pub async fn start_worker(&mut self) {
        let listen = LOOPBACK.parse().unwrap();
        let mut options = Options::at(listen, self.kafka.clone());
        options.offset_partitions_count = 1;
        options.status_partitions_count = 1;
        options.registry = self.registry.clone();
        options.advertised = Some("worker:8083".to_owned());
        let worker = Service::start(options).await.unwrap();
        self.url = format!("http://{}", worker.addr);
        self.worker = Some(worker);
    }

    pub async fn stop_worker(&mut self) {
        self.worker.take().unwrap().stop(10_000).await.unwrap();
    }

    /// Status and body; a body that is empty is null.
    pub async fn call(&self, request: &str, body: Value) -> (u16, Value) {
        let (method, path) = request.split_once(' ').unwrap();
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }

    /// Asks again until the answer holds, for up to 15 s.
    pub async fn until(&self, request: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(15);
        let mut turn = tokio::time::interval(Duration::from_millis(20));
        loop {
            let (_, body) = self.call(request, Value::Null).await;
            if holds(&body) {
                return body;
            }
            assert!(Instant::now() < deadline, "{request}: {body:#}");
            turn.tick().await;
        }
    }
}

/// A connector that is taken; nothing listens at its store.
fn config() -> Value {
    json!({
        "connector.class": "io.confluent.connect.s3.S3SinkConnector", "tasks.max": "1", "topics": "flights",
        "s3.region": "us-east-1", "s3.bucket.name": "lake", "flush.size": "3", "store.url": "http://127.0.0.1:9",
        "aws.access.key.id": "key", "aws.secret.access.key": "hidden",
        "storage.class": "io.confluent.connect.s3.storage.S3Storage",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
    })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut config = config();
    for (key, value) in changes {
        config[*key] = value.clone();
    }
    config
}

/// Request, body, and the status and body of the answer.
type Case = (&'static str, Value, u16, Value);

fn error(code: u16, message: &str) -> Value {
    json!({"error_code": code, "message": message})
}

fn info(name: &str, changes: &[(&str, Value)]) -> Value {
    let mut config = with(changes);
    config["name"] = json!(name);
    json!({"name": name, "config": config, "tasks": [{"connector": name, "task": 0}], "type": "sink"})
}

fn task(text: &str) -> Value {
    json!({"id": 0, "state": text, "worker_id": "worker:8083"})
}

fn status(name: &str, text: &str, tasks: Value) -> Value {
    let connector = json!({"state": text, "worker_id": "worker:8083"});
    json!({"name": name, "connector": connector, "tasks": tasks, "type": "sink"})
}

/// What is not there, and what cannot be made.
fn refused() -> Vec<Case> {
    let invalid = "Connector configuration is invalid and contains the following 1 error(s):\nInvalid value x for \
        configuration flush.size: Not a number of type INT\nYou can also find the above list of errors at the endpoint \
        `/connector-plugins/{connectorType}/config/validate`";
    let no_class = "Failed to find any class that implements Connector and which name matches X, available connectors \
        are: io.confluent.connect.s3.S3SinkConnector";
    let mismatch = "Connector name configuration (b) doesn't match connector name in the URL (a)";
    let missing = error(404, "Connector a not found");
    let post = |key: &str, value: &str| json!({"name": "a", "config": with(&[(key, json!(value))])});
    vec![
        ("GET /connectors", Value::Null, 200, json!([])),
        ("GET /nowhere", Value::Null, 404, error(404, "HTTP 404 Not Found")),
        ("DELETE /connectors", Value::Null, 405, error(405, "HTTP 405 Method Not Allowed")),
        ("GET /connectors/a", Value::Null, 404, missing.clone()),
        ("GET /connectors/a/config", Value::Null, 404, missing.clone()),
        ("GET /connectors/a/status", Value::Null, 404, error(404, "No status found for connector a")),
        ("GET /connectors/a/tasks/0/status", Value::Null, 404, error(404, "No status found for task a-0")),
        ("DELETE /connectors/a", Value::Null, 404, missing.clone()),
        ("PUT /connectors/a/pause", Value::Null, 404, missing.clone()),
        ("POST /connectors/a/restart", Value::Null, 404, error(404, "Unknown connector: a")),
        ("GET /connectors/a/offsets", Value::Null, 404, missing),
        ("POST /connectors", post("flush.size", "x"), 400, error(400, invalid)),
        ("POST /connectors", post("name", "b"), 400, error(400, mismatch)),
        ("POST /connectors", post("connector.class", "X"), 500, error(500, no_class)),
        ("GET /admin/loggers/nobody", Value::Null, 404, error(404, "Logger nobody not found.")),
    ]
}

/// A connector from its creation to its end.
fn a_life() -> Vec<Case> {
    let created = info("a", &[]);
    let running = status("a", "RUNNING", json!([task("RUNNING")]));
    let paused = status("a", "PAUSED", json!([task("PAUSED")]));
    let not_stopped = "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for \
        the specified connector by issuing a 'PUT' request to the '/connectors/a/stop' endpoint";
    let exists = error(409, "Connector a already exists");
    let reset = json!({"message": "The offsets for this connector have been reset successfully"});
    let post = json!({"name": "a", "config": config()});
    vec![
        ("POST /connectors", post.clone(), 201, created.clone()),
        ("POST /connectors", post, 409, exists),
        ("GET /connectors", Value::Null, 200, json!(["a"])),
        ("GET /connectors/a", Value::Null, 200, created.clone()),
        ("GET /connectors/a/config", Value::Null, 200, created["config"].clone()),
        ("GET /connectors/a/status", Value::Null, 200, running.clone()),
        ("GET /connectors/a/tasks/0/status", Value::Null, 200, task("RUNNING")),
        ("GET /connectors/a/tasks/7/status", Value::Null, 404, error(404, "No status found for task a-7")),
        ("POST /connectors/a/tasks/7/restart", Value::Null, 404, error(404, "Unknown task: a-7")),
        ("POST /connectors/a/tasks/0/restart", Value::Null, 204, Value::Null),
        ("POST /connectors/a/restart", Value::Null, 204, Value::Null),
        ("POST /connectors/a/restart?includeTasks=true", Value::Null, 202, running.clone()),
        ("GET /connectors?expand=info", Value::Null, 200, json!({"a": {"info": created.clone()}})),
        (
            "PUT /connectors/a/config",
            with(&[("flush.size", json!(5))]),
            200,
            info("a", &[("flush.size", json!("5"))]),
        ),
        ("PATCH /connectors/a/config", json!({"flush.size": "3"}), 200, created),
        ("PUT /connectors/a/pause", Value::Null, 202, Value::Null),
        ("GET /connectors/a/status", Value::Null, 200, paused),
        ("PUT /connectors/a/resume", Value::Null, 202, Value::Null),
        ("GET /connectors/a/status", Value::Null, 200, running),
        ("GET /connectors/a/topics", Value::Null, 200, json!({"a": {"topics": []}})),
        ("PUT /connectors/a/topics/reset", Value::Null, 200, Value::Null),
        ("GET /connectors/a/offsets", Value::Null, 200, json!({"offsets": []})),
        ("DELETE /connectors/a/offsets", Value::Null, 400, error(400, not_stopped)),
        ("PUT /connectors/a/stop", Value::Null, 204, Value::Null),
        ("GET /connectors/a/status", Value::Null, 200, status("a", "STOPPED", json!([]))),
        ("GET /connectors/a/tasks", Value::Null, 200, json!([])),
        ("DELETE /connectors/a/offsets", Value::Null, 200, reset),
        ("DELETE /connectors/a", Value::Null, 204, Value::Null),
        ("GET /connectors", Value::Null, 200, json!([])),
        ("PUT /connectors/b/config", config(), 201, info("b", &[])),
        ("DELETE /connectors/b", Value::Null, 204, Value::Null),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_as_kafka_connect_answers_them() {
    let world = World::start().await;
    for (request, body, expected_status, expected) in refused().into_iter().chain(a_life()) {
        let answer = world.call(request, body).await;
        assert_eq!(answer, (expected_status, expected), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_survive_the_worker() {
    let mut world = World::start().await;
    let stopped = json!({"name": "later", "config": config(), "initial_state": "STOPPED"});
    assert_eq!(world.call("POST /connectors", stopped).await.0, 201);
    assert_eq!(world.call("POST /connectors", json!({"name": "now", "config": config()})).await.0, 201);
    assert_eq!(world.call("POST /connectors", json!({"name": "gone", "config": config()})).await.0, 201);
    assert_eq!(world.call("PUT /connectors/now/pause", Value::Null).await.0, 202);
    assert_eq!(world.call("DELETE /connectors/gone", Value::Null).await.0, 204);
    world.stop_worker().await;
    let started = Instant::now();
    world.start_worker().await;
    // The bound is loose: a busy machine must not fail it. It is 60 ms on a quiet one.
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(world.call("GET /connectors", Value::Null).await.1, json!(["later", "now"]));
    let is = |state: &'static str| move |body: &Value| body["connector"]["state"] == state;
    world.until("GET /connectors/later/status", is("STOPPED")).await;
    world.until("GET /connectors/now/status", is("PAUSED")).await;
    // A task says its own state, a moment after its connector.
    world.until("GET /connectors/now/status", |body| body["tasks"][0]["state"] == "PAUSED").await;
    for name in ["later", "now"] {
        assert_eq!(world.call(&format!("DELETE /connectors/{name}"), Value::Null).await.0, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_tell_their_keys_and_what_is_wrong() {
    let world = World::start().await;
    let (status, root) = world.call("GET /", Value::Null).await;
    assert_eq!((status, root["kafka_cluster_id"].is_string()), (200, true), "{root}");
    let (_, plugins) = world.call("GET /connector-plugins", Value::Null).await;
    assert_eq!(plugins[0]["class"], "io.confluent.connect.s3.S3SinkConnector");
    let (_, all) = world.call("GET /connector-plugins?connectorsOnly=false", Value::Null).await;
    assert!(all.as_array().unwrap().iter().any(|plugin| plugin["type"] == "converter"));
    let (status, keys) = world.call("GET /connector-plugins/S3SinkConnector/config", Value::Null).await;
    assert!(status == 200 && keys.as_array().unwrap().iter().any(|key| key["name"] == "flush.size"));
    let wrong = with(&[("flush.size", json!("x")), ("name", json!("a")), ("nonsense", json!("1"))]);
    let validate = "PUT /connector-plugins/S3SinkConnector/config/validate";
    let (status, infos) = world.call(validate, wrong).await;
    assert_eq!((status, &infos["error_count"]), (200, &json!(2)), "{infos:#}");
    assert_eq!(
        infos["groups"],
        json!([
            "Common",
            "Transforms",
            "Predicates",
            "Error Handling",
            "Connector",
            "S3",
            "Storage",
            "Partitioner",
            "Hive"
        ])
    );
    let find = |name: &str| {
        infos["configs"].as_array().unwrap().iter().find(|info| info["definition"]["name"] == name)
    };
    let flush = find("flush.size").unwrap();
    assert_eq!(
        flush["value"]["errors"],
        json!(["Invalid value x for configuration flush.size: Not a number of type INT"])
    );
    assert_eq!(flush["definition"]["required"], true);
    assert_eq!(find("aws.secret.access.key").unwrap()["value"]["value"], "[hidden]");
    assert!(
        find("nonsense").unwrap()["value"]["errors"][0].as_str().unwrap().contains("Unknown configuration")
    );
    let formats = &find("format.class").unwrap()["value"]["recommended_values"];
    assert_eq!(formats.as_array().unwrap().len(), 4);
}

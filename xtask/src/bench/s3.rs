//! `s3`: a topic of events into JSON objects, by our Connect worker and by Kafka Connect.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::World;

use super::{
    measure::{Used, http},
    parts::{self, Peer},
    report::{Line, publish},
};

/// Whole objects in each partition: 13 of them.
const RECORDS: u64 = 2_080_000;
const PARTITIONS: u32 = 16;
const FLUSH_SIZE: u64 = 10_000;

struct Outcome {
    seconds: f64,
    used: Used,
    objects: u64,
}

pub fn run() -> Result<()> {
    parts::compile_peer_sink()?;
    // The endpoint is ours on both sides, in a process of its own that counts for neither.
    let mut store = parts::world();
    let endpoint = store.up_with(&["--only", "s3"]).s3();
    let ours = ours(&store, &endpoint)?;
    let theirs = theirs(&store, &endpoint)?;
    ensure!(ours.objects == theirs.objects, "{} objects here, {} there", ours.objects, theirs.objects);
    let per_second = |outcome: &Outcome| RECORDS as f64 / outcome.used.cpu_seconds;
    let line = |what: &str, unit, less, goal, ours: f64, theirs: f64| Line {
        what: what.into(),
        ours,
        theirs: Some(theirs),
        unit,
        less,
        goal,
        within: None,
    };
    let lines = [
        line("records per CPU-second", "records", false, ">= 4x", per_second(&ours), per_second(&theirs)),
        line(
            "highest resident memory",
            "MiB",
            true,
            "<= 1/10",
            ours.used.memory_mib_max,
            theirs.used.memory_mib_max,
        ),
        line("from POST to the last object", "s", true, "", ours.seconds, theirs.seconds),
    ];
    let note = format!(
        "{RECORDS} JSON events of about 100 bytes, {PARTITIONS} partitions, flush.size {FLUSH_SIZE}, 2 tasks, JsonConverter, \
         {} objects on each side, all in the same S3 endpoint, which counts for neither. CPU and memory: broker and worker \
         together. The peer's sink is `benches/peer/S3JsonSink.java`: none could be had from Maven Central.",
        ours.objects
    );
    publish("s3", "a topic into JSON objects", &note, &lines)
}

fn fill(bootstrap: &str) -> Result<()> {
    parts::create_topic(bootstrap, "events", PARTITIONS)?;
    let count = RECORDS.to_string();
    let args = ["produce", "--bootstrap", bootstrap, "--topic", "events", "--records", &count, "--events"];
    // Each partition gets the same number, so that both sides end with whole objects.
    parts::perf(&[&args[..], &["--spread", &PARTITIONS.to_string()]].concat())?;
    Ok(())
}

fn connector(class: &str, folder: &str, endpoint: &str) -> serde_json::Value {
    serde_json::json!({"name": "events", "config": {
        "connector.class": class, "tasks.max": "2", "topics": "events", "s3.region": "us-east-1",
        "s3.bucket.name": "lake", "flush.size": FLUSH_SIZE.to_string(), "store.url": endpoint, "topics.dir": folder,
        "storage.class": "io.confluent.connect.s3.storage.S3Storage",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "partitioner.class": "io.confluent.connect.storage.partitioner.DefaultPartitioner",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false", "consumer.override.max.poll.records": "5000"
    }})
}

fn ours(store: &World, endpoint: &str) -> Result<Outcome> {
    let mut world = parts::world();
    let up = world.up_with(&["--only", "broker,connect"]);
    fill(&up.kafka())?;
    let mut config = connector("io.confluent.connect.s3.S3SinkConnector", "ours", endpoint);
    config["config"].as_object_mut().context("an object")?.remove("consumer.override.max.poll.records");
    transfer(store, up.connect().trim_start_matches("http://"), &config, "ours", &[up.pid])
}

fn theirs(store: &World, endpoint: &str) -> Result<Outcome> {
    let peer = Peer::start(true)?;
    fill(&peer.bootstrap)?;
    let mut config = connector("S3JsonSink", "theirs", endpoint);
    let keys = config["config"].as_object_mut().context("an object")?;
    keys.retain(|key, _| {
        !matches!(key.as_str(), "storage.class" | "format.class" | "partitioner.class" | "s3.region")
    });
    transfer(store, peer.connect()?, &config, "theirs", &peer.pids())
}

/// From the POST until all objects are there.
fn transfer(
    store: &World,
    connect: &str,
    config: &serde_json::Value,
    folder: &str,
    pids: &[u32],
) -> Result<Outcome> {
    let before = Used::by(pids)?;
    let start = Instant::now();
    let (status, body) = http("POST", connect, "/connectors", &config.to_string())?;
    ensure!(status == 201, "POST /connectors: {status} {body}");
    let wanted = RECORDS / FLUSH_SIZE;
    loop {
        let objects = count_objects(store, folder);
        if objects >= wanted {
            let used = Used::by(pids)?.since(before);
            return Ok(Outcome { seconds: start.elapsed().as_secs_f64(), used, objects });
        }
        let (_, state) = http("GET", connect, "/connectors/events/status", "")?;
        ensure!(!state.contains("FAILED"), "{state}");
        ensure!(
            start.elapsed() < Duration::from_secs(600),
            "{objects} of {wanted} objects after ten minutes: {state}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// On the endpoint's disk: asking it over HTTP would cost it time.
fn count_objects(store: &World, folder: &str) -> u64 {
    fn count(folder: &std::path::Path) -> u64 {
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        let entries = entries.flatten();
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { named(&entry) }).sum()
    }
    fn named(entry: &std::fs::DirEntry) -> u64 {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        u64::from(name.starts_with("events+") && name.ends_with(".json"))
    }
    fn find(folder: &std::path::Path, wanted: &str) -> Option<std::path::PathBuf> {
        for entry in std::fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.path().is_dir()) {
            if entry.file_name().to_string_lossy() == wanted {
                return Some(entry.path());
            }
            if let Some(found) = find(&entry.path(), wanted) {
                return Some(found);
            }
        }
        None
    }
    find(&store.path(".tidemill"), folder).map_or(0, |folder| count(&folder))
}

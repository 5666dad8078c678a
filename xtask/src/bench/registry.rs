//! `registry`: lookups of a schema by its id, as deserializers make them.

use anyhow::{Context, Result, ensure};

use super::{
    measure::{Used, http, median},
    parts,
    report::{Line, publish},
};

const ROUNDS: usize = 5;

pub fn run() -> Result<()> {
    let mut world = parts::world();
    let up = world.up_with(&["--only", "broker,registry"]);
    let url = up.registry();
    let address = url.trim_start_matches("http://");
    let schema = r#"{"schema":"{\"type\":\"record\",\"name\":\"Flight\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"tail\",\"type\":\"string\"}]}"}"#;
    let (status, said) = http("POST", address, "/subjects/flights-value/versions", schema)?;
    ensure!(status == 200, "the registry says {status}: {said}");
    let id = serde_json::from_str::<serde_json::Value>(&said)?["id"].as_u64().context("an id")?;
    let path = format!("/schemas/ids/{id}");
    let (mut rates, mut per_core, mut p99) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let before = Used::by(&[up.pid])?;
        let args = ["http", "--address", address, "--path", &path, "--connections", "16", "--seconds", "3"];
        let said = parts::perf(&args)?;
        let cpu = Used::by(&[up.pid])?.since(before).cpu_seconds;
        let figure = |name: &str| said[name].as_f64().with_context(|| format!("no {name} in {said}"));
        rates.push(figure("requests")? / figure("seconds")?);
        per_core.push(figure("requests")? / cpu);
        p99.push(figure("p99_us")? / 1000.0);
    }
    let line = |what: &str, ours, unit, less, goal| Line {
        what: what.into(),
        ours,
        theirs: None,
        unit,
        less,
        goal,
        within: None,
    };
    let lines = [
        line("answers, client on the same cores", median(rates), "1/s", false, ""),
        line("answers for each CPU-second of the process", median(per_core), "1/s", false, ">= 30,000"),
        line("99th percentile", median(p99), "ms", true, "< 2 ms"),
    ];
    let note =
        "GET /schemas/ids/N over HTTP/1.1, 16 connections that each wait for their answer, 3 s, median of 5.";
    publish("registry", "lookups of a schema", note, &lines)
}

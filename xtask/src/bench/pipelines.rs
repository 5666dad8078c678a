//! `pipelines`: nested documents in MongoDB to the tables of a lake, by `tidemill run` and by dlt.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    measure::{Ended, median, whole},
    parts,
    report::{Line, publish},
};
use crate::{
    run::{quiet, root},
    services,
};

const DOCUMENTS: u64 = 200_000;
const ROUNDS: usize = 3;

pub fn run() -> Result<()> {
    let mongod = testkit::mongod().context("no mongod")?;
    let uri = mongod.uri("bench");
    let python = services::folder().join("dlt/bin/python");
    let count = DOCUMENTS.to_string();
    let mut fill = Command::new(&python);
    fill.arg(root().join("benches/peer/fill_mongo.py")).args([&uri, "bench", "orders", &count]);
    quiet(&mut fill, Duration::from_secs(300))?;
    let mut lines = Vec::new();
    for (format, ours_format, compression) in [("parquet", "parquet", "snappy"), ("jsonl", "jsonl", "gzip")] {
        let (mut ours, mut theirs) = (vec![], vec![]);
        for round in 0..ROUNDS {
            ours.push(run_ours(&uri, ours_format, compression)?);
            let folder = tempfile::tempdir()?;
            let mut peer = Command::new(&python);
            peer.arg(root().join("benches/peer/dlt_mongo.py"));
            peer.args([&uri, "bench", "orders", &folder.path().to_string_lossy(), format]);
            peer.env("DLT_DATA_DIR", folder.path().join("state")).env("RUNTIME__DLTHUB_TELEMETRY", "false");
            theirs.push(whole(&mut peer)?);
            eprintln!(
                "  {format}, round {round}: ours {:.2} s, dlt {:.2} s",
                ours[round].seconds, theirs[round].seconds
            );
        }
        lines.extend(compared(format, &ours, &theirs));
    }
    let note = "200,000 orders of about 1 KB, three levels deep with lists, into a root table and two child tables in a local \
                folder. The peer is dlt 1.31 with a MongoDB resource as its own source yields pages (`benches/peer/dlt_mongo.py`). \
                Whole processes, start included; median of 3.";
    publish("pipelines", "documents in MongoDB to the tables of a lake", note, &lines)
}

/// A fresh project, so that nothing is incremental.
fn run_ours(uri: &str, format: &str, compression: &str) -> Result<Ended> {
    let world = parts::world();
    let target = world.path("lake");
    fs::create_dir_all(&target)?;
    let text = format!(
        "source:\n  url: {uri}\n  database: bench\ntarget:\n  url: {}\n  dataset: lake\n  format: {format}\n  \
         compression: {compression}\nstreams:\n  orders:\n    write_disposition: append\n    primary_key: _id\n",
        target.display()
    );
    world.write("pipelines/orders.yaml", text);
    let ended = whole(&mut world.command(&["run", "orders"]))?;
    ensure!(target.join("lake/orders").is_dir(), "no table orders: {}", ended.stdout);
    Ok(ended)
}

fn compared(format: &str, ours: &[Ended], theirs: &[Ended]) -> [Line; 2] {
    let seconds = |all: &[Ended]| median(all.iter().map(|one| one.seconds).collect());
    let memory = |all: &[Ended]| all.iter().map(|one| one.memory_mib_max).fold(0.0, f64::max);
    [
        Line {
            what: format!("200,000 documents to {format}"),
            ours: seconds(ours),
            theirs: Some(seconds(theirs)),
            unit: "s",
            less: true,
            goal: ">= 20x",
            within: None,
        },
        Line {
            what: format!("highest resident memory, {format}"),
            ours: memory(ours),
            theirs: Some(memory(theirs)),
            unit: "MiB",
            less: true,
            goal: "<= 1/4",
            within: None,
        },
    ]
}

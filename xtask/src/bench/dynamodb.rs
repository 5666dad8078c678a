//! `dynamodb`: items of the embedded DynamoDB endpoint to Parquet, by `tidemill run` and by boto3 with pyarrow.

use std::{fs, io::Write, process::Command};

use anyhow::{Context, Result, ensure};

use super::{
    measure::{Ended, median, whole},
    parts,
    report::{Line, publish},
};
use crate::{run::root, services};

const ITEMS: u64 = 500_000;
const ROUNDS: usize = 3;

pub fn run() -> Result<()> {
    let mut world = parts::world();
    let up = world.up_with(&["--only", "dynamodb"]);
    fill(&world)?;
    let (mut ours, mut theirs) = (vec![], vec![]);
    for round in 0..ROUNDS {
        let target = world.path(&format!("lake-{round}"));
        fs::create_dir_all(&target)?;
        let text = format!(
            "source:\n  url: dynamodb://local\ntarget:\n  url: {}\n  dataset: lake\n  format: parquet\nstreams:\n  \
             events:\n    write_disposition: append\n    primary_key: id\n",
            target.display()
        );
        world.write(&format!("pipelines/events_{round}.yaml"), text);
        ours.push(whole(&mut world.command(&["run", &format!("events_{round}")]))?);
        let mut peer = Command::new(services::folder().join("python/bin/python"));
        peer.arg(root().join("benches/peer/scan_dynamodb.py")).args([&up.dynamodb(), "events"]);
        peer.arg(world.path(&format!("peer-{round}.parquet")));
        peer.envs([
            ("AWS_ACCESS_KEY_ID", testkit::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", testkit::SECRET_KEY),
        ]);
        let ended = whole(&mut peer)?;
        let said: serde_json::Value = serde_json::from_str(&ended.stdout)?;
        ensure!(said["rows"].as_u64() == Some(ITEMS), "the peer read {} items", said["rows"]);
        theirs.push(ended);
        eprintln!(
            "  round {round}: ours {:.2} s, theirs {:.2} s",
            ours[round].seconds, theirs[round].seconds
        );
    }
    let seconds = |all: &[Ended]| median(all.iter().map(|one| one.seconds).collect());
    let memory = |all: &[Ended]| all.iter().map(|one| one.memory_mib_max).fold(0.0, f64::max);
    let line = |what: &str, unit, ours, theirs, goal| Line {
        what: what.into(),
        ours,
        theirs: Some(theirs),
        unit,
        less: true,
        goal,
        within: None,
    };
    let lines = [
        line("500,000 items to Parquet", "s", seconds(&ours), seconds(&theirs), ">= 5x"),
        line("highest resident memory", "MiB", memory(&ours), memory(&theirs), ""),
    ];
    let note = "500,000 items of about 150 bytes in the embedded endpoint, which counts for neither. The peer scans with boto3 and writes \
                with pyarrow (`benches/peer/scan_dynamodb.py`). Whole processes, start included; median of 3.";
    publish("dynamodb", "items of DynamoDB to Parquet", note, &lines)
}

fn fill(world: &testkit::World) -> Result<()> {
    let path = world.path("events.jsonl");
    let mut file = std::io::BufWriter::new(fs::File::create(&path)?);
    for number in 0..ITEMS {
        writeln!(
            file,
            "{{\"id\":\"event-{number:07}\",\"kind\":\"{}\",\"user\":{},\"amount\":{}.25,\"is_new\":{},\"note\":\"a note of some length, as notes are\"}}",
            ["view", "click", "order"][number as usize % 3],
            number % 10_007,
            number % 500,
            number % 7 == 0
        )?;
    }
    file.flush()?;
    drop(file);
    let path = path.to_str().context("a path in UTF-8")?;
    let args = ["load", path, "dynamodb://local/events", "--key", "id", "--create"];
    whole(&mut world.command(&args))?;
    Ok(())
}

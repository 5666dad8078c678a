//! `load`: the loader against the tools that people use for the same, store by store: whole processes, start included, sides in turn.
//!
//! A file for each row of the table; `sides` runs them and compares. Sizes are a share of the full ones, `--scale`.

mod convert;
mod data;
mod dynamodb;
mod firestore;
mod generated;
mod kafka;
mod mongodb;
mod sides;

use anyhow::{Result, bail};

use super::{
    Args, parts,
    report::{Line, publish},
};

/// What one row is given.
struct Plan {
    rounds: usize,
    scale: f64,
}

impl Plan {
    /// The share of a full size, in whole hundreds.
    fn of(&self, full: u64) -> u64 {
        ((full as f64 * self.scale / 100.0) as u64 * 100).max(100)
    }

    /// What a peer is given that would take many minutes for all of it. Rates compare: its start is a hundredth of that.
    fn tenth_of(&self, full: u64) -> u64 {
        self.of(full / 10)
    }
}

/// A row's name, what is done, and how it is measured. Each is a table of its own: at full size all of them take two hours.
type Row = (&'static str, &'static str, fn(&Plan) -> Result<Vec<Line>>);

const ROWS: &[Row] = &[
    ("mongodb", "documents into mongod", mongodb::run),
    ("kafka-json-schema", "CSV into a topic, JSON Schema", kafka::json_schema),
    ("kafka-avro", "CSV into a topic, Avro", kafka::avro),
    ("dynamodb", "items into DynamoDB", dynamodb::run),
    ("firestore", "documents into Firestore", firestore::run),
    ("convert-json-lines", "CSV into JSON Lines in gzip", convert::json_lines),
    ("convert-parquet", "CSV into Parquet", convert::parquet),
    ("generate", "records that are made up", generated::run),
];

pub fn run(args: &Args) -> Result<()> {
    if let Some(unknown) = args.rows.iter().find(|row| !ROWS.iter().any(|(known, ..)| known == row)) {
        let known: Vec<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
        bail!("no row {unknown}; there are: {}", known.join(", "));
    }
    let plan = Plan { rounds: args.rounds, scale: args.scale };
    let note = format!(
        "At {} of the full size, median of {} rounds, sides in turn. Whole processes, start included; memory is the highest of any round, \
         CPU that of the process alone: servers count for neither. Peers are `benches/peer/*.py`, a mongoimport on PATH or \
         `benches/peer/mongoimport` (its own module is not served by the Go proxy) with two inserting workers, and librdkafka sending \
         bytes that are ready (`perf produce`). Python's serializers, boto3 and duckdb's gzip are given a tenth of the records.",
        plan.scale, plan.rounds
    );
    for (name, title, row) in ROWS {
        if !args.rows.is_empty() && !args.rows.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("bench load, {name}");
        let lines = row(&plan)?;
        match args.debug {
            true => lines.iter().for_each(|line| eprintln!("  {}", line.told())),
            false => publish(&format!("load-{name}"), title, &note, &lines)?,
        }
    }
    Ok(())
}

/// The Python that has what only these benches need.
fn python() -> std::path::PathBuf {
    crate::services::folder().join("load/bin/python")
}

/// A script of `benches/peer`, with what it is given.
fn script(python: &std::path::Path, name: &str, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(python);
    command.arg(crate::run::root().join("benches/peer").join(name)).args(args);
    command
        .envs([("AWS_ACCESS_KEY_ID", testkit::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", testkit::SECRET_KEY)]);
    command
}

/// A project that is up with these parts.
fn up(only: &str) -> (testkit::World, testkit::Parts) {
    let mut world = parts::world();
    let up = world.up_with(&["--only", only]);
    (world, up)
}

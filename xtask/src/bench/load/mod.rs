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
}

type Row = (&'static str, fn(&Plan) -> Result<Vec<Line>>);

const ROWS: &[Row] = &[
    ("mongodb", mongodb::run),
    ("kafka", kafka::run),
    ("dynamodb", dynamodb::run),
    ("firestore", firestore::run),
    ("convert", convert::run),
    ("generate", generated::run),
];

pub fn run(args: &Args) -> Result<()> {
    if let Some(unknown) = args.rows.iter().find(|row| !ROWS.iter().any(|(known, _)| known == row)) {
        let known: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
        bail!("no row {unknown}; there are: {}", known.join(", "));
    }
    let plan = Plan { rounds: args.rounds, scale: args.scale };
    let mut lines = Vec::new();
    for (name, row) in ROWS {
        if args.rows.is_empty() || args.rows.iter().any(|wanted| wanted == name) {
            eprintln!("bench load, {name}");
            lines.extend(row(&plan)?);
        }
    }
    let note = format!(
        "At {} of the full sizes, median of {} rounds, sides in turn. Whole processes, start included; memory is the highest of any round, \
         CPU that of the process alone: servers count for neither. Peers are `benches/peer/*.py`, a mongoimport on PATH or \
         `benches/peer/mongoimport` (its own module is not served by the Go proxy) with two inserting workers, and librdkafka sending \
         bytes that are ready (`perf produce`).",
        plan.scale, plan.rounds
    );
    // A part of the table would take the place of the whole.
    if args.debug || !args.rows.is_empty() {
        lines.iter().for_each(|line| eprintln!("  {}", line.told()));
        return Ok(());
    }
    publish("load", "filling stores, against the tools for the same", &note, &lines)
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

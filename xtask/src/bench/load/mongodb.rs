//! 1 M JSON Lines of 1 KB into mongod, one by itself and one that is a replica set, which writes each document twice: `tidemill load`,
//! mongoimport, pymongo's `insert_many`.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use testkit::Mongod;

use super::{
    Plan, data, python, script,
    sides::{self, side},
};
use crate::{
    bench::{
        measure::{Ended, whole},
        parts,
        report::Line,
    },
    run::on_path,
    services,
};

const DOCUMENTS: u64 = 1_000_000;

pub(super) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let lone = testkit::lone_mongod().context("no mongod")?;
    let mut lines = into(plan, &lone, "JSON Lines of 1 KB to mongod")?;
    drop(lone);
    let set = testkit::mongod().context("no mongod")?;
    lines.extend(into(plan, set, "JSON Lines of 1 KB to mongod, a replica set")?);
    Ok(lines)
}

fn into(plan: &Plan, server: &Mongod, what: &str) -> Result<Vec<Line>> {
    let world = parts::world();
    let count = plan.of(DOCUMENTS);
    let file = world.path("orders.jsonl");
    data::orders(&file, count)?;
    let file = file.to_str().context("a path in UTF-8")?;
    let uri = server.uri("");
    // Counted and dropped outside of what is measured.
    let checked = |collection: &str, ended: Ended| {
        let about =
            |what: &str| whole(&mut script(&python(), "load_mongo.py", &[&uri, "bench", collection, what]));
        let said = about("count")?.stdout;
        ensure!(said.trim() == count.to_string(), "{collection} has {said} documents");
        about("drop")?;
        Ok(ended)
    };
    let ours = |_| {
        let target = server.uri("bench/ours");
        checked("ours", whole(&mut world.command(&["load", file, &target]))?)
    };
    let is_real = on_path("mongoimport");
    let mongoimport = |_| {
        let built = services::folder().join("go/bin/mongoimport");
        let mut command = Command::new(if is_real { Path::new("mongoimport") } else { &built });
        command.args(["--uri", &uri, "--db", "bench", "--collection", "import", "--file", file]);
        command.args(if is_real { ["--numInsertionWorkers", "2"] } else { ["-workers", "2"] });
        checked("import", whole(&mut command)?)
    };
    let pymongo = |_| {
        checked("pymongo", whole(&mut script(&python(), "load_mongo.py", &[&uri, "bench", "pymongo", file]))?)
    };
    let runs = sides::run(
        plan,
        vec![
            side("tidemill", count, ours),
            side(if is_real { "mongoimport" } else { "as mongoimport does (Go)" }, count, mongoimport),
            side("pymongo insert_many", count, pymongo),
        ],
    )?;
    Ok(sides::lines(what, "documents/s", &runs, &[">= 2x", ">= 4x"], "<= 100 MB"))
}

//! 10 GB of CSV to JSON Lines in gzip and to Parquet: `tidemill convert`, polars by its streaming engine, duckdb.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{
    Plan, data, python, script,
    sides::{self, side},
};
use crate::bench::{measure::whole, parts, report::Line};

const ROWS: u64 = 108_000_000;

pub(super) fn json_lines(plan: &Plan) -> Result<Vec<Line>> {
    run(plan, "JSON Lines.gz", "jsonl.gz")
}

pub(super) fn parquet(plan: &Plan) -> Result<Vec<Line>> {
    run(plan, "Parquet", "parquet")
}

fn run(plan: &Plan, name: &str, ending: &str) -> Result<Vec<Line>> {
    let world = parts::world();
    let count = plan.of(ROWS);
    let made = |name: &str, count| {
        let file = world.path(name);
        data::payments(&file, count)?;
        file.into_os_string().into_string().ok().context("a path in UTF-8")
    };
    let file = made("payments.csv", count)?;
    // Into gzip it writes on one processor.
    let (duckdb_file, duckdb_count) = match ending {
        "jsonl.gz" => (made("tenth.csv", plan.tenth_of(ROWS))?, plan.tenth_of(ROWS)),
        _ => (file.clone(), count),
    };
    let target = |side: &str| world.path(&format!("{side}.{ending}")).to_string_lossy().into_owned();
    let ours = |_| {
        let to = target("ours");
        fs::remove_file(&to).ok();
        whole(&mut world.command(&["convert", &file, &to]))
    };
    let polars = |_| whole(&mut script(&python(), "convert_polars.py", &[&file, &target("polars")]));
    let duckdb = |_| whole(&mut script(&python(), "convert_duckdb.py", &[&duckdb_file, &target("duckdb")]));
    let runs = sides::run(
        plan,
        vec![
            side("tidemill", count, ours),
            side("polars streaming", count, polars),
            side("duckdb", duckdb_count, duckdb),
        ],
    )?;
    let mut counted = script(&python(), "convert_duckdb.py", &[&target("ours"), "count"]);
    let said = whole(&mut counted)?.stdout;
    ensure!(said.trim() == count.to_string(), "our {ending} has {said} rows");
    Ok(sides::lines(&format!("CSV to {name}"), "rows/s", &runs, &[">= 0.8x", ">= 0.8x"], "<= 150 MB"))
}

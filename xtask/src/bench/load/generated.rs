//! 100 M transactions of a bank, made and written as Parquet: `tidemill load generate:finance.transactions` and faker.

use std::fs;

use anyhow::Result;

use super::{
    Plan, python, script,
    sides::{self, side},
};
use crate::bench::{measure::whole, parts, report::Line};

const TRANSACTIONS: u64 = 100_000_000;
/// Faker makes some thousands in a second: of a thousandth its rate is known as well.
const FAKED_SHARE: u64 = 1_000;

pub(super) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let world = parts::world();
    let count = plan.of(TRANSACTIONS);
    let faked = (count / FAKED_SHARE).max(1_000);
    let target = |side: &str| world.path(&format!("{side}.parquet")).to_string_lossy().into_owned();
    let ours = |_| {
        let to = target("ours");
        fs::remove_file(&to).ok();
        let source = format!("generate:finance.transactions?count={count}");
        whole(&mut world.command(&["load", &source, &to]))
    };
    let faker = |_| whole(&mut script(&python(), "make_faker.py", &[&faked.to_string(), &target("faker")]));
    let runs = sides::run(plan, vec![side("tidemill", count, ours), side("faker", faked, faker)])?;
    Ok(sides::lines("transactions made, to Parquet", "records/s", &runs, &[">= 100x"], ""))
}

//! 200,000 documents into the Firestore emulator: `tidemill load` and google-cloud-firestore's `BulkWriter`.

use anyhow::{Context, Result};

use super::{
    Plan, data, python, script,
    sides::{self, side},
};
use crate::bench::{
    measure::{Ended, whole},
    parts,
    report::Line,
};

const DOCUMENTS: u64 = 200_000;

pub(super) fn run(plan: &Plan) -> Result<Vec<Line>> {
    let Some(server) = testkit::roomy_firestore_emulator() else { return Ok(Vec::new()) };
    let mut world = parts::world();
    world.set("FIRESTORE_EMULATOR_HOST", &server.address);
    let count = plan.of(DOCUMENTS);
    let file = world.path("events.jsonl");
    data::events(&file, count)?;
    let file = file.to_str().context("a path in UTF-8")?;
    // The emulator keeps all of it in its memory.
    let cleared = |ended: Ended| {
        let all =
            format!("http://{}/emulator/v1/projects/bench/databases/(default)/documents", server.address);
        testkit::try_http("DELETE", &all, "").map(|_| ended).context("the emulator forgets nothing")
    };
    let ours =
        |_| cleared(whole(&mut world.command(&["load", file, "firestore://bench/ours", "--key", "id"]))?);
    let bulk = |_| {
        let mut command = script(&python(), "load_firestore.py", &["bench", "bulk", file]);
        cleared(whole(command.env("FIRESTORE_EMULATOR_HOST", &server.address))?)
    };
    let runs = sides::run(plan, vec![side("tidemill", count, ours), side("BulkWriter", count, bulk)])?;
    Ok(sides::lines("documents to the Firestore emulator", "documents/s", &runs, &[">= 3x"], ""))
}

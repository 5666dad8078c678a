//! `cargo xtask ci`: what has to hold before anything lands, quickest first. `.ci/run` calls it.

use std::time::Instant;

use anyhow::Result;

use crate::{
    docs, fuzz, licences,
    run::{cargo, lint, show},
    services, test,
};

pub fn run() -> Result<()> {
    // The parts that nobody here wrote arrive while the compiler works; the tests then find them there.
    let parts = std::thread::spawn(|| services::install(&services::Args::default()));
    timed("formatting", || show(&mut cargo(&["fmt", "--all", "--check"])))?;
    timed("licences and pages", || licences::check().and_then(|()| docs::check()))?;
    lint();
    let build = ["test", "--quiet", "--workspace", "--all-targets", "--no-run"];
    timed("lints, and building the tests", || show(&mut cargo(&build)))?;
    timed("parts, behind it", || parts.join().expect("a panic there is a bug of xtask").map(drop))?;
    timed("tests", || test::run(&test::Args::default()))?;
    timed("fuzzing", || fuzz::run(&fuzz::Args::short(60)))
}

/// Says how long a step took: all of them together have an hour.
fn timed(step: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    work()?;
    eprintln!("{step}: {} s", start.elapsed().as_secs());
    Ok(())
}

pub fn tidy() -> Result<()> {
    licences::check()?;
    docs::check()?;
    show(&mut cargo(&["test", "--quiet", "-p", "xtask"]))
}

//! `cargo xtask ci`: what has to hold before anything lands, quickest first. `.ci/run` calls it.

use anyhow::Result;

use crate::{
    docs, fuzz, licences,
    run::{cargo, show},
    services, test,
};

pub fn run() -> Result<()> {
    // The parts that nobody here wrote arrive while clippy works; the tests then find them there.
    let parts = std::thread::spawn(|| services::install(&services::Args::default()));
    show(&mut cargo(&["fmt", "--all", "--check"]))?;
    licences::check()?;
    docs::check()?;
    show(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    parts.join().expect("a panic there is a bug of xtask")?;
    test::run(&test::Args::default())?;
    fuzz::run(&fuzz::Args::short(60))
}

pub fn tidy() -> Result<()> {
    licences::check()?;
    docs::check()?;
    show(&mut cargo(&["test", "--quiet", "-p", "xtask"]))
}

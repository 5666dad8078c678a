//! `cargo xtask test`: what the tests need, then all of them, then what was skipped, then one line of sums.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
};

use anyhow::{Context, Result, bail};

use crate::{
    run::{cargo, root},
    services,
};

#[derive(clap::Args, Default)]
pub struct Args {
    /// 1,000 kills instead of 200, and longer random tests
    #[arg(long)]
    deep: bool,
    /// Do not look after .services/ first
    #[arg(long)]
    no_services: bool,
    /// Passed to `cargo test`: a filter, or -p CRATE
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

#[derive(Default)]
struct Sums {
    passed: u64,
    failed: u64,
}

impl Sums {
    /// Takes what one binary's `test result:` line says.
    fn add(&mut self, line: &str) {
        let number_before = |word: &str| {
            let end = line.find(word)?;
            line[..end].trim_end().rsplit(' ').next()?.parse::<u64>().ok()
        };
        if line.starts_with("test result:") {
            self.passed += number_before(" passed").unwrap_or(0);
            self.failed += number_before(" failed").unwrap_or(0);
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    let missing = if args.no_services {
        Vec::new()
    } else {
        eprintln!("parts that nobody here wrote:");
        services::install(&services::Args::default())?
    };
    let skipped_list = root().join("target/skipped.txt");
    fs::remove_file(&skipped_list).ok();
    let mut command = cargo(&["test", "--no-fail-fast"]);
    let names_package = args.rest.iter().any(|word| word == "-p" || word.starts_with("--package"));
    if !names_package {
        command.args(["--workspace", "--lib", "--bins", "--tests"]);
    }
    command.args(&args.rest).env("TIDEMILL_SKIPPED_LIST", &skipped_list);
    if env::var_os("RUST_TEST_THREADS").is_none() {
        // Most of the time a test waits for the programs it talks to.
        let cpu_count = thread::available_parallelism().map_or(2, usize::from);
        command.env("RUST_TEST_THREADS", (2 * cpu_count).to_string());
    }
    if services::in_ci() {
        command.env("TIDEMILL_TEST_REQUIRE", "1").env("INSTA_UPDATE", "no");
    }
    if args.deep {
        command.env("TIDEMILL_DEEP", "1");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo test")?;
    let mut sums = Sums::default();
    let stdout = child.stdout.take().context("cargo test without stdout")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        sums.add(&line);
        println!("{line}");
    }
    let status = child.wait()?;
    let skipped = fs::read_to_string(&skipped_list).unwrap_or_default();
    let mut skipped: Vec<&str> = skipped.lines().collect();
    skipped.sort_unstable();
    skipped.dedup();
    if !missing.is_empty() || !skipped.is_empty() {
        println!("\nnot tested here (parts that could not be had: {}):", missing.join(", "));
        skipped.iter().for_each(|line| println!("  {line}"));
    }
    println!("\n{} passed, {} failed, {} skipped", sums.passed, sums.failed, skipped.len());
    if !status.success() {
        bail!("cargo test ended with {status}");
    }
    if services::in_ci() && !(missing.is_empty() && skipped.is_empty()) {
        bail!("CI needs every part, and some tests were skipped");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_from_the_closing_lines() {
        let mut sums = Sums::default();
        sums.add(
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.1s",
        );
        sums.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        sums.add("running 12 tests");
        assert_eq!((sums.passed, sums.failed), (15, 2));
    }
}

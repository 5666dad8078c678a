//! `cargo xtask fuzz`: feeds the decoders and parsers with bytes that nobody chose, by the targets of `fuzz/`; with `--coverage`
//! by libFuzzer, which keeps what reached something new.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, quiet, root, show};

/// What LLVM has to put into the code so that libFuzzer sees where an input went. The stable compiler can; sanitizers it cannot.
const COVERAGE_FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

#[derive(clap::Args, Default)]
pub struct Args {
    /// By libFuzzer: one target, then libFuzzer's own flags, such as -runs=10000000 or -max_total_time=60
    #[arg(long)]
    coverage: bool,
    /// Targets, and what else the program takes: --seconds N for each, --inputs N, --seed N, --file PATH
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

impl Args {
    /// What has to pass before anything lands: so many seconds for each target.
    pub fn short(seconds: u32) -> Self {
        Self { coverage: false, rest: vec![format!("--seconds={seconds}")] }
    }
}

pub fn run(args: &Args) -> Result<()> {
    if args.coverage {
        return with_coverage(&args.rest);
    }
    // As a part of the whole workspace: alone it would want other features of what it depends on, and build all of that again.
    show(&mut cargo(&["build", "--quiet", "--workspace", "--bin", "tidemill-fuzz"]))?;
    show(Command::new(root().join("target/debug/tidemill-fuzz")).args(&args.rest))
}

/// Inputs that reached something new are kept beside the ones of the corpus, under `target/`.
fn with_coverage(rest: &[String]) -> Result<()> {
    let Some((target, flags)) = rest.split_first() else {
        bail!("name a target: cargo xtask fuzz --coverage avro")
    };
    let host = quiet(Command::new("rustc").args(["--print", "host-tuple"]), Duration::from_secs(30))?;
    let host = host.trim();
    let folder = root().join("target/coverage");
    // With a target named, build scripts and macros are built without the flags.
    let mut build =
        cargo(&["build", "--release", "--manifest-path", "fuzz/libfuzzer/Cargo.toml", "--target", host]);
    show(build.arg("--target-dir").arg(&folder).env("RUSTFLAGS", COVERAGE_FLAGS))?;
    let found = folder.join("corpus").join(target);
    fs::create_dir_all(&found).context("target/ cannot be written")?;
    let mut command = Command::new(folder.join(host).join("release/libfuzzer"));
    command.current_dir(root()).env("FUZZ_TARGET", target).args(flags);
    command.arg(format!("-artifact_prefix={}/", found.parent().unwrap_or(&found).display()));
    show(command.arg(&found).arg(root().join("fuzz/corpus").join(target)))
}

//! `cargo xtask fuzz`: feeds the decoders and parsers with bytes that nobody chose, by the targets of `fuzz/`.

use anyhow::Result;

use crate::run::{cargo, show};

#[derive(clap::Args, Default)]
pub struct Args {
    /// Targets, and what else the program takes: --seconds N for each, --inputs N, --seed N, --file PATH
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

impl Args {
    /// What has to pass before anything lands: so many seconds for each target.
    pub fn short(seconds: u32) -> Self {
        Self { rest: vec![format!("--seconds={seconds}")] }
    }
}

pub fn run(args: &Args) -> Result<()> {
    show(cargo(&["run", "--quiet", "-p", "tidemill-fuzz", "--"]).args(&args.rest))
}

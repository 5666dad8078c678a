//! `cargo xtask bench [NAME]`: us and the peer in one go, side by side, into `benches/RESULTS.md`.

use anyhow::Result;

#[derive(clap::Args)]
pub struct Args {
    /// Only these: up, produce, s3, load, memory
    names: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    anyhow::bail!("no such bench: {}", args.names.join(" "))
}

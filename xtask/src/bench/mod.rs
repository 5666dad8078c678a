//! `cargo xtask bench [NAME…]`: us and the peer in one go, side by side, into `benches/RESULTS.md`.

mod broker;
mod dags;
mod dynamodb;
mod load;
mod measure;
mod memory;
mod parts;
mod pipelines;
mod produce;
mod registry;
mod report;
mod s3;
mod up;

use anyhow::{Result, bail};

use crate::services;

#[derive(clap::Args)]
pub struct Args {
    /// Only these: up, load, produce, broker, registry, s3, memory, pipelines, dynamodb, dags [default: all]
    names: Vec<String>,
}

type Bench = (&'static str, fn() -> Result<()>);

const BENCHES: &[Bench] = &[
    ("up", up::run),
    ("load", load::run),
    ("produce", produce::run),
    ("broker", broker::run),
    ("registry", registry::run),
    ("s3", s3::run),
    ("memory", memory::run),
    ("pipelines", pipelines::run),
    ("dynamodb", dynamodb::run),
    ("dags", dags::run),
];

pub fn run(args: &Args) -> Result<()> {
    if let Some(unknown) = args.names.iter().find(|name| !BENCHES.iter().any(|(known, _)| known == name)) {
        bail!(
            "no bench {unknown}; there are: {}",
            BENCHES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        );
    }
    let missing = services::install(&services::Args { bench: true })?;
    if !missing.is_empty() {
        bail!("the peer cannot run without {}", missing.join(", "));
    }
    parts::build()?;
    for (name, bench) in BENCHES {
        if args.names.is_empty() || args.names.iter().any(|wanted| wanted == name) {
            eprintln!("bench {name}");
            bench()?;
        }
    }
    Ok(())
}

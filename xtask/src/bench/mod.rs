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
    /// Share of the full sizes of `load`; a whole run takes some ten minutes at 0.1
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    scale: f64,
    /// Rounds of `load`
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only these rows of `load`: mongodb, kafka-json-schema, kafka-avro, dynamodb, firestore, convert-json-lines, convert-parquet,
    /// generate
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// The debug binaries as they lie there; figures are printed and not kept. For `load` alone
    #[arg(long, requires = "names")]
    debug: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share is above 0 and at most 1".to_owned()),
    }
}

type Bench = (&'static str, fn(&Args) -> Result<()>);

const BENCHES: &[Bench] = &[
    ("up", |_| up::run()),
    ("load", load::run),
    ("produce", |_| produce::run()),
    ("broker", |_| broker::run()),
    ("registry", |_| registry::run()),
    ("s3", |_| s3::run()),
    ("memory", |_| memory::run()),
    ("pipelines", |_| pipelines::run()),
    ("dynamodb", |_| dynamodb::run()),
    ("dags", |_| dags::run()),
];

pub fn run(args: &Args) -> Result<()> {
    if let Some(unknown) = args.names.iter().find(|name| !BENCHES.iter().any(|(known, _)| known == name)) {
        bail!(
            "no bench {unknown}; there are: {}",
            BENCHES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        );
    }
    if args.debug {
        if args.names != ["load"] {
            bail!("--debug is for trying out `load` alone");
        }
        parts::use_debug();
    }
    let missing = services::install(&services::Args { bench: true })?;
    if !missing.is_empty() {
        bail!("the peer cannot run without {}", missing.join(", "));
    }
    if !args.debug {
        parts::build()?;
    }
    for (name, bench) in BENCHES {
        if args.names.is_empty() || args.names.iter().any(|wanted| wanted == name) {
            eprintln!("bench {name}");
            bench(args)?;
        }
    }
    Ok(())
}

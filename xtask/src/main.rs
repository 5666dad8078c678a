//! The house's own chores: `cargo xtask test | fuzz | bench | ci | services | docs | tidy`.
//!
//! Nothing of the product depends on it; it may use `anyhow` and stop at the first error.

mod bench;
mod ci;
mod docs;
mod fuzz;
mod licences;
mod run;
mod services;
mod test;
#[cfg(test)]
mod tidy;

use clap::Parser;

/// The house's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
enum Chore {
    /// Install what the tests talk to, then run all of them; what follows -- goes to `cargo test`
    Test(test::Args),
    /// Feed the decoders and parsers with bytes that nobody chose
    Fuzz(fuzz::Args),
    /// Run us and the peer in one go and add the figures to benches/RESULTS.md
    Bench(bench::Args),
    /// All that .ci/run asks: formatting, clippy, licences, pages, tests
    Ci,
    /// Install the real clients and servers of xtask/services.toml into .services/
    Services(services::Args),
    /// Write the pages that are printed from tables (docs/errors/README.md and others)
    Docs(docs::Args),
    /// The tests of the tree itself, and the licences of all dependencies
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Chore::parse() {
        Chore::Test(args) => test::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Ci => ci::run(),
        Chore::Services(args) => services::run(&args),
        Chore::Docs(args) => docs::run(&args),
        Chore::Tidy => ci::tidy(),
    }
}

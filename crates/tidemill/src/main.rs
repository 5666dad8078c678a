//! The `tidemill` command line: parses arguments, hands them to one command, draws what went wrong.
//!
//! No logic lives here: commands are in `commands/`, one file each; what they share is `Context`.

mod background;
mod causes;
mod commands;
mod context;
mod embedded;
mod environment;
mod errors;
mod identities;
mod memory;
mod notices;
mod ports;
mod reach;
mod render;
mod shown;

use std::process::ExitCode;

use clap::Parser;
use context::{Context, Failure, GlobalArgs};

/// The whole streaming environment in one process, and the commands to work with it.
#[derive(Parser)]
#[command(
    name = "tidemill",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    render::end_quietly_without_a_reader();
    let cli = Cli::parse();
    let context = Context::new(cli.global);
    render::start_logs(context.verbose());
    match run(cli.command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            render::failure(&*failure, &context);
            ExitCode::from(failure.code().exit as u8)
        }
    }
}

/// Worker threads of the runtime; the parts are mostly waiting, and every thread costs memory.
const WORKERS_COUNT: usize = 2;
/// Threads for disk work, started when there is some and ended after ten idle seconds.
const BLOCKING_COUNT_MAX: usize = 64;

fn run(command: commands::Command, context: &Context) -> Result<(), Failure> {
    // One provider for everything that speaks TLS; an error only says that there already is one.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS_COUNT)
        .max_blocking_threads(BLOCKING_COUNT_MAX)
        .enable_all()
        .build()
        .map_err(|source| errors::Error::Runtime { source })?;
    let result = runtime.block_on(commands::run(command, context));
    // What is cut off now may panic for that: the MongoDB driver ends its sessions on a runtime that goes. No reader could do anything.
    render::hear_only_this_thread();
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_arguments_that_clap_can_build() {
        Cli::command().debug_assert();
    }
}

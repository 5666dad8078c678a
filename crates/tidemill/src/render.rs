//! Drawing: errors with their place, reason and help; logs on stderr.

use base::Problem;

use crate::context::Context;

/// Prints an error to stderr: what, where, why, what to do.
pub fn failure(problem: &dyn Problem, _context: &Context) {
    eprint!("{}", base::problem::plain(problem));
}

/// Logs go to stderr; `RUST_LOG` wins over `-v`.
pub fn start_logs(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

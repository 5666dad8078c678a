//! `tidemill quickstart` (being built).

use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {}

pub async fn run(_args: Args, _context: &Context) -> Result<(), Failure> {
    Ok(())
}

//! Every command: one file, one line here.

pub mod cat;
pub mod connect;
pub mod contract;
pub mod group;
pub mod load;
pub mod ls;
pub mod schema;
pub mod topic;

use base::{Code, Problem, code};

use crate::context::{Context, Failure};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create, list, describe, change and read topics
    Topic(topic::Args),
    /// List, describe and reset consumer groups
    Group(group::Args),
    /// Make, check and show contracts
    Contract(contract::Args),
    /// Work with a schema registry
    Schema(schema::Args),
    /// Load records from files into a store
    Load(load::Args),
    /// Work with a Kafka Connect worker
    Connect(connect::Args),
    /// List objects
    Ls(ls::Args),
    /// Print objects
    Cat(cat::Args),
}

pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Topic(args) => topic::run(args, context).await,
        Command::Group(args) => group::run(args, context).await,
        Command::Contract(args) => contract::run(args, context).await,
        Command::Schema(args) => schema::run(args, context).await,
        Command::Load(args) => load::run(args, context).await,
        Command::Connect(args) => connect::run(args, context).await,
        Command::Ls(args) => ls::run(args, context).await,
        Command::Cat(args) => cat::run(args, context).await,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the runtime cannot start its threads")]
struct RuntimeFailed(#[source] std::io::Error);

impl Problem for RuntimeFailed {
    fn code(&self) -> Code {
        code::TM0002
    }

    fn help(&self) -> String {
        "raise the limit of processes (ulimit -u), or end others".to_owned()
    }
}

pub fn runtime_failed(error: std::io::Error) -> Failure {
    Box::new(RuntimeFailed(error))
}

//! Every command: one file, one line here.

pub mod auth;
pub mod cat;
pub mod check;
pub mod config;
pub mod connect;
pub mod connections;
pub mod contract;
pub mod dag;
pub mod dead_letters;
pub mod down;
pub mod group;
pub mod init;
pub mod load;
pub mod ls;
mod part;
pub mod pipeline;
pub mod quickstart;
pub mod reset;
pub mod run;
pub mod schema;
pub mod status;
pub mod topic;
pub mod up;

use crate::context::{Context, Failure};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Run the whole example end to end on embedded parts, then say where to look
    Quickstart(quickstart::Args),
    /// Make a project folder to start from
    Init(init::Args),
    /// Start the environment: broker, registry, REST proxy, Connect worker, S3, DynamoDB, status page
    Up(up::Args),
    /// Show which parts run, where, and whether they answer
    Status(status::Args),
    /// Stop the environment
    Down(down::Args),
    /// Prove what can be known before anything runs
    Check(check::Args),
    /// Show settings and where they came from
    Config(config::Args),
    /// Create, list, describe, change and read topics
    Topic(topic::Args),
    /// List, describe and reset consumer groups
    Group(group::Args),
    /// Make, check and show contracts
    Contract(contract::Args),
    /// Work with a schema registry
    Schema(schema::Args),
    /// Load records from files, stores, topics and generators into topics, stores and files
    Load(Box<load::Args>),
    /// Write a file of one format as one of another
    Convert(Box<load::convert::Args>),
    /// Make, empty or drop collections, tables, topics and objects, after a plan
    Reset(reset::Args),
    /// Say who one is to AWS and Google Cloud, and sign in and out
    Auth(auth::Args),
    /// List, show and send again records that loads and pipelines refused
    DeadLetters(dead_letters::Args),
    /// List, test and export connections
    Connections(connections::Args),
    /// Work with DAGs, their runs and logs
    Dag(dag::Args),
    /// Work with a Kafka Connect worker
    Connect(connect::Args),
    /// Run a pipeline
    Run(run::Args),
    /// List pipelines, what they did and what they remember
    Pipeline(pipeline::Args),
    /// List objects
    Ls(ls::Args),
    /// Print objects
    Cat(cat::Args),
}

pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Quickstart(args) => quickstart::run(args, context).await,
        Command::Init(args) => init::run(args, context).await,
        Command::Up(args) => up::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Down(args) => down::run(args, context).await,
        Command::Check(args) => check::run(args, context).await,
        Command::Config(args) => config::run(args, context).await,
        Command::Topic(args) => topic::run(args, context).await,
        Command::Group(args) => group::run(args, context).await,
        Command::Contract(args) => contract::run(args, context).await,
        Command::Schema(args) => schema::run(args, context).await,
        Command::Load(args) => load::run(*args, context).await,
        Command::Auth(args) => auth::run(args, context).await,
        Command::DeadLetters(args) => dead_letters::run(args, context).await,
        Command::Convert(args) => load::convert::run(*args, context).await,
        Command::Reset(args) => reset::run(args, context).await,
        Command::Connections(args) => connections::run(args, context).await,
        Command::Dag(args) => dag::run(args, context).await,
        Command::Connect(args) => connect::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Pipeline(args) => pipeline::run(args, context).await,
        Command::Ls(args) => ls::run(args, context).await,
        Command::Cat(args) => cat::run(args, context).await,
    }
}

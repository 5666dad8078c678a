//! `tidemill auth`: who one is to the clouds, until when, and how to be somebody.
//!
//! Map: `auth/status.rs` looks at both clouds' sources and asks the winner; `auth/show.rs` prints that; `auth/login.rs` signs in
//! and out; `auth/hand_on.rs` gives credentials to other programs, which is the one place that prints any.

mod hand_on;
mod login;
mod show;
mod status;

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
};

use base::{Problem, Secret};
use cloud::aws::{AskCode, Identity, Options};

use crate::context::{Context, Failure};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Cloud {
    Aws,
    Gcp,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show every source of credentials, which of them wins, who that is and until when
    Status {
        /// Only this cloud
        #[arg(value_enum)]
        cloud: Option<Cloud>,
        /// An AWS profile, over all variables
        #[arg(long)]
        profile: Option<String>,
        /// Look only at files and variables
        #[arg(long)]
        offline: bool,
    },
    /// Sign in
    Login {
        #[command(subcommand)]
        cloud: Login,
    },
    /// Sign out, and forget what a sign-in gave
    Logout {
        #[arg(value_enum)]
        cloud: Cloud,
    },
    /// Print credentials for other programs
    Env {
        #[arg(value_enum, default_value = "aws")]
        cloud: Cloud,
        /// An AWS profile, over all variables
        #[arg(long)]
        profile: Option<String>,
        #[arg(long, value_enum, default_value = "shell")]
        format: Format,
    },
    /// Run a command with credentials in its environment
    Exec {
        /// Whose credentials
        #[arg(long, value_enum, default_value = "aws")]
        cloud: Cloud,
        /// An AWS profile, over all variables
        #[arg(long)]
        profile: Option<String>,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<std::ffi::OsString>,
    },
}

#[derive(clap::Subcommand)]
pub enum Login {
    /// Sign in to AWS IAM Identity Center (SSO)
    Aws {
        /// The profile that signs in
        #[arg(long, conflicts_with = "sso_session")]
        profile: Option<String>,
        /// The sso-session to sign in to
        #[arg(long)]
        sso_session: Option<String>,
        /// Confirm a code, on this machine or another [default: without a terminal, or without an sso-session]
        #[arg(long, conflicts_with = "pkce")]
        device: bool,
        /// Sign in in a browser on this machine [default: at a terminal]
        #[arg(long)]
        pkce: bool,
    },
    /// Sign in to Google Cloud, for application default credentials
    Gcp {
        /// An OAuth client of the type "Desktop app", as Google's console gives it out [default: that of the last sign-in]
        #[arg(long, value_name = "FILE")]
        client_id_file: Option<PathBuf>,
        /// Sign in with the OAuth client that gcloud has signed you in with on this machine, from its own folder
        #[arg(long, conflicts_with = "client_id_file")]
        gcloud_client: bool,
        /// The project that quota and costs are counted on
        #[arg(long, value_name = "PROJECT")]
        quota_project: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// export NAME='value', for eval
    Shell,
    /// NAME="value"
    Dotenv,
    Json,
    /// As a credential_process of AWS answers
    CredentialProcess,
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::Status { cloud, profile, offline } => {
            let report = status::look(cloud, profile, offline, context).await?;
            show::print(&report, context);
            report.failure.map_or(Ok(()), Err)
        }
        Command::Login { cloud } => login::run(cloud, context).await,
        Command::Logout { cloud } => login::out(cloud, context).await,
        Command::Env { cloud, profile, format } => hand_on::print(cloud, profile, format).await,
        Command::Exec { cloud, profile, command } => hand_on::exec(cloud, profile, command).await,
    }
}

fn failure(error: cloud::Error) -> Failure {
    Box::new(error) as Box<dyn Problem>
}

/// With somebody to ask for an MFA code, where there is a terminal.
async fn identity(profile: Option<String>) -> Arc<Identity> {
    Identity::with(Options { profile, ask_code: Some(ask_code()) }).await
}

fn ask_code() -> AskCode {
    Arc::new(|serial| {
        let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
        if !stdin.is_terminal() || !stderr.is_terminal() {
            return None;
        }
        let question = format!("code of the MFA device {serial}: ");
        stderr.write_all(question.as_bytes()).ok()?;
        let mut line = String::new();
        stdin.read_line(&mut line).ok()?;
        Some(Secret::new(line.trim())).filter(|code| !code.is_empty())
    })
}

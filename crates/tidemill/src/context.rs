//! What every command is given: where the project is, where its parts answer, how to print.
//!
//! An address comes from, in this order: the command's own flag, a part that runs now (`.tidemill/running.json`), the
//! settings (`external`, else `listen`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use base::{Problem, Secret};
use cloud::registry::{Access, Registry};
use project::{Outside, Project, Running};
use rdkafka::ClientConfig;

use crate::errors::Error;

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
    project: OnceLock<Project>,
}

impl Context {
    pub fn new(global: GlobalArgs) -> Self {
        Self { global, project: OnceLock::new() }
    }

    pub fn global(&self) -> &GlobalArgs {
        &self.global
    }

    pub fn verbose(&self) -> u8 {
        self.global.verbose
    }

    pub fn is_json(&self) -> bool {
        self.global.output == Output::Json
    }

    /// The project with its settings, read when first asked for.
    pub fn project(&self) -> Result<&Project, Failure> {
        if let Some(project) = self.project.get() {
            return Ok(project);
        }
        let current = std::env::current_dir().map_err(|source| Error::CurrentFolder { source })?;
        // Names and values that are no Unicode set nothing of ours.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let outside = Outside {
            folder: self.global.project.clone(),
            variables: variables.collect(),
            flags: self.global.set.clone(),
        };
        let project = Project::open(&current, &outside)?;
        cloud::aws::tell_before(project.settings.milliseconds("auth.expiring_ms")?);
        Ok(self.project.get_or_init(|| project))
    }

    /// The project folder, absolute.
    pub fn root(&self) -> Result<PathBuf, Failure> {
        Ok(self.project()?.root.clone())
    }

    /// A path of the user's: as typed where it exists or is absolute, else below the project folder.
    pub fn path(&self, typed: &Path) -> Result<PathBuf, Failure> {
        if typed.is_absolute() || typed.exists() {
            return Ok(typed.to_path_buf());
        }
        let below = self.project()?.root.join(typed);
        Ok(if below.exists() { below } else { typed.to_path_buf() })
    }

    /// Bootstrap servers `host:port`; `flag` wins where given.
    pub fn kafka(&self, flag: Option<&str>) -> Result<String, Failure> {
        self.address(flag, "broker")
    }

    /// Client properties that the settings give for the broker: `security.protocol`, `sasl.username` …
    pub fn kafka_properties(&self) -> Result<BTreeMap<String, String>, Failure> {
        Ok(self.project()?.settings.properties("broker.properties"))
    }

    /// The settings of a client that asks a cluster and produces nothing. The properties are for the project's own.
    pub fn kafka_client(&self, flag: Option<&str>) -> Result<ClientConfig, Failure> {
        let mut config = ClientConfig::new();
        if flag.is_none() {
            config.extend(self.kafka_properties()?);
        }
        // What goes wrong is told by the command, and not by the client.
        config.set("bootstrap.servers", self.kafka(flag)?).set("client.id", "tidemill").set("log_level", "0");
        Ok(config)
    }

    /// `http://host:port`, without a slash at its end.
    pub fn registry_url(&self, flag: Option<&str>) -> Result<String, Failure> {
        Ok(console::url(&self.address(flag, "registry")?))
    }

    /// The client of a schema registry; `given` are properties of it, `KEY=VALUE`.
    pub fn registry(&self, flag: Option<&str>, given: &[String]) -> Result<Registry, Failure> {
        Ok(Registry::reached(vec![self.registry_url(flag)?], self.registry_access(flag, given)?))
    }

    /// How a registry is reached: the settings say it of the project's own, `given` of any.
    pub fn registry_access(&self, flag: Option<&str>, given: &[String]) -> Result<Access, Failure> {
        let mut properties = match flag {
            None => self.project()?.settings.properties("registry.properties"),
            // Another one is not told who the project's users are.
            Some(_) => BTreeMap::new(),
        };
        for property in given {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            properties.insert(key.to_owned(), value.to_owned());
        }
        Access::of(&properties).map_err(|error| Box::new(error) as Failure)
    }

    /// `http://host:port`, without a slash at its end.
    pub fn connect_url(&self, flag: Option<&str>) -> Result<String, Failure> {
        Ok(console::url(&self.address(flag, "connect")?))
    }

    /// `http://host:port` of a scheduler or an Airflow, without a slash at its end.
    pub fn scheduler_url(&self, flag: Option<&str>) -> Result<String, Failure> {
        Ok(console::url(&self.address(flag, "scheduler")?))
    }

    /// `http://host:port` of the project's DynamoDB endpoint; `None` where the project uses AWS itself.
    pub fn dynamodb_url(&self) -> Result<Option<String>, Failure> {
        let address = self.address(None, "dynamodb")?;
        Ok((address != "aws").then(|| console::url(&address)))
    }

    /// The project's S3 endpoint and keys; `None` where the project uses AWS itself.
    pub fn s3(&self) -> Result<Option<S3Access>, Failure> {
        let project = self.project()?;
        let address = self.address(None, "s3")?;
        if address == "aws" {
            return Ok(None);
        }
        Ok(Some(S3Access {
            endpoint: console::url(&address),
            access_key: project.settings.text("s3.access_key").to_owned(),
            secret_key: project.s3_secret_key()?,
            region: project.settings.text("s3.region").to_owned(),
        }))
    }

    fn address(&self, flag: Option<&str>, part: &str) -> Result<String, Failure> {
        if let Some(flag) = flag {
            return Ok(flag.to_owned());
        }
        let project = self.project()?;
        if let Some(external) = project.settings.optional_text(&format!("{part}.external")) {
            return Ok(external.to_owned());
        }
        if let Some(running) = Running::read(project)?
            && let Some(part) = running.parts.get(part)
        {
            return Ok(part.address.clone());
        }
        Ok(project.settings.address(&format!("{part}.listen"))?.to_string())
    }
}

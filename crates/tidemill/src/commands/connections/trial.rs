//! Trying a connection: the least that proves that it leads somewhere and lets us in, for each type.

use std::{error::Error as StdError, time::Duration};

use base::{BoxError, Code, Problem, Spot, code, problem::root};
use cloud::store::Credentials;
use mongodb::bson::doc;
use project::Connection;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use super::{place, spot};
use crate::{context::Failure, reach};

/// How long one trial may take.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);
const TYPES: &str = "mongo, aws, kafka, http, postgres";

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("connections of type {conn_type} cannot be tried")]
    Unknown { conn_type: String, spot: Option<Spot> },
    #[error("connection {id} says no host")]
    Nowhere { id: String, spot: Option<Spot> },
    #[error("connection {id} to {place} does not work: {reason}")]
    Fails { id: String, place: String, reason: String, is_denied: bool, spot: Option<Spot> },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Unknown { .. } | Error::Nowhere { .. } => code::TM1055,
            Error::Fails { .. } => code::TM1056,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Error::Unknown { spot, .. } | Error::Nowhere { spot, .. } | Error::Fails { spot, .. } => {
                spot.clone()
            }
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Unknown { .. } => {
                format!("these can: {TYPES}; try the others with the tools they are for")
            }
            Error::Nowhere { .. } => "give it a host".to_owned(),
            Error::Fails { is_denied: true, .. } => {
                "check its login and password, and whether they have run out".to_owned()
            }
            Error::Fails { is_denied: false, .. } => {
                "check that it runs and that host and port are right; a firewall or a VPN may be between"
                    .to_owned()
            }
        }
    }
}

/// What was found, in a few words.
pub(super) async fn run(connection: &Connection, bucket: Option<&str>) -> Result<String, Failure> {
    let tried = match connection.conn_type() {
        "mongo" | "mongodb" => timely(mongodb(connection)).await,
        "kafka" => timely(kafka(connection)).await,
        "http" | "https" => timely(http(connection)).await,
        "postgres" | "postgresql" => timely(postgres(connection)).await,
        "aws" => return aws(connection, bucket).await,
        other => {
            let (conn_type, spot) = (other.to_owned(), spot(connection));
            return Err(Box::new(Error::Unknown { conn_type, spot }));
        }
    };
    tried.map_err(|error| fails(connection, &*error))
}

async fn timely(trial: impl Future<Output = Result<String, BoxError>>) -> Result<String, BoxError> {
    let late = |_| BoxError::from(format!("no answer within {} s", TRIAL_TIMEOUT.as_secs()));
    tokio::time::timeout(TRIAL_TIMEOUT, trial).await.map_err(late)?
}

/// The deepest cause says it best; what clients put around it is their own.
fn fails(connection: &Connection, error: &(dyn StdError + 'static)) -> Failure {
    let deepest = root(error);
    let id = connection.id.clone();
    if deepest.is::<Nowhere>() {
        return Box::new(Error::Nowhere { id, spot: spot(connection) });
    }
    let mut reason = deepest.to_string();
    if let Some(password) = connection.password() {
        reason = reason.replace(password.reveal(), "***");
    }
    let lower = reason.to_lowercase();
    let is_denied = ["auth", "password", "denied", "401", "403"].iter().any(|word| lower.contains(word));
    let place = place(connection);
    Box::new(Error::Fails { id, place, reason, is_denied, spot: spot(connection) })
}

#[derive(Debug, thiserror::Error)]
#[error("it says no host")]
struct Nowhere;

/// `ping`, which also signs in.
async fn mongodb(connection: &Connection) -> Result<String, BoxError> {
    let mut options = mongodb::options::ClientOptions::parse(reach::mongodb_uri(connection).reveal()).await?;
    options.server_selection_timeout = Some(TRIAL_TIMEOUT * 9 / 10);
    let client = mongodb::Client::with_options(options)?;
    let database = client.database("admin");
    database.run_command(doc! { "ping": 1 }).await.map_err(driver)?;
    let told = database.run_command(doc! { "buildInfo": 1 }).await.map_err(driver)?;
    Ok(format!("MongoDB {}", told.get_str("version").unwrap_or("answers")))
}

/// The driver prints its whole view of the servers; its last words are the reason.
fn driver(error: mongodb::error::Error) -> BoxError {
    let text = error.kind.to_string();
    let reason = text.rsplit("Error: ").next().unwrap_or(&text);
    reason.trim_end_matches([' ', ']', '}', '>']).to_owned().into()
}

/// The cluster's metadata, with the extra as the client's properties, as Airflow's Kafka provider has it.
async fn kafka(connection: &Connection) -> Result<String, BoxError> {
    let mut config = ClientConfig::new();
    config.extend(reach::kafka_settings(connection));
    if config.get("bootstrap.servers").is_none() {
        return Err(Nowhere.into());
    }
    let fetch = move || -> Result<String, BoxError> {
        let client: BaseConsumer = config.create()?;
        let metadata = client.fetch_metadata(None, TRIAL_TIMEOUT * 9 / 10)?;
        let (brokers, topics) = (metadata.brokers().len(), metadata.topics().len());
        Ok(format!("Kafka with {brokers} broker(s) and {topics} topic(s)"))
    };
    tokio::task::spawn_blocking(fetch).await?
}

/// Any answer but a refusal to let us in: what stands at `/` is not ours to judge.
async fn http(connection: &Connection) -> Result<String, BoxError> {
    let host = connection.host().ok_or(Nowhere)?;
    let mut url = if host.contains("://") {
        host.to_owned()
    } else {
        let scheme = connection.schema().filter(|word| *word == "https").unwrap_or(connection.conn_type());
        format!("{scheme}://{host}")
    };
    if let Some(port) = connection.port() {
        url += &format!(":{port}");
    }
    let mut request = cloud::http::client().get(&url).timeout(TRIAL_TIMEOUT);
    if let Some(login) = connection.login() {
        request = request.basic_auth(login, connection.password().as_ref().map(|password| password.reveal()));
    }
    let status = request.send().await.map_err(reqwest::Error::without_url)?.status();
    match status.as_u16() {
        401 | 403 => Err(format!("HTTP {status}").into()),
        _ => Ok(format!("HTTP {status}")),
    }
}

async fn postgres(connection: &Connection) -> Result<String, BoxError> {
    let mut config = tokio_postgres::Config::new();
    config.host(connection.host().ok_or(Nowhere)?).port(connection.port().unwrap_or(5432));
    config.connect_timeout(TRIAL_TIMEOUT * 9 / 10);
    if let Some(login) = connection.login() {
        config.user(login);
    }
    if let Some(password) = connection.password() {
        config.password(password.reveal());
    }
    if let Some(database) = connection.schema() {
        config.dbname(database);
    }
    let (client, wire) = config.connect(tokio_postgres::NoTls).await?;
    let wire = tokio::spawn(wire);
    let answered = client.query_one("SHOW server_version", &[]).await;
    drop(client);
    wire.await.ok();
    let version: String = answered?.try_get(0)?;
    Ok(format!("PostgreSQL {version}"))
}

/// Who AWS says we are; with a bucket, whether it is there for us.
async fn aws(connection: &Connection, bucket: Option<&str>) -> Result<String, Failure> {
    if let Some(bucket) = bucket {
        let bucket = reach::s3_bucket(&reach::aws_settings(connection, "s3"), bucket).await?;
        bucket.check().await?;
        return Ok(format!("{} is there", bucket.address()));
    }
    let settings = reach::aws_settings(connection, "sts");
    let credentials = reach::aws_credentials(&settings).await;
    let told = match &credentials {
        Credentials::Identity(identity) => identity.region().map(str::to_owned),
        Credentials::Keys { .. } | Credentials::Anonymous => None,
    };
    let region = settings.get("region").cloned().or(told).unwrap_or_else(|| "us-east-1".to_owned());
    let endpoint = settings.get("endpoint").map(String::as_str);
    Ok(cloud::sts::caller(&credentials, &region, endpoint).await?)
}

#[cfg(test)]
mod tests;

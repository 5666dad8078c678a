//! The Kafka cluster as `topic` and `group` see it: clients made from the project's settings, and what a cluster refuses.

use std::time::Duration;

use base::{Code, Problem, code};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::BaseConsumer,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
    util::Timeout,
};

use crate::context::{Context, Failure};

/// How long a command waits for a cluster before it says that there is none.
pub const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Kafka at {brokers} does not answer")]
    Unreachable { brokers: String, source: KafkaError },
    #[error("cannot {action}: {}", reason(.code))]
    Refused { action: String, code: RDKafkaErrorCode },
    #[error("the client cannot be set up")]
    Client { source: KafkaError },
    #[error("there is no {what} {name}")]
    Missing { what: &'static str, name: String },
    #[error("{text:?} is not KEY=VALUE")]
    Pair { text: String },
    #[error("there is nothing to change")]
    NothingToChange,
}

/// Kafka's word for it, and what it means.
fn reason(code: &RDKafkaErrorCode) -> String {
    KafkaError::AdminOp(*code).to_string().replace("Admin operation error: ", "")
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Unreachable { .. } => code::TM1050,
            Error::Refused { .. } => code::TM1051,
            Error::Client { .. } => code::TM1052,
            Error::Missing { .. } => code::TM1053,
            Error::Pair { .. } | Error::NothingToChange => code::TM1054,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Unreachable { .. } => {
                "start the environment (tidemill up), or name a running one: --brokers HOST:PORT".to_owned()
            }
            Error::Refused { code: RDKafkaErrorCode::TopicAlreadyExists, .. } => {
                "take another name, or say --if-not-exists".to_owned()
            }
            Error::Refused { code: RDKafkaErrorCode::InvalidConfig, .. } => {
                "look up the setting's name and values: tidemill topic describe of any topic lists them with --all".to_owned()
            }
            Error::Refused { code: RDKafkaErrorCode::NonEmptyGroup, .. } => {
                "stop the group's members first: tidemill group describe shows them".to_owned()
            }
            Error::Refused { .. } => "mend what the cluster says, then run the command again".to_owned(),
            Error::Client { .. } => "mend broker.properties in tidemill.yaml: librdkafka names the key".to_owned(),
            Error::Missing { what, .. } => format!("see what there is: tidemill {what} list"),
            Error::Pair { .. } => "write it like retention.ms=86400000".to_owned(),
            Error::NothingToChange => "give --partitions, --config KEY=VALUE or --delete-config KEY".to_owned(),
        }
    }
}

/// Flags of every command that speaks Kafka.
#[derive(Debug, clap::Args)]
pub struct ClusterArgs {
    /// Bootstrap servers [default: the project's running broker]
    #[arg(long, value_name = "HOST:PORT", visible_alias = "bootstrap-server")]
    pub brokers: Option<String>,
}

pub struct Cluster {
    pub brokers: String,
    config: ClientConfig,
}

impl Cluster {
    /// Nothing is connected yet; `--brokers` alone needs no project.
    pub fn of(args: &ClusterArgs, context: &Context) -> Result<Cluster, Failure> {
        let brokers = context.kafka(args.brokers.as_deref())?;
        let mut config = context.kafka_client(args.brokers.as_deref())?;
        config.set("socket.connection.setup.timeout.ms", WAIT.as_millis().to_string());
        Ok(Cluster { brokers, config })
    }

    pub fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Error> {
        self.config.create().map_err(|source| Error::Client { source })
    }

    /// A client that belongs to no group.
    pub fn reader(&self) -> Result<BaseConsumer, Error> {
        let mut config = self.config.clone();
        config.set("allow.auto.create.topics", "false").create().map_err(|source| Error::Client { source })
    }

    /// A client of that group which neither subscribes nor commits by itself.
    pub fn consumer(&self, group_id: &str) -> Result<BaseConsumer, Error> {
        let mut config = self.config.clone();
        config
            .set("group.id", group_id)
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false");
        config.create().map_err(|source| Error::Client { source })
    }

    /// All topics, or the one. Asking never creates it.
    pub fn metadata(&self, consumer: &BaseConsumer, topic: Option<&str>) -> Result<Metadata, Error> {
        use rdkafka::consumer::Consumer;
        tokio::task::block_in_place(|| consumer.fetch_metadata(topic, WAIT))
            .map_err(|error| self.failed(error))
    }

    /// An error of a call, sorted: nobody there, or refused.
    pub fn failed(&self, error: KafkaError) -> Error {
        let refused = error.rdkafka_error_code().filter(|code| !is_distance(*code));
        match refused {
            Some(code) => Error::Refused { action: "do that".to_owned(), code },
            None => Error::Unreachable { brokers: self.brokers.clone(), source: error },
        }
    }

    /// What one item of an admin call's answer says.
    pub fn refused(&self, action: String, code: RDKafkaErrorCode) -> Error {
        if is_distance(code) {
            return Error::Unreachable { brokers: self.brokers.clone(), source: KafkaError::AdminOp(code) };
        }
        Error::Refused { action, code }
    }
}

fn is_distance(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::Resolve
            | Code::RequestTimedOut
    )
}

pub fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(Timeout::After(WAIT)))
        .operation_timeout(Some(Timeout::After(WAIT)))
}

/// `KEY=VALUE`, as clap's parser of a flag.
pub fn pair(text: &str) -> Result<(String, String), Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::Pair { text: text.to_owned() }),
    }
}

/// Columns as wide as their widest cell, two spaces between; numbers stand at the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let is_number =
        |column: usize| rows.iter().all(|row| row[column].parse::<i64>().is_ok() || row[column] == "-");
    let line = |cells: &[String]| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let width = width(column);
            text += &if is_number(column) && !rows.is_empty() {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            };
        }
        text.trim_end().to_owned() + "\n"
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    std::iter::once(line(&head)).chain(rows.iter().map(|row| line(row))).collect()
}

#[cfg(test)]
mod tests {
    use base::problem::plain;

    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        let down = || KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
        let refused = |action: &str, code| Error::Refused { action: action.to_owned(), code };
        let all = [
            Error::Unreachable { brokers: "127.0.0.1:9092".to_owned(), source: down() },
            refused("create flights", RDKafkaErrorCode::TopicAlreadyExists),
            Error::Client {
                source: KafkaError::ClientCreation("No such configuration property: \"sasl\"".to_owned()),
            },
            Error::Missing { what: "topic", name: "flights".to_owned() },
            Error::Pair { text: "retention.ms".to_owned() },
            Error::NothingToChange,
        ];
        let text: Vec<String> = all.iter().map(|error| plain(error)).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn tables_align() {
        let rows = [vec!["flights".to_owned(), "6".to_owned()], vec!["a".to_owned(), "12".to_owned()]];
        assert_eq!(
            table(&["TOPIC", "PARTITIONS"], &rows),
            "TOPIC    PARTITIONS\nflights           6\na                12\n"
        );
    }
}

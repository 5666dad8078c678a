//! What Kafka refuses, and which `Fault` that is. Driver errors are sorted here and nowhere else.

use std::io;

use base::{BoxError, Code, Fault, Problem, code};
use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Kafka};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{key}={given} is no setting for Kafka; expected {expected}")]
    Setting { key: String, given: String, expected: String },
    #[error("the Kafka client of {bootstrap} cannot be set up")]
    Client { bootstrap: String, source: KafkaError },
    #[error("Kafka at {bootstrap} does not answer")]
    Unreachable { bootstrap: String, source: KafkaError },
    #[error("Kafka at {bootstrap} does not answer")]
    Nowhere { bootstrap: String, source: io::Error },
    #[error("Kafka has no topic {topic}")]
    TopicMissing { topic: String, bootstrap: String },
    #[error("topic {topic} cannot be created")]
    CreateTopic { topic: String, source: KafkaError },
    #[error("Kafka refuses {subject}")]
    Denied { subject: String, source: KafkaError },
    #[error("reading {topic}/{partition} failed")]
    Consume { topic: String, partition: i32, source: KafkaError },
    #[error("the group {group} has given {topic}/{partition} to another member")]
    Fenced { group: String, topic: String, partition: i32, source: Box<KafkaError> },
    #[error("the offset of {topic}/{partition} cannot be committed for group {group}")]
    Commit { group: String, topic: String, partition: i32, source: Box<KafkaError> },
    #[error(
        "{topic}/{partition} ends at {end}, and was read up to {offset}: it is another topic of that name"
    )]
    Remade { topic: String, partition: i32, offset: i64, end: i64 },
    #[error("{topic} was deleted and made anew since it was read: its id is {now}, and was {was}")]
    Replaced { topic: String, was: String, now: String },
    #[error("topic {topic} has {partitions_count} partitions, and records are for number {partition}")]
    NoPartition { topic: String, partition: i32, partitions_count: i32 },
    #[error("the transaction {id} did not {step}")]
    Transaction { id: String, step: &'static str, source: Box<KafkaError> },
    #[error("{failed_count} records were not accepted by topic {topic}; the first: {reason}")]
    Deliver { topic: String, failed_count: u64, reason: String },
}

impl Problem for Error {
    fn code(&self) -> Code {
        match self {
            Error::Setting { .. } | Error::Client { .. } => code::TM0701,
            Error::Unreachable { .. } | Error::Nowhere { .. } => code::TM0702,
            Error::TopicMissing { .. } => code::TM0703,
            Error::CreateTopic { .. } => code::TM0704,
            Error::Denied { .. } => code::TM0705,
            Error::Consume { .. } => code::TM0706,
            Error::Fenced { .. } => code::TM0707,
            Error::Commit { .. } => code::TM0708,
            Error::Deliver { .. } => code::TM0709,
            Error::Remade { .. } | Error::Replaced { .. } => code::TM1524,
            Error::NoPartition { .. } => code::TM1482,
            Error::Transaction { .. } => code::TM1478,
        }
    }

    fn help(&self) -> String {
        match self {
            Error::Setting { key, .. } => format!("correct {key}"),
            Error::Client { .. } => "correct the setting that the cause names".to_owned(),
            Error::Unreachable { bootstrap, .. } | Error::Nowhere { bootstrap, .. } => {
                format!("start Kafka (tidemill up), or correct the address {bootstrap}")
            }
            Error::TopicMissing { topic, .. } => {
                format!("create it: tidemill topic create {topic} (or give load --create)")
            }
            Error::CreateTopic { topic, .. } => {
                format!("create {topic} with the rights and limits that the cause names")
            }
            Error::Denied { .. } => "give the client's user the right that the cause names".to_owned(),
            Error::Consume { topic, .. } => format!("look at the topic: tidemill topic describe {topic}"),
            Error::Fenced { group, .. } => {
                format!("nothing, where members of {group} came or went; else raise max.poll.interval.ms")
            }
            Error::Commit { group, .. } => format!("look at the group: tidemill group describe {group}"),
            Error::Remade { .. } | Error::Replaced { .. } => {
                "begin anew: tidemill pipeline reset PIPELINE --load, then tidemill run PIPELINE --full-refresh; or the load without --resume".to_owned()
            }
            Error::NoPartition { topic, partition, .. } => {
                let wanted = partition.saturating_add(1);
                format!("partitions are counted from 0; for more: tidemill topic alter {topic} --partitions {wanted}")
            }
            Error::Transaction { .. } => {
                "see that the broker is up and that nobody else uses this id, then go on: tidemill load --resume".to_owned()
            }
            Error::Deliver { topic, .. } => {
                format!(
                    "look at the topic's limits: tidemill topic describe {topic} (max.message.bytes, min.insync.replicas)"
                )
            }
        }
    }
}

impl Error {
    pub(super) fn setting(key: &str, given: &str, expected: &str) -> Self {
        Error::Setting { key: key.to_owned(), given: given.to_owned(), expected: expected.to_owned() }
    }
}

const DEFAULT_PORT: u16 = 9092;

/// The client would look for a broker for seconds, and log what it finds. Blocks.
pub(super) fn expect_anybody(bootstrap: &str) -> Result<(), Error> {
    let host = |text: &str| {
        let host = text.trim().rsplit("://").next().unwrap_or_default();
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port { host.to_owned() } else { format!("{host}:{DEFAULT_PORT}") }
    };
    let hosts: Vec<String> = bootstrap.split(',').filter(|text| !text.trim().is_empty()).map(host).collect();
    cloud::reach::expect_anybody(&hosts)
        .map_err(|source| Error::Nowhere { bootstrap: bootstrap.to_owned(), source })
}

/// The error inside a fault, as ours.
pub(super) fn fault(kafka: &KafkaError, error: Error) -> Fault {
    let boxed: BoxError = Box::new(error);
    match kafka.rdkafka_error_code() {
        Some(code) if is_lost(code) => Fault::Lost(boxed),
        Some(code) if is_denied(code) => Fault::Denied(boxed),
        Some(code) if is_transient(code) => Fault::Transient(boxed),
        _ => Fault::Fatal(boxed),
    }
}

pub(super) fn is_lost(code: Kafka) -> bool {
    matches!(
        code,
        Kafka::IllegalGeneration
            | Kafka::UnknownMemberId
            | Kafka::FencedInstanceId
            | Kafka::AssignmentLost
            | Kafka::Fenced
    )
}

pub(super) fn is_denied(code: Kafka) -> bool {
    matches!(
        code,
        Kafka::TopicAuthorizationFailed
            | Kafka::GroupAuthorizationFailed
            | Kafka::ClusterAuthorizationFailed
            | Kafka::TransactionalIdAuthorizationFailed
            | Kafka::SaslAuthenticationFailed
            | Kafka::Authentication
            | Kafka::SSL
    )
}

pub(super) fn is_transient(code: Kafka) -> bool {
    matches!(
        code,
        Kafka::BrokerTransportFailure
            | Kafka::AllBrokersDown
            | Kafka::OperationTimedOut
            | Kafka::RequestTimedOut
            | Kafka::MessageTimedOut
            | Kafka::TimedOutQueue
            | Kafka::Resolve
            | Kafka::LeaderNotAvailable
            | Kafka::NotLeaderForPartition
            | Kafka::CoordinatorLoadInProgress
            | Kafka::CoordinatorNotAvailable
            | Kafka::NotCoordinator
            | Kafka::RebalanceInProgress
            | Kafka::NotEnoughReplicas
            | Kafka::NotEnoughReplicasAfterAppend
            | Kafka::WaitingForCoordinator
            | Kafka::WaitCache
            | Kafka::InProgress
            | Kafka::PreviousInProgress
            | Kafka::State
            | Kafka::Retry
            | Kafka::NetworkException
            | Kafka::UnknownTopicOrPartition
    )
}
